/* SPDX-License-Identifier: MIT */
/* domctl: making and ending domains, pausing and resuming them. */
#include "hypercall/domctl/domctl.h"
#include <xen/sched.h>

#define FLAGS_KNOWN ((uint32_t)XEN_DOMCTL_CDF_MAX * 2 - 1)

/* What is part of the interface but not offered is told apart from what is wrong. */
static int check_config(const struct xen_domctl_createdomain *c)
{
    if ((c->flags & ~FLAGS_KNOWN) || (c->iommu_opts && !(c->flags & XEN_DOMCTL_CDF_iommu)) ||
        (c->grant_opts & ~(uint32_t)XEN_DOMCTL_GRANT_version_mask) || !c->max_grant_frames || c->cpupool_id ||
        !c->max_vcpus || c->max_vcpus > VCPU_MAX)
        return fail(-EINVAL);
    if ((c->flags & ~XEN_DOMCTL_CDF_xs_domain) || XEN_DOMCTL_GRANT_version(c->grant_opts) > 1 || c->vmtrace_size ||
        c->arch.emulation_flags || c->arch.misc_flags)
        return fail(-EOPNOTSUPP);
    return 0;
}

/* A new domain has no memory and may have none until max_mem; its vCPUs are down, and it is paused once. */
int domctl_createdomain(struct domain *none, struct xen_domctl *op)
{
    const struct xen_domctl_createdomain *c = &op->u.createdomain;
    struct domain_config cfg = {
        .id = op->domain && op->domain < DOMID_FIRST_RESERVED ? op->domain : DOMID_INVALID,
        .max_vcpus = c->max_vcpus,
        .max_evtchn_port = c->max_evtchn_port,
        .max_grant_frames = c->max_grant_frames < 0 ? 0 : (unsigned)c->max_grant_frames,
        .max_maptrack_frames = c->max_maptrack_frames < 0 ? 0 : (unsigned)c->max_maptrack_frames,
        .xenstore = c->flags & XEN_DOMCTL_CDF_xs_domain,
    };
    struct domain *d;
    int rc = policy_check(current_vcpu()->domain, MAY_CONTROL_MACHINE, NULL);

    if (!rc)
        rc = check_config(c);
    if (rc)
        return rc;
    memcpy(cfg.handle, c->handle, sizeof(cfg.handle));
    rc = domain_create(&cfg, &d);
    if (!rc)
        op->domain = cfg.id;
    return rc;
}

int domctl_destroydomain(struct domain *d, struct xen_domctl *op)
{
    return domain_destroy(d);
}

int domctl_pausedomain(struct domain *d, struct xen_domctl *op)
{
    return domain_control_pause(d);
}

int domctl_unpausedomain(struct domain *d, struct xen_domctl *op)
{
    return domain_control_unpause(d);
}

int domctl_resumedomain(struct domain *d, struct xen_domctl *op)
{
    domain_resume(d);
    return 0;
}

/* They were made with the domain. */
int domctl_max_vcpus(struct domain *d, struct xen_domctl *op)
{
    return op->u.max_vcpus.max == d->max_vcpus ? 0 : fail(-EINVAL);
}
