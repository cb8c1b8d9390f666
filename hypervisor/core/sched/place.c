/* SPDX-License-Identifier: MIT */
/*
 * Which CPU a waiting vCPU goes to: the one it ran on, when that is idle; else an idle one (soft affinity first); else
 * back into the queue of the one it ran on. CPUs that run out of better work steal.
 *
 * A vCPU changes its CPU (v->pcpu) only under the lock of the old CPU's queue and while it is in no queue, on no CPU and
 * its state is in no CPU (v->running false). The new CPU's lock is taken after the old one was released, so never two at
 * once; in between anybody may look at the vCPU under the new CPU's lock, find it runnable and in no queue, and place it.
 */
#include "core/sched/credit.h"

cpumask_t sched_idle_cpus;

static unsigned first_of(const cpumask_t *a, const cpumask_t *b, const cpumask_t *c, const cpumask_t *d)
{
    for (unsigned i = 0; i < MAX_CPUS / 64; i++) {
        uint64_t w = __atomic_load_n(&a->w[i], __ATOMIC_RELAXED) & b->w[i] & c->w[i] & d->w[i];
        if (w)
            return i * 64 + (unsigned)__builtin_ctzl(w);
    }
    return MAX_CPUS;
}

/* Lock of v->pcpu held. */
static unsigned choose_cpu(const struct vcpu *v)
{
    const cpumask_t *hard = &v->sched.affinity_hard, *soft = &v->sched.affinity_soft;
    bool allowed = vcpu_may_run_on(v, v->pcpu);
    unsigned cpu;

    if (allowed && cpumask_test(&sched_idle_cpus, v->pcpu) && cpumask_test(soft, v->pcpu))
        return v->pcpu;
    cpu = first_of(&sched_idle_cpus, hard, soft, &cpus_online);
    if (cpu == MAX_CPUS)
        cpu = first_of(&sched_idle_cpus, hard, hard, &cpus_online);
    if (cpu < MAX_CPUS)
        return cpu;
    if (allowed)
        return v->pcpu;
    cpu = first_of(hard, hard, soft, &cpus_online);
    if (cpu == MAX_CPUS)
        cpu = first_of(hard, hard, hard, &cpus_online);
    return cpu < MAX_CPUS ? cpu : v->pcpu; /* sched_set_affinity sees to it that there is one */
}

/* Whoever gives an idle CPU work takes it out of the mask, so that the next one looks further; it comes back by itself. */
void sched_tickle(const struct vcpu *v)
{
    for (;;) {
        unsigned cpu = first_of(&sched_idle_cpus, &v->sched.affinity_hard, &v->sched.affinity_soft, &cpus_online);

        if (cpu == MAX_CPUS)
            cpu = first_of(&sched_idle_cpus, &v->sched.affinity_hard, &v->sched.affinity_hard, &cpus_online);
        if (cpu == MAX_CPUS)
            return;
        if (bit_test_clear_atomic(sched_idle_cpus.w, cpu)) {
            pcpu_raise(cpu, PCPU_WORK_SCHED);
            return;
        }
    }
}

/* Queues v on c and tells c; true when c is busy, so that an idle CPU should be told too. Lock of c held. */
static bool enqueue_and_tell(struct pcpu *c, struct vcpu *v, bool woken, uint64_t now)
{
    struct vcpu *current = c->current;
    bool idle = current == c->idle;

    if (!idle)
        credit_charge(current, now); /* it may no longer be what it was when it got the CPU */
    v->sched.priority = credit_class(v);
    if (woken && v->sched.priority == SCHED_UNDER)
        v->sched.priority = SCHED_BOOST;
    vcpu_runstate_change(v, RUNSTATE_runnable, now);
    queue_add(c, v);
    if (idle)
        bit_test_clear_atomic(sched_idle_cpus.w, c->id);
    if (idle || v->sched.priority < current->sched.priority)
        pcpu_raise(c->id, PCPU_WORK_SCHED);
    else
        sched_arm_slice(c, now);
    return !idle;
}

void sched_place(struct vcpu *v, bool woken)
{
    uint64_t now = hw_now_ns();
    bool hopped = false, tell_others;

    for (;;) {
        struct pcpu *c = sched_lock_vcpu(v);
        bool running = __atomic_load_n(&v->running, __ATOMIC_ACQUIRE);
        unsigned target;

        if (!vcpu_runnable(v) || v->sched.on_cpu || v->sched.parked ||
            (v->sched.queued && (running || vcpu_may_run_on(v, c->id)))) {
            spin_unlock(&c->sched.lock);
            return;
        }
        if (v->sched.queued)
            queue_remove(c, v);
        target = running || hopped ? c->id : choose_cpu(v);
        if (target == c->id) {
            tell_others = enqueue_and_tell(c, v, woken, now) && !running;
            spin_unlock(&c->sched.lock);
            break;
        }
        hopped = true;
        __atomic_store_n(&v->pcpu, target, __ATOMIC_RELAXED);
        spin_unlock(&c->sched.lock);
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with the idle CPU's: it saw the queue, or is seen idle here */
    if (tell_others)
        sched_tickle(v);
}

#define STEAL_LOOK 16 /* vCPUs of a class that are looked at */

static struct vcpu *steal_from(struct pcpu *c, struct pcpu *self, unsigned below, bool against_soft)
{
    struct vcpu *v;

    for (unsigned class = 0; class < below; class ++) {
        unsigned looked = 0;
        list_for_each (v, &c->sched.queue[class], sched.queue) {
            if (looked++ == STEAL_LOOK)
                break;
            if (__atomic_load_n(&v->running, __ATOMIC_ACQUIRE) || !vcpu_may_run_on(v, self->id) ||
                (!against_soft && !cpumask_test(&v->sched.affinity_soft, self->id)))
                continue;
            queue_remove(c, v);
            __atomic_store_n(&v->pcpu, self->id, __ATOMIC_RELAXED);
            return v;
        }
    }
    return NULL;
}

struct vcpu *sched_steal(struct pcpu *self, unsigned below)
{
    unsigned cpu = self->id;

    for (;;) {
        struct pcpu *c;
        struct vcpu *v;

        cpu = bitmap_next_set(cpus_online.w, MAX_CPUS, cpu + 1);
        if (cpu == MAX_CPUS)
            cpu = bitmap_next_set(cpus_online.w, MAX_CPUS, 0);
        if (cpu == self->id)
            return NULL;
        c = pcpus[cpu];
        if (queue_best_class(c) >= below)
            continue;
        spin_lock(&c->sched.lock);
        v = steal_from(c, self, below, below == SCHED_IDLE);
        __atomic_store_n(&self->sched.holds, v, __ATOMIC_RELAXED);
        spin_unlock(&c->sched.lock);
        if (v)
            return v;
    }
}

int sched_set_affinity(struct vcpu *v, const cpumask_t *hard, const cpumask_t *soft)
{
    struct pcpu *c;
    bool move;

    if (first_of(hard, hard, hard, &cpus_online) == MAX_CPUS)
        return fail(-EINVAL);
    c = sched_lock_vcpu(v);
    v->sched.affinity_hard = *hard;
    v->sched.affinity_soft = *soft;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* sched_run looks at the mask after it has cleared v->running */
    move = !vcpu_may_run_on(v, c->id);
    if (move && v->sched.on_cpu)
        pcpu_raise(c->id, PCPU_WORK_SCHED);
    spin_unlock(&c->sched.lock);
    if (move)
        sched_place(v, false);
    return 0;
}
