/* SPDX-License-Identifier: MIT */
/* Sets of numbers kept as sorted disjoint inclusive ranges: I/O ports, MMIO frames and IRQs that a
 * domain may use. */
#pragma once
#include "core/lib/types.h"

struct range {
    uint64_t first, last;
};
struct rangeset {
    struct range *ranges; /* heap; sorted, disjoint, not adjacent */
    unsigned count, room;
};
void rangeset_init(struct rangeset *s);
void rangeset_free(struct rangeset *s);
/* 0, -EINVAL when first > last, -ENOMEM (the set is then unchanged). The owner's lock guards a set.
 */
int rangeset_add(struct rangeset *s, uint64_t first, uint64_t last);
int rangeset_remove(struct rangeset *s, uint64_t first, uint64_t last);
bool rangeset_contains(const struct rangeset *s, uint64_t first, uint64_t last); /* all of it */
bool rangeset_overlaps(const struct rangeset *s, uint64_t first, uint64_t last); /* any of it */
