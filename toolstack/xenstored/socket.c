/* SPDX-License-Identifier: MIT */
/*
 * Connections over the socket. The usual request costs one read() and one write(), and so do several requests that a
 * client sends without waiting. A client that sends nonsense is disconnected; one that does not read is not served.
 * Invariant: input[0..input_len) is what was read and not yet performed.
 */
#include "xenstored/socket.h"
#include "xenstored/loop.h"
#include "xenstored/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

struct client {
    struct connection conn;
    struct source source;
    uint32_t events; /* what is polled, edge-triggered */
    uint32_t input_len;
    bool readable; /* there may be more to read */
    char input[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX + 1];
};

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static void accept_ready(struct source *source, uint32_t events);
static struct source listener = {.ready = accept_ready};
static bool listener_rests; /* there was no descriptor for one more client */

static struct client *client_of(struct connection *conn)
{
    return (struct client *)(uintptr_t)conn; /* conn is the first member */
}

/* Polls for input, and for room if output waits. */
static void poll_again(struct client *client)
{
    uint32_t events = EPOLLIN | EPOLLET | (buffer_size(&client->conn.output) ? (uint32_t)EPOLLOUT : 0);

    if (client->conn.dead || events == client->events)
        return;
    client->events = events;
    loop_change(&client->source, events);
}

static void flush(struct connection *conn)
{
    struct client *client = client_of(conn);
    uint32_t len;
    const char *bytes = connection_unsent(conn, &len);
    bool congested = connection_congested(conn);
    ssize_t sent;

    if (!len)
        return;
    sent = send(client->source.fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        connection_kill(conn);
        return;
    }
    if (sent > 0)
        connection_sent(conn, (uint32_t)sent);
    poll_again(client);
    if (congested && !connection_congested(conn))
        connection_wake(conn);
}

/* Reads once. False: the client is gone. */
static bool receive(struct client *client)
{
    uint32_t room = (uint32_t)sizeof(client->input) - 1 - client->input_len;
    ssize_t len;

    if (!room)
        return true;
    len = recv(client->source.fd, client->input + client->input_len, room, MSG_DONTWAIT);
    if (len < 0 && errno == EINTR)
        return true;
    client->readable = len == (ssize_t)room;
    if (len < 0)
        return errno == EAGAIN;
    client->input_len += (uint32_t)len;
    return len > 0;
}

/*
 * Performs the request at input[at]. Returns the number of its bytes, 0 if it is not complete, -1 if it is too
 * long.
 */
static int perform_at(struct client *client, uint32_t at)
{
    struct xsd_sockmsg head;
    uint32_t left = client->input_len - at, size;
    char *end, behind;

    if (left < sizeof(head))
        return 0;
    memcpy(&head, client->input + at, sizeof(head));
    if (head.len > XENSTORE_PAYLOAD_MAX)
        return -1;
    size = (uint32_t)sizeof(head) + head.len;
    if (left < size)
        return 0;
    end = client->input + at + size;
    behind = *end;
    *end = 0;
    protocol_perform(&client->conn, &head, end - head.len);
    *end = behind;
    return (int)size;
}

static bool turn(struct connection *conn)
{
    struct client *client = client_of(conn);
    uint32_t at = 0;
    int size = 0;

    if (client->readable && !receive(client)) {
        connection_kill(conn);
        return false;
    }
    for (unsigned i = 0; i < TURN_REQUESTS && !conn->dead && !connection_congested(conn); i++) {
        size = perform_at(client, at);
        if (size <= 0)
            break;
        at += (uint32_t)size;
    }
    if (at)
        protocol_finish();
    if (size < 0) {
        say("a client on the socket sent a request of more than %u bytes: disconnected", XENSTORE_PAYLOAD_MAX);
        connection_kill(conn);
        return false;
    }
    client->input_len -= at;
    if (at && client->input_len)
        memmove(client->input, client->input + at, client->input_len);
    return ((size > 0 && client->input_len) || client->readable) && !connection_congested(conn);
}

static void client_ready(struct source *source, uint32_t events)
{
    struct client *client = (struct client *)(void *)((char *)source - offsetof(struct client, source));

    if (events & EPOLLOUT)
        flush(&client->conn);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        client->readable = true;
    connection_wake(&client->conn);
}

static void release(struct connection *conn)
{
    struct client *client = client_of(conn);

    loop_remove(&client->source);
    close(client->source.fd);
    free(conn->output.data);
    free(client);
    if (listener_rests)
        loop_change(&listener, EPOLLIN);
    listener_rests = false;
}

static const struct transport socket_transport = {.turn = turn, .flush = flush, .release = release};

static void accept_ready(struct source *source, uint32_t events)
{
    int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct client *client;

    if (fd < 0) {
        if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
            return;
        say("cannot accept a client: %s; waiting for another one to leave", strerror(errno));
        listener_rests = true;
        loop_change(&listener, 0);
        return;
    }
    client = need_zeroed(sizeof(*client));
    connection_init(&client->conn, &socket_transport, 0);
    client->source = (struct source){.fd = fd, .ready = client_ready};
    client->events = EPOLLIN | EPOLLET;
    if (loop_add(&client->source, client->events))
        connection_kill(&client->conn);
}

void socket_listen(const char *dir)
{
    int len = snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", dir);

    if (len >= (int)sizeof(address.sun_path))
        die("the path of the socket directory, %s, is too long", dir);
    listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener.fd < 0)
        die("cannot create a socket: %s", strerror(errno));
    unlink(address.sun_path);
    umask(077);
    if (bind(listener.fd, (struct sockaddr *)&address, sizeof(address)) || listen(listener.fd, BACKLOG) ||
        loop_add(&listener, EPOLLIN))
        die("cannot listen at %s: %s", address.sun_path, strerror(errno));
}

void socket_unlink(void)
{
    unlink(address.sun_path);
}
