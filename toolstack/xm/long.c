/* SPDX-License-Identifier: MIT */
/* Records as S-expressions, with the names that xm's users know. */
#include "xm/long.h"
#include "lib/config/sxp.h"
#include "xm/client.h"
#include <stdio.h>

static void print_text(int indent, const char *name, const char *value)
{
    if (!*value)
        return;
    printf("%*s(%s ", indent, "", name);
    sxp_print_atom(stdout, value);
    printf(")\n");
}

static void print_integer(int indent, const char *name, json_int_t value)
{
    printf("%*s(%s %" JSON_INTEGER_FORMAT ")\n", indent, "", name, value);
}

static void print_image(const json_t *config)
{
    printf("    (image\n        (%s\n", *xm_text(config, "builder") ? xm_text(config, "builder") : "linux");
    print_text(12, "kernel", xm_text(config, "kernel"));
    print_text(12, "ramdisk", xm_text(config, "ramdisk"));
    print_text(12, "root", xm_text(config, "root"));
    print_text(12, "args", xm_text(config, "extra"));
    printf("        )\n    )\n");
}

static void print_disk(const json_t *disk)
{
    char uname[4200];
    const char *type = xm_text(disk, "type"), *target = xm_text(disk, "target");

    snprintf(uname, sizeof(uname), "%s%s%s", *target ? type : "", *target ? ":" : "", target);
    printf("    (device\n        (vbd\n");
    print_text(12, "uname", uname);
    print_text(12, "dev", xm_text(disk, "device"));
    print_text(12, "mode", json_is_true(json_object_get(disk, "writable")) ? "w" : "r");
    print_text(12, "backend", xm_text(disk, "backend"));
    printf("        )\n    )\n");
}

static void print_vif(const json_t *vif)
{
    const char *key;
    json_t *value;

    printf("    (device\n        (vif\n");
    json_object_foreach((json_t *)vif, key, value)
    {
        print_text(12, key, json_is_string(value) ? json_string_value(value) : "");
    }
    printf("        )\n    )\n");
}

static void print_config(const json_t *config)
{
    json_t *item;
    size_t i;

    print_text(4, "on_poweroff", xm_text(config, "on_poweroff"));
    print_text(4, "on_reboot", xm_text(config, "on_reboot"));
    print_text(4, "on_crash", xm_text(config, "on_crash"));
    print_image(config);
    json_array_foreach(json_object_get(config, "disks"), i, item)
    {
        print_disk(item);
    }
    json_array_foreach(json_object_get(config, "vifs"), i, item)
    {
        print_vif(item);
    }
}

void xm_print_long(const json_t *record)
{
    const json_t *config = json_object_get(record, "config");

    printf("(domain\n");
    print_integer(4, "domid", xm_integer(record, "domid", -1));
    print_text(4, "name", xm_text(record, "name"));
    print_text(4, "uuid", xm_text(record, "uuid"));
    print_integer(4, "memory", (xm_integer(record, "memory_kib", 0) + 512) / 1024);
    print_integer(4, "maxmem", (xm_integer(record, "memory_max_kib", 0) + 512) / 1024);
    print_integer(4, "vcpus", xm_integer(record, "vcpus_max", 0));
    print_integer(4, "online_vcpus", xm_integer(record, "vcpus", 0));
    print_text(4, "state", xm_text(record, "state"));
    printf("    (cpu_time %.9f)\n", xm_real(record, "cpu_time_s"));
    print_integer(4, "start_time", xm_integer(record, "start_time", 0));
    print_text(4, "console", xm_text(record, "console"));
    print_text(4, "shutdown_reason", xm_text(record, "shutdown_reason"));
    if (config)
        print_config(config);
    printf(")\n");
}
