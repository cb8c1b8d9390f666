/* SPDX-License-Identifier: MIT */
/*
 * The inline half of the port for the host build: memory is one array (host_ram), the frame table
 * and M2P are arrays of the same number of records, the current CPU is a thread-local pointer (so a
 * test may run each CPU in a thread).
 */
#pragma once
#include "core/lib/types.h"
#include "core/mem/frame.h"

extern __thread struct pcpu *host_this_cpu;
static inline struct pcpu *this_cpu(void)
{
    return host_this_cpu;
}

extern uint8_t *host_ram;
extern struct frame *hw_frames;
extern uint64_t *hw_m2p;
extern uint64_t hw_frames_max; /* highest mfn with a record, + 1 */

static inline void *hw_frame_va(mfn_t m)
{
    return host_ram + (m.n << PAGE_SHIFT);
}
static inline mfn_t hw_va_frame(const void *va)
{
    return MFN((uint64_t)((const uint8_t *)va - host_ram) >> PAGE_SHIFT);
}
static inline bool mfn_valid(mfn_t m)
{
    return m.n < hw_frames_max;
}
static inline struct frame *frame_of(mfn_t m)
{
    return &hw_frames[m.n];
}
static inline mfn_t frame_mfn(const struct frame *f)
{
    return MFN((uint64_t)(f - hw_frames));
}
extern void (*host_m2p_hook)(mfn_t m); /* called before the entry changes */
static inline void hw_m2p_set(mfn_t m, uint64_t pfn)
{
    if (host_m2p_hook)
        host_m2p_hook(m);
    hw_m2p[m.n] = pfn;
}
