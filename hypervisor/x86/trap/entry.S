/* SPDX-License-Identifier: MIT */
/*
 * Entry to and exit from the hypervisor. Assembly that only saves, switches stacks, calls and restores.
 *
 * Guest registers go straight into pv_vcpu.regs: TSS.rsp0 and the system-call stubs point to its end. Then the CPU's own
 * stack is loaded from pv_vcpu.stack. Traps from ring 0 stay on the stack in use. NMI, #MC, #DF and #DB have stacks of their
 * own (IST), because they may come while a guest's stack pointer is still loaded; from a guest they move to the main stack.
 * GS is not swapped: the hypervisor uses neither FS nor GS. Registers are cleared before C code runs, so that no guest
 * value is there to be speculated with.
 *
 * The way out: straight back when neither the CPU nor the vCPU has anything to do; else prepare_return() (trap.c) does it and
 * says whose registers are loaded. SYSRET when the frame came by SYSCALL and its address is canonical, else IRET, from a copy
 * of the frame on the CPU's stack, so that a faulting IRET leaves regs whole. short.S has ways that come by here only when
 * something is to be done.
 */
#include "asm_offsets.h"

    .text

.macro PUSH_REGISTERS
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %rax
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
.endm

/* All but rbx, rdi (which hold our own pointers) and rsp. */
.macro CLEAR_REGISTERS
    xorl %eax, %eax
    xorl %ecx, %ecx
    xorl %edx, %edx
    xorl %esi, %esi
    xorl %ebp, %ebp
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %r10d, %r10d
    xorl %r11d, %r11d
    xorl %r12d, %r12d
    xorl %r13d, %r13d
    xorl %r14d, %r14d
    xorl %r15d, %r15d
.endm

/* From the saved registers at rbx; all but rbx, rcx, r11, rsp. */
.macro RESTORE_REGISTERS
    movq REGS_R15(%rbx), %r15
    movq REGS_R14(%rbx), %r14
    movq REGS_R13(%rbx), %r13
    movq REGS_R12(%rbx), %r12
    movq REGS_RBP(%rbx), %rbp
    movq REGS_R10(%rbx), %r10
    movq REGS_R9(%rbx), %r9
    movq REGS_R8(%rbx), %r8
    movq REGS_RAX(%rbx), %rax
    movq REGS_RDX(%rbx), %rdx
    movq REGS_RSI(%rbx), %rsi
    movq REGS_RDI(%rbx), %rdi
.endm

/* Goes to \where when this CPU has work, or an event or NMI waits for the vCPU whose registers are at rbx. rsp is \depth
 * bytes below the top of the CPU's stack. */
.macro IF_ANYTHING_TO_DO depth, where
    movq \depth(%rsp), %rcx
    cmpl $0, PCPU_WORK(%rcx)
    jne \where
    movq FROM_REGS_INFO(%rbx), %rcx
    cmpb $0, (%rcx)                     /* evtchn_upcall_pending */
    jne \where
    cmpb $0, FROM_REGS_NMI_PENDING(%rbx)
    jne \where
.endm

.macro ENTRY name
    .globl \name
    .hidden \name
    .type \name, @function
\name:
.endm

/* A fault at `fault` in ring 0 continues at `fixup`. */
.macro EXTABLE fault, fixup
    .pushsection extable, "a"
    .balign 8
    .quad \fault, \fixup
    .popsection
.endm

/* ---- The IDT's entries: 256 stubs of 16 bytes ----------------------------------------------------------- */
    .balign 16
    .globl entry_trap_stubs
    .hidden entry_trap_stubs
entry_trap_stubs:
    .set vector, 0
    .rept 256
    .balign ASM_TRAP_STUB_SIZE, 0xcc
    /* #DF #TS #NP #SS #GP #PF #AC #CP #VC #SX push an error code; the rest get 0 */
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    pushq $0
    .endif
    movl $vector, 4(%rsp)
    .if vector == 1 || vector == 2 || vector == 8 || vector == 18
    jmp trap_on_ist
    .else
    jmp trap_common
    .endif
    .set vector, vector + 1
    .endr
    .balign ASM_TRAP_STUB_SIZE, 0xcc

