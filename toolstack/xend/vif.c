/* SPDX-License-Identifier: MIT */
/*
 * Network interfaces. The backend makes the interface vifDOMID.N in Domain 0; the script (vif-bridge, ...) joins it to a network
 * and says in the store whether that went well: hotplug-status "connected", or "error" with hotplug-error.
 */
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "lib/fault.h"
#include "xend/clock.h"
#include "xend/device.h"
#include "xend/log.h"
#include "xend/script.h"
#include "xend/xend.h"

#define BRIDGE_USUAL "xenbr0"

/* ---- Bridges --------------------------------------------------------------------------------------------------- */

static bool is_bridge(const char *name)
{
    char path[64 + IFNAMSIZ];

    if (strlen(name) >= IFNAMSIZ || strchr(name, '/') || name[0] == '.')
        return false;
    snprintf(path, sizeof(path), "/sys/class/net/%s/bridge", name);
    return !access(path, F_OK);
}

/* The usual one, else the first by name. */
static char *default_bridge(void)
{
    struct dirent **names;
    char *bridge = is_bridge(BRIDGE_USUAL) ? strdup(BRIDGE_USUAL) : NULL;
    int count;

    if (bridge)
        return bridge;
    count = scandir("/sys/class/net", &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (!bridge && is_bridge(names[i]->d_name))
            bridge = strdup(names[i]->d_name);
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    return bridge;
}

const char *vif_script(const struct guest_vif *vif)
{
    return vif->script ? vif->script : xend.config.vif_script;
}

static bool is_bridged(const struct guest_vif *vif)
{
    return strstr(vif_script(vif), "vif-bridge") != NULL;
}

char *vif_bridge(const struct guest_vif *vif)
{
    if (vif->bridge)
        return strdup(vif->bridge);
    return is_bridged(vif) ? default_bridge() : NULL;
}

int vif_look(const struct guest_vif *vif, struct report *r)
{
    char *bridge;
    int rc = 0;

    if (vif->backend && strcmp(vif->backend, "0") && strcmp(vif->backend, "Domain-0"))
        return report_set(r, REPORT_CONFIG, "vif: backends in other domains than Domain 0 are not offered");
    if (script_check(vif_script(vif), r))
        return report_prefix(r, "vif");
    if (!is_bridged(vif))
        return 0;
    bridge = vif_bridge(vif);
    if (!bridge)
        rc = report_set(r, REPORT_NOT_FOUND,
                        "vif: there is no network bridge in Domain 0; make one (network-script in %s does)",
                        XEND_CONFIG_PATH);
    else if (!is_bridge(bridge))
        rc = report_set(r, REPORT_NOT_FOUND, "vif: there is no network bridge '%.40s' in Domain 0", bridge);
    free(bridge);
    return rc;
}

void vif_make_mac(uint8_t mac[6])
{
    static const uint8_t vendor[3] = {0x00, 0x16, 0x3e}; /* assigned to guests of this kind */

    memcpy(mac, vendor, sizeof(vendor));
    if (getrandom(mac + 3, 3, 0) != 3)
        abort(); /* cannot fail for so few bytes */
    mac[3] &= 0x7f;
}

/* ---- Its life ---------------------------------------------------------------------------------------------------- */

static int write_optional(struct store *s, xs_transaction_t t, const char *dir, const char *name, const char *value)
{
    return value ? store_print(s, t, dir, name, "%s", value) : 0;
}

int vif_write(struct store *s, xs_transaction_t t, const struct vm *vm, unsigned i)
{
    const struct guest_vif *vif = &vm->config.vifs[i];
    struct device d = {.type = "vif", .id = i, .domid = (uint32_t)vm->domid};
    char backend[STORE_PATH_MAX], frontend[STORE_PATH_MAX], mac[18], *bridge = vif_bridge(vif);
    int rc;

    snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", vif->mac[0], vif->mac[1], vif->mac[2], vif->mac[3],
             vif->mac[4], vif->mac[5]);
    rc = device_write_ends(s, t, &d, backend, frontend) || store_print(s, t, backend, "mac", "%s", mac) ||
         store_print(s, t, backend, "handle", "%u", i) || write_optional(s, t, backend, "bridge", bridge) ||
         store_print(s, t, backend, "script", "%s", vif_script(vif)) || write_optional(s, t, backend, "ip", vif->ip) ||
         write_optional(s, t, backend, "vifname", vif->vifname) || store_print(s, t, backend, "type", "vif") ||
         store_print(s, t, frontend, "handle", "%u", i) || store_print(s, t, frontend, "mac", "%s", mac);
    free(bridge);
    return rc ? -1 : 0;
}

