/* SPDX-License-Identifier: MIT */
/*
 * Event channels: the ports of a domain, binding, sending and closing.
 *
 *   free --alloc_unbound--> UNBOUND --a peer binds--> INTERDOMAIN --the peer closes--> UNBOUND
 *   free --bind_interdomain--> INTERDOMAIN      free --bind_virq, _ipi, _pirq--> VIRQ, IPI, PIRQ
 *   any --close--> free
 *
 * Rules, by which sending needs no lock but one bit in the sender's own port:
 *  E1 A port's state changes under the event lock of its domain and under the port's busy bit (evtchn_assign).
 *  E2 An interdomain port holds a reference on the other domain. To part two ends, both domains' event locks are held,
 *     and the peer is made UNBOUND before the port itself is made free.
 *  E3 So whoever holds the busy bit of a port that is INTERDOMAIN may use the remote domain and its port: that port
 *     becomes free only after this one has been changed, for which its closer must have the bit.
 *  E4 Events of a domain are set pending, and its FIFO memory is touched, only under its event lock or under the bit
 *     of a port that is not free: one of its own, or the other end of one. When all ports of a domain are closed and
 *     no new one can be made, nobody is inside its FIFO.
 *  E5 Buckets of ports are published once and stay until the domain is freed.
 *
 * Locks: event lock; of two domains' the one at the lower address first. A busy bit is taken with or without event
 * locks, never two at once, and what is called under it takes only FIFO queue locks and later ones. domain_put() is
 * called without any.
 */
#include "core/event/internal.h"
#include "core/lib/bitmap.h"
#include "core/mem/alloc.h"
#include "core/trace/trace.h"

/* ---- The table ---------------------------------------------------------------------------------------------- */

int evtchn_table_create(struct domain *d, unsigned max_port)
{
    uint32_t ports = max_port && max_port < EVTCHN_PORTS_FIFO ? max_port + 1 : EVTCHN_PORTS_FIFO;
    uint32_t slots = 1;
    struct evtchn_table *t;

    while (slots * BUCKET_PORTS < ports)
        slots *= 2;
    t = heap_alloc(sizeof(*t) + slots * sizeof(t->buckets[0]));
    if (!t)
        return fail(-ENOMEM);
    t->used = heap_alloc_array(BITS_TO_WORDS(ports), sizeof(t->used[0]));
    if (!t->used) {
        heap_free(t);
        return fail(-ENOMEM);
    }
    t->ops = &evtchn_ops_twolevel;
    t->ports_max = ports;
    t->buckets_mask = slots - 1;
    t->close_next = t->search_from = 1;
    bit_set(t->used, 0);
    d->events = t;
    return 0;
}

/* The domain's last reference is gone: nobody looks at the table any more. */
void evtchn_table_destroy(struct domain *d)
{
    struct evtchn_table *t = d->events;

    ASSERT(!t->fifo);
    for (uint32_t i = 0; i <= t->buckets_mask; i++)
        heap_free(t->buckets[i]);
    heap_free(t->pirq_ports);
    heap_free(t->used);
    heap_free(t);
    d->events = NULL;
}

static struct evtchn *ensure_port(struct domain *d, uint32_t port)
{
    struct evtchn **slot = &d->events->buckets[port / BUCKET_PORTS];
    struct evtchn *bucket = *slot;

    if (!bucket) {
        bucket = heap_alloc_array(BUCKET_PORTS, sizeof(*bucket));
        if (!bucket)
            return NULL;
        for (uint32_t i = 0; i < BUCKET_PORTS; i++)
            bucket[i].port = (uint32_t)(port / BUCKET_PORTS * BUCKET_PORTS + i);
        __atomic_store_n(slot, bucket, __ATOMIC_RELEASE);
    }
    return &bucket[port % BUCKET_PORTS];
}

#define LINGERING_MAX 512 /* ports looked at in one search that the guest has not let go of yet */

/* The lowest free port that the guest has let go of; 0: none found. A guest that lets go of none finds the search cut short;
 * the next one goes on behind. */
