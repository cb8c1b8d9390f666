/* SPDX-License-Identifier: MIT */
/*
 * What an application processor does first: from real mode at a page below 1 MiB straight into 64-bit mode, then to ap_start()
 * on its own stack. x86/cpu/smp.c copies this page's content there, fills in the fields at its end and maps it by identity in
 * the root given.
 */
        .section .rodata.trampoline, "a", @progbits
        .balign 16
        .globl trampoline, trampoline_end, trampoline_gdt_pointer, trampoline_jump, trampoline_root, trampoline_stack
        .globl trampoline_gdt, trampoline_64
        .code16
trampoline:
        cli
        cld
        movw %cs, %ax
        movw %ax, %ds
        lgdtl trampoline_gdt_pointer - trampoline
        movl %cr4, %eax
        orl $0x20, %eax                 /* PAE */
        movl %eax, %cr4
        movl trampoline_root - trampoline, %eax
        movl %eax, %cr3
        movl $0xc0000080, %ecx          /* EFER: NX, LME, SCE */
        rdmsr
        orl $0x901, %eax
        wrmsr
        movl $0x80010033, %eax          /* PG WP NE ET MP PE */
        movl %eax, %cr0
        ljmpl *(trampoline_jump - trampoline)

        .code64
trampoline_64:
        movq trampoline_stack(%rip), %rsp
        movq trampoline_entry(%rip), %rax
        xorl %ecx, %ecx
        movl %ecx, %ds
        movl %ecx, %es
        movl %ecx, %ss
        movl %ecx, %fs
        movl %ecx, %gs
        xorl %ebp, %ebp
        pushq $0                        /* ends the stack walk */
        jmp *%rax

        .balign 8
trampoline_gdt:
        .quad 0
        .quad 0x00af9b000000ffff
trampoline_gdt_pointer:
        .short 15
        .long 0
        .balign 4
trampoline_jump:
        .long 0                         /* where trampoline_64 is */
        .short 8
        .balign 8
trampoline_root:
        .long 0, 0
trampoline_stack:
        .quad 0
trampoline_entry:
        .quad ap_start
trampoline_end:
        .section .note.GNU-stack, "", @progbits
