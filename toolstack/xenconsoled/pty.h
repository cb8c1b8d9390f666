/* SPDX-License-Identifier: MIT */
/*
 * The pseudo-terminal of a guest's console: raw, for root only. This daemon holds its slave open too: the terminal then stays raw and does
 * not hang up between readers. Who else has it open is told by inotify.
 */
#pragma once
#include <stdbool.h>

#define PTY_PATH_MAX 32
struct pty {
    int master, slave; /* master does not block */
    int watch;         /* inotify's descriptor of the path */
    char path[PTY_PATH_MAX];
};
/* 0 or -errno; inotify_fd gets IN_OPEN and IN_CLOSE for others' opening and closing. */
int pty_open(struct pty *pty, int inotify_fd);
void pty_close(struct pty *pty, int inotify_fd);
/* Whether readers have taken all that was written. */
bool pty_is_drained(const struct pty *pty);
