/* SPDX-License-Identifier: MIT */
/* The local APIC (xAPIC by memory, x2APIC by MSR) and the I/O APICs. */
#pragma once
#include "core/lib/types.h"
#include "core/lib/bitmap.h"
void lapic_boot_init(void); /* detects, maps, chooses x2APIC (option x2apic=); boot CPU */
void lapic_cpu_init(void);  /* on each CPU */
void lapic_eoi(void);
void lapic_send_ipi(uint32_t apic_id, uint8_t vector);
void lapic_send_init(uint32_t apic_id);
void lapic_send_startup(uint32_t apic_id, uint8_t page);
void lapic_send_nmi(uint32_t apic_id);
void lapic_timer_set_ticks(uint32_t ticks);  /* one-shot; 0 stops */
void lapic_timer_set_deadline(uint64_t tsc); /* TSC-deadline mode */
uint32_t lapic_timer_count(void);            /* what is left of the ticks */
uint32_t lapic_take_errors(void);            /* error status since the last call */
extern uint64_t lapic_timer_hz;              /* x86/time calibrates */

struct ioapic_route {
    uint8_t vector;
    bool level, active_low, masked;
    uint32_t dest_apic_id;
};
void pic_disable(void);          /* the 8259s; before the local APIC stops taking their interrupts */
void ioapic_init(void);          /* from the MADT; masks everything */
unsigned ioapic_gsi_count(void); /* highest GSI + 1 */
bool ioapic_gsi_valid(unsigned gsi);
void ioapic_set_route(unsigned gsi, const struct ioapic_route *r);
void ioapic_mask(unsigned gsi);
void ioapic_unmask(unsigned gsi);
