/* SPDX-License-Identifier: MIT */
/* Reservations and memory_op: frames come, go and are exchanged, and every count agrees afterwards. */
#include "host/test.h"
#include <xen/memory.h>
#include "core/grant/grant.h"
#include "core/mem/alloc.h"
#include "core/mem/pte.h"
#include "core/mem/reservation.h"
#include "core/mem/type.h"
#include "hypercall/hypercall.h"

static struct domain *dom;

static struct domain *make(uint16_t id, bool privileged)
{
    struct domain_config cfg = {.id = id,
                                .max_vcpus = 1,
                                .max_evtchn_port = 1023,
                                .max_grant_frames = 4,
                                .max_maptrack_frames = 4,
                                .pages_max = 1000,
                                .privileged = privileged};
    struct domain *d = NULL;

    assert_int_equal(domain_create(&cfg, &d), 0);
    return d;
}

static void begin(bool privileged)
{
    host_machine_init(1, 0);
    dom = make(7, privileged);
    host_set_current(0, dom->vcpus[0]);
}

/* The list, the counts and the frames say the same. */
static void check(uint64_t pages)
{
    uint64_t n = 0;
    uint32_t prev = 0;

    for (uint32_t m = dom->page_list; m; m = frame_of(MFN(m))->next) {
        struct frame *f = frame_of(MFN(m));
        assert_int_equal(f->prev, prev);
        assert_int_equal(f->owner, dom->id);
        assert_true(f->refs & FR_ALLOC);
        prev = m;
        n++;
    }
    assert_int_equal(n, pages);
    assert_int_equal(dom->pages_count, pages);
}

static void adding_and_dropping(void **state)
{
    uint64_t free, shared;
    mfn_t m;

    (void)state;
    begin(false);
    free = alloc_free_count();
    shared = frames_owned(7);
    m = reservation_add(dom, 3, 0, false);
    check(8);
    for (unsigned i = 0; i < 8; i++) {
        const uint64_t *words = hw_frame_va(mfn_add(m, i));
        for (unsigned w = 0; w < 512; w++)
            assert_int_equal(words[w], 0);
    }
    assert_int_equal(alloc_free_count(), free - 8);
    hw_m2p_set(mfn_add(m, 3), 99);
    assert_int_equal(reservation_drop(dom, mfn_add(m, 3)), 0);
    assert_int_equal(hw_m2p[m.n + 3], M2P_INVALID);
    assert_int_equal(reservation_drop(dom, mfn_add(m, 3)), -EINVAL);
    check(7);
    assert_int_equal(reservation_drop(dom, MFN(hw_frames_max)), -EINVAL);
    assert_int_equal(reservation_drop(dom, MFN(~0UL)), -EINVAL);
    assert_int_equal(reservation_drop(dom, host_io_frame(0)), -EINVAL);
    assert_int_equal(reservation_drop(dom, dom->shared_info_mfn), -EINVAL);
    for (unsigned i = 0; i < 8; i++)
        reservation_drop(dom, mfn_add(m, i));
    check(0);
    assert_int_equal(alloc_free_count(), free);
    assert_int_equal(frames_owned(7), shared);
}

static void the_maximum_holds(void **state)
{
    mfn_t m, held[1000];

    (void)state;
    begin(false);
    assert_true(mfn_eq(reservation_add(dom, 10, 0, true), INVALID_MFN));
    check(0);
    for (unsigned i = 0; i < 1000; i++) {
        held[i] = reservation_add(dom, 0, 0, true);
        assert_false(mfn_eq(held[i], INVALID_MFN));
        /* somebody else holds it: giving it up does not make room */
        assert_true(frame_get(frame_of(held[i])));
    }
    check(1000);
    assert_int_equal(reservation_drop(dom, held[5]), 0);
    check(999);
    m = reservation_add(dom, 0, 0, true);
    assert_true(mfn_eq(m, INVALID_MFN));
    frame_put(frame_of(held[5]));
    m = reservation_add(dom, 0, 0, true);
    assert_false(mfn_eq(m, INVALID_MFN));
    check(1000);
    dom->dying = DOMAIN_DYING;
    assert_int_equal(reservation_drop(dom, m), 0);
    assert_true(mfn_eq(reservation_add(dom, 0, 0, true), INVALID_MFN));
}

