/* SPDX-License-Identifier: MIT */
/* Page types: conflicts, pinning and unpinning whole trees, cut at every point, failures, teardown, the audit itself. */
#include "mem_guest.h"

static struct tree t;

static struct domain *start(void)
{
    struct domain *d;

    host_machine_init(2, 0);
    d = guest_create(1, false);
    host_set_current(0, d->vcpus[0]);
    return d;
}

static void assert_nothing_typed(void)
{
    assert_type(t.l4, 0, 0);
    assert_type(t.l3, 0, 0);
    assert_type(t.l2, 0, 0);
    for (unsigned i = 0; i < t.l1s; i++) {
        assert_type(t.l1[i], 0, 0);
        for (unsigned j = 0; j < t.pages; j++)
            assert_int_equal(refs_of(t.page[i][j]) & FR_COUNTS_MASK, 1);
    }
}

static void conflicts(void **state)
{
    struct domain *d = start(), *other = guest_create(2, false);
    mfn_t m = guest_frame(d);

    assert_int_equal(writable_get(m, 2), -EBUSY);
    assert_int_equal(writable_get(MFN(hw_frames_max), 1), -EINVAL);
    assert_int_equal(type_get(other, frame_of(m), FT_L1), -EBUSY);
    assert_int_equal(writable_get(m, 1), 0);
    assert_int_equal(type_get(d, frame_of(m), FT_L1), -EBUSY);
    assert_int_equal(type_get(d, frame_of(m), FT_DESC), -EBUSY);
    writable_put(frame_of(m));
    for (enum frame_type a = FT_L1; a <= FT_DESC; a++) {
        assert_int_equal(type_get(d, frame_of(m), a), 0);
        for (enum frame_type b = FT_L1; b <= FT_WRITABLE; b++) {
            assert_int_equal(type_get(d, frame_of(m), b), a == b ? 0 : -EBUSY);
            if (a == b)
                assert_int_equal(type_put(frame_of(m), true), 0);
        }
        frame_of(m)->refs |= REFS_TFULL;
        assert_int_equal(type_get(d, frame_of(m), a), -EBUSY);
        frame_of(m)->refs &= ~REFS_TFULL;
        assert_int_equal(type_put(frame_of(m), true), 0);
        assert_type(m, a, 0);
    }
    /* full */
    assert_int_equal(writable_get(m, 1), 0);
    frame_of(m)->refs |= REFS_TFULL;
    assert_int_equal(writable_get(m, 1), -EBUSY);
    frame_of(m)->refs &= ~REFS_TFULL;
    writable_put(frame_of(m));
    /* neither shared frames nor ones given up become tables */
    assert_int_equal(type_get(d, frame_of(d->shared_info_mfn), FT_L1), -EBUSY);
    assert_true(frame_get(frame_of(m)));
    assert_int_equal(reservation_drop(d, m), 0);
    assert_int_equal(type_get(d, frame_of(m), FT_L1), -EBUSY);
    frame_put(frame_of(m));
    assert_int_equal(writable_get(m, 1), -EBUSY);
    assert_audit();
}

/* A type change from writable flushes whoever may hold a writable translation, before anything is checked. */
static void flush_at_type_change(void **state)
{
    struct domain *d = start();
    mfn_t m = guest_frame(d);
    unsigned calls;

    assert_int_equal(writable_get(m, 1), 0);
    writable_put(frame_of(m));
    calls = host_flush_calls;
    assert_int_equal(writable_get(m, 1), 0); /* the same type: no flush */
    writable_put(frame_of(m));
    assert_int_equal(host_flush_calls, calls);
    assert_int_equal(mmu_pin(d, m, 1), 0);
    assert_int_equal(host_flush_calls, calls + 1);
    assert_int_equal(mmu_unpin(d, m), 0);
    assert_int_equal(mmu_pin(d, m, 1), 0);
    assert_int_equal(host_flush_calls, calls + 1);
    assert_int_equal(mmu_unpin(d, m), 0);
    assert_int_equal(writable_get(m, 1), 0); /* from a page table */
    assert_int_equal(host_flush_calls, calls + 2);
    writable_put(frame_of(m));
    for (unsigned cpu = 0; cpu < 2; cpu++) { /* all have flushed since: nothing to do */
        host_this_cpu = pcpus[cpu];
        tlb_note_flush();
    }
    host_this_cpu = pcpus[0];
    assert_int_equal(mmu_pin(d, m, 2), 0);
    assert_int_equal(host_flush_calls, calls + 2);
    assert_audit();
}

