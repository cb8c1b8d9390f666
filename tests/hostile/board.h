/* SPDX-License-Identifier: MIT */
/*
 * The page by which Domain 0 tells a hostile guest what to do and learns what came of it; and what a guest's image says of
 * itself. Domain 0 takes nothing in it for more than a guest's word.
 */
#pragma once
#include "runtime/runtime.h"

enum verdict { VERDICT_NONE, VERDICT_PASSED, VERDICT_FAILED };
enum role { ROLE_ATTACKER, ROLE_PEER, ROLE_FUZZER };

struct board {
    /* To the guest */
    uint32_t attack; /* index in the table */
    uint32_t role;
    uint16_t domain, peer;
    uint64_t seed;
    uint64_t free_pfn, free_end; /* pages that hold nothing */
    uint64_t secret;             /* the word that fills what nobody else may read */
    uint64_t domain0_mfn;        /* a page of Domain 0's, full of its own secret */
    uint64_t domain0_table_mfn;  /* a page table of Domain 0's */
    uint64_t peer_mfn, self_mfn; /* the first of the 1024 frames of the peer, of the guest */
    uint64_t frames_max;         /* frames that the machine has */
    uint32_t stop;               /* end soon */
    /* From the guest */
    uint32_t verdict;
    uint64_t hypercalls[VCPUS_MAX];
    char text[2048];
};
_Static_assert(sizeof(struct board) <= PAGE, "one page");

/* What must come of an attack. */
enum outcome {
    SURVIVES, /* every step is refused or harmless; the guest itself says so */
    DIES,     /* the hypervisor ends the guest */
    EITHER,   /* one of both */
};

struct attack {
    const char *name;
    const char *about; /* the advisories, and what is tried */
    void (*run)(void);
    void (*peer)(void); /* what a second domain does meanwhile; NULL: there is none */
    uint64_t outcome;
};

/* At the image's offset 64. Addresses are the guest's, from VIRT_BASE on. */
#define IMAGE_HEADER 64
struct image_header {
    uint64_t end; /* of the memory that the image takes */
    const struct attack *const *attacks, *const *attacks_end;
};
