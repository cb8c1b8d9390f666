/* SPDX-License-Identifier: MIT */
/*
 * The log file. `lock` guards the descriptor and the size; a line is one write, so that lines of threads do not mix.
 * What guests and scripts choose may stand in a line: control characters are shown as '?'.
 */
#include "xend/log.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "xend/files.h"

#define LOG_ROTATE_BYTES (1u << 20)
#define LOG_KEPT         4 /* older files: xend.log.1 ... */
#define LOG_LINE_MAX     2048

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char log_path[256];
static int log_fd = -1;
static size_t log_size;
static bool log_is_debug;
static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR"};

static void open_file(void)
{
    struct stat st;

    log_fd = open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    log_size = log_fd >= 0 && !fstat(log_fd, &st) ? (size_t)st.st_size : 0;
}

void log_open(const char *path, bool debug)
{
    log_is_debug = debug;
    if (snprintf(log_path, sizeof(log_path), "%s", path) >= (int)sizeof(log_path))
        return;
    files_make_parent(path);
    open_file();
    if (log_fd < 0)
        fprintf(stderr, "xend: %s cannot be written: %m; logging to standard error\n", path);
}

static void rotate(void)
{
    char from[sizeof(log_path) + 16], to[sizeof(log_path) + 16];

    for (int i = LOG_KEPT - 1; i >= 0; i--) {
        snprintf(from, sizeof(from), i ? "%s.%d" : "%s", log_path, i);
        snprintf(to, sizeof(to), "%s.%d", log_path, i + 1);
        rename(from, to);
    }
    close(log_fd);
    open_file();
}

static size_t format_line(char *line, size_t size, enum log_level level, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));
static size_t format_line(char *line, size_t size, enum log_level level, const char *fmt, va_list ap)
{
    struct timespec now;
    struct tm tm;
    size_t head, length;

    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &tm);
    head = strftime(line, size, "%Y-%m-%d %H:%M:%S", &tm);
    head += (size_t)snprintf(line + head, size - head, ".%03ld %-5s ", now.tv_nsec / 1000000, level_names[level]);
    vsnprintf(line + head, size - head - 1, fmt, ap);
    length = strlen(line);
    for (size_t i = head; i < length; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[length++] = '\n';
    return length;
}

void log_write(enum log_level level, const char *fmt, ...)
{
    char line[LOG_LINE_MAX];
    int error = errno;
    size_t length;
    va_list ap;

    if (level == LOG_LEVEL_DEBUG && !log_is_debug)
        return;
    va_start(ap, fmt);
    length = format_line(line, sizeof(line), level, fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&lock);
    if (log_fd >= 0 && log_size + length > LOG_ROTATE_BYTES)
        rotate();
    if (log_fd >= 0 && write(log_fd, line, length) == (ssize_t)length)
        log_size += length;
    if ((log_fd < 0 || log_is_debug) && write(STDERR_FILENO, line, length) < 0)
        log_is_debug = false;
    pthread_mutex_unlock(&lock);
    errno = error; /* callers look at it after they have said what is wrong */
}

char *log_tail(size_t bytes)
{
    char *text = malloc(bytes + 1), *start;
    int fd = open(log_path, O_RDONLY | O_CLOEXEC);
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
    off_t from = end > (off_t)bytes ? end - (off_t)bytes : 0;
    ssize_t got = -1;

    if (text && end >= 0)
        got = pread(fd, text, bytes, from);
    if (fd >= 0)
        close(fd);
    if (got < 0) {
        free(text);
        return NULL;
    }
    text[got] = '\0';
    start = from ? strchr(text, '\n') : NULL;
    if (start)
        memmove(text, start + 1, strlen(start + 1) + 1);
    return text;
}