/* The hypervisor's entries are in a root as long as it is one. */
static void assert_own_slots(uint64_t entry)
{
    const uint64_t *l4 = hw_frame_va(t.l4);

    for (unsigned i = L4_RESERVED_FIRST; i <= L4_RESERVED_LAST; i++)
        assert_int_equal(l4[i], entry);
}

static void pin_tree(void **state)
{
    struct domain *d = start();

    tree_build(d, &t, TREE_L1S, TREE_PAGES);
    assert_audit();
    assert_int_equal(mmu_pin(d, t.l4, 4), 0);
    assert_audit();
    assert_type(t.l4, FT_L4, 1);
    assert_own_slots(HOST_OWN_ENTRY);
    assert_type(t.l3, FT_L3, 1);
    assert_type(t.l2, FT_L2, 1);
    assert_type(t.l1[3], FT_L1, 1);
    assert_type(t.page[3][5], FT_WRITABLE, 1);
    assert_int_equal(mmu_pin(d, t.l4, 4), -EINVAL);
    assert_int_equal(mmu_pin(d, t.l3, 2), -EINVAL);
    assert_int_equal(mmu_pin(d, t.page[0][0], 1), -EINVAL);
    assert_int_equal(mmu_unpin(d, t.l3), -EINVAL);
    assert_int_equal(mmu_pin(d, t.l1[0], 1), 0);
    assert_type(t.l1[0], FT_L1, 2);
    assert_int_equal(reservation_drop(d, t.l4), -EBUSY); /* pinned */
    assert_audit();
    assert_int_equal(mmu_unpin(d, t.l4), 0);
    assert_own_slots(0);
    assert_type(t.l1[0], FT_L1, 1);
    assert_type(t.page[0][0], FT_WRITABLE, 1);
    assert_type(t.page[1][0], FT_WRITABLE, 0);
    assert_audit();
    assert_int_equal(mmu_unpin(d, t.l1[0]), 0);
    assert_int_equal(mmu_unpin(d, t.l1[0]), -EINVAL);
    assert_nothing_typed();
    assert_audit();
}

/* The same with every check for preemption saying yes, and every second, third... */
static void preempted(void **state)
{
    struct domain *d = start();

    tree_build(d, &t, TREE_L1S, 4);
    for (unsigned period = 1; period < 6; period++) {
        host_preempt_after(period);
        assert_int_equal(mmu_pin(d, t.l4, 4) == -ERESTART, true);
        assert_int_equal(reservation_drop(d, t.l4), -EBUSY); /* parked */
        assert_int_equal(UNTIL_DONE(mmu_pin(d, t.l4, 4)), 0);
        assert_type(t.l1[7], FT_L1, 1);
        assert_int_equal(mmu_unpin(d, t.l4), -ERESTART);
        assert_int_equal(type_get(d, frame_of(t.l4), FT_L4), -ERESTART); /* not while it goes down */
        assert_int_equal(UNTIL_DONE(mmu_unpin(d, t.l4)), 0);
        assert_nothing_typed();
        host_preempt_after(0);
        assert_audit();
    }
}

