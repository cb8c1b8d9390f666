/* SPDX-License-Identifier: MIT */
/* The frame allocator, the heap, plain references, the flush clock. */
#include "mem_guest.h"

static void frames(void **state)
{
    uint64_t before, total;
    mfn_t m[64];

    host_machine_init(2, 0);
    before = alloc_free_count();
    total = alloc_total_count();
    assert_true(before <= total && total == HOST_FRAMES - HOST_IO_FRAMES - 1);
    for (unsigned o = 0; o < 12; o++) {
        m[o] = alloc_frames(o, 0);
        assert_false(mfn_eq(m[o], INVALID_MFN));
        assert_int_equal(m[o].n & ((1UL << o) - 1), 0);
        assert_int_equal(frame_of(m[o])->owner, FRAME_OWNER_HYPERVISOR);
    }
    assert_int_equal(alloc_free_count(), before - 4095);
    for (unsigned o = 0; o < 12; o++)
        free_frames(m[o], o);
    assert_int_equal(alloc_free_count(), before);
    assert_true(mfn_eq(alloc_frames(ORDER_MAX + 1, 0), INVALID_MFN));
    assert_true(mfn_eq(alloc_frames(ORDER_MAX, 0), INVALID_MFN));
    assert_audit();
}

static void address_limit(void **state)
{
    unsigned n = 0;
    mfn_t m;

    host_machine_init(1, 0);
    assert_true(alloc_frames(0, 0).n >= 8192); /* the highest zone first */
    while (!mfn_eq(m = alloc_frames(0, 20), INVALID_MFN)) {
        assert_true(m.n > 0 && m.n < 256);
        n++;
    }
    assert_int_equal(n, 255);
    assert_true(mfn_eq(alloc_frames(3, 20), INVALID_MFN));
    assert_true(mfn_eq(alloc_frames(0, 12), INVALID_MFN));
    assert_true(alloc_frames(4, 21).n < 512);
}

/* Random allocations and frees never overlap, and everything comes together again. */
static void churn(void **state)
{
    static struct {
        mfn_t m;
        unsigned order;
    } held[200];
    static uint8_t used[HOST_FRAMES];
    uint64_t before;

    host_machine_init(1, 0);
    before = alloc_free_count();
    srand(7);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = (unsigned)rand() % 200;
        if (held[i].m.n) {
            memset(&used[held[i].m.n], 0, 1UL << held[i].order);
            free_frames(held[i].m, held[i].order);
            held[i].m.n = 0;
            continue;
        }
        held[i].order = (unsigned)rand() % 7;
        mfn_t m = alloc_frames(held[i].order, 0);
        if (mfn_eq(m, INVALID_MFN))
            continue;
        held[i].m = m;
        for (uint64_t f = m.n; f < m.n + (1UL << held[i].order); f++)
            assert_int_equal(used[f]++, 0);
    }
    assert_audit();
    for (unsigned i = 0; i < 200; i++)
        if (held[i].m.n)
            free_frames(held[i].m, held[i].order);
    assert_int_equal(alloc_free_count(), before);
    assert_false(mfn_eq(alloc_frames(12, 0), INVALID_MFN)); /* all has come together again */
}

static void heap(void **state)
{
    void *p[300];
    uint64_t before;

    host_machine_init(1, 0);
    before = alloc_free_count();
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 300; i++) {
            size_t size = 1 + (size_t)i * i / 10;
            p[i] = heap_alloc(size);
            assert_non_null(p[i]);
            assert_int_equal((uintptr_t)p[i] % (size >= PAGE_SIZE ? PAGE_SIZE : 16), 0);
            for (size_t b = 0; b < size; b++)
                assert_int_equal(((uint8_t *)p[i])[b], 0);
            memset(p[i], 0xcc, size);
        }
        assert_true(heap_used_bytes() > 300 * 300 * 300 / 30);
        for (unsigned i = 0; i < 300; i++)
            heap_free(p[(i * 7) % 300]);
        assert_int_equal(heap_used_bytes(), 0);
    }
    assert_true(before - alloc_free_count() <= 16); /* an empty slab a class may stay */
    assert_null(heap_alloc(MIB + 1));
    assert_null(heap_alloc(0));
    assert_null(heap_alloc_array(SIZE_MAX / 2, 4));
    p[0] = heap_alloc(5 * PAGE_SIZE);
    heap_free(p[0]);
    heap_free(NULL);
    assert_audit();
}

