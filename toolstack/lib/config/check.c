/* SPDX-License-Identifier: MIT */
/* The rules: see check.h. */
#include "lib/config/check.h"
#include "lib/config/device.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTERFACE_MAX 15 /* Linux's names of interfaces */
#define CPU_MAX       4095

struct checker {
    check_fault_fn *fault;
    void *arg;
    bool good;
};

static void bad(struct checker *k, const char *key, int index, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void bad(struct checker *k, const char *key, int index, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    k->good = false;
    k->fault(k->arg, key, index, text);
}

static bool made_of(const char *s, const char *signs)
{
    for (; *s; s++)
        if (!((unsigned char)*s < 0x80 && isalnum((unsigned char)*s)) && !strchr(signs, *s))
            return false;
    return true;
}

static void check_name(struct checker *k, const char *name)
{
    if (!name || !*name)
        bad(k, "name", -1, "the guest needs a name: name = \"...\"");
    else if (strlen(name) > GUEST_NAME_MAX)
        bad(k, "name", -1, "the name is longer than %d characters", GUEST_NAME_MAX);
    else if (!made_of(name, "._+-:"))
        bad(k, "name", -1, "the name '%s' may only consist of letters, digits and . _ + - :", name);
    else if (*name == '-' || !strcmp(name, ".") || !strcmp(name, ".."))
        bad(k, "name", -1, "'%s' cannot be a name", name);
    else if (strspn(name, "0123456789") == strlen(name))
        bad(k, "name", -1, "the name '%s' would be taken for a domain id: add a letter", name);
    else if (!strcmp(name, "Domain-0"))
        bad(k, "name", -1, "the name Domain-0 is taken");
}

static void check_uuid(struct checker *k, const char *uuid)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    bool good = strlen(uuid) == sizeof(form) - 1;

    if (!*uuid)
        return;
    for (size_t i = 0; good && form[i]; i++)
        good = form[i] == 'x' ? isxdigit((unsigned char)uuid[i]) && !isupper((unsigned char)uuid[i]) : uuid[i] == '-';
    if (!good)
        bad(k, "uuid", -1, "the uuid must have the form %s of hexadecimal digits", form);
    else if (strspn(uuid, "0-") == strlen(uuid))
        bad(k, "uuid", -1, "the uuid of zeros is Domain-0's");
}

static void check_text(struct checker *k, const char *key, int index, const char *text)
{
    if (!text)
        return;
    if (strlen(text) > GUEST_STRING_MAX)
        bad(k, key, index, "%s is longer than %d bytes", key, GUEST_STRING_MAX);
    else if (!text_printable(text))
        bad(k, key, index, "%s contains a control character", key);
}

static void check_texts(struct checker *k, const struct guest_config *c)
{
    check_text(k, "source", -1, c->source);
    check_text(k, "kernel", -1, c->kernel);
    check_text(k, "ramdisk", -1, c->ramdisk);
    check_text(k, "root", -1, c->root);
    check_text(k, "extra", -1, c->extra);
    check_text(k, "ip", -1, c->network);
    check_text(k, "bootloader", -1, c->bootloader);
    check_text(k, "bootargs", -1, c->bootargs);
    if (c->builder == BUILDER_LINUX && !c->kernel && !c->bootloader)
        bad(k, "kernel", -1, "the guest needs a kernel: kernel = \"/path/to/vmlinuz\"");
    if (c->builder == BUILDER_LINUX && c->kernel && *c->kernel != '/')
        bad(k, "kernel", -1, "the path of the kernel '%s' must begin with /", c->kernel);
    if (c->ramdisk && *c->ramdisk != '/')
        bad(k, "ramdisk", -1, "the path of the ramdisk '%s' must begin with /", c->ramdisk);
}

static void check_memory(struct checker *k, const struct guest_config *c)
{
    if (c->memory_mib < GUEST_MEMORY_MIN_MIB || c->memory_mib > GUEST_MEMORY_MAX_MIB)
        bad(k, "memory", -1, "memory is %llu MiB; it must be %d to %d MiB", (unsigned long long)c->memory_mib,
            GUEST_MEMORY_MIN_MIB, GUEST_MEMORY_MAX_MIB);
    else if (c->maxmem_mib && c->maxmem_mib < c->memory_mib)
        bad(k, "maxmem", -1, "maxmem (%llu MiB) is less than memory (%llu MiB)", (unsigned long long)c->maxmem_mib,
            (unsigned long long)c->memory_mib);
    else if (c->maxmem_mib > GUEST_MEMORY_MAX_MIB)
        bad(k, "maxmem", -1, "maxmem is more than %d MiB", GUEST_MEMORY_MAX_MIB);
}

/* "0-3,^2": false when it is not of that form */
static bool cpus_good(const char *s)
{
    do {
        char *end;
        unsigned long first, last;

        s += strspn(s, " ");
        s += *s == '^';
        if (!isdigit((unsigned char)*s))
            return false;
        first = last = strtoul(s, &end, 10);
        if (*end == '-') {
            s = end + 1;
            if (!isdigit((unsigned char)*s))
                return false;
            last = strtoul(s, &end, 10);
        }
        if (last < first || last > CPU_MAX)
            return false;
        s = end + strspn(end, " ");
    } while (*s++ == ',');
    return !s[-1];
}

