/* SPDX-License-Identifier: MIT */
/*
 * Building Domain 0, once, on the boot CPU, before any guest runs: what the files of this directory share. Where its physical
 * frames (PFNs) lie: core/image/layout.h.
 */
#pragma once
#include "core/domain/domain.h"
#include "core/image/layout.h"
#include "x86/boot/boot.h"

/* memory.c: how much memory, options dom0_mem and dom0_max_vcpus; getting it; PFN to machine frame */
struct dom0_chunk {
    uint64_t pfn, count;
    mfn_t mfn;
};
#define DOM0_CHUNKS_MAX 256
struct dom0_build {
    struct domain *d;
    struct elf_image elf;
    struct xen_notes notes;
    struct pv_layout layout;
    const struct boot_module *kernel, *initrd; /* initrd: NULL none */
    bool adopt_initrd;                         /* its frames become Domain 0's as they are */
    struct dom0_chunk chunks[DOM0_CHUNKS_MAX]; /* PFNs below rest_pfn */
    unsigned chunks_count;
};
/* Frames for Domain 0 in all; `coming`: frames in use now that will be free or Domain 0's by then. */
uint64_t dom0_choose_pages(uint64_t coming);
uint64_t dom0_choose_max_pages(void);
unsigned dom0_choose_vcpus(void);
void dom0_alloc_pfns(struct dom0_build *b, uint64_t pfn, uint64_t count); /* panics when there is no memory */
void dom0_adopt_pfns(struct dom0_build *b, uint64_t pfn, mfn_t mfn, uint64_t count);
mfn_t dom0_mfn_of(const struct dom0_build *b, uint64_t pfn);
/* The hypervisor's view of `pfn`, and how many contiguous bytes are there. */
void *dom0_pfn_va(const struct dom0_build *b, uint64_t pfn, uint64_t *run);
void dom0_copy_in(const struct dom0_build *b, uint64_t va, const void *data, uint64_t size); /* window addresses */
void dom0_clear(const struct dom0_build *b, uint64_t va, uint64_t size);

/* p2m.c: the frame list, the M2P, and the rest of memory. Changes layout.nr_pages when less could be had. */
void dom0_fill_p2m(struct dom0_build *b);
/* pagetables.c: the boot page tables, pinned. Returns the L4. */
mfn_t dom0_build_tables(struct dom0_build *b);
/* start_info.c */
void dom0_write_start_info(const struct dom0_build *b, const struct boot_info *boot);
/* rights.c: ports, I/O memory, interrupts */
void dom0_grant_rights(struct domain *d, const struct boot_info *boot);
