/* SPDX-License-Identifier: MIT */
/*
 * What the hypervisor's own page tables allow, looked at entry by entry: nothing both writable and executable, no executable page
 * that has a writable alias in the direct map, nothing for guests but the read-only machine-to-physical table, and below each of a
 * CPU's stacks a page that is not there. Looked at once all processors are up, and by the key 'w'.
 *
 * Only reads, and intermediate tables are never freed (mmu.c): no lock.
 */
#include "core/lib/print.h"
#include "core/mem/pte.h"
#include "core/trace/conring.h"
#include "hw/hw.h"
#include "x86/cpu/cpu.h"
#include "x86/cpu/percpu.h"
#include "x86/mmu/mmu.h"

#define PRINT_MAX 8

struct tally {
    uint64_t executable, writable, guests; /* KiB */
    unsigned wrong;
};

static void complain(struct tally *t, uint64_t va, const char *what)
{
    if (t->wrong++ < PRINT_MAX)
        print_raw("(HV) memory protection: %lx is %s\n", va, what);
}

/* An entry that maps memory; rights are the entry's own, for those above it allow everything. */
static void look_at_leaf(struct tally *t, uint64_t va, pte_t e, unsigned level)
{
    uint64_t kib = (PAGE_SIZE << (9 * (level - 1))) / KIB;
    bool m2p = va >= M2P_RO_START && va < M2P_RW_START;

    if (e & PTE_RW)
        t->writable += kib;
    if (m2p ? (e & PTE_RW) != 0 : (e & PTE_US) != 0)
        complain(t, va, "open to guests");
    if (m2p)
        t->guests += kib;
    if (e & PTE_NX)
        return;
    t->executable += kib;
    if (e & PTE_RW)
        complain(t, va, "writable and executable");
    if (level != 1 || (hv_leaf(DIRECTMAP_START + (e & PTE_ADDR)) & PTE_RW))
        complain(t, va, "executable, and writable elsewhere");
}

/* Looks at the entry that maps va, if any. Bytes that it stands for. */
static uint64_t look_at(struct tally *t, uint64_t va)
{
    const pte_t *table = hw_frame_va(hypervisor_root);
    unsigned level = 4;
    pte_t e;

    for (;; level--) {
        e = table[pt_index(va, level)];
        if (!(e & PTE_P) || level == 1 || (level < 4 && (e & PTE_PS)))
            break;
        table = hw_frame_va(pte_mfn(e));
    }
    if (e & PTE_P)
        look_at_leaf(t, va, e, level);
    return PAGE_SIZE << (9 * (level - 1));
}

static void look_at_stacks(struct tally *t)
{
    unsigned cpu;

    for_each_cpu (cpu, &cpus_online)
        for (unsigned i = 0; i < STACKS_COUNT; i++) {
            uint64_t lowest = cpu_stack_lowest(x86_cpu_of(pcpus[cpu]), i);

            if (!hv_page_mapped(lowest) || hv_page_mapped(lowest - 1))
                complain(t, lowest, "a stack without a guard page");
        }
}

bool hv_protection_check(void)
{
    struct tally t = {0};

    for (uint64_t va = HYPERVISOR_START; va < HYPERVISOR_END;)
        va += look_at(&t, va);
    look_at_stacks(&t);
    print_raw(
        "(HV) memory protection: %s: %lu KiB executable, %lu KiB writable, none both; %lu KiB for guests to read\n",
        t.wrong ? "WRONG" : "right", t.executable, t.writable, t.guests);
    return !t.wrong;
}

static void key_protection(void)
{
    (void)hv_protection_check();
}

void hv_protection_init(void)
{
    if (!hv_protection_check())
        panic("the hypervisor's memory is not protected");
    key_register('w', "what our own page tables allow", key_protection);
}
