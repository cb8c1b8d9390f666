/* SPDX-License-Identifier: MIT */
/* Grants: mapping, unmapping, copying what was not granted, no longer is, or is something else by now. The peer grants. */
#include "guest/attack.h"

#define WAIT_NS     5000000000UL
#define REF_PLAIN   8  /* a page of the peer's */
#define REF_READ    9  /* one that may be read */
#define REF_TABLE   10 /* a page table of the peer's, granted writable */
#define REF_FOREIGN 11 /* a frame of Domain 0's */
#define REF_SHARED  12 /* the peer's shared info */
#define REF_TURNING 13 /* changes all the time */
#define REF_FREED   14 /* given up when the attacker has written to it */
#define MARK        0x6a4b

static void give(unsigned ref, uint64_t mfn, uint16_t flags)
{
    grants[ref].domid = board->peer;
    grants[ref].frame = (uint32_t)mfn;
    WRITE_ONCE(grants[ref].flags, GTF_permit_access | flags);
}

/* The peer's part: grants, keeps turning one of them, gives up the frame of another. */
static void granter(void)
{
    uint64_t *plain = new_page(), *freed = new_page(), frame = mfn_of(freed);
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    bool gone = false;

    plain[1] = MARK;
    give(REF_READ, mfn_of(plain), GTF_readonly);
    give(REF_TABLE, mfn_of(table_of(plain, 1)), 0);
    give(REF_FOREIGN, board->domain0_mfn, 0);
    give(REF_SHARED, start_info->shared_info / PAGE, 0);
    give(REF_FREED, frame, 0);
    give(REF_PLAIN, mfn_of(plain), 0);
    set_xen_guest_handle(r.extent_start, &frame);
    for (unsigned i = 0; !has_stopped(); i++) {
        grants[REF_TURNING].frame = (uint32_t)(i & 1 ? board->domain0_mfn : mfn_of(plain));
        WRITE_ONCE(grants[REF_TURNING].domid, i & 4 ? board->peer : 0);
        __atomic_exchange_n(&grants[REF_TURNING].flags, i & 2 ? GTF_permit_access : 0, __ATOMIC_SEQ_CST);
        if (!gone && freed[1] == MARK) {
            ALLOWED(map_entry(freed, 0));
            RETURNS(1, memory_op(XENMEM_decrease_reservation, &r));
            give(REF_FREED, 0, 0);
            gone = true;
        }
        if (gone)
            sched_op(SCHEDOP_yield, NULL);
    }
}

static int16_t map_ref(uint32_t ref, uint64_t host, uint32_t flags, uint16_t domain, struct gnttab_map_grant_ref *op)
{
    *op = (struct gnttab_map_grant_ref){.host_addr = host, .flags = flags, .ref = ref, .dom = domain};
    ALLOWED(grant_op(GNTTABOP_map_grant_ref, op, 1));
    return op->status;
}

static int16_t map_at(uint32_t ref, const void *page, uint32_t flags, struct gnttab_map_grant_ref *op)
{
    return map_ref(ref, ADDRESS(page), flags | GNTMAP_host_map, board->peer, op);
}

static int16_t unmap_at(uint64_t host, uint32_t handle)
{
    struct gnttab_unmap_grant_ref op = {.host_addr = host, .handle = handle};

    ALLOWED(grant_op(GNTTABOP_unmap_grant_ref, &op, 1));
    return op.status;
}

/* Until the peer has begun. */
static void await_peer(void)
{
    struct gnttab_map_grant_ref op;
    uint64_t *page = new_page(), end = now_ns() + WAIT_NS;

    while (map_at(REF_PLAIN, page, 0, &op) != GNTST_okay) {
        CHECK(now_ns() < end);
        sleep_ns(100000);
    }
    CHECK(unmap_at(ADDRESS(page), op.handle) == GNTST_okay);
}

