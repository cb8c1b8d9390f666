/* SPDX-License-Identifier: MIT */
/*
 * What the files of core/grant/ share: a domain's table of what it grants (table.c) and of what it has mapped (map.c).
 *
 * Locks: [G] the granter's table lock (LOCK_GRANT; never two), [T] its maptrack lock (LOCK_MAPTRACK), [I] fixed.
 * Both are held for a few instructions only; references to frames and domains are taken and dropped outside of them.
 */
#pragma once
#include "core/domain/domain.h"
#include "core/grant/grant.h"
#include "core/lib/fail.h"

#define ENTRIES_PER_FRAME (PAGE_SIZE / sizeof(struct grant_entry_v1))

/* Uses of one entry at this moment: mappings and copies. */
struct grant_active {
    uint32_t readers, writers; /* [G] */
};

struct grant_frame {
    mfn_t mfn;
    struct grant_entry_v1 *shared; /* the guest's to write at any time; [G] NULL once given up */
    struct grant_active *active;
};

#define MAPPINGS_PER_CHUNK 128
#define MAPPING_HOST       (1u << 0) /* a page-table entry was made for it */
#define MAPPING_DEVICE     (1u << 1)
#define MAPPING_BY_PTE     (1u << 2) /* host addresses are those of entries */
#define MAPPING_BUSY       (1u << 3) /* somebody works on it: others are told that the handle is bad */
#define MAPPING_KINDS      (MAPPING_HOST | MAPPING_DEVICE)

struct grant_mapping {
    struct grant_use use;
    uint32_t handle; /* [I] */
    uint32_t flags;  /* [T] MAPPING_*; 0: free */
    uint32_t next;   /* [T] free list: handle + 1 of the next, 0 none */
};

struct grant_table {
    struct spinlock lock;
    unsigned frames_max;        /* [I] */
    unsigned frames_mask;       /* [I] slots of frames[] - 1: a power of two, at least frames_max */
    unsigned frames_count;      /* [G] to raise, with release; read by anybody */
    bool closed;                /* [G] its domain is dying: the frames are given up */
    struct grant_frame *frames; /* [I] once counted */

    struct spinlock maptrack_lock;
    unsigned chunks_max;             /* [I] */
    unsigned chunks_mask;            /* [I] as frames_mask */
    unsigned chunks_count;           /* [T] to raise, with release */
    uint32_t free_first;             /* [T] handle + 1; 0 none */
    struct grant_mapping **maptrack; /* [I] once counted */
    uint32_t release_next;           /* teardown progress: the next handle */
};

/* ---- table.c ---- */
/* Begins a use of `domid`'s grant `ref` by `user`. GNTST_okay or an error, with nothing held. */
int16_t grant_use_begin(struct grant_use *u, struct domain *user, uint16_t domid, uint32_t ref, bool write);
/* A reference for reading or writing to a frame of that owner. GNTST_okay, _bad_page or _eagain. */
int16_t grant_hold_frame(mfn_t mfn, uint16_t owner, bool write, struct frame **out);
void grant_drop_frame(struct frame *f, bool write);

/* ---- map.c ---- */
int maptrack_create(struct grant_table *t, unsigned max_frames);
void maptrack_destroy(struct grant_table *t);
