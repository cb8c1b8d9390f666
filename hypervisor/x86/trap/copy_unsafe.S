/* SPDX-License-Identifier: MIT */
/*
 * Copying between the hypervisor and memory that may not be there: guest memory, and descriptors in a CPU's windows.
 * int copy_unsafe(void *dst, const void *src, size_t size): 0, or -EFAULT with part of it done.
 */
#include "asm_offsets.h"
    .text
    .globl copy_unsafe
    .hidden copy_unsafe
    .type copy_unsafe, @function
copy_unsafe:
    movq %rdx, %rcx
    shrq $3, %rcx
copy_words:
    rep movsq
    andl $7, %edx
    jz 2f
    movl %edx, %ecx
copy_bytes:
    rep movsb
2:  xorl %eax, %eax
    ret
copy_fault:
    movl $-ASM_EFAULT, %eax
    ret
    .pushsection extable, "a"
    .balign 8
    .quad copy_words, copy_fault
    .quad copy_bytes, copy_fault
    .popsection

    .section .note.GNU-stack, "", @progbits
