/* SPDX-License-Identifier: MIT */
/*
 * The two ways that a guest's processes go most: a system call into their kernel, and back by the iret hypercall. They save and
 * restore only what they use themselves, and go no further than from one mode of the running vCPU to the other.
 *
 * Whatever is not the plain case takes the long way (entry.S, then bounce.c and iret.c, which say what is to happen): each
 * short way looks at all it depends on before it changes anything, and steps back when a word of the guest's cannot be read.
 * The states that a vCPU may be in afterwards are those that the long way leaves, too.
 *
 * In both: rdi is the vCPU's struct regs, in which error_code and above are saved, and rdi, rsi, rdx, rax as far as they are
 * used; rsp is the CPU's stack, since a word of the guest's may fault. Registers that are not saved hold the guest's values.
 * No indirect jump, and no address from the guest but its own stack's.
 */
#include "asm_offsets.h"
#include "x86/mmu/layout.h"

    .text

.macro ENTRY name
    .globl \name
    .hidden \name
    .type \name, @function
\name:
.endm

/* The instruction behind it may fault; it goes on at \fixup then. */
.macro MAY_FAULT fixup
    .pushsection extable, "a"
    .balign 8
    .quad 0f, \fixup
    .popsection
0:
.endm

/* A word of struct regs, seen from rsp behind the four pushes of the entry. */
#define FROM_TOP(offset) (offset - REGS_ERROR_CODE)(%rsp)

/* pcpu: the CPU's record. root: the root's frame, then its address. The clock of flushes ticks before the load (core/mem/tlb.c). */
.macro NOTE_ROOT pcpu, root, scratch
    movq \root, CPU_ROOT_LOADED(\pcpu)
    movq $1, \scratch
    lock xaddq \scratch, tlb_clock(%rip)
    incq \scratch
    xchgq \scratch, PCPU_TLB_FLUSHED(\pcpu)
    shlq $ASM_PAGE_SHIFT, \root
.endm

/* What the short ways do not touch: saved, and cleared for the C code that comes, as on every entry. */
.macro SAVE reg, where
    movq \reg, \where(%rdi)
    xorq \reg, \reg
.endm
.macro SAVE_REST
    SAVE %r15, REGS_R15
    SAVE %r14, REGS_R14
    SAVE %r13, REGS_R13
    SAVE %r12, REGS_R12
    SAVE %rbp, REGS_RBP
    SAVE %rbx, REGS_RBX
    SAVE %r10, REGS_R10
    SAVE %r9, REGS_R9
    SAVE %r8, REGS_R8
.endm

/* ---- SYSCALL in user mode ------------------------------------------------------------------------------------- */
ENTRY syscall_short
    movq %rdi, FROM_TOP(REGS_RDI)
    movq %rsi, FROM_TOP(REGS_RSI)
    movq %rdx, FROM_TOP(REGS_RDX)
    movq %rax, FROM_TOP(REGS_RAX)
    leaq FROM_TOP(0), %rdi
    movq FROM_REGS_STACK(%rdi), %rsp
    /* A frame that may be written; no event, which the frame's mask and the way out depend on; nothing to do first. */
    movq FROM_REGS_SYSCALL_FRAME(%rdi), %rsi
    testq %rsi, %rsi
    jz take_long_syscall
    movq FROM_REGS_DOMAIN(%rdi), %rax
    testl $ASM_ARCHITECTURAL_IOPL, DOMAIN_VM_ASSIST(%rax)
    jnz take_long_syscall
    movq FROM_REGS_INFO(%rdi), %rax
    cmpw $0, (%rax)                     /* evtchn_upcall_pending, evtchn_upcall_mask */
    jne take_long_syscall
    cmpb $0, FROM_REGS_AREAS_STALE(%rdi)
    jne take_long_syscall
    movq (%rsp), %rdx
    cmpl $0, PCPU_WORK(%rdx)
    jne take_long_syscall

    movb $1, FROM_REGS_IN_KERNEL(%rdi)
    swapgs
    movq FROM_REGS_KERNEL_L4(%rdi), %rcx
    NOTE_ROOT %rdx, %rcx, %rsi
    movabsq $DIRECTMAP_START, %rdx
    movq m2p_l4_entry(%rip), %rsi
    movq %rsi, ASM_M2P_L4_OFFSET(%rcx, %rdx)
    movq %rcx, %cr3

    movq FROM_REGS_SYSCALL_FRAME(%rdi), %rsi
    movq REGS_RIP(%rdi), %rcx
    movq REGS_RSP(%rdi), %rdx
    MAY_FAULT syscall_no_stack
    movq %rcx, (%rsi)
    MAY_FAULT syscall_no_stack
    movq %r11, 8(%rsi)
    MAY_FAULT syscall_no_stack
    movq %rcx, 16(%rsi)
    MAY_FAULT syscall_no_stack
    movq $(ASM_FLAT_CS64 | 3), 24(%rsi) /* RPL 3: from user mode; events were not masked */
    MAY_FAULT syscall_no_stack
    movq %r11, 32(%rsi)
    MAY_FAULT syscall_no_stack
    movq %rdx, 40(%rsi)
    MAY_FAULT syscall_no_stack
    movq $ASM_FLAT_DS, 48(%rsi)

    movb FROM_REGS_SYSCALL_MASK_EVENTS(%rdi), %dl
    movb %dl, 1(%rax)
    andl $ASM_RFLAGS_HANDLER, %r11d
    orl $ASM_RFLAGS_FIXED, %r11d
    movq FROM_REGS_SYSCALL_ENTRY(%rdi), %rcx
    movq REGS_RAX(%rdi), %rax
    movq REGS_RDX(%rdi), %rdx
    movq %rsi, %rsp
    movq REGS_RSI(%rdi), %rsi
    movq REGS_RDI(%rdi), %rdi
    sysretq

