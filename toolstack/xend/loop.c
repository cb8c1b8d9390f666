/* SPDX-License-Identifier: MIT */
/* Loop devices: see loop.h. Holds nothing open. */
#include "xend/loop.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "xend/log.h"

#define LOOP_TRIES 64 /* another may take the free device first */
#define TAG_PREFIX "xend "

_Static_assert(LOOP_TAG_MAX == LO_NAME_SIZE, "a tag fills the name field");

void loop_tag(char tag[LOOP_TAG_MAX], const char *uuid, unsigned device_number)
{
    snprintf(tag, LOOP_TAG_MAX, TAG_PREFIX "%s/%u", uuid, device_number);
}

static int open_loop(int number, int flags)
{
    char path[32];

    snprintf(path, sizeof(path), "/dev/loop%d", number);
    return open(path, flags | O_CLOEXEC);
}

static bool status_of(int fd, struct loop_info64 *info)
{
    memset(info, 0, sizeof(*info));
    return !ioctl(fd, LOOP_GET_STATUS64, info);
}

int loop_number(int number, unsigned *major, unsigned *minor)
{
    char path[32];
    struct stat st;

    snprintf(path, sizeof(path), "/dev/loop%d", number);
    if (stat(path, &st) || !S_ISBLK(st.st_mode))
        return -1;
    *major = major(st.st_rdev);
    *minor = minor(st.st_rdev);
    return 0;
}

/* ---- Attaching --------------------------------------------------------------------------------------------- */

static int configure(int control, int file, bool read_only, const char *tag)
{
    struct loop_config config = {.fd = (unsigned)file};
    int number = ioctl(control, LOOP_CTL_GET_FREE), fd, rc, error;

    if (number < 0)
        return -1;
    fd = open_loop(number, read_only ? O_RDONLY : O_RDWR);
    if (fd < 0)
        return -1;
    config.info.lo_flags = LO_FLAGS_DIRECT_IO | (read_only ? LO_FLAGS_READ_ONLY : 0);
    memcpy(config.info.lo_file_name, tag, strlen(tag) + 1);
    rc = ioctl(fd, LOOP_CONFIGURE, &config);
    if (rc && errno == EINVAL) { /* a kernel that does not ask first whether the file can do it */
        config.info.lo_flags &= ~(unsigned)LO_FLAGS_DIRECT_IO;
        rc = ioctl(fd, LOOP_CONFIGURE, &config);
    }
    error = errno;
    close(fd);
    errno = error;
    return rc ? -1 : number;
}

int loop_attach(const char *path, bool read_only, const char *tag, int *number, struct report *r)
{
    int file = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    int control;

    *number = -1;
    if (file < 0)
        return report_set(r, errno == ENOENT ? REPORT_NOT_FOUND : REPORT_FAILED, "the disk %s cannot be opened: %s",
                          path, strerror(errno));
    control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) {
        close(file);
        return report_set(r, REPORT_FAILED, "there are no loop devices in Domain 0 (%s): load the module 'loop'",
                          strerror(errno));
    }
    for (unsigned i = 0; i < LOOP_TRIES && *number < 0; i++) {
        *number = configure(control, file, read_only, tag);
        if (*number < 0 && errno != EBUSY)
            break;
    }
    if (*number < 0)
        report_set(r, REPORT_FAILED, "no loop device can be had for the disk %s: %s", path, strerror(errno));
    close(control);
    close(file);
    return *number < 0 ? -1 : 0;
}

void loop_detach(int number, const char *tag)
{
    int fd = open_loop(number, O_RDONLY);
    struct loop_info64 info;

    if (fd < 0)
        return;
    if (status_of(fd, &info) && !strncmp((char *)info.lo_file_name, tag, LO_NAME_SIZE) && ioctl(fd, LOOP_CLR_FD))
        log_warn("/dev/loop%d cannot be detached: %m", number);
    close(fd);
}

/* ---- Looking through all ------------------------------------------------------------------------------------- */

/* Calls `each` for every configured loop device until it says true; its number, -1. */
typedef bool each_fn(int number, const struct loop_info64 *info, void *arg);
static int each_loop(each_fn *each, void *arg)
{
    DIR *dir = opendir("/sys/block");
    struct dirent *e;
    int found = -1, number;
    char backing[64];

    while (dir && found < 0 && (e = readdir(dir))) {
        struct loop_info64 info;
        int fd;

        if (sscanf(e->d_name, "loop%d", &number) != 1)
            continue;
        snprintf(backing, sizeof(backing), "/sys/block/loop%d/loop/backing_file", number);
        if (access(backing, F_OK))
            continue;
        fd = open_loop(number, O_RDONLY | O_NONBLOCK);
        if (fd < 0)
            continue;
        if (status_of(fd, &info) && each(number, &info, arg))
            found = number;
        close(fd);
    }
    if (dir)
        closedir(dir);
    return found;
}

static bool has_tag(int number, const struct loop_info64 *info, void *arg)
{
    return !strncmp((const char *)info->lo_file_name, arg, LO_NAME_SIZE);
}

void loop_detach_tagged(const char *tag)
{
    int number, last = -1;

    /* A busy one stays until its last user goes: then the same comes again. */
    while ((number = each_loop(has_tag, (void *)tag)) >= 0 && number != last) {
        loop_detach(number, tag);
        last = number;
    }
}

struct file_user {
    uint64_t device, inode;
    bool read_only;
};

static bool has_file(int number, const struct loop_info64 *info, void *arg)
{
    struct file_user *u = arg;

    if (info->lo_device != u->device || info->lo_inode != u->inode ||
        !strncmp((const char *)info->lo_file_name, TAG_PREFIX, strlen(TAG_PREFIX)))
        return false;
    u->read_only = info->lo_flags & LO_FLAGS_READ_ONLY;
    return true;
}

int loop_other_user(uint64_t device, uint64_t inode, bool *read_only)
{
    struct file_user u = {.device = device, .inode = inode};
    int number = each_loop(has_file, &u);

    *read_only = u.read_only;
    return number;
}
