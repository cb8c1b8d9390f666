/* SPDX-License-Identifier: MIT */
/* The calls by which the machine is controlled, one function each. */
#include "dom0/dom0.h"

long domctl(uint32_t cmd, uint16_t domain, struct xen_domctl *op)
{
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = domain;
    return hypercall(__HYPERVISOR_domctl, ADDRESS(op), 0, 0, 0);
}

long sysctl(uint32_t cmd, struct xen_sysctl *op)
{
    op->cmd = cmd;
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return hypercall(__HYPERVISOR_sysctl, ADDRESS(op), 0, 0, 0);
}

long domain_info(uint16_t domain, struct xen_domctl_getdomaininfo *info)
{
    struct xen_domctl op = {0};
    long rc = domctl(XEN_DOMCTL_getdomaininfo, domain, &op);

    *info = op.u.getdomaininfo;
    if (!rc && op.domain != domain) /* the next one's */
        return -1;
    return rc;
}

uint64_t free_pages(void)
{
    struct xen_sysctl op = {0};

    sysctl(XEN_SYSCTL_physinfo, &op);
    return op.u.physinfo.free_pages;
}

void press_key(char key)
{
    struct xen_sysctl op = {0};

    op.u.debug_keys.nr_keys = 1;
    set_xen_guest_handle(op.u.debug_keys.keys, &key);
    sysctl(XEN_SYSCTL_debug_keys, &op);
}

size_t console_next(char *text, size_t size)
{
    static uint32_t index;
    struct xen_sysctl op = {0};

    op.u.readconsole.incremental = 1;
    op.u.readconsole.index = index;
    op.u.readconsole.count = (uint32_t)size - 1;
    set_xen_guest_handle(op.u.readconsole.buffer, text);
    if (sysctl(XEN_SYSCTL_readconsole, &op))
        op.u.readconsole.count = 0;
    else
        index = op.u.readconsole.index;
    text[op.u.readconsole.count] = 0;
    return op.u.readconsole.count;
}

void reset_machine(void)
{
    struct sched_shutdown how = {.reason = SHUTDOWN_reboot};

    for (;;)
        sched_op(SCHEDOP_shutdown, &how);
}
