/* SPDX-License-Identifier: MIT */
/* Reservations, exchanges, the calls about memory that are the tools', and pages that were another's. */
#include "guest/attack.h"

#define UNMAPPED 0x1000UL

static long change(unsigned op, uint64_t *list, uint64_t count, unsigned order, uint16_t domain)
{
    struct xen_memory_reservation r = {.nr_extents = count, .extent_order = order, .domid = domain};

    set_xen_guest_handle(r.extent_start, list);
    return memory_op(op, &r);
}

static long exchange(uint64_t *in, uint64_t in_count, unsigned in_order, uint64_t *out, uint64_t out_count,
                     unsigned out_order, uint64_t done)
{
    struct xen_memory_exchange e = {.in = {.nr_extents = in_count, .extent_order = in_order, .domid = DOMID_SELF},
                                    .out = {.nr_extents = out_count, .extent_order = out_order, .domid = DOMID_SELF},
                                    .nr_exchanged = done};

    set_xen_guest_handle(e.in.extent_start, in);
    set_xen_guest_handle(e.out.extent_start, out);
    return memory_op(XENMEM_exchange, &e);
}

ATTACK(more_than_the_maximum, SURVIVES, "XSA-31 XSA-158: populate and increase beyond the limit, of every order")
{
    for (unsigned order = 0; order < 70; order++) {
        uint64_t list[4] = {1, 2, 3, 4};

        CHECK(change(XENMEM_populate_physmap, list, 4, order, DOMID_SELF) <= 0);
        CHECK(change(XENMEM_increase_reservation, list, 4, order, DOMID_SELF) <= 0);
        CHECK(change(XENMEM_populate_physmap, list, ~0UL, order, DOMID_SELF) <= 0);
        CHECK(change(XENMEM_decrease_reservation, list, ~0UL >> 6, order, 0) <= 0);
    }
    CHECK(change(XENMEM_populate_physmap, (void *)HV_START, 8, 0, DOMID_SELF) <= 0);
    CHECK(change(XENMEM_increase_reservation, (void *)HV_START, 8, 0, DOMID_SELF) <= 0);
}

ATTACK(giving_up_what_is_not_ones_own, SURVIVES, "XSA-284 XSA-287: frames of others, twice, in use, past the end")
{
    uint64_t *page = new_page(), list[3] = {board->domain0_mfn, 0x200, board->frames_max};

    RETURNS(0, change(XENMEM_decrease_reservation, list, 1, 0, DOMID_SELF));
    RETURNS(0, change(XENMEM_decrease_reservation, list + 1, 1, 0, DOMID_SELF));
    RETURNS(0, change(XENMEM_decrease_reservation, list + 2, 1, 9, DOMID_SELF));
    list[0] = ~0UL;
    RETURNS(0, change(XENMEM_decrease_reservation, list, 1, 9, DOMID_SELF));
    list[0] = start_info->shared_info / PAGE;
    RETURNS(0, change(XENMEM_decrease_reservation, list, 1, 0, DOMID_SELF));
    list[0] = *l1_entry(grants) / PAGE & (ADDR / PAGE);
    RETURNS(0, change(XENMEM_decrease_reservation, list, 1, 0, DOMID_SELF));
    list[0] = list[1] = mfn_of(page);
    RETURNS(1, change(XENMEM_decrease_reservation, list, 2, 0, DOMID_SELF));
    page[0] = 1; /* mapped still, and its frame nobody else's */
    CHECK(pin(1, page) < 0);
    ALLOWED(map_entry(page, 0));
    REFUSED(map_entry(page, list[0] * PAGE | READONLY));
}

ATTACK(exchange_sizes, SURVIVES, "XSA-29 XSA-31: counts and orders that overflow when they are multiplied")
{
    uint64_t in[2] = {mfn_of(new_page()), mfn_of(new_page())}, out[2] = {1, 2};

    REFUSED(exchange(in, 1UL << 63, 1, out, 0, 0, 0));
    REFUSED(exchange(in, 1UL << 60, 4, out, 1, 0, 0));
    REFUSED(exchange(in, ~0UL, 0, out, ~0UL, 0, ~0UL - 1));
    REFUSED(exchange(in, 1, 64, out, 1, 64, 0));
    REFUSED(exchange(in, 1, 0xffffffff, out, 1, 0xffffffff, 0));
    REFUSED(exchange(in, 2, 0, out, 1, 1, 3));
    REFUSED(exchange(in, 2, 0, out, 2, 0, 3));
    REFUSED(exchange(in, 1, 0, out, 2, 0, 0));
    REFUSED(exchange(in, 512, 0, out, 1, 9, 1));
}

