/* SPDX-License-Identifier: MIT */
/*
 * The frame allocator: a buddy allocator over all RAM.
 *
 * A free block of 2^order frames is aligned to its size and is known by its first frame, whose record says FREE_HEAD, the
 * order (in bits of refs that mean something else in frames in use; both counts are 0, as F1 demands) and for all of the block
 * FR_DIRTY, is linked by next/prev, and has the latest stamp of all frames in the block. Every free frame has owner
 * FRAME_OWNER_NONE. Clean blocks hold zeroes; only blocks that are equally clean are merged.
 *
 * Lists are kept by cleanliness, order and zone; a zone is the number of bits of the block's mfn. A block lies in one zone wholly
 * (frame 0 is never handed out), so an upper limit of the address is a limit of the zone, and nothing needs searching.
 * Requests are served from the highest zone, which spares low memory for devices, and there with clean blocks first. Idle CPUs
 * clear dirty ones (scrub.c).
 *
 * Claims: memory that a domain has been promised. `outstanding` is the sum of all; who takes frames for a domain that has
 * none must leave so much. What the hypervisor itself needs is not held up by claims.
 *
 * Lock: LOCK_HEAP, held for list surgery only; flushing, clearing and the records of a block are done outside, when the block is
 * already (or still) the caller's alone.
 */
#include "core/mem/alloc.h"
#include "core/mem/ordinary.h"
#include "core/mem/tlb.h"
#include "core/lib/lock.h"
#include "core/lib/poison.h"
#include "hw/hw.h"

#define FREE_HEAD        FR_PINNED
#define FREE_ORDER_SHIFT FR_STATE_SHIFT /* 6 bits: 58..63 */
#define ZONES            33             /* mfns have up to 32 bits */
#define ORDERS           (ORDER_MAX + 1)
#define RUNS_MAX         128

static struct spinlock lock = SPINLOCK_INIT(LOCK_HEAP);
static uint32_t heads[2][ZONES][ORDERS]; /* clean, dirty */
static uint32_t nonempty[2][ZONES];      /* bit per order */
static uint64_t free_count, dirty_count, total_count, outstanding;
static uint64_t scrubs_begun, scrubs_ended; /* in between, a block, counted as free, is off the lists to be cleared */
static unsigned zones_used;                 /* those above are empty */
static struct ram_run runs[RUNS_MAX];       /* written while booting only */
static unsigned runs_count;
struct window ordinary_window;

static unsigned zone_of(uint64_t mfn)
{
    return 64 - (unsigned)__builtin_clzl(mfn);
}

/* ---- The lists; under the lock ---- */

static void list_push(uint64_t mfn, unsigned order, bool dirty)
{
    struct frame *f = frame_of(MFN(mfn));
    uint32_t *head = &heads[dirty][zone_of(mfn)][order];

    f->refs = (dirty ? FR_DIRTY : 0) | FREE_HEAD | (uint64_t)order << FREE_ORDER_SHIFT;
    f->prev = 0;
    f->next = *head;
    if (*head)
        frame_of(MFN(*head))->prev = (uint32_t)mfn;
    *head = (uint32_t)mfn;
    nonempty[dirty][zone_of(mfn)] |= 1u << order;
}

static void list_remove(uint64_t mfn, unsigned order)
{
    struct frame *f = frame_of(MFN(mfn));
    bool dirty = f->refs & FR_DIRTY;
    unsigned z = zone_of(mfn);

    if (f->prev)
        frame_of(MFN(f->prev))->next = f->next;
    else
        heads[dirty][z][order] = f->next;
    if (f->next)
        frame_of(MFN(f->next))->prev = f->prev;
    if (!heads[dirty][z][order])
        nonempty[dirty][z] &= ~(1u << order);
    f->refs = 0;
    f->next = f->prev = 0;
}

static bool is_free_block(uint64_t mfn, unsigned order, bool dirty)
{
    const struct frame *f;

    if (!mfn || !mfn_valid(MFN(mfn)))
        return false;
    f = frame_of(MFN(mfn));
    return frame_owner(f) == FRAME_OWNER_NONE &&
           refs_load(f) == ((dirty ? FR_DIRTY : 0) | FREE_HEAD | (uint64_t)order << FREE_ORDER_SHIFT);
}

/* A block whose frames all have owner NONE goes onto a list; its first frame has its stamp. */
static void block_list(uint64_t mfn, unsigned order, bool dirty)
{
    while (order < ORDER_MAX) {
        uint64_t buddy = mfn ^ (1UL << order);
        uint64_t stamp;

        if (!is_free_block(buddy, order, dirty))
            break;
        stamp = MAX(frame_of(MFN(mfn))->stamp, frame_of(MFN(buddy))->stamp);
        list_remove(buddy, order);
        mfn &= ~(1UL << order);
        frame_set_stamp(frame_of(MFN(mfn)), stamp);
        order++;
    }
    list_push(mfn, order, dirty);
}

