/* SPDX-License-Identifier: MIT */
/* The rest: versions, console, sysctl, platform, interrupt lines, what is x86's own, numbers without a call; and multicalls of anything. */
#include "model.h"
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sysctl.h>
#include <xen/version.h>

static bool make_version(struct vcpu *v, struct call *c)
{
    void *p = memset(arg_room(v, 1024), 0, 1024);

    *c = (struct call){.nr = __HYPERVISOR_xen_version, .args = {rnd(13), arg_address(v, p, 1024)}};
    return true;
}

static bool make_assist(struct vcpu *v, struct call *c)
{
    *c = (struct call){.nr = __HYPERVISOR_vm_assist, .args = {rnd(3), chance(8) ? rnd64() : rnd(34)}};
    return true;
}

static bool make_console(struct vcpu *v, struct call *c)
{
    unsigned n = rnd(chance(8) ? 400 : 40);

    *c = (struct call){.nr = __HYPERVISOR_console_io, .args = {rnd(3), n, arg_address(v, arg_room(v, 512), n)}};
    return true;
}

/* ---- physdev_op ---- */

static bool make_physdev(struct vcpu *v, struct call *c)
{
    static const uint8_t cmds[] = {PHYSDEVOP_eoi,
                                   PHYSDEVOP_irq_status_query,
                                   PHYSDEVOP_pirq_eoi_gmfn_v2,
                                   PHYSDEVOP_set_iopl,
                                   PHYSDEVOP_set_iobitmap,
                                   PHYSDEVOP_map_pirq,
                                   PHYSDEVOP_map_pirq,
                                   PHYSDEVOP_unmap_pirq,
                                   PHYSDEVOP_alloc_irq_vector,
                                   PHYSDEVOP_setup_gsi,
                                   PHYSDEVOP_apic_read,
                                   PHYSDEVOP_pci_device_add,
                                   PHYSDEVOP_pci_device_remove,
                                   PHYSDEVOP_restore_msi_ext,
                                   PHYSDEVOP_manage_pci_add,
                                   PHYSDEVOP_manage_pci_remove,
                                   PHYSDEVOP_restore_msi,
                                   PHYSDEVOP_pci_mmcfg_reserved,
                                   PHYSDEVOP_free_irq_vector,
                                   PHYSDEVOP_pirq_eoi_gmfn_v1,
                                   99};
    unsigned cmd = ONE_OF(cmds);
    uint64_t *op = memset(arg_room(v, 64), 0, 64);
    struct physdev_map_pirq *map = (void *)op;

    op[0] = rnd(30);
    op[1] = rnd(4);
    if (cmd == PHYSDEVOP_pirq_eoi_gmfn_v2)
        op[0] = pick_frame(v->domain).n;
    if (cmd == PHYSDEVOP_pci_device_add || cmd == PHYSDEVOP_pci_device_remove || cmd == PHYSDEVOP_restore_msi_ext)
        op[0] = (uint64_t)rnd(4) << 24 | (chance(16) ? rnd(2) : 0);
    if (cmd == PHYSDEVOP_manage_pci_add || cmd == PHYSDEVOP_manage_pci_remove || cmd == PHYSDEVOP_restore_msi)
        op[0] = (uint64_t)rnd(4) << 8;
    if (cmd == PHYSDEVOP_map_pirq || cmd == PHYSDEVOP_unmap_pirq)
        *map = (struct physdev_map_pirq){.domid = pick_domid(v->domain),
                                         .type = (int)rnd(6),
                                         .index = (int)rnd(26),
                                         .pirq = chance(2) ? -1 : (int)rnd(40),
                                         .bus = chance(8) ? (int)rnd(1 << 17) : 0,
                                         .devfn = (int)rnd(4),
                                         .entry_nr = (int)rnd(3),
                                         .table_base = chance(4) ? 0x1000 : 0};
    *c = (struct call){.nr = __HYPERVISOR_physdev_op, .args = {cmd, arg_address(v, op, 64)}};
    return true;
}

/* ---- platform_op, sysctl ---- */

static bool make_platform(struct vcpu *v, struct call *c)
{
    static const uint8_t cmds[] = {XENPF_settime32, XENPF_settime64, XENPF_firmware_info, XENPF_get_cpuinfo, 99};
    struct xen_platform_op *op = memset(arg_room(v, sizeof(*op)), 0, sizeof(*op));

    op->cmd = ONE_OF(cmds);
    op->interface_version = chance(32) ? 0 : XENPF_INTERFACE_VERSION;
    if (op->cmd == XENPF_settime64)
        op->u.settime64 = (struct xenpf_settime64){.secs = chance(8) ? rnd64() : 1000000 + rnd(100),
                                                   .nsecs = rnd(1100000000),
                                                   .mbz = chance(16),
                                                   .system_time = host_now_ns};
    else if (op->cmd == XENPF_settime32)
        op->u.settime32 =
            (struct xenpf_settime32){.secs = rnd(1000000), .nsecs = rnd(1000), .system_time = host_now_ns};
    else
        op->u.firmware_info.type = rnd(8); /* or the number of a CPU */
    *c = (struct call){.nr = __HYPERVISOR_platform_op, .args = {arg_address(v, op, sizeof(*op))}};
    return true;
}

