/* SPDX-License-Identifier: MIT */
/* domctl: domains made step by step, looked at, changed, and ended at every step. */
#include "model.h"
#include <xen/domctl.h>

static struct xen_domctl *new_op(struct vcpu *v, unsigned cmd, uint16_t domain, struct call *c)
{
    struct xen_domctl *op = memset(arg_room(v, sizeof(*op)), 0, sizeof(*op));

    op->cmd = cmd;
    op->interface_version = chance(128) ? 1 : XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = domain;
    *c = (struct call){.nr = __HYPERVISOR_domctl, .args = {(uint64_t)op}};
    return op;
}

static uint16_t pick_target(void)
{
    return (uint16_t)(chance(32) ? pick_domid(pick_domain()) : rnd(MODEL_DOMAINS));
}

/* ---- Making one ---- */

static bool make_create(struct vcpu *v, struct call *c, uint16_t id)
{
    struct xen_domctl_createdomain *cd = &new_op(v, XEN_DOMCTL_createdomain, id, c)->u.createdomain;

    cd->max_vcpus = MODEL_VCPUS;
    cd->max_evtchn_port = 1023;
    cd->max_grant_frames = 3;
    cd->max_maptrack_frames = 2;
    cd->flags = chance(8) ? XEN_DOMCTL_CDF_xs_domain : 0;
    switch (rnd(64)) {
    case 0:
        cd->max_vcpus = rnd(200);
        break;
    case 1:
        cd->flags |= 1u << rnd(32);
        break;
    case 2:
        cd->max_grant_frames = -1;
        break;
    case 3:
        cd->grant_opts = rnd(32);
        break;
    }
    return true;
}

static bool make_populate(struct vcpu *v, struct call *c, uint16_t id)
{
    struct xen_memory_reservation *r = arg_room(v, sizeof(*r));
    xen_pfn_t *list = arg_room(v, 16 * sizeof(*list));

    for (unsigned i = 0; i < 16; i++)
        list[i] = i;
    *r = (struct xen_memory_reservation){.nr_extents = 8 + rnd(8), .domid = id};
    r->extent_start.p = list;
    *c = (struct call){.nr = __HYPERVISOR_memory_op, .args = {XENMEM_populate_physmap, (uint64_t)r}};
    return true;
}

static bool make_context(struct vcpu *v, struct call *c, struct domain *d)
{
    struct vcpu_guest_context *ctxt = memset(arg_room(v, sizeof(*ctxt)), 0, sizeof(*ctxt));
    struct xen_domctl *op = new_op(v, XEN_DOMCTL_setvcpucontext, d->id, c);

    ctxt->flags = (chance(8) ? 0 : VGCF_online) | (chance(8) ? 0 : VGCF_in_kernel);
    ctxt->ctrlreg[3] = (chance(4) ? pick_table(d, 4) : pick_unused(d)).n << PAGE_SHIFT;
    ctxt->ctrlreg[1] = chance(4) ? pick_frame(d).n << PAGE_SHIFT : 0;
    if (chance(8)) {
        ctxt->gdt_ents = 512;
        ctxt->gdt_frames[0] = pick_unused(d).n;
    }
    op->u.vcpucontext.vcpu = rnd(chance(16) ? 4 : MODEL_VCPUS);
    op->u.vcpucontext.ctxt.p = ctxt;
    return true;
}

/* What a domain lacks that is to run. */
static bool make_build(struct vcpu *v, struct call *c)
{
    uint16_t id = (uint16_t)(1 + rnd(MODEL_DOMAINS - 1));
    struct domain *d = domain_get(id);
    bool ok;

    if (!d)
        return make_create(v, c, chance(16) ? 0 : id);
    if (d->pages_max < MODEL_PAGES) {
        new_op(v, XEN_DOMCTL_max_mem, id, c)->u.max_mem.max_memkb = (MODEL_PAGES + rnd(16)) * 4;
        ok = true;
    } else if (d->pages_count < MODEL_PAGES / 2) {
        ok = make_populate(v, c, id);
    } else if (!d->vcpus[0]->initialised) {
        ok = make_context(v, c, d);
    } else if (d->shutdown) {
        new_op(v, chance(2) ? XEN_DOMCTL_destroydomain : XEN_DOMCTL_resumedomain, id, c);
        ok = true;
    } else {
        new_op(v, XEN_DOMCTL_unpausedomain, id, c);
        ok = d->control_pauses;
    }
    domain_put(d);
    return ok;
}

