/* SPDX-License-Identifier: MIT */
/*
 * A guest's configuration as JSON: what xm sends and xend keeps. Reading trusts nothing: types and lengths are looked at here,
 * the rest by the rules that hold for files too (check.h). Numbers of devices are made anew from their names.
 */
#include "lib/config/check.h"
#include "lib/config/device.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct field {
    const char *name;
    enum { TEXT, UUID, COUNT, MIB, TRUTH, MAC } kind;
    size_t offset;
};
#define CONFIG(f) offsetof(struct guest_config, f)
#define DISK(f)   offsetof(struct guest_disk, f)
#define VIF(f)    offsetof(struct guest_vif, f)
static const struct field config_fields[] = {
    {"source", TEXT, CONFIG(source)},
    {"name", TEXT, CONFIG(name)},
    {"uuid", UUID, CONFIG(uuid)},
    {"kernel", TEXT, CONFIG(kernel)},
    {"ramdisk", TEXT, CONFIG(ramdisk)},
    {"root", TEXT, CONFIG(root)},
    {"extra", TEXT, CONFIG(extra)},
    {"network", TEXT, CONFIG(network)},
    {"bootloader", TEXT, CONFIG(bootloader)},
    {"bootargs", TEXT, CONFIG(bootargs)},
    {"memory_mib", MIB, CONFIG(memory_mib)},
    {"maxmem_mib", MIB, CONFIG(maxmem_mib)},
    {"vcpus", COUNT, CONFIG(vcpus)},
    {"maxvcpus", COUNT, CONFIG(maxvcpus)},
    {"cpus", TEXT, CONFIG(cpus)},
    {"cpu_weight", COUNT, CONFIG(cpu_weight)},
    {"cpu_cap", COUNT, CONFIG(cpu_cap)},
    {NULL, TEXT, 0},
};
static const struct field disk_fields[] = {
    {"target", TEXT, DISK(target)},
    {"device", TEXT, DISK(device)},
    {"writable", TRUTH, DISK(writable)},
    {"force", TRUTH, DISK(force)},
    {"cdrom", TRUTH, DISK(cdrom)},
    {"backend", TEXT, DISK(backend)},
    {NULL, TEXT, 0},
};
static const struct field vif_fields[] = {
    {"mac", MAC, 0},           {"bridge", TEXT, VIF(bridge)},   {"script", TEXT, VIF(script)},
    {"ip", TEXT, VIF(ip)},     {"vifname", TEXT, VIF(vifname)}, {"model", TEXT, VIF(model)},
    {"type", TEXT, VIF(type)}, {"backend", TEXT, VIF(backend)}, {NULL, TEXT, 0},
};

static const char *const builders[] = {[BUILDER_LINUX] = "linux", [BUILDER_HVM] = "hvm"};
static const char *const disk_types[] = {[DISK_PHY] = "phy", [DISK_FILE] = "file"};
static const char *const action_names[] = {
    [ACTION_DESTROY] = "destroy",
    [ACTION_RESTART] = "restart",
    [ACTION_PRESERVE] = "preserve",
    [ACTION_RENAME_RESTART] = "rename-restart",
};

/* 0; -1: no memory. A NULL value: nothing to add */
static int put(json_t *o, const char *name, json_t *value)
{
    return json_object_set_new(o, name, value);
}

