/* SPDX-License-Identifier: MIT */
/* Single page-table entries: bits, targets and places that a guest may not have, by each way to change one. */
#include "guest/attack.h"

/* By every call that writes an L1 entry, and by validating a table that holds it. */
static void refuse_l1_entry(uint64_t entry)
{
    uint64_t *page = new_page(), *table = new_page();

    REFUSED(map_entry(page, entry));
    REFUSED(mmu_update(machine_of(l1_entry(page)), entry));
    REFUSED(mmu_update(machine_of(l1_entry(page)) | MMU_PT_UPDATE_PRESERVE_AD, entry));
    REFUSED(mmu_update(machine_of(l1_entry(page)) | MMU_PT_UPDATE_NO_TRANSLATE, entry));
    table[511] = entry;
    make_readonly(table);
    REFUSED(pin(1, table));
    make_writable(table);
    page[0] = 1; /* is mapped still */
}

static void refuse_upper_entry(unsigned level, uint64_t entry)
{
    uint64_t *table = new_page(), *live = table_of((void *)VIRT_BASE, level);

    REFUSED(mmu_update(machine_of(&live[5]), entry));
    REFUSED(mmu_update(machine_of(&live[5]) | MMU_PT_UPDATE_PRESERVE_AD, entry));
    table[511] = entry;
    make_readonly(table);
    REFUSED(pin(level, table));
    make_writable(table);
}

ATTACK(large_page_in_l2, SURVIVES, "XSA-148 XSA-167: PSE in a level 2 entry")
{
    uint64_t *l2 = table_of((void *)VIRT_BASE, 2);

    refuse_upper_entry(2, (board->self_mfn * PAGE & ~0x1fffffUL) | PLAIN | PSE);
    REFUSED(mmu_update(machine_of(&l2[0]), l2[0] | PSE));
    REFUSED(mmu_update(machine_of(&l2[0]) | MMU_PT_UPDATE_PRESERVE_AD, l2[0] | PSE));
    REFUSED(mmuext(MMUEXT_MARK_SUPER, board->self_mfn, 0));
    REFUSED(mmuext(MMUEXT_UNMARK_SUPER, board->self_mfn, 0));
}

ATTACK(large_page_in_l3_l4, SURVIVES, "XSA-148: PSE in level 3 and 4 entries")
{
    uint64_t *l3 = table_of((void *)VIRT_BASE, 3), *l4 = table_of((void *)VIRT_BASE, 4);

    refuse_upper_entry(3, PLAIN | PSE);
    refuse_upper_entry(4, PLAIN | PSE);
    REFUSED(mmu_update(machine_of(&l3[510]), l3[510] | PSE));
    REFUSED(mmu_update(machine_of(&l4[511]), l4[511] | PSE));
}

ATTACK(global_in_upper_tables, SURVIVES, "XSA-286: G above level 1")
{
    for (unsigned level = 2; level <= 4; level++)
        refuse_upper_entry(level, entry_of(new_table(), PLAIN | GLOBAL));
}

ATTACK(reserved_address_bits, SURVIVES, "XSA-32 XSA-173: frame numbers beyond the machine's")
{
    refuse_l1_entry(1UL << 51 | PLAIN);
    refuse_l1_entry(ADDR | PLAIN);
    for (unsigned level = 2; level <= 4; level++)
        refuse_upper_entry(level, 1UL << 51 | PLAIN);
}

ATTACK(frames_beyond_memory, SURVIVES, "XSA-32: frames that do not exist, as pages and as tables")
{
    refuse_l1_entry(board->frames_max * PAGE | PLAIN);
    refuse_l1_entry((board->frames_max + 12345) * PAGE | READONLY);
    refuse_l1_entry(0x100000UL * PAGE | READONLY);
    for (unsigned level = 2; level <= 4; level++)
        refuse_upper_entry(level, board->frames_max * PAGE | PLAIN);
}

ATTACK(device_memory, SURVIVES, "XSA-154: memory-mapped I/O without a right to it")
{
    static const uint64_t frames[] = {0, 0xa0, 0xb8, 0xf0, 0xfec00, 0xfed00, 0xfee00, 0xe0000, 0xfd000};

    for (unsigned i = 0; i < COUNT_OF(frames); i++) {
        uint64_t *page = new_page();

        refuse_l1_entry(frames[i] * PAGE | READONLY);
        refuse_l1_entry(frames[i] * PAGE | PLAIN | PCD);
        REFUSED(map_foreign(page, frames[i] * PAGE | PLAIN, DOMID_IO));
        REFUSED(mmu_update_for(machine_of(l1_entry(page)), frames[i] * PAGE | READONLY, DOMID_IO));
    }
}

