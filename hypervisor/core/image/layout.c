/* SPDX-License-Identifier: MIT */
/*
 * Where everything of a PV domain lies when it starts: the ABI's order (layout.h). Pure arithmetic on checked input: the kernel's
 * notes have passed notes_parse(), so that the kernel itself lies below the end of the address space with no overflow.
 */
#include "core/image/layout.h"
#include "core/lib/fail.h"
#include "core/lib/string.h"
#include "core/mem/pte.h"

#define WINDOW_ALIGN (4 * MIB)
#define LOW_PAGES    256 /* PCs have no memory in some of the first MiB: kernels do not like to find their things there */
#define SPARE_MIN    (512 * KIB) /* behind the boot stack */

static uint64_t pages_of(uint64_t bytes)
{
    return DIV_ROUND_UP(bytes, PAGE_SIZE);
}

static uint64_t tables_below_l4(uint64_t start, uint64_t end)
{
    return pv_tables_at(start, end, 1) + pv_tables_at(start, end, 2) + pv_tables_at(start, end, 3);
}

/* The tables lie in the window that they map: the more tables, the larger it is. A window that goes beyond the end of the
 * address space ends before it starts. */
static void place_tables(struct pv_layout *l)
{
    for (l->tables = 4;; l->tables++) {
        l->stack_va = l->tables_va + l->tables * PAGE_SIZE;
        l->v_end = ROUND_UP(l->stack_va + PAGE_SIZE + SPARE_MIN, WINDOW_ALIGN);
        if (l->v_end < l->v_start || 1 + tables_below_l4(l->v_start, l->v_end) <= l->tables)
            return;
    }
}

static uint64_t place(uint64_t *at, uint64_t bytes)
{
    uint64_t va = *at;
    *at += pages_of(bytes) * PAGE_SIZE;
    return va;
}

static int check_p2m_apart(const struct pv_layout *l, const char **why)
{
    uint64_t end = l->p2m_va + l->p2m_pages * PAGE_SIZE;

    if (!guest_range_ok(l->p2m_va, l->p2m_pages * PAGE_SIZE) ||
        (pt_index(l->p2m_va, 4) <= pt_index(l->v_end - 1, 4) && pt_index(end - 1, 4) >= pt_index(l->v_start, 4))) {
        *why = "wants its frame list at an address that it cannot have";
        return fail(-ENOEXEC);
    }
    return 0;
}

/* PFNs behind the window */
static void place_pfns(struct pv_layout *l)
{
    uint64_t p2m_end = l->p2m_va + l->p2m_pages * PAGE_SIZE;

    l->window_pages = (l->v_end - l->v_start) / PAGE_SIZE;
    l->first_p2m_pfn = l->window_pages;
    if (l->initrd_pages && !l->initrd_va) {
        l->initrd_pfn = l->window_pages;
        l->first_p2m_pfn += l->initrd_pages;
    }
    if (l->p2m_apart) {
        l->p2m_tables = tables_below_l4(l->p2m_va, p2m_end);
        l->p2m_frames = l->p2m_pages + l->p2m_tables;
    }
    l->rest_pfn = l->first_p2m_pfn + l->p2m_frames;
}

/* For a guest with little more memory than its window has: see pv_plan() in layout.h. */
static void squeeze(struct pv_layout *l)
{
    uint64_t below = (l->kernel_start - l->v_start) / PAGE_SIZE, room;

    if (l->initrd_pages && !l->initrd_va && below >= LOW_PAGES && l->initrd_pages <= below - LOW_PAGES) {
        l->initrd_pfn = LOW_PAGES;
        l->rest_pfn -= l->initrd_pages;
        l->first_p2m_pfn -= l->initrd_pages;
    }
    room = (l->v_end - l->stack_va - PAGE_SIZE - SPARE_MIN) / PAGE_SIZE;
    if (l->p2m_apart && l->rest_pfn > l->nr_pages && l->first_p2m_pfn == l->window_pages && l->p2m_frames <= room) {
        l->first_p2m_pfn = l->window_pages - l->p2m_frames;
        l->rest_pfn = l->window_pages;
    }
}

int pv_plan(const struct pv_plan_input *in, struct pv_layout *l, const char **why)
{
    const struct xen_notes *n = in->notes;
    uint64_t at;

    memset(l, 0, sizeof(*l));
    l->nr_pages = in->nr_pages;
    l->initrd_pages = pages_of(in->initrd_size);
    l->p2m_pages = pages_of(in->nr_pages * sizeof(uint64_t));
    l->p2m_apart = n->has_init_p2m;
    l->p2m_va = n->init_p2m;
    l->v_start = n->virt_base;
    l->kernel_start = in->paddr_first - n->paddr_offset + n->virt_base;
    l->kernel_end = l->kernel_start + (in->paddr_end - in->paddr_first);

    at = ROUND_UP(l->kernel_end, PAGE_SIZE);
    if (l->initrd_pages && !n->mod_start_pfn)
        l->initrd_va = place(&at, in->initrd_size);
    if (!l->p2m_apart)
        l->p2m_va = place(&at, l->p2m_pages * PAGE_SIZE);
    l->start_info_va = place(&at, PAGE_SIZE);
    l->special_va = place(&at, in->special_pages * PAGE_SIZE);
    l->tables_va = at;
    place_tables(l);
    if (l->v_end < l->v_start || !guest_range_ok(l->v_start, l->v_end - l->v_start)) {
        *why = "does not fit, with what it wants mapped, between its address and the end";
        return fail(-ENOEXEC);
    }
    place_pfns(l);
    if (l->p2m_apart && check_p2m_apart(l, why))
        return -ENOEXEC;
    if (in->squeeze && l->rest_pfn > l->nr_pages)
        squeeze(l);
    return l->rest_pfn > l->nr_pages ? fail(-ENOMEM) : 0;
}