static uint32_t find_free(struct domain *d)
{
    struct evtchn_table *t = d->events;
    uint32_t end = MIN(t->ports_max, t->ops->ports);
    uint32_t port = bitmap_next_clear(t->used, end, t->search_from);

    for (unsigned n = 0; port < end && t->ops->is_lingering(d, port); n++) {
        if (n == LINGERING_MAX) {
            t->search_from = port;
            return 0;
        }
        port = bitmap_next_clear(t->used, end, port + 1);
    }
    t->search_from = 1;
    return port < end ? port : 0;
}

int evtchn_new_port(struct domain *d, struct evtchn **out)
{
    struct evtchn_table *t = d->events;
    struct evtchn *c;
    uint32_t port;

    if (t->closed)
        return fail(-EINVAL);
    if (t->resetting)
        return fail(-EBUSY);
    port = find_free(d);
    if (!port)
        return fail(-ENOSPC);
    c = ensure_port(d, port);
    if (!c)
        return fail(-ENOMEM);
    bit_set(t->used, port);
    __atomic_store_n(&c->vcpu, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&c->priority, EVTCHN_FIFO_PRIORITY_DEFAULT, __ATOMIC_RELAXED);
    __atomic_store_n(&c->deferred, 0, __ATOMIC_RELAXED);
    *out = c;
    return 0;
}

void evtchn_assign(struct evtchn *c, uint8_t state, uint32_t number, struct domain *remote, uint16_t peer)
{
    evtchn_hold(c);
    c->state = state;
    c->number = number;
    c->remote = remote;
    c->peer = peer;
    evtchn_release(c);
}

void evtchn_free_port(struct domain *d, struct evtchn *c)
{
    evtchn_assign(c, EVTCHNSTAT_closed, 0, NULL, 0);
    __atomic_store_n(&c->deferred, 0, __ATOMIC_RELAXED);
    d->events->ops->clear_pending(d, c);
    bit_clear(d->events->used, c->port);
}

/* ---- Two domains at once ------------------------------------------------------------------------------------ */

static void lock_two(struct domain *a, struct domain *b) /* b: NULL or another one */
{
    struct domain *first = b && b < a ? b : a;

    spin_lock(&first->event_lock);
    if (b)
        spin_lock_nested(&(first == a ? b : a)->event_lock);
}

static void unlock_two(struct domain *a, struct domain *b)
{
    bool b_is_first = b && b < a;

    if (b && !b_is_first)
        spin_unlock(&b->event_lock);
    spin_unlock(&a->event_lock);
    if (b_is_first)
        spin_unlock(&b->event_lock);
}

/* Locks d and, when the port is one end of a channel to another domain, that one too: *peer, with a reference for
 * unlock_with_peer(). The port, or NULL when it does not exist or is free. */
static struct evtchn *lock_with_peer(struct domain *d, uint32_t port, struct domain **peer)
{
    struct domain *locked = NULL;

    for (;;) {
        struct evtchn *c = evtchn_of(d, port);
        struct domain *remote = NULL;

        lock_two(d, locked);
        if (c && c->state == EVTCHNSTAT_interdomain && c->remote != d)
            remote = c->remote;
        if (remote == locked) {
            *peer = locked;
            return c && c->state != EVTCHNSTAT_closed ? c : NULL;
        }
        if (remote) /* the port's own reference keeps it alive: this cannot fail */
            remote = domain_get_ref(DOMID_SELF, remote);
        unlock_two(d, locked);
        if (locked)
            domain_put(locked);
        locked = remote;
    }
}

static void unlock_with_peer(struct domain *d, struct domain *peer)
{
    unlock_two(d, peer);
    if (peer)
        domain_put(peer);
}

/* ---- Binding ------------------------------------------------------------------------------------------------ */

int evtchn_alloc_unbound(struct domain *d, uint16_t remote, uint32_t *port)
{
    struct evtchn *c;
    int rc;

    spin_lock(&d->event_lock);
    rc = evtchn_new_port(d, &c);
    if (!rc) {
        evtchn_assign(c, EVTCHNSTAT_unbound, 0, NULL, remote);
        *port = c->port;
    }
    spin_unlock(&d->event_lock);
    return rc;
}

