/* SPDX-License-Identifier: MIT */
/*
 * Domain 0's frame list (PFN to machine frame), its half of the machine-to-physical table, and the bulk of its memory: all
 * that is not placed, in the largest pieces that there are, PFNs ascending. Contents stay as they are: Domain 0 may see what
 * the machine's memory held before it, and clearing takes long.
 */
#include "core/lib/print.h"
#include "core/lib/string.h"
#include "core/mem/alloc.h"
#include "core/mem/reservation.h"
#include "x86/boot/decompress/arena.h"
#include "x86/pv/dom0/dom0.h"

#define PER_PAGE (PAGE_SIZE / sizeof(uint64_t))

/* The list's page for this PFN's entry */
static uint64_t *list_page(const struct dom0_build *b, uint64_t pfn)
{
    const struct pv_layout *l = &b->layout;
    uint64_t first = l->p2m_apart ? l->first_p2m_pfn : (l->p2m_va - l->v_start) / PAGE_SIZE;

    return dom0_pfn_va(b, first + pfn / PER_PAGE, NULL);
}

static void enter(const struct dom0_build *b, uint64_t pfn, uint64_t mfn, uint64_t count)
{
    while (count) {
        uint64_t *page = list_page(b, pfn), at = pfn % PER_PAGE, n = MIN(PER_PAGE - at, count);

        for (uint64_t i = 0; i < n; i++)
            page[at + i] = mfn + i;
        pfn += n;
        mfn += n;
        count -= n;
    }
}

/* What the list has room for beyond the last page of memory */
static void end_list(const struct dom0_build *b)
{
    for (uint64_t pfn = b->layout.nr_pages; pfn < b->layout.p2m_pages * PER_PAGE; pfn++)
        list_page(b, pfn)[pfn % PER_PAGE] = ~0UL;
}

void dom0_fill_p2m(struct dom0_build *b)
{
    struct pv_layout *l = &b->layout;
    uint64_t pfn = l->rest_pfn;
    unsigned order = ORDER_MAX;

    for (unsigned i = 0; i < b->chunks_count; i++)
        enter(b, b->chunks[i].pfn, b->chunks[i].mfn.n, b->chunks[i].count);
    while (pfn < l->nr_pages) {
        mfn_t m = INVALID_MFN;

        while (1UL << order > l->nr_pages - pfn)
            order--;
        while (mfn_eq(m = reservation_add(b->d, order, 0, true), INVALID_MFN) && order)
            order--;
        if (mfn_eq(m, INVALID_MFN)) {
            log_warn("Domain 0: memory ran out %lu KiB early", (l->nr_pages - pfn) * PAGE_SIZE / KIB);
            l->nr_pages = pfn;
            break;
        }
        for (uint64_t i = 0; i < 1UL << order; i++)
            hw_m2p_set(mfn_add(m, i), pfn + i);
        enter(b, pfn, m.n, 1UL << order);
        pfn += 1UL << order;
        boot_breathe();
    }
    end_list(b);
}
