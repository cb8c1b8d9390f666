/* SPDX-License-Identifier: MIT */
/*
 * L1 entries of live tables, in line: finding the one of an address, and changing it. The usual cases only, for these are the
 * operations that a guest makes most; whatever is not usual goes to the _slow functions of mmu.c, which can do everything.
 *
 * Usual: tables and frames inside ordinary_window, entries that window_index() knows, references that are there to be had.
 */
#pragma once
#include "core/mem/ordinary.h"
#include "core/domain/domain.h"

/* What tells whether the references of an entry change. */
#define PTE_HOLDS (PTE_ADDR | PTE_P | PTE_RW | PTE_CACHE)

/* ---- Finding ---- */

/* mmu_find_l1() in two registers: the table, held, and the address of the entry; or NULL and the error. */
struct l1_place {
    struct frame *l1;
    int64_t entry_or_rc;
};
struct l1_place l1_place_slow(const struct vcpu *v, uint64_t va);

/* Finds the table that an entry above level 1 names. False: not present, or outside the window. */
static inline bool window_table(const struct window *w, pte_t e, const pte_t **table)
{
    uint64_t distance = (e & ordinary.table_mask) - w->base;

    *table = (const pte_t *)((uintptr_t)w->memory + distance);
    return likely(window_place(distance) < w->count);
}

static inline pte_t walk_step(const pte_t *table, uint64_t va, unsigned level)
{
    return __atomic_load_n(&table[pt_index(va, level)], __ATOMIC_RELAXED);
}

/* The entry of level 2 for the address; 0: none or not usual. The tables on the way may be unlinked and written by another
 * vCPU while we look. So each is only read, whatever it holds by now, and what counts is that the frame at the end is a valid L1
 * table of the domain. */
static inline pte_t walk_to_l1(const struct window *w, const struct vcpu *v, uint64_t va)
{
    mfn_t root = likely(v->in_kernel) ? v->kernel_l4 : v->user_l4;
    const pte_t *table;

    if (unlikely(!guest_range_ok(va, 1)) || !window_table(w, pte_make(root, PTE_P | PTE_US), &table) ||
        !window_table(w, walk_step(table, va, 4), &table) || !window_table(w, walk_step(table, va, 3), &table))
        return 0;
    return walk_step(table, va, 2);
}

/* table_hold() for a valid L1 table, or false. */
static inline bool l1_hold(struct frame *f, uint16_t owner)
{
    uint64_t old = refs_load(f);

    if (unlikely(f->owner != owner) || unlikely((old & ordinary.l1_mask) != ordinary.l1_valid) ||
        unlikely(!refs_cas_usual(f, &old, old + FR_TCOUNT_ONE)))
        return false;
    if (likely(f->owner == owner))
        return true;
    table_release(f); /* freed and given away since we looked */
    return false;
}

static inline __attribute__((always_inline)) struct l1_place l1_place_of(const struct vcpu *v, uint64_t va)
{
    const struct window *w = &ordinary_window;
    pte_t e = walk_to_l1(w, v, va);
    const pte_t *table;

    if (window_table(w, e, &table)) {
        struct frame *f = &w->frames[window_place((e & ordinary.table_mask) - w->base)];
        if (likely(l1_hold(f, v->domain->id)))
            return (struct l1_place){f, (int64_t)(intptr_t)&table[pt_index(va, 1)]};
    }
    return l1_place_slow(v, va);
}

/* ---- Changing ---- */

/* 0; -EAGAIN: the entry is not `old` (any more); errors of l1_entry_get(). */
int l1_swap_slow(struct domain *d, pte_t *p, pte_t old, pte_t new, uint16_t target_owner);