static void plain_references(void **state)
{
    struct domain *d;
    uint64_t free;
    mfn_t m;

    host_machine_init(1, 0);
    d = guest_create(1, false);
    free = alloc_free_count();
    m = guest_frame(d);
    assert_int_equal(hw_m2p[m.n], M2P_INVALID);
    hw_m2p_set(m, 5);
    assert_null(frame_get_owned(m, 2));
    assert_null(frame_get_owned(MFN(hw_frames_max), 1));
    assert_ptr_equal(frame_get_owned(m, 1), frame_of(m));
    assert_true(frames_owned(1) >= 1);
    assert_int_equal(reservation_drop(d, m), 0);
    assert_int_equal(reservation_drop(d, m), -EINVAL);
    assert_int_equal(alloc_free_count(), free - 1);
    frame_put(frame_of(m));
    assert_int_equal(alloc_free_count(), free);
    assert_false(frame_get(frame_of(m)));
    assert_null(frame_get_owned(m, 1));
    assert_int_equal(hw_m2p[m.n], M2P_INVALID);
    /* a full count refuses */
    m = guest_frame(d);
    frame_of(m)->refs |= REFS_PFULL;
    assert_false(frame_get(frame_of(m)));
    assert_null(frame_get_owned(m, 1));
    frame_of(m)->refs &= ~REFS_PFULL;
    assert_audit();
}

/* A frame that guests have seen is not given out again before every CPU has flushed. */
static void flush_clock(void **state)
{
    struct domain *d;
    unsigned flushes[3], calls;
    mfn_t m;

    host_machine_init(3, 0);
    d = guest_create(1, false);
    m = guest_frame(d);
    assert_int_equal(reservation_drop(d, m), 0);
    host_this_cpu = pcpus[1];
    tlb_note_flush(); /* this one has flushed since; that one is idle */
    host_this_cpu = pcpus[2];
    tlb_note_idle();
    host_this_cpu = pcpus[0];
    for (unsigned i = 0; i < 3; i++)
        flushes[i] = host_cpus[i]->flushes;
    mfn_t again = alloc_frames(0, 0);
    assert_true(mfn_eq(again, m)); /* last freed, first used */
    assert_int_equal(host_cpus[0]->flushes, flushes[0] + 1);
    assert_int_equal(host_cpus[1]->flushes, flushes[1]);
    assert_int_equal(host_cpus[2]->flushes, flushes[2]);
    calls = host_flush_calls;
    tlb_flush_stale(0);
    tlb_flush_stale(1);
    assert_int_equal(host_flush_calls, calls);
    free_frames(again, 0); /* no guest saw it this time */
    alloc_frames(0, 0);
    assert_int_equal(host_flush_calls, calls);
}

static void assert_zero(mfn_t m, unsigned order)
{
    const uint64_t *words = hw_frame_va(m);

    for (uint64_t i = 0; i < PAGE_SIZE / 8 << order; i++)
        assert_int_equal(words[i], 0);
}

/* Clean memory goes out first, dirty memory cleared, and everything comes together when it is clean. */
static void scrubbing(void **state)
{
    struct domain *d;
    uint64_t free;
    mfn_t m, other;

    host_machine_init(1, 0);
    d = guest_create(1, false);
    free = alloc_free_count();
    assert_int_equal(alloc_dirty_count(), free);
    m = reservation_add(d, 3, 0, false);
    assert_zero(m, 3);
    for (unsigned i = 0; i < 100; i++)
        assert_true(alloc_scrub_some());
    assert_int_equal(alloc_free_count(), free - 8);
    assert_true(alloc_dirty_count() >= free - 8 - 1600 && alloc_dirty_count() < free - 8 - 100);
    assert_audit();
    while (alloc_scrub_some())
        ;
    assert_int_equal(alloc_dirty_count(), 0);
    assert_int_equal(alloc_free_count(), free - 8);
    memset(hw_frame_va(m), 0xee, 8 * PAGE_SIZE);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(reservation_drop(d, mfn_add(m, i)), 0);
    assert_int_equal(alloc_dirty_count(), 8);
    other = reservation_add(d, 3, 0, false);
    assert_false(mfn_eq(other, m));
    assert_int_equal(alloc_dirty_count(), 8);
    assert_zero(other, 3);
    for (unsigned i = 0; i < 8; i++)
        reservation_drop(d, mfn_add(other, i));
    while (alloc_scrub_some())
        ;
    assert_audit();
    m = reservation_add(d, 11, 0, false); /* one piece again */
    assert_false(mfn_eq(m, INVALID_MFN));
    assert_zero(m, 11);
    assert_false(mfn_eq(alloc_frames(12, 0), INVALID_MFN));
}

