/* SPDX-License-Identifier: MIT */
/* Pseudo-terminals: see pty.h. */
#include "xenconsoled/pty.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static int open_slave(struct pty *pty)
{
    struct termios raw;

    if (unlockpt(pty->master) || ptsname_r(pty->master, pty->path, sizeof(pty->path)))
        return -1;
    pty->slave = open(pty->path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (pty->slave < 0 || fchmod(pty->slave, 0600) || tcgetattr(pty->slave, &raw))
        return -1;
    cfmakeraw(&raw);
    return tcsetattr(pty->slave, TCSANOW, &raw);
}

int pty_open(struct pty *pty, int inotify_fd)
{
    int err;

    pty->slave = pty->watch = -1;
    pty->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (pty->master < 0)
        return -errno;
    if (!open_slave(pty)) {
        pty->watch = inotify_add_watch(inotify_fd, pty->path, IN_OPEN | IN_CLOSE);
        if (pty->watch >= 0)
            return 0;
    }
    err = errno;
    pty_close(pty, inotify_fd);
    return -err;
}

void pty_close(struct pty *pty, int inotify_fd)
{
    if (pty->watch >= 0)
        inotify_rm_watch(inotify_fd, pty->watch);
    if (pty->slave >= 0)
        close(pty->slave);
    if (pty->master >= 0)
        close(pty->master);
    pty->watch = pty->slave = pty->master = -1;
}

bool pty_is_drained(const struct pty *pty)
{
    int waiting = 0;

    return ioctl(pty->slave, FIONREAD, &waiting) || !waiting;
}
