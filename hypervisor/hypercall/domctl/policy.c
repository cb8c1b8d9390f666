/* SPDX-License-Identifier: MIT */
/*
 * domctl: a domain's CPU policy. It is changed whole, before the domain's first vCPU has a context: a new one is made of the old
 * and what the tools sent, checked, and takes its place.
 */
#include "hypercall/cpu_policy.h"
#include "hypercall/domctl/domctl.h"
#include "core/mem/alloc.h"

int domctl_get_cpu_policy(struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_cpu_policy *c = &op->u.cpu_policy;
    struct cpu_policy *copy = heap_alloc(sizeof(*copy));
    int rc;

    if (!copy)
        return fail(-ENOMEM);
    spin_lock(&d->domctl_lock);
    *copy = *d->cpu_policy;
    spin_unlock(&d->domctl_lock);
    rc = policy_list_out(copy, &c->nr_leaves, (uint64_t)c->leaves.p, &c->nr_msrs, (uint64_t)c->msrs.p);
    heap_free(copy);
    return rc;
}

static int take_leaves(struct cpu_policy *p, const struct xen_domctl_cpu_policy *c, struct cpu_policy_error *e)
{
    for (unsigned i = 0; i < c->nr_leaves; i++) {
        struct xen_cpuid_leaf l;
        int rc;

        if (copy_in(&l, (uint64_t)c->leaves.p + i * sizeof(l)))
            return fail(-EFAULT);
        rc = cpu_policy_set_leaf(p, &l);
        if (rc) {
            e->leaf = l.leaf;
            e->subleaf = l.subleaf;
            return rc;
        }
    }
    return 0;
}

static int take_msrs(struct cpu_policy *p, const struct xen_domctl_cpu_policy *c, struct cpu_policy_error *e)
{
    for (unsigned i = 0; i < c->nr_msrs; i++) {
        struct xen_msr_entry m;
        int rc;

        if (copy_in(&m, (uint64_t)c->msrs.p + i * sizeof(m)))
            return fail(-EFAULT);
        rc = cpu_policy_set_msr(p, &m);
        if (rc) {
            e->msr = m.idx;
            return rc;
        }
    }
    return 0;
}

static bool has_started(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu (d, v, i)
        if (v->initialised || v->initialising)
            return true;
    return false;
}

/* The domain's policy becomes *p, and *p what it was. Nobody of the domain can be looking: none of its vCPUs has started. */
static int swap_policy(struct domain *d, struct cpu_policy **p)
{
    struct cpu_policy *old;
    int rc = 0;

    spin_lock(&d->domctl_lock);
    old = d->cpu_policy;
    if (has_started(d)) {
        rc = -EBUSY;
    } else {
        d->cpu_policy = *p;
        *p = old;
    }
    spin_unlock(&d->domctl_lock);
    return rc ? fail(rc) : 0;
}

static int replace_policy(struct domain *d, struct xen_domctl_cpu_policy *c, struct cpu_policy **new)
{
    struct cpu_policy_error e = {~0u, ~0u, ~0u};
    int rc;

    spin_lock(&d->domctl_lock);
    **new = *d->cpu_policy;
    spin_unlock(&d->domctl_lock);
    rc = take_leaves(*new, c, &e);
    if (!rc)
        rc = take_msrs(*new, c, &e);
    if (!rc)
        rc = cpu_policy_check(*new, hw_cpu_policy(CPU_POLICY_PV_MAX), &e);
    if (!rc)
        rc = swap_policy(d, new);
    c->err_leaf = e.leaf;
    c->err_subleaf = e.subleaf;
    c->err_msr = e.msr;
    return rc;
}

int domctl_set_cpu_policy(struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_cpu_policy *c = &op->u.cpu_policy;
    struct cpu_policy *new;
    int rc;

    if (c->nr_leaves > CPU_POLICY_LEAVES || c->nr_msrs > CPU_POLICY_MSRS)
        return fail(-E2BIG);
    new = heap_alloc(sizeof(*new));
    if (!new)
        return fail(-ENOMEM);
    rc = replace_policy(d, c, &new);
    heap_free(new);
    return rc;
}
