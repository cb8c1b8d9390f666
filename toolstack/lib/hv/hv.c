/* SPDX-License-Identifier: MIT */
/* The handle on the hypervisor, its buffers and the plain forms of calls: see call.h. */
#include "lib/hv/call.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PRIVCMD "/dev/xen/privcmd"

/* ---- Buffers ---- */

static struct hv_buffer *buffer_new(struct hv *hv)
{
    struct hv_buffer *b = calloc(1, sizeof(*b));

    if (b)
        b->data = xencall_alloc_buffer(hv->call, HV_BUFFER_SIZE);
    if (b && !b->data) {
        free(b);
        return NULL;
    }
    return b;
}

struct hv_buffer *hv_buffer_get(struct hv *hv)
{
    struct hv_buffer *b;

    pthread_mutex_lock(&hv->lock);
    b = hv->idle;
    if (b)
        hv->idle = b->next;
    pthread_mutex_unlock(&hv->lock);
    if (!b)
        b = buffer_new(hv);
    if (b)
        b->used = 0;
    return b;
}

void hv_buffer_put(struct hv *hv, struct hv_buffer *b)
{
    pthread_mutex_lock(&hv->lock);
    b->next = hv->idle;
    hv->idle = b;
    pthread_mutex_unlock(&hv->lock);
}

size_t hv_buffer_room(const struct hv_buffer *b)
{
    return HV_BUFFER_SIZE - b->used;
}

void *hv_buffer_take(struct hv_buffer *b, size_t size)
{
    uint8_t *p = b->data + b->used;

    assert(size <= hv_buffer_room(b));
    b->used += (size + 15) & ~(size_t)15;
    return memset(p, 0, size);
}

/* ---- Calls ---- */

long hv_call_copy(struct hv *hv, unsigned op, unsigned command, void *arg, size_t size)
{
    struct hv_buffer *b = hv_buffer_get(hv);
    void *in;
    long rc;

    if (!b)
        return -ENOMEM;
    in = memcpy(hv_buffer_take(b, size), arg, size);
    rc = xencall2L(hv->call, op, command, (uintptr_t)in);
    if (rc < 0)
        rc = -errno;
    else
        memcpy(arg, in, size);
    hv_buffer_put(hv, b);
    return rc;
}

int hv_domctl_in(struct hv *hv, uint32_t command, uint32_t domid, struct xen_domctl *op)
{
    op->cmd = command;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = (domid_t)domid;
    return xencall1(hv->call, __HYPERVISOR_domctl, (uintptr_t)op) < 0 ? -errno : 0;
}

int hv_sysctl_in(struct hv *hv, uint32_t command, struct xen_sysctl *op)
{
    op->cmd = command;
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return xencall1(hv->call, __HYPERVISOR_sysctl, (uintptr_t)op) < 0 ? -errno : 0;
}

int hv_domctl(struct hv *hv, uint32_t command, uint32_t domid, struct xen_domctl *op)
{
    struct hv_buffer *b;
    struct xen_domctl *in;
    int rc;

    if (domid >= DOMID_FIRST_RESERVED)
        return -ESRCH;
    b = hv_buffer_get(hv);
    if (!b)
        return -ENOMEM;
    in = memcpy(hv_buffer_take(b, sizeof(*op)), op, sizeof(*op));
    rc = hv_domctl_in(hv, command, domid, in);
    if (!rc)
        *op = *in;
    hv_buffer_put(hv, b);
    return rc;
}

int hv_sysctl(struct hv *hv, uint32_t command, struct xen_sysctl *op)
{
    struct hv_buffer *b = hv_buffer_get(hv);
    struct xen_sysctl *in;
    int rc;

    if (!b)
        return -ENOMEM;
    in = memcpy(hv_buffer_take(b, sizeof(*op)), op, sizeof(*op));
    rc = hv_sysctl_in(hv, command, in);
    if (!rc)
        *op = *in;
    hv_buffer_put(hv, b);
    return rc;
}

/* ---- The handle ---- */

static bool below_a_hypervisor(void)
{
    char type[8] = "";
    int fd = open("/sys/hypervisor/type", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    if (read(fd, type, sizeof(type) - 1) < 0)
        type[0] = 0;
    close(fd);
    return !strncmp(type, "xen", 3);
}

static int no_way_in(int error, struct report *r)
{
    if (error == EACCES || error == EPERM)
        return report_set(r, REPORT_DENIED, "%s cannot be opened: only root may speak to the hypervisor", PRIVCMD);
    if (below_a_hypervisor())
        return report_set(r, REPORT_NO_DAEMON, "%s cannot be opened (%s): load its driver by 'modprobe xen_privcmd'",
                          PRIVCMD, strerror(error));
    return report_set(r, REPORT_NO_DAEMON,
                      "this Linux runs on no hypervisor: boot Hospes first, with this Linux as its Domain 0");
}

/* Asks something that only Domain 0 is told. */
static int try_it(struct hv *hv, struct report *r)
{
    struct xen_sysctl_physinfo info;
    int rc = hv_physinfo(hv, &info);

    if (!rc)
        return 0;
    if (rc == -EACCES)
        return report_set(r, REPORT_FAILED,
                          "the hypervisor speaks another version of its control interface than these tools (%#x)",
                          XEN_SYSCTL_INTERFACE_VERSION);
    if (rc == -EPERM)
        return report_set(r, REPORT_DENIED, "the hypervisor refuses: this is a guest, not Domain 0");
    return report_set(r, REPORT_NO_DAEMON, "the hypervisor does not tell about its machine: %s", strerror(-rc));
}

int hv_open(struct hv **out, struct report *r)
{
    struct hv *hv;
    int fd = open(PRIVCMD, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return no_way_in(errno, r);
    close(fd);
    hv = calloc(1, sizeof(*hv));
    if (!hv)
        return report_set(r, REPORT_FAILED, "no memory to speak to the hypervisor");
    pthread_mutex_init(&hv->lock, NULL);
    hv->call = xencall_open(NULL, 0);
    hv->memory = xenforeignmemory_open(NULL, 0);
    if (!hv->call || !hv->memory)
        report_set(r, REPORT_NO_DAEMON, "the drivers below /dev/xen cannot be used: %s", strerror(errno));
    else if (!try_it(hv, r)) {
        *out = hv;
        return 0;
    }
    hv_close(hv);
    return -1;
}

void hv_close(struct hv *hv)
{
    struct hv_buffer *b;

    if (!hv)
        return;
    while ((b = hv->idle)) {
        hv->idle = b->next;
        xencall_free_buffer(hv->call, b->data);
        free(b);
    }
    if (hv->memory)
        xenforeignmemory_close(hv->memory);
    if (hv->call)
        xencall_close(hv->call);
    pthread_mutex_destroy(&hv->lock);
    free(hv);
}

xenforeignmemory_handle *hv_memory(struct hv *hv)
{
    return hv->memory;
}
