/* SPDX-License-Identifier: MIT */
/*
 * The table of contents: what is brought up, in order. Called by x86/boot/head.S on the boot CPU's stack, in 64-bit mode,
 * interrupts off, with the boot page tables.
 */
#include "core/domain/domain.h"
#include "core/lib/options.h"
#include "core/lib/print.h"
#include "core/mem/alloc.h"
#include "core/sched/sched.h"
#include "core/trace/conring.h"
#include "core/trace/latency.h"
#include "x86/acpi/acpi.h"
#include "x86/apic/apic.h"
#include "x86/boot/boot.h"
#include "x86/console/console.h"
#include "x86/cpu/cpu.h"
#include "x86/irq/irq.h"
#include "x86/mmu/mmu.h"
#include "x86/pv/pv.h"
#include "x86/time/time.h"

void __noreturn hypervisor_main(uint32_t magic, uint64_t multiboot_phys);

void __noreturn hypervisor_main(uint32_t magic, uint64_t multiboot_phys)
{
    multiboot_parse(magic, multiboot_phys); /* copies all that is needed of the loader's data */
    options_parse(boot_info.command_line);
    console_early_init();
    print_raw("Hospes, a type-1 hypervisor (%s)\n", boot_info.loader);
    memory_init();   /* page tables, frame table, allocator */
    cpu_boot_init(); /* this CPU: descriptor tables, features */
    acpi_init(boot_info.rsdp);
    lapic_boot_init();
    lapic_cpu_init();
    ioapic_init();
    time_boot_init();
    irq_init();
    fpu_boot_init();
    cpu_policies_init();
    domain_subsystem_init();
    sched_init();
    sched_cpu_init(this_cpu());
    cpus_start_all();
    hv_protection_init();
    time_discipline_start();
    keys_init();
    provoke_init();
    console_irq_init();
    dom0_build(&boot_info);
    log_info("Domain 0 starts: %lu ns since entry", hw_now_ns());
    console_give_up_vga();
    scrub_start();
    LATENCY(latency_init());
    domain_control_unpause(domain0);
    return_to_guest();
}
