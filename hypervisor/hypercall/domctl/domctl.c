/* SPDX-License-Identifier: MIT */
/*
 * The domctl table and its dispatch: copies the struct in once, checks the interface version, finds the domain, asks policy,
 * calls, copies out. No lock is held around a handler: each takes the domain's domctl lock for what it guards.
 *
 * Not offered, -ENOSYS: what is for translated guests, for passing devices through, for debuggers, memory sharing and paging,
 * vNUMA, event subscription, cache allocation, monitoring, and handing VIRQs to other domains.
 */
#include "hypercall/domctl/domctl.h"
#include "hw/nospec.h"

#define OUT       1u /* the struct goes back when the operation succeeded */
#define OUT_ERROR 2u /* and also when it failed: it says what was wrong */
#define NO_DOMAIN 4u /* it makes or finds its domain itself */
#define OTHERS    8u /* not on the caller's own domain: -EINVAL */

static const struct {
    domctl_handler *handler;
    uint8_t flags;
} table[] = {
    [XEN_DOMCTL_createdomain] = {domctl_createdomain, OUT | NO_DOMAIN},
    [XEN_DOMCTL_destroydomain] = {domctl_destroydomain, OTHERS},
    [XEN_DOMCTL_pausedomain] = {domctl_pausedomain, OTHERS},
    [XEN_DOMCTL_unpausedomain] = {domctl_unpausedomain, 0},
    [XEN_DOMCTL_getdomaininfo] = {domctl_getdomaininfo, OUT | NO_DOMAIN},
    [XEN_DOMCTL_setvcpuaffinity] = {domctl_setvcpuaffinity, 0},
    [XEN_DOMCTL_shadow_op] = {domctl_shadow_op, OUT | OTHERS},
    [XEN_DOMCTL_max_mem] = {domctl_max_mem, 0},
    [XEN_DOMCTL_setvcpucontext] = {domctl_setvcpucontext, OTHERS},
    [XEN_DOMCTL_getvcpucontext] = {domctl_getvcpucontext, OTHERS},
    [XEN_DOMCTL_getvcpuinfo] = {domctl_getvcpuinfo, OUT},
    [XEN_DOMCTL_max_vcpus] = {domctl_max_vcpus, 0},
    [XEN_DOMCTL_scheduler_op] = {domctl_scheduler_op, OUT},
    [XEN_DOMCTL_setdomainhandle] = {domctl_setdomainhandle, 0},
    [XEN_DOMCTL_setdebugging] = {domctl_setdebugging, OTHERS},
    [XEN_DOMCTL_irq_permission] = {domctl_irq_permission, 0},
    [XEN_DOMCTL_iomem_permission] = {domctl_iomem_permission, 0},
    [XEN_DOMCTL_ioport_permission] = {domctl_ioport_permission, OTHERS},
    [XEN_DOMCTL_hypercall_init] = {domctl_hypercall_init, 0},
    [XEN_DOMCTL_settimeoffset] = {domctl_settimeoffset, 0},
    [XEN_DOMCTL_getvcpuaffinity] = {domctl_getvcpuaffinity, 0},
    [XEN_DOMCTL_resumedomain] = {domctl_resumedomain, OTHERS},
    [XEN_DOMCTL_sendtrigger] = {domctl_sendtrigger, 0},
    [XEN_DOMCTL_set_address_size] = {domctl_set_address_size, 0},
    [XEN_DOMCTL_get_address_size] = {domctl_get_address_size, OUT},
    [XEN_DOMCTL_set_ext_vcpucontext] = {domctl_set_ext_vcpucontext, OTHERS},
    [XEN_DOMCTL_get_ext_vcpucontext] = {domctl_get_ext_vcpucontext, OUT | OTHERS},
    [XEN_DOMCTL_gettscinfo] = {domctl_gettscinfo, OUT},
    [XEN_DOMCTL_settscinfo] = {domctl_settscinfo, OTHERS},
    [XEN_DOMCTL_getpageframeinfo3] = {domctl_getpageframeinfo3, 0},
    [XEN_DOMCTL_setvcpuextstate] = {domctl_setvcpuextstate, OTHERS},
    [XEN_DOMCTL_getvcpuextstate] = {domctl_getvcpuextstate, OUT | OTHERS},
    [XEN_DOMCTL_setnodeaffinity] = {domctl_setnodeaffinity, 0},
    [XEN_DOMCTL_getnodeaffinity] = {domctl_getnodeaffinity, 0},
    [XEN_DOMCTL_get_vcpu_msrs] = {domctl_get_vcpu_msrs, OUT | OTHERS},
    [XEN_DOMCTL_set_vcpu_msrs] = {domctl_set_vcpu_msrs, OUT_ERROR | OTHERS},
    [XEN_DOMCTL_get_cpu_policy] = {domctl_get_cpu_policy, OUT},
    [XEN_DOMCTL_set_cpu_policy] = {domctl_set_cpu_policy, OUT_ERROR | OTHERS},
};

static int call_for_domain(struct xen_domctl *op, domctl_handler *handler, unsigned flags)
{
    struct domain *self = current_vcpu()->domain, *d = domain_get_ref(op->domain, self);
    int rc;

    if (!d)
        return fail(-ESRCH);
    rc = policy_check(self, MAY_CONTROL_DOMAIN, d);
    if (!rc && (flags & OTHERS) && d == self)
        rc = fail(-EINVAL);
    if (!rc)
        rc = handler(d, op);
    domain_put(d);
    return rc;
}

HYPERCALL_HANDLER(domctl)
{
    struct xen_domctl op;
    unsigned flags;
    int rc;

    if (copy_in(&op, args[0]))
        return fail(-EFAULT);
    trace(TRACE_DOMAIN, "domctl %u, domain %u", op.cmd, op.domain);
    if (op.interface_version != XEN_DOMCTL_INTERFACE_VERSION)
        return fail(-EACCES);
    if (op.cmd >= ARRAY_SIZE(table) || !table[op.cmd].handler)
        return fail(-ENOSYS);
    op.cmd = (uint32_t)index_nospec(op.cmd, ARRAY_SIZE(table));
    flags = table[op.cmd].flags;
    if (flags & NO_DOMAIN)
        rc = table[op.cmd].handler(NULL, &op);
    else
        rc = call_for_domain(&op, table[op.cmd].handler, flags);
    if (rc == -ERESTART)
        return hw_hypercall_continue(__HYPERVISOR_domctl, 1, args);
    if ((rc ? flags & OUT_ERROR : flags & (OUT | OUT_ERROR)) && copy_out(args[0], &op))
        return fail(-EFAULT);
    return rc;
}
