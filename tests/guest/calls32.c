/* SPDX-License-Identifier: MIT */
/*
 * A 32-bit program without a library: system calls by int 0x80 and by the kernel's fast entry (the vDSO's:
 * SYSCALL or SYSENTER as the CPU has it), thread-local storage through %gs, and a signal handler's return.
 */
typedef unsigned int u32;

enum { NR_exit = 1, NR_write = 4, NR_getpid = 20, NR_kill = 37, NR_rt_sigaction = 174, NR_set_thread_area = 243 };
enum { AT_SYSINFO = 32, SIGUSR1 = 10, SA_RESTORER = 0x04000000 };

struct user_desc {
    u32 entry, base, limit, flags;
};
struct action {
    void (*handler)(int);
    u32 flags;
    void (*restorer)(void);
    u32 mask[2];
};

static u32 fast_entry;
static volatile int signals;
static u32 tls_word = 0xcafe;

static int int80(u32 nr, u32 a, u32 b, u32 c, u32 d)
{
    int r;
    __asm__ volatile("int $0x80" : "=a"(r) : "0"(nr), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    return r;
}

static int fast(u32 nr, u32 a, u32 b, u32 c)
{
    int r;
    __asm__ volatile("call *fast_entry" : "=a"(r) : "0"(nr), "b"(a), "c"(b), "d"(c) : "memory");
    return r;
}

static u32 length(const char *s)
{
    u32 n = 0;
    while (s[n])
        n++;
    return n;
}

static void say(const char *s)
{
    int80(NR_write, 1, (u32)s, length(s), 0);
}

static int check(int ok, const char *what)
{
    say("calls32: ");
    say(what);
    say(ok ? " ok\n" : " FAILED\n");
    return !ok;
}

static void on_signal(int sig)
{
    signals += sig == SIGUSR1;
}

void restore(void);
__asm__("restore: pop %eax\n\tmov $119, %eax\n\tint $0x80");

static int tls_works(void)
{
    struct user_desc d = {~0U, (u32)&tls_word, 0xfffff, 0x51};
    u32 value;
    if (int80(NR_set_thread_area, (u32)&d, 0, 0, 0))
        return 0;
    __asm__ volatile("mov %1, %%gs\n\tmovl %%gs:0, %0" : "=r"(value) : "r"(d.entry << 3 | 3));
    for (int i = 0; value == 0xcafe && i < 1000; i++) {
        int80(24, 0, 0, 0, 0); /* sched_yield */
        __asm__ volatile("movl %%gs:0, %0" : "=r"(value));
    }
    return value == 0xcafe;
}

__attribute__((used)) static void begin(u32 *stack)
{
    u32 argc = stack[0], *p = stack + 1 + argc + 1;
    int pid = int80(NR_getpid, 0, 0, 0, 0), failures = 0, ok;
    struct action act = {on_signal, SA_RESTORER, restore, {0, 0}};
    while (*p)
        p++;
    for (p++; p[0]; p += 2)
        if (p[0] == AT_SYSINFO)
            fast_entry = p[1];

    for (ok = 1; ok < 20000 && int80(NR_getpid, 1, 2, 3, 4) == pid; ok++)
        ;
    failures += check(pid > 0 && ok == 20000, "int 0x80");
    if (fast_entry) {
        for (ok = 1; ok < 20000 && fast(NR_getpid, 1, 2, 3) == pid; ok++)
            ;
        failures += check(ok == 20000, "fast call");
        failures += check(fast(9999, 0, 0, 0) == -38, "fast call without a number");
    } else {
        say("calls32: the kernel offers no fast call\n");
    }
    failures += check(tls_works(), "thread-local storage");
    int80(NR_rt_sigaction, SIGUSR1, (u32)&act, 0, 8);
    for (int i = 0; i < 1000; i++)
        fast_entry ? fast(NR_kill, pid, SIGUSR1, 0) : int80(NR_kill, pid, SIGUSR1, 0, 0);
    failures += check(signals == 1000, "signals");
    int80(NR_exit, failures, 0, 0, 0);
}

__asm__(
    ".globl _start\n_start:\n\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n\tcall begin\n\thlt");
