/* SPDX-License-Identifier: MIT */
/*
 * Whole tables: taking the references of all entries when a frame becomes a page table, and giving them back. The caller has
 * the frame BUSY, so the entries change under nobody's hand (the processor may still set accessed and dirty bits).
 *
 * The L1 loops decide what a fork costs: ordinary entries (ordinary.h) are done in line, with the window on the run of RAM that
 * was needed last; whatever is not ordinary goes through l1_entry_get() and l1_entry_put().
 */
#include "core/mem/entry.h"
#include "core/mem/ordinary.h"
#include "core/domain/domain.h"

#define ENTRIES 512

/* Of an empty entry's successors, the last of which all up to it are empty too (or the entry itself). Most tables are sparse,
 * so they are looked at eight at a time. */
static inline unsigned skip_empty(const pte_t *table, unsigned i)
{
    for (const pte_t *p = &table[i + 1]; i + 8 < ENTRIES; i += 8, p += 8)
        if (p[0] | p[1] | p[2] | p[3] | p[4] | p[5] | p[6] | p[7])
            break;
    return i;
}

/* The same towards the beginning. */
static inline unsigned skip_empty_down(const pte_t *table, unsigned i)
{
    for (const pte_t *p = &table[i]; i >= 8; i -= 8, p -= 8)
        if (p[-1] | p[-2] | p[-3] | p[-4] | p[-5] | p[-6] | p[-7] | p[-8])
            break;
    return i;
}

/* Moves the window to where the entry points, for those that follow. */
static void window_follow(struct window *w, pte_t e)
{
    struct ram_run run = ram_run_of(pte_mfn(e));

    if (run.count && ordinary_window.count)
        *w = window_of(run);
}

static int l1_get_slow(struct domain *d, pte_t *p, struct window *w)
{
    pte_t e = *p, was = e;
    int rc = l1_entry_get(d, &e, d->id);

    if (rc)
        return rc;
    if (e != was)
        __atomic_store_n(p, e, __ATOMIC_RELAXED);
    window_follow(w, e);
    return 0;
}

/* Entries that are not ordinary cost a hundred times what the others do: so many between two preemption points. */
#define SLOW_MAX 32

int l1_table_get(struct domain *d, pte_t *table, unsigned *done)
{
    struct window w = ordinary_window;
    uint16_t owner = d->id;
    unsigned slow = 0;

    for (uint64_t i = *done; i < ENTRIES; i++) {
        pte_t e = __atomic_load_n(&table[i], __ATOMIC_RELAXED);
        uint64_t n = window_index(&w, e);
        int rc;

        if (likely(n < w.count) && likely(ordinary_get(&w.frames[n], owner, e)))
            continue;
        if (!(e & PTE_P)) {
            i = skip_empty(table, (unsigned)i);
            continue;
        }
        rc = l1_get_slow(d, &table[i], &w);
        if (rc) {
            *done = (unsigned)i;
            return rc;
        }
        if (++slow % SLOW_MAX == 0 && hw_preempt_check()) {
            *done = (unsigned)i + 1;
            return -ERESTART;
        }
    }
    *done = ENTRIES;
    return 0;
}

int l1_table_put(const pte_t *table, bool preemptible, unsigned *done)
{
    struct window w = ordinary_window;
    unsigned slow = 0;

    for (uint64_t i = *done; i--;) {
        pte_t e = __atomic_load_n(&table[i], __ATOMIC_RELAXED);
        uint64_t n = window_index(&w, e);

        if (likely(n < w.count) && likely(ordinary_put(&w.frames[n], e)))
            continue;
        if (!(e & PTE_P)) {
            i = skip_empty_down(table, (unsigned)i);
            continue;
        }
        l1_entry_put(e);
        window_follow(&w, e);
        if (++slow % SLOW_MAX == 0 && preemptible && hw_preempt_check()) {
            *done = (unsigned)i;
            return -ERESTART;
        }
    }
    *done = 0;
    return 0;
}

/* ---- Levels 2 to 4 ---- */

int upper_table_get(struct domain *d, pte_t *table, unsigned level, unsigned *done)
{
    for (unsigned i = *done; i < ENTRIES; i++) {
        pte_t e = __atomic_load_n(&table[i], __ATOMIC_RELAXED), was = e;
        int rc;

        if (!(e & PTE_P) || l4_reserved(level, i)) {
            i = skip_empty(table, i);
            continue;
        }
        rc = upper_entry_get(d, level, &e);
        if (rc) {
            *done = i;
            return rc == -ERESTART || rc == -EPERM ? rc : fail(-EINVAL);
        }
        if (e != was)
            __atomic_store_n(&table[i], e, __ATOMIC_RELAXED);
        if (i < ENTRIES - 1 && hw_preempt_check()) {
            *done = i + 1;
            return -ERESTART;
        }
    }
    *done = ENTRIES;
    return 0;
}

int upper_table_put(const pte_t *table, unsigned level, bool preemptible, unsigned *done)
{
    while (*done) {
        unsigned i = *done - 1;
        pte_t e = __atomic_load_n(&table[i], __ATOMIC_RELAXED);

        if ((e & PTE_P) && !l4_reserved(level, i)) {
            if (type_put(frame_of(pte_mfn(e)), preemptible))
                return -ERESTART;
            *done = i;
            if (i && preemptible && hw_preempt_check())
                return -ERESTART;
        } else {
            i = skip_empty_down(table, i);
        }
        *done = i;
    }
    return 0;
}

/* ---- Descriptors ---- */

int desc_table_check(uint64_t *table)
{
    for (unsigned i = 0; i < ENTRIES; i++) {
        uint64_t desc = __atomic_load_n(&table[i], __ATOMIC_RELAXED), was = desc;

        if (!descriptor_ok(&desc))
            return fail(-EINVAL);
        if (desc != was)
            __atomic_store_n(&table[i], desc, __ATOMIC_RELAXED);
    }
    return 0;
}
