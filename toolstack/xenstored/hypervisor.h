/* SPDX-License-Identifier: MIT */
/*
 * The port to the hypervisor: all that xenstored asks of it. hypervisor.c does it with Xen's stable libraries; tests
 * link a stand-in (tests/tools/xenstored/sim.c). Errors are negative errno values.
 */
#ifndef XENSTORED_HYPERVISOR_H
#define XENSTORED_HYPERVISOR_H

#include "xenstored/base.h"

struct xenstore_domain_interface;

/* Opens the devices and binds the "domain exception" interrupt. Says what is missing and returns an error. */
int hv_open(void);
/* Becomes readable when a port is pending. */
int hv_event_fd(void);
/* The next pending port, masked until hv_unmask, or -EAGAIN. */
int hv_event_next(void);
void hv_unmask(unsigned port);
/* The port of the interrupt that tells of domains that shut down or died. */
unsigned hv_death_port(void);

/*
 * The ring page of a domain: grant reference 1 of a guest; of Domain 0, what its kernel has set aside. NULL: errno
 * says.
 */
struct xenstore_domain_interface *hv_map_ring(unsigned domid);
void hv_unmap_ring(unsigned domid, struct xenstore_domain_interface *page);
/* The port at which Domain 0's kernel waits for xenstored. */
int hv_own_kernel_port(void);
/* Binds to an unbound port of the domain and returns the local port. */
int hv_bind(unsigned domid, unsigned remote_port);
void hv_unbind(unsigned port);
void hv_notify(unsigned port);

struct hv_domain {
    unsigned domid;
    bool dying, shutdown;
    uint8_t handle[16];
};

/* Fills in up to max domains with ids from first on, ascending. Returns how many. */
int hv_domains(unsigned first, struct hv_domain *domains, unsigned max);

#endif
