/* SPDX-License-Identifier: MIT */
/* The audit in steps, beside a guest that changes its memory between any two of them; and what it finds. */
#include "mem_guest.h"
#include "core/mem/ordinary.h"

static struct tree t;
static struct domain *d;

static void start_guest(void)
{
    host_machine_init(1, 0);
    d = guest_create(1, false);
    host_set_current(0, d->vcpus[0]);
    tree_build(d, &t, 2, TREE_PAGES);
}

/* One change, whose references move: 0..7. */
static void change(unsigned what)
{
    static mfn_t extra;

    switch (what) {
    case 0: /* another frame, another right */
        (void)mmu_update_entry(d, frame_of(t.l1[0]), 3, pte_make(t.page[1][7], RO_FLAGS), PT_SET, 1);
        break;
    case 1:
        (void)mmu_update_entry(d, frame_of(t.l1[0]), 3, pte_make(t.page[0][3], KERNEL_FLAGS), PT_SET, 1);
        break;
    case 2: /* from one table to another: what is looked at last may see it twice, or not at all */
        (void)mmu_update_entry(d, frame_of(t.l1[0]), 5, 0, PT_SET, 1);
        (void)mmu_update_entry(d, frame_of(t.l1[1]), 100, pte_make(t.page[0][5], KERNEL_FLAGS), PT_SET, 1);
        break;
    case 3:
        (void)mmu_update_entry(d, frame_of(t.l1[1]), 100, 0, PT_SET, 1);
        (void)mmu_update_entry(d, frame_of(t.l1[0]), 5, pte_make(t.page[0][5], KERNEL_FLAGS), PT_SET, 1);
        break;
    case 4: /* the whole tree */
        (void)mmu_unpin(d, t.l4);
        break;
    case 5:
        (void)mmu_pin(d, t.l4, 4);
        break;
    case 6:
        extra = reservation_add(d, 0, 0, false);
        break;
    case 7:
        if (!mfn_eq(extra, INVALID_MFN))
            (void)reservation_drop(d, extra);
        extra = INVALID_MFN;
        break;
    }
}

static struct audit_result live(unsigned changes, unsigned seed)
{
    assert_true(audit_begin(true, true));
    while (audit_step())
        for (unsigned i = 0; i < changes; i++)
            change(rand_r(&seed) % 8);
    return audit_end();
}

/* Nothing is called wrong that is not. */
static void beside_a_guest(void **state)
{
    uint64_t unjudged = 0;

    start_guest();
    assert_int_equal(mmu_pin(d, t.l4, 4), 0);
    for (unsigned round = 0; round < 60; round++) {
        struct audit_result r;

        host_preempt_after(round % 4);
        r = live(round % 3, round);
        host_preempt_after(0);
        if (r.violations)
            fprintf(stderr, "%s\n", host_console);
        assert_int_equal(r.violations, 0);
        unjudged += r.unjudged;
        if (!(round % 3))
            assert_int_equal(r.unjudged, 0); /* nothing changed, so everything is judged */
        assert_audit();
        assert_true(ordinary_window.count > 0);
    }
    assert_true(unjudged > 100);
}

/* What is wrong is found although other frames change. */
static void finds(void **state)
{
    start_guest();
    assert_int_equal(mmu_pin(d, t.l4, 4), 0);
    const struct {
        mfn_t mfn;
        uint64_t flip;
    } seeds[] = {{t.page[0][0], FR_TCOUNT_ONE << 1},
                 {t.page[0][1], 2},
                 {t.page[1][2], REFS_TYPE(2)},
                 {t.l3, FR_TCOUNT_ONE | FR_TCOUNT_ONE << 1}};
    for (unsigned i = 0; i < ARRAY_SIZE(seeds); i++) {
        uint64_t refs = refs_of(seeds[i].mfn);
        unsigned n = 0;

        frame_of(seeds[i].mfn)->refs ^= seeds[i].flip;
        assert_true(audit_begin(false, true));
        while (audit_step())
            change(n++ % 2);
        assert_true(audit_end().violations > 0);
        frame_of(seeds[i].mfn)->refs = refs;
    }
    *entry(t.l1[1], 9) = pte_make(t.l2, KERNEL_FLAGS); /* a writable page table */
    assert_true(live(0, 0).violations > 0);
    *entry(t.l1[1], 9) = pte_make(t.page[1][9], KERNEL_FLAGS);
    assert_int_equal(live(0, 0).violations, 0);
}

/* A table of level 1 whose frames all get their type by it is cut too, both ways, and is right at each cut. */
static void level_1_is_cut(void **state)
{
    unsigned cuts = 0;

    start_guest();
    host_preempt_after(1);
    while (mmu_pin(d, t.l1[0], 1) == -ERESTART) {
        assert_int_equal(refs_state(refs_of(t.l1[0])), TS_PARKED_UP);
        assert_audit();
        cuts++;
    }
    assert_true(cuts >= 2);
    for (unsigned j = 0; j < TREE_PAGES; j++) /* the table's are the last references now */
        assert_int_equal(reservation_drop(d, t.page[0][j]), 0);
    cuts = 0;
    while (mmu_unpin(d, t.l1[0]) == -ERESTART) {
        assert_int_equal(refs_state(refs_of(t.l1[0])), TS_PARKED_DOWN);
        assert_audit();
        cuts++;
    }
    host_preempt_after(0);
    assert_true(cuts >= 2);
    assert_type(t.l1[0], FT_L1, 0);
    assert_audit();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(beside_a_guest),
        isolated_test(finds),
        isolated_test(level_1_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
