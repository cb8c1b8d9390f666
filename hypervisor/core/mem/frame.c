/* SPDX-License-Identifier: MIT */
/*
 * Plain references to frames, and who owns how many. Keeps F1, F2, F4 and F5 of frame.h. No locks: each change is one atomic
 * operation on the refs word.
 */
#include "core/mem/refs.h"
#include "core/mem/alloc.h"
#include "core/domain/domain.h"
#include "hw/hw.h"
#include "hw/nospec.h"

/* Frames with this owner, free ones excluded. Counted by number and not in struct domain: a frame may outlive that. */
static uint32_t owned[0x7ff0];

bool frame_get(struct frame *f)
{
    uint64_t old = refs_load(f);

    do {
        if (!(old & FR_COUNTS_MASK) || (old & REFS_PFULL))
            return false;
    } while (!refs_cas(f, &old, old + 1));
    return true;
}

struct frame *frame_get_owned(mfn_t mfn, uint16_t owner)
{
    struct frame *f;

    if (!mfn_valid(mfn))
        return NULL;
    f = frame_of(MFN(index_nospec(mfn.n, hw_frames_max)));
    if (frame_owner(f) != owner || !frame_get(f))
        return NULL;
    if (unlikely(frame_owner(f) != owner)) { /* freed and given away since we looked */
        frame_put(f);
        return NULL;
    }
    return f;
}

void frame_put(struct frame *f)
{
    uint64_t now;

    audit_note(f);
    now = __atomic_sub_fetch(&f->refs, 1, __ATOMIC_SEQ_CST);
    ASSERT_SLOW((now & FR_PCOUNT_MASK) != FR_PCOUNT_MASK);
    if (unlikely(!(now & FR_COUNTS_MASK)))
        alloc_frame_released(f);
}

void frame_assign(struct frame *f, uint16_t owner, uint64_t refs)
{
    ASSERT(frame_owner(f) == FRAME_OWNER_NONE && !(refs_load(f) & FR_COUNTS_MASK));
    ASSERT(owner_is_domain(owner) && (refs & FR_COUNTS_MASK));
    audit_note(f);
    frames_assigned(owner, 1);
    frame_set_owner_stamp(f, owner, 0);
    __atomic_store_n(&f->refs, refs | FR_DIRTY, __ATOMIC_RELEASE);
}

void frames_assigned(uint16_t owner, uint64_t count)
{
    __atomic_fetch_add(&owned[owner], (uint32_t)count, __ATOMIC_RELAXED);
}

void frames_unassigned(uint16_t owner, uint64_t count)
{
    uint32_t before;

    if (!owner_is_domain(owner))
        return;
    before = __atomic_fetch_sub(&owned[owner], (uint32_t)count, __ATOMIC_SEQ_CST);
    ASSERT(before >= count);
    if (before == count)
        domain_frames_gone();
}

uint32_t frames_owned(uint16_t domid)
{
    return owner_is_domain(domid) ? __atomic_load_n(&owned[domid], __ATOMIC_RELAXED) : 0;
}

int frame_clear_alloc(struct frame *f, uint16_t owner)
{
    uint64_t old = refs_load(f);

    do {
        enum type_state s = refs_state(old);
        if (frame_owner(f) != owner || !(old & FR_COUNTS_MASK) || !(old & FR_ALLOC))
            return fail(-EINVAL);
        if ((old & FR_PINNED) || (s != TS_NONE && s != TS_VALID))
            return fail(-EBUSY);
    } while (!refs_cas(f, &old, old & ~FR_ALLOC));
    if (unlikely(frame_owner(f) != owner)) { /* as in frame_get_owned */
        __atomic_fetch_or(&f->refs, FR_ALLOC, __ATOMIC_SEQ_CST);
        return fail(-EINVAL);
    }
    return 0;
}

void frame_table_init_io(mfn_t first, mfn_t last)
{
    for (uint64_t m = first.n; m <= last.n; m++) {
        struct frame *f = frame_of(MFN(m));
        f->refs = 1; /* for ever */
        f->next = f->prev = 0;
        frame_set_owner_stamp(f, FRAME_OWNER_IO, 0);
    }
}
