/* SPDX-License-Identifier: MIT */
/*
 * platform_op: what Domain 0 does to the machine: sets the time, asks for processors, switches off.
 *
 * Not offered: everything of the firmware's (disks, EDID, EFI): -ESRCH ends Linux's enumeration, -ENOSYS for EFI makes it go
 * on without; power management of processors: -ENOSYS, which its driver takes in silence; S3 (-EINVAL); MTRRs, microcode,
 * CPU hot-plug, resource_op, symbols: -ENOSYS.
 */
#include "hypercall/hypercall.h"
#include "core/time/wallclock.h"
#include <xen/platform.h>

#define SECONDS_MAX (1UL << 33) /* 270 years: no overflow in nanoseconds */

/* The new time of day, as it was at a moment of system time. */
static int64_t settime(uint64_t secs, uint32_t nsecs, uint64_t system_time)
{
    uint64_t utc_ns;
    int rc = policy_check(current_vcpu()->domain, MAY_SET_TIME, NULL);

    if (rc)
        return rc;
    if (secs >= SECONDS_MAX || nsecs >= SEC)
        return fail(-EINVAL);
    utc_ns = secs * SEC + nsecs;
    if (utc_ns < system_time)
        return fail(-EINVAL);
    wallclock_set(utc_ns - system_time);
    return 0;
}

static int64_t settime64(const struct xenpf_settime64 *op)
{
    return op->mbz ? fail(-EINVAL) : settime(op->secs, op->nsecs, op->system_time);
}

static int64_t firmware_info(const struct xenpf_firmware_info *op)
{
    switch (op->type) {
    case XEN_FW_DISK_INFO:
    case XEN_FW_DISK_MBR_SIGNATURE:
    case XEN_FW_VBEDDC_INFO:
    case XEN_FW_KBD_SHIFT_FLAGS:
        return fail(-ESRCH);
    case XEN_FW_EFI_INFO:
        return fail(-ENOSYS);
    default:
        return fail(-EINVAL);
    }
}

static int64_t enter_acpi_sleep(const struct xenpf_enter_acpi_sleep *op)
{
    int rc = policy_check(current_vcpu()->domain, MAY_SHUTDOWN_MACHINE, NULL);

    if (rc)
        return rc;
    if (op->flags & ~(uint32_t)XENPF_ACPI_SLEEP_EXTENDED)
        return fail(-EINVAL);
    if (op->flags) /* hardware-reduced ACPI has other registers */
        return fail(-EOPNOTSUPP);
    return hw_acpi_sleep(op->val_a, op->val_b, op->sleep_state);
}

static int64_t get_cpuinfo(struct xenpf_pcpuinfo *op)
{
    struct hw_cpu_info info;
    unsigned last = 0;

    for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++)
        if (hw_cpu_info(cpu, &info))
            last = cpu;
    op->max_present = last;
    op->apic_id = op->acpi_id = 0;
    op->flags = XEN_PCPU_FLAGS_INVALID;
    if (op->xen_cpuid < MAX_CPUS && hw_cpu_info(op->xen_cpuid, &info)) {
        op->apic_id = info.apic_id;
        op->acpi_id = info.acpi_id;
        op->flags = info.online ? XEN_PCPU_FLAGS_ONLINE : 0;
    }
    return 0;
}

HYPERCALL_HANDLER(platform_op)
{
    struct xen_platform_op op;
    int64_t rc = policy_check(current_vcpu()->domain, MAY_CONTROL_MACHINE, NULL);

    if (rc)
        return rc;
    if (copy_in(&op, args[0]))
        return fail(-EFAULT);
    if (op.interface_version != XENPF_INTERFACE_VERSION)
        return fail(-EACCES);
    trace(TRACE_HYPERCALL, "platform_op %u", op.cmd);
    switch (op.cmd) {
    case XENPF_settime32:
        return settime(op.u.settime32.secs, op.u.settime32.nsecs, op.u.settime32.system_time);
    case XENPF_settime64:
        return settime64(&op.u.settime64);
    case XENPF_firmware_info:
        return firmware_info(&op.u.firmware_info);
    case XENPF_enter_acpi_sleep:
        return enter_acpi_sleep(&op.u.enter_acpi_sleep);
    case XENPF_get_cpuinfo:
        rc = get_cpuinfo(&op.u.pcpu_info);
        return copy_out(args[0], &op) ? fail(-EFAULT) : rc;
    default:
        return fail(-ENOSYS);
    }
}
