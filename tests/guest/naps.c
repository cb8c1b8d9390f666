/* SPDX-License-Identifier: MIT */
/*
 * How late sleeps end: 200 sleeps to an absolute time, 3 to 12 ms ahead. Prints the median, the 90th percentile
 * and the longest delay in microseconds; exits 1 when one ended early.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NAPS 200

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(void)
{
    int64_t late[NAPS];
    int early = 0;
    for (int i = 0; i < NAPS; i++) {
        int64_t until = now() + (3 + i % 10) * 1000000LL;
        struct timespec t = {until / 1000000000, until % 1000000000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
            ;
        late[i] = now() - until;
        early += late[i] < 0;
    }
    qsort(late, NAPS, sizeof late[0], compare);
    printf("naps: median %lld us, 90%% %lld us, longest %lld us late; %d early\n", (long long)late[NAPS / 2] / 1000,
           (long long)late[NAPS * 9 / 10] / 1000, (long long)late[NAPS - 1] / 1000, early);
    return early != 0;
}