ATTACK_WITH(maps_of_wrong_grants, SURVIVES, granter,
            "references that are not there, of frames that are not the granter's, of tables")
{
    uint64_t *page = new_page();
    struct gnttab_map_grant_ref op;

    await_peer();
    for (uint32_t ref = 0; ref < 31; ref++)
        CHECK(map_at(1u << ref | 1u << 20, page, 0, &op) != GNTST_okay && op.status < 0);
    CHECK(map_at(~0u, page, 0, &op) < 0);
    CHECK(map_at(GRANT_ENTRIES, page, 0, &op) < 0);
    CHECK(map_at(20, page, 0, &op) < 0);
    CHECK(map_at(REF_FOREIGN, page, 0, &op) < 0);
    CHECK(map_at(REF_FOREIGN, page, GNTMAP_readonly, &op) < 0);
    CHECK(map_at(REF_TABLE, page, 0, &op) < 0);
    CHECK(map_at(REF_READ, page, 0, &op) < 0);
    CHECK(map_at(REF_READ, page, GNTMAP_device_map, &op) < 0);
    CHECK(map_ref(REF_PLAIN, ADDRESS(page), GNTMAP_host_map, DOMID_SELF, &op) < 0);
    CHECK(map_ref(REF_PLAIN, ADDRESS(page), GNTMAP_host_map, 0, &op) < 0);
    CHECK(map_ref(REF_PLAIN, ADDRESS(page), GNTMAP_host_map, DOMID_XEN, &op) < 0);
    CHECK(map_ref(REF_PLAIN, ADDRESS(page), GNTMAP_host_map, 9999, &op) < 0);
    CHECK(map_ref(REF_PLAIN, ADDRESS(page), 0, board->peer, &op) < 0);
    page[0] = 1; /* its own page is there still */
    ALLOWED(map_entry(page, 0));
    if (map_at(REF_TABLE, page, GNTMAP_readonly, &op) == GNTST_okay) {
        CHECK(!try_write(page, 0));
        CHECK(unmap_at(ADDRESS(page), op.handle) == GNTST_okay);
    }
}

ATTACK_WITH(maps_to_wrong_places, SURVIVES, granter,
            "XSA-227: host addresses in the hypervisor, not mapped, entries that are misaligned, no entries")
{
    static const uint64_t places[] = {HV_START, HV_END - PAGE, 0x0000800000000000, 0x1000, 0, ~0UL};
    uint64_t *page = new_page(), entry = machine_of(l1_entry(page));
    struct gnttab_map_grant_ref op;

    await_peer();
    for (unsigned i = 0; i < COUNT_OF(places); i++) {
        CHECK(map_ref(REF_PLAIN, places[i], GNTMAP_host_map, board->peer, &op) < 0);
        CHECK(map_ref(REF_PLAIN, places[i], GNTMAP_host_map | GNTMAP_contains_pte, board->peer, &op) < 0);
    }
    for (unsigned offset = 1; offset < 8; offset++)
        CHECK(map_ref(REF_PLAIN, entry + offset, GNTMAP_host_map | GNTMAP_contains_pte, board->peer, &op) < 0);
    for (unsigned level = 2; level <= 4; level++)
        CHECK(map_ref(REF_PLAIN, machine_of(table_of(page, level)), GNTMAP_host_map | GNTMAP_contains_pte, board->peer,
                      &op) < 0);
    CHECK(map_ref(REF_PLAIN, machine_of(page), GNTMAP_host_map | GNTMAP_contains_pte, board->peer, &op) < 0);
    CHECK(map_ref(REF_PLAIN, board->domain0_table_mfn * PAGE, GNTMAP_host_map | GNTMAP_contains_pte, board->peer, &op) <
          0);
    CHECK(map_ref(REF_PLAIN, 0x200 * PAGE, GNTMAP_host_map | GNTMAP_contains_pte, board->peer, &op) < 0);
    CHECK(map_ref(REF_PLAIN, entry, GNTMAP_host_map | GNTMAP_contains_pte, board->peer, &op) == GNTST_okay);
    CHECK(page[1] == MARK);
    CHECK(unmap_at(entry + 8, op.handle) < 0);
    CHECK(unmap_at(entry, op.handle) == GNTST_okay);
}

ATTACK_WITH(more_from_a_grant, SURVIVES, granter,
            "XSA-224 XSA-234: a granted page becomes writable, is mapped again, is typed, by its entry")
{
    uint64_t *page = new_page(), *other = new_page(), *table = new_page(), granted;
    struct gnttab_map_grant_ref op;

    await_peer();
    CHECK(map_at(REF_READ, page, GNTMAP_readonly, &op) == GNTST_okay);
    granted = *l1_entry(page);
    CHECK((granted & ADDR) == op.dev_bus_addr);
    REFUSED(map_entry(page, granted | RW));
    REFUSED(mmu_update(machine_of(l1_entry(page)), granted | RW));
    REFUSED(map_entry(other, granted));
    REFUSED(map_entry(other, granted | RW));
    REFUSED(map_foreign(other, granted, board->peer));
    table[0] = granted;
    make_readonly(table);
    REFUSED(pin(1, table));
    for (unsigned level = 1; level <= 4; level++)
        REFUSED(mmuext(MMUEXT_PIN_L1_TABLE + level - 1, (granted & ADDR) / PAGE, 0));
    REFUSED(mmuext(MMUEXT_NEW_BASEPTR, (granted & ADDR) / PAGE, 0));
    REFUSED(mmuext(MMUEXT_CLEAR_PAGE, (granted & ADDR) / PAGE, 0));
    REFUSED(hypercall(__HYPERVISOR_update_descriptor, granted & ADDR, 0, 0, 0));
    CHECK(!try_write(page, 0) && page[1] == MARK);
    CHECK(unmap_at(ADDRESS(page), op.handle) == GNTST_okay);
    CHECK(!try_read(page, &granted));
}

