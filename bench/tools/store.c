/* SPDX-License-Identifier: MIT */
/*
 * Costs of the store over its socket, in nanoseconds each, averaged: "write N", "read N", "transaction N" (of ten writes) as our
 * tools do it, and "lib_write N" and so on with libxenstore.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xenstore.h>
#include <xen/io/xs_wire.h>
#include "lib/store/client.h"

#define ROUNDS 500

static struct store_client *own;
static struct xs_handle *lib;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

/* ---- As our tools do it ---- */

#define NODES 50

static char paths[NODES][32];
static unsigned lengths[NODES]; /* with the NUL */

static void make_paths(void)
{
    for (int i = 0; i < NODES; i++)
        lengths[i] = (unsigned)snprintf(paths[i], sizeof(paths[i]), "/bench/node%d", i) + 1;
}

static char *ask(uint32_t type, xs_transaction_t t, const char *text, unsigned len)
{
    char *answer = store_client_call(own, type, t, &(struct store_piece){text, len}, 1, NULL);

    must(answer != NULL, "a call");
    return answer;
}

static void write_own(xs_transaction_t t, int i)
{
    char value[32];
    struct store_piece pieces[2] = {{paths[i % NODES], lengths[i % NODES]}, {value, 0}};

    pieces[1].len = (unsigned)snprintf(value, sizeof(value), "value %d", i);
    if (t)
        must(!store_client_queue(own, XS_WRITE, t, pieces, 2), "a write");
    else
        free(store_client_call(own, XS_WRITE, t, pieces, 2, NULL));
}

static void one_write(int i)
{
    write_own(0, i);
}

static void one_read(int i)
{
    free(ask(XS_READ, 0, paths[i % NODES], lengths[i % NODES]));
}

static void one_transaction(int i)
{
    char *id = ask(XS_TRANSACTION_START, 0, "", 1);
    xs_transaction_t t = (xs_transaction_t)strtoul(id, NULL, 10);

    free(id);
    for (int j = 0; j < 10; j++)
        write_own(t, i * 10 + j);
    must(!store_client_settle(own), "the writes");
    free(ask(XS_TRANSACTION_END, t, "T", 2));
}

/* ---- With libxenstore ---- */

static void write_lib(xs_transaction_t t, int i)
{
    char value[32];

    snprintf(value, sizeof(value), "value %d", i);
    must(xs_write(lib, t, paths[i % NODES], value, (unsigned)strlen(value)), "xs_write");
}

static void lib_write(int i)
{
    write_lib(XBT_NULL, i);
}

static void lib_read(int i)
{
    unsigned length;
    void *value = xs_read(lib, XBT_NULL, paths[i % NODES], &length);

    must(value != NULL, "xs_read");
    free(value);
}

static void lib_transaction(int i)
{
    xs_transaction_t t = xs_transaction_start(lib);

    must(t != XBT_NULL, "xs_transaction_start");
    for (int j = 0; j < 10; j++)
        write_lib(t, i * 10 + j);
    must(xs_transaction_end(lib, t, false), "xs_transaction_end");
}

/* ---- Measuring ---- */

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void measure(const char *name, void (*fn)(int i), int rounds)
{
    double begin = now_ns();

    for (int i = 0; i < rounds; i++)
        fn(i);
    printf("%s %.0f\n", name, (now_ns() - begin) / rounds);
}

int main(void)
{
    own = store_client_open();
    lib = xs_open(0);
    must(own && lib, "xenstored");
    make_paths();
    for (int i = 0; i < NODES; i++)
        one_write(i);
    measure("write", one_write, ROUNDS);
    measure("read", one_read, ROUNDS);
    measure("transaction", one_transaction, ROUNDS / 10);
    measure("lib_write", lib_write, ROUNDS);
    measure("lib_read", lib_read, ROUNDS);
    measure("lib_transaction", lib_transaction, ROUNDS / 10);
    must(xs_rm(lib, XBT_NULL, "/bench"), "xs_rm");
    xs_close(lib);
    store_client_close(own);
    return 0;
}