static void exchanging(void **state)
{
    uint64_t in[8], out[1], back[8];
    mfn_t m;

    (void)state;
    begin(false);
    m = reservation_add(dom, 4, 0, true);
    for (unsigned i = 0; i < 8; i++)
        in[i] = m.n + 2 * i;
    assert_true(frame_get(frame_of(MFN(in[6])))); /* one of them is in use */
    assert_int_equal(reservation_exchange(dom, in, 8, out, 3, 0), -EINVAL);
    check(16);
    frame_put(frame_of(MFN(in[6])));
    in[7] = in[0]; /* twice the same */
    assert_int_equal(reservation_exchange(dom, in, 8, out, 3, 0), -EINVAL);
    check(16);
    in[7] = m.n + 14;
    assert_int_equal(reservation_exchange(dom, in, 8, out, 3, 12), -ENOMEM); /* below 4 KiB */
    check(16);
    assert_int_equal(reservation_exchange(dom, in, 8, out, 3, 0), 0);
    check(16);
    assert_int_equal(out[0] & 7, 0);
    for (unsigned i = 0; i < 8; i++)
        in[i] = out[0] + i;
    assert_int_equal(reservation_exchange(dom, in, 8, back, 0, 0), 0);
    check(16);
}

static uint64_t exchanged[8];
static unsigned looks;

/* Another CPU, while the frames go back to the allocator. */
static void look_at_exchanged(mfn_t m)
{
    (void)m;
    looks++;
    for (unsigned i = 0; i < 8; i++) {
        assert_false(frame_get(frame_of(MFN(exchanged[i]))));
        assert_int_not_equal(writable_get(MFN(exchanged[i]), dom->id), 0);
    }
}

/* From the moment that an exchange takes frames away, nobody can get a reference: they are about to be somebody else's. */
static void exchanged_frames_are_out_of_reach(void **state)
{
    uint64_t out[8];
    mfn_t m;

    (void)state;
    begin(false);
    m = reservation_add(dom, 3, 0, true);
    for (unsigned i = 0; i < 8; i++)
        exchanged[i] = m.n + i;
    host_m2p_hook = look_at_exchanged;
    assert_int_equal(reservation_exchange(dom, exchanged, 8, out, 0, 0), 0);
    host_m2p_hook = NULL;
    assert_true(looks >= 8);
    check(8);
}

static void shared_frames(void **state)
{
    mfn_t m;
    uint64_t free;

    (void)state;
    begin(false);
    free = alloc_free_count();
    m = shared_frame_alloc(dom);
    assert_int_equal(frame_type(frame_of(m)), FT_WRITABLE);
    assert_int_equal(writable_get(m, 7), 0);
    shared_frame_free(m);
    assert_int_equal(alloc_free_count(), free - 1); /* still mapped by somebody */
    writable_put(frame_of(m));
    assert_int_equal(alloc_free_count(), free);
}

static unsigned cleared;

/* Until a frame is the domain's, nobody who looked at it when it was another's can get a reference: it would be lost. */
static void is_out_of_reach(mfn_t m)
{
    assert_false(frame_get(frame_of(m)));
    cleared++;
}

static void on_the_way_nobody_has_them(void **state)
{
    uint64_t in[4], out[1], free, before;

    begin(false);
    for (unsigned i = 0; i < 4; i++)
        in[i] = reservation_add(dom, 0, 0, true).n;
    free = alloc_free_count();
    host_clear_hook = is_out_of_reach;
    assert_int_equal(reservation_exchange(dom, in, 4, out, 2, 0), 0);
    assert_int_equal(cleared, 4);
    shared_frame_free(shared_frame_alloc(dom));
    assert_int_equal(cleared, 5);
    before = alloc_dirty_count();
    assert_int_equal(reservation_exchange(dom, in, 4, out, 2, 0), -EINVAL);
    assert_int_equal(alloc_dirty_count(), before - 4); /* cleared, and nobody has seen them */
    assert_int_equal(alloc_free_count(), free);
}

/* ---- memory_op ---- */

