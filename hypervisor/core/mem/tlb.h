/* SPDX-License-Identifier: MIT */
/*
 * The flush clock: which CPU may still hold a stale translation to a frame.
 *
 * The clock ticks at each full guest flush of a CPU (a root load or hw_flush_tlb). A frame is stamped with the
 * clock when the last mapping that matters is dropped: the last writable reference, the link from a page-table
 * parent (the processor may cache upper-level entries), or the last reference of all. Before the frame gets a type
 * or an owner for which a stale translation would be wrong, tlb_flush_stale() flushes the CPUs that have not
 * flushed since. Guest entries never have the global bit, so a root load flushes all of them.
 */
#pragma once
#include "core/lib/types.h"

extern uint64_t tlb_clock;                 /* only tlb.c writes it */
static inline uint64_t tlb_clock_now(void) /* for a stamp */
{
    return __atomic_load_n(&tlb_clock, __ATOMIC_SEQ_CST);
}
void tlb_note_flush(void); /* this CPU is about to flush all guest translations */
/* This CPU has loaded the hypervisor's own root: it holds no guest translation and gains none before the next
 * tlb_note_flush(). Called after the load; spares idle CPUs the flush requests. */
void tlb_note_idle(void);
void tlb_flush_stale(uint64_t stamp); /* returns when no CPU can hold a translation from before the stamp */
