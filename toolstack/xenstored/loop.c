/* SPDX-License-Identifier: MIT */
/*
 * The event loop. One round: take what is ready, give every connection in line a turn, free what died. A removed
 * source is struck from the events already taken, so it may be freed at once.
 */
#include "xenstored/loop.h"
#include "xenstored/connection.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define EVENTS 64

static int epoll = -1;
static bool stop;
static struct epoll_event taken[EVENTS];
static int taken_count;

void loop_init(void)
{
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        die("cannot create an epoll instance: %s", strerror(errno));
}

int loop_add(struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(epoll, EPOLL_CTL_ADD, source->fd, &event) ? -errno : 0;
}

void loop_change(struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    if (epoll_ctl(epoll, EPOLL_CTL_MOD, source->fd, &event))
        die("cannot change what is polled: %s", strerror(errno));
}

void loop_remove(struct source *source)
{
    epoll_ctl(epoll, EPOLL_CTL_DEL, source->fd, NULL);
    for (int i = 0; i < taken_count; i++)
        if (taken[i].data.ptr == source)
            taken[i].data.ptr = NULL;
}

void loop_run(void)
{
    while (!stop) {
        taken_count = epoll_wait(epoll, taken, EVENTS, connection_waiting() ? 0 : -1);
        if (taken_count < 0 && errno != EINTR)
            die("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < taken_count; i++) {
            struct source *source = taken[i].data.ptr;

            if (source)
                source->ready(source, taken[i].events);
        }
        connection_turns();
        connection_reap();
    }
}

void loop_stop(void)
{
    stop = true;
}
