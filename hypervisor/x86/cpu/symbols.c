/* SPDX-License-Identifier: MIT */
/* Names of our own functions, for the panic report. The table is made from the first link (scripts/symbols.py). */
#include "core/lib/types.h"
#include "x86/cpu/symbols.h"
#include "x86/mmu/layout.h"

extern const uint64_t symbols_count;
extern const uint32_t symbols_offsets[], symbols_names_at[];
extern const char symbols_names[], __text_start[], __text_end[];

bool address_is_text(uint64_t address)
{
    return address >= (uint64_t)__text_start && address < (uint64_t)__text_end;
}

const char *symbol_find(uint64_t address, uint64_t *offset)
{
    uint64_t wanted = address - HV_START, low = 0, high = symbols_count;

    if (!address_is_text(address) || high == 0 || wanted < symbols_offsets[0])
        return NULL;
    while (high - low > 1) {
        uint64_t middle = (low + high) / 2;
        if (symbols_offsets[middle] <= wanted)
            low = middle;
        else
            high = middle;
    }
    *offset = wanted - symbols_offsets[low];
    return symbols_names + symbols_names_at[low];
}
