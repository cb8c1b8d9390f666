/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own page tables (slots 256..271, see x86/mmu/layout.h) and loading roots. The level-3 tables of all
 * slots in use exist before the first guest does, so every root shares them and a change is seen under each.
 *
 * Invariants: intermediate tables are never freed; nothing of the hypervisor is both writable and executable; only the
 * read-only M2P is accessible to guests. Lock: LOCK_MAPPING guards table making and the I/O window.
 */
#include "core/lib/lock.h"
#include "core/lib/string.h"
#include "core/mem/alloc.h"
#include "core/mem/pte.h"
#include "core/mem/tlb.h"
#include "x86/boot/early.h"
#include "x86/cpu/cpu.h"
#include "x86/mmu/mmu.h"

mfn_t hypervisor_root;
uint64_t m2p_l4_entry;
static struct spinlock mapping_lock = SPINLOCK_INIT(LOCK_MAPPING);

#define PAGE_2M   (2 * MIB)
#define BIG_PAT   (1UL << 12) /* the PAT bit of an entry for a large page */
#define FLAGS_RAM (PTE_P | PTE_A | PTE_D | PTE_G)

/* The I/O window: four places for boot_map(), then what io_map() gives out. */
#define BOOT_MAP_SLOT_SIZE (4 * MIB)
#define BOOT_MAP_SLOTS     4
#define IO_WINDOW_START    (IOMAP_START + GIB)
#define IO_WINDOW_END      (IOMAP_START + 512 * GIB)
static uint64_t io_next = IO_WINDOW_START;

/* 0: no memory. */
static uint64_t new_table(void)
{
    if (early_active())
        return early_alloc_table();
    mfn_t m = alloc_zeroed_frame();
    return mfn_eq(m, INVALID_MFN) ? 0 : m.n << PAGE_SHIFT;
}

static uint64_t *table_va(uint64_t entry)
{
    return (uint64_t *)hw_frame_va(pte_mfn(entry));
}

/* The entry of `level` for va; tables on the way are made when missing. NULL: no memory for them. */
static uint64_t *entry_if_memory(uint64_t va, unsigned level)
{
    uint64_t *table = hw_frame_va(hypervisor_root);

    for (unsigned l = 4; l > level; l--) {
        uint64_t *e = &table[pt_index(va, l)];
        if (!(*e & PTE_P)) {
            uint64_t new = new_table();
            if (!new)
                return NULL;
            *e = new | PTE_P | PTE_RW | PTE_A | (va < M2P_RW_START ? PTE_US : 0);
        }
        ASSERT(!(l < 4 && (*e & PTE_PS)));
        table = table_va(*e);
    }
    return &table[pt_index(va, level)];
}

static uint64_t *entry_at(uint64_t va, unsigned level)
{
    uint64_t *e = entry_if_memory(va, level);

    if (!e)
        panic("out of memory for the hypervisor's page tables");
    return e;
}

static void invalidate(uint64_t va)
{
    __asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
}

static unsigned page_level(uint64_t va, uint64_t phys, uint64_t size, unsigned largest)
{
    for (unsigned level = largest; level > 1; level--) {
        uint64_t bytes = PAGE_SIZE << (9 * (level - 1));
        if (size >= bytes && ((va | phys) & (bytes - 1)) == 0)
            return level;
    }
    return 1;
}

void hv_map_range(uint64_t va, uint64_t phys, uint64_t size, uint64_t flags, unsigned largest)
{
    while (size) {
        unsigned level = page_level(va, phys, size, largest);
        uint64_t bytes = PAGE_SIZE << (9 * (level - 1)), f = flags;

        if (level > 1)
            f = (f & ~PTE_PAT) | PTE_PS | (flags & PTE_PAT ? BIG_PAT : 0);
        *entry_at(va, level) = phys | f;
        va += bytes;
        phys += bytes;
        size -= bytes;
    }
}

uint64_t *hv_l1_entry(uint64_t va)
{
    spin_lock(&mapping_lock);
    uint64_t *e = entry_at(va, 1);
    spin_unlock(&mapping_lock);
    return e;
}

void hv_map_page(uint64_t va, uint64_t phys, uint64_t flags)
{
    *hv_l1_entry(va) = (phys & PTE_ADDR) | flags;
    invalidate(va);
}

