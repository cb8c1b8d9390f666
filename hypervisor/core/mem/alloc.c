/* SPDX-License-Identifier: MIT */
/*
 * The frame allocator: a buddy allocator over all RAM.
 *
 * A free block of 2^order frames is aligned to its size and is known by its first frame, whose record says FREE_HEAD and
 * the order (in bits of refs that mean something else in frames in use; both counts are 0, as F1 demands), is linked by
 * next/prev, and has the latest stamp of all frames in the block. Every free frame has owner FRAME_OWNER_NONE and its own
 * FR_DIRTY.
 *
 * Lists are kept by order and by zone; a zone is the number of bits of the block's mfn. A block lies in one zone wholly
 * (frame 0 is never handed out), so an upper limit of the address is a limit of the zone, and nothing needs searching.
 * Unlimited requests are served from the highest zone, which spares low memory for devices.
 *
 * Lock: LOCK_HEAP, held for list surgery only; flushing and the records of a block are done outside, when the block is
 * already (or still) the caller's alone.
 */
#include "core/mem/alloc.h"
#include "core/mem/ordinary.h"
#include "core/mem/tlb.h"
#include "core/lib/lock.h"
#include "hw/hw.h"

#define FREE_HEAD        FR_PINNED
#define FREE_ORDER_SHIFT FR_STATE_SHIFT /* 6 bits: 58..63 */
#define ZONES            33             /* mfns have up to 32 bits */
#define ORDERS           (ORDER_MAX + 1)
#define RUNS_MAX         128

static struct spinlock lock = SPINLOCK_INIT(LOCK_HEAP);
static uint32_t heads[ZONES][ORDERS];
static uint32_t nonempty[ZONES]; /* bit per order */
static uint64_t free_count, total_count;
static struct ram_run runs[RUNS_MAX]; /* written while booting only */
static unsigned runs_count;
struct window ordinary_window;

static unsigned zone_of(uint64_t mfn)
{
    return 64 - (unsigned)__builtin_clzl(mfn);
}

/* ---- The lists; under the lock ---- */

static void list_push(uint64_t mfn, unsigned order)
{
    struct frame *f = frame_of(MFN(mfn));
    uint32_t *head = &heads[zone_of(mfn)][order];

    f->refs = (f->refs & FR_DIRTY) | FREE_HEAD | (uint64_t)order << FREE_ORDER_SHIFT;
    f->prev = 0;
    f->next = *head;
    if (*head)
        frame_of(MFN(*head))->prev = (uint32_t)mfn;
    *head = (uint32_t)mfn;
    nonempty[zone_of(mfn)] |= 1u << order;
}

static void list_remove(uint64_t mfn, unsigned order)
{
    struct frame *f = frame_of(MFN(mfn));
    unsigned z = zone_of(mfn);

    if (f->prev)
        frame_of(MFN(f->prev))->next = f->next;
    else
        heads[z][order] = f->next;
    if (f->next)
        frame_of(MFN(f->next))->prev = f->prev;
    if (!heads[z][order])
        nonempty[z] &= ~(1u << order);
    f->refs &= FR_DIRTY;
    f->next = f->prev = 0;
}

static bool is_free_block(uint64_t mfn, unsigned order)
{
    const struct frame *f;
    uint64_t refs;

    if (!mfn || !mfn_valid(MFN(mfn)))
        return false;
    f = frame_of(MFN(mfn));
    refs = refs_load(f);
    return frame_owner(f) == FRAME_OWNER_NONE &&
           (refs & ~FR_DIRTY) == (FREE_HEAD | (uint64_t)order << FREE_ORDER_SHIFT);
}

/* A block whose frames all have owner NONE comes back; its first frame has its stamp. */
static void block_insert(uint64_t mfn, unsigned order)
{
    free_count += 1UL << order;
    while (order < ORDER_MAX) {
        uint64_t buddy = mfn ^ (1UL << order);
        uint64_t stamp;

        if (!is_free_block(buddy, order))
            break;
        stamp = MAX(frame_of(MFN(mfn))->stamp, frame_of(MFN(buddy))->stamp);
        list_remove(buddy, order);
        mfn &= ~(1UL << order);
        frame_set_stamp(frame_of(MFN(mfn)), stamp);
        order++;
    }
    list_push(mfn, order);
}

/* The smallest sufficient block of the highest zone below `zones`, cut to size. 0: none. */
static uint64_t block_take(unsigned order, unsigned zones, uint64_t *stamp)
{
    for (unsigned z = zones; z-- > 0;) {
        uint32_t fit = nonempty[z] & ~((1u << order) - 1);
        unsigned have;
        uint64_t mfn;

        if (!fit)
            continue;
        have = (unsigned)__builtin_ctz(fit);
        mfn = heads[z][have];
        *stamp = frame_of(MFN(mfn))->stamp;
        list_remove(mfn, have);
        while (have > order) { /* the upper half stays free */
            have--;
            frame_set_stamp(frame_of(MFN(mfn + (1UL << have))), *stamp);
            list_push(mfn + (1UL << have), have);
        }
        free_count -= 1UL << order;
        return mfn;
    }
    return 0;
}

/* ---- The interface ---- */

