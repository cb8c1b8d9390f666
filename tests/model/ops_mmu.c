/* SPDX-License-Identifier: MIT */
/* Operations on page tables: hypercalls, stores to tables that fault, stores through mappings, changes of mode. */
#include "model.h"
#include "core/mem/mmu.h"
#include "core/mem/refs.h"

/* ---- mmu_update ---- */

/* An entry of a table of d, or of any of its frames. */
static void fill_request(struct domain *d, struct domain *mapped, struct mmu_update *r)
{
    mfn_t table = chance(3) ? pick_frame(d) : pick_table(d, rnd(5));
    unsigned level;

    if (mfn_eq(table, INVALID_MFN))
        table = pick_own(d);
    level = mfn_valid(table) ? frame_type(frame_of(table)) : 1;
    r->ptr = table.n << PAGE_SHIFT | pick_slot() * 8UL;
    r->val = pick_pte(mapped, level > 4 || !level ? 1 + rnd(4) : level);
    if (chance(8))
        r->ptr |= MMU_PT_UPDATE_PRESERVE_AD;
    if (chance(16)) {
        r->ptr = pick_frame(mapped).n << PAGE_SHIFT | MMU_MACHPHYS_UPDATE;
        r->val = rnd(64);
    } else if (chance(64)) {
        r->ptr |= 1 + rnd(7);
    }
}

static bool make_mmu_update(struct vcpu *v, struct call *c)
{
    unsigned n = chance(16) ? 30 + rnd(40) : 1 + rnd(5);
    struct mmu_update *r = arg_room(v, n * sizeof(*r));
    uint16_t tables = chance(4) ? pick_domid(v->domain) : DOMID_SELF;
    uint16_t target =
        tables == DOMID_SELF ? pick_domid(v->domain) : tables; /* else Domain 0 gives others what is its */
    struct domain *t = domain_get_ref(tables, v->domain), *m = domain_get_ref(target, v->domain);

    for (unsigned i = 0; i < n; i++)
        fill_request(t ? t : v->domain, m && chance(2) ? m : v->domain, &r[i]);
    *c = (struct call){.nr = __HYPERVISOR_mmu_update,
                       .args = {arg_address(v, r, n * sizeof(*r)), n | (chance(16) ? (uint64_t)rnd(9) << 32 : 0),
                                chance(2) ? (uint64_t)arg_room(v, 4) : 0,
                                target | (tables == DOMID_SELF ? 0 : (uint32_t)(tables + 1) << 16)}};
    if (t)
        domain_put(t);
    if (m)
        domain_put(m);
    return true;
}

/* One entry that makes the tree larger. */
static bool make_grow(struct vcpu *v, struct call *c)
{
    mfn_t table = pick_table(v->domain, 1 + rnd(4));
    struct mmu_update *r = arg_room(v, sizeof(*r));
    unsigned level;

    if (mfn_eq(table, INVALID_MFN))
        return false;
    level = frame_type(frame_of(table));
    r->ptr = table.n << PAGE_SHIFT | pick_slot() * 8UL;
    r->val = pte_make(level > 1 && chance(2) ? pick_table(v->domain, level - 1) : pick_unused(v->domain),
                      PTE_P | PTE_US | (level > 1 || !chance(3) ? PTE_RW : 0));
    *c = (struct call){.nr = __HYPERVISOR_mmu_update, .args = {(uint64_t)r, 1, 0, DOMID_SELF}};
    return true;
}

/* ---- mmuext_op ---- */

