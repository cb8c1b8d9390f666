/* SPDX-License-Identifier: MIT */
/* Native execution of one instruction (host/native.h): a call into a page that holds it and a return. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "core/lib/string.h"
#include "host/native.h"

/* Exchanges the general registers and flags with those of *r around a call of native_target. The numbers are offsets in it. */
void native_call(struct regs *r);
const uint8_t *native_target;
uint64_t native_regs, native_rax;
__asm__(".text\nnative_call:\n"
        "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "mov %rdi, native_regs(%rip); mov %rdi, %rax\n"
        "mov 0(%rax), %r15; mov 8(%rax), %r14; mov 16(%rax), %r13; mov 24(%rax), %r12; mov 32(%rax), %rbp\n"
        "mov 40(%rax), %rbx; mov 48(%rax), %r11; mov 56(%rax), %r10; mov 64(%rax), %r9; mov 72(%rax), %r8\n"
        "mov 88(%rax), %rcx; mov 96(%rax), %rdx; mov 104(%rax), %rsi; mov 112(%rax), %rdi\n"
        "pushq 144(%rax); popfq; mov 80(%rax), %rax\n"
        "call *native_target(%rip)\n"
        "mov %rax, native_rax(%rip); pushfq; mov native_regs(%rip), %rax; popq 144(%rax)\n"
        "mov %r15, 0(%rax); mov %r14, 8(%rax); mov %r13, 16(%rax); mov %r12, 24(%rax); mov %rbp, 32(%rax)\n"
        "mov %rbx, 40(%rax); mov %r11, 48(%rax); mov %r10, 56(%rax); mov %r9, 64(%rax); mov %r8, 72(%rax)\n"
        "mov %rcx, 88(%rax); mov %rdx, 96(%rax); mov %rsi, 104(%rax); mov %rdi, 112(%rax)\n"
        "mov native_rax(%rip), %rcx; mov %rcx, 80(%rax); cld\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n");

const uint8_t *host_native_code(void)
{
    static uint8_t *page;

    if (!page)
        page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        abort();
    return page;
}

void host_run_native(struct regs *r, const uint8_t *code, unsigned length)
{
    uint8_t *to = (uint8_t *)host_native_code();

    memcpy(to, code, length);
    to[length] = 0xc3;
    native_target = to;
    native_call(r);
}
