/* SPDX-License-Identifier: MIT */
/*
 * Teardown of a dying domain's memory, in two passes over the page list: first every pin is dropped and every parked table brought
 * down, so that no page table is left; then most frames have no reference but their allocation, and go in runs.
 *
 * T7: what is pinned, parked or in transition is on the page list, and a frame that left it cannot become a page table again.
 * A frame in use as a table of a pinned tree leaves the list and is freed when the tree comes down. A table that is being
 * dropped by an entry of another, parked one is passed over: it comes down with that one, which is on the list too. What
 * other domains still map stays alive, counted in frames_owned(), until they let go.
 *
 * d->relinquish_next: where the first pass goes on (0: at the beginning), or SECOND_PASS.
 * Lock: the memory lock to read the list.
 */
#include "core/mem/mmu.h"
#include "core/mem/refs.h"
#include "core/mem/reservation.h"
#include "core/domain/domain.h"

#define SECOND_PASS UINT64_MAX
#define LOOK_MAX    256 /* frames looked at between two preemption points */
#define RUN_MAX     512 /* and given up */

/* Pinned, in transition or parked. */
static inline bool is_table(const struct frame *f)
{
    uint64_t held = refs_load(f) & (FR_PINNED | FR_STATE_MASK);

    return held && held != REFS_STATE(TS_VALID);
}

/* 0; -ERESTART cut; -EAGAIN it must wait for others. */
static int bring_down(struct domain *d, struct frame *f)
{
    uint64_t refs = refs_load(f);
    enum type_state s = refs_state(refs);
    int rc = 0;

    if (refs & FR_PINNED) {
        rc = mmu_unpin(d, frame_mfn(f));
        if (rc == -EINVAL)
            return -EAGAIN; /* another CPU is unpinning it */
    } else if (s == TS_BUSY || s == TS_PARKED_DOWN) {
        return -EAGAIN;
    }
    return rc ? rc : type_unpark(f);
}

/* The next frame of the first pass that needs work, and the cursor behind it; NULL: none in the frames looked at. A cursor
 * whose frame is not on the list any more begins again. */
static struct frame *next_table(struct domain *d)
{
    uint32_t mfn = (uint32_t)d->relinquish_next;
    struct frame *found = NULL;

    spin_lock(&d->memory_lock);
    if (!mfn || frame_owner(frame_of(MFN(mfn))) != d->id || !(refs_load(frame_of(MFN(mfn))) & FR_ALLOC))
        mfn = d->page_list;
    for (unsigned n = 0; mfn && n < LOOK_MAX && !found; n++) {
        struct frame *f = frame_of(MFN(mfn));

        if (is_table(f))
            found = f;
        mfn = f->next;
    }
    spin_unlock(&d->memory_lock);
    d->relinquish_next = mfn ? mfn : SECOND_PASS;
    return found;
}

/* 0: the second pass can begin; -ERESTART. */
static int drop_tables(struct domain *d)
{
    while (d->relinquish_next != SECOND_PASS) {
        struct frame *f = next_table(d);

        if (f && bring_down(d, f) == -ERESTART) {
            d->relinquish_next = frame_mfn(f).n;
            return -ERESTART;
        }
        if (hw_preempt_check())
            return -ERESTART;
    }
    return 0;
}

static uint32_t first_frame(struct domain *d)
{
    uint32_t mfn;

    spin_lock(&d->memory_lock);
    mfn = d->page_list;
    spin_unlock(&d->memory_lock);
    return mfn;
}

int mmu_relinquish(struct domain *d)
{
    int rc = mmu_finish_drops(current_vcpu()); /* of this domain's tables, perhaps: nobody else brings those down */
    uint32_t mfn;

    if (!rc)
        rc = drop_tables(d);
    while (!rc && (mfn = first_frame(d))) {
        /* A frame that others hold is only given up; one that has become a table needs the first pass again. */
        if (!reservation_drop_run(d, RUN_MAX) && (is_table(frame_of(MFN(mfn))) || reservation_drop(d, MFN(mfn)))) {
            d->relinquish_next = 0;
            return -ERESTART;
        }
        if (hw_preempt_check())
            return -ERESTART;
    }
    return rc;
}
