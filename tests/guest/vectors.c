/* SPDX-License-Identifier: MIT */
/*
 * FPU, SSE and AVX registers across context switches and signals: several processes per CPU fill them with values
 * of their own, give the CPU away in different manners, and compare. Argument: seconds.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct image {
    uint8_t ymm[16][32] __attribute__((aligned(32)));
    double x87;
    uint32_t mxcsr;
};

static volatile sig_atomic_t ticks;

static void on_tick(int sig)
{
    volatile double x = ticks + sig;
    ticks++;
    x = x * 3.25;
    (void)x;
}

#define EACH(op)     op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define LOAD(n)      "vmovdqu " #n "*32(%0), %%ymm" #n "\n\t"
#define STORE(n)     "vmovdqu %%ymm" #n ", " #n "*32(%1)\n\t"
#define SSE_LOAD(n)  "movdqu " #n "*32(%0), %%xmm" #n "\n\t"
#define SSE_STORE(n) "movdqu %%xmm" #n ", " #n "*32(%1)\n\t"

/* Between load and store the CPU is given away: mode 0 spins, 1 yields, 2 sleeps (system calls 24 and 35). */
#define BODY(load, store)                                                                                              \
    __asm__ volatile(                                                                                                  \
        "ldmxcsr %4\n\tfldl %3\n\t" EACH(                                                                              \
            load) "mov $4000, %%r8\n\t"                                                                                \
                  "1: pause\n\tdec %%r8\n\tjnz 1b\n\t"                                                                 \
                  "test %%r9, %%r9\n\tjz 2f\n\tmov %%r9, %%rax\n\tmov %%r10, %%rdi\n\txor %%esi, %%esi\n\tsyscall\n\t" \
                  "2: " EACH(store) "fstpl %5\n\tstmxcsr %6"                                                           \
        :                                                                                                              \
        : "r"(in->ymm), "r"(out->ymm), "r"(r9), "m"(in->x87), "m"(in->mxcsr), "m"(out->x87), "m"(out->mxcsr), "r"(r10) \
        : "rax", "rcx", "r8", "r11", "rdi", "rsi", "memory", "cc")

__attribute__((target("avx"))) static void pass_avx(const struct image *in, struct image *out, int mode)
{
    static const struct timespec nap = {0, 200000};
    register uint64_t r9 __asm__("r9") = mode == 0 ? 0 : mode == 1 ? 24 : 35;
    register const void *r10 __asm__("r10") = &nap;
    BODY(LOAD, STORE);
}

static void pass_sse(const struct image *in, struct image *out, int mode)
{
    static const struct timespec nap = {0, 200000};
    register uint64_t r9 __asm__("r9") = mode == 0 ? 0 : mode == 1 ? 24 : 35;
    register const void *r10 __asm__("r10") = &nap;
    BODY(SSE_LOAD, SSE_STORE);
}

static void report(const struct image *in, const struct image *out, unsigned id, unsigned round)
{
    printf("vectors: process %u round %u: x87 %g was %g, mxcsr %#x was %#x;", id, round, out->x87, in->x87, out->mxcsr,
           in->mxcsr);
    for (unsigned r = 0; r < 16; r++)
        for (unsigned half = 0; half < 32; half += 16)
            if (memcmp(in->ymm[r] + half, out->ymm[r] + half, 16))
                printf(" %s%u", half ? "upper half of ymm" : "xmm", r);
    printf("\n");
}

static int worker(unsigned id, time_t until, int avx)
{
    struct image in, out;
    struct sigaction act = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct itimerspec every = {{0, 3000000 + id * 100000}, {0, 3000000}};
    unsigned rounds = 0;
    sigaction(SIGALRM, &act, NULL);
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    timer_settime(timer, 0, &every, NULL);
    do {
        memset(&in, 0, sizeof in);
        memset(&out, 0, sizeof out);
        for (unsigned r = 0; r < 16; r++)
            for (unsigned b = 0; b < (avx ? 32 : 16); b++)
                in.ymm[r][b] = id * 31 + r * 17 + b * 3 + rounds;
        in.x87 = id + rounds * 0.5;
        in.mxcsr = 0x1f80 | (id & 3) << 13;
        if (avx)
            pass_avx(&in, &out, rounds % 3);
        else
            pass_sse(&in, &out, rounds % 3);
        if (memcmp(in.ymm, out.ymm, sizeof in.ymm) || in.x87 != out.x87 || in.mxcsr != out.mxcsr) {
            report(&in, &out, id, rounds);
            return 1;
        }
        rounds++;
    } while (time(NULL) < until);
    return 0;
}

int main(int argc, char **argv)
{
    long workers = 3 * sysconf(_SC_NPROCESSORS_ONLN) + 1;
    time_t until = time(NULL) + (argc > 1 ? atol(argv[1]) : 5);
    int avx = __builtin_cpu_supports("avx"), status, bad = 0;
    for (long i = 0; i < workers; i++)
        if (fork() == 0) {
            int rc = worker(i + 1, until, avx);
            fflush(stdout);
            _exit(rc);
        }
    while (wait(&status) > 0)
        bad += status != 0;
    printf("vectors: %ld processes with %s, %d bad\n", workers, avx ? "AVX" : "SSE", bad);
    return bad != 0;
}
