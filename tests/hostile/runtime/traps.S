/* SPDX-License-Identifier: MIT */
/*
 * Ways in and out of the kernel: the stubs of all vectors and callbacks, guarded(), the iret hypercall, the start of further
 * vCPUs. A trap is never returned from: it ends what guarded() runs, or the test.
 */
#include <xen/xen.h>
#define STACK_MASK 16383
#define TRAP_STUB_SIZE 32

/* PV exception frame: rcx, r11, [error code], rip, ... */
    .text
    .balign TRAP_STUB_SIZE
    .globl trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    .balign TRAP_STUB_SIZE, 0xcc
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
    mov 16(%rsp), %rsi
    mov 24(%rsp), %rdx
    .else
    xor %esi, %esi
    mov 16(%rsp), %rdx
    .endif
    mov $vector, %edi
    jmp trap_common
    .set vector, vector + 1
    .endr

.macro CALLBACK name, number, rip
    .globl \name
\name:
    mov \rip(%rsp), %rdx
    xor %esi, %esi
    mov $\number, %edi
    jmp trap_common
.endm
    CALLBACK on_event, 256, 16
    CALLBACK on_failsafe, 257, 48
    CALLBACK on_syscall, 258, 16
    CALLBACK on_sysenter, 259, 16
    CALLBACK on_syscall32, 260, 16
    CALLBACK on_nmi, 261, 16

trap_common:
    cld
    and $-16, %rsp
    call trap_taken

/* int guarded(void (*fn)(void *), void *arg): struct cpu is at the lower end of the stack, guard_sp its first word. */
    .globl guarded
guarded:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rbx
    and $~STACK_MASK, %rbx
    push (%rbx)
    mov %rsp, (%rbx)
    mov %rdi, %rax
    mov %rsi, %rdi
    call *%rax
    xor %eax, %eax
    mov %rsp, %rbx
    and $~STACK_MASK, %rbx
guard_end:
    pop (%rbx)
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

/* guard_return(sp, result): from a trap, to behind the guarded() whose stack pointer this is. */
    .globl guard_return
guard_return:
    mov %rdi, %rsp
    mov %esi, %eax
    mov %rsp, %rbx
    and $~STACK_MASK, %rbx
    jmp guard_end

/* iret_with(frame): the stack pointer itself goes to the frame. */
    .globl iret_with
iret_with:
    mov %rdi, %rsp
    mov $__HYPERVISOR_iret, %eax
    syscall
    ud2

/* Where a further vCPU begins: rdi is its struct cpu. */
    .globl cpu_entry
cpu_entry:
    cld
    call cpu_main
    ud2

    .section .note.GNU-stack, "", @progbits
