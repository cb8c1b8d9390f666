/* SPDX-License-Identifier: MIT */
/*
 * The port to the hypervisor, with Xen's stable libraries: event channels, grants, and one hypercall that lists
 * domains.
 */
#define __XEN_TOOLS__             1
#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include "xenstored/hypervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xencall.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/sysctl.h>
#include <xen/sys/xenbus_dev.h>

#define BACKEND   "/dev/xen/xenbus_backend"
#define RING_PAGE 4096
#define MAX_LIST  64

static xenevtchn_handle *events;
static xengnttab_handle *grants;
static xencall_handle *calls;
static struct xen_sysctl *sysctl;
static xen_domctl_getdomaininfo_t *infos;
static int own_kernel = -1;
static unsigned death_port;

static int missing(const char *what, const char *device)
{
    say("cannot open %s (%s: %s): is this Domain 0, with its xen_%s module loaded?", what, device, strerror(errno),
        strrchr(device, '/') + 1);
    return -ENODEV;
}

int hv_open(void)
{
    int port, flags;

    events = xenevtchn_open(NULL, 0);
    if (!events)
        return missing("event channels", "/dev/xen/evtchn");
    grants = xengnttab_open(NULL, 0);
    if (!grants)
        return missing("grants", "/dev/xen/gntdev");
    calls = xencall_open(NULL, 0);
    if (!calls)
        return missing("hypercalls", "/dev/xen/privcmd");
    sysctl = xencall_alloc_buffer(calls, sizeof(*sysctl));
    infos = xencall_alloc_buffer(calls, MAX_LIST * sizeof(*infos));
    if (!sysctl || !infos)
        return missing("memory for hypercalls", "/dev/xen/hypercall");
    flags = fcntl(xenevtchn_fd(events), F_GETFL);
    fcntl(xenevtchn_fd(events), F_SETFL, flags | O_NONBLOCK);
    port = xenevtchn_bind_virq(events, VIRQ_DOM_EXC);
    if (port < 0) {
        say("cannot bind the interrupt of domain deaths: %s; does another xenstored run?", strerror(errno));
        return -EBUSY;
    }
    death_port = (unsigned)port;
    own_kernel = open(BACKEND, O_RDWR | O_CLOEXEC);
    return 0;
}

int hv_event_fd(void)
{
    return xenevtchn_fd(events);
}

int hv_event_next(void)
{
    return xenevtchn_pending(events);
}

void hv_unmask(unsigned port)
{
    xenevtchn_unmask(events, port);
}

unsigned hv_death_port(void)
{
    return death_port;
}

struct xenstore_domain_interface *hv_map_ring(unsigned domid)
{
    void *page;

    if (domid)
        return xengnttab_map_grant_ref(grants, domid, GNTTAB_RESERVED_XENSTORE, PROT_READ | PROT_WRITE);
    page = mmap(NULL, RING_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, own_kernel, 0);
    return page == MAP_FAILED ? NULL : page;
}

void hv_unmap_ring(unsigned domid, struct xenstore_domain_interface *page)
{
    if (domid)
        xengnttab_unmap(grants, page, 1);
    else
        munmap(page, RING_PAGE);
}

int hv_own_kernel_port(void)
{
    int port;

    if (own_kernel < 0)
        return -ENODEV;
    port = ioctl(own_kernel, IOCTL_XENBUS_BACKEND_EVTCHN);
    return port < 0 ? -errno : port;
}

int hv_bind(unsigned domid, unsigned remote_port)
{
    int port = xenevtchn_bind_interdomain(events, domid, remote_port);

    return port < 0 ? -errno : port;
}

void hv_unbind(unsigned port)
{
    xenevtchn_unbind(events, port);
}

void hv_notify(unsigned port)
{
    xenevtchn_notify(events, port);
}

int hv_domains(unsigned first, struct hv_domain *domains, unsigned max)
{
    unsigned count;

    memset(sysctl, 0, sizeof(*sysctl));
    sysctl->cmd = XEN_SYSCTL_getdomaininfolist;
    sysctl->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    sysctl->u.getdomaininfolist.first_domain = (domid_t)first;
    sysctl->u.getdomaininfolist.max_domains = max < MAX_LIST ? max : MAX_LIST;
    set_xen_guest_handle(sysctl->u.getdomaininfolist.buffer, infos);
    if (xencall1(calls, __HYPERVISOR_sysctl, (uintptr_t)sysctl) < 0)
        return -errno;
    count = sysctl->u.getdomaininfolist.num_domains;
    for (unsigned i = 0; i < count; i++) {
        domains[i] = (struct hv_domain){.domid = infos[i].domain,
                                        .dying = infos[i].flags & XEN_DOMINF_dying,
                                        .shutdown = infos[i].flags & XEN_DOMINF_shutdown};
        memcpy(domains[i].handle, infos[i].handle, sizeof(domains[i].handle));
    }
    return (int)count;
}
