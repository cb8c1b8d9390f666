/* SPDX-License-Identifier: MIT */
/* Where a hostile guest begins: rsi is its start_info, rdi its board. The header behind tells Domain 0 of the image. */
    .section .text.entry, "ax"
    .globl _start
_start:
    cld
    lea boot_stack_end(%rip), %rsp
    call guest_main
    ud2
    .balign 64
    .quad image_end, attacks, attacks_end

    .bss
    .balign 16384
    .skip 16384
boot_stack_end:

    .section .note.GNU-stack, "", @progbits