static json_t *mac_to_json(const struct guest_vif *v)
{
    const uint8_t *m = v->mac;

    return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

static int put_field(json_t *o, const struct field *f, const void *base)
{
    const char *at = (const char *)base + f->offset;

    switch (f->kind) {
    case TEXT:
        return *(char *const *)at ? put(o, f->name, json_string(*(char *const *)at)) : 0;
    case UUID:
        return *at ? put(o, f->name, json_string(at)) : 0;
    case COUNT:
        return put(o, f->name, json_integer(*(const unsigned *)at));
    case MIB:
        return *(const uint64_t *)at ? put(o, f->name, json_integer((json_int_t) * (const uint64_t *)at)) : 0;
    case TRUTH:
        return *(const bool *)at ? put(o, f->name, json_true()) : 0;
    case MAC:
        return ((const struct guest_vif *)base)->has_mac ? put(o, f->name, mac_to_json(base)) : 0;
    }
    return -1;
}

/* Adds the fields to o. 0; -1 */
static int put_fields(json_t *o, const struct field *fields, const void *base)
{
    for (const struct field *f = fields; f->name; f++)
        if (put_field(o, f, base))
            return -1;
    return 0;
}

static json_t *disks_to_json(const struct guest_config *c)
{
    json_t *list = json_array();

    for (unsigned i = 0; list && i < c->disks_count; i++) {
        json_t *o = json_object();

        if (put(o, "type", json_string(disk_types[c->disks[i].type])) || put_fields(o, disk_fields, &c->disks[i]) ||
            json_array_append(list, o)) {
            json_decref(list);
            list = NULL;
        }
        json_decref(o);
    }
    return list;
}

static json_t *vifs_to_json(const struct guest_config *c)
{
    json_t *list = json_array();

    for (unsigned i = 0; list && i < c->vifs_count; i++) {
        json_t *o = json_object();

        if (put_fields(o, vif_fields, &c->vifs[i]) || json_array_append(list, o)) {
            json_decref(list);
            list = NULL;
        }
        json_decref(o);
    }
    return list;
}

json_t *guest_config_to_json(const struct guest_config *c)
{
    json_t *o = json_object();

    if (put_fields(o, config_fields, c) || put(o, "builder", json_string(builders[c->builder])) ||
        put(o, "on_poweroff", json_string(action_names[c->on_poweroff])) ||
        put(o, "on_reboot", json_string(action_names[c->on_reboot])) ||
        put(o, "on_crash", json_string(action_names[c->on_crash])) || put(o, "disks", disks_to_json(c)) ||
        put(o, "vifs", vifs_to_json(c)) || (c->ignored && json_object_set(o, "ignored", c->ignored))) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static int wrong(struct report *r, const char *name, const char *wanted)
{
    return report_set(r, REPORT_CONFIG, "configuration: '%.60s' must be %s", name, wanted);
}

static int get_text(const json_t *j, const char *name, char **out, struct report *r)
{
    const char *text = json_string_value(j);

    if (!text || json_string_length(j) != strlen(text) || (!*text && strcmp(name, "target")))
        return wrong(r, name, "a string");
    *out = strdup(text);
    return *out ? 0 : report_set(r, REPORT_FAILED, "out of memory");
}

static int get_integer(const json_t *j, const char *name, json_int_t max, json_int_t *out, struct report *r)
{
    *out = json_integer_value(j);
    return json_is_integer(j) && *out >= 0 && *out <= max ? 0 : wrong(r, name, "a whole number in its range");
}

/* The place in a list of words. -1 */
static int get_word(const json_t *j, const char *name, const char *const *words, int count, int *out, struct report *r)
{
    for (*out = 0; *out < count; ++*out)
        if (json_is_string(j) && !strcmp(json_string_value(j), words[*out]))
            return 0;
    *out = 0;
    return wrong(r, name, "one of the words for it");
}

static int get_field(const json_t *j, const struct field *f, void *base, struct report *r)
{
    char *at = (char *)base + f->offset;
    struct guest_vif *v = base;
    json_int_t number;
    int rc = 0;

    switch (f->kind) {
    case TEXT:
        return get_text(j, f->name, (char **)at, r);
    case UUID:
        if (!json_is_string(j) || strlen(json_string_value(j)) > 36)
            return wrong(r, f->name, "a uuid");
        strcpy(at, json_string_value(j));
        return 0;
    case COUNT:
        rc = get_integer(j, f->name, 1000000, &number, r);
        *(unsigned *)at = (unsigned)number;
        return rc;
    case MIB:
        rc = get_integer(j, f->name, INT64_MAX, &number, r);
        *(uint64_t *)at = (uint64_t)number;
        return rc;
    case TRUTH:
        *(bool *)at = json_is_true(j);
        return json_is_boolean(j) ? 0 : wrong(r, f->name, "true or false");
    case MAC:
        v->has_mac = json_is_string(j) && !mac_parse(json_string_value(j), v->mac);
        return v->has_mac ? 0 : wrong(r, f->name, "six pairs of hexadecimal digits");
    }
    return -1;
}

/* One member of an object into its field; 1: there is no such field */
static int get_member(const json_t *value, const char *name, const struct field *fields, void *base, struct report *r)
{
    for (const struct field *f = fields; f->name; f++)
        if (!strcmp(f->name, name))
            return get_field(value, f, base, r);
    return 1;
}

static int get_disk(const json_t *j, struct guest_disk *d, struct report *r)
{
    const char *name;
    json_t *value;
    int rc, type = 0;

    json_object_foreach((json_t *)j, name, value)
    {
        rc = strcmp(name, "type") ? get_member(value, name, disk_fields, d, r)
                                  : get_word(value, name, disk_types, 2, &type, r);
        if (rc)
            return rc < 0 ? -1 : report_set(r, REPORT_CONFIG, "configuration: unknown field '%.60s' of a disk", name);
    }
    d->type = (enum guest_disk_type)type;
    if (!d->target || !d->device)
        return report_set(r, REPORT_CONFIG, "configuration: a disk needs a target and a device");
    if (disk_device_number(d->device, &d->device_number))
        return report_set(r, REPORT_CONFIG, "configuration: '%.60s' is not a device of a guest", d->device);
    return 0;
}

static int get_vif(const json_t *j, struct guest_vif *v, struct report *r)
{
    const char *name;
    json_t *value;
    int rc;

    json_object_foreach((json_t *)j, name, value)
    {
        rc = get_member(value, name, vif_fields, v, r);
        if (rc)
            return rc < 0 ? -1 : report_set(r, REPORT_CONFIG, "configuration: unknown field '%.60s' of a vif", name);
    }
    return 0;
}

static int get_devices(const json_t *list, const char *name, struct guest_config *c, struct report *r)
{
    bool disks = !strcmp(name, "disks");

    if (!json_is_array(list) || json_array_size(list) > (disks ? GUEST_DISKS_MAX : GUEST_VIFS_MAX))
        return wrong(r, name, "a list, and not too long");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);

        if (!json_is_object(entry))
            return wrong(r, name, "a list of objects");
        if (disks ? get_disk(entry, &c->disks[c->disks_count++], r) : get_vif(entry, &c->vifs[c->vifs_count++], r))
            return -1;
    }
    return 0;
}

