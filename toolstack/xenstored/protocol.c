/* SPDX-License-Identifier: MIT */
/* The table of requests, the way through it, replies, the trace. */
#include "xenstored/protocol.h"
#include "xenstored/journal.h"
#include "xenstored/persist.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    MAY_TX = 1,    /* belongs to the transaction whose id it has */
    DOMAIN_0 = 2,  /* only Domain 0 may make it */
    MAY_EMPTY = 4, /* the reply may be empty, that is not "OK" */
};

static const struct op {
    const char *name;
    handler *handler;
    unsigned flags;
} ops[XS_TYPE_COUNT] = {
    [XS_CONTROL] = {"CONTROL", op_control, DOMAIN_0},
    [XS_DIRECTORY] = {"DIRECTORY", op_directory, MAY_TX | MAY_EMPTY},
    [XS_READ] = {"READ", op_read, MAY_TX | MAY_EMPTY},
    [XS_GET_PERMS] = {"GET_PERMS", op_get_perms, MAY_TX},
    [XS_WATCH] = {"WATCH", op_watch, 0},
    [XS_UNWATCH] = {"UNWATCH", op_unwatch, 0},
    [XS_TRANSACTION_START] = {"TRANSACTION_START", op_transaction_start, 0},
    [XS_TRANSACTION_END] = {"TRANSACTION_END", op_transaction_end, MAY_TX},
    [XS_INTRODUCE] = {"INTRODUCE", op_introduce, DOMAIN_0},
    [XS_RELEASE] = {"RELEASE", op_release, DOMAIN_0},
    [XS_GET_DOMAIN_PATH] = {"GET_DOMAIN_PATH", op_get_domain_path, 0},
    [XS_WRITE] = {"WRITE", op_write, MAY_TX},
    [XS_MKDIR] = {"MKDIR", op_mkdir, MAY_TX},
    [XS_RM] = {"RM", op_rm, MAY_TX},
    [XS_SET_PERMS] = {"SET_PERMS", op_set_perms, MAY_TX},
    [XS_IS_DOMAIN_INTRODUCED] = {"IS_DOMAIN_INTRODUCED", op_is_domain_introduced, 0},
    [XS_RESUME] = {"RESUME", op_resume, DOMAIN_0},
    [XS_SET_TARGET] = {"SET_TARGET", op_set_target, DOMAIN_0},
    [XS_RESET_WATCHES] = {"RESET_WATCHES", op_reset_watches, 0},
    [XS_DIRECTORY_PART] = {"DIRECTORY_PART", op_directory_part, MAY_TX},
};

/* The one reply in the making. */
static struct {
    struct xsd_sockmsg head;
    char data[XENSTORE_PAYLOAD_MAX];
} reply;

static FILE *trace;

uint32_t reply_room(void)
{
    return (uint32_t)sizeof(reply.data) - reply.head.len;
}

int reply_add(const void *bytes, uint32_t len)
{
    if (len > reply_room())
        return -E2BIG;
    memcpy(reply.data + reply.head.len, bytes, len);
    reply.head.len += len;
    return 0;
}

int reply_string(const char *string)
{
    return reply_add(string, (uint32_t)strlen(string) + 1);
}

int request_more_strings(const struct request *request, unsigned count, const char *string[], const char **rest)
{
    const char *at = request->payload, *end = at + request->head.len;

    if (at == end || end[-1])
        return -EINVAL;
    for (unsigned i = 0; i < count; i++) {
        if (at == end)
            return -EINVAL;
        string[i] = at;
        at += strlen(at) + 1;
    }
    *rest = at;
    return 0;
}

int request_strings(const struct request *request, unsigned count, const char *string[])
{
    const char *rest;
    int error = request_more_strings(request, count, string, &rest);

    return error ? error : rest == request->payload + request->head.len ? 0 : -EINVAL;
}

static const char *error_name(int error)
{
    for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
        if (xsd_errors[i].errnum == -error)
            return xsd_errors[i].errstring;
    return "EINVAL";
}

static void trace_request(const struct request *request, const struct op *op, int error)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    fprintf(trace, "%lld.%06ld d%u%s %s tx %u: ", (long long)now.tv_sec, now.tv_nsec / 1000, request->conn->who.domid,
            request->conn->transport->lasting ? "" : " socket", op ? op->name : "unknown", request->head.tx_id);
    for (uint32_t i = 0; i < request->head.len; i++) {
        char c = request->payload[i];

        fputc(c >= ' ' && c <= '~' ? c : c ? '?' : '|', trace);
    }
    fprintf(trace, " -> %s, %u bytes\n", error ? error_name(error) : "OK", reply.head.len);
    fflush(trace);
}

static int perform(struct request *request)
{
    uint32_t type = request->head.type;
    const struct op *op = type < XS_TYPE_COUNT && ops[type].handler ? &ops[type] : NULL;
    int error;

    if (!op)
        error = -ENOSYS;
    else if ((op->flags & DOMAIN_0) && request->conn->who.domid)
        error = -EACCES;
    else if ((op->flags & MAY_TX) && request->head.tx_id &&
             !(request->tx = connection_transaction(request->conn, request->head.tx_id)))
        error = -ENOENT;
    else
        error = op->handler(request);
    if (!error && !reply.head.len && !(op->flags & MAY_EMPTY))
        reply_string("OK");
    if (trace)
        trace_request(request, op, error);
    return error;
}

static void send_reply(struct request *request, int error)
{
    reply.head.type = request->head.type;
    reply.head.req_id = request->head.req_id;
    reply.head.tx_id = request->head.tx_id;
    if (error) {
        reply.head.type = XS_ERROR;
        reply.head.len = 0;
        reply_string(error_name(error));
    }
    connection_send(request->conn, &reply, (uint32_t)sizeof(reply.head) + reply.head.len);
}

/* What a successful request makes known to the journal and the watches. */
static void publish(struct request *request)
{
    struct change *change;

    STAILQ_FOREACH(change, &request->done, link)
    persist_change(change);
    STAILQ_FOREACH(change, &request->done, link)
    if (change_writes(change))
        watch_fire(change);
    changes_free(&request->done);
    if (request->watch)
        watch_fire_first(request->watch);
    if (request->special)
        watch_fire_special(request->which, request->domid);
}

void protocol_perform(struct connection *conn, const struct xsd_sockmsg *head, char *payload)
{
    struct request request = {.conn = conn, .head = *head, .payload = payload};
    int error;

    STAILQ_INIT(&request.done);
    reply.head.len = 0;
    error = perform(&request);
    send_reply(&request, error);
    publish(&request);
}

void protocol_finish(void)
{
    journal_commit();
    connection_flush_all();
    transaction_age();
}

void protocol_trace(const char *file)
{
    trace = fopen(file, "ae");
    if (!trace)
        die("cannot open the trace file %s: %s", file, strerror(errno));
}
