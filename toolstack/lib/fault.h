/* SPDX-License-Identifier: MIT */
/*
 * Injected faults: a test names a step (xend --fail-at=STEP, or the call debug.fail_at), and the next time that step is reached it fails
 * as if the system had refused it. Steps are listed in one table, so that a test can walk through all of them.
 */
#pragma once
#include <stdbool.h>
#include "lib/report.h"

/* In order of building a domain. */
/* clang-format off */
#define FAULT_STEPS(X) \
    X(create) X(max_memory) X(claim) X(populate) X(kernel) X(ramdisk) X(page_tables) \
    X(start_info) X(grants) X(pin) X(context) X(affinity) X(store) X(introduce) \
    X(console) X(disk) X(disk_script) X(vif) X(vif_script) X(save_state) X(unpause)
/* clang-format on */

/* True when this step is the one to fail: *r then says so. Without an armed step it costs a load and a test. */
bool fault_at(const char *step, struct report *r);
/* Arms one step for its next passing; NULL disarms. -1: no such step. */
int fault_arm(const char *step);
extern const char *const fault_steps[]; /* NULL at the end */
