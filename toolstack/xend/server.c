/* SPDX-License-Identifier: MIT */
/*
 * The socket and its clients.
 *
 * A client lives until its stream is closed and its last request has ended: `references` counts both. One that has gone is only not
 * answered any more; what it asked for is done.
 */
#include "xend/server.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "xend/files.h"
#include "xend/log.h"

#define LINE_FIRST 4096

struct client {
    uv_pipe_t pipe;
    unsigned references, requests;
    bool closing, reading;
    char *line; /* what has come of the next line */
    size_t used, size;
};
static uv_pipe_t listener;
static unsigned clients;
static void (*handle_request)(struct request *rq, const char *method);

/* ---- Coming and going -------------------------------------------------------------------------------------- */

static void client_put(struct client *c)
{
    if (--c->references)
        return;
    free(c->line);
    free(c);
}

static void on_closed(uv_handle_t *h)
{
    clients--;
    client_put(h->data);
}

static void client_close(struct client *c)
{
    if (c->closing)
        return;
    c->closing = true;
    uv_close((uv_handle_t *)&c->pipe, on_closed);
}

/* ---- Replies ------------------------------------------------------------------------------------------------- */

struct output {
    uv_write_t write;
    struct client *client;
    char *text;
};

static void on_written(uv_write_t *w, int status)
{
    struct output *o = w->data;
    struct client *c = o->client;

    free(o->text);
    free(o);
    if (status < 0)
        client_close(c);
    client_put(c);
}

static void client_send(struct client *c, json_t *reply)
{
    struct output *o = calloc(1, sizeof(*o));
    char *text = json_dumps(reply, JSON_COMPACT);
    uv_buf_t buffers[2];

    if (!o || !text || uv_stream_get_write_queue_size((uv_stream_t *)&c->pipe) > SERVER_OUTPUT_MAX) {
        log_warn("a client that does not read its answers is cut off");
        free(o);
        free(text);
        client_close(c);
        return;
    }
    buffers[0] = uv_buf_init(text, (unsigned)strlen(text));
    buffers[1] = uv_buf_init((char *)"\n", 1);
    o->write.data = o;
    o->client = c;
    o->text = text;
    c->references++;
    if (uv_write(&o->write, (uv_stream_t *)&c->pipe, buffers, 2, on_written))
        on_written(&o->write, -1);
}

/* What files and scripts said need not be UTF-8, nor what was cut off: then what is no ASCII is shown as '?', for JSON's sake. */
static json_t *error_of(struct report *r)
{
    json_t *text = json_string(r->text[0] ? r->text : "it failed");

    if (!text) {
        for (char *p = r->text; *p; p++)
            if ((unsigned char)*p >= 0x80)
                *p = '?';
        text = json_string(r->text);
    }
    return json_pack("{si so s{ss}}", "code", -32000, "message", text, "data", "kind", report_kind_name(r->kind));
}

static void client_read(struct client *c);

bool request_is_wanted(const struct request *rq)
{
    return !rq->client->closing;
}

void request_end(struct request *rq)
{
    struct client *c = rq->client;
    json_t *reply = json_pack("{ss sO}", "jsonrpc", "2.0", "id", rq->id);

    if (rq->result)
        json_object_set_new(reply, "result", rq->result);
    else
        json_object_set_new(reply, "error", error_of(&rq->report));
    if (!c->closing)
        client_send(c, reply);
    json_decref(reply);
    json_decref(rq->id);
    json_decref(rq->params);
    free(rq);
    c->requests--;
    if (!c->closing && !c->reading)
        client_read(c);
    client_put(c);
}

/* ---- Requests ------------------------------------------------------------------------------------------------ */

static void refuse(struct client *c, const char *why)
{
    json_t *reply = json_pack("{ss sn s{si ss s{ss}}}", "jsonrpc", "2.0", "id", "error", "code", -32600, "message", why,
                              "data", "kind", report_kind_name(REPORT_USAGE));

    client_send(c, reply);
    json_decref(reply);
}

