/* SPDX-License-Identifier: MIT */
/*
 * Named trace bits: `trace=hypercall,mmu` on the command line or by key. One line at the head of
 * each handler. A bit that is off costs a load, a test and a not-taken branch; TRACE_MASK_COMPILED
 * drops bits altogether.
 */
#pragma once
#include "core/lib/types.h"
#include "core/lib/print.h"
extern uint32_t trace_mask;
enum {
    TRACE_FAIL = 1u << 0,
    TRACE_HYPERCALL = 1u << 1,
    TRACE_MMU = 1u << 2,
    TRACE_EVENT = 1u << 3,
    TRACE_GRANT = 1u << 4,
    TRACE_SCHED = 1u << 5,
    TRACE_TIME = 1u << 6,
    TRACE_TRAP = 1u << 7,
    TRACE_EMUL = 1u << 8,
    TRACE_IRQ = 1u << 9,
    TRACE_PCI = 1u << 10,
    TRACE_DOMAIN = 1u << 11,
    TRACE_MEMORY = 1u << 12,
    TRACE_BOOT = 1u << 13,
};
#ifndef TRACE_MASK_COMPILED
#define TRACE_MASK_COMPILED ~0u
#endif
#define trace(bit, ...)                                                                                                \
    do {                                                                                                               \
        if (unlikely((TRACE_MASK_COMPILED)&trace_mask & (bit)))                                                        \
            trace_print(bit, __VA_ARGS__);                                                                             \
    } while (0)
void trace_print(uint32_t bit, const char *fmt, ...) __printf(2, 3);
