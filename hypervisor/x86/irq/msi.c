/* SPDX-License-Identifier: MIT */
/*
 * Message-signalled interrupts: the hypervisor writes a device's message address and data (and thereby our vectors), and
 * masks; Domain 0 sets the enable bits in configuration space itself, and passes the address of the MSI-X table, which is
 * checked against the device.
 *
 * A message goes to one CPU, fixed, physical destination. Frames of an MSI-X table become read-only for the domain that has
 * it. Locks: irq_map_lock, but msi_set_mask(): the descriptor's.
 */
#include "core/domain/domain.h"
#include "core/lib/fail.h"
#include "core/lib/print.h"
#include "core/mem/frame.h"
#include "core/mem/mmu.h"
#include "x86/cpu/cpu.h"
#include "x86/irq/desc.h"
#include "x86/irq/pci.h"
#include "x86/mmu/mmu.h"

#define MSI_CONTROL        2
#define MSI_ENABLE         (1u << 0)
#define MSI_COUNT_SHIFT    4
#define MSI_COUNT_MASK     (7u << MSI_COUNT_SHIFT)
#define MSIX_BIR_MASK      7u
#define MSIX_ENTRY_SIZE    16u
#define MSIX_ENTRY_MASKED  1u
#define PCI_COMMAND        4
#define PCI_COMMAND_MEMORY (1u << 1)
#define MESSAGE_ADDRESS    0xfee00000u
#define CHIPSET_FIRST      0xfec00000UL /* I/O APICs, HPET, local APICs: no device has its table here */
#define CHIPSET_LAST       0xfeefffffUL

static struct {
    uint64_t phys; /* page */
    uint64_t size;
    void *va;
} tables[MSIX_TABLES_MAX]; /* mapped so far, for ever */
static unsigned tables_count;

static bool message_in_use(const struct pci_device *dev, const struct hw_msi_request *rq)
{
    for (unsigned i = 0; i < IRQS_MAX; i++) {
        const struct irq_desc *desc = &irqs[i];

        if (desc->kind != IRQ_FREE && desc->dev == dev &&
            (desc->kind != IRQ_MSIX || !rq->msix || desc->entry == rq->entry))
            return true;
    }
    return false;
}

/* Whether the request can be had of the function at all. */
int msi_check(const struct hw_msi_request *rq, struct pci_device **out)
{
    struct pci_device *dev = pci_device_find((struct pci_address){rq->segment, rq->bus, rq->devfn});

    if (!dev)
        return fail(-ENODEV);
    if (rq->msix) {
        if (!dev->msix_cap || rq->entry >= dev->msix_entries || rq->count != 1)
            return fail(-EINVAL);
    } else if (!dev->msi_cap || rq->count > 1u << dev->msi_count_log2) {
        return fail(-EINVAL);
    }
    if (message_in_use(dev, rq))
        return fail(-EEXIST);
    *out = dev;
    return 0;
}

/* Memory of the machine or a device of the hypervisor: a BAR that Domain 0 has set so is no table. */
static bool table_range_ok(uint64_t first, uint64_t last)
{
    if (first <= CHIPSET_LAST && last >= CHIPSET_FIRST)
        return false;
    for (uint64_t n = first >> PAGE_SHIFT; n <= last >> PAGE_SHIFT; n++)
        if (mfn_valid(MFN(n)) && frame_of(MFN(n))->owner != FRAME_OWNER_IO)
            return false;
    return true;
}

static void *table_map(uint64_t phys, uint64_t size)
{
    for (unsigned i = 0; i < tables_count; i++)
        if (tables[i].phys == phys && tables[i].size >= size)
            return tables[i].va;
    if (tables_count == MSIX_TABLES_MAX)
        return NULL;
    tables[tables_count].phys = phys;
    tables[tables_count].size = size;
    tables[tables_count].va = io_map_if_memory(phys, size);
    return tables[tables_count].va ? tables[tables_count++].va : NULL;
}

