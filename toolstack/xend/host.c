/* SPDX-License-Identifier: MIT */
/* The machine: see host.h. Holds nothing. */
#include "xend/host.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include "xend/files.h"
#include "xend/log.h"
#include "xend/xend.h"

#define DMESG_MAX      (1u << 20)
#define LOG_TAIL_BYTES (64u << 10)

static void hardware_caps(const struct xen_sysctl_physinfo *info, char *text, size_t size)
{
    size_t used = 0;

    for (unsigned i = 0; i < sizeof(info->hw_cap) / sizeof(info->hw_cap[0]) && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%08x", i ? ":" : "", info->hw_cap[i]);
}

static void guest_kinds(uint32_t capabilities, char *text, size_t size)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } kinds[] = {
        {XEN_SYSCTL_PHYSCAP_pv, "pv"},         {XEN_SYSCTL_PHYSCAP_hvm, "hvm"},        {XEN_SYSCTL_PHYSCAP_hap, "hap"},
        {XEN_SYSCTL_PHYSCAP_shadow, "shadow"}, {XEN_SYSCTL_PHYSCAP_directio, "iommu"},
    };
    size_t used = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (capabilities & kinds[i].bit)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " " : "", kinds[i].name);
}

static const char *scheduler_name(void)
{
    static const char *const names[] = {[4] = "sedf", [5] = "credit", [6] = "credit2", [8] = "rtds", [9] = "null"};
    uint32_t id = 0;

    if (hv_scheduler(xend.hv, &id) || id >= sizeof(names) / sizeof(names[0]) || !names[id])
        return "unknown";
    return names[id];
}

static json_t *machine_fields(const struct xen_sysctl_physinfo *info)
{
    unsigned cores = info->cores_per_socket ? info->cores_per_socket : 1;
    unsigned threads = info->threads_per_core ? info->threads_per_core : 1;
    char caps[9 * 8 + 1], kinds[64];
    struct utsname name;

    uname(&name);
    hardware_caps(info, caps, sizeof(caps));
    guest_kinds(info->capabilities, kinds, sizeof(kinds));
    return json_pack("{ss ss ss ss si si si si si ss ss sI sI ss}", "host", name.nodename, "release", name.release,
                     "version", name.version, "machine", name.machine, "nr_cpus", (int)info->nr_cpus, "nr_nodes",
                     (int)info->nr_nodes, "cores_per_socket", (int)cores, "threads_per_core", (int)threads, "cpu_mhz",
                     (int)(info->cpu_khz / 1000), "hw_caps", caps, "virt_caps", kinds, "total_memory",
                     (json_int_t)(info->total_pages / 256), "free_memory", (json_int_t)(info->free_pages / 256),
                     "xen_scheduler", scheduler_name());
}

static json_t *hypervisor_fields(const struct hv_identity *id)
{
    char params[40];

    snprintf(params, sizeof(params), "virt_start=0x%llx", (unsigned long long)id->virt_start);
    return json_pack("{si si ss ss si ss ss ss ss ss ss ss si}", "xen_major", id->major, "xen_minor", id->minor,
                     "xen_extra", id->extra, "xen_caps", id->capabilities, "xen_pagesize", (int)id->page_size,
                     "platform_params", params, "xen_changeset", id->changeset, "xen_commandline", id->commandline,
                     "cc_compiler", id->compiler, "cc_compile_by", id->compile_by, "cc_compile_domain",
                     id->compile_domain, "cc_compile_date", id->compile_date, "xend_config_format", 4);
}

json_t *host_record(struct report *r)
{
    struct xen_sysctl_physinfo info;
    struct hv_identity id = {0};
    json_t *record, *more;

    if (hv_physinfo(xend.hv, &info) || hv_identity(xend.hv, &id)) {
        report_set(r, REPORT_FAILED, "the hypervisor does not tell of the machine");
        return NULL;
    }
    record = machine_fields(&info);
    more = hypervisor_fields(&id);
    if (!record || !more)
        report_set(r, REPORT_FAILED, "the hypervisor's texts are not UTF-8");
    else
        json_object_update(record, more);
    json_decref(more);
    return record;
}

/* The ring is what programs and guests wrote: what is no ASCII is shown as '?', for JSON's sake. */
static void make_plain(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p >= 0x7f || (*p < ' ' && *p != '\n' && *p != '\t'))
            *p = '?';
}

json_t *host_dmesg(bool clear, struct report *r)
{
    char *text = malloc(DMESG_MAX + 1);
    uint32_t index = 0;
    int got = text ? hv_read_console(xend.hv, text, DMESG_MAX, clear, false, &index) : -1;
    json_t *result = NULL;

    if (got < 0) {
        report_set(r, REPORT_FAILED, "the hypervisor's messages cannot be read");
    } else {
        char *end = text + got;

        *end = '\0';
        for (char *p = text; p < end; p++)
            if (!*p || *p == '\r')
                *p = ' ';
        make_plain(text);
        result = json_pack("{ss}", "text", text);
    }
    free(text);
    return result;
}

json_t *host_log(struct report *r)
{
    char *text = log_tail(LOG_TAIL_BYTES);
    json_t *result = NULL;

    if (text) {
        make_plain(text);
        result = json_pack("{ss}", "text", text);
    } else {
        report_set(r, REPORT_NOT_FOUND, "there is no log at %s", xend.log_path);
    }
    free(text);
    return result;
}

void host_limit_dom0_cpus(unsigned count)
{
    char path[64];

    for (unsigned cpu = count; count; cpu++) {
        snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/online", cpu);
        FILE *f = fopen(path, "re+");

        if (!f)
            return;
        if (fputc('0', f) < 0 || fflush(f))
            log_warn("CPU %u cannot be taken from Domain 0: %m", cpu);
        fclose(f);
    }
}
