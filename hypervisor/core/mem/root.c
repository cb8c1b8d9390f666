/* SPDX-License-Identifier: MIT */
/*
 * Pins and page-table roots, and drops that were cut short.
 *
 * Dropping the last reference on a tree of tables is long, so it may be cut (type_put gives -ERESTART and the frame is
 * PARKED_DOWN, its count belonging to whoever was dropping it). When that was an entry or a root that is gone already, the
 * vCPU whose call it was remembers the frame in v->dropping and goes on with it: hypercalls that change upper tables or
 * roots begin and end with mmu_finish_drops(), and the guest sees none of them return before it is done. Two slots: one
 * for an entry or root, one for the table that held the entry, when that was unpinned meanwhile.
 * A pin that is being dropped keeps FR_PINNED, so the guest's (or the teardown's) next unpin goes on.
 *
 * No locks: v's fields belong to v (domain.h [o]).
 */
#include "core/mem/entry.h"
#include "core/mem/refs.h"
#include "core/domain/domain.h"

/* ---- Drops ---- */

void mmu_defer_drop(struct vcpu *v, struct frame *f)
{
    for (unsigned i = 0; i < ARRAY_SIZE(v->dropping); i++) {
        if (!v->dropping[i]) {
            v->dropping[i] = f;
            return;
        }
    }
    BUG();
}

static __attribute__((noinline)) int go_on_dropping(struct vcpu *v)
{
    for (unsigned i = 0; i < ARRAY_SIZE(v->dropping); i++) {
        if (likely(!v->dropping[i]))
            continue;
        if (type_put(v->dropping[i], true))
            return -ERESTART;
        v->dropping[i] = NULL;
    }
    return 0;
}

int mmu_finish_drops(struct vcpu *v)
{
    return likely(!v->dropping[0] && !v->dropping[1]) ? 0 : go_on_dropping(v);
}

/* ---- Pins ---- */

/* Turns a type reference into the pin's. */
static int pin_set(struct frame *f)
{
    uint64_t old = refs_load(f);

    do {
        if ((old & FR_PINNED) || !(old & FR_ALLOC))
            return fail(-EINVAL);
    } while (!refs_cas(f, &old, old | FR_PINNED));
    return 0;
}

int mmu_pin(struct domain *d, mfn_t mfn, unsigned level)
{
    struct frame *f;
    int rc;

    if (!mfn_valid(mfn) || level < 1 || level > 4)
        return fail(-EINVAL);
    f = frame_of(mfn);
    if (frame_owner(f) != d->id || (refs_load(f) & (FR_PINNED | FR_ALLOC)) != FR_ALLOC)
        return fail(-EINVAL);
    rc = mmu_finish_drops(current_vcpu());
    if (!rc)
        rc = type_get(d, f, (enum frame_type)level);
    if (rc)
        return rc == -EBUSY ? fail(-EINVAL) : rc;
    rc = pin_set(f);
    if (rc)
        table_release(f);
    return rc;
}

int mmu_unpin(struct domain *d, mfn_t mfn)
{
    if (!mfn_valid(mfn))
        return fail(-EINVAL);
    /* A pinned frame is allocated, and a frame whose owner changes is not: its owner needs no second look. */
    return type_unpin(frame_of(mfn), d->id);
}

int mmu_frame_kind(struct domain *d, mfn_t mfn, bool *pinned)
{
    uint64_t refs;

    if (!mfn_valid(mfn) || frame_owner(frame_of(mfn)) != d->id)
        return -EINVAL;
    refs = refs_load(frame_of(mfn));
    if (!(refs & FR_ALLOC))
        return -EINVAL;
    *pinned = refs & FR_PINNED;
    return type_is_table(refs_type(refs)) && refs_state(refs) == TS_VALID ? (int)refs_type(refs) : FT_NONE;
}

/* ---- Roots ---- */

/* The usual root is valid already, by its pin: a reference more. False: whatever it is, type_get() says it. */
static inline bool root_join(const struct vcpu *v, struct frame *f)
{
    const uint64_t ready = REFS_TYPE(FT_L4) | REFS_STATE(TS_VALID);
    uint64_t old = refs_load(f);

    if ((old & (REFS_TYPE_STATE | REFS_TFULL)) != ready || !(old & FR_TCOUNT_MASK) || frame_owner(f) != v->domain->id ||
        !refs_cas(f, &old, old + FR_TCOUNT_ONE))
        return false;
    if (likely(frame_owner(f) == v->domain->id))
        return true;
    type_put(f, false); /* given away since the look */
    return false;
}

/* And one less, when it is not the last. */
static inline bool root_leave(struct frame *f)
{
    uint64_t old = refs_load(f);

    return frame_tcount(old) > 1 && refs_cas(f, &old, old - FR_TCOUNT_ONE);
}

static int root_get(struct vcpu *v, mfn_t l4)
{
    int rc;

    if (!mfn_valid(l4))
        return fail(-EINVAL);
    if (likely(root_join(v, frame_of(l4))))
        return 0;
    rc = type_get(v->domain, frame_of(l4), FT_L4);
    return rc == -EBUSY ? fail(-EINVAL) : rc;
}

static int root_put(struct vcpu *v, mfn_t l4)
{
    if (mfn_eq(l4, INVALID_MFN) || root_leave(frame_of(l4)) || !type_put(frame_of(l4), true))
        return 0;
    mmu_defer_drop(v, frame_of(l4));
    return -ERESTART;
}

int mmu_set_kernel_root(struct vcpu *v, mfn_t l4)
{
    mfn_t old = v->kernel_l4;
    int rc = mmu_finish_drops(v);

    if (!rc && !mfn_eq(l4, old))
        rc = root_get(v, l4);
    if (rc)
        return rc;
    v->kernel_l4 = l4;
    if (v == current_vcpu() && v->in_kernel)
        hw_load_l4(l4);
    return mfn_eq(l4, old) ? 0 : root_put(v, old);
}

int mmu_set_user_root(struct vcpu *v, mfn_t l4)
{
    mfn_t old = v->user_l4;
    int rc = mmu_finish_drops(v);

    if (!rc && !mfn_eq(l4, old) && !mfn_eq(l4, INVALID_MFN))
        rc = root_get(v, l4);
    if (rc)
        return rc;
    v->user_l4 = l4;
    if (v == current_vcpu() && !v->in_kernel)
        hw_load_l4(l4);
    return mfn_eq(l4, old) ? 0 : root_put(v, old);
}

int mmu_drop_roots(struct vcpu *v)
{
    int rc = mmu_finish_drops(v);

    if (!rc && !mfn_eq(v->user_l4, INVALID_MFN)) {
        mfn_t old = v->user_l4;
        v->user_l4 = INVALID_MFN;
        rc = root_put(v, old);
    }
    if (!rc && !mfn_eq(v->kernel_l4, INVALID_MFN)) {
        mfn_t old = v->kernel_l4;
        v->kernel_l4 = INVALID_MFN;
        rc = root_put(v, old);
    }
    return rc;
}
