/* SPDX-License-Identifier: MIT */
/*
 * The credit scheduler: what a CPU runs next, waking, sleeping, yielding.
 *
 * There is no tick: use is charged in nanoseconds whenever the scheduler looks, and a CPU's slice timer is set only when
 * somebody waits behind what it runs (or a cap's budget runs out).
 *
 * States of a vCPU, by the fields that the run-queue lock of v->pcpu guards:
 *
 *   neither --sched_place--> queued --sched_run--> on_cpu --sched_run--> queued or neither
 *   queued --sched_sleep--> neither        queued --sched_steal--> neither, v->pcpu changed --> queued
 *
 * No wake-up is lost:
 *  W1 Who makes a vCPU runnable clears its pause flag or count first and then calls sched_wake; who makes it not runnable
 *     sets first and then calls sched_sleep. Both end up under the run-queue lock and look at the flags again there.
 *  W2 sched_run decides under the same lock, by the flags, whether its vCPU goes on. If it saw them set, the waker comes to
 *     the lock later, finds the vCPU neither queued nor on_cpu, and queues it; if the waker came first, sched_run sees the
 *     flags cleared.
 *  W3 SCHEDOP_block sets VPF_BLOCKED, then (full barrier) looks for events; an event is made pending, then (full barrier)
 *     VPF_BLOCKED is looked at. One of them sees the other.
 *  W4 v->running stays set until hw_context_switch has saved the vCPU's state. Until then it is only queued on the CPU
 *     that saves it, and not stolen. When that is done, this CPU itself tells an idle one, and moves a vCPU whose affinity
 *     forbids this CPU: whoever could not move it in the meantime relies on that.
 *  W5 A CPU that goes idle enters sched_idle_cpus, then (full barrier) looks through the others' queues; who queues a vCPU
 *     on a busy CPU then (full barrier) looks at sched_idle_cpus. One of them sees the other.
 *
 * A vCPU is not freed while a CPU works on it without a lock: see sched_vcpu_remove and sched_cpu.holds.
 */
#include "core/sched/credit.h"
#include "core/lib/options.h"
#include "core/lib/string.h"
#include "core/time/vcpu_timer.h"

unsigned option_slice_us = 30000, option_ratelimit_us = 1000;
OPTION_UINT(sched_slice_us, option_slice_us, "longest time a vCPU runs while others of its class wait, microseconds");
OPTION_UINT(sched_ratelimit_us, option_ratelimit_us, "shortest time a vCPU runs before another preempts it");

static int option_sched(const char *value)
{
    if (strcmp(value, "credit"))
        log_warn("sched=%s: there is only the credit scheduler", value);
    return 0;
}
OPTION_FUNC(sched, option_sched, "the scheduler: credit");

/* ---- Setting up -------------------------------------------------------------------------------------------- */

void sched_init(void)
{
    option_slice_us = MIN(MAX(option_slice_us, 1000u), 1000000u);
    option_ratelimit_us = MIN(option_ratelimit_us, option_slice_us);
    account_init();
}

static void slice_over(void *arg)
{
    const struct pcpu *c = arg;
    pcpu_raise(c->id, PCPU_WORK_SCHED);
}

void sched_cpu_init(struct pcpu *c)
{
    spin_init(&c->sched.lock, LOCK_SCHED);
    for (unsigned i = 0; i < SCHED_CLASSES; i++)
        list_init(&c->sched.queue[i]);
    timer_init(&c->sched.slice_timer, slice_over, c, c->id);
    bit_test_set_atomic(sched_idle_cpus.w, c->id);
}

static void domain_lists_init(struct sched_domain *d)
{
    if (d->ready)
        return;
    list_init(&d->active);
    list_init(&d->active_link);
    if (!d->weight)
        d->weight = SCHED_WEIGHT_DEFAULT;
    d->ready = true;
}

/* The id-th CPU that is online, round and round. */
static unsigned first_cpu(unsigned id)
{
    unsigned cpu = MAX_CPUS;

    for (unsigned i = 0; i <= id; i++) {
        cpu = bitmap_next_set(cpus_online.w, MAX_CPUS, cpu == MAX_CPUS ? 0 : cpu + 1);
        if (cpu == MAX_CPUS)
            cpu = bitmap_next_set(cpus_online.w, MAX_CPUS, 0);
    }
    return cpu;
}