static void block_insert(uint64_t mfn, unsigned order, bool dirty)
{
    free_count += 1UL << order;
    if (dirty) {
        if (!dirty_count)
            scrub_wanted();
        dirty_count += 1UL << order;
    }
    block_list(mfn, order, dirty);
}

/* The first block of 2^have frames in a list, cut to 2^order: the upper halves stay. */
static uint64_t block_cut(bool dirty, unsigned zone, unsigned have, unsigned order, uint64_t *stamp)
{
    uint64_t mfn = heads[dirty][zone][have];

    *stamp = frame_of(MFN(mfn))->stamp;
    list_remove(mfn, have);
    while (have > order) {
        have--;
        frame_set_stamp(frame_of(MFN(mfn + (1UL << have))), *stamp);
        list_push(mfn + (1UL << have), have, dirty);
    }
    return mfn;
}

/* The smallest sufficient block of the highest zone below `zones`, a clean one if the zone has one. 0: none. */
static uint64_t block_take(unsigned order, unsigned zones, uint64_t *stamp, bool *dirty)
{
    for (unsigned z = zones; z-- > 0;) {
        for (unsigned k = 0; k < 2; k++) {
            uint32_t fit = nonempty[k][z] & ~((1u << order) - 1);

            if (!fit)
                continue;
            free_count -= 1UL << order;
            if (k)
                dirty_count -= 1UL << order;
            *dirty = k;
            return block_cut(k, z, (unsigned)__builtin_ctz(fit), order, stamp);
        }
    }
    return 0;
}

/* Whether others' claims leave so many frames for who has this claim, and the counting of it. */
static bool claim_covers(const uint64_t *claim, uint64_t count)
{
    return free_count + MIN(*claim, count) >= outstanding + count;
}

static void claim_use(uint64_t *claim, uint64_t count)
{
    uint64_t used = MIN(*claim, count);

    __atomic_store_n(claim, *claim - used, __ATOMIC_RELAXED);
    outstanding -= used;
}

/* ---- The interface ---- */

mfn_t alloc_block(unsigned order, unsigned address_bits, uint64_t *claim, bool *dirty)
{
    unsigned zones = zones_used;
    uint64_t mfn, stamp = 0, wait_for = UINT64_MAX;
    bool again;

    if (order > ORDER_MAX)
        return INVALID_MFN;
    if (address_bits && address_bits < PAGE_SHIFT + zones - 1)
        zones = address_bits <= PAGE_SHIFT ? 0 : address_bits - PAGE_SHIFT + 1;
    do {
        mfn = 0;
        spin_lock(&lock);
        if (!claim || claim_covers(claim, 1UL << order))
            mfn = block_take(order, zones, &stamp, dirty);
        else
            wait_for = 0;
        if (mfn && claim)
            claim_use(claim, 1UL << order);
        wait_for = MIN(wait_for, scrubs_begun);
        again = !mfn && scrubs_ended < wait_for && free_count >= 1UL << order;
        spin_unlock(&lock);
        /* What other CPUs are clearing, for a few microseconds, may be what we need; what they clear after that was there. */
        if (again)
            hw_relax();
    } while (again);
    if (!mfn)
        return INVALID_MFN;
    tlb_flush_stale(stamp);
    return MFN(mfn);
}

void alloc_block_back(mfn_t mfn, unsigned order, bool dirty)
{
    spin_lock(&lock);
    block_insert(mfn.n, order, dirty);
    spin_unlock(&lock);
}

mfn_t alloc_frames(unsigned order, unsigned address_bits)
{
    bool dirty;
    mfn_t mfn = alloc_block(order, address_bits, NULL, &dirty);

    if (mfn_eq(mfn, INVALID_MFN))
        return mfn;
    for (uint64_t m = mfn.n; m < mfn.n + (1UL << order); m++) {
        struct frame *f = frame_of(MFN(m));
        audit_note(f);
        f->next = f->prev = 0;
        frame_set_owner_stamp(f, FRAME_OWNER_HYPERVISOR, 0);
        __atomic_store_n(&f->refs, (dirty ? FR_DIRTY : 0) | 1, __ATOMIC_RELEASE);
    }
    return mfn;
}

/* In the largest blocks that fit; all with the same stamp. */
static void insert_run(uint64_t first, uint64_t count, uint64_t stamp)
{
    uint64_t end = first + count;

    for (uint64_t m = first; DEBUG_BUILD && m < end; m++)
        poison_fill(hw_frame_va(MFN(m)), PAGE_SIZE);
    spin_lock(&lock);
    while (first < end) {
        unsigned order = MIN((unsigned)__builtin_ctzl(first), (unsigned)ORDER_MAX);

        while (first + (1UL << order) > end)
            order--;
        frame_set_stamp(frame_of(MFN(first)), stamp);
        block_insert(first, order, true);
        first += 1UL << order;
    }
    spin_unlock(&lock);
}