/* Both event locks held; `remote` and `self` are references that the two ends take over. */
static int join(struct domain *d, struct domain *remote, uint32_t remote_port, struct domain *self, uint32_t *port)
{
    struct evtchn *far = evtchn_of(remote, remote_port);
    struct evtchn *c;
    int rc;

    if (!far || far->state != EVTCHNSTAT_unbound || far->peer != d->id || remote->events->closed)
        return fail(-EINVAL);
    rc = evtchn_new_port(d, &c);
    if (rc)
        return rc;
    /* The near end first: a sender at the far end may use it at once. */
    evtchn_assign(c, EVTCHNSTAT_interdomain, remote_port, remote, 0);
    evtchn_assign(far, EVTCHNSTAT_interdomain, c->port, self, 0);
    /* The other side may have sent before there was anybody to hear it. */
    evtchn_set_pending(d, c);
    *port = c->port;
    return 0;
}

int evtchn_bind_interdomain(struct domain *d, uint16_t remote_id, uint32_t remote_port, uint32_t *port)
{
    struct domain *remote = domain_get_ref(remote_id, d);
    struct domain *self, *other;
    int rc;

    if (!remote)
        return fail(-ESRCH);
    self = domain_get_ref(DOMID_SELF, d);
    if (!self) {
        domain_put(remote);
        return fail(-ESRCH);
    }
    other = remote == d ? NULL : remote;
    lock_two(d, other);
    rc = join(d, remote, remote_port, self, port);
    unlock_two(d, other);
    if (rc) {
        domain_put(remote);
        domain_put(self);
    }
    return rc;
}

int evtchn_bind_ipi(struct domain *d, unsigned vcpu, uint32_t *port)
{
    struct vcpu *v = vcpu_of(d, vcpu);
    struct evtchn *c;
    int rc;

    if (!v)
        return fail(-ENOENT);
    spin_lock(&d->event_lock);
    rc = evtchn_new_port(d, &c);
    if (!rc) {
        __atomic_store_n(&c->vcpu, (uint16_t)v->id, __ATOMIC_RELAXED);
        evtchn_assign(c, EVTCHNSTAT_ipi, 0, NULL, 0);
        *port = c->port;
    }
    spin_unlock(&d->event_lock);
    return rc;
}

static bool may_move(const struct evtchn *c)
{
    switch (c->state) {
    case EVTCHNSTAT_unbound:
    case EVTCHNSTAT_interdomain:
    case EVTCHNSTAT_pirq:
        return true;
    case EVTCHNSTAT_virq:
        return evtchn_virq_is_global(c->number);
    default:
        return false;
    }
}

int evtchn_bind_vcpu(struct domain *d, uint32_t port, unsigned vcpu)
{
    struct evtchn *c = evtchn_of(d, port);
    struct vcpu *v = vcpu_of(d, vcpu);
    int rc = 0;

    if (!v)
        return fail(-ENOENT);
    if (!c)
        return fail(-EINVAL);
    spin_lock(&d->event_lock);
    if (may_move(c)) {
        __atomic_store_n(&c->vcpu, (uint16_t)v->id, __ATOMIC_SEQ_CST);
        if (__atomic_exchange_n(&c->deferred, 0, __ATOMIC_SEQ_CST))
            evtchn_set_pending(d, c); /* the new vCPU may have a queue */
    } else {
        rc = -EINVAL;
    }
    spin_unlock(&d->event_lock);
    return rc ? fail(rc) : 0;
}

int evtchn_status(struct domain *d, struct evtchn_status *st)
{
    struct evtchn *c = evtchn_of(d, st->port);

    if (!c)
        return fail(-EINVAL);
    spin_lock(&d->event_lock);
    st->status = c->state;
    st->vcpu = c->vcpu;
    switch (c->state) {
    case EVTCHNSTAT_unbound:
        st->u.unbound.dom = c->peer;
        break;
    case EVTCHNSTAT_interdomain:
        st->u.interdomain.dom = c->remote->id;
        st->u.interdomain.port = c->number;
        break;
    case EVTCHNSTAT_pirq:
        st->u.pirq = c->number;
        break;
    case EVTCHNSTAT_virq:
        st->u.virq = c->number;
        break;
    default:
        break;
    }
    spin_unlock(&d->event_lock);
    return 0;
}

