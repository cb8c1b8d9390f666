/* SPDX-License-Identifier: MIT */
/*
 * The machine's memory map: firmware gives it in any order, with overlaps and odd edges. Where entries overlap the more
 * careful type wins; RAM is cut to whole pages; the interrupt controllers' windows are reserved whatever firmware says, as
 * guests expect. Used once while booting. No locks.
 */
#include "core/lib/fail.h"
#include "core/lib/string.h"
#include "x86/boot/e820.h"

#define RAW_MAX (E820_MAX + 2) /* the loader's, and our two */
static struct e820_entry raw[RAW_MAX];
static unsigned raw_count;

void e820_add(uint64_t addr, uint64_t size, uint32_t type)
{
    if (size == 0 || raw_count == E820_MAX)
        return;
    if (addr + size < addr)
        size = -addr - 1;
    raw[raw_count++] = (struct e820_entry){addr, size, type};
}

unsigned e820_collected(void)
{
    return raw_count;
}

/* The higher wins. Unknown types are as reserved. */
static unsigned caution(uint32_t type)
{
    switch (type) {
    case E820_RAM:
        return 1;
    case E820_ACPI:
        return 2;
    case E820_NVS:
        return 3;
    case E820_UNUSABLE:
        return 5;
    default:
        return 4;
    }
}

/* The most careful type at `addr`, and in *next where that may change; 0: nothing is there. */
static uint32_t type_at(uint64_t addr, uint64_t *next)
{
    uint32_t type = 0;

    *next = ~0UL;
    for (unsigned i = 0; i < raw_count; i++) {
        uint64_t start = raw[i].addr, end = start + raw[i].size;

        if (start > addr) {
            *next = MIN(*next, start);
        } else if (end > addr) {
            *next = MIN(*next, end);
            if (!type || caution(raw[i].type) > caution(type))
                type = raw[i].type;
        }
    }
    return type;
}

static unsigned append(struct e820_entry *out, unsigned count, uint64_t start, uint64_t end, uint32_t type)
{
    struct e820_entry *last = count ? &out[count - 1] : NULL;

    if (last && last->type == type && last->addr + last->size == start) {
        last->size = end - last->addr;
        return count;
    }
    if (count < E820_MAX)
        out[count++] = (struct e820_entry){start, end - start, type};
    return count;
}

static unsigned trim_ram(struct e820_entry *out, unsigned count)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < count; i++) {
        struct e820_entry e = out[i];

        if (e.type == E820_RAM) {
            uint64_t start = ROUND_UP(e.addr, PAGE_SIZE), end = ROUND_DOWN(e.addr + e.size, PAGE_SIZE);
            if (start >= end)
                continue;
            e.addr = start;
            e.size = end - start;
        }
        out[kept++] = e;
    }
    return kept;
}

unsigned e820_finish(struct e820_entry *out)
{
    uint64_t at = 0, next;
    unsigned count = 0;

    /* RAW_MAX has room for these two. */
    raw[raw_count++] = (struct e820_entry){0xfec00000, PAGE_SIZE, E820_RESERVED};
    raw[raw_count++] = (struct e820_entry){0xfee00000, MIB, E820_RESERVED};
    for (; at != ~0UL; at = next) {
        uint32_t type = type_at(at, &next);
        if (type)
            count = append(out, count, at, next, type);
    }
    return trim_ram(out, count);
}
