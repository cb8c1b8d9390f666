/* SPDX-License-Identifier: MIT */
/*
 * A report: why something failed, in one sentence that people read: what is wrong, where, and what to do.
 * The function that finds the fault fills it; those above may put words in front (report_prefix), and pass it on.
 */
#pragma once
#include <stdbool.h>

#define REPORT_TEXT_MAX 1024

/* What a script may want to tell apart; also the `kind` of an error of xend's API and, as it stands, xm's exit code. */
enum report_kind {
    REPORT_NONE,
    REPORT_FAILED,    /* anything else */
    REPORT_USAGE,     /* wrong arguments */
    REPORT_CONFIG,    /* an error in a configuration */
    REPORT_NOT_FOUND, /* no such domain, file, device, bridge */
    REPORT_EXISTS,    /* the name is taken, the disk in use */
    REPORT_NO_MEMORY, /* not enough memory for the guest */
    REPORT_BAD_IMAGE, /* not a kernel, a damaged ramdisk */
    REPORT_STATE,     /* the domain is not in a state for that */
    REPORT_DENIED,
    REPORT_NO_DAEMON, /* xend (or the hypervisor) cannot be reached */
    REPORT_TIMEOUT,
};
struct report {
    enum report_kind kind;
    char text[REPORT_TEXT_MAX]; /* no newline at its end, no full stop */
};

/* Fills the report (an earlier one is replaced) and returns -1, so that `return report_set(...)` reads well. */
int report_set(struct report *r, enum report_kind kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts "prefix: " in front of what is there. Returns -1. */
int report_prefix(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "not-found" and so on, as in the API; and back (REPORT_FAILED for an unknown word). */
const char *report_kind_name(enum report_kind kind);
enum report_kind report_kind_of(const char *name);
