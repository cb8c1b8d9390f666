/* SPDX-License-Identifier: MIT */
/*
 * Guest memory by linear address, in the page tables that are loaded. The range is checked before any access: an address
 * of the hypervisor's is refused. CR0.WP makes read-only guest pages read-only to ring 0 too.
 */
#include "core/domain/domain.h"
#include "core/lib/fail.h"
#include "core/lib/poison.h"
#include "core/mem/pte.h"
#include "x86/trap/trap.h"

int hw_copy_from_guest(void *dst, uint64_t src, size_t size)
{
    if (unlikely(!guest_range_ok(src, size)))
        return fail(-EFAULT);
    return copy_unsafe(dst, (const void *)src, size);
}

int hw_copy_to_guest(uint64_t dst, const void *src, size_t size)
{
    if (unlikely(!guest_range_ok(dst, size)))
        return fail(-EFAULT);
    ASSERT_SLOW(!poison_in(src, size)); /* the report names the call */
    return copy_unsafe((void *)dst, src, size);
}
