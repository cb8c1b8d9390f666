/* SPDX-License-Identifier: MIT */
/*
 * The sysctl hypercall: version check, dispatch, copy out. What is not in the table is -ENOSYS, which the tools take: performance
 * counters, trace buffers, power management, CPU hot-plug, offlining of memory, coverage, live patches, PCI topology.
 */
#include "hypercall/sysctl/sysctl.h"
#include "hw/nospec.h"

static sysctl_handler *const handlers[] = {
    [XEN_SYSCTL_readconsole] = sysctl_readconsole,
    [XEN_SYSCTL_physinfo] = sysctl_physinfo,
    [XEN_SYSCTL_sched_id] = sysctl_sched_id,
    [XEN_SYSCTL_getdomaininfolist] = sysctl_getdomaininfolist,
    [XEN_SYSCTL_debug_keys] = sysctl_debug_keys,
    [XEN_SYSCTL_getcpuinfo] = sysctl_getcpuinfo,
    [XEN_SYSCTL_availheap] = sysctl_availheap,
    [XEN_SYSCTL_cputopoinfo] = sysctl_cputopoinfo,
    [XEN_SYSCTL_numainfo] = sysctl_numainfo,
    [XEN_SYSCTL_cpupool_op] = sysctl_cpupool_op,
    [XEN_SYSCTL_scheduler_op] = sysctl_scheduler_op,
    [XEN_SYSCTL_get_cpu_levelling_caps] = sysctl_get_cpu_levelling_caps,
    [XEN_SYSCTL_get_cpu_featureset] = sysctl_get_cpu_featureset,
    [XEN_SYSCTL_get_cpu_policy] = sysctl_get_cpu_policy,
};

HYPERCALL_HANDLER(sysctl)
{
    struct xen_sysctl op;
    int rc;

    if (copy_in(&op, args[0]))
        return fail(-EFAULT);
    trace(TRACE_HYPERCALL, "sysctl %u version %x", op.cmd, op.interface_version);
    if (op.interface_version != XEN_SYSCTL_INTERFACE_VERSION)
        return fail(-EACCES);
    rc = policy_check(current_vcpu()->domain, MAY_CONTROL_MACHINE, NULL);
    if (rc)
        return rc;
    if (op.cmd >= ARRAY_SIZE(handlers) || !handlers[op.cmd])
        return fail(-ENOSYS);
    rc = handlers[index_nospec(op.cmd, ARRAY_SIZE(handlers))](&op);
    /* -ENOBUFS tells how much room it takes. */
    if ((!rc || rc == -ENOBUFS) && copy_out(args[0], &op))
        return fail(-EFAULT);
    return rc;
}
