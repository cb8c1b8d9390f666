/* SPDX-License-Identifier: MIT */
/*
 * modify_ldt: data segments with a base, reading the table back, inheritance by fork, 32-bit code reached through
 * an own descriptor, a selector that vanishes under a running thread, and the refusal of a cleared one.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SELECTOR(i) ((i) << 3 | 7)

static sigjmp_buf after_fault;
static int failures;

static void check(int ok, const char *what)
{
    printf("ldt: %s %s\n", what, ok ? "ok" : "FAILED");
    failures += !ok;
}

static void on_fault(int sig)
{
    siglongjmp(after_fault, sig);
}

static int set_entry(unsigned index, const void *base, unsigned limit, int code)
{
    struct user_desc d = {.entry_number = index,
                          .base_addr = (uintptr_t)base,
                          .limit = limit,
                          .seg_32bit = 1,
                          .contents = code ? 2 : 0,
                          .useable = 1};
    return syscall(SYS_modify_ldt, 0x11, &d, sizeof d);
}

static int clear_entry(unsigned index)
{
    struct user_desc d = {.entry_number = index, .read_exec_only = 1, .seg_not_present = 1};
    return syscall(SYS_modify_ldt, 0x11, &d, sizeof d);
}

/* The word at offset 0 of the segment, through %gs (which 64-bit C leaves alone). */
static uint32_t load_through(unsigned selector)
{
    uint32_t value;
    __asm__ volatile("mov %1, %%gs\n\tmovl %%gs:0, %0\n\tmov %2, %%gs"
                     : "=r"(value)
                     : "r"(selector), "r"(0)
                     : "memory");
    return value;
}

static void *low_page(int prot)
{
    void *p = mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (p == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return p;
}

/* Calls mov $0x1234567,%eax; lret in a 32-bit segment of our own and comes back to 64-bit code. */
static uint32_t call_32bit(unsigned index)
{
    static const uint8_t text[] = {0xb8, 0x67, 0x45, 0x23, 0x01, 0xcb};
    uint8_t *code = low_page(PROT_READ | PROT_WRITE | PROT_EXEC), *stack = low_page(PROT_READ | PROT_WRITE);
    struct {
        uint32_t offset;
        uint16_t selector;
    } __attribute__((packed)) target = {0, SELECTOR(index)};
    uint32_t value = 0;
    memcpy(code, text, sizeof text);
    if (set_entry(index, code, 4095, 1))
        return 0;
    /* The far call pushes 32-bit words, and the far return takes an offset below 4 GiB: static, non-PIE program. */
    __asm__ volatile("mov %%rsp, %%rbx\n\tmov %2, %%rsp\n\tlcall *(%1)\n\tmov %%rbx, %%rsp"
                     : "=a"(value)
                     : "r"(&target), "r"(stack + 4096 - 64)
                     : "rbx", "memory", "cc");
    return value;
}

static volatile int stop, loads;

static void *user_of_entry(void *unused)
{
    uint32_t *page = unused;
    while (!stop) {
        if (sigsetjmp(after_fault, 1) == 0) {
            __asm__ volatile("mov %0, %%gs" ::"r"(SELECTOR(5)));
            sched_yield();
            loads++;
        }
    }
    __asm__ volatile("mov %0, %%gs" ::"r"(0));
    return page;
}

/* Another thread's %gs holds a selector while this one clears and sets it: returning to it must survive. */
static int vanishing_selector(uint32_t *page)
{
    pthread_t thread;
    if (set_entry(5, page, 4095, 0) || pthread_create(&thread, NULL, user_of_entry, page))
        return 0;
    for (int i = 0; i < 500; i++) {
        clear_entry(5);
        sched_yield();
        set_entry(5, page, 4095, 0);
        sched_yield();
    }
    stop = 1;
    pthread_join(thread, NULL);
    return loads > 0;
}

int main(void)
{
    uint32_t *page = low_page(PROT_READ | PROT_WRITE);
    uint64_t table[8192];
    int ok = 1, status;
    struct sigaction act = {.sa_handler = on_fault};
    sigaction(SIGSEGV, &act, NULL);

    for (unsigned i = 0; i < 512; i++)
        ok &= set_entry(i, page + i, 4095 - 4 * i, 0) == 0;
    for (unsigned i = 0; i < 512; i++)
        page[i] = i * 7 + 1;
    for (unsigned i = 0; ok && i < 512; i++)
        ok &= load_through(SELECTOR(i)) == i * 7 + 1;
    check(ok, "data segments");
    check(syscall(SYS_modify_ldt, 0, table, sizeof table) >= 512 * 8 && table[511], "reading back");

    pid_t child = fork();
    if (child == 0)
        _exit(load_through(SELECTOR(100)) == 701 ? 0 : 1);
    waitpid(child, &status, 0);
    check(status == 0, "inheritance");

    check(call_32bit(600) == 0x1234567, "32-bit code");
    check(vanishing_selector(page), "vanishing selector");

    ok = clear_entry(100) == 0;
    if (ok && sigsetjmp(after_fault, 1) == 0) {
        load_through(SELECTOR(100));
        ok = 0;
    }
    check(ok, "cleared entry refused");
    return failures != 0;
}
