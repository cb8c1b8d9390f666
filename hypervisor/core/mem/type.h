/* SPDX-License-Identifier: MIT */
/*
 * Page types: what makes a PV guest's page tables safe to load although the guest wrote them.
 *
 * A frame has at most one type at a time. A page table's references to other frames are taken when it gets its type
 * (validation: all 512 entries are checked, each present one takes a reference) and given back when its last type
 * reference goes (devalidation). So a table can never be written through a mapping, and a mapping can never reach
 * what its domain may not reach.
 *
 * States of a frame with a page-table type (bits FR_STATE):
 *
 *   NONE --type_get: count 0->1--> BUSY --validate: all entries good--> VALID
 *   BUSY --validate: bad entry, undo complete--> NONE (count 0)
 *   BUSY --validate: preempted--> PARKED_UP --type_get (resumes)--> BUSY
 *   VALID --type_put: count 1->0--> BUSY (count stays 1) --devalidate: done--> NONE (count 0)
 *   BUSY --devalidate (or undo): preempted--> PARKED_DOWN --type_put by its one holder (resumes)--> BUSY
 *
 *  T1 In VALID every present entry holds exactly the reference that its bits ask for.
 *  T2 In PARKED_* the entries [0, progress) hold theirs and the others none; the type count is 1. A PARKED_UP
 *     frame's count belongs to nobody: whoever gets the type next resumes with it. A PARKED_DOWN frame's count belongs
 *     to the parent entry, pin or root that was dropping it, which resumes it; type_get on it is -ERESTART.
 *  T3 In BUSY exactly one CPU works on the frame; type_get by others is -ERESTART (they try again).
 *  T4 Work on a table may be cut between any two entries.
 *  T5 A table that maps a table of its own or a higher level is refused: no recursive mappings.
 *  T6 Type writable and type descriptor never park; descriptor frames are validated like L1 but hold nothing. Type
 *     writable is in state NONE while in use, and BUSY for the moment in which it comes from another type.
 *  T7 Only an allocated frame (FR_ALLOC) becomes a page table, and FR_ALLOC stays while it is pinned, BUSY or parked: so
 *     teardown finds every such frame on its owner's page list.
 *  T8 The stamp of a frame of type writable is written by whoever drops the last reference, before the compare-and-swap that
 *     drops it, for the next type may be taken right after. That swap must fail if, since the clock was read, another had a
 *     reference: the count could be 1 again, but that mapping came down after the stamp. Such a reference came down from
 *     2 to 1, and every drop that is not the last sets FR_FELL. FR_FELL is cleared only by who sees the count at 1 while it
 *     holds that one reference, before it reads the clock. So: a last drop leaves from (count 1, FR_FELL clear) to count 0;
 *     with count 0, and in other types, FR_FELL is clear; only one CPU at a time can be about to write the stamp.
 *
 * An undo of a failed validation that is preempted is PARKED_UNDO: like PARKED_UP its count belongs to nobody; whoever
 * asks for the type next goes on with the undo and then gets the -EINVAL.
 */
#pragma once
#include "core/mem/frame.h"

enum type_state { TS_NONE = 0, TS_BUSY = 1, TS_VALID = 2, TS_PARKED_UP = 3, TS_PARKED_DOWN = 4, TS_PARKED_UNDO = 5 };

/* Takes a type reference on a frame of domain d. Frame must be held or owned so that it cannot be freed meanwhile
 * (any plain reference; the function takes none itself, but a type reference alone keeps a frame too).
 * 0; -EINVAL a bad entry (page tables), -EBUSY the frame has another type or wrong owner, -EPERM from an entry,
 * -ERESTART preempted or in transition. FT_WRITABLE and FT_DESC never give -ERESTART for reasons of length. */
int type_get(struct domain *d, struct frame *f, enum frame_type type);
/* Drops one. 0, or -ERESTART: the reference is still held, call again (only with preemptible). A non-preemptible call
 * is right only for FT_WRITABLE, FT_DESC, or where the count cannot reach 0. */
int type_put(struct frame *f, bool preemptible);
/* Drops a guest's pin and its reference together. 0, -EINVAL not pinned by `owner`, -ERESTART: pinned still, call again. */
int type_unpin(struct frame *f, uint16_t owner);
/* As type_get(FT_WRITABLE) without taking anything first: the frame is checked to be owned by `owner` and in use. */
int writable_get(mfn_t mfn, uint16_t owner);
int writable_get_frame(struct frame *f, uint16_t owner); /* the same for a frame known to have a record */
void writable_put(struct frame *f);
/* Domain teardown: brings a frame that is parked with a count that belongs to nobody down to NONE. 0 (also when it is not
 * parked) or -ERESTART. */
int type_unpark(struct frame *f);