void hv_unmap_page(uint64_t va)
{
    *hv_l1_entry(va) = 0;
    invalidate(va);
}

const void *boot_map(unsigned slot, uint64_t phys, uint64_t size)
{
    uint64_t base = IOMAP_START + slot * BOOT_MAP_SLOT_SIZE;
    uint64_t first = ROUND_DOWN(phys, PAGE_SIZE), pages = (phys + size - first + PAGE_SIZE - 1) / PAGE_SIZE;

    ASSERT(slot < BOOT_MAP_SLOTS && size <= PAGE_2M);
    for (uint64_t i = 0; i < pages; i++)
        hv_map_page(base + i * PAGE_SIZE, first + i * PAGE_SIZE, PTE_P | PTE_A | PTE_NX);
    return (const void *)(base + (phys - first));
}

uint64_t hv_leaf(uint64_t va)
{
    uint64_t *table = hw_frame_va(hypervisor_root), e = 0;

    if (!hypervisor_root.n || pt_index(va, 4) < L4_RESERVED_FIRST || pt_index(va, 4) > L4_RESERVED_LAST)
        return 0;
    for (unsigned level = 4; level > 0; level--) {
        e = table[pt_index(va, level)];
        if (!(e & PTE_P) || (level > 1 && level < 4 && (e & PTE_PS)))
            break;
        table = table_va(e);
    }
    return e & PTE_P ? e : 0;
}

bool hv_page_mapped(uint64_t va)
{
    return hv_leaf(va) != 0;
}

/* Lock held. */
static void *io_map_locked(uint64_t phys, uint64_t size, bool write_combining)
{
    uint64_t cache = write_combining ? PTE_PAT : PTE_PCD | PTE_PWT; /* PAT_VALUE: entry 4 is WC, entry 3 UC */
    uint64_t first = ROUND_DOWN(phys, PAGE_SIZE), end = ROUND_UP(phys + size, PAGE_SIZE), va;

    /* Large pages need the same offset in both. */
    va = end - first >= PAGE_2M ? ROUND_UP(io_next, PAGE_2M) + (first & (PAGE_2M - 1)) : io_next;
    if (end <= first || end - first > IO_WINDOW_END - va)
        panic("no room to map I/O memory at %#lx", phys);
    io_next = va + (end - first) + PAGE_SIZE; /* a page between two */
    hv_map_range(va, first, end - first, FLAGS_RAM | PTE_RW | PTE_NX | cache, 2);
    return (void *)(va + (phys - first));
}

void *io_map(uint64_t phys, uint64_t size, bool write_combining)
{
    void *va;

    spin_lock(&mapping_lock);
    va = io_map_locked(phys, size, write_combining);
    spin_unlock(&mapping_lock);
    return va;
}

void *io_map_if_memory(uint64_t phys, uint64_t size)
{
    void *va = NULL;

    ASSERT(size <= PAGE_2M / 2); /* 4 KiB pages, in at most two tables */
    spin_lock(&mapping_lock);
    if (entry_if_memory(io_next, 1) && entry_if_memory(io_next + size + 2 * PAGE_SIZE, 1))
        va = io_map_locked(phys, size, false);
    spin_unlock(&mapping_lock);
    return va;
}

/* The machine-to-physical table is for guest kernels; user mode has tables of its own, in which it is not to be seen. */
static void show_m2p(uint64_t *l4, bool show)
{
    l4[pt_index(M2P_RO_START, 4)] = show ? m2p_l4_entry : 0;
}

void hw_load_l4(mfn_t l4)
{
    bool own = mfn_eq(l4, INVALID_MFN);
    mfn_t root = own ? hypervisor_root : l4;

    if (!own)
        show_m2p(hw_frame_va(l4), this_cpu()->current->in_kernel);
    tlb_note_flush();
    this_x86_cpu()->root_loaded = root;
    write_cr(3, root.n << PAGE_SHIFT);
    if (own)
        tlb_note_idle();
}

void hw_l4_fill_reserved(uint64_t *l4)
{
    const uint64_t *own = hw_frame_va(hypervisor_root);

    memcpy(&l4[L4_RESERVED_FIRST], &own[L4_RESERVED_FIRST], (L4_RESERVED_LAST - L4_RESERVED_FIRST + 1) * sizeof(*l4));
}
