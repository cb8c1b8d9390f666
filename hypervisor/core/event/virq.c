/* SPDX-License-Identifier: MIT */
/*
 * Virtual interrupts and the interrupt lines of devices, as event channels.
 *
 * A VIRQ belongs to a vCPU (timer, debug...) or to the whole domain; the latter is kept in vCPU 0's virq_port[], and
 * only Domain 0 is told of it. vcpu.virq_port[] and the table's pirq_ports[] change under the event lock and are read
 * without it: what a raiser finds there is checked against the port's own state under the port's bit.
 */
#include "core/event/internal.h"
#include "core/mem/alloc.h"
#include "core/trace/trace.h"
#include "hw/nospec.h"

bool evtchn_virq_is_global(uint32_t virq)
{
    switch (virq) {
    case VIRQ_TIMER:
    case VIRQ_DEBUG:
    case VIRQ_XENOPROF:
    case VIRQ_XENPMU:
        return false;
    default:
        return true;
    }
}

static int bind_virq_locked(struct domain *d, uint32_t virq, struct vcpu *v, uint32_t *port)
{
    struct evtchn *c;
    int rc;

    if (v->virq_port[virq])
        return fail(-EEXIST);
    rc = evtchn_new_port(d, &c);
    if (rc)
        return rc;
    __atomic_store_n(&c->vcpu, (uint16_t)v->id, __ATOMIC_RELAXED);
    evtchn_assign(c, EVTCHNSTAT_virq, virq, NULL, 0);
    __atomic_store_n(&v->virq_port[virq], c->port, __ATOMIC_RELEASE);
    *port = c->port;
    return 0;
}

int evtchn_bind_virq(struct domain *d, uint32_t virq, unsigned vcpu, uint32_t *port)
{
    struct vcpu *v;
    int rc;

    if (virq >= ARRAY_SIZE(v->virq_port) || (evtchn_virq_is_global(virq) && vcpu))
        return fail(-EINVAL);
    v = vcpu_of(d, vcpu);
    if (!v)
        return fail(-ENOENT);
    virq = (uint32_t)index_nospec(virq, ARRAY_SIZE(v->virq_port));
    spin_lock(&d->event_lock);
    rc = bind_virq_locked(d, virq, v, port);
    spin_unlock(&d->event_lock);
    return rc;
}

/* A global one may meanwhile tell another vCPU, but is kept in vCPU 0's array. */
void evtchn_unbind_virq(struct domain *d, struct evtchn *c)
{
    struct vcpu *v = d->vcpus[evtchn_virq_is_global(c->number) ? 0 : c->vcpu];

    __atomic_store_n(&v->virq_port[c->number], 0, __ATOMIC_RELAXED);
}

/* Pending, if the port still is what it was found to be. */
static void raise_bound(struct domain *d, uint32_t port, uint8_t state, uint32_t number)
{
    struct evtchn *c = evtchn_of(d, port);

    if (!port || !c)
        return;
    evtchn_hold(c);
    if (c->state == state && c->number == number)
        evtchn_set_pending(d, c);
    evtchn_release(c);
}

void evtchn_raise_virq(struct vcpu *v, uint32_t virq)
{
    ASSERT(virq < ARRAY_SIZE(v->virq_port));
    raise_bound(v->domain, __atomic_load_n(&v->virq_port[virq], __ATOMIC_ACQUIRE), EVTCHNSTAT_virq, virq);
}

void evtchn_raise_global_virq(uint32_t virq)
{
    struct domain *d = __atomic_load_n(&domain0, __ATOMIC_ACQUIRE);

    if (d && d->vcpus && d->vcpus[0])
        evtchn_raise_virq(d->vcpus[0], virq);
}

/* ---- Interrupt lines of devices ------------------------------------------------------------------------------ */

static int pirq_table_create(struct domain *d)
{
    struct evtchn_table *t = d->events;
    unsigned pirqs = hw_pirq_max();
    uint32_t *ports;

    if (t->pirq_ports)
        return 0;
    ports = heap_alloc_array(pirqs, sizeof(*ports));
    if (!ports)
        return fail(-ENOMEM);
    t->pirqs = pirqs;
    __atomic_store_n(&t->pirq_ports, ports, __ATOMIC_RELEASE);
    return 0;
}

static int bind_pirq_locked(struct domain *d, uint32_t pirq, bool will_share, uint32_t *port)
{
    struct evtchn_table *t = d->events;
    struct evtchn *c;
    int rc = pirq_table_create(d);

    if (rc)
        return rc;
    if (pirq >= t->pirqs)
        return fail(-EINVAL);
    if (t->pirq_ports[pirq])
        return fail(-EEXIST);
    rc = evtchn_new_port(d, &c);
    if (rc)
        return rc;
    /* In place before the line is opened: its first interrupt may come at once. */
    evtchn_assign(c, EVTCHNSTAT_pirq, pirq, NULL, 0);
    __atomic_store_n(&t->pirq_ports[pirq], c->port, __ATOMIC_SEQ_CST);
    rc = hw_pirq_bind(d, pirq, will_share);
    if (rc) {
        __atomic_store_n(&t->pirq_ports[pirq], 0, __ATOMIC_RELAXED);
        evtchn_free_port(d, c);
        return fail(rc);
    }
    *port = c->port;
    return 0;
}

int evtchn_bind_pirq(struct domain *d, uint32_t pirq, uint32_t flags, uint32_t *port)
{
    int rc;

    if (flags & ~(uint32_t)BIND_PIRQ__WILL_SHARE)
        return fail(-EINVAL);
    spin_lock(&d->event_lock);
    rc = bind_pirq_locked(d, pirq, flags & BIND_PIRQ__WILL_SHARE, port);
    spin_unlock(&d->event_lock);
    return rc;
}

void evtchn_unbind_pirq(struct domain *d, struct evtchn *c)
{
    hw_pirq_unbind(d, c->number);
    __atomic_store_n(&d->events->pirq_ports[c->number], 0, __ATOMIC_RELAXED);
}

void evtchn_raise_pirq(struct domain *d, uint32_t pirq)
{
    const uint32_t *ports = __atomic_load_n(&d->events->pirq_ports, __ATOMIC_ACQUIRE);

    if (ports && pirq < d->events->pirqs)
        raise_bound(d, __atomic_load_n(&ports[pirq], __ATOMIC_ACQUIRE), EVTCHNSTAT_pirq, pirq);
}
