/* SPDX-License-Identifier: MIT */
/*
 * The FIFO way to show events: a word per port in pages that the guest gives (pending, masked, linked, link), and per
 * vCPU a control block with the heads of sixteen queues, one per priority.
 *
 * An event that becomes pending, is not masked and not linked is put at the end of the queue of its vCPU and priority.
 * It stays in that queue until the guest has taken it out (cleared LINKED), whatever vCPU or priority it gets meanwhile.
 *
 *  Q1 Setting PENDING comes before looking at MASKED and LINKED; the guest does it the other way round. So one of the
 *     two always sees the other.
 *  Q2 Whoever turns LINKED on, under the lock of the queue that evtchn.queue names, owns putting it into a queue.
 *     evtchn.queue changes only under the lock of the queue that it names.
 *  Q3 queue.tail is a port whose evtchn.queue names that queue, or 0. An event that moves to another queue is taken
 *     from the old one's tail first. So the link field of a tail is written under one lock.
 *  Q4 The link of a tail is written by one atomic OR: the old value says whether the guest still had it in the queue.
 *     If not, the link is taken back (the guest does not look at links of words that are not linked) and the event is
 *     the new head. Nothing is tried again, so a guest that keeps changing its words cannot hold us up, and BUSY, which
 *     would ask the guest to wait, is never set.
 *  Q5 Nothing read from the guest's words is used as an index. A guest that breaks the protocol breaks its own queues.
 *  Q6 What cannot be shown yet (no page for the port, no control block for the vCPU) is kept in evtchn.deferred and
 *     shown after that comes, by the same hypercall; what is pending the two-level way likewise.
 *
 * Frames of the guest are held with a writable reference each, from init_control or expand_array to reset or teardown.
 * Locks: the event lock for making and detaching, LOCK_FIFO of each queue (one at a time) for linking. Rule E4
 * (channel.c) keeps the memory there.
 */
#include "core/event/internal.h"
#include "core/lib/bitmap.h"
#include "core/mem/alloc.h"
#include "core/mem/type.h"
#include "core/trace/trace.h"

#define W_PENDING (1u << EVTCHN_FIFO_PENDING)
#define W_MASKED  (1u << EVTCHN_FIFO_MASKED)
#define W_LINKED  (1u << EVTCHN_FIFO_LINKED)
#define W_LINK    ((uint32_t)EVTCHN_FIFO_LINK_MASK)

#define PAGE_WORDS (PAGE_SIZE / sizeof(event_word_t))
#define PAGES_MAX  (EVTCHN_PORTS_FIFO / PAGE_WORDS)

struct fifo_queue {
    struct spinlock lock;
    uint32_t tail;
};

struct fifo_vcpu {
    struct evtchn_fifo_control_block *block; /* the guest's */
    struct fifo_queue queues[EVTCHN_FIFO_MAX_QUEUES];
};

struct fifo_domain {
    struct fifo_vcpu *vcpus[VCPU_MAX]; /* [a] NULL: no control block yet */
    event_word_t *pages[PAGES_MAX];    /* [a] the guest's */
    unsigned pages_count;              /* [E] */
};

static struct frame *frame_of_va(const void *va)
{
    return frame_of(hw_va_frame((const void *)((uint64_t)va & PAGE_MASK)));
}

/* ---- Words and queues ---------------------------------------------------------------------------------------- */

/* NULL: the guest has given no page for it. */
static event_word_t *word_of(struct domain *d, uint32_t port)
{
    struct fifo_domain *f = __atomic_load_n(&d->events->fifo, __ATOMIC_ACQUIRE);
    event_word_t *page;

    if (!f)
        return NULL;
    page = __atomic_load_n(&f->pages[(port / PAGE_WORDS) % PAGES_MAX], __ATOMIC_ACQUIRE);
    return page ? &page[port % PAGE_WORDS] : NULL;
}

/* NULL: the vCPU has no control block. */
static struct fifo_vcpu *fifo_of(struct domain *d, unsigned vcpu)
{
    struct fifo_domain *f = __atomic_load_n(&d->events->fifo, __ATOMIC_ACQUIRE);

    return f ? __atomic_load_n(&f->vcpus[vcpu % VCPU_MAX], __ATOMIC_ACQUIRE) : NULL;
}

/* Names of queues, as in evtchn.queue. */
static uint32_t queue_id(unsigned vcpu, unsigned priority)
{
    return vcpu * EVTCHN_FIFO_MAX_QUEUES + priority;
}

