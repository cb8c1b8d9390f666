/* SPDX-License-Identifier: MIT */
/* Saved state: see state.h. The directory is written once, before threads start. A vm's file is written by its job alone. */
#include "xend/state.h"
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "xend/files.h"
#include "xend/log.h"

#define STATE_BYTES_MAX (4u << 20)
#define STATE_SUFFIX    ".json"

static char directory[PATH_MAX - 64];
static char boot_id[40];

int state_open(const char *path, struct report *r)
{
    if (snprintf(directory, sizeof(directory), "%s", path) >= (int)sizeof(directory))
        return report_set(r, REPORT_USAGE, "the state directory's name is too long");
    files_make_parent(path);
    if (mkdir(path, 0700) && errno != EEXIST)
        return report_set(r, REPORT_FAILED, "the state directory %s cannot be made: %s", path, strerror(errno));
    if (!files_read_line("/proc/sys/kernel/random/boot_id", boot_id, sizeof(boot_id)))
        return report_set(r, REPORT_FAILED, "/proc/sys/kernel/random/boot_id cannot be read: is /proc mounted?");
    return 0;
}

/* ---- Writing ----------------------------------------------------------------------------------------------- */

static json_t *disks_to_json(const struct vm *vm)
{
    json_t *all = json_array();

    for (unsigned i = 0; i < vm->config.disks_count; i++) {
        const struct vm_disk *d = &vm->disks[i];

        json_array_append_new(all, json_pack("{sb sb sI sI si si si}", "known", d->known, "file", d->is_file, "device",
                                             (json_int_t)d->device, "inode", (json_int_t)d->inode, "loop", d->loop,
                                             "major", (int)d->major, "minor", (int)d->minor));
    }
    return all;
}

static char *to_text(const struct vm *vm)
{
    json_t *json = json_pack("{ss ss si si sI si sI si sb ss so so}", "boot", boot_id, "uuid", vm->uuid, "state",
                             (int)vm->state, "then", (int)vm->then, "domid", (json_int_t)vm->domid, "generation",
                             (int)vm->generation, "start_time", (json_int_t)vm->start_time, "quick_reboots",
                             (int)vm->quick_reboots, "paused", vm->paused, "reason", vm->shutdown_reason, "disks",
                             disks_to_json(vm), "config", guest_config_to_json(&vm->config));
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    return text;
}

static void path_of(const char *uuid, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s" STATE_SUFFIX, directory, uuid);
}

int state_save(const struct vm *vm, struct report *r)
{
    char path[PATH_MAX], *text;
    int rc;

    if (vm->foreign)
        return 0;
    text = to_text(vm);
    if (!text)
        return report_set(r, REPORT_FAILED, "xend has no memory left");
    path_of(vm->uuid, path);
    rc = files_replace(path, text, strlen(text));
    if (rc)
        report_set(r, REPORT_FAILED, "the state of '%s' cannot be saved in %s: %s", vm->config.name, path,
                   strerror(errno));
    free(text);
    return rc;
}

void state_remove(const char *uuid)
{
    char path[PATH_MAX];

    path_of(uuid, path);
    unlink(path);
}

/* ---- Reading ----------------------------------------------------------------------------------------------- */

static void disks_from_json(const json_t *all, struct vm *vm)
{
    for (unsigned i = 0; i < vm->config.disks_count; i++) {
        struct vm_disk *d = &vm->disks[i];
        json_int_t device = 0, inode = 0;
        int known = 0, file = 0, major = 0, minor = 0;

        if (json_unpack(json_array_get(all, i), "{sb sb sI sI si si si}", "known", &known, "file", &file, "device",
                        &device, "inode", &inode, "loop", &d->loop, "major", &major, "minor", &minor))
            continue;
        d->known = known;
        d->is_file = file;
        d->device = (uint64_t)device;
        d->inode = (uint64_t)inode;
        d->major = (unsigned)major;
        d->minor = (unsigned)minor;
    }
}

static int from_json(json_t *json, struct report *r)
{
    struct guest_config config = {0};
    int state, then, generation, quick, paused;
    json_int_t domid, start;
    const char *boot, *uuid, *reason;
    json_t *disks, *config_json;
    struct vm *vm;

    if (json_unpack(json, "{ss ss si si sI si sI si sb ss so so}", "boot", &boot, "uuid", &uuid, "state", &state,
                    "then", &then, "domid", &domid, "generation", &generation, "start_time", &start, "quick_reboots",
                    &quick, "paused", &paused, "reason", &reason, "disks", &disks, "config", &config_json) ||
        state < VM_CREATING || state > VM_PRESERVED || then < THEN_FORGET || then > THEN_RESTART ||
        !uuid_parse(uuid, (uint8_t[16]){0}))
        return report_set(r, REPORT_FAILED, "a part is missing or wrong");
    if (strcmp(boot, boot_id))
        return 1;
    if (guest_config_from_json(config_json, &config, r))
        return -1;
    memcpy(config.uuid, uuid, sizeof(config.uuid));
    vm = vm_new(&config, r);
    guest_config_free(&config);
    if (!vm)
        return -1;
    vm->state = (enum vm_state)state;
    vm->then = (enum vm_then)then;
    vm->domid = domid;
    vm->generation = (unsigned)generation;
    vm->quick_reboots = (unsigned)quick;
    vm->paused = paused;
    vm->start_time = (time_t)start;
    snprintf(vm->shutdown_reason, sizeof(vm->shutdown_reason), "%s", reason);
    disks_from_json(disks, vm);
    return 0;
}

static void load(const char *path)
{
    struct report r = {0};
    char aside[PATH_MAX + 8];
    size_t size = 0;
    char *text = files_read(path, STATE_BYTES_MAX, &size);
    json_t *json = text ? json_loadb(text, size, 0, NULL) : NULL;
    int rc;

    free(text);
    if (!json)
        rc = report_set(&r, REPORT_FAILED, "it is not a whole file");
    else
        rc = from_json(json, &r);
    json_decref(json);
    if (rc > 0) {
        log_info("%s is of an earlier boot: thrown away", path);
        unlink(path);
    } else if (rc < 0) {
        log_error("%s cannot be used: %s; it is kept as %s.bad", path, r.text, path);
        snprintf(aside, sizeof(aside), "%s.bad", path);
        rename(path, aside);
    }
}

void state_load_all(void)
{
    DIR *dir = opendir(directory);
    struct dirent *e;
    char path[PATH_MAX];

    while (dir && (e = readdir(dir))) {
        size_t length = strlen(e->d_name);

        if (length <= strlen(STATE_SUFFIX) || strcmp(e->d_name + length - strlen(STATE_SUFFIX), STATE_SUFFIX))
            continue;
        if (snprintf(path, sizeof(path), "%s/%s", directory, e->d_name) < (int)sizeof(path))
            load(path);
    }
    if (dir)
        closedir(dir);
}
