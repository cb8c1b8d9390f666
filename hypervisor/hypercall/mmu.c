/* SPDX-License-Identifier: MIT */
/*
 * mmu_update, update_va_mapping (and _otherdomain), update_descriptor: guests' changes of page-table entries, of the
 * machine-to-physical table and of descriptors.
 *
 * A batch keeps the table of the last request held, since guests update neighbours. No lock is held anywhere here.
 */
#include "hypercall/mmu.h"
#include "core/mem/l1.h"
#include "core/mem/type.h"

#define BATCH 32 /* requests copied in at once; a preemption point between batches */

/* ---- Shared with mmuext.c ---- */

int mmu_get_owner(uint16_t domid, struct mmu_owner *o)
{
    struct domain *self = current_vcpu()->domain;
    int rc;

    *o = (struct mmu_owner){.d = self, .id = self->id};
    if (domid == DOMID_SELF || domid == self->id)
        return 0;
    if (domid == DOMID_IO) {
        *o = (struct mmu_owner){.id = DOMID_IO};
        return 0;
    }
    if (domid == DOMID_XEN && !policy_check(self, MAY_CONTROL_MACHINE, NULL)) {
        *o = (struct mmu_owner){.id = DOMID_XEN};
        return 0;
    }
    if (domid >= DOMID_FIRST_RESERVED)
        return fail(-EPERM);
    o->d = domain_get(domid);
    if (!o->d)
        return fail(-ESRCH);
    rc = policy_check(self, MAY_MAP_FOREIGN, o->d);
    if (!rc && __atomic_load_n(&o->d->dying, __ATOMIC_SEQ_CST))
        rc = fail(-ESRCH); /* mappings would only keep it from going */
    if (rc) {
        domain_put(o->d);
        return rc;
    }
    o->id = domid;
    o->referenced = true;
    return 0;
}

void mmu_put_owner(struct mmu_owner *o)
{
    if (o->referenced)
        domain_put(o->d);
    o->referenced = false;
}

struct mmu_progress mmu_progress_of(const uint64_t args[6])
{
    return (struct mmu_progress){args[0], (uint32_t)args[1], (uint32_t)(args[1] >> 32)};
}

int64_t mmu_batch_result(unsigned nr, const uint64_t args[6], const struct mmu_progress *p, int rc)
{
    if (!rc)
        rc = mmu_finish_drops(current_vcpu());
    if (rc == -ERESTART)
        return hw_hypercall_continue(nr, 4, (uint64_t[]){p->next, p->left | (uint64_t)p->done << 32, args[2], args[3]});
    if (args[2] && copy_out(args[2], &p->done) && !rc)
        return fail(-EFAULT);
    return rc;
}

int vcpu_bits_read(struct domain *d, uint64_t gva, struct vcpu_bits *bits)
{
    *bits = (struct vcpu_bits){{0}};
    return hw_copy_from_guest(bits->w, gva, DIV_ROUND_UP(d->max_vcpus, 8));
}

void vcpu_bits_all(struct domain *d, struct vcpu_bits *bits)
{
    *bits = (struct vcpu_bits){{0}};
    for (unsigned i = 0; i < d->max_vcpus; i++)
        bit_set(bits->w, i);
}

void mmu_flush_vcpus(struct domain *d, const struct vcpu_bits *bits, bool all, uint64_t va)
{
    cpumask_t mask = {{0}};
    unsigned id;

    bitmap_for_each (id, bits->w, d->max_vcpus) {
        struct vcpu *v = d->vcpus[id];
        if (v && __atomic_load_n(&v->running, __ATOMIC_SEQ_CST))
            cpumask_set(&mask, __atomic_load_n(&v->pcpu, __ATOMIC_RELAXED));
    }
    if (!cpumask_empty(&mask))
        hw_flush_tlb(&mask, all, va);
}

/* ---- mmu_update ---- */

struct batch {
    struct domain *tables; /* whose tables are changed */
    uint16_t target;       /* whose frames are mapped */
    struct frame *table;   /* held; NULL */
    uint64_t address;      /* its machine address */
    pte_t *entries;
    unsigned level; /* 0: none held */
};

static void batch_drop_table(struct batch *b)
{
    if (b->table)
        table_release(b->table);
    b->table = NULL;
    b->level = 0;
}