static struct fifo_queue *queue_of(struct domain *d, uint32_t id)
{
    struct fifo_vcpu *f = fifo_of(d, id / EVTCHN_FIFO_MAX_QUEUES);

    return f ? &f->queues[id % EVTCHN_FIFO_MAX_QUEUES] : NULL;
}

/* Turns LINKED on, makes evtchn.queue `to` (Q2, Q3), and returns with the lock of queue `to` held: had it been given up
 * in between, an event that is still this queue's tail could be taken for linked there. NULL: the event is in a queue,
 * or somebody is putting it there; no lock is held. */
static struct fifo_queue *claim_link(struct domain *d, struct evtchn *c, event_word_t *word, uint32_t to)
{
    for (;;) {
        uint32_t from = __atomic_load_n(&c->queue, __ATOMIC_ACQUIRE);
        struct fifo_queue *q = queue_of(d, from);
        uint32_t old;

        if (!q) { /* never linked, or not since a reset: there is nothing to take it from */
            __atomic_compare_exchange_n(&c->queue, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
            continue;
        }
        spin_lock(&q->lock);
        if (__atomic_load_n(&c->queue, __ATOMIC_RELAXED) != from) {
            /* Linked elsewhere by another CPU, and taken out by the guest since. */
            spin_unlock(&q->lock);
            continue;
        }
        old = __atomic_fetch_or(word, W_LINKED, __ATOMIC_SEQ_CST);
        if (old & W_LINKED) {
            spin_unlock(&q->lock);
            return NULL;
        }
        if (old & W_LINK)
            __atomic_fetch_and(word, ~W_LINK, __ATOMIC_SEQ_CST);
        if (from == to)
            return q;
        if (q->tail == c->port)
            q->tail = 0;
        __atomic_store_n(&c->queue, to, __ATOMIC_RELEASE);
        spin_unlock(&q->lock);
        q = queue_of(d, to); /* whose tail it is not, by Q3 */
        spin_lock(&q->lock);
        return q;
    }
}

/* Hangs `port` behind the tail, if the guest has not taken that out (Q4). Queue's lock held. */
static bool append(struct domain *d, uint32_t tail, uint32_t port)
{
    event_word_t *word;

    if (!tail || tail == port)
        return false;
    word = word_of(d, tail);
    if (__atomic_fetch_or(word, port, __ATOMIC_SEQ_CST) & W_LINKED)
        return true;
    __atomic_fetch_and(word, ~W_LINK, __ATOMIC_SEQ_CST);
    return false;
}

/* False: the vCPU has no control block yet. */
static bool link_event(struct domain *d, struct evtchn *c, event_word_t *word)
{
    unsigned vcpu = __atomic_load_n(&c->vcpu, __ATOMIC_SEQ_CST);
    unsigned priority = __atomic_load_n(&c->priority, __ATOMIC_RELAXED);
    struct fifo_vcpu *f = fifo_of(d, vcpu);
    struct fifo_queue *q;
    bool tell = false;

    if (!f)
        return false;
    q = claim_link(d, c, word, queue_id(vcpu, priority));
    if (!q)
        return true;
    if (!append(d, q->tail, c->port)) {
        __atomic_store_n(&f->block->head[priority], c->port, __ATOMIC_RELAXED);
        tell = !(__atomic_fetch_or(&f->block->ready, 1u << priority, __ATOMIC_SEQ_CST) & (1u << priority));
    }
    q->tail = c->port;
    spin_unlock(&q->lock);
    if (tell)
        evtchn_mark_upcall(d->vcpus[vcpu]);
    return true;
}

/* Links it, or leaves it deferred until its vCPU has a control block. The second look is for a control block that came
 * between the first and the note: exactly one of that and us takes the note away. */
static void link_or_defer(struct domain *d, struct evtchn *c, event_word_t *word)
{
    while (!link_event(d, c, word)) {
        __atomic_exchange_n(&c->deferred, 1, __ATOMIC_SEQ_CST);
        if (!fifo_of(d, __atomic_load_n(&c->vcpu, __ATOMIC_SEQ_CST)) ||
            !__atomic_exchange_n(&c->deferred, 0, __ATOMIC_SEQ_CST))
            return;
    }
}

/* The port's word; when there is none the event is left deferred, and NULL is returned. */
static event_word_t *word_or_defer(struct domain *d, struct evtchn *c)
{
    event_word_t *word = word_of(d, c->port);

    if (likely(word))
        return word;
    __atomic_exchange_n(&c->deferred, 1, __ATOMIC_SEQ_CST);
    word = word_of(d, c->port);
    return word && __atomic_exchange_n(&c->deferred, 0, __ATOMIC_SEQ_CST) ? word : NULL;
}

/* ---- What channel.c asks for ---------------------------------------------------------------------------------- */

static void fifo_set_pending(struct domain *d, struct evtchn *c)
{
    event_word_t *word = word_or_defer(d, c);
    uint32_t old = 0;

    if (likely(word)) {
        old = __atomic_fetch_or(word, W_PENDING, __ATOMIC_SEQ_CST);
        if (!(old & (W_MASKED | W_LINKED)))
            link_or_defer(d, c, word);
    }
    if (!(old & W_PENDING))
        evtchn_poll_check(d, c->port);
}

static void fifo_clear_pending(struct domain *d, struct evtchn *c)
{
    event_word_t *word = word_of(d, c->port);

    if (word)
        __atomic_fetch_and(word, ~W_PENDING, __ATOMIC_SEQ_CST);
}

static void fifo_unmask(struct domain *d, struct evtchn *c)
{
    event_word_t *word = word_of(d, c->port);
    uint32_t old;

    if (!word)
        return;
    old = __atomic_fetch_and(word, ~W_MASKED, __ATOMIC_SEQ_CST);
    if ((old & W_PENDING) && !(old & W_LINKED))
        link_or_defer(d, c, word);
}

static bool word_has(struct domain *d, uint32_t port, uint32_t bit)
{
    const event_word_t *word = word_of(d, port);

    return word && (__atomic_load_n(word, __ATOMIC_SEQ_CST) & bit);
}

static bool fifo_is_pending(struct domain *d, const struct evtchn *c)
{
    return word_has(d, c->port, W_PENDING);
}

static bool fifo_is_masked(struct domain *d, const struct evtchn *c)
{
    return word_has(d, c->port, W_MASKED);
}

static bool fifo_is_lingering(struct domain *d, uint32_t port)
{
    return word_has(d, port, W_LINKED);
}

const struct evtchn_ops evtchn_ops_fifo = {
    .name = "FIFO",
    .ports = EVTCHN_PORTS_FIFO,
    .set_pending = fifo_set_pending,
    .clear_pending = fifo_clear_pending,
    .unmask = fifo_unmask,
    .is_pending = fifo_is_pending,
    .is_masked = fifo_is_masked,
    .is_lingering = fifo_is_lingering,
};

/* ---- Going over to FIFO ----------------------------------------------------------------------------------------- */

#define SHOW_CHUNK 32   /* ports in use between two looks for other work */
#define SHOW_RANGE 8192 /* ports, in use or not */

/* Shows what was deferred, and what is pending the two-level way, of the ports in use from `port` on. Where to go on: behind the
 * last port when all is done. Event lock held. */
static uint32_t show_some(struct domain *d, uint32_t port)
{
    uint64_t *bits = (uint64_t *)d->shared_info->evtchn_pending;
    struct evtchn_table *t = d->events;
    uint32_t end = MIN(t->ports_max, port + SHOW_RANGE);

    for (unsigned n = 0; n < SHOW_CHUNK; n++, port++) {
        struct evtchn *c;

        port = bitmap_next_set(t->used, end, port);
        if (port >= end)
            return end;
        c = evtchn_of(d, port);
        if (c && ((port < EVTCHN_PORTS_2L && bit_test_clear_atomic(bits, port)) |
                  __atomic_exchange_n(&c->deferred, 0, __ATOMIC_SEQ_CST)))
            evtchn_set_pending(d, c);
    }
    return port;
}

int evtchn_show_deferred(struct domain *d, uint32_t *port)
{
    for (;;) {
        bool shown;

        spin_lock(&d->event_lock);
        shown = d->events->ops == &evtchn_ops_fifo && !d->events->closed;
        if (shown)
            *port = show_some(d, *port);
        spin_unlock(&d->event_lock);
        if (!shown || *port >= d->events->ports_max)
            return 0;
        if (hw_preempt_check())
            return -ERESTART;
    }
}

static struct fifo_vcpu *make_queues(mfn_t mfn, unsigned offset)
{
    struct fifo_vcpu *f = heap_alloc(sizeof(*f));

