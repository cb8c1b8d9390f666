/* SPDX-License-Identifier: MIT */
/* Ramdisks: opened, and looked at as far as that is cheap: see ramdisk.h. */
#include "lib/build/ramdisk.h"
#include <errno.h>
#include <string.h>

#define RAMDISK_MAX (8 * GIB)
#define HEAD_SIZE   2048

/* What Linux knows, by the first bytes: archives, packings, and file systems of old-style ramdisks */
static const struct magic {
    uint16_t offset, length;
    char bytes[8];
} magics[] = {
    {0, 6, "070701"},
    {0, 6, "070702"},
    {0, 2, "\x1f\x8b"},
    {0, 2, "\x1f\x9e"},
    {0, 3, "BZh"},
    {0, 6,
     "\xfd"
     "7zXZ"},
    {0, 3, "\x5d\0\0"},
    {0, 4, "\x89LZO"},
    {0, 4, "\x02\x21\x4c\x18"},
    {0, 4, "\x28\xb5\x2f\xfd"},
    {0, 4, "hsqs"},
    {0, 8, "-rom1fs-"},
    {0, 4, "\x45\x3d\xcd\x28"},
    {1080, 2, "\x53\xef"},
};

static bool known(const uint8_t *head, size_t size)
{
    for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
        if (size >= (size_t)magics[i].offset + magics[i].length &&
            !memcmp(head + magics[i].offset, magics[i].bytes, magics[i].length))
            return true;
    return false;
}

int ramdisk_open(const char *path, const struct xen_notes *kernel, struct input_file *out, struct report *r)
{
    uint8_t head[HEAD_SIZE];
    size_t size;

    if (input_open("ramdisk", path, RAMDISK_MAX, out, r))
        return -1;
    size = MIN(out->key.size, sizeof(head));
    if (read_fully(out->fd, head, size, 0)) {
        report_set(r, REPORT_FAILED, "ramdisk '%s' cannot be read: %s", path,
                   errno ? strerror(errno) : "it shrank meanwhile");
    } else if (strcmp(kernel->guest_os, "linux") || known(head, size)) {
        return 0;
    } else {
        report_set(r, REPORT_BAD_IMAGE,
                   "ramdisk '%s' is no ramdisk that Linux knows (a cpio archive, packed or not): it is damaged or the "
                   "wrong file",
                   path);
    }
    input_close(out);
    return -1;
}
