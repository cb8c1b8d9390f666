/* SPDX-License-Identifier: MIT */
/*
 * Grant tables: the entries that a domain shares with us, and who uses them.
 *
 *  G1 While an entry is in use, GTF_reading (and for a writing use GTF_writing) is set in it, so that a granter that keeps
 *     to the protocol neither changes nor takes back the entry. They are set in the compare-and-swap that finds the
 *     grant good, and cleared under the same lock that counts uses.
 *  G2 Every use looks at the entry anew and takes references of its own. A granter that changes an entry in use thereby
 *     only grants another of its frames; what was taken stays what it was.
 *  G3 A use ends in this order: reference to the frame, pin, reference to the granter. So when the granter sees the
 *     bits go, nobody holds the frame for that use any more.
 *
 * Version 1 only. Frames of the table are FR_SHARED memory (core/mem/reservation.h), made one by one, kept until the domain
 * is freed. Locks: LOCK_GRANT of the granter; see internal.h.
 */
#include "core/grant/internal.h"
#include "core/lib/string.h"
#include "core/mem/alloc.h"
#include "core/mem/reservation.h"
#include "core/mem/type.h"
#include "core/trace/trace.h"

#define FRAMES_DEFAULT   64
#define FRAMES_LIMIT     1024
#define MAPTRACK_DEFAULT 1024
#define MAPTRACK_LIMIT   8192
#define CHANGES_MAX      16 /* times that a guest may change an entry under us before we give up */

/* ---- Making ------------------------------------------------------------------------------------------------- */

static unsigned power_of_two(unsigned n)
{
    unsigned p = 1;

    while (p < n)
        p *= 2;
    return p;
}

static unsigned limit_of(unsigned wanted, unsigned usual, unsigned limit)
{
    return MIN(wanted ? wanted : usual, limit);
}

int grant_table_create(struct domain *d, unsigned max_frames, unsigned max_maptrack_frames)
{
    struct grant_table *t = heap_alloc(sizeof(*t));
    int rc;

    if (!t)
        return fail(-ENOMEM);
    spin_init(&t->lock, LOCK_GRANT);
    t->frames_max = limit_of(max_frames, FRAMES_DEFAULT, FRAMES_LIMIT);
    t->frames_mask = power_of_two(t->frames_max) - 1;
    t->frames = heap_alloc_array(t->frames_mask + 1, sizeof(t->frames[0]));
    d->grants = t;
    rc = t->frames ? maptrack_create(t, limit_of(max_maptrack_frames, MAPTRACK_DEFAULT, MAPTRACK_LIMIT)) : -ENOMEM;
    if (!rc)
        rc = grant_table_grow(d, 1);
    if (rc)
        grant_table_destroy(d);
    return rc;
}

void grant_table_close(struct domain *d)
{
    struct grant_table *t = d->grants;

    for (unsigned i = 0;; i++) {
        mfn_t mfn = INVALID_MFN;
        bool more;

        spin_lock(&t->lock);
        t->closed = true;
        more = i < t->frames_count;
        if (more && t->frames[i].shared) {
            mfn = t->frames[i].mfn;
            t->frames[i].mfn = INVALID_MFN;
            t->frames[i].shared = NULL;
        }
        spin_unlock(&t->lock);
        if (!more)
            return;
        if (!mfn_eq(mfn, INVALID_MFN))
            shared_frame_free(mfn);
    }
}

/* No use of the domain's entries is left: each holds a reference on it. */
void grant_table_destroy(struct domain *d)
{
    struct grant_table *t = d->grants;

    grant_table_close(d);
    for (unsigned i = 0; i < t->frames_count; i++)
        heap_free(t->frames[i].active);
    maptrack_destroy(t);
    heap_free(t->frames);
    heap_free(t);
    d->grants = NULL;
}

unsigned grant_frames_count(struct domain *d)
{
    return __atomic_load_n(&d->grants->frames_count, __ATOMIC_ACQUIRE);
}

unsigned grant_frames_max(struct domain *d)
{
    return d->grants->frames_max;
}

mfn_t grant_frame_mfn(struct domain *d, unsigned i)
{
    struct grant_table *t = d->grants;

    return i < grant_frames_count(d) ? t->frames[i & t->frames_mask].mfn : INVALID_MFN;
}

/* Adds a frame, unless another CPU has meanwhile made the table as large as wanted. */
static int add_frame(struct domain *d, unsigned wanted)
{
    struct grant_table *t = d->grants;
    struct grant_active *active = heap_alloc_array(ENTRIES_PER_FRAME, sizeof(*active));
    mfn_t mfn = active ? shared_frame_alloc(d) : INVALID_MFN;
    bool used = false;

    if (mfn_eq(mfn, INVALID_MFN)) {
        heap_free(active);
        return fail(-ENOMEM);
    }
    spin_lock(&t->lock);
    if (t->frames_count < wanted && !t->closed) {
        t->frames[t->frames_count] = (struct grant_frame){mfn, hw_frame_va(mfn), active};
        __atomic_store_n(&t->frames_count, t->frames_count + 1, __ATOMIC_RELEASE);
        used = true;
    }
    spin_unlock(&t->lock);
    if (!used) {
        shared_frame_free(mfn);
        heap_free(active);
    }
    return t->closed ? fail(-EINVAL) : 0;
}

