/* SPDX-License-Identifier: MIT */
/* The connection to xenstore: see store.h. `xs` and `lifeline` are there both or neither. */
#include "xenconsoled/store.h"
#include "xenconsoled/say.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xenstore_lib.h>

#define RETRY_MS    100
#define COMPLAIN_AT 50 /* tries: 5 s */

struct store {
    struct store_user user;
    struct xs_handle *xs;
    int lifeline;
    unsigned tries;
    uv_timer_t retry;
    uv_poll_t *watches, *life; /* each freed by its close callback */
};

struct xs_handle *store_handle(struct store *s)
{
    return s->xs;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static uv_poll_t *poll_start(struct store *s, int fd, uv_poll_cb callback)
{
    uv_poll_t *poll = calloc(1, sizeof(*poll));

    if (!poll)
        return NULL;
    if (uv_poll_init(s->retry.loop, poll, fd)) {
        free(poll);
        return NULL;
    }
    poll->data = s;
    uv_poll_start(poll, UV_READABLE, callback);
    return poll;
}

static void poll_stop(uv_poll_t **poll)
{
    if (*poll)
        uv_close((uv_handle_t *)*poll, free_handle);
    *poll = NULL;
}

static void disconnect(struct store *s)
{
    poll_stop(&s->watches);
    poll_stop(&s->life);
    if (s->xs)
        xs_close(s->xs);
    if (s->lifeline >= 0)
        close(s->lifeline);
    s->xs = NULL;
    s->lifeline = -1;
}

static void on_retry(uv_timer_t *timer);

static void on_life(uv_poll_t *poll, int status, int events)
{
    struct store *s = poll->data;
    char byte;

    if (!status && recv(s->lifeline, &byte, 1, MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    say("xenstored has gone; waiting for it to come back");
    disconnect(s);
    uv_timer_start(&s->retry, on_retry, RETRY_MS, RETRY_MS);
}

static void on_watches(uv_poll_t *poll, int status, int events)
{
    struct store *s = poll->data;
    char **event;
    bool any = false;

    while (s->xs && (event = xs_check_watch(s->xs))) {
        s->user.changed(s->user.context, event[XS_WATCH_TOKEN]);
        free(event);
        any = true;
    }
    if (any)
        s->user.settled(s->user.context);
}

static int connect_lifeline(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", xs_daemon_socket());
    if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
        return fd;
    close(fd);
    return -1;
}

/* The lifeline first: xs_open would otherwise turn to the kernel's device, which waits for xenstored without end. */
static bool try_connect(struct store *s)
{
    s->lifeline = connect_lifeline();
    if (s->lifeline < 0)
        return false;
    s->xs = xs_open(0);
    if (s->xs) {
        s->life = poll_start(s, s->lifeline, on_life);
        s->watches = poll_start(s, xs_fileno(s->xs), on_watches);
    }
    if (s->life && s->watches)
        return true;
    disconnect(s);
    return false;
}

static void on_retry(uv_timer_t *timer)
{
    struct store *s = timer->data;

    if (try_connect(s)) {
        uv_timer_stop(timer);
        if (s->tries > COMPLAIN_AT)
            say("xenstored answers now");
        s->tries = 0;
        s->user.connected(s->user.context);
    } else if (s->tries++ == COMPLAIN_AT) {
        say("xenstored does not answer on %s; is it running?", xs_daemon_socket());
    }
}

struct store *store_open(uv_loop_t *loop, const struct store_user *user)
{
    struct store *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->user = *user;
    s->lifeline = -1;
    uv_timer_init(loop, &s->retry);
    s->retry.data = s;
    uv_timer_start(&s->retry, on_retry, 0, RETRY_MS);
    return s;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void store_close(struct store *s)
{
    disconnect(s);
    uv_close((uv_handle_t *)&s->retry, on_timer_closed);
}
