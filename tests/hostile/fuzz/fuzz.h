/* SPDX-License-Identifier: MIT */
/*
 * The live fuzzer: random hypercalls, made to look plausible and then spoilt, on all vCPUs of a domain at once. In a guest
 * everything is allowed: what harms the guest alone is no finding. In Domain 0 what may legally end it or the machine is left
 * out, and only pages set aside for it are given up, typed and written.
 */
#pragma once
#include "board.h"

#define FUZZ_PAGES 48

/* One vCPU's fuzzing. All pointers and frames that it invents are of `pages`, `frames`, or of nobody. */
struct fuzz {
    uint64_t state; /* of its random sequence */
    bool privileged;
    uint8_t *pages;     /* FUZZ_PAGES of them, the domain's own, shared by its vCPUs */
    uint8_t *call;      /* a page of this vCPU's for the arguments */
    uint64_t frames[8]; /* of others, and special ones */
    uint16_t domains[4];
    uint64_t count; /* hypercalls made */
};
/* Makes one call, or a batch of them. */
void fuzz_step(struct fuzz *f);
/* In a guest: until it is stopped or dies. */
void __attribute__((noreturn)) fuzz_guest(void);
