/* SPDX-License-Identifier: MIT */
/* A vCPU's own timers: single-shot, periodic, poll time-out; each raises VIRQ_TIMER or ends the poll. And the domain's
 * watchdogs. */
#pragma once
#include "core/lib/types.h"
struct vcpu;
struct domain;
void vcpu_timers_init(struct vcpu *v); /* the first vCPU's call makes the domain's watchdogs, too */
void vcpu_timers_destroy(struct vcpu *v);
void vcpu_timers_migrate(struct vcpu *v, unsigned cpu); /* scheduler: the vCPU now runs on cpu */
int vcpu_set_singleshot(struct vcpu *v, uint64_t deadline_ns, bool future_only); /* 0, -ETIME */
void vcpu_stop_singleshot(struct vcpu *v);
int vcpu_set_periodic(struct vcpu *v, uint64_t period_ns); /* 0 stops; -EINVAL below 1 ms */

/* SCHEDOP_poll: the current vCPU sleeps until one of `ports` is pending, an event can be delivered, or the time (0: none)
 * has come. 0; -EINVAL a port that cannot be. It may return to the guest early. */
int vcpu_poll(struct vcpu *v, const uint32_t *ports, unsigned count, uint64_t deadline_ns);
void vcpu_poll_done(struct vcpu *v); /* scheduler: v is back */

/* SCHEDOP_watchdog: id 0 takes one that is free and starts it: 1 or 2, -ENOSPC. Else sets it anew, or with 0 seconds gives
 * it back: 0. -EINVAL no such watchdog, or not in use. */
int domain_watchdog(struct domain *d, uint32_t id, uint32_t seconds);
