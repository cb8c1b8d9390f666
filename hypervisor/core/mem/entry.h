/* SPDX-License-Identifier: MIT */
/*
 * Page-table entries and whole tables, inside core/mem and hypercall/mmu*.c: taking and dropping the references that entries
 * ask for, and changing one entry of a table that is held valid.
 */
#pragma once
#include "core/mem/refs.h"
#include "core/mem/pte.h"
#include "core/mem/mmu.h"

struct domain;
struct vcpu;

/* ---- entry.c: one entry ---- */
/* Entry of a level 2..4 table: takes the type reference on the table below and completes the value. Errors of type_get(). */
int upper_entry_get(struct domain *d, unsigned level, pte_t *value);
bool upper_entry_bits_ok(pte_t value);

/* ---- table.c: all entries of a table that this CPU has BUSY. [0, *done) hold their references; *done is kept right on
 * every return. ---- */
int l1_table_get(struct domain *d, pte_t *table, unsigned *done);
int l1_table_put(const pte_t *table, bool preemptible, unsigned *done);
int upper_table_get(struct domain *d, pte_t *table, unsigned level, unsigned *done);
int upper_table_put(const pte_t *table, unsigned level, bool preemptible, unsigned *done);
int desc_table_check(uint64_t *table);

/* ---- mmu.c: entries of live tables ---- */
/* A type reference on a valid table of the owner. 0; -ENOENT it is no table; -EINVAL or -ERESTART it is in transition (for
 * longer, for a moment). Released by table_release(), which may leave a drop for mmu_finish_drops(). */
int table_hold(struct frame *f, uint16_t owner, bool l1_only);
void table_release_last(struct frame *f);
static inline void table_release(struct frame *f)
{
    uint64_t old = refs_load(f);

    if (unlikely(!(old & (FR_TCOUNT_MASK & ~FR_TCOUNT_ONE))) || unlikely(!refs_cas_usual(f, &old, old - FR_TCOUNT_ONE)))
        table_release_last(f);
}
/* mmu_update_entry() on a table that is held, mapped at `table`; the level is what its frame type says. */
int table_update(struct domain *d, pte_t *table, unsigned level, unsigned index, pte_t value, enum pt_how how,
                 uint16_t target_owner);

/* ---- root.c ---- */
void mmu_defer_drop(struct vcpu *v, struct frame *f);

static inline bool l4_reserved(unsigned level, unsigned index)
{
    return level == 4 && index >= L4_RESERVED_FIRST && index <= L4_RESERVED_LAST;
}
