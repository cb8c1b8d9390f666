/* SPDX-License-Identifier: MIT */
/*
 * Memory from what the loader left to the running state: the final page tables (docs/memory-map.md), the direct map, the
 * machine-to-physical table, the frame table, and all free RAM handed to the frame allocator.
 *
 * Invariants
 *  M1 Every frame of a chunk (2^15 frames) with RAM in it has an initialised record; other frames have none.
 *  M2 RAM below 1 MiB and what is no RAM belongs to FRAME_OWNER_IO for ever; it is Domain 0's to map.
 *  M3 The hypervisor's image, tables and the boot modules belong to FRAME_OWNER_HYPERVISOR with one plain reference.
 *  M4 The M2P consists of 2 MiB machine chunks, one for each GiB of addresses that has RAM.
 * Runs once on the boot CPU. No locks.
 */
#include "core/lib/fail.h"
#include "core/lib/print.h"
#include "core/lib/string.h"
#include "core/mem/alloc.h"
#include "core/mem/pte.h"
#include "x86/boot/boot.h"
#include "x86/boot/early.h"
#include "x86/console/console.h"
#include "x86/cpu/cpu.h"
#include "x86/mmu/mmu.h"

#define MEMORY_MIN     (64 * MIB)
#define RAM_LIMIT      (DIRECTMAP_END - DIRECTMAP_START)
#define PAGE_2M        (2 * MIB)
#define CHUNK_SHIFT    15 /* frames */
#define CHUNK_FRAMES   (1UL << CHUNK_SHIFT)
#define CHUNK_BYTES    (CHUNK_FRAMES * sizeof(struct frame))
#define CHUNKS_MAX     (RAM_LIMIT / PAGE_SIZE / CHUNK_FRAMES)
#define CHUNKS_PER_GIB (GIB / PAGE_SIZE / CHUNK_FRAMES)
#define PTE_BASE       (PTE_P | PTE_A | PTE_D | PTE_G)
#define PTE_DATA       (PTE_BASE | PTE_RW | PTE_NX)

extern const char __image_start[], __text_start[], __text_end[], __rodata_end[], __image_end[];
extern char boot_stack[];

uint64_t hw_frames_max;
uint64_t hw_frame_chunks[CHUNKS_MAX / 64];

/* RAM from 1 MiB on: what the hypervisor manages. */
static struct phys_range ram[E820_MAX];
static unsigned ram_count;

static uint64_t image_phys(const char *symbol)
{
    return (uint64_t)symbol - HV_START;
}

static void find_ram(void)
{
    uint64_t total = 0, cut = 0;

    for (unsigned i = 0; i < boot_info.e820_count; i++) {
        const struct e820_entry *e = &boot_info.e820[i];
        uint64_t start = MAX(e->addr, MIB), end = e->addr + e->size;

        if (e->type != E820_RAM || start >= end)
            continue;
        if (end > RAM_LIMIT) {
            cut += end - MAX(start, RAM_LIMIT);
            end = RAM_LIMIT;
            if (start >= end)
                continue;
        }
        ram[ram_count++] = (struct phys_range){start, end};
        early_add(start, end);
        total += end - start;
    }
    if (total < MEMORY_MIN - MIB)
        boot_fail("too little memory: %lu MiB, the hypervisor alone needs %lu MiB: %lu MiB are missing",
                  (total + MIB) / MIB, MEMORY_MIN / MIB, (MEMORY_MIN - total - MIB) / MIB + 1);
    if (cut)
        log_warn("%lu MiB of memory above 5 TiB are not used", cut / MIB);
    early_reserve(image_phys(__image_start), image_phys(__image_end));
    for (unsigned i = 0; i < boot_info.modules_count; i++)
        early_reserve(boot_info.modules[i].start, boot_info.modules[i].start + boot_info.modules[i].size);
}

/* ---- Page tables ---- */

static void map_image_part(const char *from, const char *to, uint64_t flags)
{
    hv_map_range((uint64_t)from, image_phys(from), (uint64_t)(to - from), flags, 1);
}