/* ---- Sending ------------------------------------------------------------------------------------------------ */

void evtchn_set_pending(struct domain *d, struct evtchn *c)
{
    const struct evtchn_ops *used, *ops = evtchn_ops(d);

    /* The domain may go over to FIFO meanwhile: either that finds the bit we set (a locked instruction orders it before
     * this second look), or we see the new way and use it. */
    do {
        used = ops;
        used->set_pending(d, c);
        ops = evtchn_ops(d);
    } while (unlikely(ops != used));
}

int evtchn_send(struct domain *d, uint32_t port)
{
    struct evtchn *c = evtchn_of(d, port);
    int rc = 0;

    if (!c)
        return fail(-EINVAL);
    evtchn_hold(c);
    switch (c->state) {
    case EVTCHNSTAT_interdomain:
        evtchn_set_pending(c->remote, evtchn_of(c->remote, c->number));
        break;
    case EVTCHNSTAT_ipi:
        evtchn_set_pending(d, c);
        break;
    case EVTCHNSTAT_unbound:
        break;
    default:
        rc = -EINVAL;
        break;
    }
    evtchn_release(c);
    return rc ? fail(rc) : 0;
}

int evtchn_unmask(struct domain *d, uint32_t port)
{
    struct evtchn *c = evtchn_of(d, port);
    int rc = 0;

    if (!c)
        return fail(-EINVAL);
    evtchn_hold(c);
    if (c->state != EVTCHNSTAT_closed)
        evtchn_ops(d)->unmask(d, c);
    else
        rc = -EINVAL;
    evtchn_release(c);
    return rc ? fail(rc) : 0;
}

bool evtchn_is_pending(struct domain *d, uint32_t port)
{
    struct evtchn *c = evtchn_of(d, port);
    bool pending;

    if (!c)
        return false;
    evtchn_hold(c);
    pending = c->state != EVTCHNSTAT_closed &&
              (evtchn_ops(d)->is_pending(d, c) || __atomic_load_n(&c->deferred, __ATOMIC_SEQ_CST));
    evtchn_release(c);
    return pending;
}

/* The pending bit was set by a locked instruction before this looks at poll_mask; a poller sets its bit there, by one
 * too, before it looks at the pending bits. So one of the two sees the other. */
void evtchn_poll_check(struct domain *d, uint32_t port)
{
    for (unsigned w = 0; w < ARRAY_SIZE(d->poll_mask); w++) {
        uint64_t waiting = __atomic_load_n(&d->poll_mask[w], __ATOMIC_SEQ_CST);

        for (; unlikely(waiting); waiting &= waiting - 1) {
            struct vcpu *v = vcpu_of(d, w * 64 + (unsigned)__builtin_ctzl(waiting));
            uint32_t wanted = v ? __atomic_load_n(&v->poll_port, __ATOMIC_SEQ_CST) : 0;

            if (!v || (wanted != port && wanted != ~0u) || !bit_test_clear_atomic(d->poll_mask, v->id))
                continue;
            vcpu_unblock(v);
        }
    }
}

/* ---- Closing ------------------------------------------------------------------------------------------------ */

int evtchn_close(struct domain *d, uint32_t port)
{
    struct domain *peer, *put[2] = {NULL, NULL};
    struct evtchn *c = lock_with_peer(d, port, &peer);

    if (c) {
        if (c->state == EVTCHNSTAT_interdomain) {
            struct evtchn *far = evtchn_of(c->remote, c->number);

            put[0] = c->remote;
            put[1] = far->remote;
            if (__atomic_load_n(&d->dying, __ATOMIC_RELAXED))
                evtchn_set_pending(c->remote, far);                 /* whoever is there looks, and finds it unbound */
            evtchn_assign(far, EVTCHNSTAT_unbound, 0, NULL, d->id); /* before its peer goes: E2 */
        } else if (c->state == EVTCHNSTAT_virq) {
            evtchn_unbind_virq(d, c);
        } else if (c->state == EVTCHNSTAT_pirq) {
            evtchn_unbind_pirq(d, c);
        }
        evtchn_free_port(d, c);
    }
    unlock_with_peer(d, peer);
    for (unsigned i = 0; i < ARRAY_SIZE(put); i++)
        if (put[i])
            domain_put(put[i]);
    return c ? 0 : fail(-EINVAL);
}