/* Who gave a frame up can write to it until its CPU flushes: not after it has been cleared. */
static void scrubbed_frames_are_out_of_reach(void **state)
{
    struct domain *d;
    unsigned flushes;

    host_machine_init(2, 0);
    d = guest_create(1, false);
    while (alloc_scrub_some())
        ;
    flushes = host_cpus[1]->flushes;
    assert_int_equal(reservation_drop(d, guest_frame(d)), 0);
    while (alloc_scrub_some())
        ;
    assert_int_equal(host_cpus[1]->flushes, flushes + 1);
}

/* Memory may be short of large blocks while others clear what there is: the wait for them ends. */
static unsigned waits;

static void another_scrubs_on(void)
{
    assert_true(++waits < 100);
    assert_true(alloc_scrub_some());
}

static void ask_for_too_much(mfn_t m)
{
    host_clear_hook = NULL;
    assert_true(mfn_eq(alloc_frames(13, 0), INVALID_MFN));
}

static void waiting_for_scrubbers(void **state)
{
    host_machine_init(2, 0);
    host_clear_hook = ask_for_too_much;
    host_relax_hook = another_scrubs_on;
    assert_true(alloc_scrub_some());
    assert_int_equal(waits, 1);
}

/* Frames of the hypervisor that another CPU has for a moment taken for a guest's are free when that has noticed. */
static void freed_while_looked_at(void **state)
{
    uint64_t before;
    mfn_t m;

    host_machine_init(1, 0);
    before = alloc_free_count();
    m = alloc_frames(2, 0);
    assert_true(frame_get(frame_of(mfn_add(m, 1))));
    free_frames(m, 2);
    assert_int_equal(alloc_free_count(), before - 1);
    frame_put(frame_of(mfn_add(m, 1)));
    assert_int_equal(alloc_free_count(), before);
    assert_audit();
    assert_false(mfn_eq(alloc_frames(12, 0), INVALID_MFN)); /* all has come together again */
}

/* Dirty memory is given, cleared, when there is no other; also in blocks that are dirty in part. */
static void nothing_clean_left(void **state)
{
    struct domain *d;
    mfn_t m;

    host_machine_init(1, 0);
    d = guest_create(1, false);
    d->pages_max = HOST_FRAMES;
    for (unsigned i = 0; i < 50; i++)
        alloc_scrub_some();
    while (!mfn_eq(m = reservation_add(d, 0, 0, false), INVALID_MFN)) {
        assert_int_equal(*(uint64_t *)hw_frame_va(m), 0);
        assert_int_equal(((uint64_t *)hw_frame_va(m))[511], 0);
        memset(hw_frame_va(m), 0xdd, PAGE_SIZE);
    }
    assert_int_equal(alloc_free_count(), 0);
    assert_int_equal(alloc_dirty_count(), 0);
    assert_false(alloc_scrub_some());
}

/* When: not while booting, not at once, and with nothing to do no timer is set. */
static void idle_cpus_scrub(void **state)
{
    struct domain *d;
    mfn_t m;

    host_machine_init(2, 0);
    d = guest_create(1, false);
    m = guest_frame(d);
    assert_false(scrub_idle());
    assert_false(timer_is_set(&this_cpu()->scrub_timer));
    scrub_start();
    assert_false(scrub_idle());
    assert_true(timer_is_set(&this_cpu()->scrub_timer));
    host_now_ns += 3 * SEC;
    timers_run();
    while (scrub_idle())
        ;
    assert_int_equal(alloc_dirty_count(), 0);
    assert_false(timer_is_set(&this_cpu()->scrub_timer));
    assert_int_equal(reservation_drop(d, m), 0);
    assert_false(scrub_idle());
    assert_int_equal(this_cpu()->scrub_timer.deadline_ns, host_now_ns + 100 * MSEC);
    host_now_ns += 200 * MSEC;
    timers_run();
    assert_true(scrub_idle());
    assert_false(scrub_idle());
    assert_int_equal(alloc_dirty_count(), 0);
    assert_false(timer_is_set(&this_cpu()->scrub_timer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(frames),
        isolated_test(address_limit),
        isolated_test(churn),
        isolated_test(heap),
        isolated_test(plain_references),
        isolated_test(flush_clock),
        isolated_test(scrubbing),
        isolated_test(nothing_clean_left),
        isolated_test(idle_cpus_scrub),
        isolated_test(scrubbed_frames_are_out_of_reach),
        isolated_test(waiting_for_scrubbers),
        isolated_test(freed_while_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
