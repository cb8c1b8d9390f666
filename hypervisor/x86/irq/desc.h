/* SPDX-License-Identifier: MIT */
/*
 * Interrupt descriptors, shared by irq.c (descriptors, vectors, dispatch), pirq.c (which domain has which) and msi.c
 * (messages).
 *
 * Locks: irq_map_lock (LOCK_PIRQ) guards who owns what: descriptors' kind, owner, pirq, vector, message; all vector tables;
 * the PCI device list. A descriptor's own lock (LOCK_PIRQ, nested inside the map lock) guards what changes with each
 * interrupt: bound, waiting, the mask; it alone is taken on an interrupt and on a guest's EOI.
 */
#pragma once
#include "core/lib/lock.h"
#include "core/lib/types.h"
#include "x86/irq/irq.h"

struct domain;
struct pci_device;

enum irq_kind { IRQ_FREE = 0, IRQ_GSI, IRQ_MSI, IRQ_MSIX };

struct irq_desc {
    struct spinlock lock;
    uint8_t kind;            /* [map, lock] enum irq_kind */
    uint8_t vector;          /* [map] 0: none yet */
    uint16_t cpu;            /* [map] whose vector */
    bool level;              /* [map, lock] */
    bool active_low;         /* [map, lock] */
    bool set_up;             /* [map] the trigger was told by Domain 0 */
    bool bound;              /* [lock] an event channel takes it: unmasked */
    bool shared;             /* [lock] bound as "will share" */
    bool waiting;            /* [lock] level: masked until the domain's EOI */
    uint32_t active;         /* [a] CPUs between taking it and having told the owner */
    struct domain *owner;    /* [map, lock] NULL: no domain */
    uint32_t pirq;           /* [map, lock] the owner's number */
    void (*handler)(void *); /* [map] the hypervisor's own; it then is not a domain's to bind */
    void *arg;
    struct pci_device *dev; /* [map, lock] of a message */
    uint16_t entry;         /* [map, lock] MSI-X table index, or number in a group of MSIs */
    uint16_t group;         /* [map] MSIs of the group; in its first descriptor */
    uint64_t count, dropped;
};
extern struct irq_desc irqs[IRQS_MAX];
extern struct spinlock irq_map_lock;
unsigned irq_number(const struct irq_desc *desc);

/* ---- irq.c ---- map lock held */
/* `count` (1, 2, 4..32) free descriptors in a row for messages; NULL: none left. */
struct irq_desc *irq_alloc_messages(unsigned count);
/* Vectors for `count` descriptors in a row, aligned and on one CPU when several; preferably where d's vCPU 0 may run.
 * 0, -ENOSPC. */
int irq_assign_vectors(struct irq_desc *first, unsigned count, const struct domain *d);
void irq_release_vector(struct irq_desc *desc);
void irq_route_gsi(struct irq_desc *desc, bool masked); /* writes the I/O APIC's route */
void irq_mask(struct irq_desc *desc);                   /* desc lock held */
void irq_unmask(struct irq_desc *desc);                 /* desc lock held */
/* Waits until no CPU is telling the former owner about it. The descriptor is masked and has no owner; no lock held. */
void irq_synchronise(struct irq_desc *desc);

/* ---- msi.c ---- map lock held but for the mask */
struct hw_msi_request;
int msi_check(const struct hw_msi_request *rq, struct pci_device **dev);
int msi_map_table(struct pci_device *dev, const struct hw_msi_request *rq); /* MSI-X; again is nothing */
/* Finds and maps the MSI-X table, and takes the right to write its frames from the domain. No lock held. */
int msi_protect_table(struct domain *d, const struct hw_msi_request *rq, uint64_t *phys);
void msi_program(struct irq_desc *first); /* writes the message of a descriptor or group, masked */
void msi_disable(struct irq_desc *first); /* no message may come any more */
void msi_set_mask(struct irq_desc *desc, bool mask);