ATTACK_WITH(wrong_unmaps, SURVIVES, granter,
            "XSA-218 XSA-228 XSA-230: handles twice, of nothing, with another's address, after the entry has gone")
{
    uint64_t *page = new_page(), *other = new_page();
    struct gnttab_map_grant_ref a, b;

    await_peer();
    CHECK(unmap_at(ADDRESS(page), 77) < 0 && unmap_at(ADDRESS(page), ~0u) < 0 && unmap_at(0, 0) < 0);
    CHECK(map_at(REF_PLAIN, page, 0, &a) == GNTST_okay && map_at(REF_READ, other, GNTMAP_readonly, &b) == GNTST_okay);
    CHECK(unmap_at(ADDRESS(other), a.handle) < 0);
    CHECK(unmap_at(HV_START, a.handle) < 0);
    CHECK(unmap_at(machine_of(l1_entry(page)), a.handle) < 0);
    CHECK(unmap_at(ADDRESS(page), b.handle) < 0);
    CHECK(page[1] == MARK && other[1] == MARK);
    CHECK(unmap_at(ADDRESS(page), a.handle) == GNTST_okay);
    CHECK(unmap_at(ADDRESS(page), a.handle) < 0);
    ALLOWED(map_entry(other, 0));
    unmap_at(ADDRESS(other), b.handle);
    CHECK(map_at(REF_PLAIN, page, 0, &a) == GNTST_okay);
    ALLOWED(
        map_entry(page, entry_of(page, PLAIN))); /* our own page in its place: it must not be unmapped for the grant */
    unmap_at(ADDRESS(page), a.handle);
    page[0] = 1;
}

ATTACK_WITH(granted_frame_is_given_up, SURVIVES, granter,
            "XSA-236: the granter gives the frame up while it is mapped here")
{
    uint64_t *page = new_page();
    struct gnttab_map_grant_ref op;

    await_peer();
    CHECK(map_at(REF_FREED, page, 0, &op) == GNTST_okay);
    page[1] = MARK;
    for (unsigned i = 0; i < 200; i++) {
        sleep_ns(100000);
        CHECK(page[1] == MARK && page[100] == 0);
    }
    CHECK(unmap_at(ADDRESS(page), op.handle) == GNTST_okay);
}

ATTACK_WITH(turning_grant, SURVIVES, granter,
            "XSA-230 XSA-295 XSA-394: domain, frame and flags change while the grant is mapped")
{
    uint64_t *page = new_page();
    unsigned mapped = 0;

    await_peer();
    for (unsigned i = 0; i < 3000; i++) {
        struct gnttab_map_grant_ref op;

        if (map_at(REF_TURNING, page, 0, &op) != GNTST_okay)
            continue;
        CHECK(op.dev_bus_addr / PAGE != board->domain0_mfn && page[1] == MARK);
        CHECK(unmap_at(ADDRESS(page), op.handle) == GNTST_okay);
        mapped++;
    }
}

ATTACK_WITH(die_with_mappings, DIES, granter, "XSA-218 XSA-380: the mapper crashes with all that it may map mapped")
{
    struct gnttab_map_grant_ref op;

    await_peer();
    for (unsigned i = 0; i < 300; i++)
        map_at(i & 1 ? REF_PLAIN : REF_READ, new_page(), i & 1 ? 0 : GNTMAP_readonly, &op);
    map_at(REF_FREED, new_page(), GNTMAP_device_map, &op);
    iret_with((void *)0x1000);
}

static void granter_that_dies(void)
{
    uint64_t *page = new_page();

    page[1] = MARK;
    give(REF_PLAIN, mfn_of(page), 0);
    while (page[2] != MARK && !has_stopped())
        sched_op(SCHEDOP_yield, NULL);
}

ATTACK_WITH(granter_dies, SURVIVES, granter_that_dies,
            "the granter ends while its page is mapped: the page stays its own, and intact")
{
    uint64_t *page = new_page(), end = now_ns() + 20000000;
    struct gnttab_map_grant_ref op;

    while (map_at(REF_PLAIN, page, 0, &op) != GNTST_okay)
        sleep_ns(100000);
    page[2] = MARK;
    while (now_ns() < end)
        CHECK(page[1] == MARK && page[2] == MARK);
}