ATTACK(domain0s_memory, SURVIVES, "XSA-32: frames of Domain 0, as pages, tables and by naming their owner")
{
    uint64_t *page = new_page();

    refuse_l1_entry(board->domain0_mfn * PAGE | READONLY);
    refuse_l1_entry(board->domain0_mfn * PAGE | PLAIN);
    refuse_l1_entry(board->domain0_table_mfn * PAGE | READONLY);
    for (unsigned level = 2; level <= 4; level++)
        refuse_upper_entry(level, board->domain0_table_mfn * PAGE | PLAIN);
    for (unsigned flags = 0; flags < 2; flags++) {
        REFUSED(map_foreign(page, board->domain0_mfn * PAGE | (flags ? PLAIN : READONLY), 0));
        REFUSED(mmu_update_for(machine_of(l1_entry(page)), board->domain0_mfn * PAGE | READONLY, 0));
    }
}

static void stay(void)
{
    uint64_t *secret = new_page();

    for (unsigned i = 0; i < 512; i++)
        secret[i] = board->secret;
    while (!has_stopped())
        sleep_ns(1000000);
    for (unsigned i = 0; i < 512; i++)
        CHECK(secret[i] == board->secret);
}

ATTACK_WITH(anothers_memory, SURVIVES, stay, "XSA-32 XSA-109: all frames of another guest")
{
    uint64_t *page = new_page();

    for (unsigned i = 0; i < 1024; i++) {
        uint64_t entry = (board->peer_mfn + i) * PAGE;

        REFUSED(map_entry(page, entry | READONLY));
        REFUSED(map_entry(page, entry | PLAIN));
        REFUSED(map_foreign(page, entry | READONLY, board->peer));
        REFUSED(mmuext(MMUEXT_COPY_PAGE, mfn_of(page), board->peer_mfn + i));
        REFUSED(mmuext(MMUEXT_CLEAR_PAGE, board->peer_mfn + i, 0));
        REFUSED(mmuext_for(MMUEXT_CLEAR_PAGE, board->peer_mfn + i, 0, board->peer));
        REFUSED(mmuext_for(MMUEXT_UNPIN_TABLE, board->peer_mfn + i, 0, board->peer));
        REFUSED(mmuext(MMUEXT_UNPIN_TABLE, board->peer_mfn + i, 0));
        REFUSED(mmu_update(entry, READONLY));
        REFUSED(mmu_update(entry | MMU_MACHPHYS_UPDATE, 7));
        REFUSED(mmu_update_for(entry | MMU_MACHPHYS_UPDATE, 7, board->peer));
        REFUSED(mmu_update_for(entry, READONLY, DOMID_SELF | (board->peer + 1u) << 16));
    }
}

ATTACK(hypervisors_memory, SURVIVES, "XSA-248: every frame of the machine that is not the guest's")
{
    uint64_t *page = new_page();

    for (uint64_t mfn = 0; mfn < board->frames_max; mfn++) {
        uint64_t pfn = M2P[mfn];

        if (pfn < start_info->nr_pages && p2m[pfn] == mfn)
            continue;
        if (mfn == start_info->shared_info / PAGE || mfn == (*l1_entry(grants) & ADDR) / PAGE)
            continue;
        REFUSED(map_entry(page, mfn * PAGE | READONLY));
        REFUSED(map_entry(page, mfn * PAGE | PLAIN));
    }
}

ATTACK(machine_to_physical_table, SURVIVES, "XSA-212: writing the table that all read")
{
    uint64_t *page = new_page(), before = M2P[board->self_mfn];

    for (uint64_t va = HV_START; va < HV_START + 4 * PAGE; va += 512) {
        REFUSED(map_entry((void *)va, entry_of(page, PLAIN)));
        CHECK(!try_write((void *)va, 0));
        REFUSED(hypercall(__HYPERVISOR_xen_version, XENVER_compile_info, va, 0, 0));
    }
    CHECK(M2P[board->self_mfn] == before);
    REFUSED(map_foreign(page, board->domain0_mfn * PAGE | READONLY, DOMID_XEN));
}

ATTACK(machphys_of_others, SURVIVES, "XSA-113: machine-to-physical entries of frames that are not the guest's")
{
    uint64_t before = M2P[board->domain0_mfn];

    REFUSED(mmu_update(board->domain0_mfn * PAGE | MMU_MACHPHYS_UPDATE, 3));
    REFUSED(mmu_update(board->frames_max * PAGE | MMU_MACHPHYS_UPDATE, 3));
    REFUSED(mmu_update(~0UL << 2 | MMU_MACHPHYS_UPDATE, 3));
    REFUSED(mmu_update(0x200 * PAGE | MMU_MACHPHYS_UPDATE, 3));
    CHECK(M2P[board->domain0_mfn] == before);
    ALLOWED(mmu_update(board->self_mfn * PAGE | MMU_MACHPHYS_UPDATE, ~0UL));
    ALLOWED(mmu_update(board->self_mfn * PAGE | MMU_MACHPHYS_UPDATE, 0));
}

