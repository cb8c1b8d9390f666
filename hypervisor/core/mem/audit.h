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
};
/* All domains must be stopped for the time (the caller's care). Prints the first violations, each with frame, expected
 * and found. With print false stays silent. */
struct audit_result audit_run(bool print);
