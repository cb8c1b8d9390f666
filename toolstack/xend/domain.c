/* SPDX-License-Identifier: MIT */
/* The hypervisor's side of making a guest: see domain.h. Runs in the vm's job. */
#include "xend/domain.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/build/build.h"
#include "lib/fault.h"
#include "xend/clock.h"
#include "xend/log.h"
#include "xend/xend.h"

/* What the hypervisor needs beside the guest's memory: the domain, its shared pages and tables; a stack and state for each vCPU. */
#define OVERHEAD_KIB      512
#define OVERHEAD_VCPU_KIB 32
#define CPUS_MAX          4096
#define GONE_TIMEOUT_S    30
#define GONE_PAUSE_MAX_MS 100
#define LIST_CHUNK        64

static int hv_failed(struct report *r, const char *what, int rc)
{
    return report_set(r, rc == -ENOMEM ? REPORT_NO_MEMORY : REPORT_FAILED, "%s: %s", what, strerror(-rc));
}

int domain_check_memory(const struct guest_config *c, struct report *r)
{
    uint64_t need = c->memory_mib * 1024 + OVERHEAD_KIB + (uint64_t)c->maxvcpus * OVERHEAD_VCPU_KIB;
    uint64_t free_kib = hv_free_kib(xend.hv);

    if (need <= free_kib)
        return 0;
    return report_set(r, REPORT_NO_MEMORY, "not enough memory for '%s': it needs %llu MiB, %llu MiB are free", c->name,
                      (unsigned long long)(need + 1023) / 1024, (unsigned long long)free_kib / 1024);
}

/* ---- Where it runs ------------------------------------------------------------------------------------------- */

/* One item of "0-3,^2,7": its ends; the position behind it, NULL: not understood. */
static const char *next_range(const char *text, bool *excluded, unsigned long *from, unsigned long *to)
{
    char *end;

    text += strspn(text, " ,");
    *excluded = *text == '^';
    text += *excluded;
    if (!isdigit((unsigned char)*text))
        return NULL;
    *from = *to = strtoul(text, &end, 10);
    if (*end == '-' && isdigit((unsigned char)end[1]))
        *to = strtoul(end + 1, &end, 10);
    return *from <= *to && *to < CPUS_MAX ? end : NULL;
}

static int parse_cpus(const char *text, uint8_t map[CPUS_MAX / 8], struct report *r)
{
    const char *p = text;
    unsigned long from, to;
    bool excluded;

    memset(map, 0, CPUS_MAX / 8);
    if (*p == '^')
        memset(map, 0xff, CPUS_MAX / 8);
    while (*p) {
        p = next_range(p, &excluded, &from, &to);
        if (!p)
            return report_set(r, REPORT_CONFIG, "cpus '%.60s' is not understood; write for example \"0-3,^2\"", text);
        for (unsigned long cpu = from; cpu <= to; cpu++)
            map[cpu / 8] = (uint8_t)(excluded ? map[cpu / 8] & ~(1u << cpu % 8) : map[cpu / 8] | 1u << cpu % 8);
        p += strspn(p, " ,");
    }
    return 0;
}

static int set_affinity(const struct vm *vm, struct report *r)
{
    uint8_t map[CPUS_MAX / 8];
    int rc = 0;

    if (fault_at("affinity", r))
        return -1;
    if (!vm->config.cpus)
        return 0;
    if (parse_cpus(vm->config.cpus, map, r))
        return -1;
    for (unsigned i = 0; !rc && i < vm->config.maxvcpus; i++)
        rc = hv_vcpu_set_affinity(xend.hv, (uint32_t)vm->domid, i, map, CPUS_MAX);
    if (rc == -EINVAL)
        return report_set(r, REPORT_CONFIG, "cpus '%.60s' names no CPU that this machine has", vm->config.cpus);
    return rc ? hv_failed(r, "the CPUs of the domain cannot be set", rc) : 0;
}

static int set_share(const struct vm *vm, struct report *r)
{
    int rc;

    if (!vm->config.cpu_weight && !vm->config.cpu_cap)
        return 0;
    rc = hv_domain_set_credit(xend.hv, (uint32_t)vm->domid, vm->config.cpu_weight, vm->config.cpu_cap);
    return rc ? hv_failed(r, "cpu_weight and cpu_cap cannot be set", rc) : 0;
}

