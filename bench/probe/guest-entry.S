/* SPDX-License-Identifier: MIT */
/*
 * Laid over the entry point of a Linux image: reads the time stamp counter as the kernel's very first instruction,
 * prints it through console_io, and resets the machine. Runs anywhere; its buffer is on the boot stack.
 */
    .text
    .globl _start
_start:
    rdtsc
    shl $32, %rdx
    or %rax, %rdx               /* rdx: the time */
    sub $64, %rsp
    lea text(%rip), %rsi
    mov %rsp, %rdi
    mov $text_end - text, %ecx
    cld
    rep movsb
    mov $16, %ecx               /* sixteen hexadecimal digits */
1:  rol $4, %rdx
    mov %edx, %eax
    and $15, %eax
    cmp $10, %eax
    jb 2f
    add $'a' - '0' - 10, %eax
2:  add $'0', %eax
    stosb
    loop 1b
    movb $'\n', (%rdi)
    lea 1(%rdi), %rsi
    sub %rsp, %rsi              /* count */
    xor %edi, %edi              /* CONSOLEIO_write */
    mov %rsp, %rdx
    mov $18, %eax
    syscall
    movl $1, (%rsp)             /* SHUTDOWN_reboot */
3:  mov $2, %edi                /* SCHEDOP_shutdown */
    mov %rsp, %rsi
    mov $29, %eax
    syscall
    jmp 3b
text:
    .ascii "bench: entry "
text_end:
