/* SPDX-License-Identifier: MIT */
/*
 * The state machine of page types (type.h): who may get which type when, and what happens at the first and the last reference.
 * What the entries of a table need is table.c's and entry.c's.
 *
 * Each transition is one compare-and-swap of the refs word; whoever makes a frame BUSY has it alone until it leaves that
 * state (T3). No locks.
 */
#include "core/mem/type.h"
#include "core/mem/refs.h"
#include "core/mem/entry.h"
#include "core/mem/alloc.h"
#include "core/mem/tlb.h"
#include "core/domain/domain.h"

static pte_t *table_of(struct frame *f)
{
    return hw_frame_va(frame_mfn(f));
}

/* BUSY -> `state`; nobody else changes type, state or type count of a BUSY frame. */
static void leave_busy(struct frame *f, enum type_state state)
{
    __atomic_fetch_add(&f->refs, REFS_STATE(state) - REFS_STATE(TS_BUSY), __ATOMIC_SEQ_CST);
}

/* Parks a BUSY table: [0, progress) hold their references. */
static int park(struct frame *f, enum type_state state, unsigned progress)
{
    frame_set_stamp(f, progress);
    leave_busy(f, state);
    return -ERESTART;
}

/* BUSY with type count 1 -> NONE with 0, the type becoming `type`; the frame may be free then. */
static void busy_to_none(struct frame *f, enum frame_type type)
{
    uint64_t old = refs_load(f), new;

    do {
        new = ((old & ~REFS_TYPE_STATE) | REFS_TYPE(type)) - FR_TCOUNT_ONE;
    } while (!refs_cas(f, &old, new));
    if (!(new &FR_COUNTS_MASK))
        alloc_frame_released(f);
}

/* The last reference is gone and so are the table's: stamped after everything that could reach the frame was unlinked. */
static void finish_down(struct frame *f)
{
    frame_set_stamp(f, tlb_clock_now());
    busy_to_none(f, refs_type(refs_load(f)));
}

/* Gives back [0, done) of a BUSY table; parks it in `parked` when cut. 0 or -ERESTART. */
static int devalidate(struct frame *f, unsigned done, bool preemptible, enum type_state parked)
{
    enum frame_type type = refs_type(refs_load(f));

    if (type == FT_L1) {
        if (l1_table_put(table_of(f), preemptible, &done))
            return park(f, parked, done);
    } else if (type_is_table(type)) {
        if (upper_table_put(table_of(f), type, preemptible, &done))
            return park(f, parked, done);
        if (type == FT_L4)
            for (unsigned i = L4_RESERVED_FIRST; i <= L4_RESERVED_LAST; i++)
                table_of(f)[i] = 0;
    }
    finish_down(f);
    return 0;
}

/* Checks the entries from `done` on of a BUSY frame and makes it VALID, or undoes everything. */
static int validate(struct domain *d, struct frame *f, unsigned done)
{
    enum frame_type type = refs_type(refs_load(f));
    int rc;

    if (type == FT_L1)
        rc = l1_table_get(d, table_of(f), &done);
    else if (type == FT_DESC)
        rc = desc_table_check(table_of(f));
    else
        rc = upper_table_get(d, table_of(f), type, &done);
    if (rc == -ERESTART)
        return park(f, TS_PARKED_UP, done);
    if (!rc) {
        if (type == FT_L4)
            hw_l4_fill_reserved(table_of(f));
        leave_busy(f, TS_VALID);
        return 0;
    }
    return devalidate(f, done, true, TS_PARKED_UNDO) ? -ERESTART : fail(rc);
}

/* A parked table whose count belongs to nobody: this CPU goes on with it. */
static int resume(struct domain *d, struct frame *f, uint64_t old)
{
    unsigned done;

    if (!refs_cas(f, &old, (old & ~FR_STATE_MASK) | REFS_STATE(TS_BUSY)))
        return -ERESTART;
    done = (unsigned)f->stamp;
    if (refs_state(old) == TS_PARKED_UP)
        return validate(d, f, done);
    return devalidate(f, done, true, TS_PARKED_UNDO) ? -ERESTART : fail(-EINVAL);
}

/* The frame's first type reference, when that takes more than counting: `old` has a type count of 0. -EAGAIN: it changed. */
static int enter(struct domain *d, struct frame *f, enum frame_type type, uint16_t owner, uint64_t old)
{
    enum frame_type was = refs_type(old);
    uint64_t new = (old & ~REFS_TYPE_STATE) | REFS_TYPE(type) | REFS_STATE(TS_BUSY);

    if (!refs_cas(f, &old, new + FR_TCOUNT_ONE))
        return -EAGAIN;
    if (unlikely(frame_owner(f) != owner)) { /* freed and given away since the caller looked */
        busy_to_none(f, was);
        return fail(-EBUSY);
    }
    if (was != FT_NONE && was != type)
        tlb_flush_stale(f->stamp);
    if (type == FT_WRITABLE) {
        leave_busy(f, TS_NONE);
        return 0;
    }
    return validate(d, f, 0);
}

int writable_get_frame(struct frame *f, uint16_t owner)
{
    for (;;) {
        uint64_t old = refs_load(f);
        bool first = !(old & FR_TCOUNT_MASK);
        enum frame_type was = refs_type(old);

        if (frame_owner(f) != owner || !(old & FR_COUNTS_MASK) || (old & REFS_TFULL) || (!first && was != FT_WRITABLE))
            return fail(-EBUSY);
        if (first && was != FT_WRITABLE && was != FT_NONE) {
            int rc = enter(NULL, f, FT_WRITABLE, owner, old);
            if (rc != -EAGAIN)
                return rc;
            continue;
        }
        if (refs_state(old) != TS_NONE) { /* BUSY for a moment */
            hw_relax();
            continue;
        }
        if (refs_cas(f, &old, ((old & ~REFS_TYPE_MASK) | REFS_TYPE(FT_WRITABLE)) + FR_TCOUNT_ONE))
            break;
    }
    if (unlikely(frame_owner(f) != owner)) {
        writable_put(f);
        return fail(-EBUSY);
    }
    return 0;
}

