/* SPDX-License-Identifier: MIT */
/*
 * The frame table: one 24-byte record for each machine frame, with its owner, references and type.
 *
 * The word `refs` holds everything that must change together, so every transition is one compare-and-swap and no
 * frame has a lock:
 *
 *   63..61 type    none, L1..L4 page table, descriptor page, writable
 *   60..58 state   of a page-table type: see core/mem/type.h
 *   57     pinned  one type reference is held by a guest's pin
 *   56     alloc   one plain reference is held by the owner's page list; dropping it frees the frame when the
 *                  last user has gone; test-and-cleared, so that it is dropped once
 *   55     shared  memory of the hypervisor that its owner may map (shared_info, grant frames): not counted as
 *                  the domain's RAM, for ever of type writable. With owner HYPERVISOR: Domain 0 may map it read-only
 *   54     dirty   contents must be cleared before another domain may see them; always set in a domain's frames
 *   53..30 type count    24 bits
 *   29     fell    of type writable: the type count has come down, but not to 0, since the bit was last clear (T8 in type.h)
 *   28..0  plain count   29 bits
 *
 * Invariants
 *  F1 A frame is free exactly when both counts are 0; nobody but the allocator may raise them from there.
 *  F2 A reference is either plain (read-only mapping, allocation, hold) or of the frame's one type (writable
 *     mapping, link from a parent table, pin, root in a vCPU, descriptor table in use). Never both for one use.
 *  F3 The type changes only while the type count is 0, in the compare-and-swap that makes it 1.
 *  F4 The owner changes only while the frame is free, or by its owner's steal (frame_steal) with no reference
 *     but the allocation; so the owner is stable for whoever holds a reference.
 *  F5 Counts never wrap: a reference that would is refused.
 *  F6 A frame that may be reached through a stale TLB entry in a way that its next type or owner forbids is
 *     not given that type or owner before tlb_flush_stale(stamp): see core/mem/tlb.h.
 */
#pragma once
#include "core/lib/types.h"
#include "core/lib/fail.h"

struct domain;

struct frame {
    uint64_t refs;
    uint64_t owner : 16; /* domid; FRAME_OWNER_* */
    uint64_t stamp : 48; /* flush clock when a mapping was last dropped; or progress of a parked table */
    uint32_t next, prev; /* mfns: the owner's page list, or the allocator's free list; 0 ends */
};
_Static_assert(sizeof(struct frame) == 24, "the frame table must stay below 0.6 % of memory");

enum frame_type {
    FT_NONE = 0,
    FT_L1 = 1, /* FT_L1 + n is the type of a table of level n + 1 */
    FT_L2 = 2,
    FT_L3 = 3,
    FT_L4 = 4,
    FT_DESC = 5,
    FT_WRITABLE = 6,
};
#define FR_TYPE_SHIFT   61
#define FR_STATE_SHIFT  58
#define FR_STATE_MASK   (7UL << FR_STATE_SHIFT)
#define FR_PINNED       (1UL << 57)
#define FR_ALLOC        (1UL << 56)
#define FR_SHARED       (1UL << 55)
#define FR_DIRTY        (1UL << 54)
#define FR_TCOUNT_SHIFT 30
#define FR_TCOUNT_BITS  24
#define FR_TCOUNT_ONE   (1UL << FR_TCOUNT_SHIFT)
#define FR_TCOUNT_MASK  (((1UL << FR_TCOUNT_BITS) - 1) << FR_TCOUNT_SHIFT)
#define FR_FELL         (1UL << 29)
#define FR_PCOUNT_BITS  29
#define FR_PCOUNT_MASK  ((1UL << FR_PCOUNT_BITS) - 1)
#define FR_COUNTS_MASK  (FR_TCOUNT_MASK | FR_PCOUNT_MASK)

/* Owners that are no domain (public DOMID_*): memory-mapped I/O and reserved frames; the hypervisor's own. */
#define FRAME_OWNER_IO         0x7ff1
#define FRAME_OWNER_HYPERVISOR 0x7ff2
#define FRAME_OWNER_NONE       0x7ff4 /* free */

/* From hw/this_cpu.h: struct frame *hw_frames; bool mfn_valid(mfn_t) (has a record: RAM and what lies between);
 * frame_of(mfn), frame_mfn(f). */

/* A plain reference to a frame in use by anybody / by domain `owner`. NULL or false: no such frame, free, other
 * owner, or the count is full. frame_put frees the frame when it was the last of all references. */
bool frame_get(struct frame *f);
struct frame *frame_get_owned(mfn_t mfn, uint16_t owner);
void frame_put(struct frame *f);

/* Makes a frame fresh from alloc_block() a domain's: `refs` is its first word (a FR_SHARED one of type writable), stored last:
 * only then can others take references, and they see the owner. Whoever calls it has cleared the contents. */
void frame_assign(struct frame *f, uint16_t owner, uint64_t refs);
/* How many frames carry the domid, those that only others' references keep alive included. The number of a domain may
 * not be used again before this is 0. */
uint32_t frames_owned(uint16_t domid);
/* The books of that: frames that have got the owner, and (from the allocator) that are free again. */
void frames_assigned(uint16_t owner, uint64_t count);
void frames_unassigned(uint16_t owner, uint64_t count);
/* Test-and-clear of FR_ALLOC: 0 and the caller has the allocation's plain reference to put. -EINVAL another's frame or
 * not allocated; -EBUSY pinned, or a page table in transition (a parked table must be found on the page list). */
int frame_clear_alloc(struct frame *f, uint16_t owner);
/* Boot: the records [first, last] are of no RAM that we hand out: owner FRAME_OWNER_IO. All records must have been
 * initialised by this or by alloc_add_ram(); a zeroed record would belong to Domain 0. */
void frame_table_init_io(mfn_t first, mfn_t last);

static inline enum frame_type frame_type(const struct frame *f)
{
    return (enum frame_type)(__atomic_load_n(&f->refs, __ATOMIC_RELAXED) >> FR_TYPE_SHIFT);
}
static inline uint64_t frame_tcount(uint64_t refs)
{
    return (refs & FR_TCOUNT_MASK) >> FR_TCOUNT_SHIFT;
}
static inline uint64_t frame_pcount(uint64_t refs)
{
    return refs & FR_PCOUNT_MASK;
}
