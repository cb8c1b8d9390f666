/* SPDX-License-Identifier: MIT */
/*
 * What happens to domains without being asked for: guests that go down (xenstored says so by the watch @releaseDomain), what a former
 * xend has left, successors to be started; and those who wait for such things (VM.wait). All in the loop.
 */
#pragma once
#include "xend/server.h"
#include "xend/vm.h"

/* Finds what the last xend left, and sees to it; then watches. Call it before serving. */
void events_open(void);
/* Looks at all domains now. */
void events_look(void);
/* Answers the request {"state"} when the domain of that uuid is gone, restarted after `generation`, or preserved; or with an error
 * after the time. Owns the request. */
void events_wait(struct request *rq, const char *uuid, unsigned generation, double timeout_s);
