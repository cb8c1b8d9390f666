/* SPDX-License-Identifier: MIT */
/*
 * Domains' memory reservations; see reservation.h.
 *
 * Lock: a domain's memory_lock guards its page list and pages_count; a frame with FR_ALLOC and owner d is on d's list, except
 * for the moment before or after in which the holder of the lock moves it. Clearing memory and the allocator are outside of it.
 * pages_shared is atomic, because it changes under other locks too.
 */
#include "core/mem/reservation.h"
#include "core/domain/domain.h"
#include "core/lib/poison.h"
#include "core/mem/alloc.h"
#include "core/mem/refs.h"

/* ---- The page list; memory_lock held ---- */

static void unlink_frame(struct domain *d, struct frame *f)
{
    if (f->prev)
        frame_of(MFN(f->prev))->next = f->next;
    else
        d->page_list = f->next;
    d->page_list_changes++;
    if (f->next)
        frame_of(MFN(f->next))->prev = f->prev;
    f->next = f->prev = 0;
}

/* Makes frames of the caller's alone (alloc_block) the domain's: in front of the list, in their order. The counts are stored
 * last: only then can others take references, and they see the owner. */
static void take_over(struct domain *d, mfn_t mfn, uint64_t count)
{
    uint32_t first = (uint32_t)mfn.n, last = (uint32_t)(first + count - 1), behind = d->page_list;
    struct frame *f = frame_of(mfn);

    frames_assigned(d->id, count);
    for (uint32_t m = first; m <= last; m++, f++) {
        audit_note(f);
        f->next = m + 1;
        f->prev = m - 1;
        frame_set_owner_stamp(f, d->id, 0);
        __atomic_store_n(&f->refs, FR_ALLOC | FR_DIRTY | 1, __ATOMIC_RELEASE);
    }
    frame_of(MFN(first))->prev = 0;
    frame_of(MFN(last))->next = behind;
    if (behind)
        frame_of(MFN(behind))->prev = last;
    d->page_list = first;
    d->page_list_changes++;
}

/* ---- Getting ---- */

/* What it has given up but others still hold counts too, or a domain could collect memory without end. */
static bool may_grow(struct domain *d, uint64_t count)
{
    uint64_t owned = frames_owned(d->id), shared = __atomic_load_n(&d->pages_shared, __ATOMIC_RELAXED);
    uint64_t held = MAX(d->pages_count, owned > shared ? owned - shared : 0) + d->pages_coming;

    return !__atomic_load_n(&d->dying, __ATOMIC_SEQ_CST) && held <= d->pages_max && count <= d->pages_max - held;
}

#define CLEAR_MAX 16 /* frames cleared between two preemption points; no lock is held where more are asked for */

/* alloc_block(), cleared. */
static mfn_t alloc_clean_block(unsigned order, unsigned address_bits, uint64_t *claim)
{
    bool dirty = false;
    mfn_t m = alloc_block(order, address_bits, claim, &dirty);

    for (uint64_t i = 0; dirty && i < 1UL << order; i++) {
        if (i && i % CLEAR_MAX == 0)
            (void)hw_preempt_check();
        hw_clear_frame(mfn_add(m, i));
    }
    ASSERT_SLOW(mfn_eq(m, INVALID_MFN) || !poison_in(hw_frame_va(m), PAGE_SIZE << order));
    return m;
}

mfn_t reservation_add(struct domain *d, unsigned order, unsigned address_bits, bool keep_contents)
{
    uint64_t count = 1UL << order;
    bool ok, dirty = false;
    mfn_t m;

    if (order > ORDER_MAX)
        return INVALID_MFN;
    spin_lock(&d->memory_lock);
    ok = may_grow(d, count);
    if (ok)
        d->pages_coming += count;
    spin_unlock(&d->memory_lock);
    if (!ok)
        return INVALID_MFN;

    m = keep_contents ? alloc_block(order, address_bits, &d->pages_claimed, &dirty)
                      : alloc_clean_block(order, address_bits, &d->pages_claimed);

    spin_lock(&d->memory_lock);
    ok = !mfn_eq(m, INVALID_MFN) && !__atomic_load_n(&d->dying, __ATOMIC_SEQ_CST);
    d->pages_coming -= count;
    if (ok) {
        take_over(d, m, count);
        d->pages_count += count;
    }
    spin_unlock(&d->memory_lock);
    if (ok)
        return m;
    if (!mfn_eq(m, INVALID_MFN))
        alloc_block_back(m, order, dirty);
    return INVALID_MFN;
}

int reservation_claim(struct domain *d, uint64_t pages)
{
    int rc = 0;

    spin_lock(&d->memory_lock);
    if (__atomic_load_n(&d->dying, __ATOMIC_SEQ_CST) && pages)
        rc = -EINVAL;
    else if (pages && pages < d->pages_count)
        rc = -EINVAL;
    else if (!alloc_claim(&d->pages_claimed, pages ? pages - d->pages_count : 0))
        rc = -ENOMEM;
    spin_unlock(&d->memory_lock);
    return rc ? fail(rc) : 0;
}

void reservation_adopt(struct domain *d, mfn_t mfn, uint64_t count)
{
    spin_lock(&d->memory_lock);
    d->pages_count += count;
    take_over(d, mfn, count);
    spin_unlock(&d->memory_lock);
}

/* ---- Giving up ---- */

