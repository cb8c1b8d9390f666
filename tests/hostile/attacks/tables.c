/* SPDX-License-Identifier: MIT */
/* Whole page tables: recursion, wrong levels, tables that stay writable, tables that are given away, refused ones that are not
 * undone. */
#include "guest/attack.h"

#define RACE_NS 300000000UL

/* A page that is no table any more, nor half of one, can be written. */
static void check_plain(uint64_t *page)
{
    make_writable(page);
    page[7] = 0x1234;
    CHECK(page[7] == 0x1234);
    page[7] = 0;
}

ATTACK(recursive_root, SURVIVES, "XSA-185 XSA-240 XSA-286 XSA-309: a root that maps itself, read-only and not")
{
    uint64_t *l4 = table_of((void *)VIRT_BASE, 4), *fresh = new_page();

    for (unsigned rw = 0; rw < 2; rw++) {
        uint64_t flags = rw ? PLAIN : READONLY;

        REFUSED(mmu_update(machine_of(&l4[100]), entry_of(l4, flags)));
        fresh[3] = entry_of(fresh, flags);
        fresh[4] = entry_of(l4, flags);
        make_readonly(fresh);
        REFUSED(pin(4, fresh));
        make_writable(fresh);
        fresh[3] = 0;
        make_readonly(fresh);
        REFUSED(pin(4, fresh));
        check_plain(fresh);
    }
}

ATTACK(recursive_tables, SURVIVES, "XSA-240: levels 2 and 3 that map a table of their own or a higher level")
{
    for (unsigned level = 2; level <= 3; level++) {
        uint64_t *live = table_of((void *)VIRT_BASE, level), *table = new_page();

        for (unsigned target = level; target <= 4; target++) {
            REFUSED(mmu_update(machine_of(&live[9]), entry_of(table_of((void *)VIRT_BASE, target), READONLY)));
            table[0] = entry_of(table_of((void *)VIRT_BASE, target), READONLY);
            make_readonly(table);
            REFUSED(pin(level, table));
            make_writable(table);
        }
        table[0] = entry_of(table, READONLY);
        make_readonly(table);
        REFUSED(pin(level, table));
        check_plain(table);
    }
}

ATTACK(tables_in_a_ring, SURVIVES, "XSA-240: two tables that map each other")
{
    uint64_t *a = new_page(), *b = new_page();

    a[0] = entry_of(b, READONLY);
    b[0] = entry_of(a, READONLY);
    make_readonly(a);
    make_readonly(b);
    for (unsigned level = 3; level <= 4; level++) {
        REFUSED(pin(level, a));
        REFUSED(pin(level, b));
    }
    ALLOWED(pin(2, a)); /* b, of level 1, may map it to be read */
    REFUSED(pin(2, b));
    REFUSED(mmu_update(machine_of(&b[0]), entry_of(a, PLAIN)));
    ALLOWED(unpin(a));
    check_plain(a);
    check_plain(b);
}

ATTACK(writable_tables, SURVIVES, "type confusion: writable mappings of tables in use")
{
    for (unsigned level = 1; level <= 4; level++) {
        uint64_t *table = table_of((void *)VIRT_BASE, level), *page = new_page();

        REFUSED(map_entry(page, entry_of(table, PLAIN)));
        REFUSED(map_entry(table, entry_of(table, PLAIN)));
        REFUSED(mmu_update(machine_of(l1_entry(page)), entry_of(table, PLAIN)));
        CHECK(!try_write(&table[3], 0));
        ALLOWED(map_entry(page, entry_of(table, READONLY)));
        CHECK(!try_write(page, 0));
    }
}

ATTACK(table_while_writable, SURVIVES, "type confusion: a frame with a writable mapping becomes a table")
{
    uint64_t *table = new_page(), *alias = new_page();

    for (unsigned level = 1; level <= 4; level++)
        REFUSED(pin(level, table));
    ALLOWED(map_entry(alias, entry_of(table, PLAIN)));
    make_readonly(table);
    REFUSED(pin(1, table));
    ALLOWED(map_entry(alias, 0));
    ALLOWED(pin(1, table));
    REFUSED(map_entry(alias, entry_of(table, PLAIN)));
    ALLOWED(unpin(table));
    check_plain(table);
}

