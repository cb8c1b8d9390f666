/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's console ring, copied to a log. Where it has got to is kept in a file of /run beside the log's size, so that
 * another daemon goes on there; like the ring's positions it lasts until the machine is started again.
 */
#pragma once
#include "lib/hv/hv.h"
#include "xenconsoled/log.h"

struct hvlog {
    struct hv *hv;
    struct log log;
    int position_fd; /* -1: cannot be kept */
    uint32_t position;
};
/* Also copies what is there. state_directory: /run/xen. */
void hvlog_open(struct hvlog *h, struct hv *hv, const struct log_policy *policy, const char *state_directory);
/* Copies what is new. */
void hvlog_copy(struct hvlog *h);
