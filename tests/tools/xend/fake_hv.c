/* SPDX-License-Identifier: MIT */
/*
 * A hypervisor and a builder for tests of xend on the build host: its domains lie in a file (named by FAKE_HV) that outlives a killed
 * xend and that the test changes too: one struct fake_machine. Each call is also a moment at which xend may be killed: when machine->kill_in
 * counts down to 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "lib/build/build.h"
#include "lib/fault.h"
#include "lib/hv/hv.h"
#include <xen/sched.h>

#define DOMAINS_MAX 1024

/* test_xend.py has the same layout. */
struct fake_domain {
    uint32_t used, domid, flags, vcpus;
    uint64_t pages, max_pages;
    uint8_t handle[16];
    uint32_t ports, pauses, zombie_looks, unused;
};
struct fake_machine {
    uint32_t next, kill_in;
    uint64_t free_kib;
    struct fake_domain domains[DOMAINS_MAX];
};
_Static_assert(sizeof(struct fake_domain) == 64, "layout of the file");

struct hv {
    struct fake_machine *m;
};
struct kernel_cache {
    int unused;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void enter(struct hv *hv)
{
    pthread_mutex_lock(&lock);
    if (hv->m->kill_in && --hv->m->kill_in == 0)
        raise(SIGKILL);
}

static int leave(int rc)
{
    pthread_mutex_unlock(&lock);
    return rc;
}

static struct fake_domain *find(struct hv *hv, uint32_t domid)
{
    for (unsigned i = 0; i < DOMAINS_MAX; i++)
        if (hv->m->domains[i].used && hv->m->domains[i].domid == domid)
            return &hv->m->domains[i];
    return NULL;
}

int hv_open(struct hv **out, struct report *r)
{
    const char *path = getenv("FAKE_HV");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    struct hv *hv = calloc(1, sizeof(*hv));

    if (fd < 0)
        return report_set(r, REPORT_NO_DAEMON, "no FAKE_HV");
    hv->m = mmap(NULL, sizeof(*hv->m), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    *out = hv;
    return 0;
}

int hv_domain_create(struct hv *hv, const struct hv_domain_new *want, uint32_t *domid)
{
    struct fake_domain *d = NULL;

    enter(hv);
    for (unsigned i = 0; i < DOMAINS_MAX && !d; i++)
        if (!hv->m->domains[i].used)
            d = &hv->m->domains[i];
    if (!d)
        return leave(-ENOMEM);
    memset(d, 0, sizeof(*d));
    *domid = d->domid = hv->m->next++;
    d->vcpus = want->max_vcpus;
    memcpy(d->handle, want->uuid, 16);
    d->flags = XEN_DOMINF_paused;
    d->pauses = 1;
    d->used = 1;
    return leave(0);
}

int hv_domain_destroy(struct hv *hv, uint32_t domid)
{
    struct fake_domain *d;

    enter(hv);
    d = find(hv, domid);
    if (!d)
        return leave(-ESRCH);
    hv->m->free_kib += d->pages * 4;
    d->pages = 0;
    d->flags |= XEN_DOMINF_dying;
    d->zombie_looks = 2;
    return leave(0);
}

static int change_pauses(struct hv *hv, uint32_t domid, int by)
{
    struct fake_domain *d;

    enter(hv);
    d = find(hv, domid);
    if (!d)
        return leave(-ESRCH);
    d->pauses += (unsigned)by;
    d->flags = d->pauses ? d->flags | XEN_DOMINF_paused : d->flags & ~(unsigned)XEN_DOMINF_paused;
    return leave(0);
}

int hv_domain_pause(struct hv *hv, uint32_t domid)
{
    return change_pauses(hv, domid, 1);
}

int hv_domain_unpause(struct hv *hv, uint32_t domid)
{
    return change_pauses(hv, domid, -1);
}

int hv_domain_set_handle(struct hv *hv, uint32_t domid, const uint8_t uuid[16])
{
    struct fake_domain *d;

    enter(hv);
    d = find(hv, domid);
    if (d)
        memcpy(d->handle, uuid, 16);
    return leave(d ? 0 : -ESRCH);
}

static void fill(const struct fake_domain *d, struct xen_domctl_getdomaininfo *info)
{
    memset(info, 0, sizeof(*info));
    info->domain = (domid_t)d->domid;
    info->flags = d->flags;
    info->tot_pages = d->pages;
    info->max_pages = d->max_pages;
    info->nr_online_vcpus = d->vcpus;
    info->max_vcpu_id = d->vcpus - 1;
    memcpy(info->handle, d->handle, 16);
}

int hv_domain_info(struct hv *hv, uint32_t domid, struct xen_domctl_getdomaininfo *info)
{
    struct fake_domain *d;

    enter(hv);
    d = find(hv, domid);
    if (d && d->flags & XEN_DOMINF_dying && !d->zombie_looks--)
        d->used = 0;
    if (d && d->used)
        fill(d, info);
    return leave(d && d->used ? 0 : -ESRCH);
}

int hv_domain_list(struct hv *hv, uint32_t first, unsigned max, struct xen_domctl_getdomaininfo *infos)
{
    unsigned count = 0;
    struct fake_domain *best;

    enter(hv);
    do {
        best = NULL;
        for (unsigned i = 0; i < DOMAINS_MAX; i++) {
            struct fake_domain *d = &hv->m->domains[i];
            if (d->used && d->domid >= first && (!best || d->domid < best->domid))
                best = d;
        }
        if (best && count < max) {
            fill(best, &infos[count++]);
            first = best->domid + 1;
        }
    } while (best && count < max);
    return leave((int)count);
}

int hv_vcpu_info(struct hv *hv, uint32_t domid, unsigned vcpu, struct xen_domctl_getvcpuinfo *info)
{
    memset(info, 0, sizeof(*info));
    info->online = 1;
    info->blocked = 1;
    info->cpu = vcpu;
    return 0;
}

int hv_vcpu_set_affinity(struct hv *hv, uint32_t domid, unsigned vcpu, const uint8_t *map, unsigned bits)
{
    return map[0] & 3 ? 0 : -EINVAL; /* two CPUs */
}

int hv_vcpu_get_affinity(struct hv *hv, uint32_t domid, unsigned vcpu, uint8_t *map, unsigned bits)
{
    memset(map, 0xff, bits / 8);
    return 0;
}

int hv_domain_set_credit(struct hv *hv, uint32_t domid, unsigned weight, unsigned cap)
{
    return 0;
}

int hv_evtchn_alloc_unbound(struct hv *hv, uint32_t domid, uint32_t remote, uint32_t *port)
{
    struct fake_domain *d;

    enter(hv);
    d = find(hv, domid);
    *port = d ? ++d->ports : 0;
    return leave(d ? 0 : -ESRCH);
}

int hv_physinfo(struct hv *hv, struct xen_sysctl_physinfo *info)
{
    memset(info, 0, sizeof(*info));
    info->nr_cpus = 2;
    info->nr_nodes = info->cores_per_socket = info->threads_per_core = 1;
    info->total_pages = 1 << 20;
    info->free_pages = hv->m->free_kib / 4;
    info->capabilities = XEN_SYSCTL_PHYSCAP_pv;
    return 0;
}

uint64_t hv_free_kib(struct hv *hv)
{
    return hv->m->free_kib;
}

int hv_identity(struct hv *hv, struct hv_identity *id)
{
    memset(id, 0, sizeof(*id));
    id->major = 4;
    id->minor = 17;
    strcpy(id->capabilities, "xen-3.0-x86_64");
    return 0;
}

int hv_scheduler(struct hv *hv, uint32_t *id)
{
    *id = 5;
    return 0;
}

int hv_read_console(struct hv *hv, char *buffer, size_t size, bool clear, bool incremental, uint32_t *index)
{
    memcpy(buffer, "(XEN) \xff hello\r\n", 15);
    return 15;
}

/* ---- The builder: a kernel is a file that begins with "KERNEL" ----------------------------------------------- */

int kernel_cache_open(const char *directory, struct kernel_cache **out, struct report *r)
{
    static struct kernel_cache cache;
    *out = &cache;
    return 0;
}

int build_check(struct kernel_cache *cache, const char *kernel, const char *ramdisk, uint64_t memory_kib,
                struct report *r)
{
    char head[7] = "";
    FILE *f = fopen(kernel, "re");

    if (f && !fgets(head, sizeof(head), f))
        head[0] = '\0';
    if (f)
        fclose(f);
    return strcmp(head, "KERNEL") ? report_set(r, REPORT_BAD_IMAGE, "kernel %s is no kernel", kernel) : 0;
}

int build_pv(struct hv *hv, struct kernel_cache *cache, const struct build_request *rq, struct build_result *out,
             struct report *r)
{
    static const char *const steps[] = {"max_memory",  "claim",      "populate", "kernel", "ramdisk",
                                        "page_tables", "start_info", "grants",   "pin",    "context"};
    struct fake_domain *d;

    if (build_check(cache, rq->kernel, rq->ramdisk, rq->memory_kib, r))
        return -1;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        if (fault_at(steps[i], r))
            return -1;
    if (strstr(rq->cmdline, "slow"))
        usleep(500000);
    enter(hv);
    d = find(hv, rq->domid);
    d->pages = rq->memory_kib / 4;
    d->max_pages = rq->max_memory_kib / 4;
    hv->m->free_kib -= rq->memory_kib;
    out->store_mfn = 0x1000 + rq->domid;
    out->console_mfn = 0x2000 + rq->domid;
    return leave(0);
}