/* A bad entry at the end undoes all, cut or not. */
static void bad_entries(void **state)
{
    static const pte_t bad_bits[] = {PTE_PS, PTE_G, 1UL << 51};
    struct domain *d = start(), *other = guest_create(2, false);
    mfn_t foreign = guest_frame(other);
    unsigned n = 0;

    tree_build(d, &t, TREE_L1S, 4);
    for (unsigned period = 0; period < 4; period++) {
        host_preempt_after(period);
        for (unsigned i = 0; i < ARRAY_SIZE(bad_bits); i++, n++) {
            *entry(t.l2, 511) = pte_make(t.l1[0], KERNEL_FLAGS) | bad_bits[i];
            assert_int_equal(UNTIL_DONE(mmu_pin(d, t.l4, 4)), -EINVAL);
            assert_nothing_typed();
            *entry(t.l2, 511) = 0;
        }
        *entry(t.l1[7], 511) = pte_make(foreign, RO_FLAGS); /* another's */
        assert_int_equal(UNTIL_DONE(mmu_pin(d, t.l4, 4)), -EINVAL);
        assert_nothing_typed();
        *entry(t.l1[7], 511) = pte_make(MFN(0), RO_FLAGS); /* I/O without the right to it */
        assert_int_not_equal(UNTIL_DONE(mmu_pin(d, t.l4, 4)), 0);
        assert_nothing_typed();
        *entry(t.l1[7], 511) = pte_make(t.l2, KERNEL_FLAGS); /* a table, writable */
        assert_int_equal(UNTIL_DONE(mmu_pin(d, t.l4, 4)), -EINVAL);
        assert_nothing_typed();
        *entry(t.l1[7], 511) = 0;
        *entry(t.l4, 511) = pte_make(t.l4, KERNEL_FLAGS); /* itself */
        assert_int_equal(UNTIL_DONE(mmu_pin(d, t.l4, 4)), -EINVAL);
        assert_nothing_typed();
        *entry(t.l4, 511) = 0;
        assert_audit();
    }
    host_preempt_after(0);
    *entry(t.l1[7], 511) = pte_make(t.l2, RO_FLAGS); /* read-only is fine */
    *entry(t.l1[7], 510) = 0xdeadbeef00;             /* not present: the guest's own */
    *entry(t.l1[7], 509) = pte_make(t.page[0][0], PTE_P | PTE_G);
    *entry(t.l4, 260) = ~0UL; /* the hypervisor's slots are overwritten */
    assert_int_equal(mmu_pin(d, t.l4, 4), 0);
    assert_int_equal(*entry(t.l1[7], 509), pte_make(t.page[0][0], PTE_P | PTE_US));
    assert_int_equal(*entry(t.l4, 260), HOST_OWN_ENTRY);
    assert_audit();
    assert_int_equal(mmu_unpin(d, t.l4), 0);
    assert_audit();
}

/* The guest does not go on with what was cut: nothing is lost, and teardown finds it. */
static void abandoned(void **state)
{
    struct domain *d = start();
    uint64_t free;

    free = alloc_free_count();
    tree_build(d, &t, TREE_L1S, 4);
    host_preempt_after(2);
    assert_int_equal(mmu_pin(d, t.l4, 4), -ERESTART);
    assert_audit();
    assert_int_equal(mmu_pin(d, t.l1[7], 1), 0);
    assert_int_equal(writable_get(t.l4, 1), -EBUSY);
    *entry(t.l2, 7) |= PTE_PS;
    host_preempt_after(1);
    while (refs_state(refs_of(t.l2)) != TS_PARKED_UNDO)
        assert_int_equal(mmu_pin(d, t.l4, 4), -ERESTART);
    assert_audit();
    host_preempt_after(3);
    guest_destroy(d);
    host_preempt_after(0);
    assert_audit();
    assert_true(alloc_free_count() >= free);
    assert_int_equal(frames_owned(1), 0);
}

/* Everything at once: pins, roots, foreign mappings; after the end only what others map is left. */
/* Two vCPUs register a place for the same third one: one of them gets an error, and nothing stays held. */
static struct {
    struct vcpu *v;
    mfn_t first, other;
    uint64_t refs;
} twice;

static void register_meanwhile(void)
{
    host_relax_hook = NULL;
    frame_of(twice.first)->refs = twice.refs;
    assert_int_equal(vcpu_register_info(twice.v, twice.other, 0), 0);
}

