/* SPDX-License-Identifier: MIT */
/* Small files: see files.h. */
#include "xend/files.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void files_make_parent(const char *path)
{
    char part[PATH_MAX];

    if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
        return;
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(part, 0755);
        *slash = '/';
    }
}

static ssize_t read_all(int fd, char *text, size_t max)
{
    size_t done = 0;
    ssize_t got;

    while (done < max && (got = read(fd, text + done, max - done)) != 0) {
        if (got < 0 && errno != EINTR)
            return -1;
        done += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)done;
}

char *files_read(const char *path, size_t max, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *text;
    ssize_t got;
    size_t room;

    if (fd < 0)
        return NULL;
    room =
        !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0 && (size_t)st.st_size < max ? (size_t)st.st_size : max;
    text = malloc(room + 2);
    got = text ? read_all(fd, text, room + 1) : -1;
    close(fd);
    if (got < 0 || (size_t)got > room) {
        free(text);
        errno = got < 0 ? errno : EFBIG;
        return NULL;
    }
    text[got] = '\0';
    *size = (size_t)got;
    return text;
}

bool files_read_line(const char *path, char *line, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0)
        return false;
    got = read_all(fd, line, size - 1);
    close(fd);
    if (got < 0)
        return false;
    line[got] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return true;
}

int files_replace(const char *path, const char *text, size_t size)
{
    char temporary[PATH_MAX];
    int fd, error;
    bool written;

    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    errno = ENOSPC; /* of a short write */
    written = write(fd, text, size) == (ssize_t)size;
    error = errno;
    close(fd);
    if (written && !rename(temporary, path))
        return 0;
    error = written ? errno : error;
    unlink(temporary);
    errno = error;
    return -1;
}
