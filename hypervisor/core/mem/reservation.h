/* SPDX-License-Identifier: MIT */
/*
 * A domain's memory reservation: getting frames, giving them up, exchanging them for contiguous ones.
 *
 * A frame of RAM that a domain has been given is on its page list, has FR_ALLOC and one plain reference for that, and counts
 * in pages_count. Giving it up takes all three away; while others still hold references the frame stays the domain's
 * (frames_owned) and counts against pages_max.
 */
#pragma once
#include "core/lib/types.h"
#include "core/mem/frame.h"

struct domain;
/* Gives the domain 2^order frames: owner d, alloc reference, on its page list, counted, cleared unless `keep_contents`.
 * INVALID_MFN: no memory or over the domain's maximum, or the domain is dying. */
mfn_t reservation_add(struct domain *d, unsigned order, unsigned address_bits, bool keep_contents);
/* Boot only: re-owns frames already allocated by the hypervisor (a boot module) to the domain. */
void reservation_adopt(struct domain *d, mfn_t mfn, uint64_t count);
/* Drops the allocation of one frame: freed when the last other reference goes; its M2P entry is forgotten at once. 0, -EINVAL
 * not its frame or not allocated, -EBUSY pinned or a page table in transition (what is, must be found on the list). */
int reservation_drop(struct domain *d, mfn_t mfn);
/* Drops and frees frames from the front of the page list, as long as each is next to those before and they have no other reference; at
 * most `limit`. Returns how many. */
uint64_t reservation_drop_run(struct domain *d, uint64_t limit);
/* Promises the domain that it will get `pages` frames in all, those that it has included; 0: no promise any more. What it gets
 * from then on comes out of that. 0; -EINVAL it has more, or is dying; -ENOMEM there is not so much unclaimed memory. */
int reservation_claim(struct domain *d, uint64_t pages);
/* Exchanges the frames in[0..count) (mfns, with no reference but their allocation) for blocks of 2^order frames, cleared,
 * their first mfns in out[0..count >> order). 0; or nothing has happened: -ENOMEM, -EINVAL a frame that cannot be given. */
int reservation_exchange(struct domain *d, const uint64_t *in, unsigned count, uint64_t *out, unsigned order,
                         unsigned address_bits);
/* A frame of hypervisor memory that the domain may map writable (shared_info, grant tables): zeroed, FR_SHARED, owner d, with
 * one plain reference and, of type writable for ever, one type reference of its own. Not on the page list. */
mfn_t shared_frame_alloc(struct domain *d);
void shared_frame_free(mfn_t mfn);

/* What XENMEM_set_memory_map stored for the domain; freed with it. */
#define MEMORY_MAP_MAX 128
struct memory_map {
    unsigned count;
    struct {
        uint64_t addr, size;
        uint32_t type;
    } __packed entries[];
};
