/* SPDX-License-Identifier: MIT */
/*
 * The flush clock (tlb.h). A CPU's tlb_flushed is the clock's value at the start of its last full flush; IDLE while it
 * cannot hold guest translations at all.
 *
 * Why a CPU with tlb_flushed > stamp needs no flush: the stamp was read after the entry was changed; the CPU raised the
 * clock above the stamp after that, and flushed after raising it, so what it loaded since then was walked from the
 * changed entry. Why an IDLE CPU needs none: it stores its new tlb_flushed before it loads a guest root; whoever
 * still reads IDLE changed the entry before that store, hence before any walk.
 *
 * No locks. all_since is a lower bound of every CPU's tlb_flushed, so that the usual question costs one comparison.
 */
#include "core/mem/tlb.h"
#include "core/domain/domain.h"

#define IDLE UINT64_MAX

uint64_t tlb_clock = 1;
static uint64_t all_since = 1; /* stamp 0: never mapped by a guest */

void tlb_note_flush(void)
{
    uint64_t now = __atomic_add_fetch(&tlb_clock, 1, __ATOMIC_SEQ_CST);

    __atomic_store_n(&this_cpu()->tlb_flushed, now, __ATOMIC_SEQ_CST);
}

void tlb_note_idle(void)
{
    __atomic_store_n(&this_cpu()->tlb_flushed, IDLE, __ATOMIC_SEQ_CST);
}

/* The CPUs that have not flushed since the stamp; raises all_since to what it learns. */
static bool stale_cpus(uint64_t stamp, cpumask_t *mask)
{
    uint64_t oldest = tlb_clock_now();
    uint64_t known = __atomic_load_n(&all_since, __ATOMIC_RELAXED);
    bool any = false;
    unsigned cpu;

    for_each_cpu (cpu, &cpus_online) {
        uint64_t t = __atomic_load_n(&pcpus[cpu]->tlb_flushed, __ATOMIC_SEQ_CST);
        if (t < oldest)
            oldest = t;
        if (t <= stamp) {
            cpumask_set(mask, cpu);
            any = true;
        }
    }
    while (known < oldest &&
           !__atomic_compare_exchange_n(&all_since, &known, oldest, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
    return any;
}

void tlb_flush_stale(uint64_t stamp)
{
    cpumask_t mask = {{0}};

    if (likely(stamp < __atomic_load_n(&all_since, __ATOMIC_RELAXED)))
        return;
    if (stale_cpus(stamp, &mask))
        hw_flush_tlb(&mask, true, 0);
}