ATTACK(exchange_into_the_hypervisor, SURVIVES,
       "XSA-212 XSA-29: arrays in the hypervisor's range, reached by an index too")
{
    uint64_t in[2] = {mfn_of(new_page()), mfn_of(new_page())}, out[2] = {1, 2};

    ALLOWED(map_entry((void *)(VIRT_BASE + M2P[in[0]] * PAGE), 0));
    ALLOWED(map_entry((void *)(VIRT_BASE + M2P[in[1]] * PAGE), 0));
    REFUSED(exchange(in, 1, 0, (void *)HV_START, 1, 0, 0));
    REFUSED(exchange(in, 1, 0, (void *)0xffff82d080000000, 1, 0, 0));
    REFUSED(exchange((void *)HV_START, 1, 0, out, 1, 0, 0));
    for (uint64_t index = 1; index < 1UL << 50; index = index * 2 + 1) {
        uint64_t base = HV_START + 0x30000000000 - index * 8;

        REFUSED(exchange(in, index + 1, 0, (void *)base, index + 1, 0, index));
        REFUSED(exchange((void *)base, index + 1, 0, out, index + 1, 0, index));
    }
    REFUSED(exchange(in, 1, 0, (void *)UNMAPPED, 1, 0, 0));
}

ATTACK(exchange_of_the_same_twice, SURVIVES, "XSA-29 XSA-287: one frame twice in a list, of others, while it is mapped")
{
    uint64_t *page = new_page(), *other = new_page(), in[2] = {mfn_of(page), mfn_of(page)}, out[2] = {1, 2};

    REFUSED(exchange(in, 1, 0, out, 1, 0, 0)); /* mapped */
    ALLOWED(map_entry(page, 0));
    exchange(in, 2, 0, out, 2, 0, 0); /* the first may be done */
    REFUSED(exchange(in, 2, 0, out, 2, 0, 0));
    in[0] = mfn_of(other);
    in[1] = board->domain0_mfn;
    ALLOWED(map_entry(other, 0));
    REFUSED(exchange(in + 1, 1, 0, out, 1, 0, 0));
    exchange(in, 2, 0, out, 2, 0, 0);
    REFUSED(exchange(in, 2, 0, out, 1, 1, 0)); /* contiguous memory is scarce */
}

ATTACK(forged_progress, SURVIVES,
       "XSA-212 family: the continuation's index in the command, ahead of and beyond the end")
{
    static const uint64_t starts[] = {1, 4, 5, 0x3ff, 1UL << 31, 1UL << 32, ~0UL >> 6};
    uint64_t list[4] = {mfn_of(new_page()), 0, 0, 0};

    for (unsigned i = 0; i < COUNT_OF(starts); i++) {
        for (unsigned op = 0; op < 64; op++) {
            struct xen_memory_reservation r = {.nr_extents = 4, .domid = DOMID_SELF};
            long rc;

            set_xen_guest_handle(r.extent_start, list);
            rc = memory_op(op | starts[i] << 6, &r);
            CHECK(rc < 0 || (uint64_t)rc == starts[i]);
        }
    }
}

