/* SPDX-License-Identifier: MIT */
/*
 * A domain's nodes: see nodes.h. Rights: the guest may read what is below its directory; it owns (may write) control, data, error,
 * and the nodes below its own ends of devices. New nodes inherit their parent's rights, so they are set on the
 * directories alone.
 */
#include "xend/nodes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/fault.h"
#include "xend/device.h"
#include "xend/log.h"
#include "xend/xend.h"

#define DOMAIN0_UUID "00000000-0000-0000-0000-000000000000"

static void domain_path(int64_t domid, char path[STORE_PATH_MAX])
{
    snprintf(path, STORE_PATH_MAX, "/local/domain/%lld", (long long)domid);
}

static void vm_path(const char *uuid, char path[STORE_PATH_MAX])
{
    snprintf(path, STORE_PATH_MAX, "/vm/%s", uuid);
}

static int failed(struct report *r, const struct vm *vm, const char *what)
{
    return report_set(r, REPORT_FAILED, "xenstore: the nodes of '%s' cannot be %s: %s%s", vm->config.name, what,
                      strerror(errno), store_error_is_connection(errno) ? "; is xenstored running?" : "");
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

struct all {
    const struct vm *vm;
    const struct domain_made *made;
};

static int own(struct store *s, xs_transaction_t t, const char *root, const char *name, uint32_t domid)
{
    char path[STORE_PATH_MAX + 16];

    snprintf(path, sizeof(path), "%s/%s", root, name);
    return store_mkdir(s, t, path) || store_set_access(s, t, path, domid, domid) ? -1 : 0;
}

static int write_identity(struct store *s, xs_transaction_t t, const char *root, const struct vm *vm)
{
    char of_vm[STORE_PATH_MAX];
    uint32_t domid = (uint32_t)vm->domid;

    vm_path(vm->uuid, of_vm);
    return store_mkdir(s, t, root) || store_set_access(s, t, root, 0, domid) || store_mkdir(s, t, of_vm) ||
                   store_set_access(s, t, of_vm, 0, domid) || store_print(s, t, of_vm, "uuid", "%s", vm->uuid) ||
                   store_print(s, t, of_vm, "name", "%s", vm->config.name) ||
                   store_print(s, t, root, "vm", "%s", of_vm) || store_print(s, t, root, "domid", "%u", domid) ||
                   store_print(s, t, root, "name", "%s", vm->config.name)
               ? -1
               : 0;
}

static int write_machine(struct store *s, xs_transaction_t t, const char *root, const struct guest_config *c)
{
    uint64_t memory = c->memory_mib * 1024, max = c->maxmem_mib ? c->maxmem_mib * 1024 : memory;
    char name[40];

    if (store_print(s, t, root, "memory/target", "%llu", (unsigned long long)memory) ||
        store_print(s, t, root, "memory/static-max", "%llu", (unsigned long long)max))
        return -1;
    for (unsigned i = 0; i < c->maxvcpus; i++) {
        snprintf(name, sizeof(name), "cpu/%u/availability", i);
        if (store_print(s, t, root, name, "%s", i < c->vcpus ? "online" : "offline"))
            return -1;
    }
    return 0;
}

static int write_owned(struct store *s, xs_transaction_t t, const char *root, uint32_t domid)
{
    static const char *const owned[] = {"control", "data", "error"};

    for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++)
        if (own(s, t, root, owned[i], domid))
            return -1;
    return store_print(s, t, root, "control/shutdown", "%s", "") ||
                   store_print(s, t, root, "control/platform-feature-multiprocessor-suspend", "1") ||
                   store_print(s, t, root, "control/platform-feature-xs_reset_watches", "1")
               ? -1
               : 0;
}

static int write_rings(struct store *s, xs_transaction_t t, const char *root, const struct domain_made *made)
{
    return store_print(s, t, root, "console/type", "xenconsoled") || store_print(s, t, root, "console/output", "pty") ||
                   store_print(s, t, root, "console/limit", "%u", xend.config.console_limit_kib * 1024) ||
                   store_print(s, t, root, "console/ring-ref", "%llu", (unsigned long long)made->console_mfn) ||
                   store_print(s, t, root, "console/port", "%u", made->console_port) ||
                   store_print(s, t, root, "store/ring-ref", "%llu", (unsigned long long)made->store_mfn) ||
                   store_print(s, t, root, "store/port", "%u", made->store_port)
               ? -1
               : 0;
}

