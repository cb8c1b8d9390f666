/* SPDX-License-Identifier: MIT */
/*
 * A client of xend's API: JSON-RPC 2.0 over a local socket, one object a line (docs/api.md). Blocking.
 */
#pragma once
#include <jansson.h>
#include "lib/report.h"

#define XEND_SOCKET  "/run/xend/xend.sock"
#define RPC_LINE_MAX (4u << 20)

struct rpc;
/* Retries for up to `wait_s` seconds while xend is being started. -1: REPORT_NO_DAEMON, with what to do. */
int rpc_connect(const char *path, unsigned wait_s, struct rpc **out, struct report *r);
void rpc_close(struct rpc *c);
/* Takes over the reference of params (NULL: none). 0 and a new reference in *result (unless result is NULL); -1: xend's error, its kind and
 * sentence in *r. */
int rpc_call(struct rpc *c, const char *method, json_t *params, json_t **result, struct report *r);
