/* SPDX-License-Identifier: MIT */
/*
 * The saved registers of a trap: the order of the public struct cpu_user_regs up to ss, so that a guest's context is a
 * copy. From guest mode they are saved straight into the vCPU (TSS.rsp0 and the system-call entry point there); from ring 0
 * on the stack in use.
 */
#pragma once
#include "core/lib/types.h"
struct regs {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint32_t error_code;
    uint32_t entry_vector; /* TRAP_SYSCALL: came by syscall, rcx and r11 are rip and rflags */
    uint64_t rip;
    uint16_t cs, pad_cs;
    uint8_t saved_upcall_mask, pad_mask[3];
    uint64_t rflags, rsp;
    uint16_t ss, pad_ss[3];
};
_Static_assert(sizeof(struct regs) == 21 * 8, "layout of the entry code");
#define TRAP_SYSCALL   0x100 /* may go back by sysret: rip, rflags, flat selectors */
#define TRAP_SYSCALL32 0x101 /* syscall in compatibility mode */
#define TRAP_SYSENTER  0x102
