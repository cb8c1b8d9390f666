/* SPDX-License-Identifier: MIT */
/*
 * Debug registers by ptrace: a hardware watchpoint and a hardware breakpoint in a child stop it at the right place,
 * while another child without them runs free.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile long watched;
static int failures;

__attribute__((noinline)) static void place(void)
{
    __asm__ volatile("nop");
}

static void child(void)
{
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    for (int i = 0; i < 1000; i++)
        __asm__ volatile("pause");
    watched = 5;
    place();
    _exit(watched == 5 ? 0 : 1);
}

static long debug_register(int n)
{
    return offsetof(struct user, u_debugreg) + n * sizeof(long);
}

static void expect(const char *what, long got, long want)
{
    printf("watch: %s %s (%#lx)\n", what, got == want ? "ok" : "FAILED", got);
    failures += got != want;
}

int main(void)
{
    int status;
    pid_t free_child = fork();
    if (free_child == 0) {
        for (int i = 0; i < 2000000; i++)
            watched = i;
        place();
        _exit(0);
    }
    pid_t pid = fork();
    if (pid == 0)
        child();
    waitpid(pid, &status, 0);
    ptrace(PTRACE_POKEUSER, pid, debug_register(0), &watched);
    ptrace(PTRACE_POKEUSER, pid, debug_register(1), place);
    /* DR0: a write of 8 bytes; DR1: execution. */
    if (ptrace(PTRACE_POKEUSER, pid, debug_register(7), 1L << 0 | 9L << 16 | 1L << 2)) {
        perror("watch: DR7");
        return 1;
    }
    ptrace(PTRACE_CONT, pid, 0, 0);
    waitpid(pid, &status, 0);
    expect("stopped by the watchpoint", WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP, 1);
    expect("which says so", ptrace(PTRACE_PEEKUSER, pid, debug_register(6), 0) & 0xf, 1);
    expect("with the value there", ptrace(PTRACE_PEEKDATA, pid, &watched, 0), 5);
    ptrace(PTRACE_CONT, pid, 0, 0);
    waitpid(pid, &status, 0);
    struct user_regs_struct regs;
    ptrace(PTRACE_GETREGS, pid, 0, &regs);
    expect("stopped at the breakpoint", regs.rip, (long)place);
    ptrace(PTRACE_POKEUSER, pid, debug_register(7), 0);
    ptrace(PTRACE_CONT, pid, 0, 0);
    waitpid(pid, &status, 0);
    expect("child's end", status, 0);
    waitpid(free_child, &status, 0);
    expect("the other child's end", status, 0);
    return failures != 0;
}
