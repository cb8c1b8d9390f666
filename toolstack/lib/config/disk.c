/* SPDX-License-Identifier: MIT */
/* Disk entries: their parts, and the numbers of guests' devices. */
#include "lib/config/device.h"
#include "lib/config/text.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK_PARTS_MAX 4

/* xvd: 202 << 8 | disk << 4 | partition up to 15 of each, beyond that the extended form. Source: vbd-interface */
#define XVD_SMALL     (202u << 8)
#define XVD_EXTENDED  (1u << 28)
#define XVD_DISKS_MAX (1u << 20)
#define SD_NUMBER     (8u << 8)
#define HD_FIRST      (3u << 8)
#define HD_SECOND     (22u << 8)
#define NUMBER_MAX    ((2u << 28) - 1)
/* NetBSD on i386 and amd64: block majors of its drivers; eight partitions, a to h, for each unit */
#define NETBSD_WD (0u << 8)
#define NETBSD_SD (4u << 8)
#define NETBSD_CD (6u << 8)

/* "a", "b"... "z", "aa"... as a number from 0; *end: what follows the letters. -1: none, or more than four */
static int letters(const char *s, const char **end)
{
    int value = 0, count = 0;

    for (; *s >= 'a' && *s <= 'z'; s++, count++) {
        if (count == 4)
            return -1;
        value = value * 26 + (*s - 'a') + 1;
    }
    *end = s;
    return value - 1;
}

/* A decimal number without a leading zero, at most `max`, up to the end of s. -1 */
static int partition_number(const char *s, int max)
{
    int value = 0;

    if (!*s)
        return 0;
    if (*s == '0')
        return -1;
    for (; isdigit((unsigned char)*s) && value <= max; s++)
        value = value * 10 + (*s - '0');
    return *s || value > max ? -1 : value;
}

static int linux_number(const char *name, uint32_t *number)
{
    bool xvd = !strncmp(name, "xvd", 3), hd = !strncmp(name, "hd", 2), sd = !strncmp(name, "sd", 2);
    const char *rest = "";
    int disk = xvd || hd || sd ? letters(name + (xvd ? 3 : 2), &rest) : -1;
    int part = partition_number(rest, xvd ? 255 : hd ? 63 : 15);

    if (disk < 0 || part < 0 || (hd && disk > 3) || (sd && disk > 15) || (unsigned)disk >= XVD_DISKS_MAX)
        return -1;
    if (hd)
        *number = (disk < 2 ? HD_FIRST : HD_SECOND) | (unsigned)(disk & 1) << 6 | (unsigned)part;
    else if (sd)
        *number = SD_NUMBER | (unsigned)disk << 4 | (unsigned)part;
    else if (disk < 16 && part < 16)
        *number = XVD_SMALL | (unsigned)disk << 4 | (unsigned)part;
    else
        *number = XVD_EXTENDED | (unsigned)disk << 8 | (unsigned)part;
    return 0;
}

/* wd0d, sd0a, cd0a: a unit and a partition's letter */
static int netbsd_number(const char *name, uint32_t *number)
{
    uint32_t major;

    if (!strncmp(name, "wd", 2))
        major = NETBSD_WD;
    else if (!strncmp(name, "sd", 2))
        major = NETBSD_SD;
    else if (!strncmp(name, "cd", 2))
        major = NETBSD_CD;
    else
        return -1;
    if (!isdigit((unsigned char)name[2]) || name[3] < 'a' || name[3] > 'h' || name[4])
        return -1;
    *number = major | (unsigned)(name[2] - '0') << 3 | (unsigned)(name[3] - 'a');
    return 0;
}

int disk_device_number(const char *name, uint32_t *number)
{
    unsigned long plain;
    char *end;

    if (isdigit((unsigned char)*name)) {
        plain = strtoul(name, &end, 0);
        if (*end || plain > NUMBER_MAX || strlen(name) > 10)
            return -1;
        *number = (uint32_t)plain;
        return 0;
    }
    return linux_number(name, number) && netbsd_number(name, number) ? -1 : 0;
}

