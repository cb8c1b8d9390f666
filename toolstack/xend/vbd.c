/* SPDX-License-Identifier: MIT */
/*
 * Disks. A phy: disk is a block device of Domain 0, a file: disk a loop device on a file; the backend is told major and minor.
 *
 * One disk, one writer: who writes may not share, not with guests (their records say what they have: vm->disks), not with Domain 0
 * (which shows by an exclusive opening that fails, or by a loop device that is not ours). 'w!' asks for it nevertheless.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "lib/fault.h"
#include "xend/device.h"
#include "xend/log.h"
#include "xend/loop.h"

#define SECTOR_BYTES 512

static void device_path(const struct guest_disk *disk, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, disk->target[0] == '/' ? "%.0s%s" : "%s%s", "/dev/", disk->target);
}

/* ---- Looking a disk over --------------------------------------------------------------------------------------- */

static int check_kind(const struct guest_disk *disk, const char *path, struct stat *st, struct report *r)
{
    if (disk->backend && strcmp(disk->backend, "0") && strcmp(disk->backend, "Domain-0"))
        return report_set(r, REPORT_CONFIG, "disk %s: backends in other domains than Domain 0 are not offered",
                          disk->device);
    if (!disk->target[0])
        return report_set(r, REPORT_CONFIG, "disk %s: an empty drive is not offered to guests of this kind",
                          disk->device);
    if (stat(path, st))
        return report_set(r, errno == ENOENT ? REPORT_NOT_FOUND : REPORT_FAILED, "disk %s: %s: %s", disk->device, path,
                          strerror(errno));
    if (disk->type == DISK_PHY && !S_ISBLK(st->st_mode))
        return report_set(r, REPORT_NOT_FOUND, "disk %s: %s is not a block device%s", disk->device, path,
                          S_ISREG(st->st_mode) ? "; for a disk in a file write file:" : "");
    if (!S_ISBLK(st->st_mode) && !S_ISREG(st->st_mode))
        return report_set(r, REPORT_NOT_FOUND, "disk %s: %s is neither a file nor a block device", disk->device, path);
    return 0;
}

static int check_content(const struct guest_disk *disk, const char *path, const struct stat *st, struct report *r)
{
    int fd = open(path, (disk->writable ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC), error = errno;
    uint64_t bytes = (uint64_t)st->st_size;

    if (fd < 0)
        return report_set(r, REPORT_DENIED, "disk %s: %s cannot be opened for %s: %s", disk->device, path,
                          disk->writable ? "writing" : "reading", strerror(error));
    if (S_ISBLK(st->st_mode) && ioctl(fd, BLKGETSIZE64, &bytes))
        bytes = 0;
    close(fd);
    if (!bytes && !disk->cdrom)
        return report_set(r, REPORT_FAILED, "disk %s: %s is empty", disk->device, path);
    if (bytes % SECTOR_BYTES)
        return report_set(r, REPORT_FAILED, "disk %s: %s has %llu bytes, which is not a multiple of %u", disk->device,
                          path, (unsigned long long)bytes, SECTOR_BYTES);
    return 0;
}

int vbd_look(const struct guest_disk *disk, struct vm_disk *found, struct report *r)
{
    char path[PATH_MAX];
    struct stat st;

    device_path(disk, path);
    if (check_kind(disk, path, &st, r) || check_content(disk, path, &st, r))
        return -1;
    found->is_file = S_ISREG(st.st_mode);
    found->device = found->is_file ? st.st_dev : st.st_rdev;
    found->inode = found->is_file ? st.st_ino : 0;
    found->major = found->is_file ? 0 : major(st.st_rdev);
    found->minor = found->is_file ? 0 : minor(st.st_rdev);
    return 0;
}

/* ---- Who else has it ------------------------------------------------------------------------------------------- */

static bool is_same(const struct vm_disk *a, const struct vm_disk *b)
{
    return a->is_file == b->is_file && a->device == b->device && a->inode == b->inode;
}

/* A disk of another guest that forbids this one; called with vm_lock held. */
static const struct vm *guest_with(const struct vm *vm, const struct guest_disk *disk, const struct vm_disk *found)
{
    for (const struct vm *other = vm_list; other; other = other->next)
        for (unsigned i = 0; other != vm && i < other->config.disks_count; i++)
            if (other->disks[i].known && is_same(&other->disks[i], found) &&
                (disk->writable || other->config.disks[i].writable))
                return other;
    return NULL;
}

/* Where Domain 0 has the device mounted: true, with its directory; *writable. */
static bool find_mount(const struct vm_disk *found, char *where, size_t size, bool *writable)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[4096], directory[1024], options[1024];
    unsigned maj, min;
    bool is_mounted = false;

    while (f && !is_mounted && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%*u %*u %u:%u %*s %1023s %1023s", &maj, &min, directory, options) != 4)
            continue;
        is_mounted = maj == found->major && min == found->minor;
    }
    if (f)
        fclose(f);
    if (!is_mounted)
        return false;
    snprintf(where, size, "%.200s", directory);
    *writable = !strncmp(options, "rw", 2);
    return true;
}