/* The environment that vif scripts have been given from of old. All of it comes from the backend's nodes, so that going down needs
 * no more than they say. */
static void add_env(struct script *script, unsigned *count, const char *name, const char *value)
{
    if (value && *count < SCRIPT_ENV_MAX && asprintf(&script->env[*count], "%s=%s", name, value) > 0)
        ++*count;
}

static void add_node(struct store *s, struct script *script, unsigned *count, const char *backend, const char *name)
{
    char path[STORE_PATH_MAX + 16], *value;

    snprintf(path, sizeof(path), "%s/%s", backend, name);
    value = store_read(s, STORE_OUTSIDE, path);
    add_env(script, count, name, value);
    free(value);
}

static int run_script(struct store *s, const struct device *d, const char *action, struct report *r)
{
    char backend[STORE_PATH_MAX], path[STORE_PATH_MAX + 8], vif[IFNAMSIZ * 2], *command;
    struct script script = {.action = action};
    unsigned count = 0;
    int rc;

    device_backend_path(d, backend);
    snprintf(path, sizeof(path), "%s/script", backend);
    snprintf(vif, sizeof(vif), "vif%u.%u", d->domid, d->id);
    command = store_read(s, STORE_OUTSIDE, path);
    if (!command)
        return report_set(r, REPORT_FAILED, "%s: its script is not in the store", vif);
    script.command = command;
    add_env(&script, &count, "XENBUS_PATH", backend);
    add_env(&script, &count, "XENBUS_TYPE", "vif");
    add_env(&script, &count, "XENBUS_BASE_PATH", "backend");
    add_env(&script, &count, "vif", vif);
    add_env(&script, &count, "script", command);
    add_node(s, &script, &count, backend, "bridge");
    add_node(s, &script, &count, backend, "mac");
    add_node(s, &script, &count, backend, "ip");
    add_node(s, &script, &count, backend, "vifname");
    rc = script_run(&script, r);
    for (unsigned i = 0; i < count; i++)
        free(script.env[i]);
    free(command);
    return rc;
}

static bool has_status(const char *value, void *arg)
{
    bool *is_connected = arg;

    *is_connected = value && !strcmp(value, "connected");
    return value && *value;
}

static int script_error(struct store *s, const char *backend, struct report *r)
{
    char path[STORE_PATH_MAX + 16], *text;

    snprintf(path, sizeof(path), "%s/hotplug-error", backend);
    text = store_read(s, STORE_OUTSIDE, path);
    if (text)
        report_set(r, REPORT_FAILED, "its script failed: %s", text);
    free(text);
    return -1;
}

static int go_online(struct store *s, const struct device *d, struct report *r)
{
    char backend[STORE_PATH_MAX], path[STORE_PATH_MAX + 16];
    bool is_connected = false;

    if (fault_at("vif_script", r))
        return -1;
    device_backend_path(d, backend);
    if (run_script(s, d, "online", r))
        return script_error(s, backend, r);
    snprintf(path, sizeof(path), "%s/hotplug-status", backend);
    if (store_wait(s, path, has_status, &is_connected, DEVICE_TIMEOUT_S))
        return report_set(r, REPORT_TIMEOUT, "its script ended without saying that it is connected");
    if (is_connected)
        return 0;
    report_set(r, REPORT_FAILED, "its script says that it could not be connected");
    return script_error(s, backend, r);
}

int vif_connect(struct store *s, const struct vm *vm, unsigned i, struct report *r)
{
    struct device d = {.type = "vif", .id = i, .domid = (uint32_t)vm->domid};
    char what[32];

    snprintf(what, sizeof(what), "vif %u", i);
    if (device_wait_backend(s, &d, what, r))
        return -1;
    return go_online(s, &d, r) ? report_prefix(r, "%s", what) : 0;
}

static void interface_path(const struct device *d, char path[64])
{
    snprintf(path, 64, "/sys/class/net/vif%u.%u", d->domid, d->id);
}

void vif_disconnect(struct store *s, const struct device *d)
{
    struct report r = {0};

    if (run_script(s, d, "offline", &r))
        log_warn("vif%u.%u: %s", d->domid, d->id, r.text);
}

void vif_wait_gone(const struct device *d, uint64_t until_ms)
{
    char path[64];

    interface_path(d, path);
    for (unsigned pause = 1; !access(path, F_OK) && clock_ms() < until_ms; pause = pause < 50 ? pause * 2 : 50)
        clock_sleep_ms(pause);
}
