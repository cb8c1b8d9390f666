/* SPDX-License-Identifier: MIT */
/* Page-table entries of the guest's (and the processor's) format, and the rules for what an entry may hold. */
#pragma once
#include "core/lib/types.h"

typedef uint64_t pte_t;
#define PTE_P        (1UL << 0)
#define PTE_RW       (1UL << 1)
#define PTE_US       (1UL << 2)
#define PTE_PWT      (1UL << 3)
#define PTE_PCD      (1UL << 4)
#define PTE_A        (1UL << 5)
#define PTE_D        (1UL << 6)
#define PTE_PAT      (1UL << 7) /* in an L1 entry */
#define PTE_PS       (1UL << 7) /* in an L2 or L3 entry */
#define PTE_G        (1UL << 8)
#define PTE_AVAIL    (7UL << 9)
#define PTE_AVAIL_HI (0x7fUL << 52)
#define PTE_NX       (1UL << 63)
#define PTE_ADDR     0x000ffffffffff000UL
#define PTE_CACHE    (PTE_PWT | PTE_PCD | PTE_PAT)

#define L4_RESERVED_FIRST 256 /* slots of the hypervisor in every L4 */
#define L4_RESERVED_LAST  271
#define HYPERVISOR_START  0xffff800000000000UL
#define HYPERVISOR_END    0xffff880000000000UL
#define HYPERVISOR_SHIFT  43 /* it is one block of this size */

static inline mfn_t pte_mfn(pte_t e)
{
    return MFN((e & PTE_ADDR) >> PAGE_SHIFT);
}
static inline pte_t pte_make(mfn_t m, uint64_t flags)
{
    return (m.n << PAGE_SHIFT) | flags;
}
static inline unsigned pt_index(uint64_t va, unsigned level)
{
    return (va >> (PAGE_SHIFT + 9 * (level - 1))) & 511;
}
static inline bool va_canonical(uint64_t va)
{
    return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}
/* Whether [va, va+size) lies in what a guest may name: canonical and outside the hypervisor. */
static inline bool guest_range_ok(uint64_t va, uint64_t size)
{
    uint64_t last = va + size - (size ? 1 : 0);
    return last >= va && (last < (1UL << 47) || va >= HYPERVISOR_END);
}
