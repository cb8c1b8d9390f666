/* SPDX-License-Identifier: MIT */
/*
 * What one page-table entry may hold, and the references it takes. An L1 entry of RAM holds a plain reference, or with RW a
 * writable one; of anything else none, for the domain's right to the frame is enough. An entry above L1 holds a type
 * reference on the table below.
 *
 * Refused: reserved address bits, frames of the hypervisor, large pages, global entries above L1, RAM of a domain other
 * than the caller named. Changed on the way in: US is set (the guest's kernel runs in ring 3), G is cleared (a root load
 * must flush everything), RW is cleared for I/O frames that the domain may only read.
 * Non-present entries are the guest's own and not looked at.
 * Of the hypervisor's own frames, those with FR_SHARED (the machine-to-physical table) may be mapped read-only as DOMID_XEN's by
 * domains that the caller has found to be privileged; others are -EPERM.
 *
 * Locks: the memory lock around the rangesets of I/O frames, nothing else.
 */
#include "core/mem/ordinary.h"
#include "core/domain/domain.h"
#include "core/policy/policy.h"

const struct ordinary_constants ordinary = {
    .entry_mask = PTE_ADDR | PTE_P | PTE_US | PTE_CACHE | PTE_G,
    .table_mask = PTE_ADDR | PTE_P | PTE_US,
    .writable_first = REFS_TYPE(FT_WRITABLE) | FR_ALLOC | FR_DIRTY,
    .writable_span = REFS_TFULL,
    .l1_mask = REFS_TYPE_STATE | REFS_TFULL,
    .l1_valid = REFS_TYPE(FT_L1) | REFS_STATE(TS_VALID),
};

static inline bool address_reserved(pte_t e)
{
    return (e & PTE_ADDR) >> hw_phys_bits;
}

/* ---- I/O frames ---- */

static int ranges_change(struct domain *d, struct rangeset *s, uint64_t first, uint64_t last, bool add)
{
    int rc;

    spin_lock(&d->memory_lock);
    rc = add ? rangeset_add(s, first, last) : rangeset_remove(s, first, last);
    spin_unlock(&d->memory_lock);
    return rc;
}

int io_frames_permit(struct domain *d, uint64_t first, uint64_t last, bool permit)
{
    return ranges_change(d, &d->io_frames, first, last, permit);
}

int io_frames_readonly(struct domain *d, uint64_t first, uint64_t last, bool readonly)
{
    return ranges_change(d, &d->io_frames_ro, first, last, readonly);
}

static int io_entry_get(struct domain *d, pte_t *e, uint16_t target_owner)
{
    uint64_t n = pte_mfn(*e).n;
    bool ok;

    if (target_owner != d->id && target_owner != FRAME_OWNER_IO)
        return fail(-EPERM);
    spin_lock(&d->memory_lock);
    ok = rangeset_contains(&d->io_frames, n, n);
    if (ok && (*e & PTE_RW) && rangeset_overlaps(&d->io_frames_ro, n, n))
        *e &= ~PTE_RW;
    spin_unlock(&d->memory_lock);
    return ok ? 0 : fail(-EPERM);
}

/* No frame of RAM that is counted. The answer for a frame never changes. */
static inline bool is_io(mfn_t mfn)
{
    return !mfn_valid(mfn) || frame_owner(frame_of(mfn)) == FRAME_OWNER_IO;
}

/* ---- RAM ---- */

static int ram_get(struct frame *f, uint16_t owner, bool writable)
{
    if (writable)
        return writable_get_frame(f, owner);
    if (frame_owner(f) != owner || !frame_get(f))
        return fail(-EBUSY);
    if (likely(frame_owner(f) == owner))
        return 0;
    frame_put(f); /* freed and given away since we looked */
    return fail(-EBUSY);
}

/* Domain 0 may name others' frames in its own tables without saying whose they are: tables with such entries are pinned
 * again, and their entries' flags changed. For others a table that is typed anew maps nothing of others any more: their rights are
 * single grants, and which entry is whose grant's is not known. (Linux unmaps grants before it unpins.) */
static bool may_map_anyway(struct domain *d, uint16_t owner)
{
    struct domain *o;
    bool ok;

    if (!d->is_privileged || !owner_is_domain(owner) || owner == d->id)
        return false;
    o = domain_get(owner);
    if (!o)
        return false;
    ok = policy_check(d, MAY_MAP_FOREIGN, o) == 0;
    domain_put(o);
    return ok;
}

/* A table with such an entry may be pinned again: then nobody says whose frame it is. */
static int hypervisor_entry_get(struct domain *d, struct frame *f, pte_t e, uint16_t target_owner)
{
    bool named = target_owner == FRAME_OWNER_HYPERVISOR || (target_owner == d->id && d->is_privileged);

    if (!named || (e & PTE_RW) || !(refs_load(f) & FR_SHARED))
        return fail(-EPERM);
    return frame_get(f) ? 0 : fail(-EBUSY);
}

static int ram_entry_get(struct domain *d, pte_t e, uint16_t target_owner)
{
    struct frame *f = frame_of(pte_mfn(e));
    uint16_t owner = frame_owner(f);

    if (e & PTE_CACHE) {
        if (refs_load(f) & FR_SHARED)
            return fail(-EACCES);
        if (!d->is_hardware) /* caches that disagree are a danger to other users of the memory */
            return fail(-EPERM);
    }
    if (owner == FRAME_OWNER_HYPERVISOR)
        return hypervisor_entry_get(d, f, e, target_owner);
    if (!owner_is_domain(target_owner))
        return fail(-EPERM);
    if (unlikely(owner != target_owner) && target_owner == d->id && may_map_anyway(d, owner))
        target_owner = owner;
    return ram_get(f, target_owner, e & PTE_RW);
}

int l1_entry_get(struct domain *pt_owner, pte_t *value, uint16_t target_owner)
{
    pte_t e = *value;
    int rc;

    if (!(e & PTE_P))
        return 0;
    if (address_reserved(e))
        return fail(-EINVAL);
    e = (e & ~PTE_G) | PTE_US;
    rc = is_io(pte_mfn(e)) ? io_entry_get(pt_owner, &e, target_owner) : ram_entry_get(pt_owner, e, target_owner);
    if (!rc)
        *value = e;
    return rc;
}

void l1_entry_put(pte_t value)
{
    mfn_t mfn = pte_mfn(value);

    if (!(value & PTE_P) || is_io(mfn))
        return;
    if (value & PTE_RW)
        writable_put(frame_of(mfn));
    else
        frame_put(frame_of(mfn));
}

/* ---- Levels 2 to 4 ---- */

bool upper_entry_bits_ok(pte_t value)
{
    return !(value & (PTE_PS | PTE_G)) && !address_reserved(value);
}

int upper_entry_get(struct domain *d, unsigned level, pte_t *value)
{
    mfn_t mfn = pte_mfn(*value);
    int rc;

    if (!(*value & PTE_P))
        return 0;
    if (!upper_entry_bits_ok(*value) || !mfn_valid(mfn))
        return fail(-EINVAL);
    rc = type_get(d, frame_of(mfn), (enum frame_type)(level - 1));
    if (!rc)
        *value |= PTE_US;
    return rc;
}
