/* SPDX-License-Identifier: MIT */
/* sysctl: the list of domains, the one CPU pool, the scheduler's parameters. */
#include "hypercall/sysctl/sysctl.h"
#include "hypercall/domctl/domctl.h"
#include "core/sched/credit.h"

/* In the order of their numbers. As many as fit; not cut, for there are no more than somebody has created. */
int sysctl_getdomaininfolist(struct xen_sysctl *op)
{
    struct xen_sysctl_getdomaininfolist *l = &op->u.getdomaininfolist;
    struct domain *d = domain_get_from(l->first_domain);
    uint32_t n = 0;

    for (; d && n < l->max_domains; d = domain_next(d), n++) {
        struct xen_domctl_getdomaininfo info;

        domctl_fill_domaininfo(d, &info);
        if (copy_out((uint64_t)l->buffer.p + n * sizeof(info), &info)) {
            domain_put(d);
            return fail(-EFAULT);
        }
    }
    if (d)
        domain_put(d);
    l->num_domains = n;
    return 0;
}

/* ---- CPU pools: there is pool 0, with all CPUs and all domains ---- */

static int pool_info(struct xen_sysctl_cpupool_op *p)
{
    if (p->cpupool_id && p->cpupool_id != XEN_SYSCTL_CPUPOOL_PAR_ANY)
        return fail(-ENOENT);
    p->cpupool_id = 0;
    p->sched_id = XEN_SCHEDULER_CREDIT;
    p->n_dom = 0;
    for (struct domain *d = domain_next(NULL); d; d = domain_next(d))
        p->n_dom++;
    return domctl_bitmap_out(&p->cpumap, cpus_online.w, MAX_CPUS);
}

static int move_to_pool(const struct xen_sysctl_cpupool_op *p)
{
    struct domain *d = p->domid < DOMID_FIRST_RESERVED ? domain_get((uint16_t)p->domid) : NULL;

    if (d)
        domain_put(d);
    return d && !p->cpupool_id ? 0 : fail(d ? -ENOENT : -EINVAL);
}

int sysctl_cpupool_op(struct xen_sysctl *op)
{
    struct xen_sysctl_cpupool_op *p = &op->u.cpupool_op;
    cpumask_t none = {{0}};

    switch (p->op) {
    case XEN_SYSCTL_CPUPOOL_OP_INFO:
        return pool_info(p);
    case XEN_SYSCTL_CPUPOOL_OP_FREEINFO:
        return domctl_bitmap_out(&p->cpumap, none.w, MAX_CPUS);
    case XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN:
        return move_to_pool(p);
    default:
        return fail(-EOPNOTSUPP);
    }
}

/* ---- The scheduler ---- */

int sysctl_sched_id(struct xen_sysctl *op)
{
    op->u.sched_id.sched_id = XEN_SCHEDULER_CREDIT;
    return 0;
}

static int set_parameters(const struct xen_sysctl_credit_schedule *c)
{
    if (c->tslice_ms < XEN_SYSCTL_CSCHED_TSLICE_MIN || c->tslice_ms > XEN_SYSCTL_CSCHED_TSLICE_MAX)
        return fail(-EINVAL);
    if (c->ratelimit_us && (c->ratelimit_us < XEN_SYSCTL_SCHED_RATELIMIT_MIN ||
                            c->ratelimit_us > XEN_SYSCTL_SCHED_RATELIMIT_MAX || c->ratelimit_us > c->tslice_ms * 1000))
        return fail(-EINVAL);
    __atomic_store_n(&option_slice_us, c->tslice_ms * 1000, __ATOMIC_RELAXED);
    __atomic_store_n(&option_ratelimit_us, c->ratelimit_us, __ATOMIC_RELAXED);
    return 0;
}

/* Both ways tell what holds then. A migration delay is not kept: our scheduler has none. */
int sysctl_scheduler_op(struct xen_sysctl *op)
{
    struct xen_sysctl_scheduler_op *s = &op->u.scheduler_op;
    int rc = 0;

    if (s->sched_id != XEN_SCHEDULER_CREDIT || s->cmd > XEN_SYSCTL_SCHEDOP_getinfo)
        return fail(-EINVAL);
    if (s->cpupool_id)
        return fail(-ESRCH);
    if (s->cmd == XEN_SYSCTL_SCHEDOP_putinfo)
        rc = set_parameters(&s->u.sched_credit);
    s->u.sched_credit =
        (struct xen_sysctl_credit_schedule){.tslice_ms = option_slice_us / 1000, .ratelimit_us = option_ratelimit_us};
    return rc;
}