/* ---- Ending, and others that change something ---- */

static bool make_destroy(struct vcpu *v, struct call *c)
{
    uint16_t id = (uint16_t)rnd(MODEL_DOMAINS);
    struct domain *d = domain_get(id);
    bool begun = d && d->dying;

    if (d)
        domain_put(d);
    if (!begun && !chance(6))
        return false;
    new_op(v, XEN_DOMCTL_destroydomain, id, c);
    return true;
}

static bool make_set_context(struct vcpu *v, struct call *c)
{
    struct domain *d = domain_get((uint16_t)rnd(MODEL_DOMAINS));
    bool ok = d && make_context(v, c, d);

    if (d)
        domain_put(d);
    return ok;
}

static bool make_change(struct vcpu *v, struct call *c)
{
    static const uint8_t cmds[] = {XEN_DOMCTL_pausedomain,      XEN_DOMCTL_unpausedomain,     XEN_DOMCTL_unpausedomain,
                                   XEN_DOMCTL_max_mem,          XEN_DOMCTL_resumedomain,      XEN_DOMCTL_irq_permission,
                                   XEN_DOMCTL_iomem_permission, XEN_DOMCTL_ioport_permission, XEN_DOMCTL_hypercall_init,
                                   XEN_DOMCTL_settimeoffset,    XEN_DOMCTL_sendtrigger,       XEN_DOMCTL_setdebugging,
                                   XEN_DOMCTL_setdomainhandle,  XEN_DOMCTL_set_address_size,  XEN_DOMCTL_settscinfo,
                                   XEN_DOMCTL_max_vcpus,        XEN_DOMCTL_scheduler_op};
    unsigned cmd = ONE_OF(cmds);
    uint16_t id = pick_target();
    struct domain *d = domain_get(id);
    struct xen_domctl *op = new_op(v, cmd, id, c);

    op->u.max_vcpus.max = MODEL_VCPUS;
    if (cmd == XEN_DOMCTL_max_mem)
        op->u.max_mem.max_memkb = rnd(chance(4) ? 200 : 2 * MODEL_PAGES) * 4;
    if (cmd == XEN_DOMCTL_hypercall_init)
        op->u.hypercall_init.gmfn = d ? pick_frame(d).n : 1;
    if (cmd == XEN_DOMCTL_iomem_permission)
        op->u.iomem_permission = (struct xen_domctl_iomem_permission){
            .first_mfn = host_io_frame(rnd(8)).n, .nr_mfns = rnd(4), .allow_access = (uint8_t)rnd(2)};
    if (cmd == XEN_DOMCTL_irq_permission)
        op->u.irq_permission =
            (struct xen_domctl_irq_permission){.pirq = (uint8_t)rnd(40), .allow_access = (uint8_t)rnd(2)};
    if (cmd == XEN_DOMCTL_ioport_permission)
        op->u.ioport_permission = (struct xen_domctl_ioport_permission){
            .first_port = rnd(66000), .nr_ports = rnd(8), .allow_access = (uint8_t)rnd(2)};
    if (cmd == XEN_DOMCTL_scheduler_op) {
        op->u.scheduler_op.sched_id = chance(8) ? 0 : XEN_SCHEDULER_CREDIT;
        op->u.scheduler_op.cmd = rnd(3);
        op->u.scheduler_op.u.credit = (struct xen_domctl_sched_credit){(uint16_t)rnd(1000), (uint16_t)rnd(200)};
    }
    if (cmd == XEN_DOMCTL_sendtrigger)
        op->u.sendtrigger.vcpu = rnd(3);
    if (d)
        domain_put(d);
    return true;
}

/* ---- Asking ---- */