static void fill_ext(struct domain *d, struct mmuext_op *op)
{
    static const uint8_t cmds[] = {MMUEXT_PIN_L1_TABLE,       MMUEXT_PIN_L2_TABLE,
                                   MMUEXT_PIN_L3_TABLE,       MMUEXT_PIN_L4_TABLE,
                                   MMUEXT_UNPIN_TABLE,        MMUEXT_UNPIN_TABLE,
                                   MMUEXT_UNPIN_TABLE,        MMUEXT_NEW_BASEPTR,
                                   MMUEXT_NEW_USER_BASEPTR,   MMUEXT_TLB_FLUSH_LOCAL,
                                   MMUEXT_INVLPG_LOCAL,       MMUEXT_TLB_FLUSH_MULTI,
                                   MMUEXT_INVLPG_MULTI,       MMUEXT_TLB_FLUSH_ALL,
                                   MMUEXT_INVLPG_ALL,         MMUEXT_FLUSH_CACHE,
                                   MMUEXT_FLUSH_CACHE_GLOBAL, MMUEXT_SET_LDT,
                                   MMUEXT_CLEAR_PAGE,         MMUEXT_COPY_PAGE,
                                   MMUEXT_MARK_SUPER,         77};

    memset(op, 0, sizeof(*op));
    op->cmd = ONE_OF(cmds);
    op->arg1.mfn = pick_frame(d).n;
    if ((op->cmd == MMUEXT_NEW_BASEPTR || op->cmd == MMUEXT_NEW_USER_BASEPTR) && !chance(4))
        op->arg1.mfn = chance(4) ? pick_unused(d).n : pick_table(d, 4).n;
    if (op->cmd == MMUEXT_UNPIN_TABLE && !chance(4))
        op->arg1.mfn = pick_table(d, 0).n;
    if (op->cmd == MMUEXT_NEW_USER_BASEPTR && chance(4))
        op->arg1.mfn = 0;
    op->arg2.src_mfn = pick_frame(d).n;
    if (op->cmd == MMUEXT_SET_LDT)
        op->arg2.nr_ents = rnd(9000);
}

static bool make_mmuext(struct vcpu *v, struct call *c)
{
    unsigned n = chance(16) ? 6 + rnd(8) : 1 + rnd(3);
    struct mmuext_op *op = arg_room(v, n * sizeof(*op));
    uint16_t who = pick_domid(v->domain);
    struct domain *d = domain_get_ref(who, v->domain);
    uint64_t *mask = arg_room(v, 16);

    for (unsigned i = 0; i < n; i++) {
        fill_ext(d ? d : v->domain, &op[i]);
        if (op[i].cmd == MMUEXT_TLB_FLUSH_MULTI || op[i].cmd == MMUEXT_INVLPG_MULTI)
            op[i].arg2.vcpumask.p = chance(8) ? NULL : mask;
    }
    *mask = rnd64();
    if (d)
        domain_put(d);
    *c = (struct call){.nr = __HYPERVISOR_mmuext_op,
                       .args = {arg_address(v, op, n * sizeof(*op)), n, chance(2) ? (uint64_t)arg_room(v, 4) : 0, who}};
    return true;
}

/* ---- update_va_mapping, descriptors ---- */

static uint64_t pick_flush(struct vcpu *v)
{
    uint64_t *mask = arg_room(v, 16);

    *mask = rnd64();
    switch (rnd(6)) {
    case 0:
        return UVMF_TLB_FLUSH | UVMF_LOCAL;
    case 1:
        return UVMF_INVLPG | UVMF_ALL;
    case 2:
        return UVMF_TLB_FLUSH | (uint64_t)mask;
    default:
        return rnd(4);
    }
}

static bool make_update_va(struct vcpu *v, struct call *c)
{
    *c =
        (struct call){.nr = __HYPERVISOR_update_va_mapping, .args = {pick_va(), pick_pte(v->domain, 1), pick_flush(v)}};
    return true;
}

static bool make_update_va_other(struct vcpu *v, struct call *c)
{
    uint16_t who = pick_domid(v->domain);
    struct domain *d = domain_get_ref(who, v->domain);

    *c = (struct call){.nr = __HYPERVISOR_update_va_mapping_otherdomain,
                       .args = {pick_va(), pick_pte(d ? d : v->domain, 1), pick_flush(v), who}};
    if (d)
        domain_put(d);
    return true;
}