/* ---- Making ----------------------------------------------------------------------------------------------------- */

static int create(struct vm *vm, struct report *r)
{
    struct hv_domain_new want = {.max_vcpus = vm->config.maxvcpus};
    uint32_t domid;
    int rc;

    if (fault_at("create", r))
        return -1;
    uuid_parse(vm->uuid, want.uuid);
    rc = hv_domain_create(xend.hv, &want, &domid);
    if (rc)
        return hv_failed(r, "the hypervisor refuses another domain", rc);
    vm_set_domid(vm, domid);
    return 0;
}

static int make_ports(const struct vm *vm, struct domain_made *made, struct report *r)
{
    int rc = hv_evtchn_alloc_unbound(xend.hv, (uint32_t)vm->domid, 0, &made->store_port);

    if (!rc)
        rc = hv_evtchn_alloc_unbound(xend.hv, (uint32_t)vm->domid, 0, &made->console_port);
    return rc ? hv_failed(r, "the domain's event channels cannot be made", rc) : 0;
}

static int build(const struct vm *vm, struct domain_made *made, struct report *r)
{
    const struct guest_config *c = &vm->config;
    char *cmdline = guest_config_cmdline(c);
    struct build_request rq = {
        .domid = (uint32_t)vm->domid,
        .kernel = c->kernel,
        .ramdisk = c->ramdisk,
        .cmdline = cmdline,
        .memory_kib = c->memory_mib * 1024,
        .max_memory_kib = (c->maxmem_mib ? c->maxmem_mib : c->memory_mib) * 1024,
        .vcpus = c->maxvcpus,
        .store_port = made->store_port,
        .console_port = made->console_port,
    };
    struct build_result result = {0};
    int rc = cmdline ? build_pv(xend.hv, xend.kernels, &rq, &result, r)
                     : report_set(r, REPORT_FAILED, "xend has no memory left");

    free(cmdline);
    made->store_mfn = result.store_mfn;
    made->console_mfn = result.console_mfn;
    return rc;
}

int domain_make(struct vm *vm, struct domain_made *made, struct report *r)
{
    return create(vm, r) || make_ports(vm, made, r) || build(vm, made, r) || set_affinity(vm, r) || set_share(vm, r)
               ? -1
               : 0;
}

/* ---- Unmaking --------------------------------------------------------------------------------------------------- */

bool domain_destroy(uint32_t domid)
{
    int rc = hv_domain_destroy(xend.hv, domid);

    if (rc && rc != -ESRCH)
        log_error("domain %u cannot be destroyed: %s", domid, strerror(-rc));
    return !rc;
}

void domain_wait_gone(uint32_t domid)
{
    uint64_t until = clock_ms() + GONE_TIMEOUT_S * 1000;
    struct xen_domctl_getdomaininfo info;

    for (unsigned pause = 1; !hv_domain_info(xend.hv, domid, &info);
         pause = pause * 2 < GONE_PAUSE_MAX_MS ? pause * 2 : GONE_PAUSE_MAX_MS) {
        if (clock_ms() >= until) {
            log_error("domain %u: something in Domain 0 holds its memory (%llu pages)", domid,
                      (unsigned long long)info.tot_pages);
            return;
        }
        clock_sleep_ms(pause);
    }
}

int64_t domain_of_uuid(const char *uuid)
{
    struct xen_domctl_getdomaininfo infos[LIST_CHUNK];
    uint8_t handle[16];
    uint32_t next = 0;
    int count;

    if (!uuid_parse(uuid, handle))
        return -1;
    while ((count = hv_domain_list(xend.hv, next, LIST_CHUNK, infos)) > 0) {
        for (int i = 0; i < count; i++)
            if (!memcmp(infos[i].handle, handle, sizeof(handle)) && !(infos[i].flags & XEN_DOMINF_dying))
                return infos[i].domain;
        next = infos[count - 1].domain + 1u;
    }
    return -1;
}
