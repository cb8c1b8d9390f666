/* SPDX-License-Identifier: MIT */
/*
 * The event loop: descriptors and what is called when they are ready, with epoll(7) itself: the fewest
 * instructions.
 */
#ifndef XENSTORED_LOOP_H
#define XENSTORED_LOOP_H

#include "xenstored/base.h"

#include <sys/epoll.h>

struct source {
    int fd;
    void (*ready)(struct source *source, uint32_t events);
};

/* Dies if the kernel has no resources for a loop. */
void loop_init(void);
/* 0 or a negative errno. The source stays the caller's. */
int loop_add(struct source *source, uint32_t events);
void loop_change(struct source *source, uint32_t events);
void loop_remove(struct source *source);

/* Serves until loop_stop. */
void loop_run(void);
void loop_stop(void);

#endif
