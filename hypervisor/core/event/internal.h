/* SPDX-License-Identifier: MIT */
/*
 * What the files of core/event/ share: a port's record, a domain's table of them, and the two ways to tell a guest.
 *
 * Locks, in the legends below:
 *  [I] fixed once made
 *  [E] the event lock of the domain that owns the table
 *  [B] written under the event lock and the port's busy bit, read under either
 *  [Q] the lock of the FIFO queue that the field names (fifo.c)
 *  [a] atomic
 */
#pragma once
#include "core/domain/domain.h"
#include "core/event/event.h"
#include "core/lib/fail.h"

/* One end of a channel. */
struct evtchn {
    uint8_t busy;          /* [a] the port's bit: a spin lock for senders */
    uint8_t state;         /* [B] EVTCHNSTAT_*; closed: free */
    uint8_t priority;      /* [a] FIFO */
    uint8_t deferred;      /* [a] pending, but the guest has no place for it yet (fifo.c) */
    uint16_t vcpu;         /* [a] id of the vCPU that is told; always one that exists */
    uint16_t peer;         /* [B] unbound: the domain that may bind to it */
    uint32_t port;         /* [I] its own number */
    uint32_t number;       /* [B] pirq, VIRQ, or port of the remote end */
    uint32_t queue;        /* [Q] FIFO queue it was last linked in: vcpu * 16 + priority */
    struct domain *remote; /* [B] interdomain: the other end's domain, with a reference */
};
_Static_assert(sizeof(struct evtchn) == 32, "a bucket is one page");

#define BUCKET_PORTS (PAGE_SIZE / sizeof(struct evtchn))

/* How pending and masked ports are shown to the guest. Called as rule E4 of channel.c says. */
struct evtchn_ops {
    const char *name;
    uint32_t ports; /* that this way can show */
    void (*set_pending)(struct domain *d, struct evtchn *c);
    void (*clear_pending)(struct domain *d, struct evtchn *c);
    void (*unmask)(struct domain *d, struct evtchn *c);
    bool (*is_pending)(struct domain *d, const struct evtchn *c);
    bool (*is_masked)(struct domain *d, const struct evtchn *c);
    bool (*is_lingering)(struct domain *d, uint32_t port); /* free, but the guest has not let go of it */
};
extern const struct evtchn_ops evtchn_ops_twolevel, evtchn_ops_fifo;

struct fifo_domain; /* fifo.c */

struct evtchn_table {
    const struct evtchn_ops *ops; /* [a] changes under [E] */
    uint32_t ports_max;           /* [I] ports are below this */
    uint32_t buckets_mask;        /* [I] slots of buckets[] - 1; they are a power of two */
    uint32_t close_next;          /* [E] how far closing all has come */
    uint32_t search_from;         /* [E] where the search for a free port begins */
    bool closed;                  /* [E] dying: no more ports */
    bool resetting;               /* [E] no new ports until all are closed */
    uint64_t *used;               /* [E] bit per port that is not free; port 0 too */
    uint32_t *pirq_ports;         /* [I] once there; elements [a]: port bound to each pirq, 0 none */
    unsigned pirqs;               /* [I] elements of pirq_ports */
    struct fifo_domain *fifo;     /* [a] */
    struct evtchn *buckets[];     /* [a] published with release, never taken back */
};

/* NULL: no such port. The mask keeps a mispredicted check inside the array. */
static inline struct evtchn *evtchn_of(struct domain *d, uint32_t port)
{
    struct evtchn_table *t = d->events;
    struct evtchn *bucket;

    if (unlikely(port >= t->ports_max))
        return NULL;
    bucket = __atomic_load_n(&t->buckets[(port / BUCKET_PORTS) & t->buckets_mask], __ATOMIC_ACQUIRE);
    return likely(bucket) ? &bucket[port % BUCKET_PORTS] : NULL;
}

static inline const struct evtchn_ops *evtchn_ops(struct domain *d)
{
    return __atomic_load_n(&d->events->ops, __ATOMIC_ACQUIRE);
}

/* The port's bit. Held for the time of one send; nobody holds two. */
static inline void evtchn_hold(struct evtchn *c)
{
    while (__atomic_test_and_set(&c->busy, __ATOMIC_ACQUIRE))
        hw_relax();
}
static inline void evtchn_release(struct evtchn *c)
{
    __atomic_clear(&c->busy, __ATOMIC_RELEASE);
}

/* The guest is to look at its events on v. */
static inline void evtchn_mark_upcall(struct vcpu *v)
{
    struct vcpu_info *info = __atomic_load_n(&v->info, __ATOMIC_ACQUIRE);

    /* The exchange is a full barrier: a vCPU about to block sees the byte, or we see it blocked. */
    if (!__atomic_exchange_n(&info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST))
        vcpu_kick(v);
}

/* ---- channel.c: event lock held ---- */
int evtchn_new_port(struct domain *d, struct evtchn **out); /* 0, -ENOSPC, -ENOMEM, -EBUSY, -EINVAL: dying */
void evtchn_free_port(struct domain *d, struct evtchn *c);
/* Gives a port its state and what goes with it, at once for senders. */
void evtchn_assign(struct evtchn *c, uint8_t state, uint32_t number, struct domain *remote, uint16_t peer);

/* Port's bit, the peer's bit or event lock held. */
void evtchn_set_pending(struct domain *d, struct evtchn *c);

/* ---- virq.c: event lock held ---- */
bool evtchn_virq_is_global(uint32_t virq);
void evtchn_unbind_virq(struct domain *d, struct evtchn *c);
void evtchn_unbind_pirq(struct domain *d, struct evtchn *c);

/* ---- fifo.c: event lock held ---- */
struct fifo_domain *evtchn_fifo_detach(struct domain *d); /* back to two levels; NULL: was not in use */
void evtchn_fifo_free(struct fifo_domain *f);             /* what was detached; no lock held */
