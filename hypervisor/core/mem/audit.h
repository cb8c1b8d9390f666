/* SPDX-License-Identifier: MIT */
/*
 * The audit: recomputes the references and types of every frame from what exists (page tables, pins, roots, descriptor
 * tables, grant mappings, allocations, registered areas) and compares with the frame table.
 */
#pragma once
#include "core/lib/types.h"

struct audit_result {
    uint64_t frames;     /* looked at */
    uint64_t tables;     /* page tables walked */
    uint64_t violations; /* 0 is the only good number */
    uint64_t unjudged;   /* frames that changed while the audit was made, of those looked at, and page lists */
};
/* All domains must be stopped for the time (the caller's care). Prints the first violations, each with frame, expected
 * and found. With print false stays silent. */
struct audit_result audit_run(bool print);
/* The same in steps of at most 20,000 instructions. `live`: while domains run; each step is made by the same CPU, with nothing of a
 * guest's on its stack and no lock held. audit_begin() is false when there is no memory; audit_step() when there is no more to do. */
bool audit_begin(bool print, bool live);
bool audit_step(void);
struct audit_result audit_end(void);
