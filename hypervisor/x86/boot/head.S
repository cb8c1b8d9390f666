/* SPDX-License-Identifier: MIT */
/*
 * The first instructions: from a Multiboot loader's 32-bit protected mode to hypervisor_main() in 64-bit mode at the linked
 * address. Owns the Multiboot headers, the boot page tables (low 4 GiB identity-mapped, the same at the direct map's
 * start, the first GiB at HV_START) and the boot stack. memory_init() replaces the tables.
 *
 * Code before `high` runs at its load address: linked address - HV_START.
 */
#include "x86/mmu/layout.h"

#define PHYS(symbol)    ((symbol) - HV_START)
#define MB1_MAGIC       0x1badb002
#define MB1_FLAGS       0x00000003 /* modules page aligned, memory information */
#define MB2_MAGIC       0xe85250d6
#define PAGE_TABLE      0x63       /* present, writable, accessed, dirty */
#define PAGE_LARGE      0xe3
#define BOOT_CS         0x08

        .section .head, "ax", @progbits
        .code32
        .globl _start
_start:
        jmp boot32

        .balign 4
        .long MB1_MAGIC, MB1_FLAGS, -(MB1_MAGIC + MB1_FLAGS)

        .balign 8
multiboot2_header:
        .long MB2_MAGIC, 0, multiboot2_end - multiboot2_header
        .long -(MB2_MAGIC + (multiboot2_end - multiboot2_header))
        .short 6, 1                     /* modules page aligned */
        .long 8
        .short 0, 0                     /* end */
        .long 8
multiboot2_end:

        .balign 8
boot_gdt:
        .quad 0
        .quad 0x00af9b000000ffff        /* BOOT_CS: ring 0, 64-bit */
boot_gdt_pointer:
        .short . - boot_gdt - 1
        .long PHYS(boot_gdt)
high_target:
        .quad high

/* EAX: the loader's magic; EBX: its information. ESI and EDI keep them. */
boot32:
        cli
        cld
        movl %eax, %edi
        movl %ebx, %esi
        rdtsc
        movl %eax, PHYS(boot_tsc)
        movl %edx, PHYS(boot_tsc) + 4
        movl $PHYS(boot_stack_end), %esp

        movl $0x80000000, %eax
        cpuid
        cmpl $0x80000001, %eax
        jb not_64bit
        movl $0x80000001, %eax
        cpuid
        movl %edx, %eax
        andl $((1 << 29) | (1 << 20)), %eax     /* long mode, NX */
        cmpl $((1 << 29) | (1 << 20)), %eax
        jne not_64bit
        movl %esi, %ebx                         /* cpuid took it */

        /* 2048 large pages: the low 4 GiB. */
        movl $PHYS(boot_l2), %eax
        movl $PAGE_LARGE, %ecx
1:      movl %ecx, (%eax)
        movl $0, 4(%eax)
        addl $8, %eax
        addl $0x200000, %ecx
        jnc 1b
        /* Their four L2 tables in the low L3; the first of them is also HV_START's. */
        movl $PHYS(boot_l3), %eax
        movl $(PHYS(boot_l2) + PAGE_TABLE), %ecx
        movl $4, %edx
2:      movl %ecx, (%eax)
        addl $8, %eax
        addl $0x1000, %ecx
        decl %edx
        jnz 2b
        movl $(PHYS(boot_l2) + PAGE_TABLE), PHYS(boot_l3_high) + ((HV_START >> 30) & 511) * 8
        movl $(PHYS(boot_l3) + PAGE_TABLE), PHYS(boot_l4)
        movl $(PHYS(boot_l3) + PAGE_TABLE), PHYS(boot_l4) + ((DIRECTMAP_START >> 39) & 511) * 8
        movl $(PHYS(boot_l3_high) + PAGE_TABLE), PHYS(boot_l4) + ((HV_START >> 39) & 511) * 8

        movl %cr4, %eax
        orl $0x20, %eax                         /* PAE */
        movl %eax, %cr4
        movl $PHYS(boot_l4), %eax
        movl %eax, %cr3
        movl $0xc0000080, %ecx                  /* EFER */
        rdmsr
        orl $0x901, %eax                        /* NX, LME, SCE */
        wrmsr
        movl %cr0, %eax
        orl $0x80010023, %eax                   /* PG, WP, NE, MP, PE */
        andl $~0xc, %eax                        /* TS, EM */
        movl %eax, %cr0
        lgdt PHYS(boot_gdt_pointer)
        ljmp $BOOT_CS, $PHYS(low64)

/* A processor that cannot run us: says so on the first serial port and on the screen. */
not_64bit:
        movl $PHYS(not_64bit_text), %esi
        movl $0xb8000, %edi
3:      lodsb
        testb %al, %al
        jz 4f
        movb $0x0f, %ah
        movw %ax, (%edi)
        addl $2, %edi
        movw $0x3f8, %dx
        outb %al, %dx
        jmp 3b
4:      hlt
        jmp 4b
not_64bit_text:
        .asciz "Hospes needs a 64-bit processor with NX."

        .code64
low64:
        jmp *high_target(%rip)
high:
        xorl %eax, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %ss
        movl %eax, %fs
        movl %eax, %gs
        leaq boot_stack_end(%rip), %rsp
        subq $STACK_TOP_SIZE, %rsp
        leaq boot_cpu(%rip), %rax
        movq %rax, (%rsp)                       /* struct stack_top: cpu */
        /* The stack protector's word: from the processor's source of random numbers, and the time. */
        movq boot_tsc(%rip), %rax
        movabsq $0x9e3779b97f4a7c15, %rcx
        mulq %rcx
        xorq %rdx, %rax
        movq %rax, %r8
        movl $1, %eax
        cpuid
        btl $30, %ecx                           /* RDRAND; it may have nothing to give */
        jnc 5f
        rdrand %rax
        xorq %rax, %r8
5:      movq %r8, %rax
        movb $0, %al
        movq %rax, __stack_chk_guard(%rip)
        /* EDI: magic, RSI: information; both zero-extended. */
        movl %edi, %edi
        movl %esi, %esi
        xorl %ebp, %ebp
        pushq $0                                /* ends the stack walk */
        jmp hypervisor_main

        .section .bss.boot_stack, "aw", @nobits
        .balign STACK_SIZE
        .globl boot_stack
boot_stack:
        .skip STACK_SIZE
boot_stack_end:

        .section .bss.boot_tables, "aw", @nobits
        .balign 4096
boot_l4:
        .skip 4096
boot_l3:
        .skip 4096
boot_l3_high:
        .skip 4096
boot_l2:
        .skip 4 * 4096

        .section .data.boot, "aw"
        .balign 8
        .globl boot_tsc
boot_tsc:
        .quad 0
        .globl __stack_chk_guard
__stack_chk_guard:
        .quad 0
        .section .note.GNU-stack, "", @progbits
