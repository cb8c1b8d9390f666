/* SPDX-License-Identifier: MIT */
/*
 * Changes of live page-table entries, and finding the L1 entry of an address.
 *
 * While a table is held by a type reference it stays VALID (T1), so an entry is changed without a lock: take what the new value
 * asks for, compare-and-swap, drop what the old value held. The loops go round again only when another CPU has changed
 * the same entry or the processor has set its accessed and dirty bits.
 *
 * A change that neither moves the entry to another frame nor touches RW or cache bits needs no references.
 */
#include "core/mem/l1.h"

/* ---- Tables ---- */

int table_hold(struct frame *f, uint16_t owner, bool l1_only)
{
    uint64_t old = refs_load(f);

    do {
        if (f->owner != owner || !(old & FR_TCOUNT_MASK) || !type_is_table(refs_type(old)))
            return -ENOENT;
        if (l1_only && refs_type(old) != FT_L1)
            return -ENOENT; /* not held even for a moment: to let go of another level may take long */
        if (unlikely(refs_state(old) != TS_VALID))
            return refs_state(old) == TS_BUSY ? -ERESTART : fail(-EINVAL);
        if (unlikely(old & REFS_TFULL))
            return fail(-EBUSY);
    } while (!refs_cas(f, &old, old + FR_TCOUNT_ONE));
    if (likely(f->owner == owner))
        return 0;
    table_release(f); /* freed and given away since we looked */
    return -ENOENT;
}

/* A table of level 1 is given back whole, with preemption points: not all who hold one for a moment finish drops afterwards. */
void table_release_last(struct frame *f)
{
    bool l1 = frame_type(f) == FT_L1;
    int rc;

    do {
        rc = type_put(f, true);
    } while (rc && l1);
    if (rc)
        mmu_defer_drop(current_vcpu(), f);
}

/* ---- Level 1 ---- */

/* Whose frame `new` may map by virtue of `old`, which maps the same frame and differs in RW: who maps a frame may map it with
 * no more rights, whoever owns it (grants and foreign frames, whose entries Linux changes without naming the owner).
 * Otherwise the owner that the caller named. */
static uint16_t l1_inherited_owner(pte_t new, uint16_t target_owner)
{
    mfn_t mfn = pte_mfn(new);
    uint16_t owner;

    if ((new &PTE_RW) || !mfn_valid(mfn))
        return target_owner;
    owner = frame_owner(frame_of(mfn));
    return owner_is_domain(owner) ? owner : target_owner;
}

int l1_swap_slow(struct domain *d, pte_t *p, pte_t old, pte_t new, uint16_t target_owner)
{
    int rc;

    if (((old ^ new) & PTE_HOLDS) == PTE_RW)
        target_owner = l1_inherited_owner(new, target_owner);
    rc = l1_entry_get(d, &new, target_owner);
    if (rc)
        return rc;
    if (!pt_entry_set(p, &old, new))
        return l1_swap_failed(new);
    l1_entry_put(old);
    return 0;
}

int l1_update_slow(struct domain *d, pte_t *p, pte_t value, enum pt_how how, uint16_t target_owner)
{
    int rc;

    do {
        pte_t old = __atomic_load_n(p, __ATOMIC_RELAXED);
        rc = l1_swap(d, p, old, keep_ad(value, old, how), target_owner);
    } while (rc == -EAGAIN);
    return rc;
}

/* ---- Levels 2 to 4 ---- */

static void upper_drop(pte_t old)
{
    struct frame *f;

    if (!(old & PTE_P))
        return;
    f = frame_of(pte_mfn(old));
    if (type_put(f, true))
        mmu_defer_drop(current_vcpu(), f);
}

static int upper_update(struct domain *d, pte_t *p, unsigned level, pte_t value, enum pt_how how)
{
    pte_t old = __atomic_load_n(p, __ATOMIC_RELAXED), new;
    int rc;

    if ((value & PTE_P) && !upper_entry_bits_ok(value))
        return fail(-EINVAL);
    while (!((old ^ value) & PTE_P) && (!(old & PTE_P) || !((old ^ value) & PTE_ADDR))) { /* flags only */
        new = keep_ad((value & PTE_P) ? value | PTE_US : value, old, how);
        if (pt_entry_set(p, &old, new))
            return 0;
    }
    new = value;
    rc = upper_entry_get(d, level, &new);
    if (rc)
        return rc;
    while (!pt_entry_set(p, &old, keep_ad(new, old, how)))
        continue;
    upper_drop(old);
    return 0;
}

