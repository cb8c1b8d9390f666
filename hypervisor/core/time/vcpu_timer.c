/* SPDX-License-Identifier: MIT */
/*
 * Timers that guests set: a vCPU's single-shot and periodic timer, the end of its poll, and its domain's watchdogs.
 * They follow the vCPU to the CPU it runs on. Handlers run without locks.
 *
 * Polling: poll_port and VPF_BLOCKED are set, then the bit in domain.poll_mask, then (full barrier) the ports are looked at;
 * who makes a port pending does that first and then looks at poll_mask. So one of them sees the other. Who finds the bit,
 * and takes it away, finds the vCPU blocked: the bit is never gone from one that sleeps.
 */
#include "core/time/vcpu_timer.h"
#include "core/domain/domain.h"
#include "core/event/event.h"
#include "core/lib/fail.h"
#include "core/lib/print.h"
#include <xen/sched.h>

#define PERIOD_MIN (1 * MSEC)

static void singleshot_fired(void *arg)
{
    evtchn_raise_virq(arg, VIRQ_TIMER);
}

/* Ticks that were missed are not made up for. */
static void periodic_fired(void *arg)
{
    struct vcpu *v = arg;
    uint64_t period = __atomic_load_n(&v->periodic_period_ns, __ATOMIC_RELAXED);
    uint64_t now = hw_now_ns(), next = v->periodic_timer.deadline_ns + period;

    if (!period)
        return;
    evtchn_raise_virq(v, VIRQ_TIMER);
    timer_set(&v->periodic_timer, next > now ? next : now + period);
}

static void poll_timed_out(void *arg)
{
    vcpu_unblock(arg);
}

static void watchdog_expired(void *arg)
{
    struct domain *d = arg;

    log_warn("domain %u: its watchdog has expired", d->id);
    domain_shutdown(d, SHUTDOWN_watchdog);
}

void vcpu_timers_init(struct vcpu *v)
{
    struct domain *d = v->domain;

    timer_init(&v->singleshot_timer, singleshot_fired, v, this_cpu()->id);
    timer_init(&v->periodic_timer, periodic_fired, v, this_cpu()->id);
    timer_init(&v->poll_timer, poll_timed_out, v, this_cpu()->id);
    if (v->id)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(d->watchdogs); i++)
        timer_init(&d->watchdogs[i], watchdog_expired, d, this_cpu()->id);
}

void vcpu_timers_destroy(struct vcpu *v)
{
    __atomic_store_n(&v->periodic_period_ns, 0, __ATOMIC_RELAXED);
    timer_kill(&v->singleshot_timer);
    timer_kill(&v->periodic_timer);
    timer_kill(&v->poll_timer);
}

void vcpu_timers_migrate(struct vcpu *v, unsigned cpu)
{
    timer_migrate(&v->singleshot_timer, cpu);
    timer_migrate(&v->periodic_timer, cpu);
    timer_migrate(&v->poll_timer, cpu);
}

int vcpu_set_singleshot(struct vcpu *v, uint64_t deadline_ns, bool future_only)
{
    if (deadline_ns > hw_now_ns()) {
        timer_set(&v->singleshot_timer, deadline_ns);
        return 0;
    }
    if (future_only)
        return fail(-ETIME);
    timer_stop(&v->singleshot_timer);
    evtchn_raise_virq(v, VIRQ_TIMER);
    return 0;
}

void vcpu_stop_singleshot(struct vcpu *v)
{
    timer_stop(&v->singleshot_timer);
}

int vcpu_set_periodic(struct vcpu *v, uint64_t period_ns)
{
    if (period_ns && (period_ns < PERIOD_MIN || period_ns > (uint64_t)INT64_MAX))
        return fail(-EINVAL);
    __atomic_store_n(&v->periodic_period_ns, period_ns, __ATOMIC_RELAXED);
    if (period_ns)
        timer_set(&v->periodic_timer, hw_now_ns() + period_ns);
    else
        timer_stop(&v->periodic_timer);
    return 0;
}

/* ---- SCHEDOP_poll ------------------------------------------------------------------------------------------- */

static bool any_pending(struct domain *d, const uint32_t *ports, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (evtchn_is_pending(d, ports[i]))
            return true;
    return false;
}

int vcpu_poll(struct vcpu *v, const uint32_t *ports, unsigned count, uint64_t deadline_ns)
{
    struct domain *d = v->domain;

    for (unsigned i = 0; i < count; i++)
        if (!ports[i] || ports[i] >= EVTCHN_PORTS_FIFO)
            return fail(-EINVAL);
    if (deadline_ns && deadline_ns <= hw_now_ns())
        return 0;
    v->sched.polling = true;
    __atomic_store_n(&v->poll_port, count == 1 ? ports[0] : ~0u, __ATOMIC_RELAXED);
    __atomic_fetch_or(&v->pause_flags, VPF_BLOCKED, __ATOMIC_SEQ_CST);
    bit_test_set_atomic(d->poll_mask, v->id);
    if (vcpu_has_events(v) || any_pending(d, ports, count)) {
        __atomic_fetch_and(&v->pause_flags, ~VPF_BLOCKED, __ATOMIC_SEQ_CST);
        vcpu_poll_done(v);
        return 0;
    }
    if (deadline_ns)
        timer_set(&v->poll_timer, deadline_ns);
    pcpu_raise(this_cpu()->id, PCPU_WORK_SCHED);
    return 0;
}

void vcpu_poll_done(struct vcpu *v)
{
    v->sched.polling = false;
    __atomic_store_n(&v->poll_port, 0, __ATOMIC_RELAXED);
    bit_test_clear_atomic(v->domain->poll_mask, v->id);
    timer_stop(&v->poll_timer);
}

/* ---- Watchdogs ------------------------------------------------------------------------------------------------ */

int domain_watchdog(struct domain *d, uint32_t id, uint32_t seconds)
{
    uint64_t deadline = hw_now_ns() + seconds * SEC;

    if (id > ARRAY_SIZE(d->watchdogs) || (!id && !seconds))
        return fail(-EINVAL);
    if (!id) {
        for (id = 1; id <= ARRAY_SIZE(d->watchdogs); id++)
            if (!bit_test_set_atomic(&d->watchdogs_used, id - 1)) {
                timer_set(&d->watchdogs[id - 1], deadline);
                return (int)id;
            }
        return fail(-ENOSPC);
    }
    if (!bit_test(&d->watchdogs_used, id - 1))
        return fail(-EINVAL);
    if (seconds) {
        timer_set(&d->watchdogs[id - 1], deadline);
    } else {
        timer_stop(&d->watchdogs[id - 1]);
        bit_test_clear_atomic(&d->watchdogs_used, id - 1);
    }
    return 0;
}