    if (!f)
        return NULL;
    f->block = (struct evtchn_fifo_control_block *)((char *)hw_frame_va(mfn) + offset);
    for (unsigned i = 0; i < ARRAY_SIZE(f->queues); i++)
        spin_init(&f->queues[i].lock, LOCK_FIFO);
    return f;
}

static int install_locked(struct domain *d, struct vcpu *v, struct fifo_vcpu *f)
{
    struct evtchn_table *t = d->events;

    if (t->closed || t->resetting)
        return fail(-EBUSY);
    if (fifo_of(d, v->id))
        return fail(-EINVAL);
    if (!t->fifo) {
        struct fifo_domain *fifo = heap_alloc(sizeof(*fifo));
        if (!fifo)
            return fail(-ENOMEM);
        __atomic_store_n(&t->fifo, fifo, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&t->fifo->vcpus[v->id], f, __ATOMIC_SEQ_CST);
    __atomic_store_n(&t->ops, &evtchn_ops_fifo, __ATOMIC_SEQ_CST);
    return 0;
}

int evtchn_init_control(struct domain *d, struct evtchn_init_control *ic)
{
    struct vcpu *v = vcpu_of(d, ic->vcpu);
    mfn_t mfn = MFN(ic->control_gfn);
    struct fifo_vcpu *f;
    int rc;

    if (!v)
        return fail(-ENOENT);
    if (ic->offset > PAGE_SIZE - sizeof(struct evtchn_fifo_control_block) || ic->offset % sizeof(uint64_t))
        return fail(-EINVAL);
    if (writable_get(mfn, d->id))
        return fail(-EINVAL);
    f = make_queues(mfn, ic->offset);
    if (f) {
        spin_lock(&d->event_lock);
        rc = install_locked(d, v, f);
        spin_unlock(&d->event_lock);
    } else {
        rc = -ENOMEM;
    }
    if (rc) {
        heap_free(f);
        writable_put(frame_of(mfn));
        return rc;
    }
    ic->link_bits = EVTCHN_FIFO_LINK_BITS;
    return 0;
}

static int add_page_locked(struct domain *d, event_word_t *page)
{
    struct evtchn_table *t = d->events;
    struct fifo_domain *f = t->fifo;

    if (!f || t->closed || t->resetting)
        return fail(-EOPNOTSUPP);
    if (f->pages_count == PAGES_MAX)
        return fail(-ENOSPC);
    __atomic_store_n(&f->pages[f->pages_count++], page, __ATOMIC_SEQ_CST);
    return 0;
}

int evtchn_expand_array(struct domain *d, uint64_t gfn)
{
    mfn_t mfn = MFN(gfn);
    int rc;

    if (writable_get(mfn, d->id))
        return fail(-EINVAL);
    spin_lock(&d->event_lock);
    rc = add_page_locked(d, hw_frame_va(mfn));
    spin_unlock(&d->event_lock);
    if (rc)
        writable_put(frame_of(mfn));
    return rc;
}

int evtchn_set_priority(struct domain *d, uint32_t port, uint32_t priority)
{
    struct evtchn *c = evtchn_of(d, port);
    int rc = 0;

    if (!c || priority > EVTCHN_FIFO_PRIORITY_MIN)
        return fail(-EINVAL);
    spin_lock(&d->event_lock);
    if (c->state == EVTCHNSTAT_closed)
        rc = -EINVAL;
    else if (d->events->ops != &evtchn_ops_fifo)
        rc = -ENOSYS;
    else
        __atomic_store_n(&c->priority, (uint8_t)priority, __ATOMIC_RELAXED);
    spin_unlock(&d->event_lock);
    return rc ? fail(rc) : 0;
}

/* ---- Going back, and the audit ------------------------------------------------------------------------------------ */

struct fifo_domain *evtchn_fifo_detach(struct domain *d)
{
    struct fifo_domain *f = d->events->fifo;

    d->events->fifo = NULL;
    d->events->ops = &evtchn_ops_twolevel;
    return f;
}

static void for_each_frame(struct fifo_domain *f, void (*fn)(struct frame *f, void *arg), void *arg)
{
    for (unsigned i = 0; i < ARRAY_SIZE(f->vcpus); i++)
        if (f->vcpus[i])
            fn(frame_of_va(f->vcpus[i]->block), arg);
    for (unsigned i = 0; i < f->pages_count; i++)
        fn(frame_of_va(f->pages[i]), arg);
}

static void put_frame(struct frame *f, void *arg)
{
    writable_put(f);
}

void evtchn_fifo_free(struct fifo_domain *f)
{
    if (!f)
        return;
    for_each_frame(f, put_frame, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(f->vcpus); i++)
        heap_free(f->vcpus[i]);
    heap_free(f);
}

void evtchn_for_each_frame(struct domain *d, void (*fn)(struct frame *f, void *arg), void *arg)
{
    spin_lock(&d->event_lock);
    if (d->events->fifo)
        for_each_frame(d->events->fifo, fn, arg);
    spin_unlock(&d->event_lock);
}