ATTACK(two_types_at_once, SURVIVES, "type confusion: one frame as tables of two levels, as descriptors, as data")
{
    uint64_t *table = new_table(), frame = mfn_of(table);

    for (unsigned level = 1; level <= 4; level++) {
        ALLOWED(pin(level, table));
        for (unsigned other = 1; other <= 4; other++)
            REFUSED(pin(other, table));
        REFUSED(hypercall(__HYPERVISOR_set_gdt, ADDRESS(&frame), 512, 0, 0));
        REFUSED(map_entry(table, entry_of(table, PLAIN)));
        REFUSED(mmuext(MMUEXT_CLEAR_PAGE, frame, 0));
        REFUSED(mmuext(MMUEXT_COPY_PAGE, frame, frame));
        ALLOWED(unpin(table));
        REFUSED(unpin(table));
    }
    ALLOWED(hypercall(__HYPERVISOR_set_gdt, ADDRESS(&frame), 512, 0, 0));
    for (unsigned level = 1; level <= 4; level++)
        REFUSED(pin(level, table));
}

ATTACK(pins_of_others, SURVIVES, "XSA-58: pins and unpins of frames that are not the guest's, or not there")
{
    const uint64_t frames[] = {0,
                               0x200,
                               board->domain0_mfn,
                               board->domain0_table_mfn,
                               board->frames_max,
                               ~0UL,
                               start_info->shared_info / PAGE,
                               *l1_entry(grants) / PAGE & (ADDR / PAGE)};

    for (unsigned i = 0; i < COUNT_OF(frames); i++) {
        for (unsigned cmd = MMUEXT_PIN_L1_TABLE; cmd <= MMUEXT_UNPIN_TABLE; cmd++) {
            REFUSED(mmuext(cmd, frames[i], 0));
            REFUSED(mmuext_for(cmd, frames[i], 0, 0));
        }
        REFUSED(mmuext(MMUEXT_NEW_BASEPTR, frames[i], 0));
        if (frames[i])
            REFUSED(mmuext(MMUEXT_NEW_USER_BASEPTR, frames[i], 0));
    }
}

ATTACK(refused_table_is_undone, SURVIVES,
       "XSA-58 XSA-299: the last entry is bad, the references of the 511 before go back")
{
    uint64_t *l1 = new_page(), *l2 = new_page(), *data = new_page();

    for (unsigned round = 0; round < 16; round++) {
        for (unsigned i = 0; i < 511; i++) {
            l1[i] = entry_of(data, PLAIN);
            l2[i] = entry_of(l1, PLAIN);
        }
        l1[511] = board->domain0_mfn * PAGE | PLAIN;
        make_readonly(l1);
        REFUSED(pin(1, l1));
        make_readonly(l2);
        REFUSED(pin(2, l2));
        check_plain(l1);
        l1[511] = 0;
        make_writable(l2);
        l2[511] = board->domain0_mfn * PAGE | PLAIN;
        make_readonly(l1);
        make_readonly(l2);
        REFUSED(pin(2, l2));
        check_plain(l2);
        check_plain(l1);
    }
    make_readonly(data); /* nothing maps it writable any more: */
    ALLOWED(pin(1, data));
}

ATTACK(table_maps_itself, SURVIVES, "type confusion: a level 1 table that maps itself and its parent writable")
{
    uint64_t *l1 = new_page();

    l1[0] = entry_of(l1, PLAIN);
    make_readonly(l1);
    REFUSED(pin(1, l1));
    make_writable(l1);
    l1[0] = entry_of(l1, READONLY);
    l1[1] = entry_of(table_of((void *)VIRT_BASE, 4), READONLY);
    make_readonly(l1);
    ALLOWED(pin(1, l1));
    REFUSED(mmu_update(machine_of(&l1[0]), entry_of(l1, PLAIN)));
    REFUSED(mmu_update(machine_of(&l1[1]), l1[1] | RW));
    ALLOWED(unpin(l1));
    check_plain(l1);
}

ATTACK(giving_up_tables, SURVIVES, "XSA-252 XSA-242: tables in use are given up, exchanged, cleared")
{
    uint64_t *table = new_table(), frame = mfn_of(table), out = 0;
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    struct xen_memory_exchange e = {.in = {.nr_extents = 1, .domid = DOMID_SELF},
                                    .out = {.nr_extents = 1, .domid = DOMID_SELF}};

    set_xen_guest_handle(r.extent_start, &frame);
    set_xen_guest_handle(e.in.extent_start, &frame);
    set_xen_guest_handle(e.out.extent_start, &out);
    for (unsigned level = 1; level <= 4; level++) {
        ALLOWED(pin(level, table));
        RETURNS(0, memory_op(XENMEM_decrease_reservation, &r));
        e.nr_exchanged = 0;
        REFUSED(memory_op(XENMEM_exchange, &e));
        ALLOWED(unpin(table));
        frame = mfn_of(table_of((void *)VIRT_BASE, level));
        e.nr_exchanged = 0;
        REFUSED(memory_op(XENMEM_exchange, &e));
        frame = mfn_of(table);
    }
}

