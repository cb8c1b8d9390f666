/* SPDX-License-Identifier: MIT */
/*
 * A domain's life.
 *
 *    vm_new
 *      |
 *      v       life_create: start()                      life_look: go_down()
 *  1 CREATING ----------------------> 2 RUNNING ------------------------------> 3 DYING, then forget or restart
 *      |  ^                              |   |                                      |          |
 *      |  |                              |   | life_look: preserve()                |          |
 *      |  |                              |   +-------------> 4 PRESERVED            |          |
 *      |  |                              |                        |                 |          |
 *      |  +------------------------------|------------------------|-----------------|----------+
 *      |            again(): then restart|                        |                 |
 *      |                                 | life_destroy           | life_destroy    | finish(): then forget
 *      +--------> 5 GONE <---------------+------------------------+-----------------+
 *       a step of start() failed: reap()
 *
 * The state is saved before each step that leaves something behind. What a killed xend leaves is taken up by life_recover:
 *  CREATING  nothing was running yet: undone. (With "then restart": a restart was going on; it is begun again.)
 *  RUNNING   is as it was; if it has gone down in the meantime, life_look does what is due.
 *  DYING     goes on.          PRESERVED stays.
 * reap() and each of its steps may be repeated, whatever of it has been done.
 */
#include "xend/life.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/sched.h>
#include "lib/fault.h"
#include "xend/check.h"
#include "xend/clock.h"
#include "xend/device.h"
#include "xend/domain.h"
#include "xend/log.h"
#include "xend/nodes.h"
#include "xend/state.h"
#include "xend/xend.h"

#define QUICK_REBOOT_MS   10000 /* a reboot so soon after the start is one that failed */
#define QUICK_REBOOTS_MAX 5

/* ---- Down -------------------------------------------------------------------------------------------------------- */

static int reap_domain(struct store *s, struct vm *vm)
{
    uint32_t domid = (uint32_t)vm->domid;
    bool was_there;
    int rc;

    hv_domain_pause(xend.hv, domid); /* that it does not see its disks go */
    devices_unplug(s, vm);
    was_there = domain_destroy(domid);
    store_release(s, domid);
    rc = nodes_remove(s, vm);
    if (was_there)
        domain_wait_gone(domid);
    return rc;
}

/* Everything of the domain goes; the record stays, without a number. -1: xenstored is away, its nodes are there still. */
static int reap(struct vm *vm)
{
    struct store *s = store_get();
    int rc = !s || (vm->domid >= 0 && reap_domain(s, vm)) ? -1 : 0;

    store_put(s);
    devices_release(vm);
    if (!rc)
        vm_set_domid(vm, VM_NO_DOMID);
    return rc;
}

static void forget(struct vm *vm)
{
    state_remove(vm->uuid);
    vm_set_state(vm, VM_GONE, THEN_FORGET);
}

static void set_saved(struct vm *vm, enum vm_state state, enum vm_then then)
{
    struct report r;

    vm_set_state(vm, state, then);
    if (state_save(vm, &r))
        log_error("%s", r.text);
}

/* ---- Up ---------------------------------------------------------------------------------------------------------- */

static int check(struct vm *vm, struct report *r)
{
    return check_offered(&vm->config, r) || check_files(&vm->config, r) || devices_look(vm, r) ||
                   domain_check_memory(&vm->config, r)
               ? -1
               : 0;
}

static void choose_macs(struct vm *vm)
{
    vm_lock();
    for (unsigned i = 0; i < vm->config.vifs_count; i++)
        if (!vm->config.vifs[i].has_mac) {
            vif_make_mac(vm->config.vifs[i].mac);
            vm->config.vifs[i].has_mac = true;
        }
    vm_unlock();
}

static int introduce(struct store *s, const struct vm *vm, const struct domain_made *made, struct report *r)
{
    if (fault_at("introduce", r))
        return -1;
    if (store_introduce(s, (uint32_t)vm->domid, made->store_mfn, made->store_port))
        return report_set(r, REPORT_FAILED, "xenstored does not take the domain: %s", strerror(errno));
    return 0;
}

