/* SPDX-License-Identifier: MIT */
/*
 * A guest's configuration: what a file of xm says, checked and typed. The same structure goes to xend as JSON.
 *
 *   text --lang_parse--> assignments (file, line, column of each) --key_read--> struct guest_config --guest_config_check--> good
 *   struct guest_config --guest_config_to_json--> JSON --guest_config_from_json--> struct guest_config (in xend: not trusted)
 *
 * Whether files, disks and bridges exist is not asked here but when the guest is started (xend) or looked over (xm create -n).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>
#include "lib/report.h"

#define GUEST_NAME_MAX       64
#define GUEST_DISKS_MAX      32
#define GUEST_VIFS_MAX       16
#define GUEST_VCPUS_MAX      128
#define GUEST_MEMORY_MIN_MIB 4
#define GUEST_MEMORY_MAX_MIB (16u << 20)
#define GUEST_CPU_WEIGHT     256  /* when it is not given */
#define GUEST_STRING_MAX     4096 /* kernel, ramdisk, root, extra: each at most */

enum guest_event_action { ACTION_DESTROY, ACTION_RESTART, ACTION_PRESERVE, ACTION_RENAME_RESTART };
enum guest_builder { BUILDER_LINUX, BUILDER_HVM };
enum guest_disk_type { DISK_PHY, DISK_FILE }; /* tap:aio: is read as a file, or as a device when it names one */

struct guest_disk {
    enum guest_disk_type type;
    char *target; /* path as given; phy: without a leading / means below /dev; "" an empty drive */
    char *device; /* as given, e.g. "xvda1", "hda", "0x3", "wd0d" */
    uint32_t
        device_number; /* of the guest's xenstore node: the published numbering for hd, sd, xvd; a plain number as it is;
                               names that other systems use (wd0d, cd0a) are numbered as NetBSD does */
    bool writable, force; /* 'w'; 'w!': though another guest has it */
    bool cdrom;
    char *backend; /* domain name, NULL: Domain 0 */
};
struct guest_vif {
    uint8_t mac[6];
    bool has_mac;
    char *bridge, *script, *ip, *vifname, *model, *type, *backend; /* NULL: not given */
};
struct guest_config {
    char *source; /* path of the file, for messages; NULL */
    char *name;
    char uuid[37]; /* "" : to be chosen */
    enum guest_builder builder;
    char *kernel, *ramdisk, *root, *extra; /* NULL: not given */
    char *network;                   /* Linux's ip= and nfsroot=, made of ip, netmask, dhcp, nfs_server...; NULL */
    char *bootloader, *bootargs;     /* pygrub and the like: refused with a hint when the guest is started */
    uint64_t memory_mib, maxmem_mib; /* maxmem 0: as memory */
    unsigned vcpus;                  /* at start; maxvcpus >= vcpus */
    unsigned maxvcpus;
    char *cpus; /* physical CPUs it may use: "0-3,^2", NULL: all */
    unsigned cpu_weight, cpu_cap;
    enum guest_event_action on_poweroff, on_reboot, on_crash;
    struct guest_disk disks[GUEST_DISKS_MAX];
    unsigned disks_count;
    struct guest_vif vifs[GUEST_VIFS_MAX];
    unsigned vifs_count;
    json_t *ignored; /* names that are understood but mean nothing for this guest (device_model, sdl, ...): array of
                        {"name":, "line":, "why":}; for xm create -n and the log */
};

/* Reads a file. `overrides` are xm's key=value arguments, applied after the file (a value may lack its quotes). All faults of
 * the file are found: each is reported to `fault` as "FILE:LINE:COLUMN: sentence"; the first is also in the report.
 * 0, or -1 (then *out is empty). */
typedef void config_fault_fn(const char *text, void *arg);
int guest_config_load(const char *path, const char *const *overrides, size_t overrides_count, struct guest_config *out,
                      config_fault_fn *fault, void *arg, struct report *r);
/* The same of a text in memory; `name` stands for the file in messages. */
int guest_config_parse(const char *name, const char *text, size_t size, const char *const *overrides,
                       size_t overrides_count, struct guest_config *out, config_fault_fn *fault, void *arg,
                       struct report *r);
/* A new reference; NULL only without memory. The order of keys is fixed, what is not given is left out. */
json_t *guest_config_to_json(const struct guest_config *c);
/* Checks everything again: types, ranges, lengths, duplicates. 0; -1. */
int guest_config_from_json(const json_t *json, struct guest_config *out, struct report *r);
void guest_config_free(struct guest_config *c);
/* The guest's kernel command line, as the classic tools made it: root=..., network, extra. Caller frees. NULL: no memory. */
char *guest_config_cmdline(const struct guest_config *c);