ATTACK(root_given_up_while_loaded, EITHER, "XSA-242 XSA-438: the pin and the allocation of the root in use go")
{
    uint64_t *l4 = table_of((void *)VIRT_BASE, 4), frame = mfn_of(l4);
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};

    set_xen_guest_handle(r.extent_start, &frame);
    unpin(l4);
    memory_op(XENMEM_decrease_reservation, &r);
    REFUSED(map_entry(new_page(), entry_of(l4, PLAIN)));
    for (unsigned level = 1; level <= 4; level++)
        if (level != 4)
            REFUSED(pin(level, l4));
    for (unsigned i = 0; i < 272; i++)
        mmu_update(machine_of(&l4[i]), 0);
    mmu_update(machine_of(&l4[511]), 0); /* the code that this runs in is gone */
}

ATTACK(roots, SURVIVES, "VCPU roots that are no roots")
{
    uint64_t *page = new_table();

    for (unsigned level = 1; level <= 3; level++) {
        REFUSED(mmuext(MMUEXT_NEW_BASEPTR, mfn_of(table_of((void *)VIRT_BASE, level)), 0));
        REFUSED(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(table_of((void *)VIRT_BASE, level)), 0));
    }
    make_writable(page);
    REFUSED(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(page), 0));
    page[0] = entry_of(page, PLAIN);
    make_readonly(page);
    REFUSED(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(page), 0));
    for (unsigned i = 0; i < 100; i++) {
        ALLOWED(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(table_of((void *)VIRT_BASE, 4)), 0));
        ALLOWED(mmuext(MMUEXT_NEW_USER_BASEPTR, 0, 0));
        ALLOWED(mmuext(MMUEXT_NEW_BASEPTR, mfn_of(table_of((void *)VIRT_BASE, 4)), 0));
    }
}

ATTACK(deep_tree, SURVIVES,
       "XSA-45 XSA-264 XSA-310: a wide tree of tables is pinned and unpinned, cut at preemption points")
{
    uint64_t *l4 = new_page(), *l3 = new_page(), *l2 = new_page(), *l1 = new_page(), *data = new_page();

    for (unsigned i = 0; i < 512; i++) {
        l1[i] = entry_of(data, PLAIN);
        l2[i] = entry_of(l1, PLAIN);
        l3[i] = entry_of(l2, PLAIN);
        if (i < 256)
            l4[i] = entry_of(l3, PLAIN);
    }
    make_readonly(l1);
    make_readonly(l2);
    make_readonly(l3);
    make_readonly(l4);
    vcpu_op(VCPUOP_set_periodic_timer, 0, &(struct vcpu_set_periodic_timer){1000000});
    for (unsigned round = 0; round < 50; round++) {
        ALLOWED(pin(4, l4));
        REFUSED(map_entry(l2, entry_of(l2, PLAIN)));
        REFUSED(pin(4, l4));
        ALLOWED(unpin(l4));
    }
    check_plain(l4);
    check_plain(l3);
    check_plain(l2);
    check_plain(l1);
}

/* ---- Emulated stores ---- */

static void enable_store_emulation(void)
{
    ALLOWED(hypercall(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables, 0, 0));
}

ATTACK(emulated_store_of_bad_entries, SURVIVES, "XSA-148 XSA-182: what a hypercall refuses, stored into a live table")
{
    uint64_t *table = new_table(), *l2 = table_of((void *)VIRT_BASE, 2), *plain = new_page();

    enable_store_emulation();
    ALLOWED(pin(1, table));
    CHECK(try_write(&table[0], entry_of(plain, PLAIN)));
    CHECK(!try_write(&table[1], board->domain0_mfn * PAGE | READONLY));
    CHECK(!try_write(&table[1], entry_of(table, PLAIN)));
    CHECK(!try_write(&table[1], entry_of(plain, PLAIN | PCD)));
    CHECK(!try_write(&table[1], 1UL << 51 | PLAIN));
    CHECK(!try_write(&table[1], 0x200 * PAGE | READONLY));
    CHECK(!try_write(&l2[9], entry_of(table, PLAIN)));
    CHECK(!try_write(&table_of((void *)VIRT_BASE, 4)[9], 0));
    CHECK(table[1] == 0);
}

static void store_across_entries(void *arg)
{
    *(volatile uint64_t *)((char *)arg + 4) = ~0UL;
}

static void store_across_pages(void *arg)
{
    *(volatile uint64_t *)((char *)arg + PAGE - 4) = ~0UL;
}