int sched_vcpu_init(struct vcpu *v)
{
    domain_lists_init(&v->domain->sched);
    memset(&v->sched, 0, sizeof(v->sched));
    list_init(&v->sched.queue);
    list_init(&v->sched.active_link);
    memset(&v->sched.affinity_hard, 0xff, sizeof(cpumask_t));
    memset(&v->sched.affinity_soft, 0xff, sizeof(cpumask_t));
    v->sched.priority = SCHED_UNDER;
    v->sched.ran_on = ~0u;
    v->pcpu = first_cpu(v->id);
    return 0;
}

/* For a vCPU that will not be woken again. Waits for CPUs that still work on it. */
void sched_vcpu_remove(struct vcpu *v)
{
    struct pcpu *c;
    unsigned cpu;

    account_remove(v);
    c = sched_lock_vcpu(v);
    ASSERT(!v->sched.on_cpu);
    if (v->sched.queued)
        queue_remove(c, v);
    spin_unlock(&c->sched.lock);
    for_each_cpu (cpu, &cpus_online)
        while (cpu != this_cpu()->id && __atomic_load_n(&pcpus[cpu]->sched.holds, __ATOMIC_ACQUIRE) == v)
            hw_relax();
}

/* ---- Waking and sleeping ------------------------------------------------------------------------------------- */

void sched_wake(struct vcpu *v)
{
    sched_place(v, true);
}

void sched_sleep(struct vcpu *v)
{
    struct pcpu *c = sched_lock_vcpu(v);

    if (!vcpu_runnable(v)) {
        if (v->sched.queued)
            queue_remove(c, v);
        if (v->sched.on_cpu)
            pcpu_raise(c->id, PCPU_WORK_SCHED);
        else
            vcpu_runstate_change(v, vcpu_idle_runstate(v), hw_now_ns());
    }
    spin_unlock(&c->sched.lock);
}

void sched_block_current(void)
{
    struct vcpu *v = current_vcpu();

    __atomic_store_n(&v->info->evtchn_upcall_mask, 0, __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&v->pause_flags, VPF_BLOCKED, __ATOMIC_SEQ_CST);
    if (vcpu_has_events(v))
        __atomic_fetch_and(&v->pause_flags, ~VPF_BLOCKED, __ATOMIC_SEQ_CST);
    else
        pcpu_raise(this_cpu()->id, PCPU_WORK_SCHED);
}

void sched_yield_current(void)
{
    current_vcpu()->sched.yielded = true;
    pcpu_raise(this_cpu()->id, PCPU_WORK_SCHED);
}

void sched_refresh_time(struct vcpu *v)
{
    __atomic_store_n(&v->sched.time_stale, true, __ATOMIC_SEQ_CST);
    pcpu_raise(__atomic_load_n(&v->pcpu, __ATOMIC_RELAXED), PCPU_WORK_SCHED);
}

void sched_get_runstate(struct vcpu *v, struct vcpu_runstate_info *info, bool up_to_now)
{
    struct pcpu *c = sched_lock_vcpu(v);
    uint64_t now = hw_now_ns();

    memset(info, 0, sizeof(*info));
    info->state = v->runstate;
    info->state_entry_time = v->runstate_entry_ns;
    for (unsigned i = 0; i < ARRAY_SIZE(info->time); i++)
        info->time[i] = v->runstate_ns[i];
    if (up_to_now && now > v->runstate_entry_ns)
        info->time[v->runstate] += now - v->runstate_entry_ns;
    spin_unlock(&c->sched.lock);
}

/* ---- What runs next -------------------------------------------------------------------------------------------- */

static uint64_t slice_ns(void)
{
    return option_slice_us * USEC;
}

static uint64_t ratelimit_ns(void)
{
    return option_ratelimit_us * USEC;
}

void sched_arm_slice(struct pcpu *c, uint64_t now)
{
    const struct vcpu *v = c->current;
    unsigned best = queue_best_class(c);
    uint64_t deadline = ~0UL;

    if (v == c->idle)
        return;
    if (best < SCHED_CLASSES)
        deadline = c->sched.slice_end_ns;
    if (best < v->sched.priority)
        deadline = MIN(deadline, v->sched.started_ns + ratelimit_ns());
    if (v->sched.capped)
        deadline = MIN(deadline, now + (uint64_t)MAX(v->sched.budget_ns, 0L));
    if (deadline != ~0UL && (!timer_is_set(&c->sched.slice_timer) || c->sched.slice_timer.deadline_ns != deadline))
        timer_set(&c->sched.slice_timer, deadline);
}

