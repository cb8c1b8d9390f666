/* SPDX-License-Identifier: MIT */
/* Filling with the poison, and finding it (poison.h). */
#include "core/lib/poison.h"
#include "core/lib/string.h"

#define STACK_BYTES 3072

void poison_fill(void *p, size_t size)
{
    uint32_t *word = p;

    for (size_t i = 0; i < size / sizeof(*word); i++)
        word[i] = POISON;
}

bool poison_in(const void *p, size_t size)
{
    for (size_t at = 0; at + sizeof(uint32_t) <= size; at += sizeof(uint32_t)) {
        uint32_t word;

        memcpy(&word, (const char *)p + at, sizeof(word));
        if (word == POISON)
            return true;
    }
    return false;
}

/* What is left behind when this frame is gone is what the next functions find in theirs. */
__attribute__((noinline)) void poison_stack(void)
{
    volatile uint32_t area[STACK_BYTES / sizeof(uint32_t)];

    for (unsigned i = 0; i < ARRAY_SIZE(area); i++)
        area[i] = POISON;
}