/* ---- Both ---- */

int table_update(struct domain *d, pte_t *table, unsigned level, unsigned index, pte_t value, enum pt_how how,
                 uint16_t target_owner)
{
    int rc;

    if (level == 1)
        return l1_update(d, &table[index], value, how, target_owner);
    if (l4_reserved(level, index) || target_owner != d->id)
        return fail(-EINVAL);
    rc = mmu_finish_drops(current_vcpu());
    return rc ? rc : upper_update(d, &table[index], level, value, how);
}

int mmu_update_entry(struct domain *pt_owner, struct frame *table, unsigned index, pte_t value, enum pt_how how,
                     uint16_t target_owner)
{
    int rc = table_hold(table, pt_owner->id, false);

    if (rc)
        return rc == -ENOENT ? fail(-EINVAL) : rc;
    ASSERT(index < 512);
    rc = table_update(pt_owner, hw_frame_va(frame_mfn(table)), frame_type(table), index, value, how, target_owner);
    table_release(table);
    return rc;
}

/* l1_hold() with the reason when it cannot be had. */
static int l1_hold_slow(struct frame *f, uint16_t owner)
{
    int rc = table_hold(f, owner, true);

    return rc == -ENOENT ? fail(-EINVAL) : rc;
}

int mmu_cmpxchg_l1(struct domain *d, mfn_t l1, unsigned index, pte_t expected, pte_t value)
{
    struct frame *table;
    int rc;

    if (!mfn_valid(l1) || index >= 512)
        return fail(-EINVAL);
    table = frame_of(l1);
    audit_note(table);
    rc = likely(l1_hold(table, d->id)) ? 0 : l1_hold_slow(table, d->id);
    if (unlikely(rc))
        return rc;
    rc = l1_swap(d, (pte_t *)hw_frame_va(l1) + index, expected, value, d->id);
    table_release(table);
    return rc;
}

/* ---- Finding ---- */

/* As walk_to_l1(), in any memory of the domain's own. The machine address of the L1 table, or ENTRY_NONE. */
#define ENTRY_NONE 1UL
static uint64_t walk_slow(const struct vcpu *v, uint64_t va)
{
    mfn_t table = v->in_kernel ? v->kernel_l4 : v->user_l4;
    pte_t e = ENTRY_NONE;

    for (unsigned level = 4; level > 1; level--, table = pte_mfn(e)) {
        if (!mfn_valid(table) || frame_owner(frame_of(table)) != v->domain->id)
            return ENTRY_NONE;
        e = walk_step(hw_frame_va(table), va, level);
        if (!(e & PTE_P))
            return ENTRY_NONE;
    }
    return e & PTE_ADDR;
}

struct l1_place l1_place_slow(const struct vcpu *v, uint64_t va)
{
    uint64_t table = guest_range_ok(va, 1) ? walk_slow(v, va) : ENTRY_NONE;
    mfn_t mfn = MFN(table >> PAGE_SHIFT);
    int rc;

    if (table == ENTRY_NONE || !mfn_valid(mfn))
        return (struct l1_place){NULL, fail(-EINVAL)};
    rc = l1_hold_slow(frame_of(mfn), v->domain->id);
    if (rc)
        return (struct l1_place){NULL, rc};
    return (struct l1_place){frame_of(mfn), (int64_t)(intptr_t)((pte_t *)hw_frame_va(mfn) + pt_index(va, 1))};
}

int mmu_find_l1(struct vcpu *v, uint64_t va, struct frame **l1, unsigned *index)
{
    struct l1_place place = l1_place_of(v, va);

    if (!place.l1)
        return (int)place.entry_or_rc;
    *l1 = place.l1;
    *index = pt_index(va, 1);
    return 0;
}

void mmu_put_l1(struct frame *l1)
{
    table_release(l1);
}