/* Where the function's table is, checked against what the request says. */
static int table_locate(const struct pci_device *dev, const struct hw_msi_request *rq, uint64_t *phys, uint64_t *last)
{
    uint32_t where = pci_config_read(dev->at, dev->msix_cap + 4, 4);
    uint64_t bar;
    int rc = pci_bar_address(dev->at, where & MSIX_BIR_MASK, &bar);

    if (rc)
        return rc;
    *phys = bar + (where & ~MSIX_BIR_MASK);
    *last = *phys + dev->msix_entries * MSIX_ENTRY_SIZE - 1;
    if (rq->table_base != bar || *phys < bar || *last < *phys || *last >> cpu_features.phys_bits ||
        !table_range_ok(*phys, *last))
        return fail(-EINVAL);
    if (!(pci_config_read(dev->at, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY))
        return fail(-ENXIO);
    return 0;
}

int msi_map_table(struct pci_device *dev, const struct hw_msi_request *rq)
{
    uint64_t phys, first, last;
    void *va;
    int rc = table_locate(dev, rq, &phys, &last);

    if (rc)
        return rc;
    if (dev->messages)
        return dev->msix_phys == phys ? 0 : fail(-EBUSY);
    first = phys & PAGE_MASK;
    va = table_map(first, ROUND_UP(last + 1 - first, PAGE_SIZE));
    if (!va)
        return fail(-ENOMEM);
    dev->msix_table = (volatile uint32_t *)((char *)va + (phys - first));
    dev->msix_phys = phys;
    return 0;
}

int msi_protect_table(struct domain *d, const struct hw_msi_request *rq, uint64_t *phys)
{
    struct pci_device *dev;
    uint64_t bytes = 0;
    int rc;

    spin_lock(&irq_map_lock);
    rc = msi_check(rq, &dev);
    if (!rc)
        rc = msi_map_table(dev, rq);
    if (!rc) {
        *phys = dev->msix_phys;
        bytes = dev->msix_entries * MSIX_ENTRY_SIZE;
    }
    spin_unlock(&irq_map_lock);
    if (rc)
        return rc;
    return io_frames_readonly(d, *phys >> PAGE_SHIFT, (*phys + bytes - 1) >> PAGE_SHIFT, true);
}

static unsigned mask_register(const struct pci_device *dev)
{
    return dev->msi_cap + (dev->msi_64bit ? 0x10 : 0x0c);
}

static void program_msi(const struct irq_desc *first, uint32_t address)
{
    const struct pci_device *dev = first->dev;
    unsigned cap = dev->msi_cap, log2 = 0;

    while (1u << log2 < first->group)
        log2++;
    pci_config_write(dev->at, cap + 4, 4, address);
    if (dev->msi_64bit)
        pci_config_write(dev->at, cap + 8, 4, 0);
    pci_config_write(dev->at, cap + (dev->msi_64bit ? 0x0c : 8), 2, first->vector);
    pci_config_change(dev->at, cap + MSI_CONTROL, 2, MSI_COUNT_MASK, log2 << MSI_COUNT_SHIFT);
}

static void program_msix(const struct irq_desc *desc, uint32_t address)
{
    volatile uint32_t *entry = desc->dev->msix_table + desc->entry * (MSIX_ENTRY_SIZE / 4);

    entry[3] |= MSIX_ENTRY_MASKED; /* a message must not be sent half changed */
    entry[0] = address;
    entry[1] = 0;
    entry[2] = desc->vector;
}

void msi_program(struct irq_desc *first)
{
    uint32_t address = MESSAGE_ADDRESS | x86_cpu_of(pcpus[first->cpu])->apic_id << 12;

    if (first->kind == IRQ_MSIX) {
        program_msix(first, address);
        return;
    }
    for (unsigned i = 0; i < first->group; i++)
        msi_set_mask(first + i, true);
    program_msi(first, address);
}

void msi_disable(struct irq_desc *first)
{
    const struct pci_device *dev = first->dev;
    unsigned cap = dev->msi_cap;

    if (first->kind == IRQ_MSIX) {
        msi_set_mask(first, true);
        return;
    }
    pci_config_change(dev->at, cap + MSI_CONTROL, 2, MSI_ENABLE, 0);
    pci_config_write(dev->at, cap + 4, 4, 0);
    pci_config_write(dev->at, cap + (dev->msi_64bit ? 0x0c : 8), 2, 0);
}

/* A function without mask bits keeps sending: what nobody takes is dropped on arrival. */
void msi_set_mask(struct irq_desc *desc, bool mask)
{
    const struct pci_device *dev = desc->dev;

    if (desc->kind == IRQ_MSIX) {
        volatile uint32_t *control = dev->msix_table + desc->entry * (MSIX_ENTRY_SIZE / 4) + 3;

        *control = mask ? *control | MSIX_ENTRY_MASKED : *control & ~MSIX_ENTRY_MASKED;
        (void)*control; /* the write has arrived */
    } else if (dev->msi_maskable) {
        uint32_t bit = 1u << desc->entry;

        pci_config_change(dev->at, mask_register(dev), 4, bit, mask ? bit : 0);
    }
}

int hw_pci_restore_msi(uint16_t segment, uint8_t bus, uint8_t devfn)
{
    struct pci_device *dev;
    int rc = 0;

    spin_lock(&irq_map_lock);
    dev = pci_device_find((struct pci_address){segment, bus, devfn});
    if (!dev)
        rc = -ENODEV;
    for (unsigned i = 0; dev && i < IRQS_MAX; i++) {
        struct irq_desc *desc = &irqs[i];

        if (desc->kind == IRQ_FREE || desc->dev != dev)
            continue;
        spin_lock_nested(&desc->lock);
        if (desc->kind == IRQ_MSIX || desc->group)
            msi_program(desc);
        msi_set_mask(desc, !desc->bound);
        spin_unlock(&desc->lock);
    }
    spin_unlock(&irq_map_lock);
    return rc ? fail(rc) : 0;
}
