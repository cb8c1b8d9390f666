/* SPDX-License-Identifier: MIT */
/*
 * A log file of console output with rotation by size: NAME.log, NAME.log.1 ... NAME.log.<keep>, so that the disk space of one name is
 * bounded by (keep + 1) * size_max plus one write. Trouble with the disk is said once and loses only what is logged meanwhile.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct log_policy {
    const char *directory;
    size_t size_max; /* bytes; a file that has them is put aside */
    unsigned keep;   /* older files */
    bool timestamps; /* each line begins with the time at which its first byte came */
};
struct log {
    const struct log_policy *policy;
    char *path; /* NULL: there is no log, and nothing below does anything */
    int fd;     /* -1: could not be opened; tried again with the next write */
    size_t size;
    bool inside_line, in_trouble;
};
/* Takes `name` for what it is worth: characters that do not belong into a file's name become '_'. policy must stay. */
void log_open(struct log *log, const struct log_policy *policy, const char *name);
void log_write(struct log *log, const char *data, size_t len);
/* Someone else may have moved the file away: the next write makes it anew. */
void log_reopen(struct log *log);
void log_close(struct log *log);
