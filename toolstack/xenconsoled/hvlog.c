/* SPDX-License-Identifier: MIT */
/* The hypervisor's log: see hvlog.h. */
#include "xenconsoled/hvlog.h"
#include "xenconsoled/say.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARTS_MAX 64 /* of one copy: the writer might be faster than we are */

static void open_position(struct hvlog *h, const char *directory)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/xenconsoled.hypervisor", directory);
    h->position_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (h->position_fd < 0) {
        say("%s: %s; the hypervisor's log will repeat itself after a restart", path, strerror(errno));
        return;
    }
    if (pread(h->position_fd, &h->position, sizeof(h->position), 0) != sizeof(h->position))
        h->position = 0;
}

static void keep_position(struct hvlog *h)
{
    if (h->position_fd >= 0 && pwrite(h->position_fd, &h->position, sizeof(h->position), 0) != sizeof(h->position)) {
        say("the place in the hypervisor's log cannot be kept: %s", strerror(errno));
        close(h->position_fd);
        h->position_fd = -1;
    }
}

void hvlog_open(struct hvlog *h, struct hv *hv, const struct log_policy *policy, const char *state_directory)
{
    memset(h, 0, sizeof(*h));
    h->hv = hv;
    open_position(h, state_directory);
    log_open(&h->log, policy, "hypervisor");
    hvlog_copy(h);
}

void hvlog_copy(struct hvlog *h)
{
    char buf[4096];

    for (unsigned i = 0; i < PARTS_MAX; i++) {
        int n = hv_read_console(h->hv, buf, sizeof(buf), false, true, &h->position);

        if (n < 0)
            say("the hypervisor's console ring cannot be read: %s", strerror(-n));
        if (n <= 0)
            return;
        log_write(&h->log, buf, (size_t)n);
        keep_position(h);
    }
}
