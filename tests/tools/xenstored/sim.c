/* SPDX-License-Identifier: MIT */
/*
 * A machine for tests of xenstored: the port of hypervisor.h on files that the test maps too.
 *
 *   $XENSTORED_SIM/machine   struct machine: domains, what is bound and mapped, how often each was notified
 *   $XENSTORED_SIM/ring.N    the ring page of domain N
 *   $XENSTORED_SIM/events    a FIFO: the test writes the 32-bit local port whose event is pending
 *
 * The local port of domain N is FIRST_PORT + N. $XENSTORED_KILL_AT=N kills the daemon at its N-th step; the number of
 * steps made is in the machine.
 */
#include "xenstored/hypervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#define SIM_DOMAINS 64
#define DEATH_PORT  1
#define FIRST_PORT  100
#define PAGE        4096

struct machine {
    uint32_t steps;
    uint32_t pad[15];
    struct sim_domain {
        uint32_t exists, dying, shutdown;
        uint32_t port; /* its unbound port */
        uint32_t bound, mapped, notified, unmasked;
        uint8_t handle[16];
        uint32_t late; /* its taking of a full ring of replies becomes visible when it is notified, and no sooner */
        uint8_t pad[12];
    } domain[SIM_DOMAINS];
};

static struct machine *machine;
static struct xenstore_domain_interface *pages[SIM_DOMAINS];
static int events = -1;
static uint32_t kill_at;

static void *map_file(const char *leaf)
{
    char name[PATH_MAX];
    void *p;
    int fd;

    snprintf(name, sizeof(name), "%s/%s", getenv("XENSTORED_SIM"), leaf);
    fd = open(name, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    p = mmap(NULL, strcmp(leaf, "machine") ? PAGE : sizeof(struct machine), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return p == MAP_FAILED ? NULL : p;
}

void step(void)
{
    if (machine && ++machine->steps == kill_at)
        kill(getpid(), SIGKILL);
}

int hv_open(void)
{
    const char *at = getenv("XENSTORED_KILL_AT");
    char name[PATH_MAX];

    if (!getenv("XENSTORED_SIM"))
        return -ENODEV;
    machine = map_file("machine");
    snprintf(name, sizeof(name), "%s/events", getenv("XENSTORED_SIM"));
    events = open(name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (!machine || events < 0)
        return -ENODEV;
    machine->steps = 0;
    kill_at = at ? (uint32_t)strtoul(at, NULL, 10) : 0;
    for (unsigned i = 0; i < SIM_DOMAINS; i++)
        machine->domain[i].bound = machine->domain[i].mapped = 0;
    return 0;
}

int hv_event_fd(void)
{
    return events;
}

int hv_event_next(void)
{
    uint32_t port;

    return read(events, &port, sizeof(port)) == sizeof(port) ? (int)port : -EAGAIN;
}

void hv_unmask(unsigned port)
{
    if (port >= FIRST_PORT)
        machine->domain[port - FIRST_PORT].unmasked++;
}

unsigned hv_death_port(void)
{
    return DEATH_PORT;
}

struct xenstore_domain_interface *hv_map_ring(unsigned domid)
{
    struct xenstore_domain_interface *page;
    char leaf[16];

    if (domid >= SIM_DOMAINS || !machine->domain[domid].exists)
        return NULL;
    snprintf(leaf, sizeof(leaf), "ring.%u", domid);
    page = map_file(leaf);
    if (page)
        machine->domain[domid].mapped++;
    pages[domid] = page;
    return page;
}

void hv_unmap_ring(unsigned domid, struct xenstore_domain_interface *page)
{
    munmap(page, PAGE);
    machine->domain[domid].mapped--;
}

int hv_own_kernel_port(void)
{
    return machine->domain[0].port ? (int)machine->domain[0].port : -ENODEV;
}

int hv_bind(unsigned domid, unsigned remote_port)
{
    struct sim_domain *domain = &machine->domain[domid];

    if (domain->port != remote_port || domain->bound)
        return -EINVAL;
    domain->bound = 1;
    return (int)(FIRST_PORT + domid);
}

void hv_unbind(unsigned port)
{
    machine->domain[port - FIRST_PORT].bound = 0;
}

void hv_notify(unsigned port)
{
    struct sim_domain *domain = &machine->domain[port - FIRST_PORT];
    struct xenstore_domain_interface *page = pages[port - FIRST_PORT];

    __atomic_add_fetch(&domain->notified, 1, __ATOMIC_SEQ_CST);
    if (domain->late && page->rsp_prod - page->rsp_cons == XENSTORE_RING_SIZE) {
        domain->late = 0;
        page->rsp_cons = page->rsp_prod;
    }
}

int hv_domains(unsigned first, struct hv_domain *domains, unsigned max)
{
    unsigned count = 0;

    for (unsigned i = first; i < SIM_DOMAINS && count < max; i++) {
        const struct sim_domain *from = &machine->domain[i];

        if (!from->exists)
            continue;
        domains[count] = (struct hv_domain){.domid = i, .dying = from->dying, .shutdown = from->shutdown};
        memcpy(domains[count++].handle, from->handle, sizeof(from->handle));
    }
    return (int)count;
}
