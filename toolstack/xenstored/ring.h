/* SPDX-License-Identifier: MIT */
/*
 * Connections over a ring shared with a domain (io/xs_wire.h, Xen's docs/misc/xenstore-ring.txt).
 *
 * A request is performed exactly once, also if the daemon is killed at any instruction:
 *   1. the request is copied out of the ring; nothing is published
 *   2. it is performed; journal_commit makes its effects, its reply, and the position behind it one record
 *   3. the reply is copied into the ring, then the producer index published
 *   4. the consumer index is published, then the domain notified
 * Killed before 2 is complete, the request is still in the ring and nothing happened. After it, the position in the
 * journal says that it is done, and the output in the journal less what the producer index in the ring says was
 * published is what is still to be sent, from the right byte on. An incomplete request is taken the same way: into
 * the journal, then published; a domain only notifies us of the rest if we have taken all that was there.
 *
 * Our positions are private; the page is only read for what is the domain's to say, and each index once. What the
 * domain says wrong stops its connection and nothing else.
 */
#ifndef XENSTORED_RING_H
#define XENSTORED_RING_H

#include "xenstored/connection.h"
#include "xenstored/hypervisor.h"

struct ring {
    struct connection conn;
    struct xenstore_domain_interface *page; /* NULL: read back from the journal and not yet attached */
    unsigned port;
    uint32_t in_pos;     /* bytes taken from the requests */
    uint32_t out_pos;    /* bytes published of the replies */
    uint32_t error;      /* not XENSTORE_ERROR_NONE: stopped */
    bool unmask;         /* its event was taken and is to be unmasked */
    bool published;      /* something was, so the domain is to be notified */
    struct buffer input; /* the part of a request that is no longer in the ring */
};

/* A ring of the domain without a page yet. */
struct ring *ring_new(unsigned domid);
/* Joins a new ring with its page and port. Positions are those in the page. */
void ring_attach(struct ring *ring, struct xenstore_domain_interface *page, unsigned port);
/* The same after a restart: goes on at the positions in the journal. */
void ring_resume(struct ring *ring, struct xenstore_domain_interface *page, unsigned port);
/* A new port for an attached ring, whose old one was unbound. */
void ring_rebind(struct ring *ring, unsigned port);
/* Its port was unbound and there is no new one: to be closed next. */
void ring_lose_port(struct ring *ring);
/* Unmaps, unbinds, and has the connection killed. */
void ring_close(struct ring *ring);

/* Its event was pending. */
void ring_event(struct ring *ring);

static inline struct ring *ring_of(const struct connection *conn)
{
    return (struct ring *)(uintptr_t)conn; /* conn is the first member */
}

#endif