static void populating_and_decreasing(void **state)
{
    uint64_t list[64];
    struct xen_memory_reservation r = {.nr_extents = 64, .domid = DOMID_SELF};

    (void)state;
    begin(false);
    set_xen_guest_handle(r.extent_start, list);
    for (unsigned i = 0; i < 64; i++)
        list[i] = 1000 + i;
    host_preempt_after(10);
    assert_int_equal(host_hypercall(memory_op, XENMEM_populate_physmap, (uint64_t)&r), 64);
    assert_true(host_continuations > 3);
    check(64);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(hw_m2p[list[i]], 1000 + i);
    list[40] = ~0UL;
    assert_int_equal(host_hypercall(memory_op, XENMEM_decrease_reservation, (uint64_t)&r), 40);
    check(24);
    /* forged progress, sizes and pointers */
    assert_int_equal(host_hypercall(memory_op, XENMEM_populate_physmap | 65 << 6, (uint64_t)&r), 65);
    r.nr_extents = ~0UL;
    assert_int_equal(host_hypercall(memory_op, XENMEM_populate_physmap, (uint64_t)&r), 0);
    r.nr_extents = 1;
    r.extent_order = 200;
    assert_int_equal(host_hypercall(memory_op, XENMEM_populate_physmap, (uint64_t)&r), 0);
    r.extent_order = 0;
    r.domid = 55;
    assert_int_equal(host_hypercall(memory_op, XENMEM_populate_physmap, (uint64_t)&r), 0);
    r.domid = DOMID_SELF;
    r.mem_flags = XENMEMF_address_bits(32); /* not for everybody */
    assert_int_equal(host_hypercall(memory_op, XENMEM_populate_physmap, (uint64_t)&r), 0);
    assert_int_equal(host_hypercall(memory_op, XENMEM_populate_physmap, 0), 0);
    check(24);
}