ATTACK(calls_of_the_tools, SURVIVES, "XSA-74 XSA-92: memory maps, claims, lists and resources of others")
{
    static const unsigned cmds[] = {XENMEM_machine_memory_map,  XENMEM_set_memory_map,   XENMEM_claim_pages,
                                    XENMEM_machphys_mfn_list,   XENMEM_acquire_resource, XENMEM_add_to_physmap,
                                    XENMEM_remove_from_physmap, XENMEM_set_pod_target,   XENMEM_sharing_op,
                                    XENMEM_paging_op,           XENMEM_access_op,        XENMEM_add_to_physmap_batch};
    uint64_t zero[16], of_others[] = {0, DOMID_XEN, DOMID_IO, 0x7ff3, 0x7fff, 12345};

    for (unsigned i = 0; i < COUNT_OF(cmds); i++) {
        memset(zero, 0, sizeof(zero));
        REFUSED(memory_op(cmds[i], zero));
        memset(zero, 0xff, sizeof(zero));
        REFUSED(memory_op(cmds[i], zero));
    }
    for (unsigned i = 0; i < COUNT_OF(of_others); i++) {
        struct xen_memory_domain who = {(domid_t)of_others[i]};

        REFUSED(memory_op(XENMEM_current_reservation, &who));
        REFUSED(memory_op(XENMEM_maximum_reservation, &who));
        REFUSED(memory_op(XENMEM_maximum_gpfn, &who));
        RETURNS(0, change(XENMEM_populate_physmap, zero, 1, 0, who.domid));
        RETURNS(0, change(XENMEM_decrease_reservation, zero, 1, 0, who.domid));
    }
}

/* ---- What was another's ---- */

ATTACK(leave_secrets, DIES, "XSA-100: memory full of secrets, for the next attack, left by a crash")
{
    for (uint64_t pfn = board->free_pfn; pfn < board->free_end; pfn++)
        for (unsigned i = 0; i < 512; i++)
            ((uint64_t *)(VIRT_BASE + pfn * PAGE))[i] = board->secret;
    sched_op(SCHEDOP_shutdown, &(struct sched_shutdown){SHUTDOWN_crash});
}

ATTACK(find_secrets, SURVIVES,
       "XSA-100 XSA-364 XSA-372: all memory of a new domain, and what it gets in exchange, is empty")
{
    uint64_t frame, *page;

    for (uint64_t *p = new_pages((unsigned)(board->free_end - board->free_pfn));
         ADDRESS(p) < VIRT_BASE + board->free_end * PAGE; p++)
        CHECK(*p == 0);
    for (unsigned i = 0; i < 500; i++) {
        page = (uint64_t *)(VIRT_BASE + (board->free_pfn + i % 300) * PAGE);
        frame = (*l1_entry(page) & ADDR) / PAGE;
        page[i & 511] = board->secret;
        ALLOWED(map_entry(page, 0));
        RETURNS(1, change(XENMEM_decrease_reservation, &frame, 1, 0, DOMID_SELF));
        REFUSED(map_entry(page, frame * PAGE | READONLY));
        frame = board->free_pfn + i % 300;
        RETURNS(1, change(XENMEM_populate_physmap, &frame, 1, 0, DOMID_SELF));
        ALLOWED(map_entry(page, frame * PAGE | PLAIN));
        for (unsigned n = 0; n < 512; n++)
            CHECK(page[n] == 0);
    }
}

ATTACK(memory_comes_and_goes, SURVIVES, "XSA-401: frames become tables, data, free in turn")
{
    uint64_t *page = new_page(), *alias = new_page(), frame = mfn_of(page);

    for (unsigned i = 0; i < 300; i++) {
        unsigned level = 1 + i % 4;

        ALLOWED(map_entry(page, frame * PAGE | PLAIN));
        page[0] = frame * PAGE | READONLY; /* as level 1 it may map itself */
        ALLOWED(map_entry(alias, frame * PAGE | READONLY));
        ALLOWED(map_entry(page, 0));
        if (!mmuext(MMUEXT_PIN_L1_TABLE + level - 1, frame, 0)) {
            CHECK(level == 1);
            RETURNS(0, change(XENMEM_decrease_reservation, &frame, 1, 0, DOMID_SELF));
            ALLOWED(mmuext(MMUEXT_UNPIN_TABLE, frame, 0));
        }
        ALLOWED(map_entry(alias, 0));
        RETURNS(1, change(XENMEM_decrease_reservation, &frame, 1, 0, DOMID_SELF));
        frame = 77;
        RETURNS(1, change(XENMEM_populate_physmap, &frame, 1, 0, DOMID_SELF));
    }
}
