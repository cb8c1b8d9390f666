/* SPDX-License-Identifier: MIT */
/*
 * The basic vocabulary of the hypervisor: frame numbers and other kinds of number that must not be
 * mixed are one-member structs, so that the compiler refuses to take one for another.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096UL
#define PAGE_MASK  (~(PAGE_SIZE - 1))
#define MAX_CPUS   256
#define NSEC       1UL
#define USEC       (1000UL * NSEC)
#define MSEC       (1000UL * USEC)
#define SEC        (1000UL * MSEC)
#define KIB        1024UL
#define MIB        (1024UL * KIB)
#define GIB        (1024UL * MIB)

/* Machine frame number: physical address / 4096. */
typedef struct {
    uint64_t n;
} mfn_t;
/* Guest frame number: what the guest calls its frame; equals the mfn for a PV guest's hypercalls.
 */
typedef struct {
    uint64_t n;
} gfn_t;
typedef struct {
    uint32_t n;
} evtchn_t;
typedef struct {
    uint32_t n;
} gref_t;

#define MFN(x)      ((mfn_t){(x)})
#define GFN(x)      ((gfn_t){(x)})
#define INVALID_MFN MFN(~0UL)
static inline bool mfn_eq(mfn_t a, mfn_t b)
{
    return a.n == b.n;
}
static inline mfn_t mfn_add(mfn_t m, uint64_t by)
{
    return MFN(m.n + by);
}

#define ARRAY_SIZE(a)         (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)             ((a) < (b) ? (a) : (b))
#define MAX(a, b)             ((a) > (b) ? (a) : (b))
#define ROUND_UP(x, a)        (((x) + (a)-1) & ~((__typeof__(x))(a)-1))
#define ROUND_DOWN(x, a)      ((x) & ~((__typeof__(x))(a)-1))
#define DIV_ROUND_UP(x, y)    (((x) + (y)-1) / (y))
#define container_of(p, t, m) ((t *)((char *)(p)-offsetof(t, m)))
#define likely(x)             __builtin_expect(!!(x), 1)
#define unlikely(x)           __builtin_expect(!!(x), 0)
#define __packed              __attribute__((packed))
#define __aligned_to(n)       __attribute__((aligned(n)))
#define __init_only           /* code used only while booting */
#define __printf(f, a)        __attribute__((format(printf, f, a)))
#define __noreturn            __attribute__((noreturn))
#define __used                __attribute__((used))
#define __must_check          __attribute__((warn_unused_result))
#define __section(s)          __attribute__((section(s)))
