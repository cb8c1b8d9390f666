/* SPDX-License-Identifier: MIT */
/* VM records: see record.h. Runs in workers beside the vms' jobs: reads records with vm_lock held. */
#include "xend/record.h"
#include "lib/hv/hv.h" /* before the ABI's headers: says that these are tools */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/sched.h>
#include "xend/nodes.h"
#include "xend/vm.h"
#include "xend/xend.h"

#define DOMAIN0_UUID "00000000-0000-0000-0000-000000000000"
#define CPUS_MAX     4096
#define LIST_CHUNK   128
#define NS_PER_S     1000000000.0

/* ---- vCPUs ------------------------------------------------------------------------------------------------------- */

/* "any cpu", or ranges as in cpus=. `online`: how many CPUs the machine has. */
static void affinity_text(const uint8_t *map, unsigned online, char *text, size_t size)
{
    size_t used = 0;
    unsigned count = 0;

    text[0] = '\0';
    for (unsigned cpu = 0; cpu < online && used + 16 < size; cpu++) {
        unsigned last = cpu;

        if (!(map[cpu / 8] >> cpu % 8 & 1))
            continue;
        while (last + 1 < online && map[(last + 1) / 8] >> (last + 1) % 8 & 1)
            last++;
        count += last - cpu + 1;
        used += (size_t)snprintf(text + used, size - used, last > cpu ? "%s%u-%u" : "%s%u", used ? "," : "", cpu, last);
        cpu = last;
    }
    if (count >= online)
        snprintf(text, size, "any cpu");
}

static json_t *vcpu_record(uint32_t domid, unsigned number, unsigned online)
{
    struct xen_domctl_getvcpuinfo info;
    uint8_t map[CPUS_MAX / 8] = {0};
    char affinity[256], state[4] = "---";

    if (hv_vcpu_info(xend.hv, domid, number, &info))
        return NULL;
    if (hv_vcpu_get_affinity(xend.hv, domid, number, map, CPUS_MAX))
        memset(map, 0xff, sizeof(map));
    affinity_text(map, online, affinity, sizeof(affinity));
    if (info.online && info.running)
        state[0] = 'r';
    if (info.online && info.blocked)
        state[1] = 'b';
    if (!info.online)
        state[2] = 'p';
    return json_pack("{si si ss sf ss}", "number", (int)number, "cpu", info.online ? (int)info.cpu : -1, "state", state,
                     "time_s", (double)info.cpu_time / NS_PER_S, "affinity", affinity);
}

static json_t *vcpu_records(const struct xen_domctl_getdomaininfo *info)
{
    struct xen_sysctl_physinfo machine;
    unsigned online = hv_physinfo(xend.hv, &machine) ? CPUS_MAX : machine.nr_cpus;
    json_t *all = json_array();

    if (online > CPUS_MAX)
        online = CPUS_MAX;
    for (unsigned i = 0; info->max_vcpu_id != XEN_INVALID_MAX_VCPU_ID && i <= info->max_vcpu_id; i++)
        json_array_append_new(all, vcpu_record(info->domain, i, online));
    return all;
}

/* ---- Domains ----------------------------------------------------------------------------------------------------- */

