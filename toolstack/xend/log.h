/* SPDX-License-Identifier: MIT */
/* xend's log: one line an event, with time and level, into a file that is rotated at a size. Any thread may write. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* Opens the file for appending (its directory is made). When that fails the log goes to standard error. `debug` also writes
 * debug lines, and every line to standard error as well. */
void log_open(const char *path, bool debug);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The last `bytes` of the log, from the start of a line on; the caller frees. NULL: there is none. */
char *log_tail(size_t bytes);

#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