#define UNMAP_BATCH 32

/* Device mappings of the frame at `machine`. */
static void unmap_all(const uint32_t *handles, unsigned count, uint64_t machine, bool right)
{
    struct gnttab_unmap_grant_ref u[UNMAP_BATCH];

    for (unsigned done = 0; done < count; done += UNMAP_BATCH) {
        for (unsigned i = 0; i < UNMAP_BATCH && done + i < count; i++)
            u[i] = (struct gnttab_unmap_grant_ref){.dev_bus_addr = machine, .handle = handles[done + i]};
        ALLOWED(grant_op(GNTTABOP_unmap_grant_ref, u, UNMAP_BATCH));
        for (unsigned i = 0; i < UNMAP_BATCH && done + i < count; i++)
            CHECK((u[i].status == GNTST_okay) == right);
    }
}

ATTACK_WITH(all_handles, SURVIVES, granter, "XSA-380: mappings until there is no room, twice over")
{
    static uint32_t handles[8192];
    struct gnttab_map_grant_ref op;
    uint64_t machine = 0;
    unsigned n;

    await_peer();
    for (unsigned round = 0; round < 2; round++) {
        for (n = 0; n < COUNT_OF(handles); n++, machine = op.dev_bus_addr) {
            if (map_ref(REF_READ, 0, GNTMAP_device_map | GNTMAP_readonly, board->peer, &op) != GNTST_okay)
                break;
            handles[n] = op.handle;
        }
        CHECK(n && n < COUNT_OF(handles));
        unmap_all(handles, n, 0x200 * PAGE, false);
        unmap_all(handles, n, machine, true);
    }
}

/* ---- Copies ---- */

static int16_t copy(uint64_t from, uint16_t from_domain, uint32_t from_offset, uint64_t to, uint16_t to_domain,
                    uint32_t to_offset, uint16_t length, uint16_t flags)
{
    struct gnttab_copy op = {.source.domid = from_domain,
                             .source.offset = (uint16_t)from_offset,
                             .dest.domid = to_domain,
                             .dest.offset = (uint16_t)to_offset,
                             .len = length,
                             .flags = flags};

    if (flags & GNTCOPY_source_gref)
        op.source.u.ref = (grant_ref_t)from;
    else
        op.source.u.gmfn = from;
    if (flags & GNTCOPY_dest_gref)
        op.dest.u.ref = (grant_ref_t)to;
    else
        op.dest.u.gmfn = to;
    ALLOWED(grant_op(GNTTABOP_copy, &op, 1));
    return op.status;
}

ATTACK_WITH(
    copies, SURVIVES, granter,
    "XSA-226 XSA-318: over page ends, from and to frames that are another's, to tables, to what may be read only")
{
    uint64_t own = mfn_of(new_page()), l1 = mfn_of(table_of((void *)VIRT_BASE, 1));

    await_peer();
    CHECK(copy(board->domain0_mfn, DOMID_SELF, 0, own, DOMID_SELF, 0, 8, 0) < 0);
    CHECK(copy(board->domain0_mfn, 0, 0, own, DOMID_SELF, 0, 8, 0) < 0);
    CHECK(copy(board->peer_mfn, board->peer, 0, own, DOMID_SELF, 0, 8, 0) < 0);
    CHECK(copy(0x200, DOMID_SELF, 0, own, DOMID_SELF, 0, 8, 0) < 0);
    CHECK(copy(0x200, DOMID_XEN, 0, own, DOMID_SELF, 0, 8, 0) < 0);
    CHECK(copy(board->frames_max, DOMID_SELF, 0, own, DOMID_SELF, 0, 8, 0) < 0);
    CHECK(copy(~0UL, DOMID_SELF, 0, own, DOMID_SELF, 0, 8, 0) < 0);
    CHECK(copy(own, DOMID_SELF, 0, l1, DOMID_SELF, 0, 8, 0) < 0);
    CHECK(copy(own, DOMID_SELF, 0, board->domain0_mfn, DOMID_SELF, 0, 8, 0) < 0);
    CHECK(copy(own, DOMID_SELF, 4095, own, DOMID_SELF, 0, 2, 0) < 0);
    CHECK(copy(own, DOMID_SELF, 0, own, DOMID_SELF, 4096, 0, 0) < 0);
    CHECK(copy(own, DOMID_SELF, 0, own, DOMID_SELF, 1, 4096, 0) < 0);
    CHECK(copy(own, DOMID_SELF, 0xffff, own, DOMID_SELF, 0xffff, 0xffff, 0) < 0);
    CHECK(copy(own, DOMID_SELF, 0, REF_READ, board->peer, 0, 8, GNTCOPY_dest_gref) < 0);
    CHECK(copy(own, DOMID_SELF, 0, REF_TABLE, board->peer, 0, 8, GNTCOPY_dest_gref) < 0);
    CHECK(copy(own, DOMID_SELF, 0, REF_FOREIGN, board->peer, 0, 8, GNTCOPY_dest_gref) < 0);
    CHECK(copy(REF_FOREIGN, board->peer, 0, own, DOMID_SELF, 0, 8, GNTCOPY_source_gref) < 0);
    CHECK(copy(500, board->peer, 0, own, DOMID_SELF, 0, 8, GNTCOPY_source_gref) < 0);
    CHECK(copy(~0u, board->peer, 0, own, DOMID_SELF, 0, 8, GNTCOPY_source_gref) < 0);
    for (unsigned i = 0; i < 3000; i++)
        copy(REF_TURNING, board->peer, 0, own, DOMID_SELF, 0, 4096, GNTCOPY_source_gref);
    CHECK(((uint64_t *)(VIRT_BASE + M2P[own] * PAGE))[1] == MARK ||
          ((uint64_t *)(VIRT_BASE + M2P[own] * PAGE))[1] == 0);
}

