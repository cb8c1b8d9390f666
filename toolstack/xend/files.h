/* SPDX-License-Identifier: MIT */
/* Small files: read whole, replaced whole. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Makes the directory that `path` lies in, and its parents (0755). What cannot be made shows when the file is opened. */
void files_make_parent(const char *path);
/* A file's text with a NUL behind it, of at most `max` bytes (a longer one: NULL, errno EFBIG); the caller frees. */
char *files_read(const char *path, size_t max, size_t *size);
/* The first line of a file, of /sys and /proc above all, without its newline; false: cannot be read. */
bool files_read_line(const char *path, char *line, size_t size);
/* Replaces a file: readers see the old or the new text whole. 0, -1 with errno. */
int files_replace(const char *path, const char *text, size_t size);