static int parse_type(const char *target, struct guest_disk *out, char why[WHY_MAX])
{
    static const struct {
        const char *prefix;
        bool tap;
        enum guest_disk_type type;
    } known[] = {
        {"phy:", false, DISK_PHY},      {"file:", false, DISK_FILE},           {"tap:aio:", true, DISK_FILE},
        {"tap2:aio:", true, DISK_FILE}, {"tap:tapdisk:aio:", true, DISK_FILE}, {"tap:sync:", true, DISK_FILE},
    };

    if (!*target) { /* an empty drive */
        out->type = DISK_FILE;
        return 0;
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t length = strlen(known[i].prefix);

        if (strncmp(target, known[i].prefix, length))
            continue;
        memmove(out->target, target + length, strlen(target + length) + 1);
        out->type = known[i].type;
        if (known[i].tap && (!strncmp(out->target, "/dev/", 5) || out->target[0] != '/'))
            out->type = DISK_PHY;
        return *out->target ? 0 : why_set(why, "nothing follows '%s'", known[i].prefix);
    }
    if (!strncmp(target, "tap:", 4) || !strncmp(target, "tap2:", 5))
        return why_set(why, "of the forms of tap only tap:aio: is understood; convert the image to a raw one (qemu-img "
                            "convert -O raw)");
    return why_set(why, "'%s' must begin with phy: (a device) or file: (an image)", target);
}

/* "xvda", "hdc:cdrom", "cdrom:hdc", "ioemu:hda" */
static int parse_device(char *text, struct guest_disk *out, char why[WHY_MAX])
{
    char *part, *next = text;
    const char *device = NULL;

    while ((part = strsep(&next, ":"))) {
        part = text_trim(part);
        if (!strcmp(part, "cdrom"))
            out->cdrom = true;
        else if (!strncmp(part, "/dev/", 5) && !device)
            device = part + 5;
        else if (!device && strcmp(part, "ioemu") && strcmp(part, "disk"))
            device = part;
        else if (strcmp(part, "ioemu") && strcmp(part, "disk"))
            return why_set(why, "'%s' after '%s' is not understood: only cdrom and disk may stand there", part, device);
    }
    if (!device || !*device)
        return why_set(why, "the guest's device is missing: TARGET,DEVICE,MODE");
    if (disk_device_number(device, &out->device_number))
        return why_set(
            why, "'%s' is not a device of a guest: use xvda, hda (to hdd), sda (to sdp), with a partition or without",
            device);
    out->device = strdup(device);
    return out->device ? 0 : why_set(why, "out of memory");
}

static int parse_mode(const char *mode, struct guest_disk *out, char why[WHY_MAX])
{
    out->writable = *mode == 'w' || !strncmp(mode, "rw", 2);
    out->force = out->writable && mode[strlen(mode) - 1] == '!';
    if (!strcmp(mode, "r") || !strcmp(mode, "ro") || !strcmp(mode, "w") || !strcmp(mode, "rw") || !strcmp(mode, "w!") ||
        !strcmp(mode, "rw!"))
        return 0;
    return why_set(why, "the mode '%s' must be r, w or w!", mode);
}

static int parse_parts(char *copy, struct guest_disk *out, char why[WHY_MAX])
{
    char *parts[DISK_PARTS_MAX] = {NULL}, *next = copy;
    int count = 0;

    while (next && count < DISK_PARTS_MAX)
        parts[count++] = text_trim(strsep(&next, ","));
    if (next || count < 3)
        return why_set(why, "it must have the form TARGET,DEVICE,MODE, such as phy:/dev/vg/disk,xvda,w");
    out->target = strdup(parts[0]);
    if (!out->target || (parts[3] && !(out->backend = strdup(parts[3]))))
        return why_set(why, "out of memory");
    if (parts[3] && !*parts[3])
        return why_set(why, "the name of the domain after the last comma is missing");
    if (parse_type(parts[0], out, why) || parse_device(parts[1], out, why))
        return -1;
    if (!*out->target && !out->cdrom)
        return why_set(why, "only a cdrom drive may be empty: what is behind '%s' is missing", out->device);
    return parse_mode(parts[2], out, why);
}

int disk_parse(const char *text, struct guest_disk *out, char why[WHY_MAX])
{
    char *copy = strdup(text);
    int rc;

    *out = (struct guest_disk){0};
    if (!copy)
        return why_set(why, "out of memory");
    rc = parse_parts(copy, out, why);
    free(copy);
    if (rc)
        disk_free(out);
    return rc;
}

void disk_free(struct guest_disk *d)
{
    free(d->target);
    free(d->device);
    free(d->backend);
    *d = (struct guest_disk){0};
}
