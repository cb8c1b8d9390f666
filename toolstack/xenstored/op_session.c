/* SPDX-License-Identifier: MIT */
/* Requests about what belongs to a connection: watches and transactions. */
#include "xenstored/persist.h"
#include "xenstored/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int op_watch(struct request *request)
{
    const char *string[2], *rest, *end = request->payload + request->head.len;
    struct path path;
    uint64_t depth = 0;
    bool limited;
    int error = request_more_strings(request, 2, string, &rest);

    if (!error)
        error = path_parse_watch(&path, request->conn->who.domid, string[0]);
    limited = !error && rest < end && *rest;
    if (limited && !parse_number(rest, XENSTORE_ABS_PATH_MAX, &depth))
        error = -EINVAL;
    if (!error)
        error = watch_add(request->conn, &path, string[1], limited ? (int32_t)depth : ANY_DEPTH, &request->watch);
    if (!error)
        persist_watch(request->watch);
    return error;
}

int op_unwatch(struct request *request)
{
    const char *string[2], *rest;
    struct path path;
    int error = request_more_strings(request, 2, string, &rest);

    if (!error)
        error = path_parse_watch(&path, request->conn->who.domid, string[0]);
    if (!error)
        error = watch_remove(request->conn, &path, string[1]);
    if (!error)
        persist_unwatch(request->conn, &path, string[1]);
    return error;
}

int op_reset_watches(struct request *request)
{
    connection_reset(request->conn);
    persist_reset(request->conn);
    return 0;
}

int op_transaction_start(struct request *request)
{
    struct connection *conn = request->conn;
    struct transaction *tx;
    char id[12];

    if (request->head.tx_id)
        return -EBUSY;
    if (conn->who.domid && quota_over(QUOTA_TRANSACTIONS, conn->transaction_count + 1))
        return -ENOSPC;
    do
        conn->last_transaction++;
    while (!conn->last_transaction || connection_transaction(conn, conn->last_transaction));
    tx = transaction_new(conn->last_transaction, conn->who.domid);
    TAILQ_INSERT_TAIL(&conn->transactions, tx, of_connection);
    conn->transaction_count++;
    persist_transaction(conn, tx->id, true);
    snprintf(id, sizeof(id), "%u", tx->id);
    return reply_string(id);
}

int op_transaction_end(struct request *request)
{
    struct connection *conn = request->conn;
    const char *word;
    int error = request_strings(request, 1, &word);

    if (error || !request->tx)
        return error ? error : -ENOENT;
    if (strcmp(word, "T") && strcmp(word, "F"))
        return -EINVAL;
    if (word[0] == 'T')
        error = transaction_commit(request->tx, &request->done);
    TAILQ_REMOVE(&conn->transactions, request->tx, of_connection);
    conn->transaction_count--;
    persist_transaction(conn, request->tx->id, false);
    transaction_free(request->tx);
    return error;
}
