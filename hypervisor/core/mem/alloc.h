/* SPDX-License-Identifier: MIT */
/*
 * The frame allocator: a buddy allocator over all RAM, and the small-object heap of the hypervisor on top of it.
 * Owns free frames and their list links. Lock: LOCK_HEAP (one lock for the frame allocator, one for the heap).
 */
#pragma once
#include "core/lib/types.h"
#include "core/mem/frame.h"

#define ORDER_MAX 18 /* 1 GiB */

/* Boot: hands RAM [first, last] to the allocator. dirty: contents unknown, clear before a guest sees it. */
void alloc_add_ram(mfn_t first, mfn_t last, bool dirty);
/* 2^order frames, aligned to their size, below machine address 2^address_bits (0: anywhere). Every frame comes
 * with plain count 1 and owner FRAME_OWNER_HYPERVISOR, after any TLB flush that its last use asks for.
 * INVALID_MFN when there are none. Contents are unspecified: alloc_clear() clears what is dirty. */
mfn_t alloc_frames(unsigned order, unsigned address_bits);
/* The same for a domain with this claim, before it has records: the frames say that nobody owns them, with counts 0, and are
 * the caller's, who writes every record (or gives all back). *dirty: they are to be cleared before a guest sees them.
 * INVALID_MFN, too, when other domains' claims leave no room; claim NULL: not subject to claims. */
mfn_t alloc_block(unsigned order, unsigned address_bits, uint64_t *claim, bool *dirty);
void alloc_block_back(mfn_t mfn, unsigned order, bool dirty);
/* Promises a domain so many frames: its claim, in place of what that was. False: there is not so much unclaimed memory. */
bool alloc_claim(uint64_t *claim, uint64_t count);
void free_frames(mfn_t mfn, unsigned order); /* hypervisor-owned ones, with plain count 1 each */
/* Called by frame_put when the last reference is gone. */
void alloc_frame_released(struct frame *f);
/* Frees frames that follow one another and have been one owner's: the caller has brought their counts to 0 and disowned them
 * (frame_disown), and forgotten their M2P entries. */
void alloc_release_run(mfn_t first, uint64_t count, uint16_t owner);
mfn_t alloc_zeroed_frame(void);              /* order 0, cleared; INVALID_MFN */
void alloc_clear(mfn_t mfn, unsigned order); /* clears those frames of a fresh block that are marked FR_DIRTY */
/* The run of RAM handed to the allocator that holds the frame: every frame in it has a record and is RAM for ever.
 * count 0: none. */
struct ram_run {
    uint64_t first, count;
};
struct ram_run ram_run_of(mfn_t mfn);
/* Clears a few dirty free frames; false: there are none. A few microseconds. */
bool alloc_scrub_some(void);
uint64_t alloc_free_count(void);  /* dirty and claimed ones included */
uint64_t alloc_dirty_count(void); /* of the free ones, those that are still to be cleared */
uint64_t alloc_claimed_count(void);
uint64_t alloc_total_count(void);

/* ---- scrub.c: free memory is cleared by idle CPUs ---- */
void scrub_start(void);  /* end of boot */
void scrub_wanted(void); /* the allocator has got its first dirty frame */
/* Called by an idle CPU: true when it has done something and should look for work before it asks again. */
bool scrub_idle(void);

/* Small objects, zeroed; NULL when there is no memory. Up to one megabyte. heap_free(NULL) is nothing.
 * Alignment: 16 bytes; objects of a page or more are page aligned. */
void *heap_alloc(size_t size);
void *heap_alloc_array(size_t count, size_t size); /* NULL on overflow too */
void heap_free(void *p);
uint64_t heap_used_bytes(void);