static int batch_take_table(struct batch *b, mfn_t mfn)
{
    int rc;

    if (b->table && b->address == mfn.n << PAGE_SHIFT)
        return 0;
    batch_drop_table(b);
    if (!mfn_valid(mfn))
        return fail(-EINVAL);
    rc = table_hold(frame_of(mfn), b->tables->id, false);
    if (rc)
        return rc;
    b->table = frame_of(mfn);
    b->address = mfn.n << PAGE_SHIFT;
    b->entries = hw_frame_va(mfn);
    b->level = frame_type(b->table);
    return 0;
}

/* An entry in a frame that is no page table (any more, or not yet): an ordinary store, if the guest could make it itself. */
static int store(struct domain *d, mfn_t mfn, unsigned index, uint64_t value)
{
    if (writable_get(mfn, d->id))
        return fail(-EINVAL);
    __atomic_store_n((uint64_t *)hw_frame_va(mfn) + index, value, __ATOMIC_RELAXED);
    writable_put(frame_of(mfn));
    return 0;
}

static int set_machphys(uint16_t owner, mfn_t mfn, uint64_t pfn)
{
    struct frame *f = owner < DOMID_FIRST_RESERVED ? frame_get_owned(mfn, owner) : NULL;

    if (!f)
        return fail(-EINVAL);
    hw_m2p_set(mfn, pfn);
    frame_put(f);
    return 0;
}

/* Any request. Drops that the one before left behind are finished first; only changes of upper tables, and changes of the
 * table that is held, leave any. */
static int update_any(struct batch *b, const struct mmu_update *req)
{
    unsigned cmd = req->ptr & 3, index = (req->ptr & ~PAGE_MASK) / sizeof(pte_t);
    mfn_t mfn = MFN(req->ptr >> PAGE_SHIFT);
    int rc = mmu_finish_drops(current_vcpu());

    if (rc)
        return rc;
    if (cmd == MMU_MACHPHYS_UPDATE)
        return set_machphys(b->target, mfn, req->val);
    if (req->ptr & 4)
        return fail(-EINVAL);
    rc = batch_take_table(b, mfn);
    if (rc)
        return rc == -ENOENT ? store(b->tables, mfn, index, req->val) : rc;
    return table_update(b->tables, b->entries, b->level, index, req->val,
                        cmd == MMU_PT_UPDATE_PRESERVE_AD ? PT_PRESERVE_AD : PT_SET, b->target);
}

/* The usual: command 0, in the level 1 table of the request before. */
static inline int update_one(struct batch *b, const struct mmu_update *req)
{
    uint64_t offset = req->ptr - b->address;

    if (likely(!(offset & ~(PAGE_SIZE - sizeof(pte_t)))) && likely(b->level == 1))
        return l1_update(b->tables, (pte_t *)((char *)b->entries + offset), req->val, PT_SET, b->target);
    return update_any(b, req);
}

static int update_some(struct batch *b, struct mmu_progress *p)
{
    struct mmu_update req[BATCH];
    unsigned n = MIN(p->left, (uint32_t)BATCH), i;
    int rc = 0;

    if (hw_copy_from_guest(req, p->next, n * sizeof(req[0])))
        return fail(-EFAULT);
    for (i = 0; i < n; i++) {
        rc = update_one(b, &req[i]);
        if (unlikely(rc))
            break;
        /* Another table was validated or given back: work enough for one stretch. */
        if (unlikely(b->level > 1) && i + 1 < p->left && hw_preempt_check()) {
            rc = -ERESTART;
            i++;
            break;
        }
    }
    p->next += i * sizeof(req[0]);
    p->left -= i;
    p->done += i;
    return rc;
}

int64_t do_mmu_update(const uint64_t args[6])
{
    struct mmu_progress p = mmu_progress_of(args);
    struct mmu_owner target, tables = {.d = current_vcpu()->domain};
    uint16_t tables_id = (uint16_t)(args[3] >> 16);
    int rc = mmu_get_owner((uint16_t)args[3], &target);

    trace(TRACE_MMU, "mmu_update %u at %lx, domid %lx", p.left, p.next, args[3]);
    if (!rc && tables_id)
        rc = tables_id - 1 < (int)DOMID_FIRST_RESERVED ? mmu_get_owner(tables_id - 1, &tables) : fail(-EINVAL);
    if (!rc) {
        struct batch b = {.tables = tables.d, .target = target.id};
        while (!rc && p.left) {
            rc = update_some(&b, &p);
            if (!rc && p.left && hw_preempt_check())
                rc = -ERESTART;
        }
        batch_drop_table(&b);
        mmu_put_owner(&tables);
    }
    mmu_put_owner(&target);
    return mmu_batch_result(__HYPERVISOR_mmu_update, args, &p, rc);
}

