/* SPDX-License-Identifier: MIT */
/*
 * xenconsoled: joins guests' consoles to terminals and logs. One thread, one event loop (libxenstore has a reading thread of its own):
 *
 *   xenstore --------> guests.c    who is there         terminals <--> console.c <--> rings, logs
 *   event channels --> on_wires    whose port it was    hypervisor --> hvlog.c
 *
 * It keeps nothing that could be lost: ring positions are in the rings, the terminal's path in xenstore, the rest in files. Killed at any
 * moment, the next one goes on.
 */
#include "xenconsoled/guests.h"
#include "xenconsoled/hvlog.h"
#include "xenconsoled/options.h"
#include "xenconsoled/say.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct daemon {
    struct options options;
    struct hv *hv;
    struct wires *wires;
    struct guests *guests;
    struct hvlog hvlog;
    int hv_port; /* -1: the hypervisor is not logged */
    uv_poll_t wires_poll;
    uv_timer_t second_look;
    bool events_since; /* the second look was planned */
    uv_signal_t terminate, interrupt, reopen;
};

#define SECOND_LOOK_MS 1000

static void on_second_look(uv_timer_t *timer);

/*
 * Linux's /dev/xen/evtchn looks whether its reader has taken all before it adds a port, and wakes it only then. If meanwhile we take the
 * last one and go to sleep, neither that port nor any later one wakes us. So some time after the last events, once, it is asked again.
 */
static void plan_second_look(struct daemon *d)
{
    if (uv_is_active((uv_handle_t *)&d->second_look))
        d->events_since = true;
    else
        uv_timer_start(&d->second_look, on_second_look, SECOND_LOOK_MS, 0);
}

static void on_wires(uv_poll_t *poll, int status, int events)
{
    struct daemon *d = poll->data;
    int port = wires_pending(d->wires);

    if (port < 0)
        return;
    plan_second_look(d);
    if (port != d->hv_port) {
        guests_event(d->guests, port);
        return;
    }
    hvlog_copy(&d->hvlog);
    wires_unmask(d->wires, port);
}

static void on_second_look(uv_timer_t *timer)
{
    struct daemon *d = timer->data;

    uv_poll_stop(&d->wires_poll); /* forgotten and added anew, the descriptor is asked whether it can be read */
    uv_poll_start(&d->wires_poll, UV_READABLE, on_wires);
    if (d->events_since)
        plan_second_look(d);
    d->events_since = false;
}

static void on_terminate(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;

    if (d->options.pid_file)
        unlink(d->options.pid_file);
    uv_stop(handle->loop);
}

static void on_reopen(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;

    guests_reopen_logs(d->guests);
    if (d->hv_port >= 0)
        log_reopen(&d->hvlog.log);
}

static void handle_signal(struct daemon *d, uv_loop_t *loop, uv_signal_t *handle, uv_signal_cb callback, int number)
{
    uv_signal_init(loop, handle);
    handle->data = d;
    uv_signal_start(handle, callback, number);
}

/* Three descriptors a guest: as many as we may have. */
static void raise_limits(void)
{
    struct rlimit files;

    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* With those above it. */
static void make_directory(const char *path)
{
    char part[256];

    snprintf(part, sizeof(part), "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(part, 0755);
        *slash = '/';
    }
    if (mkdir(part, 0755) && errno != EEXIST)
        say("%s cannot be made: %s", path, strerror(errno));
}

static int start_hypervisor_log(struct daemon *d)
{
    d->hv_port = -1;
    if (!d->options.log_hypervisor)
        return 0;
    d->hv_port = wires_bind_console_virq(d->wires);
    if (d->hv_port < 0) {
        say("the hypervisor's console signal is taken (%s); does another xenconsoled run?", strerror(-d->hv_port));
        return -1;
    }
    hvlog_open(&d->hvlog, d->hv, &d->options.log, d->options.state_directory);
    return 0;
}

static int write_pid_file(const char *path)
{
    FILE *f = fopen(path, "we");

    if (f && fprintf(f, "%d\n", (int)getpid()) > 0 && !fclose(f))
        return 0;
    say("%s cannot be written: %s", path, strerror(errno));
    return -1;
}

/* What is wrong before this is told on the terminal; after it, in the system's log. */
static int leave_terminal(const struct options *o)
{
    if (o->fork) {
        say_to_syslog();
        if (daemon(0, 0)) {
            say("cannot go into the background: %s", strerror(errno));
            return -1;
        }
    }
    return o->pid_file ? write_pid_file(o->pid_file) : 0;
}

static int start(struct daemon *d, uv_loop_t *loop)
{
    struct report r;

    make_directory(d->options.state_directory);
    if (d->options.log_hypervisor || d->options.log_guests)
        make_directory(d->options.log.directory);
    if (hv_open(&d->hv, &r) || wires_open(&d->wires, d->hv, &r)) {
        say("%s", r.text);
        return -1;
    }
    if (leave_terminal(&d->options) || uv_loop_init(loop) || start_hypervisor_log(d))
        return -1;
    if (guests_open(&d->guests, loop, d->hv, d->wires, d->options.log_guests ? &d->options.log : NULL, &r)) {
        say("%s", r.text);
        return -1;
    }
    handle_signal(d, loop, &d->terminate, on_terminate, SIGTERM);
    handle_signal(d, loop, &d->interrupt, on_terminate, SIGINT);
    handle_signal(d, loop, &d->reopen, on_reopen, SIGHUP);
    uv_timer_init(loop, &d->second_look);
    d->second_look.data = d;
    uv_poll_init(loop, &d->wires_poll, wires_fd(d->wires));
    d->wires_poll.data = d;
    uv_poll_start(&d->wires_poll, UV_READABLE, on_wires);
    return 0;
}

int main(int argc, char **argv)
{
    static struct daemon d;
    static uv_loop_t loop;
    int rc = options_parse(&d.options, argc, argv);

    if (rc >= 0)
        return rc;
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    raise_limits();
    if (start(&d, &loop))
        return EXIT_FAILURE;
    uv_run(&loop, UV_RUN_DEFAULT);
    return EXIT_SUCCESS;
}