static int get_action(const json_t *value, const char *name, enum guest_event_action *out, struct report *r)
{
    int word, rc = get_word(value, name, action_names, 4, &word, r);

    *out = (enum guest_event_action)word;
    return rc;
}

static int get_config_member(const json_t *value, const char *name, struct guest_config *c, struct report *r)
{
    int word, rc = get_member(value, name, config_fields, c, r);

    if (rc <= 0)
        return rc;
    if (!strcmp(name, "on_poweroff"))
        return get_action(value, name, &c->on_poweroff, r);
    if (!strcmp(name, "on_reboot"))
        return get_action(value, name, &c->on_reboot, r);
    if (!strcmp(name, "on_crash"))
        return get_action(value, name, &c->on_crash, r);
    if (!strcmp(name, "disks") || !strcmp(name, "vifs"))
        return get_devices(value, name, c, r);
    if (!strcmp(name, "builder")) {
        rc = get_word(value, name, builders, 2, &word, r);
        c->builder = (enum guest_builder)word;
        return rc;
    }
    if (strcmp(name, "ignored"))
        return report_set(r, REPORT_CONFIG, "configuration: unknown field '%.60s'", name);
    if (!json_is_array(value) || json_array_size(value) > 256)
        return wrong(r, name, "a list, and not too long");
    c->ignored = json_deep_copy(value);
    return c->ignored ? 0 : report_set(r, REPORT_FAILED, "out of memory");
}

static void first_fault(void *arg, const char *key, int index, const char *text)
{
    struct report *r = arg;

    if (r->kind == REPORT_NONE)
        report_set(r, REPORT_CONFIG, "configuration: %s", text);
}

int guest_config_from_json(const json_t *json, struct guest_config *out, struct report *r)
{
    const char *name;
    json_t *value;

    r->kind = REPORT_NONE;
    *out = (struct guest_config){
        .vcpus = 1, .cpu_weight = GUEST_CPU_WEIGHT, .on_reboot = ACTION_RESTART, .on_crash = ACTION_RESTART};
    if (!json_is_object(json))
        return report_set(r, REPORT_CONFIG, "configuration: not an object");
    json_object_foreach((json_t *)json, name, value)
    {
        if (get_config_member(value, name, out, r))
            goto bad;
    }
    if (!out->maxvcpus)
        out->maxvcpus = out->vcpus;
    if (guest_config_check(out, first_fault, r))
        return 0;
bad:
    guest_config_free(out);
    return -1;
}
