/* SPDX-License-Identifier: MIT */
/*
 * The kernel cache: image files (kernel.h) below a directory that only root may enter, and the latest of them mapped all the time, so that
 * the next guest of the same kernel finds even the mapping made.
 *
 * A file's name is its key. It is written under another name and renamed when it is whole and on the disk; what fits no key any more or is
 * too much goes, the longest unused first. A kernel that was changed a moment ago is not kept: were it changed again within the clock's
 * step, its times would not tell. Without a directory, or without room in it, images live in memory files.
 *
 * Locks: `lock` guards the list and the users counts; `unpacking` is held by the one who makes an image (then lock, never the other way).
 */
#include "lib/build/cache.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KERNEL_FILE_MAX (512 * MIB)
#define KEPT_MAX        (512 * MIB) /* in the directory */
#define MAPPED_MAX      4
#define SETTLED_NS      2000000000ull
#define SUFFIX          ".image"
#define UNFINISHED      ".unfinished"
#define NAME_SIZE       128

struct kernel_cache {
    int directory; /* -1: none */
    pthread_mutex_t lock, unpacking;
    struct cached_kernel *mapped; /* the latest used first */
};

/* ---- Images in memory ---- */

static void release(struct cached_kernel *k)
{
    if (--k->users)
        return;
    kernel_unmap(&k->image);
    free(k);
}

static struct cached_kernel *find_mapped(struct kernel_cache *c, const struct file_key *key)
{
    pthread_mutex_lock(&c->lock);
    for (struct cached_kernel **at = &c->mapped; *at; at = &(*at)->next) {
        struct cached_kernel *k = *at;

        if (memcmp(&k->image.head->key, key, sizeof(*key)))
            continue;
        *at = k->next;
        k->next = c->mapped;
        c->mapped = k;
        k->users++;
        pthread_mutex_unlock(&c->lock);
        return k;
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void add_mapped(struct kernel_cache *c, struct cached_kernel *k)
{
    unsigned count = 0;

    pthread_mutex_lock(&c->lock);
    k->users = 2; /* the caller's and the list's */
    k->next = c->mapped;
    c->mapped = k;
    for (struct cached_kernel **at = &c->mapped; *at;) {
        if (++count <= MAPPED_MAX) {
            at = &(*at)->next;
            continue;
        }
        k = *at;
        *at = k->next;
        release(k);
    }
    pthread_mutex_unlock(&c->lock);
}

void kernel_cache_put(struct kernel_cache *c, struct cached_kernel *k)
{
    pthread_mutex_lock(&c->lock);
    release(k);
    pthread_mutex_unlock(&c->lock);
}

/* ---- Images in the directory ---- */

static void name_of(const struct file_key *key, char *name)
{
    snprintf(name, NAME_SIZE, "%lx-%lx-%lx-%lx-%lx" SUFFIX, key->device, key->inode, key->size, key->mtime_ns,
             key->ctime_ns);
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), s = strlen(suffix);
    return n > s && !strcmp(name + n - s, suffix);
}

/* An older image of the file that `name` is of */
static bool is_outdated(const char *other, const char *name)
{
    const char *end = strchr(strchr(name, '-') + 1, '-');
    return strcmp(other, name) && !strncmp(other, name, (size_t)(end - name) + 1);
}

/* One look through the directory: removes what is outdated; the longest unused of the others, and the sum of all sizes. */
static uint64_t look_through(int directory, const char *keep, char *oldest)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct timespec first = {0};
    struct dirent *e;
    struct stat st;
    uint64_t sum = 0;

