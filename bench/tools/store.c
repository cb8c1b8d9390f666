/* SPDX-License-Identifier: MIT */
/* Costs of the store over its socket: prints "write N", "read N", "transaction N" in nanoseconds each, averaged. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xenstore.h>

#define ROUNDS 500

static struct xs_handle *xs;

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static void write_one(xs_transaction_t t, int i)
{
    char path[64], value[32];

    snprintf(path, sizeof(path), "/bench/node%d", i % 50);
    snprintf(value, sizeof(value), "value %d", i);
    must(xs_write(xs, t, path, value, (unsigned)strlen(value)), "xs_write");
}

static void read_one(int i)
{
    char path[64];
    unsigned length;
    void *value;

    snprintf(path, sizeof(path), "/bench/node%d", i % 50);
    value = xs_read(xs, XBT_NULL, path, &length);
    must(value != NULL, "xs_read");
    free(value);
}

static void transaction(int i)
{
    xs_transaction_t t = xs_transaction_start(xs);

    must(t != XBT_NULL, "xs_transaction_start");
    for (int j = 0; j < 10; j++)
        write_one(t, i * 10 + j);
    must(xs_transaction_end(xs, t, false), "xs_transaction_end");
}

int main(void)
{
    double begin;

    xs = xs_open(0);
    must(xs != NULL, "xs_open");
    for (int i = 0; i < 50; i++)
        write_one(XBT_NULL, i);
    begin = now_ns();
    for (int i = 0; i < ROUNDS; i++)
        write_one(XBT_NULL, i);
    printf("write %.0f\n", (now_ns() - begin) / ROUNDS);
    begin = now_ns();
    for (int i = 0; i < ROUNDS; i++)
        read_one(i);
    printf("read %.0f\n", (now_ns() - begin) / ROUNDS);
    begin = now_ns();
    for (int i = 0; i < ROUNDS / 10; i++)
        transaction(i);
    printf("transaction %.0f\n", (now_ns() - begin) / (ROUNDS / 10));
    must(xs_rm(xs, XBT_NULL, "/bench"), "xs_rm");
    xs_close(xs);
    return 0;
}