/* Whether v, which has the CPU, may go on or wait in this CPU's queue. */
static bool is_able(const struct pcpu *c, const struct vcpu *v)
{
    return v != c->idle && vcpu_runnable(v) && !v->sched.parked && vcpu_may_run_on(v, c->id);
}

static void charge(const struct pcpu *c, struct vcpu *v, uint64_t now)
{
    if (v == c->idle)
        return;
    credit_charge(v, now);
    if (v->sched.capped && v->sched.budget_ns <= 0)
        v->sched.parked = true;
}

static bool keeps_cpu(struct pcpu *c, const struct vcpu *v, unsigned best, uint64_t now)
{
    if (best == SCHED_IDLE)
        return true;
    if (v->sched.yielded)
        return false;
    if (now - v->sched.started_ns < ratelimit_ns())
        return true;
    if (best != v->sched.priority)
        return best > v->sched.priority;
    return now < c->sched.slice_end_ns || queue_first(c)->sched.credit_ns < v->sched.credit_ns;
}

/* What is to be had from others' queues that is better than all this CPU could run, unlocking meanwhile. Someone who yields
 * takes anything. NULL: nothing; *looked_for is the class that it had to be better than. */
static struct vcpu *steal_better(struct pcpu *c, const struct vcpu *prev, unsigned *looked_for)
{
    unsigned below = queue_best_class(c);
    struct vcpu *v;

    if (is_able(c, prev) && !(prev->sched.yielded && below == SCHED_IDLE))
        below = MIN(below, prev->sched.priority);
    *looked_for = below;
    if (below < SCHED_OVER)
        return NULL;
    if (below == SCHED_IDLE && !is_able(c, prev))
        bit_test_set_atomic(sched_idle_cpus.w, c->id); /* a full barrier: W5 */
    spin_unlock(&c->sched.lock);
    v = sched_steal(c, below);
    spin_lock(&c->sched.lock);
    return v;
}

/* A CPU whose own last waiting vCPU was stolen while it looked elsewhere is idle only now, and looks again as such: else
 * nobody would know that it is (W5). */
static void find_work(struct pcpu *c, const struct vcpu *prev)
{
    unsigned below;
    struct vcpu *v = steal_better(c, prev, &below);

    if (!v && below != SCHED_IDLE && queue_best_class(c) == SCHED_IDLE && !is_able(c, prev))
        v = steal_better(c, prev, &below);
    if (!v)
        return;
    if (v->pcpu == c->id && !v->sched.queued && !v->sched.on_cpu && !v->sched.parked && vcpu_runnable(v))
        queue_add(c, v);
    __atomic_store_n(&c->sched.holds, NULL, __ATOMIC_RELEASE);
}

static struct vcpu *choose(struct pcpu *c, struct vcpu *prev, uint64_t now)
{
    unsigned best = queue_best_class(c);
    struct vcpu *next;

    if (is_able(c, prev) && keeps_cpu(c, prev, best, now)) {
        if (now >= c->sched.slice_end_ns)
            c->sched.slice_end_ns = now + slice_ns();
        return prev;
    }
    next = queue_first(c);
    if (!next)
        return c->idle;
    queue_remove(c, next);
    return next;
}

uint64_t sched_idle_ns(unsigned cpu)
{
    struct sched_cpu *s = &pcpus[cpu]->sched;
    uint64_t now = hw_now_ns(), ns;

    spin_lock(&s->lock);
    ns = s->idle_ns;
    if (pcpus[cpu]->current == pcpus[cpu]->idle && now > s->idle_since_ns)
        ns += now - s->idle_since_ns;
    spin_unlock(&s->lock);
    return ns;
}

/* Under the lock: the two change places in the books. */
static void take_over(struct pcpu *c, struct vcpu *prev, struct vcpu *next, uint64_t now)
{
    if (prev != c->idle) {
        bool runnable = vcpu_runnable(prev);

        prev->sched.on_cpu = false;
        if (is_able(c, prev))
            queue_add(c, prev);
        vcpu_runstate_change(prev, runnable ? RUNSTATE_runnable : vcpu_idle_runstate(prev), now);
        __atomic_store_n(&c->sched.holds, prev, __ATOMIC_RELAXED);
    }
    if (prev == c->idle)
        c->sched.idle_ns += now - c->sched.idle_since_ns;
    if (next == c->idle)
        c->sched.idle_since_ns = now;
    if (next != c->idle) {
        next->sched.on_cpu = true;
        __atomic_store_n(&next->running, true, __ATOMIC_SEQ_CST);
        next->sched.started_ns = next->sched.charged_ns = now;
        c->sched.slice_end_ns = now + slice_ns();
        vcpu_runstate_change(next, RUNSTATE_running, now);
    }
    c->current = next;
}

