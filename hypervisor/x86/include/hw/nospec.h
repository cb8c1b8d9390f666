/* SPDX-License-Identifier: MIT */
/* Indices that a guest chooses, behind the check of their range: no mispredicted check may read beyond the table. */
#pragma once
#include <stdint.h>

/* i; 0 when it is not below n, without a branch. Tables of a power of two may as well be indexed through a mask. */
static inline uint64_t index_nospec(uint64_t i, uint64_t n)
{
    uint64_t below;

    __asm__("cmp %2, %1; sbb %0, %0" : "=r"(below) : "r"(i), "r"(n) : "cc");
    return i & below;
}