static int let_run(struct vm *vm, struct report *r)
{
    int rc;

    vm_lock();
    vm->state = VM_RUNNING;
    vm->then = THEN_FORGET;
    vm->start_time = time(NULL);
    vm->started_ms = clock_ms();
    vm_unlock();
    if (fault_at("save_state", r) || state_save(vm, r) || fault_at("unpause", r))
        return -1;
    rc = vm->paused ? 0 : hv_domain_unpause(xend.hv, (uint32_t)vm->domid);
    return rc ? report_set(r, REPORT_FAILED, "the domain cannot be unpaused: %s", strerror(-rc)) : 0;
}

static int start_with(struct store *s, struct vm *vm, struct report *r)
{
    struct domain_made made = {0};

    return state_save(vm, r) || domain_make(vm, &made, r) || devices_attach(vm, r) || nodes_write(s, vm, &made, r) ||
                   devices_connect(s, vm, r) || introduce(s, vm, &made, r) || let_run(vm, r)
               ? -1
               : 0;
}

/* From VM_CREATING; what was made is undone when a step fails, and the record goes. */
static int start(struct vm *vm, struct report *r)
{
    struct store *s = store_get();
    int rc;

    choose_macs(vm);
    rc = !s ? report_set(r, REPORT_FAILED, "xend has no memory left") : check(vm, r) || start_with(s, vm, r) ? -1 : 0;
    store_put(s);
    if (!rc) {
        log_info("domain '%s' started (id %lld)", vm->config.name, (long long)vm->domid);
        return 0;
    }
    log_warn("domain '%s' could not be started: %s", vm->config.name, r->text);
    if (vm->domid >= 0) /* its number is needed for undoing the rest, should xend be killed meanwhile */
        set_saved(vm, VM_DYING, THEN_FORGET);
    if (!reap(vm))
        forget(vm);
    return -1;
}

int life_create(struct vm *vm, struct report *r)
{
    return start(vm, r);
}

/* ---- Ends ---------------------------------------------------------------------------------------------------------- */

static void again(struct vm *vm)
{
    struct report r = {0};

    set_saved(vm, VM_CREATING, THEN_RESTART);
    if (start(vm, &r))
        log_error("domain '%s' could not be restarted: %s", vm->config.name, r.text);
}

/* From VM_DYING, and stays there when xenstored is away: then events.c has life_look called when it is back. */
static void finish(struct vm *vm)
{
    if (reap(vm))
        return;
    if (vm->then != THEN_RESTART) {
        forget(vm);
        return;
    }
    vm_lock();
    vm->generation++;
    vm_unlock();
    again(vm);
}

int life_destroy(struct vm *vm, struct report *r)
{
    if (vm->state == VM_GONE)
        return report_set(r, REPORT_NOT_FOUND, "there is no domain '%s'", vm->config.name);
    set_saved(vm, VM_DYING, THEN_FORGET);
    finish(vm);
    if (vm->state != VM_GONE)
        return report_set(r, REPORT_FAILED, "xenstored cannot be reached: the nodes of '%s' go when it is back",
                          vm->config.name);
    log_info("domain '%s' destroyed", vm->config.name);
    return 0;
}

/* ---- What a guest that has gone down meant ------------------------------------------------------------------------- */

