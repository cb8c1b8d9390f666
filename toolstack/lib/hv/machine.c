/* SPDX-License-Identifier: MIT */
/* The machine and the hypervisor itself: what it is, what is free, its console (sysctl, xen_version). */
#include "lib/hv/call.h" /* first: it says that these are tools */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xen/version.h>

#define PAGE_KIB 4

int hv_physinfo(struct hv *hv, struct xen_sysctl_physinfo *info)
{
    struct xen_sysctl op = {0};
    int rc = hv_sysctl(hv, XEN_SYSCTL_physinfo, &op);

    if (!rc)
        *info = op.u.physinfo;
    return rc;
}

uint64_t hv_free_kib(struct hv *hv)
{
    struct xen_sysctl_physinfo info;

    if (hv_physinfo(hv, &info) || info.free_pages < info.outstanding_pages)
        return 0;
    return (info.free_pages - info.outstanding_pages) * PAGE_KIB; /* what others have claimed is not free any more */
}

int hv_scheduler(struct hv *hv, uint32_t *id)
{
    struct xen_sysctl op = {0};
    int rc = hv_sysctl(hv, XEN_SYSCTL_sched_id, &op);

    if (!rc)
        *id = op.u.sched_id.sched_id;
    return rc;
}

/* ---- Who it is ---- */

/* A question whose answer is a text that may fill its array to the last letter */
static int ask_text(struct hv *hv, unsigned command, char *text, size_t size)
{
    long rc = hv_call_copy(hv, __HYPERVISOR_xen_version, command, text, size);

    text[size - 1] = 0;
    return rc < 0 ? (int)rc : 0;
}

static long ask_number(struct hv *hv, unsigned command)
{
    uint64_t unused = 0;
    return hv_call_copy(hv, __HYPERVISOR_xen_version, command, &unused, sizeof(unused));
}

static int compiled(struct hv *hv, struct hv_identity *id)
{
    xen_compile_info_t c = {0};
    long rc = hv_call_copy(hv, __HYPERVISOR_xen_version, XENVER_compile_info, &c, sizeof(c));

    if (rc < 0)
        return (int)rc;
    snprintf(id->compiler, sizeof(id->compiler), "%.*s", (int)sizeof(c.compiler), c.compiler);
    snprintf(id->compile_by, sizeof(id->compile_by), "%.*s", (int)sizeof(c.compile_by) - 1, c.compile_by);
    snprintf(id->compile_domain, sizeof(id->compile_domain), "%.*s", (int)sizeof(c.compile_domain) - 1,
             c.compile_domain);
    snprintf(id->compile_date, sizeof(id->compile_date), "%.*s", (int)sizeof(c.compile_date) - 1, c.compile_date);
    return 0;
}

int hv_identity(struct hv *hv, struct hv_identity *id)
{
    xen_platform_parameters_t platform = {0};
    long version = ask_number(hv, XENVER_version), page = ask_number(hv, XENVER_pagesize);

    memset(id, 0, sizeof(*id));
    if (version < 0 || page < 0)
        return (int)(version < 0 ? version : page);
    id->major = (int)(version >> 16);
    id->minor = (int)(version & 0xffff);
    id->page_size = (unsigned)page;
    if (hv_call_copy(hv, __HYPERVISOR_xen_version, XENVER_platform_parameters, &platform, sizeof(platform)) < 0)
        return -EIO;
    id->virt_start = platform.virt_start;
    if (ask_text(hv, XENVER_extraversion, id->extra, sizeof(id->extra)) ||
        ask_text(hv, XENVER_capabilities, id->capabilities, sizeof(id->capabilities)) ||
        ask_text(hv, XENVER_changeset, id->changeset, sizeof(id->changeset)) ||
        ask_text(hv, XENVER_commandline, id->commandline, sizeof(id->commandline)))
        return -EIO;
    return compiled(hv, id);
}

int hv_version(struct hv *hv, char *text, size_t size)
{
    xen_extraversion_t extra = {0};
    long version = ask_number(hv, XENVER_version);
    int rc;

    if (version < 0)
        return (int)version;
    rc = ask_text(hv, XENVER_extraversion, extra, sizeof(extra));
    if (rc)
        return rc;
    snprintf(text, size, "%ld.%ld%s", version >> 16, version & 0xffff, extra);
    return 0;
}

/* ---- Its console ---- */

int hv_read_console(struct hv *hv, char *buffer, size_t size, bool clear, bool incremental, uint32_t *index)
{
    struct hv_buffer *b = hv_buffer_get(hv);
    struct xen_sysctl *op;
    char *text;
    int rc;

    if (!b)
        return -ENOMEM;
    op = hv_buffer_take(b, sizeof(*op));
    if (size > hv_buffer_room(b))
        size = hv_buffer_room(b);
    text = hv_buffer_take(b, size);
    op->u.readconsole.clear = clear;
    op->u.readconsole.incremental = incremental;
    op->u.readconsole.index = *index;
    op->u.readconsole.count = (uint32_t)size;
    set_xen_guest_handle(op->u.readconsole.buffer, text);
    rc = hv_sysctl_in(hv, XEN_SYSCTL_readconsole, op);
    if (!rc) {
        uint32_t n = op->u.readconsole.count;
        rc = (int)(n < size ? n : size);
        memcpy(buffer, text, (size_t)rc);
        *index = op->u.readconsole.index;
    }
    hv_buffer_put(hv, b);
    return rc;
}

int hv_debug_keys(struct hv *hv, const char *keys)
{
    size_t length = strlen(keys);
    struct hv_buffer *b = hv_buffer_get(hv);
    struct xen_sysctl *op;
    char *in;
    int rc = -E2BIG;

    if (!b)
        return -ENOMEM;
    op = hv_buffer_take(b, sizeof(*op));
    if (length && length <= hv_buffer_room(b)) {
        in = memcpy(hv_buffer_take(b, length), keys, length);
        op->u.debug_keys.nr_keys = (uint32_t)length;
        set_xen_guest_handle(op->u.debug_keys.keys, in);
        rc = hv_sysctl_in(hv, XEN_SYSCTL_debug_keys, op);
    }
    hv_buffer_put(hv, b);
    return rc;
}