static void store_many(void *arg)
{
    __asm__ volatile("rep stosq" ::"D"(arg), "a"(~0UL), "c"(8) : "memory");
}

ATTACK(emulated_store_across, SURVIVES, "XSA-186 XSA-227: stores that straddle entries and pages, string stores")
{
    uint64_t *table = new_pages(2);

    enable_store_emulation();
    make_readonly(table);
    ALLOWED(pin(1, table));
    CHECK(guarded(store_across_entries, table));
    CHECK(guarded(store_across_pages, table));
    CHECK(guarded(store_many, table));
    for (unsigned i = 0; i < 512; i++)
        CHECK(table[i] == 0);
    CHECK(table[512] == 0);
}

/* ---- Several vCPUs ---- */

static uint64_t *shared_table;
static uint32_t go, finished;

static void pin_and_unpin(void *arg)
{
    uint64_t state = board->seed + ADDRESS(arg);

    while (!READ_ONCE(go))
        relax();
    for (uint64_t end = now_ns() + RACE_NS; now_ns() < end;) {
        uint64_t r = random_next(&state);
        unsigned level = 1 + r % 4;

        if (r & 16)
            pin(level, shared_table);
        else
            unpin(shared_table);
        mmu_update(machine_of(&shared_table[r >> 8 & 511]), r & 32 ? entry_of(shared_table + 512, PLAIN) : 0);
    }
    __atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST);
}

ATTACK(pin_races, SURVIVES, "XSA-299 XSA-401 XSA-408: vCPUs pin, unpin and change one table at once")
{
    shared_table = new_pages(2);
    make_readonly(shared_table);
    for (unsigned id = 1; id < VCPUS_MAX; id++)
        ALLOWED(cpu_start(id, pin_and_unpin, (void *)(uint64_t)id));
    WRITE_ONCE(go, 1);
    pin_and_unpin(NULL);
    while (READ_ONCE(finished) < VCPUS_MAX)
        sched_op(SCHEDOP_yield, NULL);
    while (!unpin(shared_table))
        continue;
    check_plain(shared_table);
}

static void keep_writing(void *arg)
{
    volatile uint64_t *page = arg;

    while (!READ_ONCE(go))
        try_write(&page[5], READ_ONCE(finished) ? board->domain0_mfn * PAGE | PLAIN : 0);
}

ATTACK(stale_translation_to_table, SURVIVES, "XSA-401 XSA-408 XSA-241: writes through another vCPU's stale translation")
{
    uint64_t *page = new_page();

    ALLOWED(cpu_start(1, keep_writing, page));
    for (uint64_t end = now_ns() + RACE_NS; now_ns() < end;) {
        WRITE_ONCE(finished, 0);
        page[5] = 0;
        sleep_ns(20000);
        /* No flush is asked for: what is needed the hypervisor does. */
        ALLOWED(hypercall(__HYPERVISOR_update_va_mapping, ADDRESS(page), entry_of(page, READONLY), UVMF_NONE, 0));
        if (!pin(1, page)) {
            uint64_t before = page[5];

            WRITE_ONCE(finished, 1);
            sleep_ns(50000);
            CHECK(page[5] == before);
            ALLOWED(unpin(page));
        }
        make_writable(page);
    }
    WRITE_ONCE(go, 1);
    cpu_wait(1);
}

ATTACK(stale_translation_to_freed_frame, SURVIVES, "XSA-292 XSA-294 XSA-480: writes to frames that were given up")
{
    uint64_t *page = new_page(), *other = new_page(), frame;
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};

    set_xen_guest_handle(r.extent_start, &frame);
    WRITE_ONCE(finished, 1);
    ALLOWED(cpu_start(1, keep_writing, page));
    for (uint64_t end = now_ns() + RACE_NS; now_ns() < end;) {
        frame = (*l1_entry(page) & ADDR) / PAGE;
        sleep_ns(20000);
        ALLOWED(hypercall(__HYPERVISOR_update_va_mapping, ADDRESS(page), 0, UVMF_NONE, 0));
        RETURNS(1, memory_op(XENMEM_decrease_reservation, &r));
        frame = 1000;
        RETURNS(1, memory_op(XENMEM_populate_physmap, &r));
        ALLOWED(map_entry(other, frame * PAGE | READONLY));
        for (unsigned n = 0; n < 512; n++)
            CHECK(other[n] == 0);
        ALLOWED(map_entry(other, 0));
        ALLOWED(map_entry(page, frame * PAGE | PLAIN));
    }
    WRITE_ONCE(go, 1);
    cpu_wait(1);
}
