/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration space and the functions that Domain 0 has reported.
 *
 * A guest's configuration access goes through here, so that message addresses and data, which name our vectors, stay ours.
 * Domain 0 may map the memory-mapped configuration space itself: that it does not write there what it must not is its own
 * affair, as with all DMA of its devices.
 * Not offered: MSI-X of SR-IOV virtual functions (their BARs are in the physical function); map_pirq refuses them.
 *
 * Locks: pci_lock (LOCK_PCI) makes each access through ports cf8/cfc one, and guards mmcfg_bus. The device list changes with
 * the pirq map lock and pci_lock held, and may be walked with either.
 */
#include "core/lib/fail.h"
#include "core/lib/lock.h"
#include "core/lib/print.h"
#include "core/mem/alloc.h"
#include "core/trace/trace.h"
#include "hw/hw.h"
#include "x86/acpi/acpi.h"
#include "x86/cpu/cpu.h"
#include "x86/irq/desc.h"
#include "x86/irq/pci.h"
#include "x86/mmu/mmu.h"

#define CF8_ENABLE           0x80000000u
#define PCI_STATUS_CAPS      (1u << 4)
#define PCI_CAP_MSI          0x05
#define PCI_CAP_MSIX         0x11
#define PCI_CAPS_LIMIT       48
#define MSI_CONTROL          2
#define MSI_CONTROL_ENABLE   (1u << 0)
#define MSI_CONTROL_64BIT    (1u << 7)
#define MSI_CONTROL_MASKABLE (1u << 8)

static struct list pci_devices = LIST_INIT(pci_devices);
static unsigned pci_devices_count;
static struct spinlock pci_lock = SPINLOCK_INIT(LOCK_PCI);
static volatile uint8_t *mmcfg_bus[ACPI_MCFG_MAX][256]; /* mapped when first used */

/* ---- Access ---------------------------------------------------------------------------------------------- */

/* The memory-mapped configuration space of a bus, NULL when there is none, or no memory to map it. pci_lock held. */
static volatile uint8_t *mmcfg_find(struct pci_address at)
{
    for (unsigned i = 0; i < acpi_info.mcfg_count; i++) {
        if (acpi_info.mcfg[i].segment != at.segment || at.bus < acpi_info.mcfg[i].first_bus ||
            at.bus > acpi_info.mcfg[i].last_bus)
            continue;
        if (!mmcfg_bus[i][at.bus])
            mmcfg_bus[i][at.bus] = io_map_if_memory(acpi_info.mcfg[i].addr + ((uint64_t)at.bus << 20), MIB);
        return mmcfg_bus[i][at.bus];
    }
    return NULL;
}

static uint32_t all_ones(unsigned bytes)
{
    return bytes == 4 ? ~0u : (1u << (8 * bytes)) - 1;
}

static uint32_t mmio_read(const volatile uint8_t *p, unsigned bytes)
{
    if (bytes == 1)
        return *p;
    if (bytes == 2)
        return *(const volatile uint16_t *)p;
    return *(const volatile uint32_t *)p;
}

static void mmio_write(volatile uint8_t *p, unsigned bytes, uint32_t value)
{
    if (bytes == 1)
        *p = (uint8_t)value;
    else if (bytes == 2)
        *(volatile uint16_t *)p = (uint16_t)value;
    else
        *(volatile uint32_t *)p = value;
}

static uint16_t select_register(struct pci_address at, unsigned reg)
{
    outl(0xcf8, CF8_ENABLE | (uint32_t)at.bus << 16 | (uint32_t)at.devfn << 8 | (reg & 0xfc));
    return (uint16_t)(0xcfc + (reg & 3));
}

static bool config_reachable(unsigned reg, unsigned bytes)
{
    return reg + bytes <= 4096 && !(reg & (bytes - 1));
}

static uint32_t config_read_locked(struct pci_address at, unsigned reg, unsigned bytes)
{
    if (at.segment || reg >= 256) {
        const volatile uint8_t *base = mmcfg_find(at);
        return base ? mmio_read(base + ((unsigned)at.devfn << 12) + reg, bytes) : all_ones(bytes);
    }
    uint16_t port = select_register(at, reg);
    return bytes == 1 ? inb(port) : bytes == 2 ? inw(port) : inl(port);
}

