/* SPDX-License-Identifier: MIT */
/* The platform timer: the counter of known frequency that the TSC is measured against. */
#pragma once
#include "core/lib/types.h"

struct platform_timer {
    const char *name;
    uint64_t hz;
    unsigned bits;          /* width of the counter: it wraps */
    uint32_t (*read)(void); /* counts up */
};
extern const struct platform_timer *platform_timer; /* after platform_timer_init() */
void platform_timer_init(void);

/* The TSC and the counter at the same moment, within `width` TSC cycles: the tightest of several readings. */
struct platform_sample {
    uint64_t tsc;
    uint32_t counter;
    uint64_t width;
};
struct platform_sample platform_sample(void);
static inline uint64_t platform_wrap(void)
{
    return 1UL << platform_timer->bits;
}
