/* SPDX-License-Identifier: MIT */
/*
 * Address spaces under work: processes that fork, exec, map, protect, move, punch and copy on write, and verify what
 * they find, for as many seconds as told. Page tables are pinned, changed and torn down all the time.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGES 600
#define PAGE  4096UL

static unsigned seed;

static unsigned pick(unsigned n)
{
    return rand_r(&seed) % n;
}

static void fill(uint8_t *area, unsigned pages, uint32_t salt)
{
    for (unsigned i = 0; i < pages; i++)
        *(uint32_t *)(area + i * PAGE + 16 * (i % 200)) = salt ^ i;
}

static int same(const uint8_t *area, unsigned pages, uint32_t salt)
{
    for (unsigned i = 0; i < pages; i++)
        if (*(const uint32_t *)(area + i * PAGE + 16 * (i % 200)) != (salt ^ i))
            return 0;
    return 1;
}

static int child_ends_with(pid_t pid, int want)
{
    int status;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == want;
}

/* One round; a text when something is not as it must be. */
static const char *round_of_work(char *self)
{
    uint32_t salt = rand_r(&seed);
    uint8_t *area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        return "mmap";
    fill(area, PAGES, salt);
    pid_t pid = fork();
    if (pid == 0) {
        int ok = same(area, PAGES, salt);
        fill(area, PAGES, ~salt);
        _exit(ok && same(area, PAGES, ~salt) ? 7 : 1);
    }
    fill(area, PAGES / 2, salt + 1);
    if (!child_ends_with(pid, 7))
        return "copy on write in the child";
    if (!same(area, PAGES / 2, salt + 1))
        return "copy on write in the parent";

    for (unsigned i = 0; i < 20; i++) {
        unsigned first = pick(PAGES - 8), count = 1 + pick(8);
        mprotect(area + first * PAGE, count * PAGE, PROT_READ);
        if (!same(area, PAGES / 2, salt + 1))
            return "reading what is read-only";
        mprotect(area + first * PAGE, count * PAGE, PROT_READ | PROT_WRITE);
    }
    area = mremap(area, PAGES * PAGE, 2 * PAGES * PAGE, MREMAP_MAYMOVE);
    if (area == MAP_FAILED || !same(area, PAGES / 2, salt + 1))
        return "mremap";
    madvise(area, PAGES / 4 * PAGE, MADV_DONTNEED);
    if (area[0] || area[PAGE * (PAGES / 4 - 1)])
        return "discarded pages read as zero";
    munmap(area, 2 * PAGES * PAGE);

    pid = vfork();
    if (pid == 0) {
        execl("/proc/self/exe", self, "child", NULL);
        _exit(1);
    }
    return child_ends_with(pid, 9) ? NULL : "exec";
}

static int worker(unsigned id, time_t until, char *self)
{
    unsigned rounds = 0;
    seed = id * 7919;
    do {
        const char *bad = round_of_work(self);
        if (bad) {
            printf("churn: process %u round %u: %s\n", id, rounds, bad);
            fflush(stdout);
            return 1;
        }
        rounds++;
    } while (time(NULL) < until);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "child"))
        return 9;
    time_t until = time(NULL) + (argc > 1 ? atol(argv[1]) : 5);
    long workers = 2 * sysconf(_SC_NPROCESSORS_ONLN);
    int status, bad = 0;
    for (long i = 0; i < workers; i++)
        if (fork() == 0)
            _exit(worker(i + 1, until, argv[0]));
    while (wait(&status) > 0)
        bad += status != 0;
    printf("churn: %ld processes, %d bad\n", workers, bad);
    return bad != 0;
}