trap_common:
    cld
    PUSH_REGISTERS
    movq %rsp, %rdi
    testb $3, REGS_CS(%rsp)
    jz trap_in_ring0
    movq %rsp, %rbx
    CLEAR_REGISTERS
    movq FROM_REGS_STACK(%rbx), %rsp
    call guest_trap
    IF_ANYTHING_TO_DO 0, leave_hypervisor
    jmp restore_guest

/* On the stack in use. rbp keeps it over the call, for the alignment. */
trap_in_ring0:
    movq %rsp, %rbp
    andq $-16, %rsp
    call ring0_trap
    movq %rbp, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rax
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi
    addq $8, %rsp
    iretq

trap_on_ist:
    cld
    PUSH_REGISTERS
    movq %rsp, %rdi
    testb $3, REGS_CS(%rsp)
    jz trap_in_ring0
    /* From the guest that this CPU runs: its frame goes where any other trap's would be. */
    CLEAR_REGISTERS
    movq %rsp, %rsi
    movq %rsp, %rax
    orq $(ASM_STACK_SIZE - 1), %rax
    movq (1 - ASM_STACK_TOP_SIZE)(%rax), %rax
    movq PCPU_CURRENT(%rax), %rbx
    leaq PV_REGS(%rbx), %rbx
    movq %rbx, %rdi
    movl $REGS_WORDS, %ecx
    rep movsq
    movq FROM_REGS_STACK(%rbx), %rsp
    /* An IRET to the next line ends the processor's blocking of NMIs: the way out may be a SYSRET. */
    movq %rsp, %rdx
    movl %ss, %eax
    pushq %rax
    pushq %rdx
    pushfq
    movl %cs, %eax
    pushq %rax
    leaq 1f(%rip), %rax
    pushq %rax
    iretq
1:  movq %rbx, %rdi
    call guest_trap
    jmp leave_hypervisor

/* ---- System calls: a stub for each CPU, which finds the vCPU's frame without any register -------------------- */
.macro CALL_STUBS name, common
    .balign ASM_CALL_STUB_SIZE
    .globl \name
    .hidden \name
\name:
    .set cpu, 0
    .rept ASM_MAX_CPUS
    .balign ASM_CALL_STUB_SIZE, 0xcc
    movq %rsp, entry_slots + 64 * cpu + 8(%rip)
    movq entry_slots + 64 * cpu(%rip), %rsp
    pushq $ASM_FLAT_DS
    pushq entry_slots + 64 * cpu + 8(%rip)
    jmp \common
    .set cpu, cpu + 1
    .endr
    .balign ASM_CALL_STUB_SIZE, 0xcc
.endm
    CALL_STUBS entry_syscall_stubs, syscall_common
    CALL_STUBS entry_syscall32_stubs, syscall32_common
    CALL_STUBS entry_sysenter_stubs, sysenter_common

syscall_common:
    pushq %r11
    pushq $ASM_FLAT_CS64
    pushq %rcx
    pushq word_syscall(%rip)
    cmpb $0, FROM_REGS_IN_KERNEL - REGS_ERROR_CODE(%rsp)
    je syscall_short
    cmpq $ASM_HYPERCALL_IRET, %rax
    je iret_short
ENTRY hypercall_long
    PUSH_REGISTERS
    movq %rsp, %rbx
    movq FROM_REGS_STACK(%rbx), %rsp
    /* A hypercall. Its arguments are an array on the stack, and stay in registers only as our own values. */
    xorl %ebp, %ebp
    xorl %r12d, %r12d
    xorl %r13d, %r13d
    xorl %r14d, %r14d
    xorl %r15d, %r15d
    pushq %r9
    pushq %r8
    pushq %r10
    pushq %rdx
    pushq %rsi
    pushq %rdi
    movq %rsp, %rdi
    movq %rax, %rsi
    call hypercall_dispatch
    movq %rax, REGS_RAX(%rbx)
    IF_ANYTHING_TO_DO 48, hypercall_long_way
