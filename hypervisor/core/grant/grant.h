/* SPDX-License-Identifier: MIT */
/*
 * Grant tables, version 1: a domain lets another map or copy some of its frames.
 * A mapping holds a reference of its own on the frame (plain or writable) in the maptrack, beside the one of the page-table
 * entry, so that counts balance whatever the mapper does to its entry.
 */
#pragma once
#include "core/lib/types.h"
#include <xen/grant_table.h>
struct domain;
struct frame;

/* 0: the usual numbers. Both are lowered to what we can keep books of. */
int grant_table_create(struct domain *d, unsigned max_frames, unsigned max_maptrack_frames);
/* Releases all that the domain has mapped of others (dying; no vCPU of it runs). 0 or -ERESTART. */
int grant_release_mappings(struct domain *d);
/* Dying: gives up the shared frames, which are never written from then on. Uses of its entries go on until they end. */
void grant_table_close(struct domain *d);
void grant_table_destroy(struct domain *d);
unsigned grant_frames_count(struct domain *d);
unsigned grant_frames_max(struct domain *d);
int grant_table_grow(struct domain *d, unsigned frames); /* 0, -EINVAL, -ENOMEM, -ERESTART: call again */
mfn_t grant_frame_mfn(struct domain *d, unsigned i);     /* INVALID_MFN beyond the table */

/* One use of a granted frame: holds the granter (a reference), its entry (a pin, which the granter sees), and the frame (a
 * plain or a writable reference). */
struct grant_use {
    struct domain *granter;
    struct frame *frame; /* NULL: not in use */
    uint32_t ref;
    bool write;
};
/* Gives all that back; nothing when it is not in use. No lock held. */
void grant_use_end(struct grant_use *u);

/* Each fills op->status (GNTST_*). The caller is the current vCPU's domain. */
void grant_map(struct domain *d, struct gnttab_map_grant_ref *op);
/* Unmaps. The TLB flush is left to the caller, once for a whole batch, and after it grant_use_end() of each. */
void grant_unmap(struct domain *d, struct gnttab_unmap_grant_ref *op, struct grant_use *ended);
void grant_copy(struct domain *d, struct gnttab_copy *op);
/* Audit: calls fn for the maptrack entries in use, some of them from handle `from` on. Where to go on; 0: that was the end. */
uint32_t grant_for_some_mappings(struct domain *d, uint32_t from, void (*fn)(struct frame *f, bool writable));