    oldest[0] = 0;
    if (!d && fd >= 0)
        close(fd);
    while (d && (e = readdir(d))) {
        if (!has_suffix(e->d_name, SUFFIX) || strlen(e->d_name) >= NAME_SIZE ||
            fstatat(directory, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        if (is_outdated(e->d_name, keep)) {
            unlinkat(directory, e->d_name, 0);
            continue;
        }
        sum += (uint64_t)st.st_size;
        if (strcmp(e->d_name, keep) && (!oldest[0] || st.st_mtim.tv_sec < first.tv_sec)) {
            strcpy(oldest, e->d_name);
            first = st.st_mtim;
        }
    }
    if (d)
        closedir(d);
    return sum;
}

static void evict(int directory, const char *keep)
{
    char oldest[NAME_SIZE];

    while (look_through(directory, keep, oldest) > KEPT_MAX && oldest[0])
        if (unlinkat(directory, oldest, 0))
            return;
}

static int map_kept(const struct kernel_cache *c, const struct file_key *key, struct kernel_image *image)
{
    char name[NAME_SIZE];
    int fd, rc;

    if (c->directory < 0)
        return -1;
    name_of(key, name);
    fd = openat(c->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -1;
    rc = kernel_map(fd, key, image);
    if (rc)
        unlinkat(c->directory, name, 0); /* damaged, or an older build's */
    else
        futimens(fd, NULL); /* used now */
    close(fd);
    return rc;
}

static bool settled(const struct file_key *key)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec > key->ctime_ns + SETTLED_NS;
}

/* Under its own name now, complete; or away with it */
static void keep(const struct kernel_cache *c, int fd, const struct file_key *key, bool is_settled)
{
    char name[NAME_SIZE];

    name_of(key, name);
    if (!is_settled || fdatasync(fd) || renameat(c->directory, UNFINISHED, c->directory, name))
        unlinkat(c->directory, UNFINISHED, 0);
    else
        evict(c->directory, name);
}

static int unpack_kept(const struct kernel_cache *c, const struct input_file *f, bool is_settled,
                       struct kernel_image *image, struct report *r)
{
    int fd = -1, rc;

    if (c->directory >= 0)
        fd = openat(c->directory, UNFINISHED, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return report_set(r, REPORT_FAILED, "kernel '%s' cannot be kept: %s", f->path, strerror(errno));
    rc = kernel_unpack(f, fd, r);
    if (rc)
        unlinkat(c->directory, UNFINISHED, 0);
    else
        keep(c, fd, &f->key, is_settled);
    if (!rc && kernel_map(fd, &f->key, image))
        rc = report_set(r, REPORT_FAILED, "kernel '%s' cannot be mapped: %s", f->path, strerror(errno));
    close(fd);
    return rc;
}

static int unpack_in_memory(const struct input_file *f, struct kernel_image *image, struct report *r)
{
    int fd = memfd_create("kernel", MFD_CLOEXEC), rc;

    if (fd < 0)
        return report_set(r, REPORT_FAILED, "no memory to unpack kernel '%s': %s", f->path, strerror(errno));
    rc = kernel_unpack(f, fd, r);
    if (!rc && kernel_map(fd, &f->key, image))
        rc = report_set(r, REPORT_FAILED, "kernel '%s' cannot be mapped: %s", f->path, strerror(errno));
    close(fd);
    return rc;
}

/* Called with c->unpacking held. */
static int make(struct kernel_cache *c, const struct input_file *f, struct cached_kernel **out, bool *from_cache,
                struct report *r)
{
    struct cached_kernel *k = find_mapped(c, &f->key); /* somebody else may have made it meanwhile */
    bool is_settled = settled(&f->key);                /* before it is read: a later change shows in its times */
    int rc;

    *from_cache = true;
    if (k) {
        *out = k;
        return 0;
    }
    k = calloc(1, sizeof(*k));
    if (!k)
        return report_set(r, REPORT_FAILED, "no memory for kernel '%s'", f->path);
    rc = map_kept(c, &f->key, &k->image);
    if (rc) {
        *from_cache = false;
        rc = unpack_kept(c, f, is_settled, &k->image, r);
        if (rc && r->kind == REPORT_FAILED)
            rc = unpack_in_memory(f, &k->image, r);
    }
    if (rc) {
        free(k);
        return rc;
    }
    if (is_settled)
        add_mapped(c, k);
    else
        k->users = 1; /* the caller's alone */
    *out = k;
    return 0;
}

int kernel_cache_get(struct kernel_cache *c, const char *path, struct cached_kernel **out, bool *from_cache,
                     struct report *r)
{
    struct input_file f;
    int rc = input_open("kernel", path, KERNEL_FILE_MAX, &f, r);

    if (rc)
        return rc;
    *out = find_mapped(c, &f.key);
    *from_cache = true;
    if (!*out) {
        pthread_mutex_lock(&c->unpacking);
        rc = make(c, &f, out, from_cache, r);
        pthread_mutex_unlock(&c->unpacking);
    }
    input_close(&f);
    return rc;
}

/* ---- The cache ---- */

/* With the directories above it */
static int make_directory(const char *path)
{
    char part[4096];
    size_t n = strlen(path);

    if (n >= sizeof(part)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i])
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, path[i] ? 0755 : 0700) && errno != EEXIST)
            return -1;
    }
    return 0;
}

static int open_directory(const char *path, int *out, struct report *r)
{
    struct stat st;

    *out = -1;
    if (make_directory(path) || (*out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 || fstat(*out, &st))
        return report_set(r, REPORT_FAILED, "directory '%s' for unpacked kernels cannot be used: %s", path,
                          strerror(errno));
    if (st.st_uid != geteuid() || (st.st_mode & 022))
        return report_set(r, REPORT_DENIED,
                          "directory '%s' for unpacked kernels can be written by others: give it to root, mode 0700",
                          path);
    unlinkat(*out, UNFINISHED, 0); /* of one that was killed */
    return 0;
}

int kernel_cache_open(const char *directory, struct kernel_cache **out, struct report *r)
{
    struct kernel_cache *c = calloc(1, sizeof(*c));

    if (!c)
        return report_set(r, REPORT_FAILED, "no memory for the kernel cache");
    c->directory = -1;
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->unpacking, NULL);
    if (directory && open_directory(directory, &c->directory, r)) {
        kernel_cache_close(c);
        return -1;
    }
    *out = c;
    return 0;
}

void kernel_cache_close(struct kernel_cache *c)
{
    if (!c)
        return;
    while (c->mapped) {
        struct cached_kernel *k = c->mapped;
        c->mapped = k->next;
        release(k);
    }
    if (c->directory >= 0)
        close(c->directory);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->unpacking);
    free(c);
}
