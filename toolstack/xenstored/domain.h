/* SPDX-License-Identifier: MIT */
/*
 * Domains: who was introduced, which ring and port it has, whom it serves, and what becomes of it. One is known from
 * its introduction until it is gone; RELEASE only takes the ring away.
 */
#ifndef XENSTORED_DOMAIN_H
#define XENSTORED_DOMAIN_H

#include "xenstored/ring.h"

struct domain {
    TAILQ_ENTRY(domain) all;
    uint16_t domid;
    uint16_t target;
    bool introduced;
    bool shutdown_told; /* @releaseDomain was sent for its shutdown */
    uint8_t handle[16]; /* tells it from a later domain with its id */
    uint64_t gfn;
    uint32_t remote_port;
    struct ring *ring; /* while introduced */
};

TAILQ_HEAD(domains, domain);
extern struct domains domains;

/*
 * Opens the hypervisor, takes up the rings read back from the journal, and Domain 0's. False: there is no
 * hypervisor.
 */
bool domain_start(void);
/* The source of events for the main loop: pending ports. False: there was none. */
bool domain_events(void);
/* Serves every ring that has something, event or not. */
void domain_look_again(void);

/* NULL: never introduced, or gone. */
struct domain *domain_find(unsigned domid);
/* For the journal. domain_new: the entry alone. domain_remove: all of it. */
struct domain *domain_new(unsigned domid);
void domain_remove(struct domain *domain);
/* Takes its ring away and keeps the entry. */
void domain_disconnect(struct domain *domain);

/* The requests of Domain 0. fresh: it was not introduced before. -ENOSYS without a hypervisor, -ENOENT, -EINVAL. */
int domain_introduce(unsigned domid, uint64_t gfn, uint32_t port, bool *fresh);
int domain_release(unsigned domid);
int domain_resume(unsigned domid);
int domain_set_target(unsigned domid, unsigned target);

#endif