static const char *reason_name(uint32_t flags)
{
    static const char *const names[] = {
        [SHUTDOWN_poweroff] = "poweroff", [SHUTDOWN_reboot] = "reboot",     [SHUTDOWN_suspend] = "suspend",
        [SHUTDOWN_crash] = "crash",       [SHUTDOWN_watchdog] = "watchdog",
    };
    unsigned code = (flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask;

    return code < sizeof(names) / sizeof(names[0]) ? names[code] : "crash";
}

static enum guest_event_action action_for(const struct vm *vm, const char *reason)
{
    if (!strcmp(reason, "poweroff"))
        return vm->config.on_poweroff;
    if (!strcmp(reason, "reboot"))
        return vm->config.on_reboot;
    if (!strcmp(reason, "suspend"))
        return ACTION_DESTROY; /* nobody has asked it to */
    return vm->config.on_crash;
}

/* A guest that goes down again and again right after its start is not restarted for ever. */
static bool is_hopeless(struct vm *vm)
{
    bool quick = vm->started_ms && clock_ms() - vm->started_ms < QUICK_REBOOT_MS;

    vm->quick_reboots = quick ? vm->quick_reboots + 1 : 0;
    if (vm->quick_reboots < QUICK_REBOOTS_MAX)
        return false;
    log_error("domain '%s' went down %u times in a row within %u s of its start: it is not restarted", vm->config.name,
              vm->quick_reboots, QUICK_REBOOT_MS / 1000);
    return true;
}

static struct guest_config *copy_config(const struct guest_config *config)
{
    struct guest_config *copy = calloc(1, sizeof(*copy));
    json_t *json = guest_config_to_json(config);
    struct report r;

    if (copy && (!json || guest_config_from_json(json, copy, &r))) {
        free(copy);
        copy = NULL;
    }
    json_decref(json);
    return copy;
}

/* Gives the record a name that is free, NAME-1 and so on, and a uuid of its own. */
static void take_new_name(struct vm *vm)
{
    char name[GUEST_NAME_MAX + 16], *copy;
    unsigned i = 0;

    vm_lock();
    do
        snprintf(name, sizeof(name), "%.*s-%u", GUEST_NAME_MAX - 8, vm->config.name, ++i);
    while (vm_name_taken(name, vm));
    copy = strdup(name);
    if (copy) {
        free(vm->config.name);
        vm->config.name = copy;
    }
    uuid_make(vm->uuid);
    memcpy(vm->config.uuid, vm->uuid, sizeof(vm->uuid));
    vm_unlock();
}

/*
 * The domain is kept as it is, for somebody to look at, under another name; its devices are free for its successor, to which name, uuid and
 * file stay. Up to set_handle the domain belongs to that file, which has it go down once more; after that nothing does, and the file says
 * that there is one to be started.
 */
static struct guest_config *make_way(struct vm *vm)
{
    struct guest_config *successor = copy_config(&vm->config);
    struct store *s = successor ? store_get() : NULL;
    struct report r = {0};
    uint8_t uuid[16];

    if (!s) {
        if (successor)
            guest_config_free(successor);
        free(successor);
        return NULL;
    }
    memcpy(successor->uuid, vm->uuid, sizeof(successor->uuid));
    devices_unplug(s, vm);
    devices_release(vm);
    set_saved(vm, VM_RUNNING, THEN_RESTART);
    take_new_name(vm);
    set_saved(vm, VM_PRESERVED, THEN_FORGET);
    uuid_parse(vm->uuid, uuid);
    hv_domain_set_handle(xend.hv, (uint32_t)vm->domid, uuid);
    if (nodes_rename(s, vm, &r))
        log_warn("%s", r.text);
    store_put(s);
    return successor;
}

static void preserve(struct vm *vm, bool rename, struct guest_config **successor)
{
    if (rename)
        *successor = make_way(vm);
    set_saved(vm, VM_PRESERVED, THEN_FORGET);
    log_info("domain '%s' (id %lld) is preserved", vm->config.name, (long long)vm->domid);
}

static void go_down(struct vm *vm, const char *reason, struct guest_config **successor)
{
    enum guest_event_action action = action_for(vm, reason);
    bool restarts = action == ACTION_RESTART || action == ACTION_RENAME_RESTART;

    vm_lock();
    snprintf(vm->shutdown_reason, sizeof(vm->shutdown_reason), "%s", reason);
    vm_unlock();
    log_info("domain '%s' (id %lld) has gone down: %s", vm->config.name, (long long)vm->domid, reason);
    if (restarts && is_hopeless(vm))
        action = ACTION_DESTROY;
    if (action == ACTION_PRESERVE || action == ACTION_RENAME_RESTART) {
        preserve(vm, action == ACTION_RENAME_RESTART, successor);
        return;
    }
    set_saved(vm, VM_DYING, action == ACTION_RESTART ? THEN_RESTART : THEN_FORGET);
    finish(vm);
}

void life_look(struct vm *vm, struct guest_config **successor)
{
    struct xen_domctl_getdomaininfo info;
    int rc;

    *successor = NULL;
    if (vm->state == VM_DYING)
        finish(vm);
    if ((vm->state != VM_RUNNING && vm->state != VM_PRESERVED) || vm->domid < 0)
        return;
    rc = hv_domain_info(xend.hv, (uint32_t)vm->domid, &info);
    if (rc && rc != -ESRCH)
        return;
    if (rc || (info.flags & XEN_DOMINF_dying)) {
        log_warn("domain '%s' (id %lld) was destroyed by another", vm->config.name, (long long)vm->domid);
        set_saved(vm, VM_DYING, THEN_FORGET);
        finish(vm);
    } else if (vm->state == VM_RUNNING && (info.flags & XEN_DOMINF_shutdown)) {
        go_down(vm, reason_name(info.flags), successor);
    }
}

/* ---- After a start of xend ------------------------------------------------------------------------------------------ */

/* xend may have been killed between the saving of "running" and the first unpausing. */
static void keep_running(struct vm *vm)
{
    struct xen_domctl_getdomaininfo info;

    if (vm->state != VM_RUNNING || vm->paused || vm->foreign || hv_domain_info(xend.hv, (uint32_t)vm->domid, &info))
        return;
    if (info.flags & XEN_DOMINF_paused)
        hv_domain_unpause(xend.hv, (uint32_t)vm->domid);
}

void life_recover(struct vm *vm, struct guest_config **successor)
{
    *successor = NULL;
    log_info("domain '%s' (id %lld) found in state %d", vm->config.name, (long long)vm->domid, vm->state);
    if (vm->state == VM_CREATING) {
        if (vm->then == THEN_RESTART)
            vm->generation--;              /* finish() counts it again */
        set_saved(vm, VM_DYING, vm->then); /* with its number, which the file may not have */
    } else if (vm->state == VM_RUNNING && vm->then == THEN_RESTART && vm->domid < 0) {
        vm_set_state(vm, VM_DYING, THEN_RESTART); /* make_way() was done: its successor */
    }
    if (vm->state == VM_DYING) {
        finish(vm);
    } else if (vm->domid < 0) { /* its number is another domain's by now */
        reap(vm);
        forget(vm);
    } else {
        keep_running(vm);
        life_look(vm, successor);
    }
}

/* ---- What is asked of a running one ---------------------------------------------------------------------------------- */

static int must_run(const struct vm *vm, struct report *r)
{
    if (vm->state == VM_GONE)
        return report_set(r, REPORT_NOT_FOUND, "there is no domain '%s' any more", vm->config.name);
    if (vm->state != VM_RUNNING)
        return report_set(r, REPORT_STATE, "the domain '%s' has gone down", vm->config.name);
    return 0;
}

int life_pause(struct vm *vm, bool pause, struct report *r)
{
    struct xen_domctl_getdomaininfo info;
    int rc;

    if (must_run(vm, r))
        return -1;
    vm_lock();
    vm->paused = pause;
    vm_unlock();
    if (state_save(vm, r))
        return -1;
    rc = hv_domain_info(xend.hv, (uint32_t)vm->domid, &info);
    if (!rc && pause != !!(info.flags & XEN_DOMINF_paused)) /* the hypervisor counts */
        rc = pause ? hv_domain_pause(xend.hv, (uint32_t)vm->domid) : hv_domain_unpause(xend.hv, (uint32_t)vm->domid);
    return rc ? report_set(r, REPORT_FAILED, "the domain '%s' cannot be %s: %s", vm->config.name,
                           pause ? "paused" : "unpaused", strerror(-rc))
              : 0;
}

int life_rename(struct vm *vm, const char *name, struct report *r)
{
    char *copy = strdup(name);
    struct store *s;
    bool taken;
    int rc;

    vm_lock();
    taken = !copy || vm_name_taken(name, vm) || vm->state == VM_GONE;
    if (!taken) {
        free(vm->config.name);
        vm->config.name = copy;
    }
    vm_unlock();
    if (taken) {
        free(copy);
        return report_set(r, REPORT_EXISTS, "a domain named '%s' is there already", name);
    }
    s = store_get();
    rc = state_save(vm, r) || !s || (vm->domid >= 0 && nodes_rename(s, vm, r)) ? -1 : 0;
    store_put(s);
    return rc;
}

int life_ask(struct vm *vm, const char *what, struct report *r)
{
    struct store *s;
    int rc;

    if (must_run(vm, r))
        return -1;
    s = store_get();
    rc = s ? nodes_ask_shutdown(s, vm, what, r) : report_set(r, REPORT_FAILED, "xend has no memory left");
    store_put(s);
    return rc;
}
