/* SPDX-License-Identifier: MIT */
/*
 * DEBUG builds: a pattern in memory that holds nothing (free frames, the stack below a hypercall), which no guest
 * may ever be given. hw_copy_to_guest() looks for it, and so does whoever gives a domain a frame. Used behind
 * `if (DEBUG_BUILD)` and in ASSERT_SLOW.
 */
#pragma once
#include "core/lib/types.h"

#define POISON 0x7ea5c3f1u

void poison_fill(void *p, size_t size);     /* whole words */
bool poison_in(const void *p, size_t size); /* at a multiple of four bytes from p */
void poison_stack(void);                    /* the next 3 KiB below the caller's frame */
