/* SPDX-License-Identifier: MIT */
/*
 * xenstore, as a worker uses it: blocking, each call retried for some seconds when xenstored is being restarted. A handle
 * belongs to one thread between store_get and store_put; a connection is kept for the next one.
 * Functions return 0 (or text), -1 (NULL) with errno as xenstore gave it; ENOTCONN: xenstored cannot be reached.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <xenstore.h>
#include "lib/report.h"

#define STORE_PATH_MAX 256
#define STORE_RETRY_S  30 /* how long a restart of xenstored may take */
#define STORE_OUTSIDE  0  /* no transaction (XBT_NULL) */
#define STORE_DOMAIN0  "/local/domain/0"

struct store;
struct store *store_get(void);
void store_put(struct store *s);

/* The caller frees. */
char *store_read(struct store *s, xs_transaction_t t, const char *path);
/* A number in a node; `otherwise` when there is none. */
long store_read_number(struct store *s, const char *path, long otherwise);
int store_write(struct store *s, xs_transaction_t t, const char *path, const char *value);
/* The same, of a node `name` below `dir`, printed. */
int store_print(struct store *s, xs_transaction_t t, const char *dir, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
int store_mkdir(struct store *s, xs_transaction_t t, const char *path);
/* Removes a node and what is below; none is fine. */
int store_remove(struct store *s, xs_transaction_t t, const char *path);
/* The owner may do all; `reader` may read (the owner again: nobody else). New children inherit that. */
int store_set_access(struct store *s, xs_transaction_t t, const char *path, uint32_t owner, uint32_t reader);
/* Children's names, *count of them, freed as one; NULL none. */
char **store_list(struct store *s, const char *path, unsigned *count);

/* Runs `body` in a transaction, again when another changed the same nodes or the connection broke: body may run many times. */
typedef int store_body_fn(struct store *s, xs_transaction_t t, void *arg);
int store_transact(struct store *s, store_body_fn *body, void *arg);

int store_introduce(struct store *s, uint32_t domid, uint64_t mfn, uint32_t port);
/* xenstored lets go of the domain's ring; a domain it does not know is fine. */
int store_release(struct store *s, uint32_t domid);

/* Waits until `accept` likes the node's value (NULL: it is absent), looking at each change. 0; -1: not within the time (errno
 * ETIMEDOUT), or no xenstored. */
typedef bool store_accept_fn(const char *value, void *arg);
int store_wait(struct store *s, const char *path, store_accept_fn *accept, void *arg, unsigned timeout_s);

/* A connection to the socket, nothing else; NULL with errno. For the loop's watches. */
struct xs_handle *store_connect(void);
/* A bare connection that is never spoken on, -1: it becomes readable when xenstored ends, of which a handle with watches does not
 * tell. */
int store_guard(void);
/* Has the call failed because of the connection? */
bool store_error_is_connection(int error);