void free_frames(mfn_t mfn, unsigned order)
{
    uint64_t first = mfn.n, m = first, end = first + (1UL << order);

    ASSERT(order <= ORDER_MAX && mfn.n && !(mfn.n & ((1UL << order) - 1)));
    for (; m < end; m++) {
        struct frame *f = frame_of(MFN(m));
        ASSERT(frame_owner(f) == FRAME_OWNER_HYPERVISOR && (refs_load(f) & FR_PCOUNT_MASK));
        audit_note(f);
        if (!(__atomic_sub_fetch(&f->refs, 1, __ATOMIC_SEQ_CST) & FR_COUNTS_MASK)) {
            frame_disown(f);
            continue;
        }
        /* Another CPU has taken it for what it was before (frame_get_owned); it notices, and frees it. */
        insert_run(first, m - first, 0);
        first = m + 1;
    }
    insert_run(first, end - first, 0); /* no guest has seen it */
}

void alloc_release_run(mfn_t first, uint64_t count, uint16_t owner)
{
    /* The clock is read after the owner is gone: who saw the old owner has not flushed since, and is waited for. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    insert_run(first.n, count, tlb_clock_now());
    frames_unassigned(owner, count);
}

void alloc_frame_released(struct frame *f)
{
    uint16_t owner = frame_owner(f);

    /* Nobody else changes a frame without references. */
    ASSERT(refs_state(refs_load(f)) == TS_NONE && !(refs_load(f) & (FR_PINNED | FR_ALLOC)));
    ASSERT(owner != FRAME_OWNER_IO && owner != FRAME_OWNER_NONE);
    hw_m2p_set(frame_mfn(f), M2P_INVALID);
    frame_disown(f);
    alloc_release_run(frame_mfn(f), 1, owner);
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

bool alloc_claim(uint64_t *claim, uint64_t count)
{
    bool ok;

    spin_lock(&lock);
    ok = count <= *claim || (count <= free_count && outstanding - *claim <= free_count - count);
    if (ok) {
        outstanding += count - *claim;
        __atomic_store_n(claim, count, __ATOMIC_RELAXED);
    }
    spin_unlock(&lock);
    return ok;
}

/* ---- Clearing free memory ---- */

#define SCRUB_ORDER 4 /* at most so much at once: a CPU does nothing else meanwhile */

/* A dirty block of at most that size; 0: there is none. */
static uint64_t dirty_take(unsigned *order, uint64_t *stamp)
{
    for (unsigned z = zones_used; z-- > 0;) {
        if (!nonempty[1][z])
            continue;
        unsigned have = (unsigned)__builtin_ctz(nonempty[1][z]);
        *order = MIN(have, (unsigned)SCRUB_ORDER);
        return block_cut(true, z, have, *order, stamp);
    }
    return 0;
}

bool alloc_scrub_some(void)
{
    uint64_t mfn, stamp = 0;
    unsigned order = 0;

    spin_lock(&lock);
    mfn = dirty_take(&order, &stamp);
    scrubs_begun += !!mfn;
    spin_unlock(&lock);
    if (!mfn)
        return false;
    tlb_flush_stale(stamp); /* who had it might still write there, and it would not be clean */
    for (uint64_t m = mfn; m < mfn + (1UL << order); m++)
        hw_clear_frame(MFN(m));
    frame_set_stamp(frame_of(MFN(mfn)), stamp);
    spin_lock(&lock);
    dirty_count -= 1UL << order;
    scrubs_ended++;
    block_list(mfn, order, false);
    spin_unlock(&lock);
    return true;
}

/* ---- Counts ---- */

uint64_t alloc_dirty_count(void)
{
    return __atomic_load_n(&dirty_count, __ATOMIC_RELAXED);
}

uint64_t alloc_claimed_count(void)
{
    return __atomic_load_n(&outstanding, __ATOMIC_RELAXED);
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

/* The runs' order does not change, nor which of them is the largest. */
void ordinary_window_open(bool open)
{
    struct ram_run largest = {0, 0};

    for (unsigned i = 0; i < runs_count; i++)
        if (runs[i].count > largest.count)
            largest = runs[i];
    __atomic_store_n(&ordinary_window.count, open ? largest.count : 0, __ATOMIC_SEQ_CST);
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
    zones_used = MAX(zones_used, zone_of(last.n) + 1);
    for (uint64_t i = m; i < end; i++) {
        struct frame *f = frame_of(MFN(i));
        f->refs = 0;
        f->next = f->prev = 0;
        frame_set_owner_stamp(f, FRAME_OWNER_NONE, 0);
    }
    spin_lock(&lock);
    total_count += end - m;
    while (m < end) {
        unsigned order = MIN((unsigned)__builtin_ctzl(m), (unsigned)ORDER_MAX);
        while (m + (1UL << order) > end)
            order--;
        block_insert(m, order, dirty);
        m += 1UL << order;
    }
    spin_unlock(&lock);
}
