/* SPDX-License-Identifier: MIT */
/*
 * sysctl: what the tools ask about the machine as a whole. The table in sysctl.c names every operation and its handler; the
 * handlers stand in one file per family and get the struct that was copied in.
 *
 * A handler gives 0 and has changed in the struct what goes back to the caller, or -errno.
 */
#pragma once
#include "hypercall/hypercall.h"
#include <xen/sysctl.h>

typedef int sysctl_handler(struct xen_sysctl *op);
/* console.c */
sysctl_handler sysctl_readconsole, sysctl_debug_keys;
/* domains.c */
sysctl_handler sysctl_getdomaininfolist, sysctl_cpupool_op, sysctl_sched_id, sysctl_scheduler_op;
/* machine.c */
sysctl_handler sysctl_physinfo, sysctl_getcpuinfo, sysctl_availheap, sysctl_cputopoinfo, sysctl_numainfo;
/* cpu_policy.c */
sysctl_handler sysctl_get_cpu_policy, sysctl_get_cpu_featureset, sysctl_get_cpu_levelling_caps;
