/* SPDX-License-Identifier: MIT */
/*
 * See client.h. Invariants: answers come in the order of the requests; `waiting` are out or in `out` without one; out and input
 * never hold so much that both sides could wait for each other to read (QUEUE_MAX).
 * No locks: a client belongs to one thread.
 */
#include "lib/store/client.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#define QUEUE_MAX   64   /* requests without an answer: each is one word of at most 16 bytes, which sockets hold */
#define OUT_SIZE    8192 /* bytes that wait to go out: a longest message and more */
#define MESSAGE_MAX (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)

struct store_client {
    int fd;
    unsigned waiting;
    int error; /* the first of those that were queued; 0 none */
    uint32_t out_len, in_at, in_len;
    char out[OUT_SIZE], in[OUT_SIZE]; /* in[in_at..in_len) has been received */
};

struct store_client *store_client_open(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct store_client *c = malloc(sizeof(*c));

    if (!c)
        return NULL;
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    c->waiting = 0;
    c->error = 0;
    c->out_len = c->in_at = c->in_len = 0;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", xs_daemon_socket());
    if (c->fd >= 0 && !connect(c->fd, (struct sockaddr *)&address, sizeof(address)))
        return c;
    store_client_close(c);
    errno = ENOTCONN;
    return NULL;
}

void store_client_close(struct store_client *c)
{
    if (c && c->fd >= 0)
        close(c->fd);
    free(c);
}

static int broken(void)
{
    errno = EPIPE;
    return -1;
}

/* ---- Out --------------------------------------------------------------------------------------------------- */

static int send_all(struct store_client *c)
{
    uint32_t done = 0;

    while (done < c->out_len) {
        ssize_t n = send(c->fd, c->out + done, c->out_len - done, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return broken();
        done += (uint32_t)n;
    }
    c->out_len = 0;
    return 0;
}

static int add(struct store_client *c, uint32_t type, xs_transaction_t t, const struct store_piece *pieces,
               unsigned count)
{
    struct xsd_sockmsg head = {.type = type, .tx_id = t};
    uint64_t len = 0;

    for (unsigned i = 0; i < count; i++)
        len += pieces[i].len;
    if (len > XENSTORE_PAYLOAD_MAX) {
        errno = E2BIG;
        return -1;
    }
    head.len = (uint32_t)len;
    if (c->out_len + sizeof(head) + len > sizeof(c->out) && send_all(c))
        return -1;
    memcpy(c->out + c->out_len, &head, sizeof(head));
    c->out_len += (uint32_t)sizeof(head);
    for (unsigned i = 0; i < count; i++) {
        memcpy(c->out + c->out_len, pieces[i].bytes, pieces[i].len);
        c->out_len += pieces[i].len;
    }
    c->waiting++;
    return 0;
}

/* ---- In ---------------------------------------------------------------------------------------------------- */

/* Receives until `len` bytes are there. */
static int fill(struct store_client *c, uint32_t len)
{
    if (c->in_at + len > sizeof(c->in)) {
        memmove(c->in, c->in + c->in_at, c->in_len - c->in_at);
        c->in_len -= c->in_at;
        c->in_at = 0;
    }
    while (c->in_len - c->in_at < len) {
        ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return broken();
        c->in_len += (uint32_t)n;
    }
    return 0;
}

static int error_number(const char *name, uint32_t len)
{
    for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
        if (len == strlen(xsd_errors[i].errstring) + 1 && !memcmp(name, xsd_errors[i].errstring, len))
            return xsd_errors[i].errnum;
    return EIO;
}

/* Takes the next answer; its payload stays where it is until the next one is taken. */
static int take(struct store_client *c, const char **payload, uint32_t *len)
{
    struct xsd_sockmsg head;

    if (fill(c, sizeof(head)))
        return -1;
    memcpy(&head, c->in + c->in_at, sizeof(head));
    if (head.len > XENSTORE_PAYLOAD_MAX)
        return broken();
    if (fill(c, (uint32_t)sizeof(head) + head.len))
        return -1;
    *payload = c->in + c->in_at + sizeof(head);
    *len = head.len;
    c->in_at += (uint32_t)sizeof(head) + head.len;
    if (c->in_at == c->in_len)
        c->in_at = c->in_len = 0;
    c->waiting--;
    if (head.type != XS_ERROR)
        return 0;
    errno = error_number(*payload, *len);
    return -1;
}

/* Sends what waits, and takes all answers. */
static int gather(struct store_client *c)
{
    const char *payload;
    uint32_t len;

    if (c->waiting && send_all(c))
        return -1;
    while (c->waiting)
        if (take(c, &payload, &len)) {
            if (errno == EPIPE)
                return -1;
            if (!c->error)
                c->error = errno;
        }
    return 0;
}

/* ---- The interface ------------------------------------------------------------------------------------------- */

int store_client_settle(struct store_client *c)
{
    if (gather(c))
        return -1;
    errno = c->error;
    c->error = 0;
    return errno ? -1 : 0;
}

int store_client_queue(struct store_client *c, uint32_t type, xs_transaction_t t, const struct store_piece *pieces,
                       unsigned count)
{
    if (c->waiting >= QUEUE_MAX && gather(c))
        return -1;
    if (c->error) {
        errno = c->error;
        return -1;
    }
    return add(c, type, t, pieces, count);
}

char *store_client_call(struct store_client *c, uint32_t type, xs_transaction_t t, const struct store_piece *pieces,
                        unsigned count, unsigned *len)
{
    const char *payload;
    uint32_t got;
    char *answer;

    if (store_client_settle(c) || add(c, type, t, pieces, count) || send_all(c) || take(c, &payload, &got))
        return NULL;
    answer = malloc(got + 1u);
    if (!answer)
        return NULL;
    memcpy(answer, payload, got);
    answer[got] = 0;
    if (len)
        *len = got;
    return answer;
}
