/* SPDX-License-Identifier: MIT */
/*
 * Every way a program can fault gives the right signal, and the program goes on: page faults, privileged
 * instructions, traps, software interrupts, and returns to user mode with a bad frame (the kernel's own IRET faults).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf after;
static volatile uintptr_t fault_address;
static volatile int steps, break_frame;
static int failures;

static void on_signal(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    greg_t *regs = u->uc_mcontext.gregs;
    fault_address = (uintptr_t)info->si_addr;
    if (sig == SIGUSR1) { /* makes the return frame bad */
        if (break_frame == 1)
            regs[REG_CSGSFS] = (regs[REG_CSGSFS] & ~(greg_t)0xffff) | 0x1234 | 3;
        if (break_frame == 2)
            regs[REG_CSGSFS] = (regs[REG_CSGSFS] & 0x0000ffffffffffff) | (greg_t)0x4563 << 48;
        if (break_frame == 3)
            regs[REG_RIP] = (greg_t)0x8000000000000000;
        break_frame = 0;
        return;
    }
    if (sig == SIGTRAP && regs[REG_EFL] & 0x100) {
        if (++steps == 10)
            regs[REG_EFL] &= ~(greg_t)0x100;
        return;
    }
    siglongjmp(after, sig);
}

static void expect(const char *what, int got, int want)
{
    if (got != want) {
        printf("faults: %s: signal %d, not %d\n", what, got, want);
        failures++;
    }
}

#define FAULT(what, want, code)                                                                                        \
    do {                                                                                                               \
        int got = sigsetjmp(after, 1);                                                                                 \
        if (got == 0) {                                                                                                \
            code;                                                                                                      \
        }                                                                                                              \
        expect(what, got, want);                                                                                       \
    } while (0)

static void bad_return(const char *what, int kind)
{
    break_frame = kind;
    FAULT(what, SIGSEGV, raise(SIGUSR1));
}

/* A pointer that the compiler knows nothing about. */
static volatile int *at(uintptr_t address)
{
    __asm__("" : "+r"(address));
    return (volatile int *)address;
}

static void page_faults(void)
{
    volatile uint8_t *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page[0] = 0xc3;
    FAULT("read of nothing", SIGSEGV, (void)*at(8));
    if (fault_address != 8)
        expect("address of the fault", (int)fault_address, 8);
    mprotect((void *)page, 4096, PROT_READ);
    FAULT("write to read-only", SIGSEGV, page[5] = 1);
    if (fault_address != (uintptr_t)page + 5)
        expect("address of the write", 0, 1);
    FAULT("call of data", SIGSEGV, ((void (*)(void))page)());
    mprotect((void *)page, 4096, PROT_READ | PROT_EXEC);
    FAULT("call of code", 0, ((void (*)(void))page)());
    FAULT("non-canonical read", SIGSEGV, (void)*at(0x8000000000000000));
    FAULT("read of the hypervisor's half", SIGSEGV, (void)*at(0xffff800000000000));
    FAULT("write to the hypervisor's half", SIGSEGV, *at(0xffff830000000000) = 1);
    FAULT("read of the kernel", SIGSEGV, (void)*at(0xffffffff81000000));
    FAULT("jump beyond", SIGSEGV, ((void (*)(void))0xffff900000000000)());
}