static void exchange_by_hypercall(void **state)
{
    uint64_t in[4], out[1] = {500}, list[4] = {500, 501, 502, 503};
    struct xen_memory_reservation r = {.nr_extents = 4, .domid = DOMID_SELF};
    struct xen_memory_exchange e = {
        .in = {.nr_extents = 4, .domid = DOMID_SELF},
        .out = {.nr_extents = 1, .extent_order = 2, .mem_flags = XENMEMF_address_bits(32), .domid = DOMID_SELF},
    };

    (void)state;
    begin(true);
    set_xen_guest_handle(r.extent_start, list);
    set_xen_guest_handle(e.in.extent_start, in);
    set_xen_guest_handle(e.out.extent_start, out);
    assert_int_equal(host_hypercall(memory_op, XENMEM_populate_physmap, (uint64_t)&r), 4);
    memcpy(in, list, sizeof(in));
    assert_int_equal(host_hypercall(memory_op, XENMEM_exchange, (uint64_t)&e), 0);
    assert_int_equal(e.nr_exchanged, 4);
    check(4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(hw_m2p[out[0] + i], 500 + i);
    /* the same frames again: they are no longer there */
    e.nr_exchanged = 0;
    assert_int_equal(host_hypercall(memory_op, XENMEM_exchange, (uint64_t)&e), -EINVAL);
    assert_int_equal(e.nr_exchanged, 0);
    e.nr_exchanged = 3;
    assert_int_equal(host_hypercall(memory_op, XENMEM_exchange, (uint64_t)&e), -EINVAL);
    e.nr_exchanged = 0;
    e.out.extent_order = 63;
    assert_int_equal(host_hypercall(memory_op, XENMEM_exchange, (uint64_t)&e), -EPERM);
    e.out.extent_order = 2;
    e.in.nr_extents = 1UL << 62;
    assert_int_equal(host_hypercall(memory_op, XENMEM_exchange, (uint64_t)&e), -EINVAL);
    e.in.nr_extents = 4;
    e.out.mem_flags = XENMEMF_address_bits(13);
    in[0] = out[0];
    in[1] = out[0] + 1;
    in[2] = out[0] + 2;
    in[3] = out[0] + 3;
    assert_int_equal(host_hypercall(memory_op, XENMEM_exchange, (uint64_t)&e), -ENOMEM);
    check(4);
}

static void questions(void **state)
{
    struct {
        uint8_t bytes[20];
    } entries[200];
    struct xen_memory_map map = {.nr_entries = 200};
    struct xen_foreign_memory_map set = {.domid = DOMID_SELF, .map = {.nr_entries = 2}};
    struct xen_machphys_mapping m2p;
    struct xen_memory_domain who = {.domid = DOMID_SELF};

    (void)state;
    begin(true);
    memset(entries, 0, sizeof(entries));
    set_xen_guest_handle_raw(map.buffer, (void *)entries);
    set_xen_guest_handle_raw(set.map.buffer, (void *)entries);
    assert_int_equal(host_hypercall(memory_op, XENMEM_memory_map, (uint64_t)&map), -ENOSYS);
    assert_int_equal(host_hypercall(memory_op, XENMEM_set_memory_map, (uint64_t)&set), 0);
    assert_int_equal(host_hypercall(memory_op, XENMEM_set_memory_map, (uint64_t)&set), 0);
    assert_int_equal(host_hypercall(memory_op, XENMEM_memory_map, (uint64_t)&map), 0);
    assert_int_equal(map.nr_entries, 2);
    set.map.nr_entries = 129;
    assert_int_equal(host_hypercall(memory_op, XENMEM_set_memory_map, (uint64_t)&set), -EINVAL);
    map.nr_entries = 200;
    assert_int_equal(host_hypercall(memory_op, XENMEM_machine_memory_map, (uint64_t)&map), 0);
    assert_true(map.nr_entries > 0 && map.nr_entries < 200);
    map.nr_entries = 0;
    assert_int_equal(host_hypercall(memory_op, XENMEM_machine_memory_map, (uint64_t)&map), -EINVAL);
    assert_int_equal(host_hypercall(memory_op, XENMEM_machphys_mapping, (uint64_t)&m2p), 0);
    assert_int_equal(m2p.v_start, 0xffff800000000000);
    assert_int_equal(host_hypercall(memory_op, XENMEM_maximum_reservation, (uint64_t)&who), 1000);
    assert_int_equal(host_hypercall(memory_op, XENMEM_current_reservation, (uint64_t)&who), 0);
    assert_int_equal(host_hypercall(memory_op, XENMEM_current_reservation | 1 << 6, (uint64_t)&who), -EINVAL);
    assert_int_equal(host_hypercall(memory_op, XENMEM_add_to_physmap, (uint64_t)&who), -ENOSYS);
    assert_int_equal(host_hypercall(memory_op, 63, 0), -ENOSYS);
    dom->is_privileged = false;
    map.nr_entries = 200;
    assert_int_equal(host_hypercall(memory_op, XENMEM_machine_memory_map, (uint64_t)&map), -EPERM);
    set.map.nr_entries = 2;
    assert_int_equal(host_hypercall(memory_op, XENMEM_set_memory_map, (uint64_t)&set), -EPERM);
}

/* The toolstack fills a guest: claims, populates, takes back. */
static struct xen_memory_reservation reservation_of(uint16_t id, xen_pfn_t *list, unsigned count, unsigned order)
{
    struct xen_memory_reservation r = {.domid = id, .nr_extents = count, .extent_order = order};

    set_xen_guest_handle(r.extent_start, list);
    return r;
}

static int64_t claim(uint16_t id, uint64_t pages)
{
    struct xen_memory_reservation r = reservation_of(id, NULL, 0, 0);

    r.nr_extents = pages;
    return host_hypercall(memory_op, XENMEM_claim_pages, (uint64_t)&r);
}

static void filling_another_domain(void **state)
{
    xen_pfn_t list[4] = {0, 512, 1024, 1536};
    struct domain *guest;
    struct xen_memory_reservation r = reservation_of(9, list, 3, 9);

    begin(true);
    guest = make(9, false);
    guest->pages_max = 2000;
    host_preempt_after(1); /* cut between any two extents */
    assert_int_equal(host_hypercall(memory_op, XENMEM_populate_physmap, (uint64_t)&r), 3);
    host_preempt_after(0);
    assert_int_equal(guest->pages_count, 1536);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned j = 0; j < 512; j++) {
            assert_int_equal(hw_m2p[list[i] + j], i * 512 + j);
            assert_int_equal(frame_of(MFN(list[i] + j))->owner, 9);
        }
    r = reservation_of(9, &list[1], 1, 9);
    assert_int_equal(host_hypercall(memory_op, XENMEM_decrease_reservation, (uint64_t)&r), 1);
    assert_int_equal(guest->pages_count, 1024);
    dom->is_privileged = false;
    assert_int_equal(host_hypercall(memory_op, XENMEM_populate_physmap, (uint64_t)&r), 0);
    assert_int_equal(claim(9, 10), -EPERM);
}

