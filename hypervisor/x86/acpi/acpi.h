/* SPDX-License-Identifier: MIT */
/* The static ACPI tables that the hypervisor needs: MADT, FADT, HPET, MCFG. No AML is run here: Domain 0 does that. */
#pragma once
#include "core/lib/types.h"
#define ACPI_CPUS_MAX      256
#define ACPI_IOAPICS_MAX   16
#define ACPI_OVERRIDES_MAX 32
#define ACPI_MCFG_MAX      8
struct acpi_info {
    bool present;
    struct {
        uint32_t apic_id, acpi_id;
        bool enabled;
    } cpus[ACPI_CPUS_MAX];
    unsigned cpus_count;
    uint64_t lapic_addr;
    struct {
        uint8_t id;
        uint64_t addr;
        uint32_t gsi_base;
    } ioapics[ACPI_IOAPICS_MAX];
    unsigned ioapics_count;
    struct {
        uint8_t irq;
        uint32_t gsi;
        bool level, active_low;
    } overrides[ACPI_OVERRIDES_MAX];
    unsigned overrides_count;
    bool has_8259;
    uint64_t hpet_addr;
    uint16_t pm_timer_port;
    bool pm_timer_32bit;
    uint16_t pm1a_cnt, pm1b_cnt, pm1a_evt, pm1b_evt;
    uint8_t pm1_evt_len;
    uint16_t sci_irq;
    bool reset_supported;
    uint8_t reset_space;
    uint64_t reset_addr;
    uint8_t reset_value;
    struct {
        uint64_t addr;
        uint16_t segment;
        uint8_t first_bus, last_bus;
    } mcfg[ACPI_MCFG_MAX];
    unsigned mcfg_count;
};
extern struct acpi_info acpi_info;
void acpi_init(uint64_t rsdp_phys); /* bounded reads of checked tables; says what is lost when there is none */
/* S5: val_a, val_b are PM1 control values from AML. */
int acpi_enter_sleep(uint16_t val_a, uint16_t val_b, unsigned state);
