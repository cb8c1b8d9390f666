/* SPDX-License-Identifier: MIT */
/*
 * The first allocator: a list of free ranges of RAM, sorted, disjoint; memory is taken from the top end of the highest range
 * that fits, so that low memory stays for who needs it. Used by the boot CPU alone, until early_finish().
 */
#include "core/lib/fail.h"
#include "core/lib/string.h"
#include "hw/hw.h"
#include "x86/boot/boot.h"
#include "x86/boot/early.h"

/* Each reservation and each allocation may split one range; allocations make few splits (one a change of alignment). */
#define RANGES_MAX (E820_MAX + 4 * BOOT_MODULES_MAX + 32)
static struct phys_range ranges[RANGES_MAX];
static unsigned ranges_count;
static bool finished;

static void insert(unsigned at, uint64_t start, uint64_t end)
{
    if (start >= end)
        return;
    if (ranges_count == RANGES_MAX) {
        /* A piece is lost: of two neighbours at the place keep the larger. */
        struct phys_range *r = &ranges[at < ranges_count ? at : at - 1];
        if (r->end - r->start < end - start)
            *r = (struct phys_range){start, end};
        return;
    }
    memmove(&ranges[at + 1], &ranges[at], (ranges_count - at) * sizeof(ranges[0]));
    ranges[at] = (struct phys_range){start, end};
    ranges_count++;
}

static void remove(unsigned at)
{
    ranges_count--;
    memmove(&ranges[at], &ranges[at + 1], (ranges_count - at) * sizeof(ranges[0]));
}

void early_add(uint64_t start, uint64_t end)
{
    unsigned i = 0;

    while (i < ranges_count && ranges[i].start < start)
        i++;
    insert(i, start, end);
}

void early_reserve(uint64_t start, uint64_t end)
{
    start = ROUND_DOWN(start, PAGE_SIZE);
    end = ROUND_UP(end, PAGE_SIZE);
    for (unsigned i = 0; i < ranges_count;) {
        struct phys_range r = ranges[i];

        if (r.end <= start || r.start >= end) {
            i++;
            continue;
        }
        remove(i);
        insert(i, MAX(r.start, end), r.end);
        insert(i, r.start, MIN(r.end, start));
        i += (r.start < start) + (r.end > end);
    }
}

uint64_t early_alloc(uint64_t size, uint64_t align, uint64_t limit)
{
    size = ROUND_UP(size, PAGE_SIZE);
    ASSERT(!finished);
    for (unsigned i = ranges_count; i-- > 0;) {
        uint64_t end = MIN(ranges[i].end, limit), start;

        if (end < size || (start = ROUND_DOWN(end - size, align)) < ranges[i].start)
            continue;
        early_reserve(start, start + size);
        return start;
    }
    panic("out of memory while booting: no %lu KiB below %#lx", size / KIB, limit);
}

uint64_t early_alloc_table(void)
{
    uint64_t phys = early_alloc(PAGE_SIZE, PAGE_SIZE, 4 * GIB);

    memset((void *)(DIRECTMAP_START + phys), 0, PAGE_SIZE);
    return phys;
}

const struct phys_range *early_finish(unsigned *count)
{
    finished = true;
    *count = ranges_count;
    return ranges;
}

bool early_active(void)
{
    return !finished;
}