/* ---- update_va_mapping ---- */

struct flush {
    bool local, all;
    struct vcpu_bits vcpus;
};

static int flush_decode(struct domain *d, uint64_t flags, struct flush *f)
{
    uint64_t whom = flags & ~(uint64_t)UVMF_FLUSHTYPE_MASK;

    f->all = flags & UVMF_TLB_FLUSH;
    f->local = whom == UVMF_LOCAL;
    if (whom == UVMF_ALL)
        vcpu_bits_all(d, &f->vcpus);
    else if (!f->local)
        return vcpu_bits_read(d, whom, &f->vcpus);
    return 0;
}

static inline __attribute__((always_inline)) int update_only(struct vcpu *v, uint64_t va, pte_t value, uint16_t target)
{
    struct l1_place place = l1_place_of(v, va);
    int rc;

    if (unlikely(!place.l1))
        return (int)place.entry_or_rc;
    rc = l1_update(v->domain, (pte_t *)(intptr_t)place.entry_or_rc, value, PT_SET, target);
    table_release(place.l1);
    return rc;
}

static __attribute__((noinline)) int update_and_flush(struct vcpu *v, uint64_t va, pte_t value, uint64_t flags,
                                                      uint16_t target)
{
    struct flush f;
    int rc = flush_decode(v->domain, flags, &f);

    if (!rc)
        rc = update_only(v, va, value, target);
    if (rc)
        return rc;
    if (f.local)
        hw_flush_tlb_local(f.all, va);
    else
        mmu_flush_vcpus(v->domain, &f.vcpus, f.all, va);
    return 0;
}

static inline __attribute__((always_inline)) int update_va(uint64_t va, pte_t value, uint64_t flags, uint16_t target)
{
    struct vcpu *v = current_vcpu();

    if (likely(!(flags & UVMF_FLUSHTYPE_MASK)))
        return update_only(v, va, value, target);
    return update_and_flush(v, va, value, flags, target);
}

int64_t do_update_va_mapping(const uint64_t args[6])
{
    int rc;

    trace(TRACE_MMU, "update_va_mapping %lx = %lx, flags %lx", args[0], args[1], args[2]);
    rc = update_va(args[0], args[1], args[2], current_vcpu()->domain->id);
    return unlikely(rc == -ERESTART) ? hw_hypercall_continue(__HYPERVISOR_update_va_mapping, 3, args) : rc;
}

int64_t do_update_va_mapping_otherdomain(const uint64_t args[6])
{
    struct mmu_owner target;
    int rc = mmu_get_owner((uint16_t)args[3], &target);

    trace(TRACE_MMU, "update_va_mapping_otherdomain %lx = %lx, domid %lx", args[0], args[1], args[3]);
    if (rc)
        return rc;
    rc = update_va(args[0], args[1], args[2], target.id);
    mmu_put_owner(&target);
    return rc == -ERESTART ? hw_hypercall_continue(__HYPERVISOR_update_va_mapping_otherdomain, 4, args) : rc;
}

/* ---- update_descriptor ---- */

/* The frame is a descriptor page in use, or an ordinary one of the guest's; neither can become the other while we hold it. */
int64_t do_update_descriptor(const uint64_t args[6])
{
    struct domain *d = current_vcpu()->domain;
    mfn_t mfn = MFN(args[0] >> PAGE_SHIFT);
    uint64_t desc = args[1];
    struct frame *f;

    trace(TRACE_MMU, "update_descriptor %lx = %lx", args[0], desc);
    if (args[0] % sizeof(desc) || !mfn_valid(mfn) || !descriptor_ok(&desc))
        return fail(-EINVAL);
    f = frame_of(mfn);
    if (frame_type(f) == FT_DESC && frame_tcount(__atomic_load_n(&f->refs, __ATOMIC_RELAXED))) {
        if (type_get(d, f, FT_DESC))
            return fail(-EINVAL);
        __atomic_store_n((uint64_t *)hw_frame_va(mfn) + (args[0] & ~PAGE_MASK) / sizeof(desc), desc, __ATOMIC_RELAXED);
        type_put(f, false);
        return 0;
    }
    return store(d, mfn, (args[0] & ~PAGE_MASK) / sizeof(desc), desc);
}
