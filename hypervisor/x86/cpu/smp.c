/* SPDX-License-Identifier: MIT */
/*
 * Bringing up the other processors, one after the other, and stopping them for good.
 *
 * States of x86_cpu.state (who moves it):
 *   STARTING --AP, in ap_start--> ALIVE --boot CPU--> SYNC (both measure the TSC offset) --AP--> ONLINE
 *   STARTING --boot CPU, after a second--> GIVEN_UP: an AP that comes later sees that and halts
 * A CPU is in pcpus[] from SYNC on, in cpus_online only when ONLINE. Only the boot CPU runs cpus_start_all().
 */
#include "core/lib/fail.h"
#include "core/lib/options.h"
#include "core/lib/print.h"
#include "core/lib/string.h"
#include "core/mem/alloc.h"
#include "core/mem/pte.h"
#include "core/mem/tlb.h"
#include "x86/acpi/acpi.h"
#include "x86/apic/apic.h"
#include "x86/boot/boot.h"
#include "x86/cpu/cpu.h"
#include "x86/cpu/percpu.h"
#include "x86/pv/pv.h"
#include "x86/time/time.h"

enum { CPU_STARTING, CPU_ALIVE, CPU_SYNC, CPU_ONLINE, CPU_GIVEN_UP };

static unsigned maxcpus = MAX_CPUS;
OPTION_UINT(maxcpus, maxcpus, "use at most so many processors");

/* x86/boot/trampoline.S */
extern const char trampoline[], trampoline_end[], trampoline_gdt[], trampoline_gdt_pointer[], trampoline_jump[],
    trampoline_root[], trampoline_stack[], trampoline_64[];
void __noreturn ap_start(void);

static uint64_t trampoline_phys; /* its page below 1 MiB */
static mfn_t start_tables[4];    /* a root with the hypervisor's slots and that page */

/* ---- On the AP ---- */

