/* SPDX-License-Identifier: MIT */
/*
 * How an attack is written: ATTACK(name, outcome, "advisories: what is tried") { ... }. Coming to the end is to have withstood
 * it; the checks below end it otherwise. Each attack has a fresh domain, so it cleans up nothing.
 */
#pragma once
#include "board.h"

#define ATTACK_TABLE(id, outcome_, about_, peer_)                                                                      \
    static void id(void);                                                                                              \
    static const struct attack attack_##id = {#id, about_, id, peer_, outcome_};                                       \
    static const struct attack *const entry_##id __attribute__((section(".attacks"), used)) = &attack_##id;            \
    static void id(void)
#define ATTACK(id, outcome, about)            ATTACK_TABLE(id, outcome, about, NULL)
#define ATTACK_WITH(id, outcome, peer, about) ATTACK_TABLE(id, outcome, about, peer)

extern struct board *board;

void __attribute__((noreturn)) attack_failed(const char *file, int line, const char *what, long value);
/* The hypervisor did what it must not, or did not what it must. */
#define FAIL(what, value) attack_failed(__FILE_NAME__, __LINE__, what, (long)(value))
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            FAIL(#condition, 0);                                                                                       \
    } while (0)
/* Of a hypercall: an error; exactly this; success. */
#define REFUSED(call)                                                                                                  \
    do {                                                                                                               \
        long rc_ = (call);                                                                                             \
        if (rc_ >= 0)                                                                                                  \
            FAIL("not refused: " #call, rc_);                                                                          \
    } while (0)
#define RETURNS(expected, call)                                                                                        \
    do {                                                                                                               \
        long rc_ = (call);                                                                                             \
        if (rc_ != (expected))                                                                                         \
            FAIL("not " #expected ": " #call, rc_);                                                                    \
    } while (0)
#define ALLOWED(call) RETURNS(0, call)

/* A fresh page, zero and mapped; it is never given back. */
void *new_page(void);
void *new_pages(unsigned count);
/* Maps a page read-only, as a page table must be. */
void make_readonly(const void *page);
void make_writable(const void *page);
uint64_t *new_table(void); /* empty and read-only */
bool has_stopped(void);    /* Domain 0 wants an end */
void __attribute__((noreturn)) end_with(enum verdict verdict);