int reservation_drop(struct domain *d, mfn_t mfn)
{
    int rc = -EINVAL;

    spin_lock(&d->memory_lock);
    if (mfn_valid(mfn))
        rc = frame_clear_alloc(frame_of(mfn), d->id);
    if (!rc) {
        unlink_frame(d, frame_of(mfn));
        d->pages_count--;
    }
    spin_unlock(&d->memory_lock);
    if (rc)
        return fail(rc);
    hw_m2p_set(mfn, M2P_INVALID);
    frame_put(frame_of(mfn));
    return 0;
}

/* The frame becomes free but for telling the allocator, if the allocation is its only reference: from there on both counts are
 * 0, and nobody can get one (F1, F4). */
static bool take_away(struct domain *d, uint64_t mfn)
{
    struct frame *f = frame_of(MFN(mfn));
    uint64_t old;

    if (!mfn_valid(MFN(mfn)))
        return false;
    old = refs_load(f);
    do {
        if (frame_owner(f) != d->id || !(old & FR_ALLOC) || (old & (FR_PINNED | FR_SHARED)) ||
            refs_state(old) != TS_NONE || (old & FR_COUNTS_MASK) != 1)
            return false;
    } while (!refs_cas(f, &old, old - FR_ALLOC - 1));
    return true;
}

/* The same for a frame on the list, whose owner is known. */
static inline bool take_listed(struct frame *f)
{
    uint64_t old = refs_load(f);

    return (old & ~REFS_TYPE_MASK) == (FR_ALLOC | FR_DIRTY | 1) && refs_cas(f, &old, 0);
}

uint64_t reservation_drop_run(struct domain *d, uint64_t limit)
{
    uint64_t first, end, n = 0, m;

    spin_lock(&d->memory_lock);
    first = m = d->page_list;
    end = first + 1;
    for (; n < limit && m; n++) {
        struct frame *f = frame_of(MFN(m));

        if ((n && m != end && m + 1 != first) || !take_listed(f))
            break;
        if (m < first)
            first = m;
        else
            end = m + 1;
        hw_m2p_set(MFN(m), M2P_INVALID);
        m = f->next;
        frame_disown(f);
    }
    d->page_list = (uint32_t)m;
    d->page_list_changes++;
    if (m)
        frame_of(MFN(m))->prev = 0;
    d->pages_count -= n;
    spin_unlock(&d->memory_lock);
    if (n)
        alloc_release_run(MFN(first), n, d->id);
    return n;
}

/* ---- Exchanging ---- */

static void free_blocks(const uint64_t *blocks, unsigned count, unsigned order)
{
    while (count--)
        alloc_block_back(MFN(blocks[count]), order, false);
}

static int alloc_blocks(uint64_t *blocks, unsigned count, unsigned order, unsigned address_bits)
{
    for (unsigned i = 0; i < count; i++) {
        mfn_t m = alloc_clean_block(order, address_bits, NULL);

        if (mfn_eq(m, INVALID_MFN)) {
            free_blocks(blocks, i, order);
            return fail(-ENOMEM);
        }
        blocks[i] = m.n;
        if (i % CLEAR_MAX == CLEAR_MAX - 1)
            (void)hw_preempt_check();
    }
    return 0;
}

static void give_back(uint64_t mfn)
{
    __atomic_fetch_add(&frame_of(MFN(mfn))->refs, FR_ALLOC + 1, __ATOMIC_RELEASE);
}

/* All of them or none; memory_lock held. */
static bool take_away_all(struct domain *d, const uint64_t *mfns, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (take_away(d, mfns[i]))
            continue;
        while (i--)
            give_back(mfns[i]);
        return false;
    }
    return true;
}

int reservation_exchange(struct domain *d, const uint64_t *in, unsigned count, uint64_t *out, unsigned order,
                         unsigned address_bits)
{
    unsigned blocks = count >> order;
    bool ok;
    int rc = alloc_blocks(out, blocks, order, address_bits);

    if (rc)
        return rc;
    spin_lock(&d->memory_lock);
    ok = !__atomic_load_n(&d->dying, __ATOMIC_SEQ_CST) && take_away_all(d, in, count);
    if (ok) {
        for (unsigned i = 0; i < count; i++)
            unlink_frame(d, frame_of(MFN(in[i])));
        for (unsigned i = 0; i < blocks; i++)
            take_over(d, MFN(out[i]), 1UL << order);
    }
    spin_unlock(&d->memory_lock);
    if (!ok) {
        free_blocks(out, blocks, order);
        return fail(-EINVAL);
    }
    for (unsigned i = 0; i < count; i++)
        alloc_frame_released(frame_of(MFN(in[i])));
    return 0;
}

/* ---- Shared frames ---- */

mfn_t shared_frame_alloc(struct domain *d)
{
    mfn_t m = alloc_clean_block(0, 0, NULL);

    if (mfn_eq(m, INVALID_MFN))
        return m;
    __atomic_fetch_add(&d->pages_shared, 1, __ATOMIC_RELAXED);
    frame_assign(frame_of(m), d->id, REFS_TYPE(FT_WRITABLE) | FR_SHARED | FR_DIRTY | FR_TCOUNT_ONE | 1);
    return m;
}

/* pages_shared stays: shared frames go only with their domain, or when making it fails. */
void shared_frame_free(mfn_t mfn)
{
    struct frame *f = frame_of(mfn);

    writable_put(f);
    frame_put(f);
}
