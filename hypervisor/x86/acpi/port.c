/* SPDX-License-Identifier: MIT */
/* The port's small questions about processors and power, which platform_op passes on. */
#include "hw/hw.h"
#include "x86/acpi/acpi.h"
#include "x86/cpu/cpu.h"
#include "x86/cpu/topology.h"

bool hw_cpu_info(unsigned cpu, struct hw_cpu_info *info)
{
    if (cpu >= MAX_CPUS || !pcpus[cpu])
        return false;
    info->apic_id = x86_cpu_of(pcpus[cpu])->apic_id;
    info->acpi_id = x86_cpu_of(pcpus[cpu])->acpi_id;
    cpu_place(info->apic_id, &info->core, &info->socket);
    info->online = cpumask_test(&cpus_online, cpu);
    return true;
}

int hw_acpi_sleep(uint16_t pm1a, uint16_t pm1b, unsigned state)
{
    return acpi_enter_sleep(pm1a, pm1b, state);
}