/* The part of RAM [start, end) that is in [from, to). */
static void map_direct(const struct phys_range *r, uint64_t from, uint64_t to, uint64_t flags, unsigned largest)
{
    uint64_t start = MAX(r->start, from), end = MIN(r->end, to);

    if (start < end)
        hv_map_range(DIRECTMAP_START + start, start, end - start, flags, largest);
}

static void build_direct_map(void)
{
    uint64_t text = image_phys(__text_start), rodata_end = image_phys(__rodata_end);
    uint32_t r[4];

    cpuid_count(0x80000001, 0, r);
    unsigned largest = (r[3] >> 26) & 1 ? 3 : 2;

    for (unsigned i = 0; i < boot_info.e820_count; i++) {
        const struct e820_entry *e = &boot_info.e820[i];
        struct phys_range part = {e->addr, MIN(e->addr + e->size, RAM_LIMIT)};

        if (e->type != E820_RAM)
            continue;
        map_direct(&part, 0, text, PTE_DATA, largest);
        map_direct(&part, text, rodata_end, PTE_DATA & ~PTE_RW, largest); /* code stays unwritable here too */
        map_direct(&part, rodata_end, RAM_LIMIT, PTE_DATA, largest);
    }
}

static void build_page_tables(void)
{
    hypervisor_root = MFN(early_alloc_table() >> PAGE_SHIFT);
    map_image_part(__text_start, __text_end, PTE_BASE);
    map_image_part(__text_end, __rodata_end, PTE_BASE | PTE_NX);
    map_image_part(__rodata_end, __image_end, PTE_DATA);
    build_direct_map();
    /* The level-3 tables that later mappings will hang in must exist before a guest's root copies the slots. */
    hv_l1_entry(PERCPU_START);
    hv_l1_entry(IOMAP_START);
    hv_unmap_page((uint64_t)boot_stack); /* the boot stack's guard */
    write_cr(4, read_cr(4) & ~CR4_PGE);
    write_cr(3, hypervisor_root.n << PAGE_SHIFT);
    write_cr(4, read_cr(4) | CR4_PGE);
}

/* ---- The machine-to-physical table and the frame table ---- */

static bool chunk_present(uint64_t chunk)
{
    return chunk < CHUNKS_MAX && bit_test(hw_frame_chunks, (unsigned)chunk);
}

static void find_chunks(void)
{
    for (unsigned i = 0; i < ram_count; i++) {
        uint64_t first = ram[i].start >> (PAGE_SHIFT + CHUNK_SHIFT),
                 last = (ram[i].end - 1) >> (PAGE_SHIFT + CHUNK_SHIFT);

        for (uint64_t c = first; c <= last; c++)
            bit_set(hw_frame_chunks, (unsigned)c);
        hw_frames_max = (last + 1) << CHUNK_SHIFT;
    }
}

static void build_m2p(void)
{
    for (uint64_t c = 0; c < CHUNKS_MAX; c++) {
        if (!chunk_present(c))
            continue;
        uint64_t offset = c / CHUNKS_PER_GIB * PAGE_2M, phys = early_alloc(PAGE_2M, PAGE_2M, RAM_LIMIT);

        hv_map_range(M2P_RW_START + offset, phys, PAGE_2M, PTE_DATA, 2);
        hv_map_range(M2P_RO_START + offset, phys, PAGE_2M, (PTE_BASE & ~PTE_G) | PTE_US | PTE_NX, 2);
        memset((void *)(M2P_RW_START + offset), 0xff, PAGE_2M);
        c |= CHUNKS_PER_GIB - 1; /* the GiB is done */
    }
    m2p_l4_entry = ((const uint64_t *)hw_frame_va(hypervisor_root))[pt_index(M2P_RO_START, 4)];
}

static void build_frame_table(void)
{
    uint64_t mapped = FRAMETABLE_START; /* up to here */

    for (uint64_t c = 0; c < CHUNKS_MAX; c++) {
        if (!chunk_present(c))
            continue;
        uint64_t start = FRAMETABLE_START + c * CHUNK_BYTES, end = start + CHUNK_BYTES;

        for (mapped = MAX(mapped, ROUND_DOWN(start, PAGE_2M)); mapped < end; mapped += PAGE_2M)
            hv_map_range(mapped, early_alloc(PAGE_2M, PAGE_2M, RAM_LIMIT), PAGE_2M, PTE_DATA, 2);
    }
}

