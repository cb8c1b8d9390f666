/* SPDX-License-Identifier: MIT */
/*
 * Bit arrays of 64-bit words and the CPU mask. The *_atomic forms are safe against other CPUs and
 * against a guest writing the same word; the others need the caller's lock.
 */
#pragma once
#include "core/lib/types.h"

#define BITS_TO_WORDS(n) DIV_ROUND_UP((n), 64)

static inline bool bit_test(const uint64_t *map, unsigned bit)
{
    return (__atomic_load_n(&map[bit / 64], __ATOMIC_RELAXED) >> (bit % 64)) & 1;
}
static inline void bit_set(uint64_t *map, unsigned bit)
{
    map[bit / 64] |= 1UL << (bit % 64);
}
static inline void bit_clear(uint64_t *map, unsigned bit)
{
    map[bit / 64] &= ~(1UL << (bit % 64));
}
/* Both return the previous value of the bit; both are full barriers. */
static inline bool bit_test_set_atomic(uint64_t *map, unsigned bit)
{
    uint64_t m = 1UL << (bit % 64);
    return __atomic_fetch_or(&map[bit / 64], m, __ATOMIC_SEQ_CST) & m;
}
static inline bool bit_test_clear_atomic(uint64_t *map, unsigned bit)
{
    uint64_t m = 1UL << (bit % 64);
    return __atomic_fetch_and(&map[bit / 64], ~m, __ATOMIC_SEQ_CST) & m;
}
/* First set / clear bit at or after `from`; `bits` when there is none. */
unsigned bitmap_next_set(const uint64_t *map, unsigned bits, unsigned from);
unsigned bitmap_next_clear(const uint64_t *map, unsigned bits, unsigned from);
#define bitmap_for_each(bit, map, bits)                                                                                \
    for (bit = bitmap_next_set(map, bits, 0); bit < (bits); bit = bitmap_next_set(map, bits, bit + 1))

typedef struct {
    uint64_t w[MAX_CPUS / 64];
} cpumask_t;
#define for_each_cpu(cpu, mask) bitmap_for_each (cpu, (mask)->w, MAX_CPUS)
static inline bool cpumask_test(const cpumask_t *m, unsigned cpu)
{
    return bit_test(m->w, cpu);
}
static inline void cpumask_set(cpumask_t *m, unsigned cpu)
{
    bit_set(m->w, cpu);
}
static inline void cpumask_clear(cpumask_t *m, unsigned cpu)
{
    bit_clear(m->w, cpu);
}
static inline bool cpumask_empty(const cpumask_t *m)
{
    uint64_t any = 0;
    for (unsigned i = 0; i < MAX_CPUS / 64; i++)
        any |= m->w[i];
    return !any;
}