restore_guest:                          /* rbx: struct regs; rsp anywhere on the CPU's stack */
    cmpl $ASM_TRAP_SYSCALL, REGS_ENTRY_VECTOR(%rbx)
    jne restore_by_iret
    movq REGS_RIP(%rbx), %rcx
    movq %rcx, %rdx
    shlq $16, %rdx
    sarq $16, %rdx
    cmpq %rcx, %rdx
    jne restore_by_iret                 /* SYSRET to it would fault in ring 0, on the guest's stack */
    movq REGS_RFLAGS(%rbx), %r11
    RESTORE_REGISTERS
    movq REGS_RSP(%rbx), %rsp
    movq REGS_RBX(%rbx), %rbx
    sysretq

hypercall_long_way:
    addq $48, %rsp
    jmp leave_hypervisor

ENTRY syscall_long
    PUSH_REGISTERS
    movq %rsp, %rbx
    movq FROM_REGS_STACK(%rbx), %rsp
    jmp syscall_from_user

syscall32_common:
    pushq %r11
    pushq $ASM_FLAT_CS32
    pushq %rcx
    pushq word_syscall32(%rip)
    jmp 1f
/* SYSENTER says neither where it was nor with which stack pointer; the flags are still the guest's. */
sysenter_common:
    movq $0, (%rsp)
    pushfq
    pushq $ASM_FLAT_CS32
    pushq $0
    pushq word_sysenter(%rip)
1:  PUSH_REGISTERS
    movq %rsp, %rbx
    movq FROM_REGS_STACK(%rbx), %rsp
    pushq $2
    popfq
syscall_from_user:
    movq %rbx, %rdi
    CLEAR_REGISTERS
    call pv_syscall_from_user
    IF_ANYTHING_TO_DO 0, leave_hypervisor
    jmp restore_guest

/* ---- The way out ------------------------------------------------------------------------------------------ */
/* From C, at any depth of the CPU's stack. */
ENTRY return_to_guest
    movq %rsp, %rax
    orq $(ASM_STACK_SIZE - 1), %rax
    leaq (1 - ASM_STACK_TOP_SIZE)(%rax), %rsp
    xorl %ebp, %ebp
ENTRY leave_hypervisor                  /* rsp is the top of the CPU's stack */
    call prepare_return
    movq %rax, %rbx
    jmp restore_guest

restore_by_iret:
    pushq REGS_SS(%rbx)
    pushq REGS_RSP(%rbx)
    pushq REGS_RFLAGS(%rbx)
    pushq REGS_CS(%rbx)
    pushq REGS_RIP(%rbx)
    RESTORE_REGISTERS
    movq REGS_RCX(%rbx), %rcx
    movq REGS_R11(%rbx), %r11
    movq REGS_RBX(%rbx), %rbx
iret_to_guest:
    iretq
    EXTABLE iret_to_guest, iret_fault
ENTRY iret_fault                        /* the frame in pv_vcpu.regs is whole still: go on from that */
    orq $(ASM_STACK_SIZE - 1), %rsp
    subq $(ASM_STACK_TOP_SIZE - 1), %rsp
    xorl %ebx, %ebx
    xorl %edi, %edi
    CLEAR_REGISTERS
    call pv_iret_fault
    jmp leave_hypervisor

/* ---- Data --------------------------------------------------------------------------------------------------- */
    .section .rodata
    .balign 8
/* error code 0 and entry vector, as one word */
word_syscall:   .long 0, ASM_TRAP_SYSCALL
word_syscall32: .long 0, ASM_TRAP_SYSCALL32
word_sysenter:  .long 0, ASM_TRAP_SYSENTER

    .bss
    .balign 64
    .globl entry_slots
    .hidden entry_slots
entry_slots:
    .skip 64 * ASM_MAX_CPUS

    .section .note.GNU-stack, "", @progbits
