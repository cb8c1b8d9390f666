/* SPDX-License-Identifier: MIT */
/* The clock's parameters, for time.c, which owns them, and vcpu_time.c, which shows them to guests. */
#pragma once
#include "core/lib/types.h"

struct clock {
    uint32_t seq; /* odd while they change */
    uint32_t mul;
    int8_t shift;
    bool stable; /* TSCs are the same on all CPUs and never change their frequency */
    uint64_t tsc_base, ns_base;
};
struct clock clock_snapshot(void);

static inline uint64_t tsc_scale(uint64_t delta, uint32_t mul, int shift)
{
    delta = shift >= 0 ? delta << shift : delta >> -shift;
    return (uint64_t)(((unsigned __int128)delta * mul) >> 32);
}