static void take_line(struct client *c, const char *line, size_t size)
{
    json_error_t where;
    json_t *json = json_loadb(line, size, 0, &where), *params;
    const char *method = json_string_value(json_object_get(json, "method"));
    json_t *id = json_object_get(json, "id");
    struct request *rq;

    params = json_object_get(json, "params");
    if (!method || !(json_is_string(id) || json_is_integer(id)) || (params && !json_is_object(params))) {
        refuse(c, json ? "a request is an object with id, method and, if any, params, which is an object"
                       : "this line is not JSON");
        json_decref(json);
        return;
    }
    rq = calloc(1, sizeof(*rq));
    if (!rq) {
        json_decref(json);
        client_close(c);
        return;
    }
    rq->client = c;
    rq->id = json_incref(id);
    rq->params = params ? json_incref(params) : json_object();
    c->references++;
    c->requests++;
    handle_request(rq, method);
    json_decref(json);
}

/* ---- Lines --------------------------------------------------------------------------------------------------- */

/* Whole lines become requests, as many as may be under way; the rest waits. */
static void take_lines(struct client *c)
{
    size_t start = 0;
    char *end;

    if (!c->used)
        return;
    while (!c->closing && c->requests < SERVER_REQUESTS_MAX &&
           (end = memchr(c->line + start, '\n', c->used - start)) != NULL) {
        size_t size = (size_t)(end - c->line) - start;

        if (size)
            take_line(c, c->line + start, size);
        start += size + 1;
    }
    c->used -= start;
    memmove(c->line, c->line + start, c->used);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buffer)
{
    struct client *c = h->data;

    if (c->size - c->used < LINE_FIRST / 2 && c->size < SERVER_LINE_MAX) {
        size_t size = c->size ? c->size * 2 : LINE_FIRST;
        char *line = realloc(c->line, size);

        if (line) {
            c->line = line;
            c->size = size;
        }
    }
    *buffer = uv_buf_init(c->line ? c->line + c->used : NULL, (unsigned)(c->size - c->used));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct client *c = stream->data;

    if (got == UV_ENOBUFS) {
        refuse(c, "this line is too long");
        got = UV_EOF;
    }
    if (got < 0) {
        client_close(c);
        return;
    }
    c->used += (size_t)got;
    client_read(c);
}

/* Takes what lies there, then goes on reading unless enough is under way. May be called from within itself by a request that ends at
 * once: c->reading says that somebody is at it. */
static void client_read(struct client *c)
{
    c->reading = true;
    c->references++;
    take_lines(c);
    if (!c->closing) {
        c->reading = c->requests < SERVER_REQUESTS_MAX;
        if (!c->reading)
            uv_read_stop((uv_stream_t *)&c->pipe);
        else
            uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read); /* again is no harm */
    }
    client_put(c);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct client *c = status < 0 ? NULL : calloc(1, sizeof(*c));

    if (!c)
        return;
    uv_pipe_init(server->loop, &c->pipe, 0);
    c->pipe.data = c;
    c->references = 1;
    clients++;
    if (uv_accept(server, (uv_stream_t *)&c->pipe) || clients > SERVER_CLIENTS_MAX) {
        client_close(c);
        return;
    }
    client_read(c);
}

/* ---- The socket ---------------------------------------------------------------------------------------------- */

int server_open(const char *path, void (*handle)(struct request *rq, const char *method), struct report *r)
{
    mode_t mask = umask(0177);
    int rc;

    handle_request = handle;
    files_make_parent(path);
    unlink(path); /* of a killed xend; that there is no other, the lock has shown */
    uv_pipe_init(uv_default_loop(), &listener, 0);
    rc = uv_pipe_bind(&listener, path);
    umask(mask);
    if (!rc)
        rc = uv_listen((uv_stream_t *)&listener, SERVER_CLIENTS_MAX, on_connection);
    return rc ? report_set(r, REPORT_FAILED, "the socket %s cannot be made: %s", path, uv_strerror(rc)) : 0;
}

void server_close(void)
{
    if (!uv_is_closing((uv_handle_t *)&listener))
        uv_close((uv_handle_t *)&listener, NULL);
}
