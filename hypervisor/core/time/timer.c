/* SPDX-License-Identifier: MIT */
/*
 * Timers. Each CPU has a pairing heap of its timers by deadline, linked through the timers themselves: setting is O(1),
 * taking the first O(log n) on average, and nothing can run out.
 *
 * The hardware is programmed when the first deadline of a CPU becomes earlier, and after firing. When the first deadline
 * becomes later nothing is done: the old one passes as an empty interrupt, which is cheaper than programming each time a
 * guest moves its timer on. Invariant, outside of timers_run: programmed_ns <= deadline of the root.
 *
 * Locks: LOCK_TIMER of the CPU that t->cpu names; t->cpu changes only under the lock of the old one, and never are two
 * held. A handler runs without locks. heap->running tells timer_kill, on any CPU, that it must wait; it is compared only,
 * since a handler may free its timer.
 */
#include "core/time/timer.h"
#include "core/domain/domain.h"
#include "core/lib/fail.h"
#include "core/lib/print.h"
#include "core/trace/trace.h"

/* ---- The heap ---------------------------------------------------------------------------------------------- */

/* Joins two heaps, each given by its root without siblings; either may be NULL. */
static struct timer *meld(struct timer *a, struct timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->deadline_ns < a->deadline_ns) {
        struct timer *t = a;
        a = b;
        b = t;
    }
    b->prev = a;
    b->sibling = a->child;
    if (b->sibling)
        b->sibling->prev = b;
    a->child = b;
    return a;
}

/* Joins a list of siblings into one heap: in pairs from the left, then the pairs from the right. */
static struct timer *meld_siblings(struct timer *first)
{
    struct timer *pairs = NULL, *all = NULL;

    while (first) {
        struct timer *a = first, *b = a->sibling;
        first = b ? b->sibling : NULL;
        a->sibling = NULL;
        if (b)
            b->sibling = NULL;
        a = meld(a, b);
        a->sibling = pairs;
        pairs = a;
    }
    while (pairs) {
        struct timer *next = pairs->sibling;
        pairs->sibling = NULL;
        all = meld(all, pairs);
        pairs = next;
    }
    if (all)
        all->prev = NULL;
    return all;
}

static void set_state(struct timer *t, enum timer_state state)
{
    __atomic_store_n(&t->state, (uint8_t)state, __ATOMIC_RELAXED);
}

static void heap_insert(struct timer_heap *h, struct timer *t)
{
    t->child = t->sibling = t->prev = NULL;
    set_state(t, TIMER_SET);
    h->root = meld(h->root, t);
    h->count++;
}

/* Takes t out; it is in `state` afterwards. */
static void heap_remove(struct timer_heap *h, struct timer *t, enum timer_state state)
{
    struct timer *below = meld_siblings(t->child);

    if (t == h->root) {
        h->root = below;
    } else {
        if (t->prev->child == t)
            t->prev->child = t->sibling;
        else
            t->prev->sibling = t->sibling;
        if (t->sibling)
            t->sibling->prev = t->prev;
        h->root = meld(h->root, below);
    }
    t->child = t->sibling = t->prev = NULL;
    set_state(t, state);
    h->count--;
}

/* ---- Setting and stopping ------------------------------------------------------------------------------------ */

void timer_heap_init(struct timer_heap *h)
{
    *h = (struct timer_heap){.programmed_ns = ~0UL};
    spin_init(&h->lock, LOCK_TIMER);
}

void timer_init(struct timer *t, void (*handler)(void *), void *arg, unsigned cpu)
{
    *t = (struct timer){.handler = handler, .arg = arg, .cpu = cpu};
}

static struct timer_heap *lock_heap_of(struct timer *t)
{
    for (;;) {
        unsigned cpu = __atomic_load_n(&t->cpu, __ATOMIC_RELAXED);
        struct timer_heap *h = &pcpus[cpu]->timers;
        spin_lock(&h->lock);
        if (t->cpu == cpu)
            return h;
        spin_unlock(&h->lock);
    }
}

/* The root of `cpu` may have become earlier. With the heap's lock held. */
static void root_changed(struct timer_heap *h, unsigned cpu)
{
    if (!h->root || h->root->deadline_ns >= h->programmed_ns || h->firing)
        return;
    if (cpu == this_cpu()->id) {
        h->programmed_ns = h->root->deadline_ns;
        hw_timer_set(h->programmed_ns);
    } else {
        pcpu_raise(cpu, PCPU_WORK_TIMER);
    }
}

void timer_set(struct timer *t, uint64_t deadline_ns)
{
    struct timer_heap *h = lock_heap_of(t);

    if (t->state == TIMER_SET)
        heap_remove(h, t, TIMER_MOVING);
    t->deadline_ns = deadline_ns;
    heap_insert(h, t);
    root_changed(h, t->cpu);
    spin_unlock(&h->lock);
}

