/* SPDX-License-Identifier: MIT */
/* A guest's devices: see device.h. Runs in the vm's job. */
#include "xend/device.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xenbus.h>
#include "lib/fault.h"
#include "xend/clock.h"
#include "xend/log.h"
#include "xend/loop.h"

void device_backend_path(const struct device *d, char path[STORE_PATH_MAX])
{
    snprintf(path, STORE_PATH_MAX, STORE_DOMAIN0 "/backend/%s/%u/%u", d->type, d->domid, d->id);
}

static void state_path(const struct device *d, char path[STORE_PATH_MAX])
{
    device_backend_path(d, path);
    strcat(path, "/state"); /* fits: numbers and short words */
}

void device_frontend_path(const struct device *d, char path[STORE_PATH_MAX])
{
    snprintf(path, STORE_PATH_MAX, "/local/domain/%u/device/%s/%u", d->domid, d->type, d->id);
}

int device_write_ends(struct store *s, xs_transaction_t t, const struct device *d, char backend[STORE_PATH_MAX],
                      char frontend[STORE_PATH_MAX])
{
    device_backend_path(d, backend);
    device_frontend_path(d, frontend);
    return store_mkdir(s, t, backend) || store_set_access(s, t, backend, 0, d->domid) || store_mkdir(s, t, frontend) ||
                   store_set_access(s, t, frontend, d->domid, 0) ||
                   store_print(s, t, backend, "frontend", "%s", frontend) ||
                   store_print(s, t, backend, "frontend-id", "%u", d->domid) ||
                   store_print(s, t, backend, "online", "1") ||
                   store_print(s, t, backend, "state", "%d", XenbusStateInitialising) ||
                   store_print(s, t, frontend, "backend", "%s", backend) ||
                   store_print(s, t, frontend, "backend-id", "0") ||
                   store_print(s, t, frontend, "state", "%d", XenbusStateInitialising)
               ? -1
               : 0;
}

/* ---- Waiting for backends ------------------------------------------------------------------------------------ */

static int state_value(const char *value)
{
    return value ? atoi(value) : XenbusStateUnknown;
}

static bool has_started(const char *value, void *arg)
{
    int *state = arg;

    *state = state_value(value);
    return *state != XenbusStateInitialising;
}

static int backend_complaint(struct store *s, const struct device *d, const char *what, struct report *r)
{
    char path[STORE_PATH_MAX], *text;

    snprintf(path, sizeof(path), STORE_DOMAIN0 "/error/backend/%s/%u/%u/error", d->type, d->domid, d->id);
    text = store_read(s, STORE_OUTSIDE, path);
    report_set(r, REPORT_FAILED, "%s: the backend driver of Domain 0 refused it%s%s", what, text ? ": " : "",
               text ? text : "");
    free(text);
    return -1;
}

int device_wait_backend(struct store *s, const struct device *d, const char *what, struct report *r)
{
    char path[STORE_PATH_MAX];
    int state = XenbusStateUnknown;

    state_path(d, path);
    if (store_wait(s, path, has_started, &state, DEVICE_TIMEOUT_S))
        return report_set(r, REPORT_TIMEOUT,
                          "%s: no backend driver took it within %u s; is the module xen-%s loaded in Domain 0?", what,
                          DEVICE_TIMEOUT_S, strcmp(d->type, "vif") ? "blkback" : "netback");
    if (state == XenbusStateInitWait || state == XenbusStateInitialised || state == XenbusStateConnected)
        return 0;
    return backend_complaint(s, d, what, r);
}

static bool has_gone(const char *value, void *arg)
{
    int state = state_value(value);

    return state == XenbusStateUnknown || state == XenbusStateClosed;
}

/* ---- All of a guest's ------------------------------------------------------------------------------------------ */

int devices_look(struct vm *vm, struct report *r)
{
    const struct guest_config *c = &vm->config;

    if (c->disks_count && fault_at("disk", r))
        return -1;
    for (unsigned i = 0; i < c->disks_count; i++)
        if (vbd_claim(vm, &c->disks[i], &vm->disks[i], r))
            return -1;
    for (unsigned i = 0; i < c->vifs_count; i++)
        if (vif_look(&c->vifs[i], r))
            return -1;
    return 0;
}

int devices_attach(struct vm *vm, struct report *r)
{
    for (unsigned i = 0; i < vm->config.disks_count; i++)
        if (vbd_attach(vm, i, r))
            return -1;
    return 0;
}

int devices_write(struct store *s, xs_transaction_t t, const struct vm *vm)
{
    for (unsigned i = 0; i < vm->config.disks_count; i++)
        if (vbd_write(s, t, vm, i))
            return -1;
    for (unsigned i = 0; i < vm->config.vifs_count; i++)
        if (vif_write(s, t, vm, i))
            return -1;
    return 0;
}

