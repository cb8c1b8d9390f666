/* SPDX-License-Identifier: MIT */
/*
 * A hypervisor of paper for tests of the domain builder: hv.h over an array. One domain; frames come in a scrambled order; what is mapped is
 * a copy, written back when it is unmapped, so that a write behind a mapping's back or after its end is seen.
 */
#pragma once
#include "lib/hv/hv.h"

#define FAKE_DOMID  7
#define FAKE_FIRST  0x1000 /* the first machine frame */
#define FAKE_FRAMES 98304  /* 384 MiB */
#define FAKE_SHARED (FAKE_FIRST + FAKE_FRAMES)

struct fake_hv {
    uint8_t *memory;                  /* FAKE_FRAMES frames and the shared page */
    uint64_t *m2p;                    /* ~0: free */
    uint64_t free_frames, large_left; /* large_left: how many extents of 2 MiB may still be given */
    uint64_t max_kib, map_kib, claimed;
    unsigned mapped; /* mappings there are */
    uint64_t pages_mapped;
    uint64_t pinned;
    bool no_claims, started;
    struct hv_grant grants[8];
    unsigned grants_count;
    vcpu_guest_context_t context;
};
extern struct fake_hv fake;
void fake_start(void);
void fake_end(void);
void *fake_frame(uint64_t mfn); /* NULL: there is none */