static void config_write_locked(struct pci_address at, unsigned reg, unsigned bytes, uint32_t value)
{
    if (at.segment || reg >= 256) {
        volatile uint8_t *base = mmcfg_find(at);
        if (base)
            mmio_write(base + ((unsigned)at.devfn << 12) + reg, bytes, value);
        return;
    }
    uint16_t port = select_register(at, reg);
    if (bytes == 1)
        outb(port, (uint8_t)value);
    else if (bytes == 2)
        outw(port, (uint16_t)value);
    else
        outl(port, value);
}

uint32_t pci_config_read(struct pci_address at, unsigned reg, unsigned bytes)
{
    uint32_t value;

    if (!config_reachable(reg, bytes))
        return all_ones(bytes);
    spin_lock(&pci_lock);
    value = config_read_locked(at, reg, bytes);
    spin_unlock(&pci_lock);
    return value;
}

void pci_config_write(struct pci_address at, unsigned reg, unsigned bytes, uint32_t value)
{
    if (!config_reachable(reg, bytes))
        return;
    spin_lock(&pci_lock);
    config_write_locked(at, reg, bytes, value);
    spin_unlock(&pci_lock);
}

void pci_config_change(struct pci_address at, unsigned reg, unsigned bytes, uint32_t clear, uint32_t set)
{
    spin_lock(&pci_lock);
    config_write_locked(at, reg, bytes, (config_read_locked(at, reg, bytes) & ~clear) | set);
    spin_unlock(&pci_lock);
}

int pci_bar_address(struct pci_address at, unsigned bar, uint64_t *address)
{
    unsigned header = pci_config_read(at, 0x0e, 1) & 0x7f;
    unsigned bars = header == 0 ? 6 : header == 1 ? 2 : 0;
    uint32_t low;

    if (bar >= bars)
        return fail(-EINVAL);
    low = pci_config_read(at, 0x10 + 4 * bar, 4);
    if (low & 1) /* an I/O BAR */
        return fail(-EINVAL);
    *address = low & ~0xfu;
    if ((low & 6) == 4) {
        if (bar + 1 >= bars)
            return fail(-EINVAL);
        *address |= (uint64_t)pci_config_read(at, 0x14 + 4 * bar, 4) << 32;
    }
    return *address ? 0 : fail(-EINVAL);
}

/* ---- Guests' accesses ------------------------------------------------------------------------------------ */

static struct pci_address cf8_address(uint32_t cf8)
{
    return (struct pci_address){0, (uint8_t)(cf8 >> 16), (uint8_t)(cf8 >> 8)};
}

/* Register that a port access means: AMD processors take bits 27..24 of the address as register bits 11..8. */
static bool cf8_register(uint32_t cf8, uint16_t port, unsigned bytes, unsigned *reg)
{
    if (!(cf8 & CF8_ENABLE) || (bytes != 1 && bytes != 2 && bytes != 4) || (port & 3) + bytes > 4 || port < 0xcfc ||
        port > 0xcff)
        return false;
    *reg = ((cf8 >> 16) & 0xf00) | (cf8 & 0xfc) | (port & 3);
    return config_reachable(*reg, bytes);
}

/* Bits of one configuration byte that a guest may change. */
static uint8_t guest_may_change(const struct pci_device *dev, unsigned reg)
{
    unsigned end;

    if (!dev || !dev->msi_cap || reg < dev->msi_cap)
        return 0xff;
    end = dev->msi_cap + (dev->msi_64bit ? 0x0eu : 0x0au);
    if (dev->msi_maskable)
        end = dev->msi_cap + (dev->msi_64bit ? 0x18u : 0x14u);
    if (reg >= end)
        return 0xff;
    return reg - dev->msi_cap == MSI_CONTROL ? MSI_CONTROL_ENABLE : 0;
}

uint32_t pci_config_read_guest(struct domain *d, uint32_t cf8, uint16_t port, unsigned bytes)
{
    unsigned reg;

    if (!cf8_register(cf8, port, bytes, &reg))
        return all_ones(bytes == 1 || bytes == 2 ? bytes : 4);
    return pci_config_read(cf8_address(cf8), reg, bytes);
}

