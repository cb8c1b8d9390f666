/* SPDX-License-Identifier: MIT */
/*
 * The short way for ordinary L1 entries: present, user, no cache or global bits, a frame inside one run of RAM (the window).
 * Such an entry is recognised by one comparison: what matters of it, minus that of the window's first frame, rotated so that
 * everything that must be zero comes to the top, is below the window's length.
 *
 * Every instruction here is executed hundreds of times in a fork.
 */
#pragma once
#include "core/mem/entry.h"
#include "core/mem/refs.h"
#include "core/mem/alloc.h"
#include "core/mem/tlb.h"
#include "hw/hw.h"

/* Constants that stay in registers: in another translation unit, so that the compiler does not rebuild them in the loops. */
struct ordinary_constants {
    uint64_t entry_mask;                    /* what must be as expected in an ordinary entry */
    uint64_t table_mask;                    /* ...in an entry that names a table */
    uint64_t writable_first, writable_span; /* refs of a frame that may get one more writable reference: a range */
    uint64_t l1_mask, l1_valid;             /* refs of a valid L1 table that may get one more reference */
};
extern const struct ordinary_constants ordinary;

struct window {
    uint64_t base, count; /* an ordinary entry of the first frame, with no other bits set; frames */
    struct frame *frames;
    char *memory;
};

extern struct window ordinary_window; /* on the largest run */
void ordinary_window_open(
    bool open); /* closed: nothing is ordinary. Who has seen the window before may go on with it */

static inline struct window window_of(struct ram_run run)
{
    mfn_t first = MFN(run.first);

    return (struct window){pte_make(first, PTE_P | PTE_US), run.count, frame_of(first), hw_frame_va(first)};
}

/* The place of what an entry names in the window, by the entry's distance from `base`; not below the window's count when it is
 * outside or the entry not ordinary. */
static inline uint64_t window_place(uint64_t distance)
{
    return distance >> PAGE_SHIFT | distance << (64 - PAGE_SHIFT);
}

static inline uint64_t window_index(const struct window *w, pte_t e)
{
    return window_place((e & ordinary.entry_mask) - w->base);
}

/* Finds the frame of an ordinary entry. False: it is none. */
static inline bool window_frame(const struct window *w, pte_t e, struct frame **f)
{
    uint64_t n = window_index(w, e);

    *f = (struct frame *)((uintptr_t)w->frames + n * sizeof(struct frame));
    return likely(n < w->count);
}

/* The references that ordinary entry `e` asks for. False: take the long way. */

/* Plain, on a frame of anybody's reservation. */
static inline bool ordinary_get_plain(struct frame *f)
{
    uint64_t old = refs_load(f);

    return likely(old & FR_ALLOC) && likely(!(old & REFS_PFULL)) && likely(refs_cas_usual(f, &old, old + 1));
}

/* Writable, on a frame that has the type, also with count 0: F3 does not ask for a flush. */
static inline bool ordinary_get_typed(struct frame *f)
{
    uint64_t old = refs_load(f);

    return likely(old - ordinary.writable_first < ordinary.writable_span) &&
           likely(refs_cas_usual(f, &old, old + FR_TCOUNT_ONE));
}

/* What an entry asks for, on a frame of the owner's. */
static inline bool ordinary_get(struct frame *f, uint16_t owner, pte_t e)
{
    if (unlikely(f->owner != owner) || unlikely(!((e & PTE_RW) ? ordinary_get_typed(f) : ordinary_get_plain(f))))
        return false;
    if (likely(f->owner == owner))
        return true;
    l1_entry_put(e); /* freed and given away since we looked */
    return false;
}

/* The other way; an allocated frame has another plain reference, so it is not the last one of all. */
static inline bool ordinary_put_plain(struct frame *f)
{
    uint64_t old = refs_load(f);

    return likely(old & FR_ALLOC) && likely(refs_cas_usual(f, &old, old - 1));
}

/* As writable_put(): see T8. */
static inline bool ordinary_put_typed(struct frame *f)
{
    uint64_t old = refs_load(f);

    if (old & (FR_TCOUNT_MASK & ~FR_TCOUNT_ONE))
        return likely(refs_cas_usual(f, &old, (old - FR_TCOUNT_ONE) | FR_FELL));
    if (unlikely(!(old & FR_ALLOC)) || unlikely(old & FR_FELL))
        return false;
    frame_set_stamp(f, tlb_clock_now());
    return likely(refs_cas_usual(f, &old, old - FR_TCOUNT_ONE));
}

static inline bool ordinary_put(struct frame *f, pte_t e)
{
    return (e & PTE_RW) ? ordinary_put_typed(f) : ordinary_put_plain(f);
}