int writable_get(mfn_t mfn, uint16_t owner)
{
    if (!mfn_valid(mfn) || !owner_is_domain(owner))
        return fail(-EINVAL);
    return writable_get_frame(frame_of(mfn), owner);
}

/* type_put() for what happens most: no state to look at, nothing to give back. */
void writable_put(struct frame *f)
{
    uint64_t old = refs_load(f);
    bool done = false;

    while (!done) {
        ASSERT_SLOW(refs_type(old) == FT_WRITABLE && refs_state(old) == TS_NONE && (old & FR_TCOUNT_MASK));
        if (frame_tcount(old) > 1) {
            done = refs_cas(f, &old, (old - FR_TCOUNT_ONE) | FR_FELL);
        } else if (old & FR_FELL) {
            if (refs_cas(f, &old, old & ~FR_FELL))
                old &= ~FR_FELL;
        } else {
            frame_set_stamp(f, tlb_clock_now());
            done = refs_cas(f, &old, old - FR_TCOUNT_ONE);
        }
    }
    if (unlikely(!((old - FR_TCOUNT_ONE) & FR_COUNTS_MASK)))
        alloc_frame_released(f);
}

/* One more reference on a frame that has the type already, or what its state says. -EAGAIN: look again. */
static int join(struct domain *d, struct frame *f, uint64_t old)
{
    switch (refs_state(old)) {
    case TS_VALID:
        if (old & REFS_TFULL)
            return fail(-EBUSY);
        if (!refs_cas(f, &old, old + FR_TCOUNT_ONE))
            return -EAGAIN;
        if (likely(frame_owner(f) == d->id))
            return 0;
        type_put(f, false); /* given away since the caller looked; its new owner's own references keep it valid */
        return fail(-EBUSY);
    case TS_PARKED_UP:
    case TS_PARKED_UNDO:
        return resume(d, f, old);
    case TS_BUSY:
        if (refs_type(old) != FT_DESC)
            return -ERESTART;
        hw_relax();
        return -EAGAIN;
    default:
        return -ERESTART;
    }
}

int type_get(struct domain *d, struct frame *f, enum frame_type type)
{
    int rc;

    if (type == FT_WRITABLE)
        return writable_get_frame(f, d->id);
    do {
        uint64_t old = refs_load(f);

        if (frame_owner(f) != d->id || !(old & FR_COUNTS_MASK))
            return fail(-EBUSY);
        if (!(old & FR_TCOUNT_MASK))
            rc = (old & FR_ALLOC) ? enter(d, f, type, d->id, old) : fail(-EBUSY); /* T7 */
        else if (refs_type(old) == type)
            rc = join(d, f, old);
        else
            return fail(-EBUSY);
    } while (rc == -EAGAIN);
    return rc;
}

/* One reference less; the last makes the frame BUSY. */
static uint64_t less_one(uint64_t refs)
{
    ASSERT(refs & FR_TCOUNT_MASK);
    return frame_tcount(refs) > 1 ? refs - FR_TCOUNT_ONE : (refs & ~FR_STATE_MASK) | REFS_STATE(TS_BUSY);
}

/* What is left to do when `old` has become less_one(old). */
static int after_less_one(struct frame *f, uint64_t old, bool preemptible)
{
    unsigned done;

    if (frame_tcount(old) > 1)
        return 0;
    ASSERT(refs_state(old) == TS_VALID || refs_state(old) == TS_PARKED_DOWN);
    done = refs_state(old) == TS_PARKED_DOWN ? (unsigned)f->stamp : 512;
    return devalidate(f, done, preemptible, TS_PARKED_DOWN);
}

int type_put(struct frame *f, bool preemptible)
{
    uint64_t old = refs_load(f);

    if (refs_type(old) == FT_WRITABLE) { /* as it stays while we hold it */
        writable_put(f);
        return 0;
    }
    while (!refs_cas(f, &old, less_one(old)))
        ;
    return after_less_one(f, old, preemptible);
}

/* The pin and its reference go in one swap: a frame that is unpinned, valid and has only that reference could be given up
 * by its owner (T7) while this is on its way. */
int type_unpin(struct frame *f, uint16_t owner)
{
    uint64_t old = refs_load(f);
    int rc;

    do {
        if (frame_owner(f) != owner || !(old & FR_COUNTS_MASK) || !(old & FR_PINNED))
            return fail(-EINVAL);
    } while (!refs_cas(f, &old, less_one(old) & ~FR_PINNED));
    rc = after_less_one(f, old, true);
    if (rc)
        __atomic_fetch_or(&f->refs, FR_PINNED, __ATOMIC_SEQ_CST); /* parked: nobody but the next unpin may touch it */
    return rc;
}

int type_unpark(struct frame *f)
{
    uint64_t old = refs_load(f);

    switch (refs_state(old)) {
    case TS_NONE:
    case TS_VALID:
        return 0;
    case TS_PARKED_UP:
    case TS_PARKED_UNDO:
        if (!refs_cas(f, &old, (old & ~FR_STATE_MASK) | REFS_STATE(TS_BUSY)))
            return -ERESTART;
        return devalidate(f, (unsigned)f->stamp, true, TS_PARKED_UNDO);
    default:
        return -ERESTART;
    }
}