ATTACK(cache_attributes, SURVIVES, "XSA-402 XSA-154: uncached and write-combining mappings of memory")
{
    static const uint64_t kinds[] = {PWT, PCD, PWT | PCD, PSE, PSE | PWT, PSE | PCD, PSE | PCD | PWT};

    for (unsigned i = 0; i < COUNT_OF(kinds); i++) {
        uint64_t *page = new_page();

        refuse_l1_entry(entry_of(page, PLAIN | kinds[i]));
        REFUSED(map_entry(shared_info, start_info->shared_info | PLAIN | kinds[i]));
        REFUSED(map_entry(page, start_info->shared_info | READONLY | kinds[i]));
    }
}

ATTACK(flags_fast_path, SURVIVES, "XSA-182: only flags change, and RW comes with them")
{
    uint64_t *table = new_table(), *l1 = l1_entry(table);

    ALLOWED(pin(1, table));
    REFUSED(map_entry(table, *l1 | RW));
    REFUSED(mmu_update(machine_of(l1), *l1 | RW));
    REFUSED(mmu_update(machine_of(l1) | MMU_PT_UPDATE_PRESERVE_AD, *l1 | RW));
    ALLOWED(map_entry(table, (*l1 & ~ACCESSED) | NX));
    REFUSED(map_entry(table, (*l1 & ~ACCESSED) | RW | NX));
    CHECK(!try_write(table, 0));
}

ATTACK(hypervisors_slots, SURVIVES, "XSA-64: the slots of the root that are the hypervisor's")
{
    uint64_t *l4 = table_of((void *)VIRT_BASE, 4), *fresh = new_page();

    for (unsigned i = 256; i < 272; i++) {
        REFUSED(mmu_update(machine_of(&l4[i]), l4[511]));
        REFUSED(mmu_update(machine_of(&l4[i]), 0));
        fresh[i] = l4[511];
    }
    fresh[511] = l4[511];
    make_readonly(fresh);
    if (pin(4, fresh))
        return;
    for (unsigned i = 256; i < 272; i++)
        CHECK(fresh[i] != l4[511]);
    ALLOWED(mmuext(MMUEXT_NEW_BASEPTR, mfn_of(fresh), 0));
    CHECK(M2P[board->self_mfn] == 0);
}

ATTACK(odd_requests, SURVIVES, "XSA-227: entries that straddle two, commands that do not exist")
{
    uint64_t *page = new_page(), entry = *l1_entry(page);

    REFUSED(mmu_update(machine_of(l1_entry(page)) | 4, entry));
    REFUSED(mmu_update(~0UL, entry));
    REFUSED(mmu_update(1UL << 60, entry));
    REFUSED(mmu_update_for(machine_of(l1_entry(page)), entry, 0x7ff4));
    REFUSED(mmu_update_for(machine_of(l1_entry(page)), entry, 0xffff0000 | DOMID_SELF));
    REFUSED(mmu_update_for(machine_of(l1_entry(page)), entry_of(new_page(), PLAIN), DOMID_IO));
    REFUSED(map_entry((void *)HV_START, entry));
    REFUSED(map_entry((void *)0x0000800000000000, entry));
    REFUSED(map_entry((void *)0xdead000000000000, entry));
    REFUSED(map_entry((void *)0x1000, entry));
    CHECK(*l1_entry(page) == entry || *l1_entry(page) == (entry | ACCESSED));
}

ATTACK(flushes, SURVIVES, "XSA-279: flushing addresses and vCPUs that do not exist")
{
    static const uint64_t addresses[] = {HV_START, HV_END - 1, 0x0000800000000000, 0xdead000000000000, ~0UL, 0};
    uint64_t *page = new_page(), all = ~0UL;

    for (unsigned i = 0; i < COUNT_OF(addresses); i++) {
        struct mmuext_op op = {.cmd = MMUEXT_INVLPG_LOCAL, .arg1.linear_addr = addresses[i]};

        hypercall(__HYPERVISOR_mmuext_op, ADDRESS(&op), 1, 0, DOMID_SELF);
        op.cmd = MMUEXT_INVLPG_ALL;
        hypercall(__HYPERVISOR_mmuext_op, ADDRESS(&op), 1, 0, DOMID_SELF);
        op.cmd = MMUEXT_INVLPG_MULTI;
        op.arg2.vcpumask.p = &all;
        ALLOWED(hypercall(__HYPERVISOR_mmuext_op, ADDRESS(&op), 1, 0, DOMID_SELF));
        op.arg2.vcpumask.p = (void *)addresses[i];
        REFUSED(hypercall(__HYPERVISOR_mmuext_op, ADDRESS(&op), 1, 0, DOMID_SELF));
        REFUSED(hypercall(__HYPERVISOR_update_va_mapping, addresses[i], 0, UVMF_INVLPG | UVMF_ALL, 0));
        REFUSED(hypercall(__HYPERVISOR_update_va_mapping, ADDRESS(page), 0, UVMF_INVLPG | (HV_START + 8), 0));
    }
    page[0] = 1;
    REFUSED(mmuext(MMUEXT_FLUSH_CACHE, 0, 0));
    REFUSED(mmuext(MMUEXT_FLUSH_CACHE_GLOBAL, 0, 0));
}