static void fill_question(struct vcpu *v, struct xen_domctl *op, struct domain *d)
{
    struct xenctl_bitmap map = {.nr_bits = rnd(chance(16) ? 70000 : 300)};
    xen_pfn_t *frames;

    map.bitmap.p = arg_room(v, 64);
    switch (op->cmd) {
    case XEN_DOMCTL_getpageframeinfo3:
        frames = arg_room(v, 64 * sizeof(*frames));
        for (unsigned i = 0; i < 64; i++)
            frames[i] = pick_frame(d).n;
        op->u.getpageframeinfo3.num = chance(16) ? 2000 : rnd(64);
        op->u.getpageframeinfo3.array.p = frames;
        break;
    case XEN_DOMCTL_setvcpuaffinity:
    case XEN_DOMCTL_getvcpuaffinity:
        map.nr_bits = rnd(16);
        op->u.vcpuaffinity =
            (struct xen_domctl_vcpuaffinity){.vcpu = rnd(3), .flags = rnd(4), .cpumap_hard = map, .cpumap_soft = map};
        map.bitmap.p[0] |= 3;
        break;
    case XEN_DOMCTL_getvcpucontext:
        op->u.vcpucontext.vcpu = rnd(3);
        op->u.vcpucontext.ctxt.p = arg_room(v, sizeof(struct vcpu_guest_context));
        break;
    case XEN_DOMCTL_setvcpuextstate:
    case XEN_DOMCTL_getvcpuextstate:
        op->u.vcpuextstate = (struct xen_domctl_vcpuextstate){.vcpu = rnd(3), .size = chance(2) ? 832 : rnd(1000)};
        op->u.vcpuextstate.buffer.p = chance(4) ? NULL : arg_room(v, 1000);
        break;
    case XEN_DOMCTL_get_cpu_policy:
    case XEN_DOMCTL_set_cpu_policy:
        op->u.cpu_policy = (struct xen_domctl_cpu_policy){.nr_leaves = rnd(3) ? 97 : rnd(200), .nr_msrs = rnd(4)};
        op->u.cpu_policy.leaves.p = chance(8) ? NULL : arg_room(v, 97 * sizeof(struct xen_cpuid_leaf));
        op->u.cpu_policy.msrs.p = chance(8) ? NULL : arg_room(v, 4 * sizeof(struct xen_msr_entry));
        break;
    default:
        *(uint32_t *)&op->u = rnd(3); /* of those that ask about a vCPU, its number */
        op->u.ext_vcpucontext.size = sizeof(op->u.ext_vcpucontext);
        if (op->cmd == XEN_DOMCTL_getnodeaffinity || op->cmd == XEN_DOMCTL_setnodeaffinity)
            op->u.nodeaffinity.nodemap = map;
    }
}

static bool make_question(struct vcpu *v, struct call *c)
{
    static const uint8_t cmds[] = {XEN_DOMCTL_getdomaininfo,       XEN_DOMCTL_getpageframeinfo3,
                                   XEN_DOMCTL_getvcpuaffinity,     XEN_DOMCTL_getvcpucontext,
                                   XEN_DOMCTL_getvcpuextstate,     XEN_DOMCTL_get_cpu_policy,
                                   XEN_DOMCTL_getvcpuinfo,         XEN_DOMCTL_get_ext_vcpucontext,
                                   XEN_DOMCTL_set_ext_vcpucontext, XEN_DOMCTL_gettscinfo,
                                   XEN_DOMCTL_get_address_size,    XEN_DOMCTL_get_vcpu_msrs,
                                   XEN_DOMCTL_set_vcpu_msrs,       XEN_DOMCTL_getnodeaffinity,
                                   XEN_DOMCTL_setnodeaffinity,     XEN_DOMCTL_shadow_op,
                                   XEN_DOMCTL_setvcpuaffinity,     XEN_DOMCTL_setvcpuextstate,
                                   XEN_DOMCTL_set_cpu_policy,      120};
    uint16_t id = pick_target();
    struct domain *d = domain_get(id);
    struct xen_domctl *op = new_op(v, ONE_OF(cmds), id, c);

    fill_question(v, op, d ? d : v->domain);
    if (d)
        domain_put(d);
    return true;
}

static const struct op ops[] = {
    TOOLS_OP("build a domain", 60, make_build),       TOOLS_OP("destroydomain", 12, make_destroy),
    TOOLS_OP("setvcpucontext", 4, make_set_context),  TOOLS_OP("change a domain", 20, make_change),
    TOOLS_OP("ask about a domain", 8, make_question),
};
const struct op_family ops_domctl = {ops, ARRAY_SIZE(ops)};
