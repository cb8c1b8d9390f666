/* SPDX-License-Identifier: MIT */
/*
 * Domain 0's boot page tables: the window page by page, writable but for the tables themselves, and the frame list when it is
 * apart. Written by hand, then pinned by the same code that checks any guest's tables: if they broke a rule, that would show.
 */
#include "core/lib/fail.h"
#include "core/mem/mmu.h"
#include "core/mem/pte.h"
#include "x86/boot/decompress/arena.h"
#include "x86/pv/dom0/dom0.h"

#define TABLE_FLAGS (PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D)
#define PAGE_FLAGS  (PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D)
#define RO_FLAGS    (PTE_P | PTE_US | PTE_A)

/* Where the next table comes from: PFNs set aside for them */
struct table_pool {
    const struct dom0_build *b;
    uint64_t next_pfn, end_pfn;
};

static mfn_t new_table(struct table_pool *pool)
{
    mfn_t m;

    ASSERT(pool->next_pfn < pool->end_pfn);
    m = dom0_mfn_of(pool->b, pool->next_pfn++);
    hw_clear_frame(m);
    return m;
}

/* The L1 entry of `va`; tables on the way are made. */
static pte_t *l1_entry(struct table_pool *pool, mfn_t l4, uint64_t va)
{
    mfn_t table = l4;

    for (unsigned level = 4; level > 1; level--) {
        pte_t *e = (pte_t *)hw_frame_va(table) + pt_index(va, level);

        if (!*e)
            *e = pte_make(new_table(pool), TABLE_FLAGS);
        table = pte_mfn(*e);
    }
    return (pte_t *)hw_frame_va(table) + pt_index(va, 1);
}

static void map_window(const struct dom0_build *b, struct table_pool *pool, mfn_t l4)
{
    const struct pv_layout *l = &b->layout;
    uint64_t tables_end = l->tables_va + l->tables * PAGE_SIZE;
    pte_t *e = NULL;

    for (uint64_t va = l->v_start; va != l->v_end; va += PAGE_SIZE) {
        bool table = va >= l->tables_va && va < tables_end;

        e = !e || !pt_index(va, 1) ? l1_entry(pool, l4, va) : e + 1;
        *e = pte_make(dom0_mfn_of(b, (va - l->v_start) / PAGE_SIZE), table ? RO_FLAGS : PAGE_FLAGS);
    }
    /* What the plan had too many of are tables of no use: still read-only, still in the range */
    while (pool->next_pfn < pool->end_pfn)
        new_table(pool);
}

static void map_list(const struct dom0_build *b, struct table_pool *pool, mfn_t l4)
{
    const struct pv_layout *l = &b->layout;

    for (uint64_t i = 0; i < l->p2m_pages; i++)
        *l1_entry(pool, l4, l->p2m_va + i * PAGE_SIZE) = pte_make(dom0_mfn_of(b, l->first_p2m_pfn + i), PAGE_FLAGS);
    ASSERT(pool->next_pfn == pool->end_pfn);
}

mfn_t dom0_build_tables(struct dom0_build *b)
{
    const struct pv_layout *l = &b->layout;
    uint64_t first = (l->tables_va - l->v_start) / PAGE_SIZE;
    struct table_pool window = {b, first, first + l->tables};
    mfn_t l4 = new_table(&window);
    int rc;

    map_window(b, &window, l4);
    if (l->p2m_apart) {
        struct table_pool list = {b, l->first_p2m_pfn + l->p2m_pages, l->rest_pfn};
        map_list(b, &list, l4);
    }
    while ((rc = mmu_pin(b->d, l4, 4)) == -ERESTART)
        boot_breathe();
    if (rc)
        panic("Domain 0: its boot page tables were refused (%d)", rc);
    return l4;
}
