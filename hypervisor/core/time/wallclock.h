/* SPDX-License-Identifier: MIT */
/* Wall-clock time: UTC at system time 0, published in every domain's shared_info. Lock: LOCK_CLOCK. */
#pragma once
#include "core/lib/types.h"
struct domain;
void wallclock_set(uint64_t utc_ns_at_boot); /* publishes to all domains */
void wallclock_publish(struct domain *d);    /* to one, at creation */
void wallclock_forget(struct domain *d);     /* to it no more: takes away its shared_info */
