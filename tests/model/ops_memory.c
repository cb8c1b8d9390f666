/* SPDX-License-Identifier: MIT */
/* memory_op: getting, giving and exchanging frames, maps, claims, resources. */
#include "model.h"
#include <xen/memory.h>

static const uint8_t orders[] = {0, 0, 0, 0, 1, 2, 3, 9, 10, 13, 64};

static unsigned pick_flags(void)
{
    return chance(16) ? rnd(32) : chance(32) ? XENMEMF_populate_on_demand : 0;
}

static void fill_extents(struct domain *d, struct vcpu *v, struct xen_memory_reservation *r, bool decrease)
{
    unsigned n = chance(16) ? 20 : 1 + rnd(3);
    xen_pfn_t *list = arg_room(v, n * sizeof(*list));

    for (unsigned i = 0; i < n; i++)
        list[i] = decrease ? (chance(2) ? pick_frame(d).n : pick_unused(d).n) : rnd(64);
    *r = (struct xen_memory_reservation){.nr_extents = n, .extent_order = ONE_OF(orders), .mem_flags = pick_flags()};
    r->extent_start.p = (xen_pfn_t *)arg_address(v, list, n * sizeof(*list));
    if (chance(32))
        r->nr_extents = ~0UL >> rnd(8);
}

static bool make_reservation(struct vcpu *v, struct call *c)
{
    static const uint8_t cmds[] = {XENMEM_increase_reservation, XENMEM_populate_physmap, XENMEM_decrease_reservation};
    struct xen_memory_reservation *r = arg_room(v, sizeof(*r));
    unsigned cmd = ONE_OF(cmds);
    uint16_t who = pick_domid(v->domain);
    struct domain *d = domain_get_ref(who, v->domain);

    fill_extents(d ? d : v->domain, v, r, cmd == XENMEM_decrease_reservation);
    r->domid = who;
    if (cmd == XENMEM_increase_reservation && chance(4))
        r->extent_start.p = NULL;
    if (d)
        domain_put(d);
    *c = (struct call){.nr = __HYPERVISOR_memory_op,
                       .args = {cmd | (chance(16) ? (uint64_t)rnd(4) << 6 : 0), arg_address(v, r, sizeof(*r))}};
    return true;
}

static bool make_exchange(struct vcpu *v, struct call *c)
{
    struct xen_memory_exchange *e = arg_room(v, sizeof(*e));
    unsigned in_order = rnd(3), out_order = rnd(3), frames = 1u << (MAX(in_order, out_order) + rnd(2));
    xen_pfn_t *in = arg_room(v, 16 * sizeof(*in)), *out = arg_room(v, 16 * sizeof(*out));
    uint16_t who = chance(4) ? pick_domid(v->domain) : DOMID_SELF;

    memset(e, 0, sizeof(*e));
    for (unsigned i = 0; i < 16; i++) {
        in[i] = chance(8) ? pick_frame(v->domain).n : pick_unused(v->domain).n;
        out[i] = rnd(64);
    }
    if (chance(8))
        in[rnd(4)] = in[rnd(4)]; /* one twice */
    e->in.nr_extents = frames >> in_order;
    e->in.extent_order = in_order;
    e->in.extent_start.p = (xen_pfn_t *)arg_address(v, in, 128);
    e->in.domid = who;
    e->out = e->in;
    e->out.nr_extents = frames >> out_order;
    e->out.extent_order = out_order;
    e->out.extent_start.p = chance(16) ? in : (xen_pfn_t *)arg_address(v, out, 128);
    e->out.mem_flags = pick_flags();
    if (chance(16))
        e->nr_exchanged = rnd(4);
    if (chance(32))
        e->out.domid = (uint16_t)rnd(4);
    *c = (struct call){.nr = __HYPERVISOR_memory_op, .args = {XENMEM_exchange, arg_address(v, e, sizeof(*e))}};
    return true;
}

