/* SPDX-License-Identifier: MIT */
/* The way in, the notes that make this a PV kernel for Domain 0, and the guests' image. */
#include <xen/elfnote.h>

    .section .text.entry, "ax"
    .globl _start
_start:
    cld
    lea boot_stack_end(%rip), %rsp
    mov %rsi, %rdi
    call dom0_main
    ud2

    .bss
    .balign 16384
    .skip 16384
boot_stack_end:

    .section .rodata
    .balign 4096
    .globl guest_image, guest_image_end
guest_image:
    .incbin GUEST_IMAGE
guest_image_end:

#define NOTE(type, desc)            \
    .balign 4;                      \
    .long 4, 2f - 1f, type;         \
    .asciz "Xen";                   \
1:  desc;                           \
2:  .balign 4

    .section .note.Xen, "a", @note
    NOTE(XEN_ELFNOTE_GUEST_OS, .asciz "hostile")
    NOTE(XEN_ELFNOTE_GUEST_VERSION, .asciz "1")
    NOTE(XEN_ELFNOTE_XEN_VERSION, .asciz "xen-3.0")
    NOTE(XEN_ELFNOTE_VIRT_BASE, .quad 0xffffffff80000000)
    NOTE(XEN_ELFNOTE_PADDR_OFFSET, .quad 0)
    NOTE(XEN_ELFNOTE_ENTRY, .quad _start)
    NOTE(XEN_ELFNOTE_SUPPORTED_FEATURES, .long 0x8801)
    NOTE(XEN_ELFNOTE_PAE_MODE, .asciz "yes")

    .section .note.GNU-stack, "", @progbits
