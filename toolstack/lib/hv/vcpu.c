/* SPDX-License-Identifier: MIT */
/* Virtual CPUs: what is told of them, where they may run, how they start (domctl). */
#include "lib/hv/call.h"
#include <errno.h>
#include <string.h>

#define CPUS_MAX 4096 /* of a map: more is nonsense */

int hv_vcpu_info(struct hv *hv, uint32_t domid, unsigned vcpu, struct xen_domctl_getvcpuinfo *info)
{
    struct xen_domctl op = {0};
    int rc;

    op.u.getvcpuinfo.vcpu = vcpu;
    rc = hv_domctl(hv, XEN_DOMCTL_getvcpuinfo, domid, &op);
    if (!rc)
        *info = op.u.getvcpuinfo;
    return rc;
}

/* Get and set differ in the command and the way that the map goes. */
static int affinity(struct hv *hv, uint32_t command, uint32_t domid, unsigned vcpu, uint8_t *map, unsigned bits)
{
    size_t bytes = (bits + 7u) / 8;
    struct hv_buffer *b;
    struct xen_domctl *op;
    uint8_t *in;
    int rc;

    if (!bits || bits > CPUS_MAX)
        return -EINVAL;
    b = hv_buffer_get(hv);
    if (!b)
        return -ENOMEM;
    op = hv_buffer_take(b, sizeof(*op));
    in = hv_buffer_take(b, bytes);
    memcpy(in, map, bytes);
    op->u.vcpuaffinity.vcpu = vcpu;
    op->u.vcpuaffinity.flags = XEN_VCPUAFFINITY_HARD;
    op->u.vcpuaffinity.cpumap_hard.nr_bits = bits;
    set_xen_guest_handle(op->u.vcpuaffinity.cpumap_hard.bitmap, in);
    rc = hv_domctl_in(hv, command, domid, op);
    if (!rc && command == XEN_DOMCTL_getvcpuaffinity)
        memcpy(map, in, bytes);
    hv_buffer_put(hv, b);
    return rc;
}

int hv_vcpu_set_affinity(struct hv *hv, uint32_t domid, unsigned vcpu, const uint8_t *map, unsigned bits)
{
    return affinity(hv, XEN_DOMCTL_setvcpuaffinity, domid, vcpu, (uint8_t *)(uintptr_t)map, bits);
}

int hv_vcpu_get_affinity(struct hv *hv, uint32_t domid, unsigned vcpu, uint8_t *map, unsigned bits)
{
    memset(map, 0, (bits + 7u) / 8);
    return affinity(hv, XEN_DOMCTL_getvcpuaffinity, domid, vcpu, map, bits);
}

int hv_vcpu_set_context(struct hv *hv, uint32_t domid, unsigned vcpu, const vcpu_guest_context_t *ctxt)
{
    struct hv_buffer *b = hv_buffer_get(hv);
    struct xen_domctl *op;
    vcpu_guest_context_t *in;
    int rc;

    if (!b)
        return -ENOMEM;
    op = hv_buffer_take(b, sizeof(*op));
    in = memcpy(hv_buffer_take(b, sizeof(*in)), ctxt, sizeof(*ctxt));
    op->u.vcpucontext.vcpu = vcpu;
    set_xen_guest_handle(op->u.vcpucontext.ctxt, in);
    do /* taking the page tables over may be long: the hypervisor may want it in pieces */
        rc = hv_domctl_in(hv, XEN_DOMCTL_setvcpucontext, domid, op);
    while (rc == -ERESTART);
    hv_buffer_put(hv, b);
    return rc;
}

int hv_domain_send_nmi(struct hv *hv, uint32_t domid, unsigned vcpu)
{
    struct xen_domctl op = {0};

    op.u.sendtrigger.trigger = XEN_DOMCTL_SENDTRIGGER_NMI;
    op.u.sendtrigger.vcpu = vcpu;
    return hv_domctl(hv, XEN_DOMCTL_sendtrigger, domid, &op);
}