/* ---- The table ---- */

ATTACK(grant_table_calls, SURVIVES,
       "XSA-26 XSA-255 XSA-134 XSA-232: version 2, status frames, swapping, transfer, cache control, others' tables")
{
    static uint64_t list[64];
    struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 0xffffffff};
    struct gnttab_query_size size = {.dom = 0};
    struct gnttab_set_version version = {.version = 2};
    struct gnttab_get_version get = {.dom = 0};

    set_xen_guest_handle(setup.frame_list, list);
    ALLOWED(grant_op(GNTTABOP_setup_table, &setup, 1));
    CHECK(setup.status < 0);
    setup = (struct gnttab_setup_table){.dom = 0, .nr_frames = 1};
    set_xen_guest_handle(setup.frame_list, list);
    ALLOWED(grant_op(GNTTABOP_setup_table, &setup, 1));
    CHECK(setup.status < 0 && !list[0]);
    setup = (struct gnttab_setup_table){.dom = DOMID_SELF, .nr_frames = 2};
    set_xen_guest_handle(setup.frame_list, (uint64_t *)HV_START);
    REFUSED(grant_op(GNTTABOP_setup_table, &setup, 1));
    ALLOWED(grant_op(GNTTABOP_query_size, &size, 1));
    CHECK(size.status < 0);
    REFUSED(grant_op(GNTTABOP_set_version, &version, 1));
    version.version = 77;
    REFUSED(grant_op(GNTTABOP_set_version, &version, 1));
    REFUSED(grant_op(GNTTABOP_get_version, &get, 1));
    for (unsigned cmd = 0; cmd < 32; cmd++) {
        if (cmd == GNTTABOP_transfer || cmd == GNTTABOP_dump_table || cmd == GNTTABOP_unmap_and_replace ||
            cmd > GNTTABOP_get_version || cmd == GNTTABOP_get_status_frames)
            REFUSED(grant_op(cmd, list, 1));
        REFUSED(grant_op(cmd, list, 0x80000000));
    }
}

ATTACK(grant_frames_are_not_memory, SURVIVES,
       "XSA-379 XSA-384 XSA-248: frames of the grant table as tables, GDT, freed, uncached, granted")
{
    uint64_t frame = (*l1_entry(grants) & ADDR) / PAGE, *page = new_page();

    for (unsigned cmd = MMUEXT_PIN_L1_TABLE; cmd <= MMUEXT_UNPIN_TABLE; cmd++)
        REFUSED(mmuext(cmd, frame, 0));
    REFUSED(hypercall(__HYPERVISOR_set_gdt, ADDRESS(&frame), 1, 0, 0));
    REFUSED(map_entry(page, frame * PAGE | PLAIN | PCD));
    ALLOWED(map_entry(page, frame * PAGE | PLAIN));
    memset(page, 0xff, PAGE); /* entries of nonsense */
    for (unsigned i = 0; i < 512; i++)
        page[i] = (uint64_t)board->domain | (uint64_t)GTF_permit_access << 16 | frame << 32;
    for (unsigned ref = 0; ref < 512; ref++) {
        struct gnttab_map_grant_ref op;

        ((uint16_t *)page)[ref * 4] = (uint16_t)(ref << 7);
        map_ref(ref, ADDRESS(page), GNTMAP_host_map, board->domain, &op);
    }
}