static bool state_move(struct x86_cpu *c, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&c->state, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static bool state_wait(const struct x86_cpu *c, uint32_t state, unsigned microseconds)
{
    for (unsigned i = 0; __atomic_load_n(&c->state, __ATOMIC_ACQUIRE) != state; i++) {
        if (i == microseconds / 10)
            return false;
        udelay(10);
    }
    return true;
}

static void __noreturn halt_forever(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

void __noreturn ap_start(void)
{
    struct x86_cpu *c = this_x86_cpu();

    write_cr(3, hypervisor_root.n << PAGE_SHIFT);
    tlb_note_idle();
    if (!state_move(c, CPU_STARTING, CPU_ALIVE))
        halt_forever();
    cpu_load_tables(c);
    lapic_cpu_init();
    time_cpu_init();
    fpu_cpu_init();
    while (__atomic_load_n(&c->state, __ATOMIC_ACQUIRE) != CPU_SYNC)
        __builtin_ia32_pause();
    time_sync_cpu(c->core.id);
    sched_cpu_init(&c->core);
    __atomic_store_n(&c->state, CPU_ONLINE, __ATOMIC_RELEASE);
    return_to_guest();
}

/* ---- On the boot CPU ---- */

/* The highest free page of RAM below 640 KiB that the loader did not mark otherwise. */
static uint64_t find_low_page(void)
{
    uint64_t best = 0;

    for (unsigned i = 0; i < boot_info.e820_count; i++) {
        const struct e820_entry *e = &boot_info.e820[i];
        uint64_t end = MIN(e->addr + e->size, 0xa0000UL);

        if (e->type == E820_RAM && end >= MAX(e->addr, PAGE_SIZE) + PAGE_SIZE)
            best = end - PAGE_SIZE;
    }
    return ROUND_DOWN(best, PAGE_SIZE);
}

static void put32(const char *field, uint32_t value)
{
    char *page = (char *)(DIRECTMAP_START + trampoline_phys);
    memcpy(page + (field - trampoline), &value, sizeof(value));
}

static bool prepare_start(void)
{
    trampoline_phys = find_low_page();
    if (!trampoline_phys)
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(start_tables); i++) {
        start_tables[i] = alloc_frames(0, 32);
        if (mfn_eq(start_tables[i], INVALID_MFN))
            return false;
        hw_clear_frame(start_tables[i]);
    }
    hw_l4_fill_reserved(hw_frame_va(start_tables[0]));
    for (unsigned i = 0; i < 3; i++) {
        uint64_t *table = hw_frame_va(start_tables[i]);
        table[0] = pte_make(start_tables[i + 1], PTE_P | PTE_RW | PTE_A);
    }
    uint64_t *l1 = hw_frame_va(start_tables[3]);
    l1[trampoline_phys >> PAGE_SHIFT] = trampoline_phys | PTE_P | PTE_A; /* executable, not writable */

    memcpy((void *)(DIRECTMAP_START + trampoline_phys), trampoline, (size_t)(trampoline_end - trampoline));
    put32(trampoline_gdt_pointer + 2, (uint32_t)(trampoline_phys + (uint64_t)(trampoline_gdt - trampoline)));
    put32(trampoline_jump, (uint32_t)(trampoline_phys + (uint64_t)(trampoline_64 - trampoline)));
    put32(trampoline_root, (uint32_t)(start_tables[0].n << PAGE_SHIFT));
    return true;
}

/* The quick way, which every processor of this century takes; then the careful one of the specification. */
static bool wake(struct x86_cpu *c)
{
    uint8_t page = (uint8_t)(trampoline_phys >> PAGE_SHIFT);

    lapic_send_init(c->apic_id);
    udelay(10);
    lapic_send_startup(c->apic_id, page);
    if (state_wait(c, CPU_ALIVE, 20000))
        return true;
    lapic_send_init(c->apic_id);
    udelay(10000);
    for (unsigned i = 0; i < 2; i++) {
        lapic_send_startup(c->apic_id, page);
        if (state_wait(c, CPU_ALIVE, 200))
            return true;
    }
    return state_wait(c, CPU_ALIVE, 1000000) || !state_move(c, CPU_STARTING, CPU_GIVEN_UP);
}

static bool start_cpu(unsigned id, uint32_t apic_id, uint32_t acpi_id)
{
    struct x86_cpu *c = heap_alloc(sizeof(*c));

    if (!c) {
        log_warn("no memory for CPU %u", id);
        return false;
    }
    cpu_record_init(c, id, apic_id);
    c->acpi_id = acpi_id;
    uint64_t stack = cpu_stack_top(c);
    memcpy((char *)(DIRECTMAP_START + trampoline_phys) + (trampoline_stack - trampoline), &stack, sizeof(stack));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!wake(c)) {
        log_warn("CPU with APIC id %u does not start: not used", apic_id);
        return false; /* its record stays: it may still come */
    }
    pcpus[id] = &c->core;
    __atomic_store_n(&c->state, CPU_SYNC, __ATOMIC_RELEASE);
    time_sync_cpu(id);
    while (__atomic_load_n(&c->state, __ATOMIC_ACQUIRE) != CPU_ONLINE)
        hw_relax();
    cpumask_set(&cpus_online, id);
    return true;
}

/* Above 254 an APIC can only be named in x2APIC mode. */
static bool reachable(uint32_t apic_id)
{
    return apic_id < 255 || (rdmsr(MSR_APIC_BASE) & (1u << 10));
}

void cpus_start_all(void)
{
    struct x86_cpu *boot = this_x86_cpu();
    unsigned online = 1, given_up = 0, unused = 0;
    bool prepared = false;

    for (unsigned i = 0; i < acpi_info.cpus_count; i++) {
        uint32_t apic_id = acpi_info.cpus[i].apic_id;

        if (apic_id == boot->apic_id) {
            boot->acpi_id = acpi_info.cpus[i].acpi_id;
            continue;
        }
        if (!acpi_info.cpus[i].enabled)
            continue;
        if (online + given_up >= MIN(maxcpus, (unsigned)MAX_CPUS) || !reachable(apic_id)) {
            unused++;
            continue;
        }
        if (!prepared && !(prepared = prepare_start())) {
            log_warn("no memory to start other CPUs with: one CPU is used");
            return;
        }
        if (start_cpu(online + given_up, apic_id, acpi_info.cpus[i].acpi_id))
            online++;
        else
            given_up++;
    }
    if (prepared && !given_up)
        for (unsigned i = 0; i < ARRAY_SIZE(start_tables); i++)
            free_frames(start_tables[i], 0);
    log_info("CPUs: %u online", online);
    if (unused)
        log_warn("%u CPUs are not used (maxcpus=, or out of the APIC's reach)", unused);
}