static void info_registered_twice_at_once(void **state)
{
    struct domain *d;

    host_machine_init(1, 0);
    d = guest_create(1, false);
    host_set_current(0, d->vcpus[0]);
    twice.v = d->vcpus[1];
    twice.first = guest_frame(d);
    twice.other = guest_frame(d);
    twice.refs = refs_of(twice.first);
    /* Its type is just changing, so that taking it waits. */
    frame_of(twice.first)->refs = twice.refs + REFS_TYPE(FT_WRITABLE) + REFS_STATE(TS_BUSY) + FR_TCOUNT_ONE;
    host_relax_hook = register_meanwhile;
    assert_int_equal(vcpu_register_info(twice.v, twice.first, 0), -EINVAL);
    assert_ptr_equal(twice.v->info_frame, frame_of(twice.other));
    assert_ptr_equal(twice.v->info, hw_frame_va(twice.other));
    assert_type(twice.first, FT_WRITABLE, 0);
    assert_audit();
}

static void teardown(void **state)
{
    struct domain *d, *dom0;
    struct frame *l1;
    uint64_t free;
    mfn_t table;

    host_machine_init(2, 0);
    dom0 = guest_create(0, true);
    table = guest_frame(dom0);
    free = alloc_free_count();
    for (unsigned period = 0; period < 4; period++) {
        d = guest_create(1, false);
        host_set_current(0, d->vcpus[0]);
        tree_build(d, &t, 4, 8);
        assert_int_equal(UNTIL_DONE(mmu_pin(d, t.l4, 4)), 0);
        assert_int_equal(mmu_pin(d, t.l1[1], 1), 0);
        assert_int_equal(UNTIL_DONE(mmu_set_kernel_root(d->vcpus[0], t.l4)), 0);
        assert_int_equal(UNTIL_DONE(mmu_set_user_root(d->vcpus[1], t.l4)), 0);
        assert_int_equal(vcpu_register_info(d->vcpus[0], t.page[0][0], 0), 0);
        assert_int_equal(mmu_pin(dom0, table, 1), 0);
        l1 = frame_of(table);
        assert_int_equal(mmu_update_entry(dom0, l1, 3, pte_make(t.page[0][1], RO_FLAGS), PT_SET, 1), 0);
        assert_int_equal(mmu_update_entry(dom0, l1, 4, pte_make(t.page[0][2], KERNEL_FLAGS), PT_SET, 1), 0);
        assert_int_equal(mmu_update_entry(dom0, l1, 5, pte_make(t.l1[0], KERNEL_FLAGS), PT_SET, 1), -EBUSY);
        assert_int_equal(mmu_update_entry(dom0, l1, 5, pte_make(t.l1[0], RO_FLAGS), PT_SET, 1), 0);
        assert_audit();
        host_preempt_after(period);
        guest_destroy(d);
        host_preempt_after(0);
        assert_audit();
        assert_int_equal(frames_owned(1), 3);
        struct domain_config again = {.id = 1, .max_vcpus = 1};
        assert_int_equal(domain_create(&again, &d), -EEXIST); /* its number is not free */
        d = domain_get(1);                                    /* dead, but there while its frames are */
        assert_non_null(d);
        assert_int_equal(d->dying, DOMAIN_DEAD);
        domain_put(d);
        assert_int_equal(mmu_unpin(dom0, table), 0);
        assert_int_equal(frames_owned(1), 0);
        pcpu_do_work();
        assert_null(domain_get(1));
        assert_int_equal(alloc_free_count() + 16 >= free, true); /* empty slabs of the heap may stay */
        memset(hw_frame_va(table), 0, PAGE_SIZE);
    }
}

