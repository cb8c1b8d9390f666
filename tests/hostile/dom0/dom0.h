/* SPDX-License-Identifier: MIT */
/*
 * The Domain 0 of the hostile tests: builds guests by domctl, lets them attack, judges what came of it. It is one small kernel
 * instead of Debian, so that hundreds of domains live and die in seconds.
 */
#pragma once
#include "board.h"
#include <xen/domctl.h>
#include <xen/sysctl.h>

#define GUEST_PAGES 1024u /* 4 MiB, two extents of 2 MiB */
#define GUESTS_MAX  2

/* ---- control.c: one call each ---- */
long domctl(uint32_t cmd, uint16_t domain, struct xen_domctl *op);
long sysctl(uint32_t cmd, struct xen_sysctl *op);
long domain_info(uint16_t domain, struct xen_domctl_getdomaininfo *info); /* -ESRCH: it is gone */
uint64_t free_pages(void);
/* Presses a key of the hypervisor's console; what it prints comes by console_next(). */
void press_key(char key);
/* Console text since the last call, at most size - 1 bytes, ended with 0; 0: no more. */
size_t console_next(char *text, size_t size);
void __attribute__((noreturn)) reset_machine(void);

/* ---- guest.c ---- */
struct guest {
    uint16_t domain;
    bool exists;
    uint64_t mfns[GUEST_PAGES];
    uint64_t pages_used; /* of the image and what was built behind it */
    struct board *board; /* the guest's page, mapped here */
};
extern struct guest guests[GUESTS_MAX];
void guests_init(void); /* where their boards are mapped */
const struct image_header *guest_image_header(void);
const struct attack *guest_attack(unsigned index); /* pointers in it are the guest's */
unsigned guest_attacks_count(void);
const char *guest_text(const char *guest_address);
/* Creates a domain with the image in it and its board empty but for what every guest is told. False: said why. */
bool guest_create(struct guest *g, uint32_t role);
bool guest_start(struct guest *g); /* pins its tables, sets its first vCPU, lets it run */
/* Waits until it has ended. SHUTDOWN_*, or -1: it runs still. */
int guest_wait(struct guest *g, uint64_t timeout_ns);
bool guests_destroy(void); /* all; false: one does not go */

/* ---- judge.c ---- */
void judge_init(void);
/* After the guests are gone: the audit, Domain 0's own pages. False: said what is wrong. */
bool all_is_well(void);
/* Whether less memory was free, at the last look, than at the one before. The hypervisor keeps a page that it has used for
 * something of its own for the first time; so the same must be tried again before it counts. */
bool memory_is_missing(void);
uint64_t secret_mfn(void);
extern uint64_t canary_word;

/* ---- fuzzing.c ---- */
unsigned fuzz_for(uint64_t seconds, uint64_t seed); /* rounds in which something was wrong */
