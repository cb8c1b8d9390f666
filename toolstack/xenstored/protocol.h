/* SPDX-License-Identifier: MIT */
/*
 * The wire protocol (Xen's docs/misc/xenstore.txt, io/xs_wire.h): one table names every request, its handler, and
 * who may make it. A handler checks, makes one call, and leaves its reply here; what follows from success (events)
 * happens after the reply has been queued.
 */
#ifndef XENSTORED_PROTOCOL_H
#define XENSTORED_PROTOCOL_H

#include "xenstored/connection.h"

struct request {
    struct connection *conn;
    struct transaction *tx; /* NULL: none */
    struct xsd_sockmsg head;
    char *payload; /* head.len bytes and a zero */

    /* Left by the handler for after the reply. */
    struct changes done;
    struct watch *watch;
    bool special;
    enum special which;
    unsigned domid;
};

/*
 * Performs a request and queues the reply and the events; what is to last is in the journal's record in
 * preparation.
 */
void protocol_perform(struct connection *conn, const struct xsd_sockmsg *head, char *payload);
/* Makes what was performed lasting and then visible. */
void protocol_finish(void);

/* A line for each request into this file. Dies if it cannot be opened. */
void protocol_trace(const char *file);

/* For handlers. The payload as strings, each with its zero, exactly as many as asked for: -EINVAL otherwise. */
int request_strings(const struct request *request, unsigned count, const char *string[]);
/* The same with any number of further strings behind them. */
int request_more_strings(const struct request *request, unsigned count, const char *string[], const char **rest);

/* For handlers: adds to the reply. -E2BIG: it would be too long. Without any the reply is "OK". */
int reply_add(const void *bytes, uint32_t len);
/* Adds a string with its zero. */
int reply_string(const char *string);
uint32_t reply_room(void);

typedef int handler(struct request *request);
handler op_directory, op_directory_part, op_read, op_get_perms, op_write, op_mkdir, op_rm, op_set_perms;
handler op_watch, op_unwatch, op_reset_watches, op_transaction_start, op_transaction_end;
handler op_introduce, op_release, op_get_domain_path, op_is_domain_introduced, op_resume, op_set_target, op_control;

#endif
