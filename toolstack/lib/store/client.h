/* SPDX-License-Identifier: MIT */
/*
 * A connection to xenstored's socket for one thread: requests with their answers, and requests whose answers are gathered later,
 * many in one trip. Without watches; those, and waiting for them, are libxenstore's.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <xenstore.h>

struct store_client;

/* NULL with errno: xenstored cannot be reached. */
struct store_client *store_client_open(void);
void store_client_close(struct store_client *c);

/* A request's payload: `count` pieces one behind the other. */
struct store_piece {
    const void *bytes;
    unsigned len;
};

/* Makes a request (XS_*) after those that wait, and waits for the answer: its payload with a NUL behind, which the caller frees; its
 * length in *len, unless NULL. NULL with xenstored's errno, or with the first one of those that waited: then the request has not
 * been made. EPIPE: the connection has ended; it is of no use any more. */
char *store_client_call(struct store_client *c, uint32_t type, xs_transaction_t t, const struct store_piece *pieces,
                        unsigned count, unsigned *len);

/* The same, but waits for no answer and gives none: it goes out with the next call, or when many wait. -1: it is too long, or one
 * before it has failed. */
int store_client_queue(struct store_client *c, uint32_t type, xs_transaction_t t, const struct store_piece *pieces,
                       unsigned count);

/* Waits until all that were queued are answered. -1 with the first error since the last time. */
int store_client_settle(struct store_client *c);
