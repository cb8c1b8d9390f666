/* SPDX-License-Identifier: MIT */
/* A client of xend's API: see rpc.h. What comes back is bounded by RPC_LINE_MAX and checked for its form. */
#include "lib/rpc/rpc.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MS      50
#define BUFFER_FIRST  4096
#define NO_DAEMON_FMT "cannot reach xend at %s: %s; is it running? (systemctl start xend)"

struct rpc {
    int fd;
    json_int_t id;
    char *buffer; /* of one answer */
    size_t size;
};

static int connect_once(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd, error;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || !connect(fd, (struct sockaddr *)&address, sizeof(address)))
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

int rpc_connect(const char *path, unsigned wait_s, struct rpc **out, struct report *r)
{
    unsigned tries = wait_s * (1000 / RETRY_MS);
    int fd = connect_once(path);
    struct rpc *c;

    *out = NULL;
    while (fd < 0 && (errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN) && tries--) {
        nanosleep(&(struct timespec){.tv_nsec = RETRY_MS * 1000000L}, NULL);
        fd = connect_once(path);
    }
    if (fd < 0 && errno == EACCES)
        return report_set(r, REPORT_DENIED, "not allowed to talk to xend at %s: only root is", path);
    if (fd < 0)
        return report_set(r, REPORT_NO_DAEMON, NO_DAEMON_FMT, path, strerror(errno));
    c = calloc(1, sizeof(*c));
    if (!c) {
        close(fd);
        return report_set(r, REPORT_FAILED, "out of memory");
    }
    c->fd = fd;
    *out = c;
    return 0;
}

void rpc_close(struct rpc *c)
{
    if (!c)
        return;
    close(c->fd);
    free(c->buffer);
    free(c);
}

static int gone(struct report *r, const char *method)
{
    return report_set(r, REPORT_NO_DAEMON,
                      "xend went away during %s; its log says why, and 'xm list' what became of it", method);
}

static int send_all(struct rpc *c, const char *data, size_t size)
{
    while (size) {
        ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static int send_request(struct rpc *c, const char *method, json_t *params, struct report *r)
{
    json_t *request =
        json_pack("{s:s, s:I, s:s, s:o*}", "jsonrpc", "2.0", "id", ++c->id, "method", method, "params", params);
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    size_t size = text ? strlen(text) : 0;
    int rc;

    json_decref(request);
    if (!text)
        return report_set(r, REPORT_FAILED, "out of memory");
    if (size >= RPC_LINE_MAX) {
        free(text);
        return report_set(r, REPORT_USAGE, "%s: the request is too large", method);
    }
    text[size] = '\n'; /* in place of the closing NUL */
    rc = send_all(c, text, size + 1) ? gone(r, method) : 0;
    free(text);
    return rc;
}

static int grow(struct rpc *c, struct report *r)
{
    size_t size = c->size ? c->size * 2 : BUFFER_FIRST;
    char *buffer = size <= 2 * (size_t)RPC_LINE_MAX ? realloc(c->buffer, size) : NULL;

    if (!buffer)
        return report_set(r, REPORT_FAILED, "xend's answer is too large");
    c->buffer = buffer;
    c->size = size;
    return 0;
}

/* One line into the buffer. xend sends nothing that was not asked for, so nothing follows the line. */
static int receive_line(struct rpc *c, const char *method, size_t *length, struct report *r)
{
    size_t used = 0;

    for (;;) {
        ssize_t n;

        if (used == c->size && grow(c, r))
            return -1;
        n = recv(c->fd, c->buffer + used, c->size - used, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return gone(r, method);
        used += (size_t)n;
        if (c->buffer[used - 1] == '\n')
            break;
    }
    *length = used;
    return 0;
}

static int take_error(const json_t *error, const char *method, struct report *r)
{
    const char *text = json_string_value(json_object_get(error, "message"));
    const char *kind = json_string_value(json_object_get(json_object_get(error, "data"), "kind"));
    enum report_kind known = kind ? report_kind_of(kind) : REPORT_FAILED;

    return report_set(r, known == REPORT_NONE ? REPORT_FAILED : known, "%s", text ? text : method);
}

static int receive_answer(struct rpc *c, const char *method, json_t **result, struct report *r)
{
    json_t *answer;
    size_t length = 0;
    int rc = 0;

    if (receive_line(c, method, &length, r))
        return -1;
    answer = json_loadb(c->buffer, length, 0, NULL);
    if (json_object_get(answer, "error") && !json_is_null(json_object_get(answer, "error")))
        rc = take_error(json_object_get(answer, "error"), method, r);
    else if (!json_object_get(answer, "result") || json_integer_value(json_object_get(answer, "id")) != c->id)
        rc = report_set(r, REPORT_FAILED, "xend's answer to %s is not understood", method);
    else if (result)
        *result = json_incref(json_object_get(answer, "result"));
    json_decref(answer);
    return rc;
}

int rpc_call(struct rpc *c, const char *method, json_t *params, json_t **result, struct report *r)
{
    if (result)
        *result = NULL;
    return send_request(c, method, params, r) ? -1 : receive_answer(c, method, result, r);
}
