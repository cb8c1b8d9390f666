/* SPDX-License-Identifier: MIT */
/*
 * The rules for a guest's configuration, in one place: a file's and a JSON object's. What is asked here can be told from the
 * configuration alone; files and devices are asked for when the guest is started.
 */
#pragma once
#include "lib/config/guest.h"

/* `key`: the name in a file; `index`: of the entry of disk or vif, -1 for others. */
typedef void check_fault_fn(void *arg, const char *key, int index, const char *text);
/* Tells every fault. Whether there was none. */
bool guest_config_check(const struct guest_config *c, check_fault_fn *fault, void *arg);