#define GROW_CHUNK 4 /* frames between two looks for other work */

int grant_table_grow(struct domain *d, unsigned frames)
{
    int rc = 0;

    if (frames > d->grants->frames_max || __atomic_load_n(&d->dying, __ATOMIC_SEQ_CST))
        return fail(-EINVAL);
    for (unsigned n = 1; !rc && grant_frames_count(d) < frames; n++) {
        rc = add_frame(d, frames);
        if (!rc && n % GROW_CHUNK == 0 && grant_frames_count(d) < frames && hw_preempt_check())
            rc = -ERESTART;
    }
    return rc;
}

/* ---- Frames ------------------------------------------------------------------------------------------------- */

int16_t grant_hold_frame(mfn_t mfn, uint16_t owner, bool write, struct frame **out)
{
    if (write) {
        int rc = writable_get(mfn, owner);
        if (rc)
            return rc == -ERESTART ? GNTST_eagain : GNTST_bad_page;
        *out = frame_of(mfn);
    } else {
        *out = frame_get_owned(mfn, owner);
    }
    return *out ? GNTST_okay : GNTST_bad_page;
}

void grant_drop_frame(struct frame *f, bool write)
{
    if (write)
        writable_put(f);
    else
        frame_put(f);
}

/* ---- Uses --------------------------------------------------------------------------------------------------- */

/* The entry's first word: flags below, domid above. They are judged and marked as one. */
static int16_t mark_entry(uint32_t *word, uint16_t grantee, bool write)
{
    uint32_t marks = GTF_reading | (write ? GTF_writing : 0);
    uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);

    for (unsigned i = 0; i < CHANGES_MAX; i++) {
        if ((seen & GTF_type_mask) != GTF_permit_access || seen >> 16 != grantee)
            return GNTST_bad_gntref;
        if (write && (seen & GTF_readonly))
            return GNTST_permission_denied;
        if (__atomic_compare_exchange_n(word, &seen, seen | marks, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            return GNTST_okay;
    }
    return GNTST_general_error;
}

/* Counts one use and gives the frame that the entry names (unchecked). */
static int16_t pin(struct grant_table *t, uint32_t ref, uint16_t grantee, bool write, mfn_t *mfn)
{
    uint32_t slot = ref / ENTRIES_PER_FRAME, i = ref % ENTRIES_PER_FRAME;
    struct grant_frame *f;
    int16_t status;

    if (slot >= __atomic_load_n(&t->frames_count, __ATOMIC_ACQUIRE))
        return GNTST_bad_gntref;
    f = &t->frames[slot & t->frames_mask]; /* the mask keeps a mispredicted check inside the array */
    spin_lock(&t->lock);
    status = f->shared ? mark_entry((uint32_t *)(void *)&f->shared[i], grantee, write) : GNTST_bad_domain;
    if (status == GNTST_okay) {
        *mfn = MFN(__atomic_load_n(&f->shared[i].frame, __ATOMIC_ACQUIRE));
        if (write)
            f->active[i].writers++;
        else
            f->active[i].readers++;
    }
    spin_unlock(&t->lock);
    return status;
}

static void unpin(struct grant_table *t, uint32_t ref, bool write)
{
    struct grant_frame *f = &t->frames[ref / ENTRIES_PER_FRAME];
    struct grant_active *a = &f->active[ref % ENTRIES_PER_FRAME];
    uint16_t gone = 0;

    spin_lock(&t->lock);
    ASSERT(write ? a->writers : a->readers);
    if (write)
        a->writers--;
    else
        a->readers--;
    if (!a->writers)
        gone |= GTF_writing;
    if (!a->writers && !a->readers)
        gone |= GTF_reading;
    if (gone && f->shared)
        __atomic_fetch_and(&f->shared[ref % ENTRIES_PER_FRAME].flags, (uint16_t)~gone, __ATOMIC_SEQ_CST);
    spin_unlock(&t->lock);
}

int16_t grant_use_begin(struct grant_use *u, struct domain *user, uint16_t domid, uint32_t ref, bool write)
{
    struct domain *granter = domain_get_ref(domid, user);
    int16_t status = GNTST_bad_domain;
    mfn_t mfn = INVALID_MFN;

    *u = (struct grant_use){0};
    if (!granter)
        return status;
    if (!__atomic_load_n(&granter->dying, __ATOMIC_SEQ_CST))
        status = pin(granter->grants, ref, user->id, write, &mfn);
    if (status == GNTST_okay) {
        status = grant_hold_frame(mfn, granter->id, write, &u->frame);
        if (status != GNTST_okay) {
            u->frame = NULL;
            unpin(granter->grants, ref, write);
        }
    }
    if (status != GNTST_okay) {
        domain_put(granter);
        return status;
    }
    u->granter = granter;
    u->ref = ref;
    u->write = write;
    return GNTST_okay;
}

void grant_use_end(struct grant_use *u)
{
    if (!u->frame)
        return;
    grant_drop_frame(u->frame, u->write);
    unpin(u->granter->grants, u->ref, u->write);
    domain_put(u->granter);
    *u = (struct grant_use){0};
}
