/* SPDX-License-Identifier: MIT */
/* Page tables of the running domain: what is mapped where, and changing it by hypercall. */
#include "runtime/runtime.h"

const struct start_info *start_info;
const uint64_t *p2m;
static uint8_t shared_info_page[PAGE] __attribute__((aligned(4096)));
struct shared_info *shared_info = (struct shared_info *)shared_info_page;

void paging_init(const struct start_info *info)
{
    start_info = info;
    p2m = (const uint64_t *)info->mfn_list;
    if (map_entry(shared_info, info->shared_info | PLAIN))
        for (;;) /* no clock, no events: nothing could be said about it either */
            relax();
}

uint64_t mfn_of(const volatile void *va)
{
    return p2m[(ADDRESS(va) - VIRT_BASE) / PAGE];
}

uint64_t entry_of(const volatile void *va, uint64_t flags)
{
    return mfn_of(va) * PAGE | flags;
}

uint64_t machine_of(const volatile void *va)
{
    return mfn_of(va) * PAGE + ADDRESS(va) % PAGE;
}

static uint64_t *table_at(uint64_t entry)
{
    return (uint64_t *)(VIRT_BASE + M2P[(entry & ADDR) / PAGE] * PAGE);
}

uint64_t *table_of(const volatile void *va, unsigned level)
{
    uint64_t *table = (uint64_t *)start_info->pt_base;

    for (unsigned l = 4; l > level; l--)
        table = table_at(table[ADDRESS(va) >> (3 + 9 * l) & 511]);
    return table;
}

uint64_t *l1_entry(const volatile void *va)
{
    return &table_of(va, 1)[ADDRESS(va) >> 12 & 511];
}

long map_entry(const volatile void *va, uint64_t entry)
{
    return hypercall(__HYPERVISOR_update_va_mapping, ADDRESS(va), entry, UVMF_INVLPG, 0);
}

long map_foreign(const volatile void *va, uint64_t entry, uint16_t domain)
{
    return hypercall(__HYPERVISOR_update_va_mapping_otherdomain, ADDRESS(va), entry, UVMF_INVLPG, domain);
}

long mmu_update_for(uint64_t machine, uint64_t value, uint32_t domain)
{
    struct mmu_update request = {.ptr = machine, .val = value};

    return hypercall(__HYPERVISOR_mmu_update, ADDRESS(&request), 1, 0, domain);
}

long mmu_update(uint64_t machine, uint64_t value)
{
    return mmu_update_for(machine, value, DOMID_SELF);
}

long mmuext_for(unsigned cmd, uint64_t arg1, uint64_t arg2, uint16_t domain)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.mfn = arg1, .arg2.src_mfn = arg2};

    return hypercall(__HYPERVISOR_mmuext_op, ADDRESS(&op), 1, 0, domain);
}

long mmuext(unsigned cmd, uint64_t arg1, uint64_t arg2)
{
    return mmuext_for(cmd, arg1, arg2, DOMID_SELF);
}

long pin(unsigned level, const volatile void *table)
{
    return mmuext(MMUEXT_PIN_L1_TABLE + level - 1, mfn_of(table), 0);
}

long unpin(const volatile void *table)
{
    return mmuext(MMUEXT_UNPIN_TABLE, mfn_of(table), 0);
}