int devices_connect(struct store *s, const struct vm *vm, struct report *r)
{
    if (vm->config.disks_count && fault_at("disk_script", r))
        return -1;
    for (unsigned i = 0; i < vm->config.disks_count; i++)
        if (vbd_connect(s, vm, i, r))
            return -1;
    if (vm->config.vifs_count && fault_at("vif", r))
        return -1;
    for (unsigned i = 0; i < vm->config.vifs_count; i++)
        if (vif_connect(s, vm, i, r))
            return -1;
    return 0;
}

/* ---- Unplugging -------------------------------------------------------------------------------------------------- */

/* The backend lets go when it is told to close and its other end is gone; then its state is Closed. */
static int close_both(struct store *s, xs_transaction_t t, void *arg)
{
    const struct device *d = arg;
    char backend[STORE_PATH_MAX], frontend[STORE_PATH_MAX];

    device_backend_path(d, backend);
    device_frontend_path(d, frontend);
    return store_print(s, t, backend, "online", "0") || store_print(s, t, backend, "state", "%d", XenbusStateClosing) ||
                   store_remove(s, t, frontend)
               ? -1
               : 0;
}

static bool is_open(long state)
{
    return state > XenbusStateInitialising && state != XenbusStateClosing && state != XenbusStateClosed;
}

/* Tells the backend to let go; it does so while the other devices are told. */
static void unplug_begin(struct store *s, struct device *d, uint64_t until_ms)
{
    char path[STORE_PATH_MAX];
    long state;

    state_path(d, path);
    state = store_read_number(s, path, XenbusStateUnknown);
    if (!strcmp(d->type, "vif") && state != XenbusStateUnknown)
        vif_disconnect(s, d);
    if (is_open(state) && store_transact(s, close_both, d))
        log_warn("%s cannot be written: %s", path, strerror(errno));
}

static void unplug_end(struct store *s, struct device *d, uint64_t until_ms)
{
    char backend[STORE_PATH_MAX], path[STORE_PATH_MAX];
    uint64_t now = clock_ms();
    long state;

    device_backend_path(d, backend);
    state_path(d, path);
    state = store_read_number(s, path, XenbusStateUnknown);
    if (is_open(state)) /* the driver took it just now */
        store_transact(s, close_both, d);
    if (state > XenbusStateInitialising &&
        store_wait(s, path, has_gone, NULL, until_ms > now ? (unsigned)((until_ms - now) / 1000) + 1 : 0))
        log_warn("%s: the backend does not let go of it; its node is removed", backend);
    store_remove(s, STORE_OUTSIDE, backend);
    if (!strcmp(d->type, "vif"))
        vif_wait_gone(d, until_ms);
}

/* What there is, rather than what should be: something may have stopped half-way. */
static void each_device(struct store *s, const char *type, uint32_t domid, uint64_t until_ms,
                        void (*step)(struct store *s, struct device *d, uint64_t until_ms))
{
    char path[STORE_PATH_MAX], **names;
    struct device d = {.type = type, .domid = domid};
    unsigned count;

    snprintf(path, sizeof(path), STORE_DOMAIN0 "/backend/%s/%u", type, domid);
    names = store_list(s, path, &count);
    for (unsigned i = 0; i < count; i++) {
        d.id = (unsigned)strtoul(names[i], NULL, 10);
        step(s, &d, until_ms);
    }
    free(names);
}

static void remove_directories(struct store *s, const char *type, uint32_t domid)
{
    char path[STORE_PATH_MAX];

    snprintf(path, sizeof(path), STORE_DOMAIN0 "/backend/%s/%u", type, domid);
    store_remove(s, STORE_OUTSIDE, path);
    snprintf(path, sizeof(path), STORE_DOMAIN0 "/error/backend/%s/%u", type, domid);
    store_remove(s, STORE_OUTSIDE, path);
}

void devices_unplug(struct store *s, struct vm *vm)
{
    bool has[2] = {vm->config.vifs_count || vm->foreign, vm->config.disks_count || vm->foreign};
    static const char *const types[2] = {"vif", "vbd"};
    uint64_t until = clock_ms() + DEVICE_TIMEOUT_S * 1000;
    uint32_t domid = (uint32_t)vm->domid;

    for (unsigned i = 0; vm->domid >= 0 && i < 2; i++)
        if (has[i])
            each_device(s, types[i], domid, until, unplug_begin);
    for (unsigned i = 0; vm->domid >= 0 && i < 2; i++)
        if (has[i]) {
            each_device(s, types[i], domid, until, unplug_end);
            remove_directories(s, types[i], domid);
        }
}

void devices_release(struct vm *vm)
{
    for (unsigned i = 0; i < vm->config.disks_count; i++)
        vbd_release(vm, i);
}