static void check_cpus(struct checker *k, const struct guest_config *c)
{
    if (c->vcpus < 1 || c->vcpus > GUEST_VCPUS_MAX)
        bad(k, "vcpus", -1, "vcpus is %u; it must be 1 to %d", c->vcpus, GUEST_VCPUS_MAX);
    else if (c->maxvcpus < c->vcpus)
        bad(k, "maxvcpus", -1, "maxvcpus (%u) is less than vcpus (%u)", c->maxvcpus, c->vcpus);
    else if (c->maxvcpus > GUEST_VCPUS_MAX)
        bad(k, "maxvcpus", -1, "maxvcpus is %u; it must be at most %d", c->maxvcpus, GUEST_VCPUS_MAX);
    if (c->cpus && !cpus_good(c->cpus))
        bad(k, "cpus", -1, "cpus must list processors such as \"0-3,^2\", not '%.60s'", c->cpus);
    if (c->cpu_weight < 1 || c->cpu_weight > 65535)
        bad(k, "cpu_weight", -1, "cpu_weight is %u; it must be 1 to 65535", c->cpu_weight);
    if (c->cpu_cap > 100 * GUEST_VCPUS_MAX)
        bad(k, "cpu_cap", -1, "cpu_cap is %u; it must be at most %d (percent of one processor)", c->cpu_cap,
            100 * GUEST_VCPUS_MAX);
}

static void check_disk(struct checker *k, const struct guest_config *c, int i)
{
    const struct guest_disk *d = &c->disks[i];
    uint32_t number;

    check_text(k, "disk", i, d->target);
    if (disk_device_number(d->device, &number) || number != d->device_number)
        bad(k, "disk", i, "'%s' is not a device of a guest", d->device);
    if (d->type == DISK_FILE && *d->target && *d->target != '/')
        bad(k, "disk", i, "the path of the image '%s' must begin with /", d->target);
    if (!*d->target && !d->cdrom)
        bad(k, "disk", i, "only a cdrom drive may be empty");
    if (d->backend && !made_of(d->backend, "._+-:"))
        bad(k, "disk", i, "'%s' cannot be a domain's name", d->backend);
    for (int other = 0; other < i; other++) {
        if (c->disks[other].device_number == d->device_number) {
            bad(k, "disk", i, "the device %s is given twice", d->device);
            break;
        }
    }
}

static void check_vif_words(struct checker *k, const struct guest_vif *v, int i)
{
    if (v->bridge && (!made_of(v->bridge, "._-") || strlen(v->bridge) > INTERFACE_MAX))
        bad(k, "vif", i, "'%s' cannot be the name of a bridge", v->bridge);
    if (v->vifname && (!made_of(v->vifname, "._-") || strlen(v->vifname) > INTERFACE_MAX))
        bad(k, "vif", i, "'%s' cannot be the name of an interface (at most %d letters, digits and . _ -)", v->vifname,
            INTERFACE_MAX);
    if (v->ip && !made_of(v->ip, ".:/ "))
        bad(k, "vif", i, "'%s' is not an address", v->ip);
    if (v->type && strcmp(v->type, "ioemu") && strcmp(v->type, "vif") && strcmp(v->type, "netfront"))
        bad(k, "vif", i, "the type '%s' must be vif, netfront or ioemu", v->type);
    if (v->model && !made_of(v->model, "-_"))
        bad(k, "vif", i, "'%s' cannot be a model", v->model);
    if (v->backend && !made_of(v->backend, "._+-:"))
        bad(k, "vif", i, "'%s' cannot be a domain's name", v->backend);
}

static void check_vif(struct checker *k, const struct guest_config *c, int i)
{
    static const uint8_t zero[6];
    const struct guest_vif *v = &c->vifs[i];

    check_text(k, "vif", i, v->script);
    check_vif_words(k, v, i);
    if (!v->has_mac)
        return;
    if (v->mac[0] & 1)
        bad(k, "vif", i, "the mac is a group's address: its first byte must be even");
    else if (!memcmp(v->mac, zero, sizeof(zero)))
        bad(k, "vif", i, "the mac of zeros is nobody's address");
    for (int other = 0; other < i; other++) {
        if (c->vifs[other].has_mac && !memcmp(c->vifs[other].mac, v->mac, sizeof(v->mac))) {
            bad(k, "vif", i, "the mac %02x:%02x:%02x:%02x:%02x:%02x is given twice", v->mac[0], v->mac[1], v->mac[2],
                v->mac[3], v->mac[4], v->mac[5]);
            break;
        }
    }
}

bool guest_config_check(const struct guest_config *c, check_fault_fn *fault, void *arg)
{
    struct checker k = {.fault = fault, .arg = arg, .good = true};

    check_name(&k, c->name);
    check_uuid(&k, c->uuid);
    check_texts(&k, c);
    check_memory(&k, c);
    check_cpus(&k, c);
    for (unsigned i = 0; i < c->disks_count; i++)
        check_disk(&k, c, (int)i);
    for (unsigned i = 0; i < c->vifs_count; i++)
        check_vif(&k, c, (int)i);
    return k.good;
}
