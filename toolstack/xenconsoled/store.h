/* SPDX-License-Identifier: MIT */
/*
 * The connection to xenstore, made again whenever xenstored is started again. libxenstore does not tell when xenstored has died, so a second
 * connection to its socket, on which nothing is said, is held and watched for its end.
 */
#pragma once
#include <stdbool.h>
#include <uv.h>
#include <xenstore.h>

struct store_user {
    void *context;
    void (*connected)(void *context);                  /* a new connection: nothing is watched on it yet */
    void (*changed)(void *context, const char *token); /* a watch with that token */
    void (*settled)(void *context);                    /* after one or more of `changed` */
};
struct store;
/* Starts trying; NULL: no memory. */
struct store *store_open(uv_loop_t *loop, const struct store_user *user);
/* NULL while there is no connection. Calls on it fail when xenstored dies; `connected` comes then, later. */
struct xs_handle *store_handle(struct store *s);
void store_close(struct store *s);
