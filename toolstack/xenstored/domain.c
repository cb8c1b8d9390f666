/* SPDX-License-Identifier: MIT */
/*
 * Domains: introduction, release, death. Invariants: table[id] is the domain of that id or NULL; by_port[port] is
 * the ring bound to that local port or NULL.
 */
#include "xenstored/domain.h"
#include "xenstored/persist.h"
#include "xenstored/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_AT_ONCE 64
#define LIST_AT_ONCE   64

struct domains domains = TAILQ_HEAD_INITIALIZER(domains);
static struct domain *table[DOMAINS_MAX];
static struct ring **by_port;
static unsigned ports;
static bool running;

struct domain *domain_find(unsigned domid)
{
    return domid < DOMAINS_MAX ? table[domid] : NULL;
}

struct domain *domain_new(unsigned domid)
{
    struct domain *domain = need_zeroed(sizeof(*domain));

    domain->domid = (uint16_t)domid;
    domain->target = NO_TARGET;
    table[domid] = domain;
    TAILQ_INSERT_TAIL(&domains, domain, all);
    return domain;
}

static void port_forget(const struct ring *ring)
{
    if (ring->page && ring->port < ports)
        by_port[ring->port] = NULL;
}

static void port_remember(struct ring *ring)
{
    unsigned more = ring->port + 64;

    if (ring->port >= ports) {
        by_port = need_more(by_port, more * sizeof(struct ring *));
        memset(by_port + ports, 0, (more - ports) * sizeof(struct ring *));
        ports = more;
    }
    by_port[ring->port] = ring;
}

void domain_disconnect(struct domain *domain)
{
    domain->introduced = false;
    if (!domain->ring)
        return;
    port_forget(domain->ring);
    ring_close(domain->ring);
    domain->ring = NULL;
}

static void set_target(struct domain *domain, unsigned target)
{
    domain->target = (uint16_t)target;
    if (domain->ring)
        domain->ring->conn.who.target = (uint16_t)target;
}

/* The entry alone: what the domain owns stays its own. */
static void forget(struct domain *domain)
{
    table[domain->domid] = NULL;
    TAILQ_REMOVE(&domains, domain, all);
    free(domain);
}

void domain_remove(struct domain *domain)
{
    struct domain *other;

    domain_disconnect(domain);
    account_bury(domain->domid, tree_stamp());
    TAILQ_FOREACH(other, &domains, all)
    if (other->target == domain->domid)
        set_target(other, NO_TARGET);
    forget(domain);
}

/* It is gone: forget it, and tell. */
static void bury(struct domain *domain)
{
    unsigned domid = domain->domid;

    persist_death(domid);
    domain_remove(domain);
    watch_fire_special(SPECIAL_RELEASE, domid);
    protocol_finish();
}

static void tell_shutdown(struct domain *domain)
{
    domain->shutdown_told = true;
    persist_domain(domain);
    watch_fire_special(SPECIAL_RELEASE, domain->domid);
    protocol_finish();
}

/*
 * Marks in alive the domains that the hypervisor has, under the same handle and not dying; tells of their
 * shutdown.
 */
static bool look_who_lives(uint8_t *alive)
{
    static struct hv_domain list[LIST_AT_ONCE];
    unsigned next = 0;
    int count;

    do {
        count = hv_domains(next, list, LIST_AT_ONCE);
        if (count < 0) {
            say("cannot list the domains: %s", strerror(-count));
            return false;
        }
        for (int i = 0; i < count; i++) {
            struct domain *domain = domain_find(list[i].domid);

            next = list[i].domid + 1;
            if (!domain || list[i].dying || memcmp(domain->handle, list[i].handle, sizeof(domain->handle)))
                continue;
            alive[domain->domid] = 1;
            if (list[i].shutdown && !domain->shutdown_told)
                tell_shutdown(domain);
        }
    } while (count == LIST_AT_ONCE);
    return true;
}

/* Some domain shut down or died: finds out which, and those that went unnoticed. */
static void scan(void)
{
    static uint8_t alive[DOMAINS_MAX];
    struct domain *domain, *next;

    if (!look_who_lives(alive))
        return;
    for (domain = TAILQ_FIRST(&domains); domain; domain = next) {
        next = TAILQ_NEXT(domain, all);
        if (!alive[domain->domid] && domain->domid)
            bury(domain);
        else
            alive[domain->domid] = 0;
    }
}

bool domain_events(void)
{
    for (unsigned i = 0; i < EVENTS_AT_ONCE; i++) {
        int port = hv_event_next();

        if (port < 0)
            return i;
        if ((unsigned)port == hv_death_port()) {
            hv_unmask((unsigned)port);
            scan();
        } else if ((unsigned)port < ports && by_port[port]) {
            ring_event(by_port[port]);
        }
    }
    return true;
}

void domain_look_again(void)
{
    struct domain *domain;

    TAILQ_FOREACH(domain, &domains, all)
    if (domain->ring)
        connection_wake(&domain->ring->conn);
}