static void fill_sysctl(struct vcpu *v, struct xen_sysctl *op)
{
    void *buffer = arg_room(v, 4096);

    switch (op->cmd) {
    case XEN_SYSCTL_readconsole:
        op->u.readconsole.buffer.p = buffer;
        op->u.readconsole.count = rnd(4096);
        op->u.readconsole.incremental = (uint8_t)rnd(2);
        op->u.readconsole.clear = (uint8_t)rnd(2);
        break;
    case XEN_SYSCTL_getdomaininfolist:
        op->u.getdomaininfolist.first_domain = (domid_t)rnd(3);
        op->u.getdomaininfolist.max_domains = rnd(8);
        op->u.getdomaininfolist.buffer.p = buffer;
        break;
    case XEN_SYSCTL_debug_keys: /* all but the one that restarts the machine */
        memcpy(buffer, &"hdeqtmAcx1"[rnd(10)], 1);
        op->u.debug_keys.keys.p = buffer;
        op->u.debug_keys.nr_keys = chance(16) ? 100 : 1;
        break;
    case XEN_SYSCTL_getcpuinfo:
        op->u.getcpuinfo.max_cpus = rnd(4);
        op->u.getcpuinfo.info.p = buffer;
        break;
    case XEN_SYSCTL_cputopoinfo:
        op->u.cputopoinfo.num_cpus = rnd(4);
        op->u.cputopoinfo.cputopo.p = chance(4) ? NULL : buffer;
        break;
    case XEN_SYSCTL_numainfo:
        op->u.numainfo.num_nodes = rnd(3);
        op->u.numainfo.meminfo.p = chance(4) ? NULL : buffer;
        op->u.numainfo.distance.p = chance(4) ? NULL : buffer;
        break;
    case XEN_SYSCTL_cpupool_op:
        op->u.cpupool_op.op = rnd(8);
        op->u.cpupool_op.domid = rnd(MODEL_DOMAINS);
        op->u.cpupool_op.cpumap.bitmap.p = buffer;
        op->u.cpupool_op.cpumap.nr_bits = rnd(300);
        break;
    case XEN_SYSCTL_scheduler_op:
        op->u.scheduler_op.sched_id = chance(8) ? 0 : XEN_SCHEDULER_CREDIT;
        op->u.scheduler_op.cmd = rnd(3);
        op->u.scheduler_op.u.sched_credit =
            (struct xen_sysctl_credit_schedule){.tslice_ms = rnd(40), .ratelimit_us = rnd(2000)};
        break;
    case XEN_SYSCTL_get_cpu_featureset:
        op->u.cpu_featureset.index = rnd(7);
        op->u.cpu_featureset.nr_features = rnd(20);
        op->u.cpu_featureset.features.p = chance(4) ? NULL : buffer;
        break;
    case XEN_SYSCTL_get_cpu_policy:
        op->u.cpu_policy.index = rnd(7);
        op->u.cpu_policy.nr_leaves = rnd(3) ? 97 : rnd(97);
        op->u.cpu_policy.nr_msrs = rnd(4);
        op->u.cpu_policy.leaves.p = chance(4) ? NULL : buffer;
        op->u.cpu_policy.msrs.p = chance(4) ? NULL : arg_room(v, 64);
        break;
    }
}

static bool make_sysctl(struct vcpu *v, struct call *c)
{
    static const uint8_t cmds[] = {
        XEN_SYSCTL_readconsole,        XEN_SYSCTL_physinfo,       XEN_SYSCTL_sched_id,
        XEN_SYSCTL_getdomaininfolist,  XEN_SYSCTL_debug_keys,     XEN_SYSCTL_getcpuinfo,
        XEN_SYSCTL_availheap,          XEN_SYSCTL_cputopoinfo,    XEN_SYSCTL_numainfo,
        XEN_SYSCTL_cpupool_op,         XEN_SYSCTL_scheduler_op,   XEN_SYSCTL_get_cpu_levelling_caps,
        XEN_SYSCTL_get_cpu_featureset, XEN_SYSCTL_get_cpu_policy, 99};
    struct xen_sysctl *op = memset(arg_room(v, sizeof(*op)), 0, sizeof(*op));

    op->cmd = ONE_OF(cmds);
    op->interface_version = chance(64) ? 0 : XEN_SYSCTL_INTERFACE_VERSION;
    fill_sysctl(v, op);
    *c = (struct call){.nr = __HYPERVISOR_sysctl, .args = {arg_address(v, op, sizeof(*op))}};
    return true;
}

/* ---- Anything ---- */

static bool make_nonsense(struct vcpu *v, struct call *c)
{
    c->nr = chance(8) ? (unsigned)rnd64() : 36 + rnd(40);
    if (c->nr == __HYPERVISOR_domctl)
        c->nr = 63;
    for (unsigned i = 0; i < 6; i++)
        c->args[i] = chance(2) ? rnd(16) : rnd64();
    return true;
}

static bool make_multicall(struct vcpu *v, struct call *c)
{
    unsigned n = chance(8) ? 9 + rnd(4) : 1 + rnd(4), made = 0;
    multicall_entry_t *e = arg_room(v, n * sizeof(*e));

    while (made < n) {
        const struct op *op = pick_op(v);
        struct call one = {0};

        if (!op->make || !op->make(v, &one))
            continue;
        e[made] = (multicall_entry_t){.op = one.nr};
        memcpy(e[made].args, one.args, sizeof(one.args));
        made++;
    }
    *c = (struct call){.nr = __HYPERVISOR_multicall,
                       .args = {arg_address(v, e, n * sizeof(*e)), chance(64) ? 1UL << 32 : n}};
    return true;
}

static const struct op ops[] = {
    CALL_OP("xen_version", 3, make_version),   CALL_OP("vm_assist", 2, make_assist),
    CALL_OP("console_io", 2, make_console),    CALL_OP("physdev_op", 8, make_physdev),
    TOOLS_OP("platform_op", 2, make_platform), TOOLS_OP("sysctl", 8, make_sysctl),
    CALL_OP("no hypercall", 2, make_nonsense), CALL_OP("multicall", 15, make_multicall),
};
const struct op_family ops_machine = {ops, ARRAY_SIZE(ops)};
