/* SPDX-License-Identifier: MIT */
/*
 * Where everything of a PV domain lies when it starts, for Domain 0's builder and for the tools' builder. Its physical frames (PFNs), in
 * order:
 *
 *   0                boot window: mapped at VIRT_BASE, page by page: kernel, [initrd], [frame list], start_info, [special pages], page
 *                    tables, boot stack, spare
 *   window_pages     initrd, if the kernel takes it unmapped (note MOD_START_PFN)
 *   first_p2m_pfn    frame list, if the kernel has an address of its own for it (note INIT_P2M), then its page tables
 *   rest_pfn         all else: up to nr_pages
 */
#pragma once
#include "core/image/image.h"

struct pv_layout { /* addresses are the guest's, linear */
    uint64_t nr_pages;
    uint64_t v_start, v_end; /* boot window */
    uint64_t kernel_start, kernel_end;
    uint64_t initrd_va; /* 0: not mapped */
    uint64_t p2m_va, p2m_pages;
    bool p2m_apart;      /* not in the window */
    uint64_t p2m_tables; /* page tables for it, when apart; without the L4 */
    uint64_t start_info_va, special_va, stack_va;
    uint64_t tables_va, tables; /* the window's, the L4 first */
    uint64_t window_pages, initrd_pfn, initrd_pages, first_p2m_pfn, p2m_frames, rest_pfn;
};
struct pv_plan_input {
    uint64_t paddr_first, paddr_end; /* of the kernel's segments */
    const struct xen_notes *notes;
    uint64_t initrd_size; /* bytes; 0: none */
    uint64_t nr_pages;
    uint64_t special_pages; /* behind start_info: the rings of a guest */
    bool squeeze;           /* may use the window's unused frames when memory is short: see pv_plan() */
};
/* 0, or -ENOEXEC with *why completing "the kernel module ...": the kernel wants what cannot be; -ENOMEM: nr_pages is less
 * than l->rest_pfn, which is what is needed.
 * Squeezed: what does not fit behind the window lies in frames of it that nothing else needs (and is mapped there as well): the initrd
 * below the kernel, above the first MiB; an apart frame list with its tables at the window's end. */
int pv_plan(const struct pv_plan_input *in, struct pv_layout *l, const char **why);

/* Page tables of `level` (1..3) that map [start, end) */
static inline uint64_t pv_tables_at(uint64_t start, uint64_t end, unsigned level)
{
    unsigned shift = PAGE_SHIFT + 9 * level;
    return ((end - 1) >> shift) - (start >> shift) + 1;
}
