/* SPDX-License-Identifier: MIT */
/*
 * Files that a guest's configuration names: opened without being caught by a FIFO or a device, known again by what stat tells, read to
 * the last byte though somebody may be changing them.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "lib/report.h"

/* The same file, not written to since: all of it is equal. */
struct file_key {
    uint64_t device, inode, size, mtime_ns, ctime_ns;
};
struct input_file {
    int fd;
    struct file_key key;
    const char *what, *path; /* for messages: "kernel", "ramdisk" */
};
/* A regular file of 1..size_max bytes. 0; -1: *r says what is wrong with it. */
int input_open(const char *what, const char *path, uint64_t size_max, struct input_file *out, struct report *r);
void input_close(struct input_file *f);
/* Reads the whole file to `to` (key.size bytes), and looks whether it stayed the same meanwhile. 0; -1. */
int input_read(const struct input_file *f, void *to, struct report *r);
/* read(2) again until all is there: 0; -1 with errno (0: the file ended early). */
int read_fully(int fd, void *to, size_t size, uint64_t offset);