void pci_config_write_guest(struct domain *d, uint32_t cf8, uint16_t port, unsigned bytes, uint32_t value)
{
    struct pci_address at = cf8_address(cf8);
    const struct pci_device *dev;
    uint32_t may = 0;
    unsigned reg;

    if (!cf8_register(cf8, port, bytes, &reg))
        return;
    trace(TRACE_PCI, "pci: dom%u writes %02x:%02x.%u+%#x <- %#x (%u)", d->id, at.bus, at.devfn >> 3, at.devfn & 7, reg,
          value, bytes);
    spin_lock(&pci_lock);
    dev = pci_device_find(at);
    for (unsigned i = 0; i < bytes; i++)
        may |= (uint32_t)guest_may_change(dev, reg + i) << (8 * i);
    if (may == all_ones(bytes))
        config_write_locked(at, reg, bytes, value);
    else if (may)
        config_write_locked(at, reg, bytes, (value & may) | (config_read_locked(at, reg, bytes) & ~may));
    spin_unlock(&pci_lock);
}

/* ---- Functions ------------------------------------------------------------------------------------------- */

static struct pci_device *record_find(struct pci_address at)
{
    struct pci_device *dev;

    list_for_each (dev, &pci_devices, link)
        if (dev->at.segment == at.segment && dev->at.bus == at.bus && dev->at.devfn == at.devfn)
            return dev;
    return NULL;
}

struct pci_device *pci_device_find(struct pci_address at)
{
    struct pci_device *dev = record_find(at);
    return dev && dev->present ? dev : NULL;
}

static void read_capabilities(struct pci_device *dev)
{
    unsigned at, control;

    dev->msi_cap = dev->msix_cap = 0;
    if (!(pci_config_read(dev->at, 0x06, 2) & PCI_STATUS_CAPS))
        return;
    at = pci_config_read(dev->at, 0x34, 1) & 0xfc;
    for (unsigned n = 0; n < PCI_CAPS_LIMIT && at >= 0x40; n++) {
        unsigned id = pci_config_read(dev->at, at, 1);

        control = pci_config_read(dev->at, at + MSI_CONTROL, 2);
        if (id == PCI_CAP_MSI && !dev->msi_cap) {
            dev->msi_cap = (uint16_t)at;
            dev->msi_64bit = control & MSI_CONTROL_64BIT;
            dev->msi_maskable = control & MSI_CONTROL_MASKABLE;
            dev->msi_count_log2 = MIN((control >> 1) & 7, 5u);
        } else if (id == PCI_CAP_MSIX && !dev->msix_cap) {
            dev->msix_cap = (uint16_t)at;
            dev->msix_entries = (control & 0x7ff) + 1;
        }
        at = pci_config_read(dev->at, at + 1, 1) & 0xfc;
    }
}

/* A record for the function, not in the list yet when it is new. Map lock held. */
static struct pci_device *record_get(struct pci_address at)
{
    struct pci_device *dev = record_find(at);

    if (dev || pci_devices_count >= PCI_DEVICES_MAX)
        return dev;
    dev = heap_alloc(sizeof(*dev));
    if (!dev)
        return NULL;
    dev->at = at;
    spin_lock(&pci_lock);
    list_add_tail(&dev->link, &pci_devices);
    pci_devices_count++;
    spin_unlock(&pci_lock);
    return dev;
}

int hw_pci_device_add(uint16_t segment, uint8_t bus, uint8_t devfn)
{
    struct pci_address at = {segment, bus, devfn};
    struct pci_device *dev;

    if (pci_config_read(at, 0, 2) == 0xffff)
        return fail(-ENODEV);
    spin_lock(&irq_map_lock);
    dev = record_get(at);
    if (dev && !dev->messages) {
        read_capabilities(dev);
        dev->present = true;
    }
    spin_unlock(&irq_map_lock);
    if (!dev)
        return fail(-ENOMEM);
    log_debug("PCI %04x:%02x:%02x.%u: MSI at %#x, MSI-X at %#x", segment, bus, devfn >> 3, devfn & 7, dev->msi_cap,
              dev->msix_cap);
    return 0;
}

int hw_pci_device_remove(uint16_t segment, uint8_t bus, uint8_t devfn)
{
    struct pci_device *dev;
    int rc = 0;

    spin_lock(&irq_map_lock);
    dev = pci_device_find((struct pci_address){segment, bus, devfn});
    if (!dev)
        rc = -ENODEV;
    else if (dev->messages)
        rc = -EBUSY;
    else
        dev->present = false;
    spin_unlock(&irq_map_lock);
    return rc ? fail(rc) : 0;
}