static void instructions(void)
{
    FAULT("ud2", SIGILL, __asm__ volatile("ud2"));
    FAULT("division by zero", SIGFPE, __asm__ volatile("div %0" ::"r"(0), "a"(1), "d"(0)));
    FAULT("int3", SIGTRAP, __asm__ volatile("int3"));
    FAULT("hlt", SIGSEGV, __asm__ volatile("hlt"));
    FAULT("cli", SIGSEGV, __asm__ volatile("cli"));
    FAULT("sti", SIGSEGV, __asm__ volatile("sti"));
    FAULT("in", SIGSEGV, __asm__ volatile("inb $0x80" ::: "rax"));
    FAULT("out", SIGSEGV, __asm__ volatile("outb %al, $0x80"));
    FAULT("wrmsr", SIGSEGV, __asm__ volatile("wrmsr" ::"a"(0), "d"(0), "c"(0xc0000100)));
    FAULT("rdmsr", SIGSEGV, __asm__ volatile("rdmsr" ::"c"(0x1b) : "rax", "rdx"));
    FAULT("mov to cr3", SIGSEGV, __asm__ volatile("mov %0, %%cr3" ::"r"(0UL)));
    FAULT("mov from cr0", SIGSEGV, __asm__ volatile("mov %%cr0, %0" : "=r"((unsigned long){0})));
    FAULT("invlpg", SIGSEGV, __asm__ volatile("invlpg (%0)" ::"r"(&failures)));
    FAULT("lgdt", SIGSEGV, __asm__ volatile("lgdt (%0)" ::"r"(&failures)));
    FAULT("swapgs", SIGSEGV, __asm__ volatile("swapgs"));
    FAULT("iret to nowhere", SIGSEGV,
          __asm__ volatile("push $0x2b\n\tpush %rsp\n\tpush $0x202\n\tpush $0x1233\n\tpush $1f\n\t1: iretq"));
    FAULT("int 0x81", SIGSEGV, __asm__ volatile("int $0x81"));
    FAULT("int 0x82", SIGSEGV, __asm__ volatile("int $0x82"));
    FAULT("int 0xe", SIGSEGV, __asm__ volatile("int $0xe"));
    FAULT("int 2", SIGSEGV, __asm__ volatile("int $2"));
    FAULT("bad selector", SIGSEGV, __asm__ volatile("mov %0, %%fs" ::"r"(0x1233)));
    FAULT("hypervisor's selector", SIGSEGV, __asm__ volatile("mov %0, %%es" ::"r"(0xe008)));
}

/* A hypervisor may serve this one for programs too; it must not break anything. */
static void forced_emulation(void)
{
    int got = sigsetjmp(after, 1);
    if (got == 0)
        __asm__ volatile("ud2; .ascii \"xen\"; cpuid" ::: "rax", "rbx", "rcx", "rdx");
    if (got)
        expect("forced-emulation cpuid", got, SIGILL);
}

static void stepping(void)
{
    steps = 0;
    __asm__ volatile("pushf\n\torq $0x100, (%rsp)\n\tpopf\n\t.rept 20\n\tnop\n\t.endr");
    expect("ten single steps", steps, 10);
    steps = 0;
    __asm__ volatile("pushf\n\torq $0x100, (%%rsp)\n\tpopf\n\tmov $39, %%eax\n\tsyscall\n\t.rept 20\n\tnop\n\t.endr" ::
                         : "rax", "rcx", "r11", "memory");
    expect("ten steps over a system call", steps, 10);
}

static void calls(void)
{
    long r;
    __asm__ volatile("int $0x80" : "=a"(r) : "0"(20));
    expect("int 0x80 from 64-bit code", (int)r, getpid());
    expect("a system call without a number", syscall(100000) == -1, 1);
    if (ioperm(0x80, 1, 1) == 0) {
        FAULT("out with permission", 0, outb(1, 0x80));
        FAULT("out without", SIGSEGV, outb(1, 0x81));
        ioperm(0x80, 1, 0);
        FAULT("out after taking it back", SIGSEGV, outb(1, 0x80));
    }
    if (iopl(3) == 0) {
        FAULT("out with iopl", 0, outb(1, 0x80));
        FAULT("in with iopl", 0, (void)inb(0x61));
        iopl(0);
    }
}

int main(void)
{
    static uint8_t stack[65536];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGUSR1};
    sigaltstack(&alternate, NULL);
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &act, NULL);
    for (int round = 0; round < 20; round++) {
        page_faults();
        instructions();
        forced_emulation();
        stepping();
        calls();
        bad_return("return to a bad code segment", 1);
        bad_return("return to a bad stack segment", 2);
        bad_return("return to a non-canonical address", 3);
    }
    printf("faults: %d wrong\n", failures);
    return failures != 0;
}