#define CLOSE_CHUNK 32 /* ports between two looks for other work */

/* Closes the ports in use from close_next on. 0: there is none any more. */
static int close_ports(struct domain *d)
{
    struct evtchn_table *t = d->events;
    unsigned count = 0;
    uint32_t port;

    for (;;) {
        spin_lock(&d->event_lock);
        port = bitmap_next_set(t->used, t->ports_max, t->close_next);
        t->close_next = port;
        spin_unlock(&d->event_lock);
        if (port >= t->ports_max)
            return 0;
        evtchn_close(d, port); /* another CPU may have been quicker */
        if (++count % CLOSE_CHUNK == 0 && hw_preempt_check())
            return -ERESTART;
    }
}

/* `stop`: member of the table that keeps new ports from being made. */
static int close_and_detach(struct domain *d, bool *stop)
{
    struct evtchn_table *t = d->events;
    struct fifo_domain *fifo = NULL;
    bool empty;
    int rc;

    spin_lock(&d->event_lock);
    *stop = true;
    spin_unlock(&d->event_lock);
    rc = close_ports(d);
    if (rc)
        return rc;

    spin_lock(&d->event_lock);
    t->close_next = 1;
    empty = bitmap_next_set(t->used, t->ports_max, 1) >= t->ports_max;
    if (empty) {
        fifo = evtchn_fifo_detach(d);
        t->resetting = false;
    }
    spin_unlock(&d->event_lock);
    evtchn_fifo_free(fifo);
    return empty ? 0 : -ERESTART;
}

int evtchn_reset(struct domain *d)
{
    return close_and_detach(d, &d->events->resetting);
}

int evtchn_close_some(struct domain *d)
{
    return close_and_detach(d, &d->events->closed);
}

void evtchn_close_all(struct domain *d)
{
    while (evtchn_close_some(d))
        ;
}

/* ---- For the key handler -------------------------------------------------------------------------------------- */

static const char *state_name(uint8_t state)
{
    static const char *const names[] = {"free", "unbound", "interdomain", "pirq", "virq", "ipi"};
    return state < ARRAY_SIZE(names) ? names[state] : "?";
}

/* What the console shows of a port. */
struct port_view {
    struct evtchn port;
    uint16_t remote;
    bool pending, masked;
};

static void print_port(const struct port_view *view)
{
    const struct evtchn *c = &view->port;
    char to[48] = "";

    if (c->state == EVTCHNSTAT_unbound)
        hv_snprintf(to, sizeof(to), " for domain %u", c->peer);
    else if (c->state == EVTCHNSTAT_interdomain)
        hv_snprintf(to, sizeof(to), " to domain %u port %u", view->remote, c->number);
    else if (c->state != EVTCHNSTAT_ipi)
        hv_snprintf(to, sizeof(to), " %u", c->number);
    print_raw("    port %u: %s%s, vcpu %u%s%s\n", c->port, state_name(c->state), to, c->vcpu,
              view->pending ? ", pending" : "", view->masked ? ", masked" : "");
}

/* The first port in use from `from` on. False: there is none. */
static bool look_at_port(struct domain *d, uint32_t from, struct port_view *view)
{
    struct evtchn_table *t = d->events;
    struct evtchn *c;
    uint32_t port;

    spin_lock(&d->event_lock);
    port = bitmap_next_set(t->used, t->ports_max, from);
    c = evtchn_of(d, port);
    if (c) {
        view->port = *c;
        view->remote = c->remote ? c->remote->id : 0;
        view->pending = t->ops->is_pending(d, c) || c->deferred;
        view->masked = t->ops->is_masked(d, c);
    }
    spin_unlock(&d->event_lock);
    return c;
}

void evtchn_print(struct domain *d)
{
    struct port_view view = {0};

    print_raw("Event channels of domain %u (%s, polling vcpus %lx %lx):\n", d->id, evtchn_ops(d)->name, d->poll_mask[1],
              d->poll_mask[0]);
    while (look_at_port(d, view.port.port + 1, &view))
        print_port(&view);
}
