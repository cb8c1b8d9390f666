/* SPDX-License-Identifier: MIT */
/*
 * Connections: what a client over a socket and one over a ring have in common. Who it is, its watches and
 * transactions, its queue of output, its turn.
 *
 * Service is fair: connections with something to do stand in one line, and a turn makes at most TURN_REQUESTS
 * requests. A client that does not take its output gets no further request served, and its watch events are merged.
 * Output leaves the process only in connection_flush_all, after the journal has the effects (main.c, protocol.c).
 */
#ifndef XENSTORED_CONNECTION_H
#define XENSTORED_CONNECTION_H

#include "xenstored/transaction.h"
#include "xenstored/watch.h"

#define TURN_REQUESTS 16
/* No further request is served while this much output waits. */
#define OUTPUT_HIGH (2 * XENSTORE_PAYLOAD_MAX)

struct connection;

struct transport {
    /* Serves up to TURN_REQUESTS requests. True: there is more to do without waiting. */
    bool (*turn)(struct connection *conn);
    /* Sends what it can of the output. */
    void (*flush)(struct connection *conn);
    /* Frees a dead connection. */
    void (*release)(struct connection *conn);
    /* Its state outlives the process, so its output is to be journalled. */
    bool lasting;
};

struct connection {
    TAILQ_ENTRY(connection) all;
    TAILQ_ENTRY(connection) in_line;
    TAILQ_ENTRY(connection) with_output;
    const struct transport *transport;
    struct subject who;
    bool waits_turn, has_output, dead;
    struct watches watches;
    uint32_t watch_count;
    struct transactions transactions;
    uint32_t transaction_count;
    uint32_t last_transaction;
    /* Whole messages; of the first one, sent bytes are out already. */
    struct buffer output;
    uint32_t sent;
};

TAILQ_HEAD(connections, connection);
extern struct connections connections;

void connection_init(struct connection *conn, const struct transport *transport, unsigned domid);
/* Drops watches, transactions and output; the transport's release frees it at the end of the loop's round. */
void connection_kill(struct connection *conn);
/* Drops watches and transactions. */
void connection_reset(struct connection *conn);

/* Puts it into the line for a turn. */
void connection_wake(struct connection *conn);
/* Every connection in line gets one turn. connection_waiting: whether any is in line. */
void connection_turns(void);
bool connection_waiting(void);
/* Frees what has died since. */
void connection_reap(void);

struct transaction *connection_transaction(struct connection *conn, uint32_t id);

static inline bool connection_congested(const struct connection *conn)
{
    return buffer_size(&conn->output) > OUTPUT_HIGH;
}

/* The output that is still to be sent. */
static inline const char *connection_unsent(const struct connection *conn, uint32_t *len)
{
    *len = buffer_size(&conn->output) - conn->sent;
    return *len ? conn->output.data + conn->output.start + conn->sent : NULL;
}

/* Queues a message of len bytes (header included). */
void connection_send(struct connection *conn, const void *message, uint32_t len);
/* Queues the event path of a watch, unless the same one is queued already. */
void connection_event(struct watch *watch, const char *path, uint32_t path_len);
/* Lets every connection with new output send. */
void connection_flush_all(void);
/* For transports: len more bytes of the output have been sent. */
void connection_sent(struct connection *conn, uint32_t len);
void connection_drop_output(struct connection *conn);

#endif
