/* SPDX-License-Identifier: MIT */
/*
 * The two-level way to show events: a bit per port in shared_info (pending, masked), a word of selector bits per vCPU.
 *
 * The guest writes all of these words at any time: each is read or changed once, atomically, and nothing read from
 * them is trusted for more than whether to tell the guest. No locks.
 */
#include "core/event/internal.h"
#include "core/lib/bitmap.h"

static uint64_t *pending_bits(struct domain *d)
{
    return (uint64_t *)d->shared_info->evtchn_pending;
}

static uint64_t *mask_bits(struct domain *d)
{
    return (uint64_t *)d->shared_info->evtchn_mask;
}

static void select_word(struct domain *d, struct evtchn *c)
{
    struct vcpu *v = d->vcpus[__atomic_load_n(&c->vcpu, __ATOMIC_RELAXED)];
    struct vcpu_info *info = __atomic_load_n(&v->info, __ATOMIC_ACQUIRE);

    if (!bit_test_set_atomic((uint64_t *)&info->evtchn_pending_sel, c->port / 64))
        evtchn_mark_upcall(v);
}

static void twolevel_set_pending(struct domain *d, struct evtchn *c)
{
    if (c->port >= EVTCHN_PORTS_2L || bit_test_set_atomic(pending_bits(d), c->port))
        return;
    if (!bit_test(mask_bits(d), c->port))
        select_word(d, c);
    evtchn_poll_check(d, c->port);
}

static void twolevel_clear_pending(struct domain *d, struct evtchn *c)
{
    if (c->port < EVTCHN_PORTS_2L)
        bit_test_clear_atomic(pending_bits(d), c->port);
}

static void twolevel_unmask(struct domain *d, struct evtchn *c)
{
    if (c->port < EVTCHN_PORTS_2L && bit_test_clear_atomic(mask_bits(d), c->port) && bit_test(pending_bits(d), c->port))
        select_word(d, c);
}

static bool twolevel_is_pending(struct domain *d, const struct evtchn *c)
{
    return c->port < EVTCHN_PORTS_2L && bit_test(pending_bits(d), c->port);
}

static bool twolevel_is_masked(struct domain *d, const struct evtchn *c)
{
    return c->port >= EVTCHN_PORTS_2L || bit_test(mask_bits(d), c->port);
}

static bool twolevel_is_lingering(struct domain *d, uint32_t port)
{
    return false;
}

const struct evtchn_ops evtchn_ops_twolevel = {
    .name = "2-level",
    .ports = EVTCHN_PORTS_2L,
    .set_pending = twolevel_set_pending,
    .clear_pending = twolevel_clear_pending,
    .unmask = twolevel_unmask,
    .is_pending = twolevel_is_pending,
    .is_masked = twolevel_is_masked,
    .is_lingering = twolevel_is_lingering,
};

/* A sender that still holds the old vcpu_info has set the pending bit before it looked for the vcpu_info: with every
 * word selected here the guest finds that bit. */
void evtchn_vcpu_info_moved(struct vcpu *v)
{
    struct vcpu_info *info = v->info;

    if (evtchn_ops(v->domain) == &evtchn_ops_twolevel)
        __atomic_store_n(&info->evtchn_pending_sel, ~0UL, __ATOMIC_SEQ_CST);
    __atomic_store_n(&info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST);
    vcpu_kick(v);
}
