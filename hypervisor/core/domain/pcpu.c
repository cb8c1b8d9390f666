/* SPDX-License-Identifier: MIT */
/*
 * Physical CPUs as core sees them: the work that is raised on each, and the order in which it is
 * done. A work bit is set by anybody, cleared only by its CPU before it does that work, so none is
 * lost.
 */
#include "core/domain/domain.h"
#include "core/event/event.h"
#include "core/sched/task.h"
#include "core/trace/latency.h"

struct pcpu *pcpus[MAX_CPUS];
cpumask_t cpus_online;

void pcpu_raise(unsigned cpu, uint32_t work)
{
    struct pcpu *c = pcpus[cpu];
    uint32_t before = __atomic_fetch_or(&c->work, work, __ATOMIC_SEQ_CST);

    if ((before & work) != work && c != this_cpu())
        hw_kick(cpu);
}

static bool take_work(struct pcpu *c, uint32_t bit)
{
    bool taken = __atomic_fetch_and(&c->work, ~bit, __ATOMIC_SEQ_CST) & bit;

    if (taken)
        LATENCY(latency_goes_on(LATENCY_WORK(bit)));
    return taken;
}

static uint32_t unsettled; /* CPUs that have not come by since pcpus_settle() */

void pcpus_settle(void)
{
    unsigned cpu, others = 0;

    for_each_cpu (cpu, &cpus_online)
        others += cpu != this_cpu()->id;
    __atomic_store_n(&unsettled, others, __ATOMIC_SEQ_CST);
    for_each_cpu (cpu, &cpus_online)
        if (cpu != this_cpu()->id)
            pcpu_raise(cpu, PCPU_WORK_SETTLE);
}

bool pcpus_settled(void)
{
    return !__atomic_load_n(&unsettled, __ATOMIC_SEQ_CST);
}

/* Called with nothing of a guest's on this CPU's stack. */
void pcpu_do_work(void)
{
    struct pcpu *c = this_cpu();

    if (unlikely(c->work & PCPU_WORK_SETTLE) && take_work(c, PCPU_WORK_SETTLE))
        __atomic_fetch_sub(&unsettled, 1, __ATOMIC_SEQ_CST);
    if (take_work(c, PCPU_WORK_TIMER))
        timers_run();
    if (take_work(c, PCPU_WORK_TASK))
        tasks_run();
    if ((c->work & PCPU_WORK_TEXT) && take_work(c, PCPU_WORK_TEXT))
        evtchn_raise_global_virq(VIRQ_CON_RING);
    if (take_work(c, PCPU_WORK_SCHED))
        sched_run();
}
