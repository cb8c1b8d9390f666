/* SPDX-License-Identifier: MIT */
/* sysctl: processors and memory of the machine, which is one NUMA node. */
#include "hypercall/sysctl/sysctl.h"
#include "core/mem/alloc.h"

#define NODE_DISTANCE 10 /* to itself, as ACPI has it */

/* CPUs are numbered from 0 without holes, those that did not start included. */
static unsigned cpus_count(void)
{
    struct hw_cpu_info info;
    unsigned n = 0;

    while (hw_cpu_info(n, &info))
        n++;
    return n;
}

static unsigned cpus_online_count(void)
{
    unsigned n = 0, cpu;

    for_each_cpu (cpu, &cpus_online)
        n++;
    return n;
}

int sysctl_physinfo(struct xen_sysctl *op)
{
    struct xen_sysctl_physinfo *p = &op->u.physinfo;
    struct hw_machine_info m;

    hw_machine_info(&m);
    *p = (struct xen_sysctl_physinfo){
        .threads_per_core = m.threads_per_core,
        .cores_per_socket = m.cores_per_socket,
        .nr_cpus = cpus_online_count(),
        .max_cpu_id = cpus_count() - 1,
        .nr_nodes = 1,
        .cpu_khz = m.cpu_khz,
        .capabilities = XEN_SYSCTL_PHYSCAP_pv | XEN_SYSCTL_PHYSCAP_gnttab_v1,
        .total_pages = alloc_total_count(),
        .free_pages = alloc_free_count(),
        .scrub_pages = alloc_dirty_count(), /* part of the free ones: they may be had, cleared on the way */
        .outstanding_pages = alloc_claimed_count(),
        .max_mfn = hw_frames_max - 1,
    };
    memcpy(p->hw_cap, m.features, sizeof(p->hw_cap));
    return 0;
}

int sysctl_getcpuinfo(struct xen_sysctl *op)
{
    struct xen_sysctl_getcpuinfo *g = &op->u.getcpuinfo;
    unsigned n = MIN(g->max_cpus, cpus_count());

    for (unsigned i = 0; i < n; i++) {
        struct xen_sysctl_cpuinfo info = {.idletime = cpumask_test(&cpus_online, i) ? sched_idle_ns(i) : 0};

        if (copy_out((uint64_t)g->info.p + i * sizeof(info), &info))
            return fail(-EFAULT);
    }
    g->nr_cpus = n;
    return 0;
}

/* Free memory below an address is not counted apart. */
int sysctl_availheap(struct xen_sysctl *op)
{
    struct xen_sysctl_availheap *h = &op->u.availheap;

    if (h->min_bitwidth || h->max_bitwidth)
        return fail(-EOPNOTSUPP);
    h->avail_bytes = h->node > 0 ? 0 : alloc_free_count() * PAGE_SIZE;
    return 0;
}

int sysctl_cputopoinfo(struct xen_sysctl *op)
{
    struct xen_sysctl_cputopoinfo *t = &op->u.cputopoinfo;
    unsigned cpus = cpus_count(), n = MIN(t->num_cpus, cpus);
    uint64_t to = (uint64_t)t->cputopo.p;

    for (unsigned i = 0; to && i < n; i++) {
        struct xen_sysctl_cputopo place = {XEN_INVALID_CORE_ID, XEN_INVALID_SOCKET_ID, XEN_INVALID_NODE_ID};
        struct hw_cpu_info info;

        if (hw_cpu_info(i, &info) && info.online)
            place = (struct xen_sysctl_cputopo){info.core, info.socket, 0};
        if (copy_out(to + i * sizeof(place), &place))
            return fail(-EFAULT);
    }
    t->num_cpus = cpus;
    return 0;
}

int sysctl_numainfo(struct xen_sysctl *op)
{
    struct xen_sysctl_numainfo *n = &op->u.numainfo;
    struct xen_sysctl_meminfo memory = {alloc_total_count() * PAGE_SIZE, alloc_free_count() * PAGE_SIZE};
    uint64_t to_memory = (uint64_t)n->meminfo.p, to_distance = (uint64_t)n->distance.p;
    uint32_t distance = NODE_DISTANCE;

    if (n->num_nodes &&
        ((to_memory && copy_out(to_memory, &memory)) || (to_distance && copy_out(to_distance, &distance))))
        return fail(-EFAULT);
    n->num_nodes = 1;
    return 0;
}
