/* SPDX-License-Identifier: MIT */
/* Bits of a frame's refs word (frame.h), for core/mem only: reading, comparing and swapping. */
#pragma once
#include "core/mem/frame.h"
#include "core/mem/type.h"

#define REFS_TYPE(t)    ((uint64_t)(t) << FR_TYPE_SHIFT)
#define REFS_TYPE_MASK  REFS_TYPE(7)
#define REFS_STATE(s)   ((uint64_t)(s) << FR_STATE_SHIFT)
#define REFS_TYPE_STATE (REFS_TYPE_MASK | FR_STATE_MASK)
/* A count is refused from half of its range on, so that the test is one bit. */
#define REFS_TFULL (1UL << (FR_TCOUNT_SHIFT + FR_TCOUNT_BITS - 1))
#define REFS_PFULL (1UL << (FR_PCOUNT_BITS - 1))

static inline enum frame_type refs_type(uint64_t refs)
{
    return (enum frame_type)(refs >> FR_TYPE_SHIFT);
}
static inline enum type_state refs_state(uint64_t refs)
{
    return (enum type_state)((refs & FR_STATE_MASK) >> FR_STATE_SHIFT);
}
static inline bool type_is_table(enum frame_type t)
{
    return t >= FT_L1 && t <= FT_L4;
}
static inline uint64_t refs_load(const struct frame *f)
{
    return __atomic_load_n(&f->refs, __ATOMIC_RELAXED);
}
/* While an audit runs beside the guests, every frame whose references change is marked, before they do; the audit does not judge
 * those. Then ordinary_window is empty, so that the short ways, which do not mark, are not taken. */
extern bool audit_marking;
void audit_mark(struct frame *f, bool turns); /* audit.c; turns: its type or state changes */
static inline void audit_note(struct frame *f)
{
    if (unlikely(__atomic_load_n(&audit_marking, __ATOMIC_RELAXED)))
        audit_mark(f, false);
}

/* On failure *old is what was found. The usual: for the short ways only. */
static inline bool refs_cas_usual(struct frame *f, uint64_t *old, uint64_t new)
{
    return __atomic_compare_exchange_n(&f->refs, old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static inline bool refs_cas(struct frame *f, uint64_t *old, uint64_t new)
{
    if (unlikely(__atomic_load_n(&audit_marking, __ATOMIC_RELAXED)))
        audit_mark(f, (*old ^ new) & REFS_TYPE_STATE);
    return refs_cas_usual(f, old, new);
}

/* The second word: owner in the low 16 bits, stamp above. The owner may be read by anybody at any time; it is stable for
 * whoever holds a reference. The stamp belongs to whoever has the frame BUSY or free, or has its only writable reference (T8). */
static inline uint16_t frame_owner(const struct frame *f)
{
    return __atomic_load_n((const uint16_t *)(const void *)((const char *)f + 8), __ATOMIC_RELAXED);
}
static inline void frame_set_owner_stamp(struct frame *f, uint16_t owner, uint64_t stamp)
{
    __atomic_store_n((uint64_t *)(void *)((char *)f + 8), stamp << 16 | owner, __ATOMIC_RELEASE);
}
static inline void frame_set_stamp(struct frame *f, uint64_t stamp)
{
    frame_set_owner_stamp(f, frame_owner(f), stamp);
}
/* The record of a frame that becomes free: whoever brought its counts to 0 has it alone. */
static inline void frame_disown(struct frame *f)
{
    audit_note(f);
    __atomic_store_n(&f->refs, 0, __ATOMIC_RELAXED);
    frame_set_owner_stamp(f, FRAME_OWNER_NONE, 0);
}
static inline bool owner_is_domain(uint16_t owner)
{
    return owner < 0x7ff0; /* DOMID_FIRST_RESERVED */
}
