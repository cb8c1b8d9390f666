/* SPDX-License-Identifier: MIT */
/*
 * PCI: configuration space (ports cf8/cfc below 256, MMCFG above), and the functions that Domain 0 has reported, with their
 * MSI and MSI-X capabilities.
 */
#pragma once
#include "core/lib/types.h"
#include "core/lib/list.h"

struct domain;
struct irq_desc;

#define PCI_DEVICES_MAX 1024
#define MSI_COUNT_MAX   32
#define MSIX_TABLES_MAX 512 /* different addresses of tables, ever: I/O mappings are for ever */

struct pci_address {
    uint16_t segment;
    uint8_t bus, devfn;
};
struct pci_device {
    struct list link;
    struct pci_address at;
    bool present;               /* reported and not removed; records stay */
    uint16_t msi_cap, msix_cap; /* offsets; 0: none */
    bool msi_64bit, msi_maskable;
    uint8_t msi_count_log2; /* messages that the function can send */
    uint16_t msix_entries;
    uint64_t msix_phys; /* the table as mapped now; 0: not yet */
    volatile uint32_t *msix_table;
    unsigned messages; /* irqs that hold messages of it */
};

/* Any function; all ones where there is none. bytes is 1, 2 or 4 and reg a multiple of it. */
uint32_t pci_config_read(struct pci_address at, unsigned reg, unsigned bytes);
void pci_config_write(struct pci_address at, unsigned reg, unsigned bytes, uint32_t value);
/* Clears, then sets bits of a register, as one. */
void pci_config_change(struct pci_address at, unsigned reg, unsigned bytes, uint32_t clear, uint32_t set);
/* A guest's access to ports cfc..cff: `cf8` is the address it has latched, `port` the port, bytes 1, 2 or 4. The caller has
 * checked that the domain may do this. Writes to message addresses, data and masks are dropped: those are ours. */
uint32_t pci_config_read_guest(struct domain *d, uint32_t cf8, uint16_t port, unsigned bytes);
void pci_config_write_guest(struct domain *d, uint32_t cf8, uint16_t port, unsigned bytes, uint32_t value);

struct pci_device *pci_device_find(struct pci_address at); /* NULL: not reported; under the pirq map lock */
int pci_bar_address(struct pci_address at, unsigned bar, uint64_t *address); /* memory BARs; -EINVAL */
