/* SPDX-License-Identifier: MIT */
/*
 * Teardown of a dying domain's memory: every pin is dropped, every parked table brought down, every allocation given up.
 *
 * T7: what is pinned, parked or in transition is on the page list, and a frame that left it cannot become a page table again.
 * A frame in use as a table of a pinned tree leaves the list and is freed when the tree comes down. A table that is being
 * dropped by an entry of another, parked one is passed over: it comes down with that one, which is on the list too. What
 * other domains still map stays alive, counted in frames_owned(), until they let go.
 *
 * Lock: the memory lock to read the list.
 */
#include "core/mem/mmu.h"
#include "core/mem/refs.h"
#include "core/mem/reservation.h"
#include "core/domain/domain.h"

#define FRAMES_BETWEEN_CHECKS 64

/* 0; -ERESTART cut; -EAGAIN it must wait for others. */
static int relinquish_frame(struct domain *d, struct frame *f)
{
    mfn_t mfn = frame_mfn(f);
    uint64_t refs = refs_load(f);
    enum type_state s = refs_state(refs);
    int rc = 0;

    if (refs & FR_PINNED) {
        rc = mmu_unpin(d, mfn);
        if (rc == -EINVAL)
            return -EAGAIN; /* another CPU is unpinning it */
    } else if (s == TS_BUSY || s == TS_PARKED_DOWN) {
        return -EAGAIN;
    }
    if (!rc)
        rc = type_unpark(f);
    if (rc)
        return rc;
    return reservation_drop(d, mfn) ? -EAGAIN : 0;
}

/* The frame at the cursor, or the first one when the cursor's is not on the list any more; 0: the list is empty. */
static uint32_t frame_at(struct domain *d, uint32_t cursor, uint32_t *next)
{
    uint32_t mfn = cursor;

    spin_lock(&d->memory_lock);
    if (!mfn || frame_owner(frame_of(MFN(mfn))) != d->id || !(refs_load(frame_of(MFN(mfn))) & FR_ALLOC))
        mfn = d->page_list;
    *next = mfn ? frame_of(MFN(mfn))->next : 0;
    spin_unlock(&d->memory_lock);
    return mfn;
}

int mmu_relinquish(struct domain *d)
{
    uint32_t cursor = 0;

    for (unsigned n = 1;; n++) {
        uint32_t next, mfn = frame_at(d, cursor, &next);
        int rc;

        if (!mfn)
            return 0;
        rc = relinquish_frame(d, frame_of(MFN(mfn)));
        if (rc == -ERESTART || (rc && !next)) /* cut, or the end of a pass that left something */
            return -ERESTART;
        cursor = next;
        if (n % FRAMES_BETWEEN_CHECKS == 0 && hw_preempt_check())
            return -ERESTART;
    }
}
