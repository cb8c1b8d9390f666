/* SPDX-License-Identifier: MIT */
/* Files of a test of the builder: in a directory of its own, gone at its end. */
#pragma once
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/build/build.h"

static char root[] = "/tmp/test_build.XXXXXX";

/* Good for the next 63 calls */
static const char *path_of(const char *name)
{
    static char paths[64][256];
    static unsigned next;
    char *p = paths[next++ % 64];

    snprintf(p, sizeof(paths[0]), "%s/%s", root, name);
    return p;
}

static const char *put_file(const char *name, const void *data, size_t size)
{
    const char *path = path_of(name);
    int fd;

    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    close(fd);
    return path;
}

static struct kernel_cache *open_cache(const char *name)
{
    struct kernel_cache *c = NULL;
    struct report r;

    assert_int_equal(kernel_cache_open(name ? path_of(name) : NULL, &c, &r), 0);
    return c;
}

static int remove_files(void)
{
    char command[300];

    snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command);
}
