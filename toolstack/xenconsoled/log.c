/* SPDX-License-Identifier: MIT */
/* Console logs: see log.h. */
#include "xenconsoled/log.h"
#include "xenconsoled/say.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME_MAX_LEN 200
#define STAMP_SIZE   32

/* Says what is wrong with the file, once until it goes well again. */
static void trouble(struct log *log, const char *what, int err)
{
    if (!log->in_trouble)
        say("%s: %s: %s; its console output is not logged", log->path, what, strerror(err));
    log->in_trouble = true;
}

static void open_file(struct log *log)
{
    struct stat st;

    log->fd = open(log->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (log->fd < 0) {
        trouble(log, "cannot be opened", errno);
        return;
    }
    if (fstat(log->fd, &st) || !S_ISREG(st.st_mode)) {
        close(log->fd);
        log->fd = -1;
        trouble(log, "is not a plain file", EINVAL);
        return;
    }
    log->size = (size_t)st.st_size;
}

void log_open(struct log *log, const struct log_policy *policy, const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-";
    char safe[NAME_MAX_LEN + 1];

    memset(log, 0, sizeof(*log));
    log->fd = -1;
    snprintf(safe, sizeof(safe), "%s", name);
    for (char *c = safe; *c; c++)
        if (!strchr(allowed, *c))
            *c = '_';
    if (asprintf(&log->path, "%s/%s.log", policy->directory, safe) < 0) {
        log->path = NULL;
        return;
    }
    log->policy = policy;
    open_file(log);
}

void log_reopen(struct log *log)
{
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
}

void log_close(struct log *log)
{
    if (log->path)
        log_reopen(log);
    free(log->path);
    log->path = NULL;
}

/* NAME.log.2 -> NAME.log.3, NAME.log.1 -> NAME.log.2, NAME.log -> NAME.log.1; the oldest is written over. */
static void rotate(struct log *log)
{
    size_t size = strlen(log->path) + 16;
    char *from = malloc(size), *to = malloc(size);

    if (from && to) {
        for (unsigned i = log->policy->keep; i > 1; i--) {
            snprintf(from, size, "%s.%u", log->path, i - 1);
            snprintf(to, size, "%s.%u", log->path, i);
            if (rename(from, to) && errno != ENOENT)
                trouble(log, "cannot be rotated", errno);
        }
        snprintf(to, size, "%s.1", log->path);
        if (log->policy->keep ? rename(log->path, to) : unlink(log->path))
            trouble(log, "cannot be rotated", errno);
    }
    free(from);
    free(to);
    log_reopen(log);
}

/* A file that could not be put aside must not grow all the same. */
static bool ready(struct log *log)
{
    if (log->fd < 0)
        open_file(log);
    if (log->fd >= 0 && log->size >= log->policy->size_max) {
        rotate(log);
        open_file(log);
    }
    return log->fd >= 0 && log->size < log->policy->size_max;
}

static void put(struct log *log, const char *data, size_t len)
{
    ssize_t n;

    if (!ready(log))
        return;
    n = write(log->fd, data, len);
    if (n > 0)
        log->size += (size_t)n;
    if (n != (ssize_t)len)
        trouble(log, "cannot be written", n < 0 ? errno : ENOSPC);
    else
        log->in_trouble = false;
}

static size_t stamp(char *to)
{
    time_t now = time(NULL);
    struct tm tm;

    return gmtime_r(&now, &tm) ? strftime(to, STAMP_SIZE, "[%Y-%m-%dT%H:%M:%SZ] ", &tm) : 0;
}

static void put_stamped(struct log *log, const char *data, size_t len)
{
    char out[4096], time_text[STAMP_SIZE];
    size_t stamp_len = stamp(time_text), n = 0;

    for (size_t i = 0; i < len; i++) {
        if (n + stamp_len + 1 > sizeof(out)) {
            put(log, out, n);
            n = 0;
        }
        if (!log->inside_line) {
            memcpy(out + n, time_text, stamp_len);
            n += stamp_len;
        }
        out[n++] = data[i];
        log->inside_line = data[i] != '\n';
    }
    put(log, out, n);
}

void log_write(struct log *log, const char *data, size_t len)
{
    if (!log->path || !len)
        return;
    if (log->policy->timestamps)
        put_stamped(log, data, len);
    else
        put(log, data, len);
}
