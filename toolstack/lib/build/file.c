/* SPDX-License-Identifier: MIT */
/* Input files: see file.h. */
#include "lib/build/file.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS           1000000000ull
#define MIB          (1024ull * 1024)
#define READ_AT_ONCE (1u << 30)

static struct file_key key_of(const struct stat *st)
{
    return (struct file_key){
        .device = st->st_dev,
        .inode = st->st_ino,
        .size = (uint64_t)st->st_size,
        .mtime_ns = (uint64_t)st->st_mtim.tv_sec * NS + (uint64_t)st->st_mtim.tv_nsec,
        .ctime_ns = (uint64_t)st->st_ctim.tv_sec * NS + (uint64_t)st->st_ctim.tv_nsec,
    };
}

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode)    ? "a directory"
           : S_ISFIFO(mode) ? "a FIFO"
           : S_ISSOCK(mode) ? "a socket"
           : S_ISBLK(mode)  ? "a block device"
                            : "a device";
}

static int not_opened(const char *what, const char *path, int error, struct report *r)
{
    enum report_kind kind = error == ENOENT || error == ENOTDIR ? REPORT_NOT_FOUND
                            : error == EACCES                   ? REPORT_DENIED
                                                                : REPORT_FAILED;
    if (kind == REPORT_NOT_FOUND)
        return report_set(r, kind, "%s '%s' does not exist", what, path);
    return report_set(r, kind, "%s '%s' cannot be opened: %s", what, path, strerror(error));
}

static int check(const struct stat *st, uint64_t size_max, const char *what, const char *path, struct report *r)
{
    if (!S_ISREG(st->st_mode))
        return report_set(r, REPORT_BAD_IMAGE, "%s '%s' is %s, not a file", what, path, kind_of(st->st_mode));
    if (!st->st_size)
        return report_set(r, REPORT_BAD_IMAGE, "%s '%s' is empty", what, path);
    if ((uint64_t)st->st_size > size_max)
        return report_set(r, REPORT_BAD_IMAGE, "%s '%s' has %llu MiB; more than %llu MiB is no %s", what, path,
                          (unsigned long long)((uint64_t)st->st_size / MIB), (unsigned long long)(size_max / MIB),
                          what);
    return 0;
}

int input_open(const char *what, const char *path, uint64_t size_max, struct input_file *out, struct report *r)
{
    struct stat st;
    int rc;

    *out = (struct input_file){.fd = -1, .what = what, .path = path};
    /* A device may do things when it is opened: look first. Without waiting, in case that another file lies there by then. */
    if (stat(path, &st))
        return not_opened(what, path, errno, r);
    if (check(&st, size_max, what, path, r))
        return -1;
    out->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (out->fd < 0)
        return not_opened(what, path, errno, r);
    rc = fstat(out->fd, &st) ? not_opened(what, path, errno, r) : check(&st, size_max, what, path, r);
    if (rc) {
        input_close(out);
        return rc;
    }
    out->key = key_of(&st);
    return 0;
}

void input_close(struct input_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

int read_fully(int fd, void *to, size_t size, uint64_t offset)
{
    uint8_t *p = to;

    while (size) {
        ssize_t n = pread(fd, p, size < READ_AT_ONCE ? size : READ_AT_ONCE, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n ? errno : 0;
            return -1;
        }
        p += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

static int changed(const struct input_file *f, struct report *r)
{
    return report_set(r, REPORT_BAD_IMAGE, "%s '%s' changed while it was being read: try again when it is complete",
                      f->what, f->path);
}

int input_read(const struct input_file *f, void *to, struct report *r)
{
    struct file_key now;
    struct stat st;

    if (read_fully(f->fd, to, f->key.size, 0)) {
        if (!errno)
            return changed(f, r);
        return report_set(r, REPORT_FAILED, "%s '%s' cannot be read: %s", f->what, f->path, strerror(errno));
    }
    if (fstat(f->fd, &st))
        return report_set(r, REPORT_FAILED, "%s '%s' cannot be looked at: %s", f->what, f->path, strerror(errno));
    now = key_of(&st);
    return memcmp(&now, &f->key, sizeof(now)) ? changed(f, r) : 0;
}
