/* SPDX-License-Identifier: MIT */
/*
 * The machine's inline half of the port: where the current CPU's record, the direct map, the frame table and the
 * machine-to-physical table are.
 */
#pragma once
#include "core/lib/types.h"
#include "core/mem/frame.h"
#include "x86/mmu/layout.h"

/* Each CPU's stack is STACK_SIZE aligned and has its struct stack_top at the highest addresses. */
struct stack_top {
    struct pcpu *cpu;
    uint64_t scratch;
};
static inline struct pcpu *this_cpu(void)
{
    uint64_t sp;
    __asm__("mov %%rsp, %0" : "=r"(sp));
    return ((struct stack_top *)((sp | (STACK_SIZE - 1)) + 1))[-1].cpu;
}

static inline void *hw_frame_va(mfn_t m)
{
    return (void *)(DIRECTMAP_START + (m.n << PAGE_SHIFT));
}
static inline mfn_t hw_va_frame(const void *va)
{
    return MFN(((uint64_t)va - DIRECTMAP_START) >> PAGE_SHIFT);
}
#define hw_frames ((struct frame *)FRAMETABLE_START)
#define hw_m2p    ((uint64_t *)M2P_RW_START)
extern uint64_t hw_frames_max;     /* highest mfn with a record, + 1 */
extern uint64_t hw_frame_chunks[]; /* bit per 2^15 frames (128 MiB): records exist */
static inline bool mfn_valid(mfn_t m)
{
    return m.n < hw_frames_max && ((hw_frame_chunks[m.n >> 21] >> ((m.n >> 15) & 63)) & 1);
}
static inline struct frame *frame_of(mfn_t m)
{
    return &hw_frames[m.n];
}
static inline mfn_t frame_mfn(const struct frame *f)
{
    return MFN((uint64_t)(f - hw_frames));
}
static inline void hw_m2p_set(mfn_t m, uint64_t pfn)
{
    hw_m2p[m.n] = pfn;
}
