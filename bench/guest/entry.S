/* SPDX-License-Identifier: MIT */
/* The way in, the notes that make this a PV kernel for Domain 0, and the page-fault handlers. */
#include <xen/elfnote.h>

    .section .text.entry, "ax"
    .globl _start
_start:
    rdtsc                       /* the first instruction: when Domain 0 began */
    shl $32, %rdx
    or %rdx, %rax
    cld
    lea stack_top(%rip), %rsp
    mov %rsi, %rdi
    mov %rax, %rsi
    call main
1:  jmp 1b

    .text
/* PV exception frame: rcx, r11, error code, rip, cs, rflags, rsp, ss. The bench puts into `resume_at` where to go on. */
    .globl fault_iretq
fault_iretq:                    /* returns by the instruction: kernel to kernel needs no call */
    mov (%rsp), %rcx
    mov 8(%rsp), %r11
    add $24, %rsp
    push %rax
    mov resume_at(%rip), %rax
    mov %rax, 8(%rsp)
    pop %rax
    orb $3, 8(%rsp)             /* the frame names ring 0, where no guest may return to */
    iretq

    .globl fault_hypercall
fault_hypercall:                /* returns as Linux does, by the iret hypercall: rax, r11, rcx, flags, then the frame */
    mov (%rsp), %rcx
    mov 8(%rsp), %r11
    add $24, %rsp
    push %rax
    mov resume_at(%rip), %rax
    mov %rax, 8(%rsp)
    pop %rax
    pushq $0                    /* flags */
    push %rcx
    push %r11
    push %rax
    mov $23, %eax
    syscall
    ud2

/* touch(address): one read; a fault in it comes back to behind it. */
    .globl touch, touched
touch:
    mov (%rdi), %al
touched:
    ret

    .bss
    .balign 16
    .skip 16384
stack_top:

#define NOTE(type, desc)            \
    .balign 4;                      \
    .long 4, 2f - 1f, type;         \
    .asciz "Xen";                   \
1:  desc;                           \
2:  .balign 4

    .section .note.Xen, "a", @note
    NOTE(XEN_ELFNOTE_GUEST_OS, .asciz "hospes-bench")
    NOTE(XEN_ELFNOTE_GUEST_VERSION, .asciz "1")
    NOTE(XEN_ELFNOTE_XEN_VERSION, .asciz "xen-3.0")
    NOTE(XEN_ELFNOTE_VIRT_BASE, .quad 0xffffffff80000000)
    NOTE(XEN_ELFNOTE_PADDR_OFFSET, .quad 0)
    NOTE(XEN_ELFNOTE_INIT_P2M, .quad 0x8000000000)
    NOTE(XEN_ELFNOTE_ENTRY, .quad _start)
    NOTE(XEN_ELFNOTE_FEATURES, .asciz "!writable_page_tables|pae_pgdir_above_4gb")
    NOTE(XEN_ELFNOTE_SUPPORTED_FEATURES, .long 0x8801)
    NOTE(XEN_ELFNOTE_PAE_MODE, .asciz "yes")
    NOTE(XEN_ELFNOTE_LOADER, .asciz "generic")
    NOTE(XEN_ELFNOTE_MOD_START_PFN, .quad 1)
    NOTE(XEN_ELFNOTE_HV_START_LOW, .quad 0xffff800000000000)

    .section .note.GNU-stack, "", @progbits
