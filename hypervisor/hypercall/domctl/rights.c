/* SPDX-License-Identifier: MIT */
/*
 * domctl: which interrupts, ports and frames of devices a domain may use. Nobody gives what he has not got.
 *
 * A domain reads its ports without a lock, so it is stopped while they change; its own are never changed by itself.
 */
#include "hypercall/domctl/domctl.h"
#include "core/mem/mmu.h"

static bool has(struct domain *d, struct spinlock *lock, const struct rangeset *set, uint64_t first, uint64_t last)
{
    bool yes;

    spin_lock(lock);
    yes = rangeset_contains(set, first, last);
    spin_unlock(lock);
    return yes;
}

static int change(struct rangeset *set, uint64_t first, uint64_t last, bool allow)
{
    return allow ? rangeset_add(set, first, last) : rangeset_remove(set, first, last);
}

int domctl_irq_permission(struct domain *d, struct xen_domctl *op)
{
    struct domain *self = current_vcpu()->domain;
    uint32_t irq = op->u.irq_permission.pirq;
    int rc;

    if (irq >= hw_pirq_max())
        return fail(-EINVAL);
    if (!has(self, &self->domctl_lock, &self->io_irqs, irq, irq))
        return fail(-EPERM);
    spin_lock(&d->domctl_lock);
    rc = change(&d->io_irqs, irq, irq, op->u.irq_permission.allow_access);
    spin_unlock(&d->domctl_lock);
    return rc;
}

static bool only_reads_some(struct domain *d, uint64_t first, uint64_t last)
{
    bool some;

    spin_lock(&d->memory_lock);
    some = rangeset_overlaps(&d->io_frames_ro, first, last);
    spin_unlock(&d->memory_lock);
    return some;
}

int domctl_iomem_permission(struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_iomem_permission *p = &op->u.iomem_permission;
    uint64_t first = p->first_mfn, last = first + p->nr_mfns - 1;
    struct domain *self = current_vcpu()->domain;

    if (!p->nr_mfns || last < first)
        return fail(-EINVAL);
    if (!has(self, &self->memory_lock, &self->io_frames, first, last) ||
        (p->allow_access && only_reads_some(self, first, last)))
        return fail(-EPERM);
    return io_frames_permit(d, first, last, p->allow_access);
}

int domctl_ioport_permission(struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_ioport_permission *p = &op->u.ioport_permission;
    uint64_t first = p->first_port, last = first + p->nr_ports - 1;
    struct domain *self = current_vcpu()->domain;
    int rc;

    if (!p->nr_ports || last > UINT16_MAX)
        return fail(-EINVAL);
    if (!rangeset_contains(&self->io_ports, first, last))
        return fail(-EPERM);
    domain_pause(d);
    spin_lock(&d->domctl_lock);
    rc = change(&d->io_ports, first, last, p->allow_access);
    spin_unlock(&d->domctl_lock);
    domain_unpause(d);
    return rc;
}