/* What was wrong is found. */
static void audit_finds(void **state)
{
    struct domain *d = start();
    uint64_t refs;

    tree_build(d, &t, 2, 4);
    assert_int_equal(mmu_pin(d, t.l4, 4), 0);
    assert_audit();
    const struct {
        mfn_t mfn;
        uint64_t flip;
    } seeds[] = {{t.page[0][0], FR_TCOUNT_ONE << 1},
                 {t.page[0][1], 2},
                 {t.l1[0], FR_PINNED},
                 {t.l1[1], REFS_TYPE(1)},
                 {t.l2, REFS_STATE(3)},
                 {t.page[1][1], FR_ALLOC},
                 {t.page[1][2], REFS_TYPE(2)},
                 {t.l3, FR_TCOUNT_ONE | FR_TCOUNT_ONE << 1}};
    for (unsigned i = 0; i < ARRAY_SIZE(seeds); i++) {
        refs = refs_of(seeds[i].mfn);
        frame_of(seeds[i].mfn)->refs ^= seeds[i].flip;
        assert_true(audit_run(false).violations > 0);
        frame_of(seeds[i].mfn)->refs = refs;
        assert_audit();
    }
    *entry(t.l1[0], 9) = pte_make(t.page[0][0], KERNEL_FLAGS); /* an entry that nobody counted */
    assert_true(audit_run(false).violations > 0);
    *entry(t.l1[0], 9) = pte_make(t.l2, KERNEL_FLAGS); /* a writable page table */
    assert_true(audit_run(false).violations > 0);
    *entry(t.l1[0], 9) = 0;
    pte_t e = *entry(t.l2, 0);
    *entry(t.l2, 0) = 0; /* one that vanished */
    assert_true(audit_run(false).violations > 0);
    *entry(t.l2, 0) = e;
    d->pages_count++;
    assert_true(audit_run(false).violations > 0);
    d->pages_count--;
    assert_audit();
    assert_true(audit_run(false).tables == 5);
}

/* T8: whoever is about to drop what seems to be the last writable reference, and has its stamp, must not succeed when there was
 * another one meanwhile, by whichever way that one went. */
static void last_writable_drop(void **state)
{
    struct domain *d = start();
    mfn_t m = guest_frame(d), table = guest_frame(d);
    uint64_t seen, stamp;

    assert_int_equal(mmu_pin(d, table, 1), 0);
    for (unsigned way = 0; way < 2; way++) {
        assert_int_equal(writable_get(m, 1), 0);
        seen = refs_of(m);
        if (way == 0) {
            assert_int_equal(writable_get(m, 1), 0);
            writable_put(frame_of(m));
        } else {
            assert_int_equal(mmu_update_entry(d, frame_of(table), 0, pte_make(m, KERNEL_FLAGS), PT_SET, 1), 0);
            assert_int_equal(mmu_update_entry(d, frame_of(table), 0, 0, PT_SET, 1), 0);
        }
        assert_type(m, FT_WRITABLE, 1);
        assert_int_not_equal(refs_of(m), seen);
        stamp = frame_of(m)->stamp;
        tlb_note_flush();
        assert_int_equal(frame_of(m)->stamp, stamp);
        writable_put(frame_of(m));
        assert_type(m, FT_WRITABLE, 0);
        assert_int_equal(frame_of(m)->stamp, tlb_clock_now());
        assert_false(refs_of(m) & FR_FELL);
    }
    /* and the last one by an entry */
    for (unsigned others = 0; others < 2; others++) {
        assert_int_equal(mmu_update_entry(d, frame_of(table), 0, pte_make(m, KERNEL_FLAGS), PT_SET, 1), 0);
        if (others) {
            assert_int_equal(writable_get(m, 1), 0);
            writable_put(frame_of(m));
        }
        tlb_note_flush();
        assert_int_equal(mmu_update_entry(d, frame_of(table), 0, pte_make(m, RO_FLAGS), PT_SET, 1), 0);
        assert_type(m, FT_WRITABLE, 0);
        assert_int_equal(frame_of(m)->stamp, tlb_clock_now());
        assert_false(refs_of(m) & FR_FELL);
    }
    assert_audit();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(conflicts),
        isolated_test(last_writable_drop),
        isolated_test(flush_at_type_change),
        isolated_test(pin_tree),
        isolated_test(preempted),
        isolated_test(bad_entries),
        isolated_test(abandoned),
        isolated_test(info_registered_twice_at_once),
        isolated_test(teardown),
        isolated_test(audit_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
