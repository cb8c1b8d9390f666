/* SPDX-License-Identifier: MIT */
/*
 * Saved state: one JSON file per domain below the run directory, replaced whole before each step whose effect outlives xend. A
 * killed xend leaves in it what the next one needs to go on or to undo. Domains end with the machine's boot, and so do their
 * files: each names the boot it belongs to, and others are thrown away.
 */
#pragma once
#include "lib/report.h"
#include "xend/vm.h"

/* Makes the directory. */
int state_open(const char *directory, struct report *r);
int state_save(const struct vm *vm, struct report *r);
void state_remove(const char *uuid);
/* Makes the records of all files (in the loop, before anything runs). What cannot be understood is logged and put aside as
 * FILE.bad. */
void state_load_all(void);
