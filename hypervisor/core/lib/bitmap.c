/* SPDX-License-Identifier: MIT */
/* Searches in bit arrays. */
#include "core/lib/bitmap.h"

static unsigned next_bit(const uint64_t *map, unsigned bits, unsigned from, uint64_t flip)
{
    while (from < bits) {
        uint64_t w = (map[from / 64] ^ flip) >> (from % 64);
        if (w) {
            from += (unsigned)__builtin_ctzl(w);
            return from < bits ? from : bits;
        }
        from = (from / 64 + 1) * 64;
    }
    return bits;
}

unsigned bitmap_next_set(const uint64_t *map, unsigned bits, unsigned from)
{
    return next_bit(map, bits, from, 0);
}

unsigned bitmap_next_clear(const uint64_t *map, unsigned bits, unsigned from)
{
    return next_bit(map, bits, from, ~0UL);
}