static bool make_ask(struct vcpu *v, struct call *c)
{
    static const uint8_t cmds[] = {XENMEM_maximum_ram_page, XENMEM_current_reservation, XENMEM_maximum_reservation,
                                   XENMEM_maximum_gpfn,     XENMEM_machphys_mfn_list,   XENMEM_machphys_mapping,
                                   XENMEM_add_to_physmap,   XENMEM_get_vnumainfo,       63};
    struct xen_machphys_mfn_list *arg = arg_room(v, 64); /* the longest; all begin with what they are asked */

    memset(arg, 0, 64);
    *(domid_t *)arg = pick_domid(v->domain);
    if (chance(2)) {
        arg->max_extents = rnd(4);
        arg->extent_start.p = arg_room(v, 32);
    }
    *c = (struct call){.nr = __HYPERVISOR_memory_op,
                       .args = {ONE_OF(cmds) | (chance(32) ? 1u << 6 : 0), arg_address(v, arg, 64)}};
    return true;
}

static bool make_map(struct vcpu *v, struct call *c)
{
    struct xen_memory_map *m = arg_room(v, sizeof(*m));

    m->nr_entries = rnd(6);
    m->buffer.p = arg_room(v, 6 * 20);
    *c = (struct call){
        .nr = __HYPERVISOR_memory_op,
        .args = {chance(2) ? XENMEM_memory_map : XENMEM_machine_memory_map, arg_address(v, m, sizeof(*m))}};
    return true;
}

static bool make_set_map(struct vcpu *v, struct call *c)
{
    struct xen_foreign_memory_map *m = arg_room(v, sizeof(*m));

    memset(m, 0, sizeof(*m));
    m->domid = pick_domid(v->domain);
    m->map.nr_entries = chance(16) ? 200 : rnd(6);
    m->map.buffer.p = arg_room(v, 6 * 20);
    *c = (struct call){.nr = __HYPERVISOR_memory_op, .args = {XENMEM_set_memory_map, arg_address(v, m, sizeof(*m))}};
    return true;
}

static bool make_claim(struct vcpu *v, struct call *c)
{
    struct xen_memory_reservation *r = arg_room(v, sizeof(*r));

    *r = (struct xen_memory_reservation){.nr_extents = chance(4) ? 0 : rnd(chance(8) ? 600 : 60),
                                         .extent_order = chance(16),
                                         .domid = pick_domid(v->domain)};
    *c = (struct call){.nr = __HYPERVISOR_memory_op, .args = {XENMEM_claim_pages, arg_address(v, r, sizeof(*r))}};
    return true;
}

static bool make_acquire(struct vcpu *v, struct call *c)
{
    struct xen_mem_acquire_resource *r = arg_room(v, sizeof(*r));

    memset(r, 0, sizeof(*r));
    r->domid = pick_domid(v->domain);
    r->type = chance(8) ? rnd(4) : XENMEM_resource_grant_table;
    r->id = chance(8) ? rnd(3) : XENMEM_resource_grant_table_id_shared;
    r->nr_frames = rnd(4);
    r->frame = chance(16) ? ~0UL : rnd(3);
    r->frame_list.p = chance(16) ? NULL : arg_room(v, 64);
    *c = (struct call){.nr = __HYPERVISOR_memory_op, .args = {XENMEM_acquire_resource, arg_address(v, r, sizeof(*r))}};
    return true;
}

static const struct op ops[] = {
    CALL_OP("change reservation", 30, make_reservation),
    CALL_OP("exchange", 15, make_exchange),
    CALL_OP("memory questions", 3, make_ask),
    CALL_OP("memory_map", 2, make_map),
    TOOLS_OP("set_memory_map", 2, make_set_map),
    TOOLS_OP("claim_pages", 3, make_claim),
    TOOLS_OP("acquire_resource", 4, make_acquire),
};
const struct op_family ops_memory = {ops, ARRAY_SIZE(ops)};