static void state_text(const struct xen_domctl_getdomaininfo *info, char state[7])
{
    uint32_t flags = info->flags;
    unsigned code = (flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask;
    bool down = flags & XEN_DOMINF_shutdown, crashed = down && code == SHUTDOWN_crash;

    memcpy(state, "------", 7);
    if (flags & XEN_DOMINF_running)
        state[0] = 'r';
    if (flags & XEN_DOMINF_blocked)
        state[1] = 'b';
    if (flags & XEN_DOMINF_paused && !down)
        state[2] = 'p';
    if (down && !crashed)
        state[3] = 's';
    if (crashed)
        state[4] = 'c';
    if (flags & XEN_DOMINF_dying)
        state[5] = 'd';
}

static const char *power_state(const char *state)
{
    if (state[4] != '-')
        return "Crashed";
    if (state[3] != '-' || state[5] != '-')
        return "Halted";
    return state[2] != '-' ? "Paused" : "Running";
}

/* What the hypervisor says. */
static json_t *live_record(const struct xen_domctl_getdomaininfo *info)
{
    char state[7];

    state_text(info, state);
    return json_pack("{si ss ss sI sI si si sf so}", "domid", (int)info->domain, "state", state, "power_state",
                     power_state(state), "memory_kib", (json_int_t)info->tot_pages * 4, "memory_max_kib",
                     (json_int_t)(info->max_pages > UINT64_MAX / 8 ? 0 : info->max_pages * 4), "vcpus",
                     (int)info->nr_online_vcpus, "vcpus_max",
                     info->max_vcpu_id == XEN_INVALID_MAX_VCPU_ID ? 0 : (int)info->max_vcpu_id + 1, "cpu_time_s",
                     (double)info->cpu_time / NS_PER_S, "vcpu", vcpu_records(info));
}

/* A guest that is between two domains. */
static json_t *idle_record(const struct guest_config *c)
{
    return json_pack("{si ss ss sI sI si si sf s[]}", "domid", -1, "state", "------", "power_state", "Halted",
                     "memory_kib", (json_int_t)0, "memory_max_kib",
                     (json_int_t)(c->maxmem_mib ? c->maxmem_mib : c->memory_mib) * 1024, "vcpus", 0, "vcpus_max",
                     (int)c->maxvcpus, "cpu_time_s", 0.0, "vcpu");
}

/* Called with vm_lock held. */
static json_t *vm_record(const struct vm *vm, const struct xen_domctl_getdomaininfo *info)
{
    json_t *record = info ? live_record(info) : idle_record(&vm->config);

    json_object_set_new(record, "uuid", json_string(vm->uuid));
    json_object_set_new(record, "name", json_string(vm->config.name));
    json_object_set_new(record, "start_time", json_integer(vm->start_time));
    json_object_set_new(record, "generation", json_integer(vm->generation));
    json_object_set_new(record, "console", json_null());
    json_object_set_new(record, "shutdown_reason", json_string(vm->shutdown_reason));
    if (!vm->foreign)
        json_object_set_new(record, "config", guest_config_to_json(&vm->config));
    return record;
}

static json_t *domain0_record(const struct xen_domctl_getdomaininfo *info)
{
    json_t *record = live_record(info);

    json_object_set_new(record, "uuid", json_string(DOMAIN0_UUID));
    json_object_set_new(record, "name", json_string("Domain-0"));
    json_object_set_new(record, "start_time", json_integer(0));
    json_object_set_new(record, "generation", json_integer(0));
    json_object_set_new(record, "console", json_null());
    json_object_set_new(record, "shutdown_reason", json_string(""));
    return record;
}

static void add_console(json_t *record, uint32_t domid)
{
    struct store *s = store_get();
    char *path = s ? nodes_console(s, domid) : NULL;

    if (path)
        json_object_set_new(record, "console", json_string(path));
    free(path);
    store_put(s);
}

json_t *record_of(const char *which, struct report *r)
{
    struct xen_domctl_getdomaininfo info;
    bool is_domain0 = !strcmp(which, "0") || !strcmp(which, "Domain-0") || !strcmp(which, DOMAIN0_UUID), lives = true;
    json_t *record = NULL;
    struct vm *vm = NULL;

    vm_lock();
    if (!is_domain0)
        vm = vm_find(which, r);
    if (vm || is_domain0)
        lives = (is_domain0 || vm->domid >= 0) && !hv_domain_info(xend.hv, is_domain0 ? 0 : (uint32_t)vm->domid, &info);
    if (vm)
        record = vm_record(vm, lives ? &info : NULL);
    vm_unlock();
    if (is_domain0 && lives)
        record = domain0_record(&info);
    if (is_domain0 && !lives)
        report_set(r, REPORT_FAILED, "the hypervisor does not tell of Domain 0");
    if (vm && lives)
        add_console(record, info.domain);
    return record;
}

/* ---- All ----------------------------------------------------------------------------------------------------------- */

static void add_record(json_t *all, const struct xen_domctl_getdomaininfo *info)
{
    if (!info->domain) {
        json_array_append_new(all, domain0_record(info));
        return;
    }
    for (const struct vm *vm = vm_list; vm; vm = vm->next)
        if (vm->domid == info->domain && vm->state != VM_GONE) {
            json_array_append_new(all, vm_record(vm, info));
            return;
        }
}

json_t *record_all(struct report *r)
{
    struct xen_domctl_getdomaininfo infos[LIST_CHUNK];
    json_t *all = json_array();
    uint32_t next = 0;
    int count;

    vm_lock();
    while ((count = hv_domain_list(xend.hv, next, LIST_CHUNK, infos)) > 0) {
        for (int i = 0; i < count; i++)
            add_record(all, &infos[i]);
        next = infos[count - 1].domain + 1u;
    }
    vm_unlock();
    if (count < 0) {
        json_decref(all);
        report_set(r, REPORT_FAILED, "the hypervisor does not tell of its domains: %s", strerror(-count));
        return NULL;
    }
    return json_pack("{so}", "vms", all);
}