/* The one place where live entries change. */
static inline bool pt_entry_set(pte_t *p, pte_t *old, pte_t new)
{
    return __atomic_compare_exchange_n(p, old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static inline int l1_swap_failed(pte_t new)
{
    l1_entry_put(new);
    return -EAGAIN;
}

static inline void l1_put(pte_t old)
{
    struct frame *f;

    if (unlikely(!window_frame(&ordinary_window, old, &f)) || unlikely(!ordinary_put(f, old)))
        l1_entry_put(old);
}

/* A present entry gets RW. */
static inline __attribute__((always_inline)) int l1_swap_to_writable(struct domain *d, pte_t *p, pte_t old, pte_t new,
                                                                     uint16_t target_owner)
{
    struct frame *f;

    if (unlikely(!window_frame(&ordinary_window, new, &f)) || unlikely(!ordinary_get(f, target_owner, new)))
        return l1_swap_slow(d, p, old, new, target_owner);
    if (unlikely(!pt_entry_set(p, &old, new)))
        return l1_swap_failed(new);
    if (unlikely(!ordinary_put_plain(f)))
        l1_entry_put(old);
    return 0;
}

/* A present entry loses RW. Whose the frame is does not matter: who maps a frame may map it with no more rights. For when the
 * swap succeeds, `old` was in the table at that moment, and the frame still is the one of which we took the reference. */
static inline __attribute__((always_inline)) int l1_swap_to_readonly(struct domain *d, pte_t *p, pte_t old, pte_t new,
                                                                     uint16_t target_owner)
{
    struct frame *f;

    if (unlikely(!window_frame(&ordinary_window, new, &f)) || unlikely(!ordinary_get_plain(f)))
        return l1_swap_slow(d, p, old, new, target_owner);
    if (unlikely(!pt_entry_set(p, &old, new)))
        return l1_swap_failed(new);
    if (unlikely(!ordinary_put_typed(f)))
        l1_entry_put(old);
    return 0;
}

/* `new` is present, and maps another frame than `old` or in another way. */
static inline int l1_swap_frames(struct domain *d, pte_t *p, pte_t old, pte_t new, uint16_t target_owner)
{
    struct frame *f;

    if (unlikely(!window_frame(&ordinary_window, new, &f)) || unlikely(!ordinary_get(f, target_owner, new)))
        return l1_swap_slow(d, p, old, new, target_owner);
    if (unlikely(!pt_entry_set(p, &old, new)))
        return l1_swap_failed(new);
    if (old & PTE_P)
        l1_put(old);
    return 0;
}

/* Puts `value` in the place of `old`; as l1_swap_slow(). */
static inline __attribute__((always_inline)) int l1_swap(struct domain *d, pte_t *p, pte_t old, pte_t value,
                                                         uint16_t target_owner)
{
    pte_t new = (value & ~PTE_G) | PTE_US, differ = (old ^ new) & PTE_HOLDS;

    if (!(value & PTE_P)) {
        if (unlikely(!pt_entry_set(p, &old, value)))
            return -EAGAIN;
        if (old & PTE_P)
            l1_put(old);
        return 0;
    }
    if (!differ)
        return likely(pt_entry_set(p, &old, new)) ? 0 : -EAGAIN;
    if (differ != PTE_RW)
        return l1_swap_frames(d, p, old, new, target_owner);
    return (new &PTE_RW) ? l1_swap_to_writable(d, p, old, new, target_owner)
                         : l1_swap_to_readonly(d, p, old, new, target_owner);
}

static inline pte_t keep_ad(pte_t value, pte_t old, enum pt_how how)
{
    return how == PT_PRESERVE_AD ? value | (old & (PTE_A | PTE_D)) : value;
}

/* table_update() for an L1 table: l1_swap() until it meets what it has read; in line for the first time only. */
int l1_update_slow(struct domain *d, pte_t *p, pte_t value, enum pt_how how, uint16_t target_owner);
static inline __attribute__((always_inline)) int l1_update(struct domain *d, pte_t *p, pte_t value, enum pt_how how,
                                                           uint16_t target_owner)
{
    pte_t old = __atomic_load_n(p, __ATOMIC_RELAXED);
    int rc = l1_swap(d, p, old, keep_ad(value, old, how), target_owner);

    return likely(rc != -EAGAIN) ? rc : l1_update_slow(d, p, value, how, target_owner);
}
