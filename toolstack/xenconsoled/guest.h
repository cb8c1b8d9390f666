/* SPDX-License-Identifier: MIT */
/* One guest as the daemon knows it, shared by the files of guests.h: guests.c (who is there) and join.c (joining its console). */
#pragma once
#include <xenstore.h>
#include "xenconsoled/console.h"
#include "xenconsoled/guests.h"
#include "xenconsoled/store.h"

struct guest {
    struct guest *next; /* by domid; or on the list of those that are ending */
    struct guests *all;
    uint32_t domid;
    uint8_t uuid[16];
    bool joined;     /* console is open */
    bool told;       /* console/tty has been written */
    bool watched;    /* console nodes were not there yet: changes of them are watched */
    bool complained; /* why it cannot be joined has been said */
    bool not_ours;   /* somebody else serves its console */
    uv_poll_t poll;  /* of the terminal, when joined */
    int poll_events; /* that it is started with */
    struct console console;
};
/* Joins the guest's console when xenstore has all that it takes; otherwise sees to being told when it has, if the guest has been
 * introduced. Writes the terminal's path when that is still to be done. */
void guest_join(struct guest *guest, struct xs_handle *xs, int inotify_fd, struct wires *wires,
                const struct log_policy *log);
/* No longer waits for xenstore (xs NULL: the connection is gone with all its watches). */
void guest_unwatch(struct guest *guest, struct xs_handle *xs);
