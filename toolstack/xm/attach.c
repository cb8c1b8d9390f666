/* SPDX-License-Identifier: MIT */
/*
 * The console's two directions.
 *
 *   stdin --(Ctrl-] ends)--> to_guest --> guest's terminal       guest's terminal --> stdout
 *
 * Nothing is read while what was read before has not been written: neither side loses a byte while the guest's terminal is
 * there. When it goes (xenconsoled was started anew, the guest restarts) the guest is looked up by its uuid until it has another
 * one, or is gone; keys typed meanwhile go nowhere, but for Ctrl-].
 */
#include "xm/attach.h"
#include "xm/client.h"
#include "xm/terminal.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define LEAVE_KEY   0x1d /* Ctrl-] */
#define LOOK_MS     100  /* between two looks for a terminal */
#define IDLE_MS     2000 /* of silence, before the guest is looked after */
#define MISSED_MAX  3    /* looks without finding the guest, until it is believed to be gone */
#define BUFFER_SIZE 4096

enum state { RUNNING, LEFT, ENDED, BROKEN };
struct attachment {
    char *uuid, *name;
    char path[128]; /* of the guest's terminal; "" none */
    int fd;         /* -1: not open */
    bool stdin_open;
    unsigned missed;
    enum state state;
    char to_guest[BUFFER_SIZE];
    size_t to_guest_begin, to_guest_end;
};

struct attachment *attach_new(const char *uuid, const char *name)
{
    struct attachment *a = calloc(1, sizeof(*a));

    if (!a)
        return NULL;
    a->fd = -1;
    a->stdin_open = true;
    a->uuid = strdup(uuid);
    a->name = strdup(name);
    if (a->uuid && a->name)
        return a;
    attach_free(a);
    return NULL;
}

static void close_terminal(struct attachment *a)
{
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    a->path[0] = 0;
    a->to_guest_begin = a->to_guest_end = 0;
}

void attach_free(struct attachment *a)
{
    close_terminal(a);
    free(a->uuid);
    free(a->name);
    free(a);
}

static void open_terminal(struct attachment *a, const char *path)
{
    struct termios mode;
    int fd = *path && strlen(path) < sizeof(a->path) ? open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    if (tcgetattr(fd, &mode)) { /* not a terminal: none of xenconsoled's */
        close(fd);
        return;
    }
    cfmakeraw(&mode);
    tcsetattr(fd, TCSANOW, &mode);
    a->fd = fd;
    strcpy(a->path, path);
}

/* Asks xend for the guest: opens its terminal when that is another one than ours; notes its end. Between two domains of a guest its
 * record has no console, or is not there for a moment */
static void look(struct attachment *a)
{
    json_t *record;
    struct report r;

    if (xm_call_vm("VM.get_record", a->uuid, &record, &r)) {
        if (r.kind == REPORT_NOT_FOUND && ++a->missed == MISSED_MAX)
            a->state = ENDED;
        return; /* xend is away: later */
    }
    a->missed = 0;
    if (a->fd >= 0 && *xm_text(record, "console") && strcmp(xm_text(record, "console"), a->path))
        close_terminal(a);
    if (a->fd < 0)
        open_terminal(a, xm_text(record, "console"));
    json_decref(record);
}

int attach_open(struct attachment *a, unsigned wait_ms)
{
    for (unsigned waited = 0; a->state == RUNNING; waited += LOOK_MS) {
        look(a);
        if (a->fd >= 0 || waited >= wait_ms)
            break;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
    }
    return a->fd >= 0;
}

/* All of it to stdout; false when there is nobody to read it */
static bool print_all(const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(STDOUT_FILENO, data, size);

        if (n < 0 && errno == EAGAIN) /* the terminal is shared with someone who made it so */
            poll(&(struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT}, 1, -1);
        else if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    return true;
}

static void from_guest(struct attachment *a)
{
    char data[BUFFER_SIZE];
    ssize_t n = read(a->fd, data, sizeof(data));

    if (n > 0) {
        if (!print_all(data, (size_t)n))
            a->state = BROKEN;
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    close_terminal(a);
    look(a);
}

static void to_guest(struct attachment *a)
{
    ssize_t n = write(a->fd, a->to_guest + a->to_guest_begin, a->to_guest_end - a->to_guest_begin);

    if (n > 0)
        a->to_guest_begin += (size_t)n;
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        close_terminal(a);
    if (a->to_guest_begin == a->to_guest_end)
        a->to_guest_begin = a->to_guest_end = 0;
}

/* Only called with to_guest empty */
static void from_keyboard(struct attachment *a)
{
    ssize_t n = read(STDIN_FILENO, a->to_guest, sizeof(a->to_guest));
    char *leave = n > 0 ? memchr(a->to_guest, LEAVE_KEY, (size_t)n) : NULL;

    if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
        a->stdin_open = false; /* a script's input has ended; its output has not */
    if (n <= 0)
        return;
    if (leave)
        a->state = LEFT;
    if (a->fd < 0)
        return;
    a->to_guest_end = (size_t)(leave ? leave - a->to_guest : n);
    if (a->to_guest_end)
        to_guest(a);
}

static void turn(struct attachment *a)
{
    bool pending = a->to_guest_end > a->to_guest_begin;
    struct pollfd fds[2] = {
        {.fd = a->stdin_open && !pending ? STDIN_FILENO : -1, .events = POLLIN},
        {.fd = a->fd, .events = (short)(POLLIN | (pending ? POLLOUT : 0))},
    };
    int n = poll(fds, 2, a->fd < 0 || a->missed ? LOOK_MS : IDLE_MS);

    if (n < 0)
        return; /* a signal that let us live */
    if (fds[1].revents & (POLLIN | POLLHUP | POLLERR))
        from_guest(a);
    if ((fds[1].revents & POLLOUT) && a->fd >= 0)
        to_guest(a);
    if (fds[0].revents)
        from_keyboard(a);
    if (!n)
        look(a);
}

int attach_run(struct attachment *a)
{
    int code = 0;

    fflush(stdout);
    terminal_raw();
    while (a->state == RUNNING)
        turn(a);
    terminal_restore();
    if (a->state == LEFT && isatty(STDIN_FILENO))
        putchar('\n');
    if (a->state == ENDED)
        fprintf(stderr, "\nDomain %s has ended\n", a->name);
    if (a->state == BROKEN) {
        fprintf(stderr, "Error: the guest's output cannot be written: %s\n", strerror(errno));
        code = REPORT_FAILED;
    }
    attach_free(a);
    return code;
}
