/* SPDX-License-Identifier: MIT */
/* Whether the machine is as it was: its free memory, its references and types, the memory of this Domain 0. */
#include "dom0/dom0.h"

#define CANARY_PAGES 16
#define PATIENCE_NS  3000000000UL

static uint64_t canary[CANARY_PAGES * PAGE / 8] __attribute__((aligned(4096)));
static uint64_t pages_free_before;
static bool pages_missing;
uint64_t canary_word = 0x5ec2e7d0c5ec2e70;

void judge_init(void)
{
    for (unsigned i = 0; i < COUNT_OF(canary); i++)
        canary[i] = canary_word;
    pages_free_before = free_pages();
}

uint64_t secret_mfn(void)
{
    return mfn_of(canary);
}

static bool canary_unharmed(void)
{
    for (unsigned i = 0; i < COUNT_OF(canary); i++) {
        if (canary[i] != canary_word) {
            print("hostile: Domain 0's memory was written: %lx at word %u\n", canary[i], i);
            return false;
        }
    }
    return true;
}

/* What a domain had comes back when the last that held it has let go: a moment later. */
static bool memory_is_back(void)
{
    uint64_t end = now_ns() + PATIENCE_NS, now;

    while ((now = free_pages()) != pages_free_before) {
        if (now_ns() > end) {
            print("hostile: %ld pages are missing\n", (long)(pages_free_before - now));
            pages_free_before = now;
            pages_missing = true;
            return false;
        }
        sleep_ns(100000);
    }
    return true;
}

#define AUDIT_TIMEOUT_NS 30000000000ul

static bool contains(const char *text, const char *word)
{
    for (; *text; text++) {
        const char *a = text, *b = word;

        while (*b && *a == *b)
            a++, b++;
        if (!*b)
            return true;
    }
    return false;
}

/* The audit goes on beside us; its last line is `audit: clean`, or `audit: WRONG`. */
static bool audit_is_clean(void)
{
    static char text[8192];
    uint64_t end = now_ns() + AUDIT_TIMEOUT_NS;
    bool clean = false, wrong = false;

    while (console_next(text, sizeof(text)))
        continue;
    press_key('A');
    while (!clean && !wrong && now_ns() < end) {
        while (console_next(text, sizeof(text))) {
            clean |= contains(text, "audit: clean");
            wrong |= contains(text, "audit: WRONG");
        }
        sleep_ns(100000);
    }
    if (!clean)
        print("hostile: the audit %s\n", wrong ? "is not clean" : "does not end");
    return clean;
}

bool all_is_well(void)
{
    bool well = audit_is_clean();

    pages_missing = false;
    memory_is_back();
    return canary_unharmed() && well;
}

bool memory_is_missing(void)
{
    return pages_missing;
}
