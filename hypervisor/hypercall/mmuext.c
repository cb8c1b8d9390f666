/* SPDX-License-Identifier: MIT */
/*
 * mmuext_op: pins, page-table roots, flushes, LDT, clearing and copying of frames.
 *
 * Only pins and clear/copy may name another domain (the toolstack builds guests with them). An operation that is cut is made
 * again whole by the continuation; each is written so that it then goes on. Superpage marks are not offered: -EOPNOTSUPP.
 */
#include "hypercall/mmu.h"
#include "core/mem/mmu.h"
#include "core/mem/pte.h"
#include "core/mem/type.h"

#define BATCH 8

/* ---- Operations that may name another domain ---- */

static int clear_page(const struct mmu_owner *o, mfn_t mfn)
{
    if (writable_get(mfn, o->id))
        return fail(-EINVAL);
    hw_clear_frame(mfn);
    writable_put(frame_of(mfn));
    return 0;
}

static int copy_page(const struct mmu_owner *o, mfn_t dst, mfn_t src)
{
    struct frame *from = frame_get_owned(src, o->id);
    int rc = -EINVAL;

    if (from && !writable_get(dst, o->id)) {
        hw_copy_frame(dst, src);
        writable_put(frame_of(dst));
        rc = 0;
    }
    if (from)
        frame_put(from);
    return rc ? fail(rc) : 0;
}

static int pin(const struct mmu_owner *o, const struct mmuext_op *op)
{
    mfn_t mfn = MFN(op->arg1.mfn);

    if (op->cmd == MMUEXT_UNPIN_TABLE)
        return mmu_unpin(o->d, mfn);
    return mmu_pin(o->d, mfn, op->cmd - MMUEXT_PIN_L1_TABLE + 1);
}

/* ---- Operations on the caller itself ---- */

static int flush_local(struct vcpu *v, const struct mmuext_op *op)
{
    bool all = op->cmd == MMUEXT_TLB_FLUSH_LOCAL;

    if (all || guest_range_ok(op->arg1.linear_addr, 1))
        hw_flush_tlb_local(all, op->arg1.linear_addr);
    return 0;
}

static int flush_vcpus(struct vcpu *v, const struct mmuext_op *op)
{
    bool all = op->cmd == MMUEXT_TLB_FLUSH_MULTI || op->cmd == MMUEXT_TLB_FLUSH_ALL;
    struct vcpu_bits bits;

    if (op->cmd == MMUEXT_TLB_FLUSH_ALL || op->cmd == MMUEXT_INVLPG_ALL)
        vcpu_bits_all(v->domain, &bits);
    else if (vcpu_bits_read(v->domain, (uint64_t)op->arg2.vcpumask.p, &bits))
        return fail(-EFAULT);
    if (all || guest_range_ok(op->arg1.linear_addr, 1))
        mmu_flush_vcpus(v->domain, &bits, all, op->arg1.linear_addr);
    return 0;
}

static int flush_caches(struct vcpu *v, const struct mmuext_op *op)
{
    cpumask_t mask = {{0}};

    if (!v->domain->is_hardware)
        return fail(op->cmd == MMUEXT_FLUSH_CACHE ? -EACCES : -EINVAL);
    if (op->cmd == MMUEXT_FLUSH_CACHE)
        cpumask_set(&mask, this_cpu()->id);
    else
        mask = cpus_online;
    hw_flush_caches(&mask);
    return 0;
}

/* 0 is no table; INVALID_MFN, which is what core says for that, is just no frame. */
static int new_user_root(struct vcpu *v, mfn_t mfn)
{
    if (mfn_eq(mfn, INVALID_MFN))
        return fail(-EINVAL);
    return mmu_set_user_root(v, mfn.n ? mfn : INVALID_MFN);
}

static int own_op(struct vcpu *v, const struct mmuext_op *op)
{
    switch (op->cmd) {
    case MMUEXT_NEW_BASEPTR:
        return mmu_set_kernel_root(v, MFN(op->arg1.mfn));
    case MMUEXT_NEW_USER_BASEPTR:
        return new_user_root(v, MFN(op->arg1.mfn));
    case MMUEXT_TLB_FLUSH_LOCAL:
    case MMUEXT_INVLPG_LOCAL:
        return flush_local(v, op);
    case MMUEXT_TLB_FLUSH_MULTI:
    case MMUEXT_INVLPG_MULTI:
    case MMUEXT_TLB_FLUSH_ALL:
    case MMUEXT_INVLPG_ALL:
        return flush_vcpus(v, op);
    case MMUEXT_FLUSH_CACHE:
    case MMUEXT_FLUSH_CACHE_GLOBAL:
        return flush_caches(v, op);
    case MMUEXT_SET_LDT:
        return hw_set_ldt(v, op->arg1.linear_addr, op->arg2.nr_ents);
    case MMUEXT_MARK_SUPER:
    case MMUEXT_UNMARK_SUPER:
        return fail(-EOPNOTSUPP);
    default:
        return fail(-ENOSYS);
    }
}

/* ---- The batch ---- */

static int one_op(const struct mmu_owner *o, const struct mmuext_op *op)
{
    struct vcpu *v = current_vcpu();

    trace(TRACE_MMU, "mmuext_op %u, %lx, domain %u", op->cmd, op->arg1.mfn, o->id);
    switch (op->cmd) {
    case MMUEXT_PIN_L1_TABLE:
    case MMUEXT_PIN_L2_TABLE:
    case MMUEXT_PIN_L3_TABLE:
    case MMUEXT_PIN_L4_TABLE:
    case MMUEXT_UNPIN_TABLE:
        return pin(o, op);
    case MMUEXT_CLEAR_PAGE:
        return clear_page(o, MFN(op->arg1.mfn));
    case MMUEXT_COPY_PAGE:
        return copy_page(o, MFN(op->arg1.mfn), MFN(op->arg2.src_mfn));
    default:
        return o->d == v->domain ? own_op(v, op) : fail(-EPERM);
    }
}

static int some_ops(const struct mmu_owner *o, struct mmu_progress *p)
{
    struct mmuext_op op[BATCH];
    unsigned n = MIN(p->left, (uint32_t)BATCH);

    if (hw_copy_from_guest(op, p->next, n * sizeof(op[0])))
        return fail(-EFAULT);
    for (unsigned i = 0; i < n; i++) {
        int rc = mmu_finish_drops(current_vcpu());
        if (!rc)
            rc = one_op(o, &op[i]);
        if (rc)
            return rc;
        p->next += sizeof(op[0]);
        p->left--;
        p->done++;
        /* A pin or unpin may have gone through a whole table. */
        if (op[i].cmd <= MMUEXT_UNPIN_TABLE && p->left && hw_preempt_check())
            return -ERESTART;
    }
    return 0;
}

int64_t do_mmuext_op(const uint64_t args[6])
{
    struct mmu_progress p = mmu_progress_of(args);
    struct mmu_owner o;
    int rc = mmu_get_owner((uint16_t)args[3], &o);

    if (!rc && !o.d)
        rc = fail(-EPERM); /* DOMID_IO and DOMID_XEN have no tables */
    while (!rc && p.left) {
        rc = some_ops(&o, &p);
        if (!rc && p.left && hw_preempt_check())
            rc = -ERESTART;
    }
    mmu_put_owner(&o);
    return mmu_batch_result(__HYPERVISOR_mmuext_op, args, &p, rc);
}
