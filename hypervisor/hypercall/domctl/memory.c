/* SPDX-License-Identifier: MIT */
/* domctl: how much memory a domain may have, and what its frames are. */
#include "hypercall/domctl/domctl.h"
#include "core/mem/mmu.h"
#include "core/mem/type.h"

#define PAGES_PER_CALL 1024

/* May be below what the domain has: then it gets no more until it has given enough back. */
int domctl_max_mem(struct domain *d, struct xen_domctl *op)
{
    spin_lock(&d->memory_lock);
    d->pages_max = op->u.max_mem.max_memkb / (PAGE_SIZE / KIB);
    spin_unlock(&d->memory_lock);
    return 0;
}

static uint64_t kind_of(struct domain *d, uint64_t mfn)
{
    bool pinned = false;
    int kind = mmu_frame_kind(d, MFN(mfn), &pinned);

    if (kind < 0)
        return XEN_DOMCTL_PFINFO_XTAB;
    return (uint64_t)kind << XEN_DOMCTL_PFINFO_LTAB_SHIFT | (pinned ? XEN_DOMCTL_PFINFO_LPINTAB : 0);
}

/* The array of frame numbers becomes an array of types. */
int domctl_getpageframeinfo3(struct domain *d, struct xen_domctl *op)
{
    uint64_t array = (uint64_t)op->u.getpageframeinfo3.array.p, frames[64];
    uint64_t left = op->u.getpageframeinfo3.num;

    if (left > PAGES_PER_CALL)
        return fail(-E2BIG);
    while (left) {
        unsigned n = (unsigned)MIN(left, ARRAY_SIZE(frames));

        if (hw_copy_from_guest(frames, array, n * sizeof(frames[0])))
            return fail(-EFAULT);
        for (unsigned i = 0; i < n; i++)
            frames[i] = kind_of(d, frames[i]);
        if (hw_copy_to_guest(array, frames, n * sizeof(frames[0])))
            return fail(-EFAULT);
        array += n * sizeof(frames[0]);
        left -= n;
    }
    return 0;
}

/* PV guests run on their own tables, and what they write is not logged. */
int domctl_shadow_op(struct domain *d, struct xen_domctl *op)
{
    switch (op->u.shadow_op.op) {
    case XEN_DOMCTL_SHADOW_OP_OFF:
        return 0;
    case XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION:
        op->u.shadow_op.mb = 0;
        return 0;
    case XEN_DOMCTL_SHADOW_OP_ENABLE:
    case XEN_DOMCTL_SHADOW_OP_ENABLE_TEST:
    case XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY:
    case XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION:
        return fail(-EOPNOTSUPP);
    default:
        return fail(-EINVAL);
    }
}

int domctl_hypercall_init(struct domain *d, struct xen_domctl *op)
{
    mfn_t mfn = MFN(op->u.hypercall_init.gmfn);

    if (writable_get(mfn, d->id))
        return fail(-EACCES);
    hw_fill_hypercall_page(hw_frame_va(mfn));
    writable_put(frame_of(mfn));
    return 0;
}