static bool make_update_descriptor(struct vcpu *v, struct call *c)
{
    static const uint64_t descs[] = {0, 0x00affb000000ffff, 0x00cff3000000ffff, 0x0000890000000067, 0x00008e0000000000};

    *c = (struct call){.nr = __HYPERVISOR_update_descriptor,
                       .args = {pick_frame(v->domain).n << PAGE_SHIFT | pick_slot() * 8UL, ONE_OF(descs)}};
    return true;
}

static bool make_set_gdt(struct vcpu *v, struct call *c)
{
    uint64_t *frames = arg_room(v, 16 * sizeof(*frames));

    for (unsigned i = 0; i < 16; i++)
        frames[i] = chance(2) ? pick_unused(v->domain).n : pick_frame(v->domain).n;
    *c = (struct call){.nr = __HYPERVISOR_set_gdt, .args = {(uint64_t)frames, rnd(1100)}};
    return true;
}

/* ---- Without hypercalls ---- */

/* A store to a table of its own that is mapped read-only: the fault's handler asks for this. */
static void act_pt_write(struct vcpu *v)
{
    mfn_t table = pick_table(v->domain, 1);
    unsigned index = pick_slot();
    pte_t was;

    if (mfn_eq(table, INVALID_MFN) || frame_owner(frame_of(table)) != v->domain->id)
        return;
    was = ((pte_t *)hw_frame_va(table))[index];
    if (chance(8))
        was ^= 1UL << rnd(64);
    (void)mmu_cmpxchg_l1(v->domain, table, index, was,
                         chance(3) ? was ^ ONE_OF(((uint64_t[]){PTE_RW, PTE_P, PTE_A, PTE_D, PTE_NX}))
                                   : pick_pte(v->domain, 1));
}

/* A load or a store where its tables let it. */
static void act_touch(struct vcpu *v)
{
    bool write = !chance(4);
    void *p;

    if (!host_translate(v, pick_va(), write, &p) || !write)
        return;
    if (is_hermit(v->domain->id) && frame_owner(frame_of(hw_va_frame(p))) != v->domain->id)
        return; /* it tells nobody anything */
    __atomic_store_n((uint64_t *)p + pick_slot(), pick_pte(v->domain, 1 + rnd(4)), __ATOMIC_RELAXED);
}

/* Its frames get its sign, so that it is seen when they become another's. */
static void act_sign(struct vcpu *v)
{
    mfn_t m = pick_own(v->domain);

    if (mfn_eq(m, INVALID_MFN) || writable_get(m, v->domain->id))
        return;
    for (unsigned i = 0; i < 3; i++)
        ((uint64_t *)hw_frame_va(m))[slots[rnd(SLOTS)]] = TAG_WORD(v->domain->id);
    writable_put(frame_of(m));
}

/* System call into its kernel, or return to user mode. */
static void act_change_mode(struct vcpu *v)
{
    if (v->in_kernel && mfn_eq(v->user_l4, INVALID_MFN))
        return;
    v->in_kernel = !v->in_kernel;
    hw_load_l4(v->in_kernel ? v->kernel_l4 : v->user_l4);
}

static const struct op ops[] = {
    CALL_OP("mmu_update", 60, make_mmu_update),
    CALL_OP("grow tables", 60, make_grow),
    CALL_OP("mmuext_op", 50, make_mmuext),
    CALL_OP("update_va_mapping", 40, make_update_va),
    CALL_OP("update_va_mapping_otherdomain", 10, make_update_va_other),
    CALL_OP("update_descriptor", 5, make_update_descriptor),
    CALL_OP("set_gdt", 5, make_set_gdt),
    GUEST_OP("store to a table", 25, act_pt_write),
    GUEST_OP("touch memory", 20, act_touch),
    GUEST_OP("sign memory", 10, act_sign),
    GUEST_OP("change mode", 10, act_change_mode),
};
const struct op_family ops_mmu = {ops, ARRAY_SIZE(ops)};
