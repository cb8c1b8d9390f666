/* SPDX-License-Identifier: MIT */
/*
 * The I/O APICs: which line goes to which vector of which CPU. All lines are masked until x86/irq routes them. And
 * the 8259 pair, which is only put out of the way.
 *
 * Lock: ioapic_lock (LOCK_IO) guards the index register of every I/O APIC and the copies of the low route words.
 */
#include "core/lib/fail.h"
#include "core/lib/lock.h"
#include "core/lib/print.h"
#include "hw/hw.h"
#include "x86/acpi/acpi.h"
#include "x86/apic/apic.h"
#include "x86/cpu/cpu.h"
#include "x86/irq/irq.h"
#include "x86/mmu/mmu.h"

#define IOAPIC_REG_ID      0
#define IOAPIC_REG_VERSION 1
#define IOAPIC_REG_ROUTE   0x10
#define IOAPIC_PINS_MAX    240
#define ROUTE_ACTIVE_LOW   (1u << 13)
#define ROUTE_LEVEL        (1u << 15)
#define ROUTE_MASKED       (1u << 16)
#define DEFAULT_ADDRESS    0xfec00000UL

struct ioapic {
    volatile uint32_t *mmio; /* [0] index, [4] data */
    uint64_t address;
    unsigned gsi_base, pins;
};
static struct ioapic ioapics[ACPI_IOAPICS_MAX];
static unsigned ioapics_count;
static unsigned gsi_count;
static uint32_t route_low[IRQS_MAX]; /* what each line's low word was last set to */
static struct spinlock ioapic_lock = SPINLOCK_INIT(LOCK_IO);

static uint32_t ioapic_read(const struct ioapic *a, unsigned reg)
{
    a->mmio[0] = reg;
    return a->mmio[4];
}

static void ioapic_write(const struct ioapic *a, unsigned reg, uint32_t value)
{
    a->mmio[0] = reg;
    a->mmio[4] = value;
}

/* Masks both 8259s, after moving their vectors off the exceptions: a spurious one must not look like a fault. */
void __init_only pic_disable(void)
{
    outb(0x20, 0x11);
    outb(0xa0, 0x11);
    outb(0x21, 0x20);
    outb(0xa1, 0x28);
    outb(0x21, 4);
    outb(0xa1, 2);
    outb(0x21, 1);
    outb(0xa1, 1);
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}

static void __init_only ioapic_add(uint64_t address, unsigned gsi_base)
{
    struct ioapic *a = &ioapics[ioapics_count];
    uint32_t version;

    if (gsi_base >= IRQS_MAX) {
        log_warn("I/O APIC at %#lx: lines from %u on are not supported", address, gsi_base);
        return;
    }
    a->mmio = io_map(address, PAGE_SIZE, false);
    a->address = address;
    a->gsi_base = gsi_base;
    version = ioapic_read(a, IOAPIC_REG_VERSION);
    if (version == ~0u) {
        log_warn("I/O APIC at %#lx does not answer", address);
        return;
    }
    a->pins = MIN(((version >> 16) & 0xff) + 1, IOAPIC_PINS_MAX);
    a->pins = MIN(a->pins, IRQS_MAX - gsi_base);
    for (unsigned pin = 0; pin < a->pins; pin++) {
        route_low[gsi_base + pin] = ROUTE_MASKED;
        ioapic_write(a, IOAPIC_REG_ROUTE + 2 * pin, ROUTE_MASKED);
        ioapic_write(a, IOAPIC_REG_ROUTE + 2 * pin + 1, 0);
    }
    gsi_count = MAX(gsi_count, gsi_base + a->pins);
    ioapics_count++;
}

void __init_only ioapic_init(void)
{
    for (unsigned i = 0; i < acpi_info.ioapics_count; i++)
        ioapic_add(acpi_info.ioapics[i].addr, acpi_info.ioapics[i].gsi_base);
    if (!ioapics_count && !acpi_info.present)
        ioapic_add(DEFAULT_ADDRESS, 0);
    if (!ioapics_count)
        log_warn("no I/O APIC: devices will have no interrupt lines");
}

static const struct ioapic *ioapic_of(unsigned gsi)
{
    for (unsigned i = 0; i < ioapics_count; i++)
        if (gsi >= ioapics[i].gsi_base && gsi - ioapics[i].gsi_base < ioapics[i].pins)
            return &ioapics[i];
    return NULL;
}

unsigned ioapic_gsi_count(void)
{
    return gsi_count;
}

bool ioapic_gsi_valid(unsigned gsi)
{
    return ioapic_of(gsi) != NULL;
}

void ioapic_set_route(unsigned gsi, const struct ioapic_route *r)
{
    const struct ioapic *a = ioapic_of(gsi);
    unsigned reg;
    uint32_t low;

    if (!a)
        return;
    reg = IOAPIC_REG_ROUTE + 2 * (gsi - a->gsi_base);
    low = r->vector | (r->active_low ? ROUTE_ACTIVE_LOW : 0) | (r->level ? ROUTE_LEVEL : 0) |
          (r->masked ? ROUTE_MASKED : 0);
    spin_lock(&ioapic_lock);
    /* Masked while the two halves do not belong together. */
    ioapic_write(a, reg, route_low[gsi] | ROUTE_MASKED);
    ioapic_write(a, reg + 1, r->dest_apic_id << 24);
    ioapic_write(a, reg, low);
    route_low[gsi] = low;
    spin_unlock(&ioapic_lock);
}

static void ioapic_set_mask(unsigned gsi, uint32_t mask)
{
    const struct ioapic *a = ioapic_of(gsi);

    if (!a)
        return;
    spin_lock(&ioapic_lock);
    if ((route_low[gsi] & ROUTE_MASKED) != mask) {
        route_low[gsi] ^= ROUTE_MASKED;
        ioapic_write(a, IOAPIC_REG_ROUTE + 2 * (gsi - a->gsi_base), route_low[gsi]);
        if (mask)
            (void)a->mmio[4]; /* the write must have arrived before the local EOI goes out */
    }
    spin_unlock(&ioapic_lock);
}

void ioapic_mask(unsigned gsi)
{
    ioapic_set_mask(gsi, ROUTE_MASKED);
}

void ioapic_unmask(unsigned gsi)
{
    ioapic_set_mask(gsi, 0);
}

/* Identification, version and routes, and only those: some chipsets have registers that reading changes. */
int hw_ioapic_read(uint64_t address, uint32_t reg, uint32_t *value)
{
    for (unsigned i = 0; i < ioapics_count; i++) {
        const struct ioapic *a = &ioapics[i];

        if (a->address != address)
            continue;
        if (reg > IOAPIC_REG_VERSION && (reg < IOAPIC_REG_ROUTE || reg >= IOAPIC_REG_ROUTE + 2 * a->pins))
            return fail(-EINVAL);
        spin_lock(&ioapic_lock);
        *value = ioapic_read(a, reg);
        spin_unlock(&ioapic_lock);
        return 0;
    }
    return fail(-EINVAL);
}