static void claims(void **state)
{
    uint64_t free;
    struct domain *guest, *other;
    mfn_t m;

    begin(true);
    guest = make(9, false);
    other = make(10, false);
    free = alloc_free_count();
    guest->pages_max = other->pages_max = free;
    assert_int_equal(claim(9, free + 1), -ENOMEM);
    assert_int_equal(claim(9, free - 10), 0);
    assert_int_equal(claim(9, free - 20), 0); /* in place of the other */
    assert_int_equal(alloc_claimed_count(), free - 20);
    assert_int_equal(claim(10, 21), -ENOMEM);
    assert_int_equal(claim(10, 20), 0);
    assert_int_equal(claim(10, ~0UL), -ENOMEM);
    assert_int_equal(alloc_claimed_count(), free);
    /* what is promised to one cannot be had by another, nor by who has no promise */
    assert_true(mfn_eq(reservation_add(other, 5, 0, false), INVALID_MFN));
    assert_true(mfn_eq(reservation_add(dom, 0, 0, false), INVALID_MFN));
    assert_false(mfn_eq(reservation_add(other, 4, 0, false), INVALID_MFN));
    m = reservation_add(guest, 9, 0, false);
    assert_false(mfn_eq(m, INVALID_MFN));
    assert_int_equal(guest->pages_claimed, free - 20 - 512);
    assert_int_equal(alloc_claimed_count(), free - 20 - 512 + 4);
    /* counted in all, not on top */
    assert_int_equal(claim(9, 511), -EINVAL);
    assert_int_equal(claim(9, 600), 0);
    assert_int_equal(guest->pages_claimed, 88);
    assert_int_equal(claim(9, 0), 0);
    assert_int_equal(guest->pages_claimed, 0);
    assert_int_equal(claim(10, 600), 0);
    host_set_current(0, this_cpu()->idle);
    assert_int_equal(domain_destroy(other), 0);
    assert_int_equal(alloc_claimed_count(), 0);
}

static int64_t acquire(struct xen_mem_acquire_resource *r)
{
    return host_hypercall(memory_op, XENMEM_acquire_resource, (uint64_t)r);
}

static void acquiring(void **state)
{
    struct xen_mem_acquire_resource r = {.domid = 9, .type = XENMEM_resource_grant_table};
    xen_pfn_t frames[5] = {0};
    struct domain *guest;

    begin(true);
    guest = make(9, false);
    assert_int_equal(acquire(&r), 0);
    assert_int_equal(r.nr_frames, 4);       /* its most */
    assert_int_equal(acquire(&r), -EINVAL); /* frames wanted, no list */
    set_xen_guest_handle(r.frame_list, frames);
    assert_int_equal(acquire(&r), 0);
    assert_int_equal(grant_frames_count(guest), 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(frames[i], grant_frame_mfn(guest, i).n);
    r.frame = 1;
    assert_int_equal(acquire(&r), -EINVAL);
    r.frame = UINT64_MAX;
    assert_int_equal(acquire(&r), -EINVAL);
    r.frame = 0;
    r.id = XENMEM_resource_grant_table_id_status;
    assert_int_equal(acquire(&r), -EINVAL);
    r.id = 0;
    r.pad = 1;
    assert_int_equal(acquire(&r), -EINVAL);
    r.pad = 0;
    r.type = XENMEM_resource_vmtrace_buf;
    assert_int_equal(acquire(&r), -EOPNOTSUPP);
    r.type = XENMEM_resource_grant_table;
    r.domid = 7;
    assert_int_equal(acquire(&r), -EPERM);
    r.domid = 8;
    assert_int_equal(acquire(&r), -ESRCH);
    r.domid = 9;
    dom->is_privileged = false;
    assert_int_equal(acquire(&r), -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(adding_and_dropping),
        isolated_test(the_maximum_holds),
        isolated_test(exchanging),
        isolated_test(exchanged_frames_are_out_of_reach),
        isolated_test(shared_frames),
        isolated_test(on_the_way_nobody_has_them),
        isolated_test(populating_and_decreasing),
        isolated_test(exchange_by_hypercall),
        isolated_test(questions),
        isolated_test(filling_another_domain),
        isolated_test(claims),
        isolated_test(acquiring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
