/* SPDX-License-Identifier: MIT */
/*
 * What of the machine Domain 0 may touch directly: all that the hypervisor does not drive itself. RAM that the hypervisor
 * manages is never among it; firmware's tables, the first MiB and devices are.
 *
 * Ports that are emulated for Domain 0 (x86/pv/io.c: CMOS, PCI configuration, speaker) are allowed here: that file decides.
 * The HPET's page is allowed: Linux maps it whether or not it may, and would fault. The hypervisor only ever reads its
 * counter.
 */
#include "core/lib/fail.h"
#include "x86/acpi/acpi.h"
#include "x86/console/console.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/dom0/dom0.h"

#define LOW_MEMORY_PAGES (MIB / PAGE_SIZE)
#define APIC_WINDOW      0xfee00000UL /* local APIC and message interrupts */

static void must(int rc)
{
    if (rc)
        panic("Domain 0: no memory for its access rights (%d)", rc);
}

static void grant_ports(struct domain *d)
{
    static const struct range denied[] = {
        {0x20, 0x21},
        {0xa0, 0xa1}, /* 8259 */
        {0x40, 0x43}, /* 8254 */
    };

    must(rangeset_add(&d->io_ports, 0, 0xffff));
    for (unsigned i = 0; i < ARRAY_SIZE(denied); i++)
        must(rangeset_remove(&d->io_ports, denied[i].first, denied[i].last));
    for (uint32_t port = 0; port <= 0xffff; port++)
        if (console_owns_port((uint16_t)port))
            must(rangeset_remove(&d->io_ports, port, port));
}

static void deny_page(struct domain *d, uint64_t address)
{
    must(rangeset_remove(&d->io_frames, address >> PAGE_SHIFT, address >> PAGE_SHIFT));
}

static void grant_frames(struct domain *d, const struct boot_info *boot)
{
    must(rangeset_add(&d->io_frames, 0, (1UL << (cpu_features.phys_bits - PAGE_SHIFT)) - 1));
    for (unsigned i = 0; i < boot->e820_count; i++) {
        const struct e820_entry *e = &boot->e820[i];
        uint64_t first = MAX(DIV_ROUND_UP(e->addr, PAGE_SIZE), LOW_MEMORY_PAGES);
        uint64_t end = (e->addr + e->size) >> PAGE_SHIFT;

        if (e->type == E820_RAM && first < end)
            must(rangeset_remove(&d->io_frames, first, end - 1));
    }
    must(rangeset_remove(&d->io_frames, APIC_WINDOW >> PAGE_SHIFT, (APIC_WINDOW + MIB - 1) >> PAGE_SHIFT));
    if (acpi_info.lapic_addr)
        deny_page(d, acpi_info.lapic_addr);
    for (unsigned i = 0; i < acpi_info.ioapics_count; i++)
        deny_page(d, acpi_info.ioapics[i].addr);
}

void dom0_grant_rights(struct domain *d, const struct boot_info *boot)
{
    grant_ports(d);
    grant_frames(d, boot);
    if (hw_pirq_max())
        must(rangeset_add(&d->io_irqs, 0, hw_pirq_max() - 1));
}
