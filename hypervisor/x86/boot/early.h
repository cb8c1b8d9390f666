/* SPDX-License-Identifier: MIT */
/* RAM for the hypervisor before the frame allocator works: x86/boot/early.c. Never given back. */
#pragma once
#include "core/lib/types.h"

struct phys_range {
    uint64_t start, end; /* bytes, page aligned; end is the first not in it */
};
void early_add(uint64_t start, uint64_t end);
void early_reserve(uint64_t start, uint64_t end); /* takes out what must not be given away */
uint64_t early_alloc(uint64_t size, uint64_t align,
                     uint64_t limit); /* ends at or below limit; panics when there is none */
uint64_t early_alloc_table(void);     /* a zeroed page below 4 GiB while the boot tables are in use */
/* Ends it: what is left, in ascending order. */
const struct phys_range *early_finish(unsigned *count);
bool early_active(void);