take_long_syscall:
    leaq REGS_ERROR_CODE(%rdi), %rsp
    movq REGS_RAX(%rdi), %rax
    movq REGS_RDX(%rdi), %rdx
    movq REGS_RSI(%rdi), %rsi
    movq REGS_RDI(%rdi), %rdi
    jmp syscall_long

syscall_no_stack:
    movq %rcx, REGS_RCX(%rdi)
    movq %r11, REGS_R11(%rdi)
    SAVE_REST
    call pv_syscall_no_stack
    jmp leave_hypervisor

/* ---- The iret hypercall ------------------------------------------------------------------------------------------ */
ENTRY iret_short
    movq %rdi, FROM_TOP(REGS_RDI)
    movq %rdx, FROM_TOP(REGS_RDX)
    leaq FROM_TOP(0), %rdi
    movq FROM_REGS_STACK(%rdi), %rsp
    /* The guest's frame, outside of the hypervisor's range, and a full one. */
    movq REGS_RSP(%rdi), %rcx
    movq %rcx, %rdx
    shrq $ASM_HYPERVISOR_SHIFT, %rdx
    cmpl $ASM_HYPERVISOR_BLOCK, %edx
    je take_long_iret
    testb $ASM_TRACE_HYPERCALL, trace_mask(%rip)
    jnz take_long_iret
    movq FROM_REGS_DOMAIN(%rdi), %rdx
    testl $ASM_ARCHITECTURAL_IOPL, DOMAIN_VM_ASSIST(%rdx)
    jnz take_long_iret
    MAY_FAULT take_long_iret
    testl $ASM_VGCF_IN_SYSCALL, IRET_FLAGS(%rcx)
    jnz take_long_iret
    /* IRET's own frame, and above it what is loaded last: all words are read once, before the root changes. */
    MAY_FAULT take_long_iret
    movzwl IRET_SS(%rcx), %eax
    orl $3, %eax
    pushq %rax
    MAY_FAULT take_long_iret
    pushq IRET_RSP(%rcx)
    MAY_FAULT take_long_iret
    movl IRET_RFLAGS(%rcx), %eax
    movq FROM_REGS_INFO(%rdi), %rdx
    testl $ASM_RFLAGS_IF, %eax
    setz 1(%rdx)                        /* evtchn_upcall_mask; the long way would set it, too, or end the guest */
    andl $ASM_RFLAGS_MASK, %eax
    orl $ASM_RFLAGS_FIXED, %eax
    pushq %rax
    MAY_FAULT take_long_iret
    movzwl IRET_CS(%rcx), %edx
    movl %edx, %eax
    orl $3, %eax
    pushq %rax
    MAY_FAULT take_long_iret
    pushq IRET_RIP(%rcx)
    MAY_FAULT take_long_iret
    pushq IRET_RCX(%rcx)
    MAY_FAULT take_long_iret
    pushq IRET_R11(%rcx)
    MAY_FAULT take_long_iret
    pushq IRET_RAX(%rcx)
    movq 64(%rsp), %rcx
    cmpb %dl, %al
    jne iret_to_frame                   /* it was in kernel mode */

    movq FROM_REGS_USER_L4(%rdi), %rdx
    cmpq $-1, %rdx
    je take_long_iret
    movb $0, FROM_REGS_IN_KERNEL(%rdi)
    swapgs
    NOTE_ROOT %rcx, %rdx, %r11
    movabsq $DIRECTMAP_START, %r11
    movq $0, ASM_M2P_L4_OFFSET(%rdx, %r11)
    movq %rdx, %cr3
iret_to_frame:
    movq FROM_REGS_INFO(%rdi), %rax
    movb $0, FROM_REGS_NMI_MASKED(%rdi)
    cmpl $0, PCPU_WORK(%rcx)
    jne iret_with_work                  /* what became pending before events were unmasked, too */
    cmpb $0, (%rax)
    jne iret_with_work
    cmpb $0, FROM_REGS_NMI_PENDING(%rdi)
    jne iret_with_work
    movq REGS_RDX(%rdi), %rdx
    movq REGS_RDI(%rdi), %rdi
    popq %rax
    popq %r11
    popq %rcx
    MAY_FAULT iret_refused
    iretq

take_long_iret:
    leaq REGS_ERROR_CODE(%rdi), %rsp
    movq REGS_RDX(%rdi), %rdx
    movq REGS_RDI(%rdi), %rdi
    movl $ASM_HYPERCALL_IRET, %eax
    jmp hypercall_long

/* The frame on the CPU's stack goes where the long way would have put it. */
.macro SAVE_FRAME
    popq REGS_RAX(%rdi)
    popq REGS_R11(%rdi)
    popq REGS_RCX(%rdi)
    popq REGS_RIP(%rdi)
    popq REGS_CS(%rdi)
    popq REGS_RFLAGS(%rdi)
    popq REGS_RSP(%rdi)
    popq REGS_SS(%rdi)
    SAVE %rsi, REGS_RSI
    movl $0, REGS_ENTRY_VECTOR(%rdi)
    SAVE_REST
.endm

iret_with_work:
    SAVE_FRAME
    jmp leave_hypervisor

iret_refused:                           /* all registers are the guest's */
    pushq %rcx
    pushq %r11
    pushq %rax
    movq 64(%rsp), %rax
    movq PCPU_CURRENT(%rax), %rax
    movq %rdi, PV_REGS + REGS_RDI(%rax)
    movq %rdx, PV_REGS + REGS_RDX(%rax)
    leaq PV_REGS(%rax), %rdi
    SAVE_FRAME
    jmp iret_fault

    .section .note.GNU-stack, "", @progbits
