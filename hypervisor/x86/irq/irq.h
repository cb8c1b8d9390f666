/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of devices: an irq descriptor joins a source (an I/O APIC line or an MSI) with a vector on one CPU and with who
 * takes it: the hypervisor (console UART) or a domain's PIRQ. irq numbers 0..gsi_count-1 are GSIs, MSIs follow.
 */
#pragma once
#include "core/lib/types.h"
#include "hw/hw.h"
#define IRQS_MAX 1024
void irq_init(void);
/* Hypervisor's own handler for a GSI; runs with interrupts off. 0, -EBUSY. */
int irq_request_gsi(unsigned gsi, void (*handler)(void *), void *arg);
/* The rest of what is asked of this part is in the port: hw_pirq_*, hw_gsi_*, hw_pci_* (hw/hw.h). */
static inline void pirq_release_all(struct domain *d)
{
    hw_pirq_release_all(d);
}