/* Maps the ring and binds the port of a domain. */
static int connect_ring(const struct domain *domain, struct xenstore_domain_interface **page, unsigned *port)
{
    int bound;

    *page = hv_map_ring(domain->domid);
    if (!*page)
        return -EINVAL;
    bound = hv_bind(domain->domid, domain->remote_port);
    if (bound < 0) {
        hv_unmap_ring(domain->domid, *page);
        return -EINVAL;
    }
    *port = (unsigned)bound;
    return 0;
}

/* Takes up a ring read back from the journal. */
static void take_up(struct domain *domain)
{
    struct xenstore_domain_interface *page;
    unsigned port;

    if (connect_ring(domain, &page, &port)) {
        say("domain %u cannot be connected again: its ring or port is gone", domain->domid);
        domain_disconnect(domain);
        persist_release(domain->domid);
        protocol_finish();
        return;
    }
    ring_resume(domain->ring, page, port);
    port_remember(domain->ring);
}

static int first_connect(struct domain *domain)
{
    struct xenstore_domain_interface *page;
    unsigned port;
    int error = connect_ring(domain, &page, &port);

    if (error)
        return error;
    domain->introduced = true;
    domain->ring = ring_new(domain->domid);
    domain->ring->conn.who.target = domain->target;
    ring_attach(domain->ring, page, port);
    port_remember(domain->ring);
    persist_domain(domain);
    persist_ring(domain->ring);
    return 0;
}

/* Domain 0's kernel has a ring of its own, for its drivers and for /dev/xen/xenbus. */
static void connect_own_kernel(void)
{
    struct domain *domain = domain_find(0);
    int port = hv_own_kernel_port();

    if (port < 0) {
        say("Domain 0's kernel offers no ring (/dev/xen/xenbus_backend: %s): only sockets and guests are served",
            strerror(-port));
        return;
    }
    if (!domain)
        domain = domain_new(0);
    domain->remote_port = (uint32_t)port;
    if (domain->ring)
        take_up(domain);
    else if (first_connect(domain))
        say("Domain 0's kernel offers a ring, but it cannot be mapped or its port %d cannot be bound", port);
    protocol_finish();
}

bool domain_start(void)
{
    struct domain *domain, *next;
    struct hv_domain now;

    if (hv_open())
        return false;
    running = true;
    connect_own_kernel();
    for (domain = TAILQ_FIRST(&domains); domain; domain = next) {
        next = TAILQ_NEXT(domain, all);
        if (!domain->ring || !domain->domid)
            continue;
        if (hv_domains(domain->domid, &now, 1) == 1 && now.domid == domain->domid && !now.dying &&
            !memcmp(now.handle, domain->handle, sizeof(now.handle)))
            take_up(domain);
    }
    scan();
    return true;
}

/* A new event channel for a domain that is introduced already: it was resumed or restored in place. */
static int reintroduce(struct domain *domain, uint32_t port)
{
    int bound;

    port_forget(domain->ring);
    hv_unbind(domain->ring->port);
    bound = hv_bind(domain->domid, port);
    if (bound < 0) {
        ring_lose_port(domain->ring);
        domain_disconnect(domain);
        persist_release(domain->domid);
        return -EINVAL;
    }
    domain->remote_port = port;
    ring_rebind(domain->ring, (unsigned)bound);
    port_remember(domain->ring);
    persist_domain(domain);
    return 0;
}

/* The first ring of a domain, or the first since it was released. What fails leaves all as the journal has it. */
static int introduce(struct domain *known, const struct hv_domain *now, uint64_t gfn, uint32_t port)
{
    struct domain *domain = known ? known : domain_new(now->domid), before = *domain;
    int error;

    domain->gfn = gfn;
    domain->remote_port = port;
    memcpy(domain->handle, now->handle, sizeof(now->handle));
    error = first_connect(domain);
    if (error && known) {
        domain->gfn = before.gfn;
        domain->remote_port = before.remote_port;
    } else if (error) {
        forget(domain);
    }
    return error;
}

int domain_introduce(unsigned domid, uint64_t gfn, uint32_t port, bool *fresh)
{
    struct domain *domain = domain_find(domid);
    struct hv_domain now;

    *fresh = true;
    if (!running)
        return -ENOSYS;
    if (hv_domains(domid, &now, 1) != 1 || now.domid != domid || now.dying)
        return -ENOENT;
    if (domain && memcmp(domain->handle, now.handle, sizeof(now.handle))) {
        bury(domain);
        domain = NULL;
    }
    *fresh = !domain || !domain->introduced;
    return *fresh ? introduce(domain, &now, gfn, port) : reintroduce(domain, port);
}

int domain_release(unsigned domid)
{
    struct domain *domain = domain_find(domid);

    if (!domain || !domain->introduced)
        return -ENOENT;
    domain_disconnect(domain);
    persist_release(domid);
    return 0;
}

int domain_resume(unsigned domid)
{
    struct domain *domain = domain_find(domid);

    if (!domain || !domain->introduced)
        return -ENOENT;
    domain->shutdown_told = false;
    persist_domain(domain);
    return 0;
}

int domain_set_target(unsigned domid, unsigned target)
{
    struct domain *domain = domain_find(domid);

    if (!domain || !domain->introduced)
        return -ENOENT;
    set_target(domain, target);
    persist_domain(domain);
    return 0;
}
