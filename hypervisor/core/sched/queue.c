/* SPDX-License-Identifier: MIT */
/*
 * A CPU's run queue: one list per class, most credit first (as of when it was queued, or of
 * the last accounting that changed its class), among equals first in first out; and the credit of what runs from it.
 * Locks: all here with the run-queue lock of the vCPU's CPU held, but for queue_best_class as a hint.
 */
#include "core/sched/credit.h"

struct pcpu *sched_lock_vcpu(struct vcpu *v)
{
    for (;;) {
        unsigned cpu = __atomic_load_n(&v->pcpu, __ATOMIC_RELAXED);
        struct pcpu *c = pcpus[cpu];
        spin_lock(&c->sched.lock);
        if (v->pcpu == cpu)
            return c;
        spin_unlock(&c->sched.lock);
    }
}

static void count(struct pcpu *c, unsigned class, unsigned by)
{
    __atomic_store_n(&c->sched.waiting[class], c->sched.waiting[class] + by, __ATOMIC_SEQ_CST);
}

void queue_add(struct pcpu *c, struct vcpu *v)
{
    struct list *head = &c->sched.queue[v->sched.priority], *at = head;

    ASSERT(!v->sched.queued && v->sched.priority < SCHED_CLASSES);
    while (at->prev != head && list_entry(at->prev, struct vcpu, sched.queue)->sched.credit_ns < v->sched.credit_ns)
        at = at->prev;
    list_add_tail(&v->sched.queue, at);
    v->sched.queued = true;
    count(c, v->sched.priority, 1);
}

void queue_remove(struct pcpu *c, struct vcpu *v)
{
    ASSERT(v->sched.queued);
    list_del(&v->sched.queue);
    v->sched.queued = false;
    count(c, v->sched.priority, -1u);
}

unsigned queue_best_class(const struct pcpu *c)
{
    unsigned class = 0;

    while (class < SCHED_CLASSES && !__atomic_load_n(&c->sched.waiting[class], __ATOMIC_RELAXED))
        class ++;
    return class;
}

struct vcpu *queue_first(struct pcpu *c)
{
    unsigned class = queue_best_class(c);
    return class < SCHED_CLASSES ? list_first(&c->sched.queue[class], struct vcpu, sched.queue) : NULL;
}

uint8_t credit_class(const struct vcpu *v)
{
    return v->sched.credit_ns >= 0 ? SCHED_UNDER : SCHED_OVER;
}

/* Being BOOSTed ends with the first thing that makes the scheduler look at the vCPU after it has run. */
void credit_charge(struct vcpu *v, uint64_t now_ns)
{
    struct sched_vcpu *s = &v->sched;
    uint64_t used = now_ns > s->charged_ns ? now_ns - s->charged_ns : 0;

    if (!used)
        return;
    s->charged_ns = now_ns;
    s->used_ns += used;
    s->credit_ns -= (int64_t)used; /* bounded by the next accounting */
    if (s->capped)
        s->budget_ns = MAX(s->budget_ns - (int64_t)used, CREDIT_MIN);
    s->priority = credit_class(v);
}