static int check_domain0_block(const struct guest_disk *disk, const struct vm_disk *found, struct report *r)
{
    char path[PATH_MAX], where[256];
    bool writable = true;
    int fd;

    device_path(disk, path);
    fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    if (fd >= 0 || errno != EBUSY)
        return 0;
    if (!find_mount(found, where, sizeof(where), &writable))
        return report_set(r, REPORT_EXISTS,
                          "disk %s: %s is in use by Domain 0 (mounted in part, swap, RAID or a volume group)",
                          disk->device, path);
    if (!writable && !disk->writable)
        return 0;
    return report_set(r, REPORT_EXISTS, "disk %s: %s is in use by Domain 0, mounted at %s", disk->device, path, where);
}

static int check_domain0_file(const struct guest_disk *disk, const struct vm_disk *found, struct report *r)
{
    bool read_only;
    int number = loop_other_user(found->device, found->inode, &read_only);

    if (number < 0 || (read_only && !disk->writable))
        return 0;
    return report_set(r, REPORT_EXISTS, "disk %s: %s is in use by Domain 0, as /dev/loop%d", disk->device, disk->target,
                      number);
}

int vbd_claim(struct vm *vm, const struct guest_disk *disk, struct vm_disk *found, struct report *r)
{
    struct vm_disk look = {.loop = -1};
    const struct vm *other;
    int rc = 0;

    if (vbd_look(disk, &look, r))
        return -1;
    if (!disk->force && (look.is_file ? check_domain0_file(disk, &look, r) : check_domain0_block(disk, &look, r)))
        return -1;
    vm_lock();
    other = disk->force ? NULL : guest_with(vm, disk, &look);
    if (other)
        rc = report_set(r, REPORT_EXISTS, "disk %s: %s is in use by the domain '%s'; 'w!' would share it nevertheless",
                        disk->device, disk->target, other->config.name);
    look.known = vm && !rc;
    *found = look;
    vm_unlock();
    return rc;
}

/* ---- Its life ---------------------------------------------------------------------------------------------------- */

int vbd_attach(struct vm *vm, unsigned i, struct report *r)
{
    const struct guest_disk *disk = &vm->config.disks[i];
    struct vm_disk *d = &vm->disks[i];
    char tag[LOOP_TAG_MAX];

    if (!d->is_file)
        return 0;
    loop_tag(tag, vm->uuid, disk->device_number);
    if (loop_attach(disk->target, !disk->writable, tag, &d->loop, r) || loop_number(d->loop, &d->major, &d->minor))
        return report_prefix(r, "disk %s", disk->device);
    return 0;
}

void vbd_release(struct vm *vm, unsigned i)
{
    struct vm_disk *d = &vm->disks[i];
    char tag[LOOP_TAG_MAX];

    loop_tag(tag, vm->uuid, vm->config.disks[i].device_number);
    if (d->is_file && d->loop >= 0)
        loop_detach(d->loop, tag);
    else if (d->is_file)
        loop_detach_tagged(tag);
    vm_lock();
    memset(d, 0, sizeof(*d));
    d->loop = -1;
    vm_unlock();
}

int vbd_write(struct store *s, xs_transaction_t t, const struct vm *vm, unsigned i)
{
    const struct guest_disk *disk = &vm->config.disks[i];
    const struct vm_disk *d = &vm->disks[i];
    struct device device = {.type = "vbd", .id = disk->device_number, .domid = (uint32_t)vm->domid};
    char backend[STORE_PATH_MAX], frontend[STORE_PATH_MAX], path[PATH_MAX];
    const char *type = disk->cdrom ? "cdrom" : "disk";

    device_path(disk, path);
    return device_write_ends(s, t, &device, backend, frontend) ||
                   store_print(s, t, backend, "type", d->is_file ? "file" : "phy") ||
                   store_print(s, t, backend, "params", "%s", path) ||
                   store_print(s, t, backend, "physical-device", "%x:%x", d->major, d->minor) ||
                   store_print(s, t, backend, "mode", disk->writable ? "w" : "r") ||
                   store_print(s, t, backend, "dev", "%s", disk->device) ||
                   store_print(s, t, backend, "device-type", "%s", type) ||
                   store_print(s, t, backend, "removable", "%d", disk->cdrom) ||
                   store_print(s, t, backend, "bootable", "%d", i == 0) ||
                   store_print(s, t, frontend, "virtual-device", "%u", disk->device_number) ||
                   store_print(s, t, frontend, "device-type", "%s", type) ||
                   store_print(s, t, frontend, "protocol", "x86_64-abi")
               ? -1
               : 0;
}

int vbd_connect(struct store *s, const struct vm *vm, unsigned i, struct report *r)
{
    const struct guest_disk *disk = &vm->config.disks[i];
    struct device device = {.type = "vbd", .id = disk->device_number, .domid = (uint32_t)vm->domid};
    char what[GUEST_NAME_MAX + 16];

    snprintf(what, sizeof(what), "disk %.60s", disk->device);
    return device_wait_backend(s, &device, what, r);
}