/* Records of the frames [first, last): counts and owner. One store a word: this loop runs over all of memory. */
static void fill_records(uint64_t first, uint64_t last, uint64_t refs, uint16_t owner)
{
    for (struct frame *f = &hw_frames[first], *end = &hw_frames[last]; f < end; f++)
        *f = (struct frame){.refs = refs, .owner = owner};
}

/* RAM [first, last): what early allocation left is free, the rest the hypervisor's. */
static void fill_ram_records(uint64_t first, uint64_t last, const struct phys_range *free, unsigned free_count)
{
    for (unsigned i = 0; i < free_count && first < last; i++) {
        uint64_t start = MAX(free[i].start >> PAGE_SHIFT, first), end = MIN(free[i].end >> PAGE_SHIFT, last);

        if (start >= end)
            continue;
        fill_records(first, start, 1, FRAME_OWNER_HYPERVISOR);
        fill_records(start, end, 0, FRAME_OWNER_NONE);
        first = end;
    }
    if (first < last)
        fill_records(first, last, 1, FRAME_OWNER_HYPERVISOR);
}

static void init_records(const struct phys_range *free, unsigned free_count)
{
    for (uint64_t c = 0; c < CHUNKS_MAX; c++) {
        if (!chunk_present(c))
            continue;
        uint64_t at = c << CHUNK_SHIFT, end = at + CHUNK_FRAMES;

        for (unsigned i = 0; i < ram_count; i++) {
            uint64_t first = MAX(ram[i].start >> PAGE_SHIFT, at), last = MIN(ram[i].end >> PAGE_SHIFT, end);

            if (first >= last)
                continue;
            fill_records(at, first, 1, FRAME_OWNER_IO);
            fill_ram_records(first, last, free, free_count);
            at = last;
        }
        fill_records(at, end, 1, FRAME_OWNER_IO);
    }
}

/* Domain 0's tools may map the machine-to-physical table. */
static void share_m2p(void)
{
    mfn_t piece;

    for (unsigned i = 0; !mfn_eq(piece = hw_m2p_piece(i), INVALID_MFN); i++)
        for (uint64_t n = 0; piece.n && n < PAGE_2M / PAGE_SIZE; n++)
            frame_of(mfn_add(piece, n))->refs |= FR_SHARED;
}

void memory_init(void)
{
    const struct phys_range *free;
    unsigned free_count;
    uint64_t total = 0, left = 0;

    find_ram();
    build_page_tables();
    console_map();
    find_chunks();
    build_m2p();
    build_frame_table();
    free = early_finish(&free_count);
    init_records(free, free_count);
    share_m2p();
    for (unsigned i = 0; i < ram_count; i++)
        total += ram[i].end - ram[i].start;
    for (unsigned i = 0; i < free_count; i++) {
        alloc_add_ram(MFN(free[i].start >> PAGE_SHIFT), MFN((free[i].end >> PAGE_SHIFT) - 1), true);
        left += free[i].end - free[i].start;
    }
    for (unsigned i = 0; i < boot_info.modules_count; i++)
        left += boot_info.modules[i].size;
    log_info("Memory: %lu MiB of RAM, %lu KiB used by the hypervisor", total / MIB, (total - left) / KIB);
}

static bool releasable(uint64_t n)
{
    const struct frame *f = &hw_frames[n];

    return f->owner == FRAME_OWNER_HYPERVISOR && f->refs == 1;
}

/* Those frames that Domain 0 has not taken over. They are new to the allocator, which has not counted them so far. */
void modules_release(void)
{
    for (unsigned i = 0; i < boot_info.modules_count; i++) {
        const struct boot_module *m = &boot_info.modules[i];
        uint64_t n = m->start >> PAGE_SHIFT, end = ROUND_UP(m->start + m->size, PAGE_SIZE) >> PAGE_SHIFT, first;

        for (; n < end; n = MAX(n, first + 1)) {
            for (first = n; n < end && mfn_valid(MFN(n)) && releasable(n); n++)
                ;
            if (n == first)
                continue;
            fill_records(first, n, 0, FRAME_OWNER_NONE);
            alloc_add_ram(MFN(first), MFN(n - 1), true);
        }
    }
}