static int write_all(struct store *s, xs_transaction_t t, void *arg)
{
    const struct all *all = arg;
    const struct vm *vm = all->vm;
    char root[STORE_PATH_MAX];

    domain_path(vm->domid, root);
    return write_identity(s, t, root, vm) || write_machine(s, t, root, &vm->config) ||
                   write_owned(s, t, root, (uint32_t)vm->domid) || write_rings(s, t, root, all->made) ||
                   devices_write(s, t, vm)
               ? -1
               : 0;
}

int nodes_write(struct store *s, const struct vm *vm, const struct domain_made *made, struct report *r)
{
    struct all all = {vm, made};

    if (fault_at("store", r) || fault_at("console", r))
        return -1;
    return store_transact(s, write_all, &all) ? failed(r, vm, "written") : 0;
}

/* ---- Changing ---------------------------------------------------------------------------------------------------- */

static int write_name(struct store *s, xs_transaction_t t, void *arg)
{
    const struct vm *vm = arg;
    char root[STORE_PATH_MAX];

    domain_path(vm->domid, root);
    return write_identity(s, t, root, vm);
}

int nodes_rename(struct store *s, const struct vm *vm, struct report *r)
{
    return store_transact(s, write_name, (void *)vm) ? failed(r, vm, "changed") : 0;
}

int nodes_ask_shutdown(struct store *s, const struct vm *vm, const char *what, struct report *r)
{
    char path[STORE_PATH_MAX];

    domain_path(vm->domid, path);
    strcat(path, "/control/shutdown"); /* fits: a number before it */
    return store_write(s, STORE_OUTSIDE, path, what) ? failed(r, vm, "changed") : 0;
}

/* ---- Removing ---------------------------------------------------------------------------------------------------- */

static int remove_all(struct store *s, xs_transaction_t t, void *arg)
{
    const struct vm *vm = arg;
    char path[STORE_PATH_MAX];

    domain_path(vm->domid, path);
    if (store_remove(s, t, path))
        return -1;
    vm_path(vm->uuid, path);
    return store_remove(s, t, path);
}

int nodes_remove(struct store *s, const struct vm *vm)
{
    if (!store_transact(s, remove_all, (void *)vm))
        return 0;
    log_warn("xenstore: the nodes of '%s' (domain %lld) cannot be removed: %m", vm->config.name, (long long)vm->domid);
    return store_error_is_connection(errno) ? -1 : 0;
}

/* ---- Reading ------------------------------------------------------------------------------------------------------ */

char *nodes_console(struct store *s, uint32_t domid)
{
    char path[STORE_PATH_MAX], *tty;

    snprintf(path, sizeof(path), "/local/domain/%u/console/tty", domid);
    tty = store_read(s, STORE_OUTSIDE, path);
    if (tty && !*tty) {
        free(tty);
        tty = NULL;
    }
    return tty;
}

static int write_domain0(struct store *s, xs_transaction_t t, void *arg)
{
    return store_print(s, t, STORE_DOMAIN0, "name", "Domain-0") || store_print(s, t, STORE_DOMAIN0, "domid", "0") ||
                   store_print(s, t, STORE_DOMAIN0, "vm", "/vm/" DOMAIN0_UUID) ||
                   store_print(s, t, "/vm/" DOMAIN0_UUID, "name", "Domain-0") ||
                   store_print(s, t, "/vm/" DOMAIN0_UUID, "uuid", DOMAIN0_UUID) ||
                   /* Made here, so that a guest's devices leave no parents behind. */
                   store_mkdir(s, t, STORE_DOMAIN0 "/backend/vbd") || store_mkdir(s, t, STORE_DOMAIN0 "/backend/vif")
               ? -1
               : 0;
}

void nodes_write_domain0(struct store *s)
{
    if (store_transact(s, write_domain0, NULL))
        log_warn("xenstore: the nodes of Domain 0 cannot be written: %m; is xenstored running?");
}
