/* SPDX-License-Identifier: MIT */
/* Grants: entries written at any time, mapped, unmapped, copied, in every order. */
#include "model.h"
#include "core/grant/internal.h"
#include "core/mem/refs.h"

#define REFS    12
#define HANDLES 10

/* ---- The granter's own writing ---- */

static struct grant_entry_v1 *entry_of(struct domain *d, uint32_t ref)
{
    struct grant_frame *f = &d->grants->frames[ref / ENTRIES_PER_FRAME];

    return ref / ENTRIES_PER_FRAME < grant_frames_count(d) ? &f->shared[ref % ENTRIES_PER_FRAME] : NULL;
}

static uint32_t pick_ref(void)
{
    return chance(32) ? ONE_OF(((uint32_t[]){511, 512, 600, 2048, ~0u})) : 8 + rnd(REFS);
}

static void act_write_entry(struct vcpu *v)
{
    struct domain *d = v->domain;
    struct grant_entry_v1 *e = entry_of(d, 8 + rnd(REFS));
    uint16_t to = is_hermit(d->id) ? d->id : (uint16_t)rnd(MODEL_DOMAINS);

    if (chance(16))
        e = entry_of(d, 512 + rnd(4));
    if (!e)
        return;
    if (chance(5)) { /* taken back, whoever uses it */
        __atomic_store_n(&e->flags, (uint16_t)0, __ATOMIC_SEQ_CST);
        return;
    }
    e->domid = to;
    e->frame = (uint32_t)(is_hermit(d->id) ? pick_own(d) : pick_frame(d)).n;
    if (chance(3)) /* one frame by several grants */
        e->frame = entry_of(d, 8)->frame;
    __atomic_store_n(&e->flags,
                     (uint16_t)(chance(16) ? rnd(1 << 16) : GTF_permit_access | (chance(3) ? GTF_readonly : 0)),
                     __ATOMIC_SEQ_CST);
}

/* ---- Mapping ---- */

/* Where an entry for the mapping is to be. */
static uint64_t pick_host_addr(struct domain *d, uint32_t flags)
{
    mfn_t l1;

    if (!(flags & GNTMAP_contains_pte))
        return pick_va();
    l1 = chance(8) ? pick_frame(d) : pick_table(d, 1);
    return l1.n << PAGE_SHIFT | pick_slot() * 8UL;
}

static bool make_map(struct vcpu *v, struct call *c)
{
    unsigned n = 1 + rnd(3);
    struct gnttab_map_grant_ref *op = arg_room(v, n * sizeof(*op));

    for (unsigned i = 0; i < n; i++) {
        uint32_t flags = rnd(32) ? GNTMAP_host_map : rnd(64);

        if (chance(8))
            flags |= GNTMAP_device_map;
        if (chance(3))
            flags |= GNTMAP_readonly;
        if (chance(2))
            flags |= GNTMAP_contains_pte;
        op[i] = (struct gnttab_map_grant_ref){.flags = flags,
                                              .ref = pick_ref(),
                                              .dom = (domid_t)(chance(16) ? DOMID_SELF : rnd(MODEL_DOMAINS)),
                                              .host_addr = pick_host_addr(v->domain, flags)};
    }
    *c = (struct call){.nr = __HYPERVISOR_grant_table_op,
                       .args = {GNTTABOP_map_grant_ref, arg_address(v, op, n * sizeof(*op)), chance(64) ? ~0u : n}};
    return true;
}

/* Whether the granter's entry, as it is, lets d do that. */
static void must_be_granted(struct domain *d, uint16_t granter, uint32_t ref, bool write, uint64_t frame)
{
    struct domain *g = domain_get_ref(granter, d);
    const struct grant_entry_v1 *e = g ? entry_of(g, ref) : NULL;

    if (!e || (e->flags & GTF_type_mask) != GTF_permit_access || e->domid != d->id ||
        (write && (e->flags & GTF_readonly)) || frame_owner(&hw_frames[frame]) != g->id)
        violation("domain %u uses grant %u of domain %u, frame %lx, %s, which was not granted so", d->id, ref, granter,
                  frame, write ? "writing" : "reading");
    domain_put(g);
}

static void after_map(struct vcpu *v, const struct call *c)
{
    const struct gnttab_map_grant_ref *op = (const void *)c->args[1];

    for (uint64_t i = 0; i < c->args[2]; i++)
        if (op[i].status == GNTST_okay)
            must_be_granted(v->domain, op[i].dom, op[i].ref, !(op[i].flags & GNTMAP_readonly),
                            op[i].dev_bus_addr >> PAGE_SHIFT);
}

/* Where the entry of a mapping is, if some table has one. */
static uint64_t address_of_mapping(struct domain *d, uint32_t handle)
{
    struct grant_table *t = d->grants;
    mfn_t l1 = pick_table(d, 1);
    const pte_t *p;

    if (mfn_eq(l1, INVALID_MFN) || handle >= t->chunks_count * MAPPINGS_PER_CHUNK)
        return pick_va();
    p = hw_frame_va(l1);
    for (unsigned i = 0; i < SLOTS; i++)
        if (t->maptrack[0][handle].use.frame && pte_mfn(p[slots[i]]).n == frame_mfn(t->maptrack[0][handle].use.frame).n)
            return l1.n << PAGE_SHIFT | slots[i] * 8UL;
    return pick_va();
}

