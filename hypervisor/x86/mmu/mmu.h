/* SPDX-License-Identifier: MIT */
/* The hypervisor's own page tables: I/O mappings and changes after boot. Guests' tables are core/mem's. */
#pragma once
#include "core/lib/types.h"
/* In a root's slot of the M2P that guests see, while a guest kernel runs on it. Set while booting. */
extern uint64_t m2p_l4_entry;
/* Maps I/O memory uncached (or write-combining) for ever; panics when the space is gone. */
void *io_map(uint64_t phys, uint64_t size, bool write_combining);
void *io_map_if_memory(uint64_t phys, uint64_t size); /* after boot: at most 1 MiB, uncached; NULL: no memory */
/* Sets one page of the hypervisor's tables (per-CPU areas); allocates tables while booting. */
void hv_map_page(uint64_t va, uint64_t phys, uint64_t flags);
void hv_unmap_page(uint64_t va);
uint64_t *hv_l1_entry(uint64_t va); /* the entry itself; tables are made when missing */
/* Any physical memory (RAM or not), temporarily while booting: ACPI tables, loader data. Valid to the next call with
 * the same slot (0..3); at most 2 MiB. */
const void *boot_map(unsigned slot, uint64_t phys, uint64_t size);
/* A range with the largest pages that fit, up to level `largest` (1: 4 KiB, 2: 2 MiB, 3: 1 GiB). While booting, or under
 * the lock of mmu.c. */
void hv_map_range(uint64_t va, uint64_t phys, uint64_t size, uint64_t flags, unsigned largest);
/* Whether the hypervisor has something at va: for the panic report, which must not fault. No lock. */
bool hv_page_mapped(uint64_t va);
uint64_t hv_leaf(uint64_t va); /* the entry that maps va, of whatever level; 0: none. No lock. */
/* check.c: that nothing is writable and executable, that stacks have guard pages. Prints one line. */
bool hv_protection_check(void);
void hv_protection_init(void); /* panics when it is not so; the key */
