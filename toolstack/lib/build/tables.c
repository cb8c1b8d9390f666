/* SPDX-License-Identifier: MIT */
/*
 * A guest's boot page tables and frame list: the window page by page, writable but for the tables themselves, and the frame list when it
 * is apart. The tables of a range lie one behind the other by level, so that all the L1 tables together are one array of entries, and
 * nothing needs to be looked up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core/mem/pte.h"
#include "lib/build/guest.h"

#define TABLE_FLAGS (PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D)
#define PAGE_FLAGS  (PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D)
#define ENTRIES     512

/* Tables that map [start, end): those of level 3, then 2, then 1 */
struct range_tables {
    uint64_t start, end;
    uint64_t *at;
    const xen_pfn_t *mfns; /* of the tables */
};

static uint64_t index_of(const struct range_tables *t, uint64_t va, unsigned level)
{
    unsigned shift = PAGE_SHIFT + 9 * level;
    uint64_t before = 0;

    for (unsigned above = 3; above > level; above--)
        before += pv_tables_at(t->start, t->end, above);
    return before + (va >> shift) - (t->start >> shift);
}

/* Enters all tables of `level` into those of the level above. */
static void link_level(const struct range_tables *t, uint64_t *l4, unsigned level)
{
    unsigned shift = PAGE_SHIFT + 9 * level;
    uint64_t va = t->start >> shift << shift;

    for (uint64_t n = pv_tables_at(t->start, t->end, level); n; n--, va += 1ul << shift) {
        uint64_t at = MAX(va, t->start);
        uint64_t *parent = level == 3 ? l4 : t->at + index_of(t, at, level + 1) * ENTRIES;

        parent[pt_index(at, level + 1)] = t->mfns[index_of(t, at, level)] << PAGE_SHIFT | TABLE_FLAGS;
    }
}

/* Maps all pages of the range; returns their entries, an array. */
static uint64_t *write_range(const struct range_tables *t, uint64_t *l4, const xen_pfn_t *pages)
{
    uint64_t *entries = t->at + index_of(t, t->start, 1) * ENTRIES + pt_index(t->start, 1);
    uint64_t count = (t->end - t->start) / PAGE_SIZE;

    for (unsigned level = 3; level; level--)
        link_level(t, l4, level);
    for (uint64_t i = 0; i < count; i++)
        entries[i] = pages[i] << PAGE_SHIFT | PAGE_FLAGS;
    return entries;
}

static void protect(uint64_t *entries, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        entries[first + i] &= ~(uint64_t)PTE_RW;
}

void guest_write_tables(const struct guest *g, const struct guest_structures *s)
{
    const struct pv_layout *l = &g->layout;
    uint64_t first = guest_pfn_of(g, l->tables_va);
    uint64_t *l4 = s->tables, *entries;
    struct range_tables window = {l->v_start, l->v_end, s->tables + ENTRIES, g->p2m + first + 1};

    entries = write_range(&window, l4, g->p2m);
    protect(entries, first, l->tables);
    if (l->p2m_apart) {
        uint64_t list_tables = l->first_p2m_pfn + l->p2m_pages;
        struct range_tables list = {l->p2m_va, l->p2m_va + l->p2m_pages * PAGE_SIZE, s->p2m_tables,
                                    g->p2m + list_tables};
        if (list_tables < l->window_pages) /* squeezed */
            protect(entries, list_tables, l->p2m_tables);
        write_range(&list, l4, g->p2m + l->first_p2m_pfn);
    }
    memcpy(s->p2m, g->p2m, l->p2m_pages * PAGE_SIZE);
}

/* ---- Where they are written ---- */

static xen_pfn_t *append(xen_pfn_t *list, const struct guest *g, uint64_t pfn, uint64_t count)
{
    memcpy(list, g->p2m + pfn, count * sizeof(*list));
    return list + count;
}

int guest_map_structures(const struct guest *g, struct guest_structures *s, struct report *r)
{
    const struct pv_layout *l = &g->layout;
    uint64_t p2m_pfn = l->p2m_apart ? l->first_p2m_pfn : guest_pfn_of(g, l->p2m_va);
    xen_pfn_t *list, *end;
    uint8_t *p;
    int rc;

    s->count = 1 + l->tables + l->p2m_pages + l->p2m_tables;
    list = malloc(s->count * sizeof(*list));
    if (!list)
        return report_set(r, REPORT_FAILED, "no memory to build the domain's page tables");
    end = append(list, g, guest_pfn_of(g, l->start_info_va), 1);
    end = append(end, g, guest_pfn_of(g, l->tables_va), l->tables);
    append(end, g, p2m_pfn, l->p2m_pages + l->p2m_tables); /* the tables are behind it, when it is apart */
    rc = hv_map(g->hv, g->rq->domid, s->count, list, &s->mapped);
    free(list);
    if (rc)
        return report_set(r, REPORT_FAILED, "the domain's memory cannot be written: %s", strerror(-rc));
    p = s->mapped;
    s->start_info = (struct start_info *)p;
    s->tables = (uint64_t *)(p + PAGE_SIZE);
    s->p2m = s->tables + l->tables * ENTRIES;
    s->p2m_tables = l->p2m_apart ? s->p2m + l->p2m_pages * ENTRIES : NULL;
    return 0;
}
