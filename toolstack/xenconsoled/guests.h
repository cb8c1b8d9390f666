/* SPDX-License-Identifier: MIT */
/*
 * The guests and their consoles. The hypervisor says which domains live (asked when xenstored signals an introduction or a release),
 * /local/domain/<id>/console in xenstore how to join them: port, ring-ref, and optionally limit and type. The terminal's path goes to
 * .../console/tty, which only Domain 0 may write.
 */
#pragma once
#include <stdbool.h>
#include <uv.h>
#include "xenconsoled/log.h"
#include "xenconsoled/wire.h"

struct guests;
/* log: NULL when guests are not logged. hv, wires and log must stay. 0; -1: *r says why not. */
int guests_open(struct guests **out, uv_loop_t *loop, struct hv *hv, struct wires *wires, const struct log_policy *log,
                struct report *r);
/* A guest's port was signalled; one that belongs to nobody is left masked. */
void guests_event(struct guests *g, int port);
/* Log files are opened anew. */
void guests_reopen_logs(struct guests *g);