mfn_t alloc_frames(unsigned order, unsigned address_bits)
{
    unsigned zones = ZONES;
    uint64_t mfn, stamp = 0;

    if (order > ORDER_MAX)
        return INVALID_MFN;
    if (address_bits && address_bits < PAGE_SHIFT + ZONES - 1)
        zones = address_bits <= PAGE_SHIFT ? 0 : address_bits - PAGE_SHIFT + 1;
    spin_lock(&lock);
    mfn = block_take(order, zones, &stamp);
    spin_unlock(&lock);
    if (!mfn)
        return INVALID_MFN;
    tlb_flush_stale(stamp);
    for (uint64_t m = mfn; m < mfn + (1UL << order); m++) {
        struct frame *f = frame_of(MFN(m));
        frame_set_owner_stamp(f, FRAME_OWNER_HYPERVISOR, 0);
        __atomic_store_n(&f->refs, (f->refs & FR_DIRTY) | 1, __ATOMIC_RELEASE);
    }
    return MFN(mfn);
}

void free_frames(mfn_t mfn, unsigned order)
{
    ASSERT(order <= ORDER_MAX && mfn.n && !(mfn.n & ((1UL << order) - 1)));
    for (uint64_t m = mfn.n; m < mfn.n + (1UL << order); m++) {
        struct frame *f = frame_of(MFN(m));
        ASSERT(frame_owner(f) == FRAME_OWNER_HYPERVISOR && (refs_load(f) & ~FR_DIRTY) == 1);
        __atomic_store_n(&f->refs, FR_DIRTY, __ATOMIC_RELAXED);
        f->next = f->prev = 0;
        frame_set_owner_stamp(f, FRAME_OWNER_NONE, 0); /* no guest has seen it */
    }
    spin_lock(&lock);
    block_insert(mfn.n, order);
    spin_unlock(&lock);
}

void alloc_frame_released(struct frame *f)
{
    mfn_t mfn = frame_mfn(f);

    /* Nobody else changes a frame without references. */
    ASSERT(refs_state(refs_load(f)) == TS_NONE && !(refs_load(f) & (FR_PINNED | FR_ALLOC)));
    ASSERT(frame_owner(f) != FRAME_OWNER_IO && frame_owner(f) != FRAME_OWNER_NONE);
    hw_m2p_set(mfn, M2P_INVALID);
    frame_unassign(f);
    __atomic_store_n(&f->refs, FR_DIRTY, __ATOMIC_RELAXED);
    f->next = f->prev = 0;
    /* The clock is read after the owner is gone: who saw the old owner has not flushed since, and is waited for. */
    frame_set_owner_stamp(f, FRAME_OWNER_NONE, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    frame_set_stamp(f, tlb_clock_now());
    spin_lock(&lock);
    block_insert(mfn.n, 0);
    spin_unlock(&lock);
}

void alloc_clear(mfn_t mfn, unsigned order)
{
    for (uint64_t m = mfn.n; m < mfn.n + (1UL << order); m++) {
        struct frame *f = frame_of(MFN(m));
        if (!(refs_load(f) & FR_DIRTY))
            continue;
        hw_clear_frame(MFN(m));
        __atomic_fetch_and(&f->refs, ~FR_DIRTY, __ATOMIC_RELAXED);
    }
}

mfn_t alloc_zeroed_frame(void)
{
    mfn_t mfn = alloc_frames(0, 0);

    if (!mfn_eq(mfn, INVALID_MFN))
        alloc_clear(mfn, 0);
    return mfn;
}

uint64_t alloc_free_count(void)
{
    return __atomic_load_n(&free_count, __ATOMIC_RELAXED);
}

uint64_t alloc_total_count(void)
{
    return total_count;
}

/* ---- Boot ---- */

static void run_add(uint64_t first, uint64_t last)
{
    struct ram_run *r = NULL;

    for (unsigned i = 0; i < runs_count; i++)
        if (runs[i].first + runs[i].count == first)
            r = &runs[i];
    if (r) {
        r->count += last - first + 1;
    } else {
        if (runs_count == RUNS_MAX)
            return; /* frames of no known run are only slower */
        r = &runs[runs_count++];
        *r = (struct ram_run){first, last - first + 1};
    }
    if (r->count > ordinary_window.count)
        ordinary_window = window_of(*r);
}

struct ram_run ram_run_of(mfn_t mfn)
{
    for (unsigned i = 0; i < runs_count; i++)
        if (mfn.n - runs[i].first < runs[i].count)
            return runs[i];
    return (struct ram_run){0, 0};
}

void __init_only alloc_add_ram(mfn_t first, mfn_t last, bool dirty)
{
    uint64_t m = MAX(first.n, 1UL), end = last.n + 1;

    if (m >= end)
        return;
    ASSERT(last.n <= UINT32_MAX);
    run_add(m, last.n);
    for (uint64_t i = m; i < end; i++) {
        struct frame *f = frame_of(MFN(i));
        f->refs = dirty ? FR_DIRTY : 0;
        f->next = f->prev = 0;
        frame_set_owner_stamp(f, FRAME_OWNER_NONE, 0);
    }
    spin_lock(&lock);
    total_count += end - m;
    while (m < end) {
        unsigned order = MIN((unsigned)__builtin_ctzl(m), (unsigned)ORDER_MAX);
        while (m + (1UL << order) > end)
            order--;
        block_insert(m, order);
        m += 1UL << order;
    }
    spin_unlock(&lock);
}