static void unset(struct timer_heap *h, struct timer *t)
{
    if (t->state == TIMER_SET)
        heap_remove(h, t, TIMER_IDLE);
    else
        set_state(t, TIMER_IDLE);
}

void timer_stop(struct timer *t)
{
    struct timer_heap *h;

    if (!timer_is_set(t))
        return;
    h = lock_heap_of(t);
    unset(h, t);
    spin_unlock(&h->lock);
}

/* Another CPU is in this timer's handler. The handler may have been started before the timer moved: any CPU may be it. */
static bool runs_elsewhere(const struct timer *t)
{
    unsigned cpu;

    for_each_cpu (cpu, &cpus_online)
        if (cpu != this_cpu()->id && __atomic_load_n(&pcpus[cpu]->timers.running, __ATOMIC_ACQUIRE) == t)
            return true;
    return false;
}

void timer_kill(struct timer *t)
{
    if (!t->handler)
        return; /* never made */
    do {
        struct timer_heap *h = lock_heap_of(t);
        unset(h, t);
        spin_unlock(&h->lock);
        while (runs_elsewhere(t))
            hw_relax();
    } while (timer_is_set(t)); /* its handler had set it again */
}

bool timer_is_set(const struct timer *t)
{
    return __atomic_load_n(&t->state, __ATOMIC_RELAXED) != TIMER_IDLE;
}

/* The two locks are taken one after the other. In between the timer is `moving`, which stopping it ends. */
void timer_migrate(struct timer *t, unsigned cpu)
{
    struct timer_heap *h = lock_heap_of(t);

    if (t->cpu != cpu) {
        if (t->state == TIMER_SET)
            heap_remove(h, t, TIMER_MOVING);
        __atomic_store_n(&t->cpu, cpu, __ATOMIC_RELAXED);
    }
    spin_unlock(&h->lock);
    if (!timer_is_set(t))
        return;
    h = lock_heap_of(t);
    if (t->state == TIMER_MOVING) {
        heap_insert(h, t);
        root_changed(h, t->cpu);
    }
    spin_unlock(&h->lock);
}

/* ---- Firing --------------------------------------------------------------------------------------------------- */

/* Fires what was due when it was called. A handler may set its timer again, but only into the future. */
void timers_run(void)
{
    struct timer_heap *h = &this_cpu()->timers;
    uint64_t now = hw_now_ns();

    spin_lock(&h->lock);
    h->firing = true;
    h->programmed_ns = ~0UL;
    while (h->root && h->root->deadline_ns <= now) {
        struct timer *t = h->root;
        void (*handler)(void *) = t->handler;
        void *arg = t->arg;

        heap_remove(h, t, TIMER_IDLE);
        __atomic_store_n(&h->running, t, __ATOMIC_RELAXED);
        spin_unlock(&h->lock);
        trace(TRACE_TIME, "timer %p fires", (void *)t);
        handler(arg);
        spin_lock(&h->lock);
        __atomic_store_n(&h->running, NULL, __ATOMIC_RELEASE);
    }
    h->firing = false;
    if (h->root) {
        h->programmed_ns = h->root->deadline_ns;
        hw_timer_set(h->programmed_ns);
    }
    spin_unlock(&h->lock);
}

/* ---- Showing --------------------------------------------------------------------------------------------------- */

#define PRINT_MAX 32 /* of a CPU */

/* The timer after t in the order parent, children, siblings. */
static const struct timer *heap_next(const struct timer *t)
{
    if (t->child)
        return t->child;
    while (t && !t->sibling) {
        while (t->prev && t->prev->child != t) /* back to the first of its siblings */
            t = t->prev;
        t = t->prev;
    }
    return t ? t->sibling : NULL;
}

static void print_heap(unsigned cpu, struct timer_heap *h, uint64_t now)
{
    struct timer copy[PRINT_MAX];
    unsigned count, shown = 0;

    spin_lock(&h->lock);
    count = h->count;
    for (const struct timer *t = h->root; t && shown < PRINT_MAX; t = heap_next(t))
        copy[shown++] = *t;
    spin_unlock(&h->lock);
    print_raw("CPU %u: %u timers\n", cpu, count);
    for (unsigned i = 0; i < shown; i++)
        print_raw("  in %ld us: handler %p (%p)\n", (int64_t)(copy[i].deadline_ns - now) / (int64_t)USEC,
                  (void *)copy[i].handler, copy[i].arg);
}

void timers_print(void)
{
    uint64_t now = hw_now_ns();
    unsigned cpu;

    for_each_cpu (cpu, &cpus_online)
        print_heap(cpu, &pcpus[cpu]->timers, now);
}
