/* SPDX-License-Identifier: MIT */
/*
 * Clocks that never go back: one thread per CPU reads the clocks for as many seconds as told and compares each
 * reading with its own last one and with the latest that any CPU has published. Exits 1 when time went back.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const struct {
    clockid_t id;
    const char *name;
} clocks[] = {{CLOCK_MONOTONIC, "monotonic"},
              {CLOCK_MONOTONIC_RAW, "raw"},
              {CLOCK_REALTIME, "realtime"},
              {CLOCK_BOOTTIME, "boottime"}};
#define CLOCKS (sizeof clocks / sizeof clocks[0])

static int64_t latest[CLOCKS];
static uint64_t readings, backwards;
static int64_t end;

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Publishes `now` unless another CPU has a later one already. */
static void publish(int64_t *place, int64_t now)
{
    int64_t seen = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    while (seen < now && !__atomic_compare_exchange_n(place, &seen, now, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
}

static void *reader(void *arg)
{
    long cpu = (long)arg;
    cpu_set_t set;
    uint64_t n = 0;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) {
        perror("sched_setaffinity");
        exit(2);
    }
    while (read_clock(CLOCK_MONOTONIC) < end) {
        for (unsigned i = 0; i < CLOCKS; i++) {
            int64_t before = __atomic_load_n(&latest[i], __ATOMIC_ACQUIRE);
            int64_t now = read_clock(clocks[i].id);
            if (now < before) {
                __atomic_fetch_add(&backwards, 1, __ATOMIC_RELAXED);
                printf("clocks: %s went back by %lld ns on CPU %ld\n", clocks[i].name, (long long)(before - now), cpu);
            }
            publish(&latest[i], now);
            n++;
        }
    }
    __atomic_fetch_add(&readings, n, __ATOMIC_RELAXED);
    return NULL;
}

int main(int argc, char **argv)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_t threads[cpus];
    end = read_clock(CLOCK_MONOTONIC) + (argc > 1 ? atol(argv[1]) : 5) * 1000000000LL;
    for (long i = 0; i < cpus; i++)
        if (pthread_create(&threads[i], NULL, reader, (void *)i))
            return 2;
    for (long i = 0; i < cpus; i++)
        pthread_join(threads[i], NULL);
    printf("clocks: %llu readings on %ld CPUs, %llu backwards\n", (unsigned long long)readings, cpus,
           (unsigned long long)backwards);
    return backwards != 0;
}
