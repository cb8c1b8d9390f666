/* SPDX-License-Identifier: MIT */
/* Connections: turns, the queue of output and its limits, death. */
#include "xenstored/connection.h"
#include "xenstored/persist.h"

#include <stdlib.h>
#include <string.h>

struct connections connections = TAILQ_HEAD_INITIALIZER(connections);
static struct connections line = TAILQ_HEAD_INITIALIZER(line);
static struct connections outgoing = TAILQ_HEAD_INITIALIZER(outgoing);
static struct connections dead = TAILQ_HEAD_INITIALIZER(dead);

/* An empty queue keeps this much memory. */
#define OUTPUT_KEEP 512

void connection_init(struct connection *conn, const struct transport *transport, unsigned domid)
{
    *conn = (struct connection){.transport = transport, .who = {.domid = (uint16_t)domid, .target = NO_TARGET}};
    TAILQ_INIT(&conn->watches);
    TAILQ_INIT(&conn->transactions);
    TAILQ_INSERT_TAIL(&connections, conn, all);
}

void connection_reset(struct connection *conn)
{
    struct transaction *tx;

    watch_remove_all(conn);
    while ((tx = TAILQ_FIRST(&conn->transactions))) {
        TAILQ_REMOVE(&conn->transactions, tx, of_connection);
        transaction_free(tx);
    }
    conn->transaction_count = 0;
}

void connection_drop_output(struct connection *conn)
{
    buffer_clear(&conn->output, 0);
    conn->sent = 0;
}

void connection_kill(struct connection *conn)
{
    if (conn->dead)
        return;
    conn->dead = true;
    connection_reset(conn);
    if (conn->waits_turn)
        TAILQ_REMOVE(&line, conn, in_line);
    if (conn->has_output)
        TAILQ_REMOVE(&outgoing, conn, with_output);
    connection_drop_output(conn);
    TAILQ_REMOVE(&connections, conn, all);
    TAILQ_INSERT_TAIL(&dead, conn, all);
}

void connection_reap(void)
{
    struct connection *conn;

    while ((conn = TAILQ_FIRST(&dead))) {
        TAILQ_REMOVE(&dead, conn, all);
        conn->transport->release(conn);
    }
}

void connection_wake(struct connection *conn)
{
    if (conn->waits_turn || conn->dead)
        return;
    conn->waits_turn = true;
    TAILQ_INSERT_TAIL(&line, conn, in_line);
}

bool connection_waiting(void)
{
    return !TAILQ_EMPTY(&line);
}

void connection_turns(void)
{
    struct connection *last = TAILQ_LAST(&line, connections), *conn;

    while (last && (conn = TAILQ_FIRST(&line))) {
        bool end = conn == last;

        TAILQ_REMOVE(&line, conn, in_line);
        conn->waits_turn = false;
        if (conn->transport->turn(conn))
            connection_wake(conn);
        /* The last in line may have died in another's turn: one round is enough whatever happens. */
        if (end || last->dead)
            break;
    }
}

struct transaction *connection_transaction(struct connection *conn, uint32_t id)
{
    struct transaction *tx;

    TAILQ_FOREACH(tx, &conn->transactions, of_connection)
    if (tx->id == id)
        return tx;
    return NULL;
}

void connection_send(struct connection *conn, const void *message, uint32_t len)
{
    if (conn->dead)
        return;
    buffer_add(&conn->output, message, len);
    if (conn->transport->lasting)
        persist_output(conn, message, len);
    if (!conn->has_output) {
        conn->has_output = true;
        TAILQ_INSERT_TAIL(&outgoing, conn, with_output);
    }
}

static uint32_t message_len(const char *message)
{
    struct xsd_sockmsg head;

    memcpy(&head, message, sizeof(head));
    return (uint32_t)sizeof(head) + head.len;
}

/* Whether the same message waits and no byte of it has been sent. */
static bool queued(const struct connection *conn, const char *message, uint32_t len)
{
    const struct buffer *out = &conn->output;
    uint32_t at = out->start;

    if (conn->sent)
        at += message_len(out->data + at);
    for (; out->end - at >= len; at += message_len(out->data + at))
        if (!memcmp(out->data + at, message, len))
            return true;
    return false;
}

void connection_event(struct watch *watch, const char *path, uint32_t path_len)
{
    struct connection *conn = watch->conn;
    struct xsd_sockmsg head = {.type = XS_WATCH_EVENT};
    char message[sizeof(head) + XENSTORE_PAYLOAD_MAX];
    uint32_t len;

    /* Too much waits, or too long: "something below the watched path" is all that is told, and that once. */
    if (quota_over(QUOTA_OUTPUT_BYTES, buffer_size(&conn->output)) ||
        path_len - watch->base + watch->token_len + 2 > XENSTORE_PAYLOAD_MAX) {
        path = watch->text;
        path_len = watch->path_len;
    }
    path += watch->base;
    path_len -= watch->base;
    head.len = path_len + 1 + watch->token_len + 1;
    len = (uint32_t)sizeof(head) + head.len;
    memcpy(message, &head, sizeof(head));
    memcpy(message + sizeof(head), path, path_len);
    message[sizeof(head) + path_len] = 0;
    memcpy(message + sizeof(head) + path_len + 1, watch_token(watch), watch->token_len + 1);
    if (!queued(conn, message, len))
        connection_send(conn, message, len);
}

void connection_flush_all(void)
{
    struct connection *conn;

    while ((conn = TAILQ_FIRST(&outgoing))) {
        TAILQ_REMOVE(&outgoing, conn, with_output);
        conn->has_output = false;
        conn->transport->flush(conn);
    }
}

void connection_sent(struct connection *conn, uint32_t len)
{
    struct buffer *out = &conn->output;

    conn->sent += len;
    while (conn->sent && conn->sent >= message_len(out->data + out->start)) {
        conn->sent -= message_len(out->data + out->start);
        out->start += message_len(out->data + out->start);
        if (out->start == out->end) {
            buffer_clear(out, OUTPUT_KEEP);
            return;
        }
    }
}
