/* SPDX-License-Identifier: MIT */
/* What Domain 0 asks of the machine's memory: its map, and where the machine-to-physical table lies. Read-only after boot. */
#include "core/mem/pte.h"
#include "x86/boot/boot.h"
#include "x86/cpu/cpu.h"

_Static_assert(sizeof(struct hw_memory_range) == sizeof(struct e820_entry), "the ABI's layout");

unsigned hw_memory_map(const struct hw_memory_range **map)
{
    *map = (const struct hw_memory_range *)boot_info.e820;
    return boot_info.e820_count;
}

/* The table is mapped by 2 MiB entries (x86/boot/memory.c, M4). */
mfn_t hw_m2p_piece(unsigned index)
{
    uint64_t va = M2P_RW_START + index * 2 * MIB;
    mfn_t table = hypervisor_root;
    pte_t e;

    if (index * 2 * MIB / sizeof(hw_m2p[0]) >= hw_frames_max)
        return INVALID_MFN;
    for (unsigned level = 4; level > 2; level--) {
        e = ((const pte_t *)hw_frame_va(table))[pt_index(va, level)];
        if (!(e & PTE_P))
            return MFN(0);
        table = pte_mfn(e);
    }
    e = ((const pte_t *)hw_frame_va(table))[pt_index(va, 2)];
    return e & PTE_P ? MFN((e & PTE_ADDR & ~(2 * MIB - 1)) >> PAGE_SHIFT) : MFN(0);
}
