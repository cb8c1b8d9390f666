/* SPDX-License-Identifier: MIT */
/* domctl: what a domain is told of itself: handle, time, width. */
#include "hypercall/domctl/domctl.h"
#include "core/time/wallclock.h"

#define ADDRESS_SIZE 64 /* the one width of PV guests */
enum { TSC_DEFAULT, TSC_EMULATE, TSC_NATIVE };

int domctl_setdomainhandle(struct domain *d, struct xen_domctl *op)
{
    spin_lock(&d->domctl_lock);
    memcpy(d->handle, op->u.setdomainhandle.handle, sizeof(d->handle));
    spin_unlock(&d->domctl_lock);
    return 0;
}

/* There is no debugger to be told of traps. */
int domctl_setdebugging(struct domain *d, struct xen_domctl *op)
{
    return op->u.setdebugging.enable ? fail(-EOPNOTSUPP) : 0;
}

int domctl_settimeoffset(struct domain *d, struct xen_domctl *op)
{
    __atomic_store_n(&d->time_offset_s, op->u.settimeoffset.time_offset_seconds, __ATOMIC_RELAXED);
    wallclock_publish(d);
    return 0;
}

/* The TSC is every guest's own; only emulating it is refused. Elapsed time and frequency are this host's. */
int domctl_settscinfo(struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_tsc_info *t = &op->u.tsc_info;

    if (t->tsc_mode == TSC_EMULATE)
        return fail(-EOPNOTSUPP);
    if (t->tsc_mode != TSC_DEFAULT && t->tsc_mode != TSC_NATIVE)
        return fail(-EINVAL);
    spin_lock(&d->domctl_lock);
    d->tsc_mode = t->tsc_mode;
    d->tsc_incarnation = t->incarnation;
    spin_unlock(&d->domctl_lock);
    return 0;
}

int domctl_gettscinfo(struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_tsc_info *t = &op->u.tsc_info;

    memset(&op->u, 0, sizeof(op->u));
    spin_lock(&d->domctl_lock);
    t->tsc_mode = d->tsc_mode;
    t->incarnation = d->tsc_incarnation;
    spin_unlock(&d->domctl_lock);
    t->elapsed_nsec = hw_now_ns();
    t->gtsc_khz = hw_tsc_khz();
    return 0;
}

int domctl_set_address_size(struct domain *d, struct xen_domctl *op)
{
    return op->u.address_size.size == ADDRESS_SIZE ? 0 : fail(-EINVAL);
}

int domctl_get_address_size(struct domain *d, struct xen_domctl *op)
{
    op->u.address_size.size = ADDRESS_SIZE;
    return 0;
}
