/* SPDX-License-Identifier: MIT */
/* Domains as a whole: their life, limits and what is told of them (domctl), and their event channels. */
#include "lib/hv/call.h" /* first: it says that these are tools */
#include <errno.h>
#include <string.h>
#include <xen/event_channel.h>

#define EVTCHN_PORT_DEFAULT 1023

static int32_t limit(unsigned wanted)
{
    return wanted ? (int32_t)(wanted > INT32_MAX ? INT32_MAX : wanted) : -1; /* -1: the hypervisor's own */
}

int hv_domain_create(struct hv *hv, const struct hv_domain_new *want, uint32_t *domid)
{
    struct xen_domctl op = {0};
    int rc;

    memcpy(op.u.createdomain.handle, want->uuid, sizeof(op.u.createdomain.handle));
    op.u.createdomain.max_vcpus = want->max_vcpus;
    op.u.createdomain.max_evtchn_port = want->max_evtchn_port ? want->max_evtchn_port : EVTCHN_PORT_DEFAULT;
    op.u.createdomain.max_grant_frames = limit(want->max_grant_frames);
    op.u.createdomain.max_maptrack_frames = limit(want->max_maptrack_frames);
    op.u.createdomain.grant_opts = XEN_DOMCTL_GRANT_version(1);
    rc = hv_domctl(hv, XEN_DOMCTL_createdomain, 0, &op); /* 0: the hypervisor chooses the number */
    if (rc)
        return rc;
    *domid = op.domain;
    memset(&op, 0, sizeof(op));
    op.u.max_vcpus.max = want->max_vcpus;
    rc = hv_domctl(hv, XEN_DOMCTL_max_vcpus, *domid, &op);
    if (rc)
        hv_domain_destroy(hv, *domid);
    return rc;
}

int hv_domain_destroy(struct hv *hv, uint32_t domid)
{
    struct xen_domctl op = {0};
    int rc;

    do
        rc = hv_domctl(hv, XEN_DOMCTL_destroydomain, domid, &op);
    while (rc == -EAGAIN || rc == -ERESTART);
    return rc;
}

int hv_domain_pause(struct hv *hv, uint32_t domid)
{
    struct xen_domctl op = {0};
    return hv_domctl(hv, XEN_DOMCTL_pausedomain, domid, &op);
}

int hv_domain_unpause(struct hv *hv, uint32_t domid)
{
    struct xen_domctl op = {0};
    return hv_domctl(hv, XEN_DOMCTL_unpausedomain, domid, &op);
}

int hv_domain_set_max_memory(struct hv *hv, uint32_t domid, uint64_t kib)
{
    struct xen_domctl op = {0};

    op.u.max_mem.max_memkb = kib;
    return hv_domctl(hv, XEN_DOMCTL_max_mem, domid, &op);
}

int hv_domain_set_handle(struct hv *hv, uint32_t domid, const uint8_t uuid[16])
{
    struct xen_domctl op = {0};

    memcpy(op.u.setdomainhandle.handle, uuid, sizeof(op.u.setdomainhandle.handle));
    return hv_domctl(hv, XEN_DOMCTL_setdomainhandle, domid, &op);
}

int hv_domain_info(struct hv *hv, uint32_t domid, struct xen_domctl_getdomaininfo *info)
{
    struct xen_domctl op = {0};
    int rc = hv_domctl(hv, XEN_DOMCTL_getdomaininfo, domid, &op);

    if (rc)
        return rc;
    if (op.u.getdomaininfo.domain != domid) /* the ABI then tells of the next one */
        return -ESRCH;
    *info = op.u.getdomaininfo;
    return 0;
}

int hv_domain_list(struct hv *hv, uint32_t first, unsigned max, struct xen_domctl_getdomaininfo *infos)
{
    struct hv_buffer *b;
    struct xen_sysctl *op;
    void *list;
    size_t room;
    int rc;

    if (first >= DOMID_FIRST_RESERVED)
        return 0;
    b = hv_buffer_get(hv);
    if (!b)
        return -ENOMEM;
    op = hv_buffer_take(b, sizeof(*op));
    room = hv_buffer_room(b) / sizeof(*infos);
    if (max > room)
        max = (unsigned)room;
    list = hv_buffer_take(b, max * sizeof(*infos));
    op->u.getdomaininfolist.first_domain = (domid_t)first;
    op->u.getdomaininfolist.max_domains = max;
    set_xen_guest_handle(op->u.getdomaininfolist.buffer, list);
    rc = hv_sysctl_in(hv, XEN_SYSCTL_getdomaininfolist, op);
    if (!rc) {
        unsigned n = op->u.getdomaininfolist.num_domains;
        rc = (int)(n < max ? n : max);
        memcpy(infos, list, (size_t)rc * sizeof(*infos));
    }
    hv_buffer_put(hv, b);
    return rc;
}

int hv_domain_set_credit(struct hv *hv, uint32_t domid, unsigned weight, unsigned cap)
{
    struct xen_domctl op = {0};
    int rc;

    if (!weight || weight > UINT16_MAX || cap > UINT16_MAX)
        return -EINVAL;
    rc = hv_scheduler(hv, &op.u.scheduler_op.sched_id);
    if (rc)
        return rc;
    op.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_putinfo;
    if (op.u.scheduler_op.sched_id == XEN_SCHEDULER_CREDIT) {
        op.u.scheduler_op.u.credit.weight = (uint16_t)weight;
        op.u.scheduler_op.u.credit.cap = (uint16_t)cap;
    } else if (op.u.scheduler_op.sched_id == XEN_SCHEDULER_CREDIT2) {
        op.u.scheduler_op.u.credit2.weight = (uint16_t)weight;
        op.u.scheduler_op.u.credit2.cap = (uint16_t)cap;
    } else {
        return -EOPNOTSUPP;
    }
    return hv_domctl(hv, XEN_DOMCTL_scheduler_op, domid, &op);
}

int hv_hypercall_page(struct hv *hv, uint32_t domid, uint64_t mfn)
{
    struct xen_domctl op = {0};

    op.u.hypercall_init.gmfn = mfn;
    return hv_domctl(hv, XEN_DOMCTL_hypercall_init, domid, &op);
}

int hv_evtchn_alloc_unbound(struct hv *hv, uint32_t domid, uint32_t remote, uint32_t *port)
{
    struct evtchn_alloc_unbound a = {.dom = (domid_t)domid, .remote_dom = (domid_t)remote};
    int rc = (int)hv_call_copy(hv, __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, &a, sizeof(a));

    if (!rc)
        *port = a.port;
    return rc;
}
