/* SPDX-License-Identifier: MIT */
/* A domain while it is built: what the files of this folder share. Frame numbers are those of core/image/layout.h. */
#pragma once
#include "core/image/layout.h"
#include "lib/build/build.h"
#include "lib/build/kernel.h"

struct guest {
    struct hv *hv;
    const struct build_request *rq;
    const struct kernel_image *kernel;
    struct pv_layout layout;
    xen_pfn_t *p2m; /* mfn of each pfn: layout.p2m_pages pages, what is beyond the memory is ~0 */
    uint64_t shared_info_mfn;
};

/* The two rings are the special pages of the layout. */
#define GUEST_SPECIAL_PAGES 2
uint64_t guest_pfn_of(const struct guest *g, uint64_t va); /* of an address in the boot window */
xen_pfn_t guest_store_mfn(const struct guest *g);
xen_pfn_t guest_console_mfn(const struct guest *g);

/* memory.c: gives the domain all its memory, and fills g->p2m (malloc'ed; the caller frees it, after a failure too). */
int guest_populate(struct guest *g, struct report *r);
/* contents.c: into memory that is all zero. `ramdisk` NULL: none. */
int guest_load_kernel(const struct guest *g, struct report *r);
int guest_load_ramdisk(const struct guest *g, const struct input_file *ramdisk, struct report *r);
/* tables.c: page tables and frame list, in tables mapped by guest_map_structures */
struct guest_structures { /* frames mapped together, in this order */
    void *mapped;
    size_t count;
    struct start_info *start_info;
    uint64_t *tables, *p2m, *p2m_tables; /* p2m_tables: NULL when the list is in the window */
};
int guest_map_structures(const struct guest *g, struct guest_structures *s, struct report *r);
void guest_write_tables(const struct guest *g, const struct guest_structures *s);
/* start.c */
void guest_write_start_info(const struct guest *g, const struct input_file *ramdisk, struct start_info *si);
int guest_init_shared_info(const struct guest *g, struct report *r);
int guest_start_vcpu(const struct guest *g, struct report *r);
