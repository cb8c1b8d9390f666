/* SPDX-License-Identifier: MIT */
/*
 * Which segment descriptors may stand in a guest's GDT or LDT: everything not present; of what is present, code and data
 * segments that ring 3 can use. No gates, no TSS, no LDT descriptor: the processor would enter ring 0 or read memory through
 * them. Base and limit need no check: a 32-bit segment cannot reach the hypervisor, in 64-bit mode they do not count.
 */
#include "core/mem/mmu.h"

#define DESC_ACCESSED (1UL << 40)
#define DESC_TYPE     (15UL << 40)
#define DESC_CODE     (1UL << 43)
#define DESC_S        (1UL << 44) /* code or data, not system */
#define DESC_DPL      (3UL << 45)
#define DESC_P        (1UL << 47)
#define DESC_L        (1UL << 53)
#define DESC_DB       (1UL << 54)

bool descriptor_ok(uint64_t *desc)
{
    uint64_t v = *desc;

    if (!(v & DESC_P))
        return true;
    if (!(v & DESC_S))
        return !(v & DESC_TYPE); /* type 0 is reserved: loading it faults, that is all */
    if ((v & DESC_CODE) && (v & DESC_L) && (v & DESC_DB))
        return false;
    /* Ring 3 is all that a guest has. The processor shall not want to write the accessed bit: the page is read-only. */
    *desc = v | DESC_DPL | DESC_ACCESSED;
    return true;
}
