/* SPDX-License-Identifier: MIT */
/*
 * Event channels: one port is one end of a channel. core/event/channel.c owns ports, binding and closing;
 * twolevel.c and fifo.c are the two ways to tell a guest (struct evtchn_ops). Lock: the domain's event lock guards
 * binding; sending is lock-free against a port's own state word (see channel.c).
 */
#pragma once
#include "core/lib/types.h"
#include <xen/event_channel.h>
struct domain;
struct vcpu;
struct frame;

#define EVTCHN_PORTS_2L   4096u
#define EVTCHN_PORTS_FIFO 131072u

int evtchn_table_create(struct domain *d, unsigned max_port);
/* Dying: no new ports; closes every port, gives back the frames of its FIFO. 0 or -ERESTART. While a vCPU still has a
 * port, others may write into its vcpu_info: close first, then drop that frame. */
int evtchn_close_some(struct domain *d);
void evtchn_close_all(struct domain *d); /* the same, to the end */
void evtchn_table_destroy(struct domain *d);

int evtchn_alloc_unbound(struct domain *d, uint16_t remote, uint32_t *port);
int evtchn_bind_interdomain(struct domain *d, uint16_t remote_id, uint32_t remote_port, uint32_t *port);
int evtchn_bind_virq(struct domain *d, uint32_t virq, unsigned vcpu, uint32_t *port);
int evtchn_bind_ipi(struct domain *d, unsigned vcpu, uint32_t *port);
int evtchn_bind_pirq(struct domain *d, uint32_t pirq, uint32_t flags, uint32_t *port);
int evtchn_close(struct domain *d, uint32_t port);
int evtchn_send(struct domain *d, uint32_t port);
int evtchn_status(struct domain *d, struct evtchn_status *st);
int evtchn_bind_vcpu(struct domain *d, uint32_t port, unsigned vcpu);
int evtchn_unmask(struct domain *d, uint32_t port);
int evtchn_reset(struct domain *d); /* 0, -ERESTART */
int evtchn_init_control(struct domain *d, struct evtchn_init_control *ic);
int evtchn_expand_array(struct domain *d, uint64_t gfn);
/* After either of them: shows what had no place before, of the ports from *port (1) on. 0; -ERESTART: call again, *port says
 * where to go on. Any port is right, and to call it for nothing is. */
int evtchn_show_deferred(struct domain *d, uint32_t *port);
int evtchn_set_priority(struct domain *d, uint32_t port, uint32_t priority);
/* Whether a port is pending (SCHEDOP_poll); false for ports that do not exist. */
bool evtchn_is_pending(struct domain *d, uint32_t port);

/* From inside the hypervisor. */
void evtchn_raise_virq(struct vcpu *v, uint32_t virq);   /* per-vCPU VIRQ; nothing when unbound */
void evtchn_raise_global_virq(uint32_t virq);            /* to the domain that handles it (Domain 0 by default) */
void evtchn_raise_pirq(struct domain *d, uint32_t pirq); /* an interrupt line fired */
/* The vCPU registered a new vcpu_info: nothing pending may be lost. */
void evtchn_vcpu_info_moved(struct vcpu *v);
/* A port has become pending (masked or not): wakes the vCPUs that poll it. Called by the ways to show events.
 * A poller (SCHEDOP_poll) sets v->poll_port (~0: several), then VPF_BLOCKED, then by a locked instruction its bit in
 * d->poll_mask, and only then asks evtchn_is_pending() of each port; if one is, it undoes all that. Whoever clears the
 * bit in poll_mask wakes; a bit that was cleared while the poller still looks is harmless. */
void evtchn_poll_check(struct domain *d, uint32_t port);
/* Audit: frames that the event code holds, by a writable reference for each call. */
void evtchn_for_each_frame(struct domain *d, void (*fn)(struct frame *f, void *arg), void *arg);
void evtchn_print(struct domain *d); /* key handler */
