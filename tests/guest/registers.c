/* SPDX-License-Identifier: MIT */
/*
 * What a program has in its registers is there still after each system call, signal and interrupt: several processes of
 * a CPU fill the registers with values of their own, call the kernel or spin, and compare. Argument: seconds.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN 3

/* rbx rsi rdi rbp r8 r9 r10 r12 r13 r14 r15 rdx, then rcx and r11 where nothing else is in them, rip and rflags */
struct image {
    uint64_t reg[12], rcx, r11, behind, flags;
};

extern void pass_call(const struct image *in, struct image *out, uint64_t call);
extern void pass_spin(const struct image *in, struct image *out, uint64_t rounds);

/* The stack pointer is compared by coming back at all. rax: the call's number, or how often to go round. */
#define PASS(name, before, body)                                                                                       \
    __asm__(".pushsection .text\n.globl " name "\n" name ":\n"                                                         \
            "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n push %rsi\n"                      \
            "mov %rdx, %rax\n mov %rdi, %rdx\n" before                                                                 \
            "mov 0(%rdx), %rbx\n mov 8(%rdx), %rsi\n mov 16(%rdx), %rdi\n mov 24(%rdx), %rbp\n mov 32(%rdx), %r8\n"    \
            "mov 40(%rdx), %r9\n mov 48(%rdx), %r10\n mov 56(%rdx), %r12\n mov 64(%rdx), %r13\n mov 72(%rdx), %r14\n"  \
            "mov 80(%rdx), %r15\n mov 88(%rdx), %rdx\n" body                                                           \
            "1: xchg (%rsp), %rsi\n mov %rbx, 0(%rsi)\n mov %rdi, 16(%rsi)\n mov %rbp, 24(%rsi)\n mov %r8, 32(%rsi)\n" \
            "mov %r9, 40(%rsi)\n mov %r10, 48(%rsi)\n mov %r12, 56(%rsi)\n mov %r13, 64(%rsi)\n mov %r14, 72(%rsi)\n"  \
            "mov %r15, 80(%rsi)\n mov %rdx, 88(%rsi)\n mov %rcx, 96(%rsi)\n mov %r11, 104(%rsi)\n"                     \
            "lea 1b(%rip), %rcx\n mov %rcx, 112(%rsi)\n pushf\n pop 120(%rsi)\n pop 8(%rsi)\n"                         \
            "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n.popsection\n")
PASS("pass_call", "", "syscall\n");
PASS("pass_spin", "mov 96(%rdx), %rcx\n mov 104(%rdx), %r11\n", "2: dec %rax\n jnz 2b\n");

static volatile sig_atomic_t ticks;

static void on_tick(int sig)
{
    ticks += sig;
}

static uint64_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005UL + 1442695040888963407UL;
    return *seed ^ *seed >> 29;
}

static void differs(const char *what, unsigned i, uint64_t is, uint64_t was)
{
    printf("FAILED: %s: value %u is %lx, was %lx\n", what, i, is, was);
    exit(1);
}

static void compare(const char *what, const struct image *in, const struct image *out)
{
    for (unsigned i = 0; i < 12; i++)
        if (in->reg[i] != out->reg[i])
            differs(what, i, out->reg[i], in->reg[i]);
}

/* getppid (110), sched_yield (24), a number that no call has. */
static void one_round(uint64_t *seed)
{
    static const uint64_t calls[] = {110, 110, 24, 100000};
    struct image in, out;

    for (unsigned i = 0; i < 12; i++)
        in.reg[i] = next(seed);
    in.rcx = next(seed);
    in.r11 = next(seed);
    pass_call(&in, &out, calls[next(seed) % 4]);
    compare("a system call", &in, &out);
    if (out.rcx != out.behind || (out.r11 ^ out.flags) & ~0x8d5UL) /* but the flags of arithmetic */
        differs("a system call's rcx and r11", 0, out.rcx, out.behind);
    pass_spin(&in, &out, 2000);
    compare("interrupts", &in, &out);
    if (out.rcx != in.rcx || out.r11 != in.r11)
        differs("interrupts' rcx and r11", 0, out.rcx, in.rcx);
}

static void run(uint64_t seed, int seconds)
{
    const struct itimerval often = {{0, 1000}, {0, 1000}};
    time_t end = time(NULL) + seconds;

    signal(SIGALRM, on_tick);
    setitimer(ITIMER_REAL, &often, NULL);
    while (time(NULL) < end)
        for (int i = 0; i < 100; i++)
            one_round(&seed);
    if (!ticks)
        differs("signals", 0, 0, 1);
    exit(0);
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 5, failed = 0, status;

    for (int i = 0; i < CHILDREN; i++)
        if (!fork())
            run((uint64_t)i + 1, seconds);
    for (int i = 0; i < CHILDREN; i++) {
        wait(&status);
        failed += status != 0;
    }
    if (!failed)
        puts("registers: all as they were");
    return failed ? 1 : 0;
}