static bool make_unmap(struct vcpu *v, struct call *c)
{
    unsigned n = chance(16) ? 34 : 1 + rnd(4);
    struct gnttab_unmap_grant_ref *op = arg_room(v, n * sizeof(*op));

    for (unsigned i = 0; i < n; i++) {
        uint32_t handle = chance(32) ? 5000 : rnd(HANDLES);

        op[i] = (struct gnttab_unmap_grant_ref){.handle = handle, .host_addr = chance(8) ? 0 : pick_va()};
        if (chance(2))
            op[i].host_addr = address_of_mapping(v->domain, handle);
        if (chance(4))
            op[i].dev_bus_addr = (uint64_t)rnd(MODEL_FRAMES) << PAGE_SHIFT;
    }
    *c = (struct call){.nr = __HYPERVISOR_grant_table_op,
                       .args = {GNTTABOP_unmap_grant_ref, arg_address(v, op, n * sizeof(*op)), n}};
    return true;
}

static bool make_copy(struct vcpu *v, struct call *c)
{
    unsigned n = 1 + rnd(3);
    struct gnttab_copy *op = arg_room(v, n * sizeof(*op));

    if (is_hermit(v->domain->id))
        return false; /* it tells nobody anything */
    for (unsigned i = 0; i < n; i++) {
        struct gnttab_copy_ptr *side[2] = {&op[i].source, &op[i].dest};

        memset(&op[i], 0, sizeof(op[i]));
        op[i].flags = (uint16_t)rnd(chance(16) ? 8 : 4);
        op[i].len = (uint16_t)(chance(8) ? rnd(9000) : 8 + rnd(64));
        for (unsigned s = 0; s < 2; s++) {
            bool by_ref = op[i].flags & (s ? GNTCOPY_dest_gref : GNTCOPY_source_gref);

            side[s]->domid = (domid_t)(by_ref ? rnd(MODEL_DOMAINS) : pick_domid(v->domain));
            side[s]->offset = (uint16_t)(chance(16) ? rnd(9000) : pick_slot() * 8);
            if (by_ref)
                side[s]->u.ref = pick_ref();
            else
                side[s]->u.gmfn = pick_frame(v->domain).n;
        }
    }
    *c = (struct call){.nr = __HYPERVISOR_grant_table_op,
                       .args = {GNTTABOP_copy, arg_address(v, op, n * sizeof(*op)), n}};
    return true;
}

static void after_copy(struct vcpu *v, const struct call *c)
{
    const struct gnttab_copy *op = (const void *)c->args[1];

    for (uint64_t i = 0; i < c->args[2]; i++) {
        const struct gnttab_copy_ptr *side[2] = {&op[i].source, &op[i].dest};

        for (unsigned s = 0; op[i].status == GNTST_okay && s < 2; s++) {
            struct domain *g = domain_get_ref(side[s]->domid, v->domain);

            if (op[i].flags & (s ? GNTCOPY_dest_gref : GNTCOPY_source_gref))
                must_be_granted(v->domain, side[s]->domid, side[s]->u.ref, s, entry_of(g, side[s]->u.ref)->frame);
            else if (frame_owner(&hw_frames[side[s]->u.gmfn]) != v->domain->id)
                violation("domain %u copies frame %lx", v->domain->id, side[s]->u.gmfn);
            domain_put(g);
        }
    }
}

/* ---- The table ---- */

static bool make_table(struct vcpu *v, struct call *c)
{
    static const uint8_t cmds[] = {GNTTABOP_setup_table,   GNTTABOP_setup_table, GNTTABOP_query_size,
                                   GNTTABOP_set_version,   GNTTABOP_get_version, GNTTABOP_transfer,
                                   GNTTABOP_swap_grant_ref};
    union {
        struct gnttab_setup_table setup;
        struct gnttab_query_size size;
        struct gnttab_set_version set;
        struct gnttab_get_version get;
    } *op = arg_room(v, sizeof(*op));
    unsigned cmd = ONE_OF(cmds);

    memset(op, 0, sizeof(*op));
    op->setup.dom = pick_domid(v->domain); /* all but set_version begin with it */
    if (cmd == GNTTABOP_setup_table) {
        op->setup.nr_frames = rnd(chance(8) ? 9 : 3);
        op->setup.frame_list.p = arg_room(v, 72);
    } else if (cmd == GNTTABOP_set_version) {
        op->set.version = rnd(4);
    }
    *c = (struct call){.nr = __HYPERVISOR_grant_table_op,
                       .args = {cmd, arg_address(v, op, sizeof(*op)), chance(32) ? 2 : 1}};
    return true;
}

static const struct op ops[] = {
    GUEST_OP("write grant entry", 30, act_write_entry),
    CALL_OP_CHECKED("map_grant_ref", 40, make_map, after_map),
    CALL_OP("unmap_grant_ref", 30, make_unmap),
    CALL_OP_CHECKED("grant copy", 15, make_copy, after_copy),
    CALL_OP("grant table", 6, make_table),
};
const struct op_family ops_grant = {ops, ARRAY_SIZE(ops)};
