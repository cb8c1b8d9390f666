/* SPDX-License-Identifier: MIT */
/* The own grant table, version 1: its first frame, and giving grants. */
#include "runtime/runtime.h"

static uint8_t table_page[PAGE] __attribute__((aligned(4096)));
struct grant_entry_v1 *grants = (struct grant_entry_v1 *)table_page;

void grants_init(void)
{
    uint64_t mfn;
    struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 1};

    set_xen_guest_handle(setup.frame_list, &mfn);
    if (!grant_op(GNTTABOP_setup_table, &setup, 1) && setup.status == GNTST_okay)
        map_entry(table_page, mfn * PAGE | PLAIN);
}

void grant(unsigned ref, uint16_t domain, const volatile void *page, uint16_t flags)
{
    grants[ref].domid = domain;
    grants[ref].frame = (uint32_t)mfn_of(page);
    WRITE_ONCE(grants[ref].flags, GTF_permit_access | flags);
}