/* prev's state is saved: it may run elsewhere from here on, and this CPU owes it what W4 says. */
static void let_go(struct pcpu *c, struct vcpu *prev)
{
    if (prev == c->idle)
        return;
    __atomic_store_n(&prev->running, false, __ATOMIC_SEQ_CST);
    if (!vcpu_may_run_on(prev, c->id))
        sched_place(prev, false);
    else if (__atomic_load_n(&prev->sched.queued, __ATOMIC_RELAXED))
        sched_tickle(prev);
    __atomic_store_n(&c->sched.holds, NULL, __ATOMIC_RELEASE);
}

/* What is owed to a vCPU that gets a CPU. */
static void arrive(struct pcpu *c, struct vcpu *v)
{
    if (v == c->idle)
        return;
    if (v->sched.ran_on != c->id) {
        v->sched.ran_on = c->id;
        vcpu_timers_migrate(v, c->id);
    }
    if (!__atomic_load_n(&v->sched.active, __ATOMIC_RELAXED))
        account_activate(v);
}

/* What a vCPU asked of the scheduler is done, whether or not it lost the CPU in between. */
static void go_on(struct pcpu *c, struct vcpu *v)
{
    if (v == c->idle)
        return;
    if (unlikely(v->sched.polling))
        vcpu_poll_done(v);
    if (unlikely(__atomic_load_n(&v->sched.time_stale, __ATOMIC_RELAXED)) &&
        __atomic_exchange_n(&v->sched.time_stale, false, __ATOMIC_SEQ_CST))
        hw_update_vcpu_time(v);
}

void sched_run(void)
{
    struct pcpu *c = this_cpu();
    struct vcpu *prev = c->current, *next;
    uint64_t now = hw_now_ns();

    spin_lock(&c->sched.lock);
    charge(c, prev, now);
    find_work(c, prev);
    next = choose(c, prev, now);
    prev->sched.yielded = false;
    if (next != c->idle && cpumask_test(&sched_idle_cpus, c->id))
        bit_test_clear_atomic(sched_idle_cpus.w, c->id);
    if (next != prev)
        take_over(c, prev, next, now);
    sched_arm_slice(c, now);
    spin_unlock(&c->sched.lock);
    if (next != prev) {
        trace(TRACE_SCHED, "CPU %u: d%dv%u -> d%dv%u", c->id, prev->domain ? prev->domain->id : -1, prev->id,
              next->domain ? next->domain->id : -1, next->id);
        hw_context_switch(prev, next);
        let_go(c, prev);
        arrive(c, next);
    }
    go_on(c, next);
}

/* ---- Showing --------------------------------------------------------------------------------------------------- */

static void print_vcpu(const struct vcpu *v, const char *what)
{
    static const char *const names[] = {"BOOST", "UNDER", "OVER"};
    const struct sched_vcpu *s = &v->sched;

    print_raw("  %s d%uv%u %s credit %ld us, affinity %lx\n", what, v->domain->id, v->id,
              s->priority < ARRAY_SIZE(names) ? names[s->priority] : "-", s->credit_ns / (int64_t)USEC,
              s->affinity_hard.w[0]);
}

/* The queue's lock is held over the printing: that keeps what is printed alive, and the console's lock ranks above. */
static void print_cpu(struct pcpu *c)
{
    struct vcpu *v;

    spin_lock(&c->sched.lock);
    print_raw("CPU %u: %s%s, work %x, waiting %u/%u/%u\n", c->id, c->current == c->idle ? "idle" : "busy",
              cpumask_test(&sched_idle_cpus, c->id) ? " (wants work)" : "", c->work, c->sched.waiting[0],
              c->sched.waiting[1], c->sched.waiting[2]);
    if (c->current != c->idle)
        print_vcpu(c->current, "runs");
    for (unsigned class = 0; class < SCHED_CLASSES; class ++)
        list_for_each (v, &c->sched.queue[class], sched.queue)
            print_vcpu(v, "waits");
    spin_unlock(&c->sched.lock);
}

void sched_print_queues(void)
{
    unsigned cpu;

    for_each_cpu (cpu, &cpus_online)
        print_cpu(pcpus[cpu]);
}
