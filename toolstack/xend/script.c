/* SPDX-License-Identifier: MIT */
/*
 * Scripts. The child's output comes through a pipe into the log, a line each; the last line is kept for the report.
 * A descendant that keeps the pipe open does not keep us: what counts is the end of the script itself.
 */
#include "xend/script.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "xend/clock.h"
#include "xend/config.h"
#include "xend/log.h"

#define OUTPUT_LINE_MAX 512
static char script_path_env[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

struct words {
    char text[PATH_MAX + 256]; /* the command; spaces turned into ends */
    char path[PATH_MAX];       /* of the script */
    char *argv[SCRIPT_ARGS_MAX + 2];
};

static int split(const char *command, const char *action, struct words *w, struct report *r)
{
    unsigned count = 0;
    char *save = NULL;

    if (snprintf(w->text, sizeof(w->text), "%s", command) >= (int)sizeof(w->text))
        return report_set(r, REPORT_CONFIG, "the script command '%.60s...' is too long", command);
    for (char *word = strtok_r(w->text, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
        if (count == SCRIPT_ARGS_MAX)
            return report_set(r, REPORT_CONFIG, "the script command '%.60s...' has too many words", command);
        w->argv[count++] = word;
    }
    if (!count)
        return report_set(r, REPORT_CONFIG, "a script's name is empty");
    snprintf(w->path, sizeof(w->path), strchr(w->argv[0], '/') ? "%.0s%s" : "%s/%s", XEND_SCRIPTS_DIR, w->argv[0]);
    w->argv[0] = w->path;
    if (action)
        w->argv[count++] = (char *)action;
    w->argv[count] = NULL;
    return 0;
}

static int check_path(const char *path, struct report *r)
{
    if (!access(path, X_OK))
        return 0;
    return report_set(r, REPORT_NOT_FOUND, errno == ENOENT ? "there is no script %s" : "the script %s cannot be run",
                      path);
}

int script_check(const char *command, struct report *r)
{
    struct words w;

    return split(command, NULL, &w, r) || check_path(w.path, r) ? -1 : 0;
}

/* ---- The child --------------------------------------------------------------------------------------------- */

static pid_t spawn(const struct words *w, char *const env[], int output, struct report *r)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    pid_t pid = -1;
    int error;

    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    error = posix_spawn(&pid, w->path, &files, &attributes, w->argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (!error)
        return pid;
    return report_set(r, REPORT_FAILED, "the script %s cannot be started: %s", w->path, strerror(error));
}

struct output {
    int fd;
    const char *name;
    char line[OUTPUT_LINE_MAX]; /* begun */
    size_t used;
    char last[OUTPUT_LINE_MAX]; /* the last whole one */
};

static void end_line(struct output *o)
{
    o->line[o->used] = '\0';
    if (o->used) {
        memcpy(o->last, o->line, o->used + 1);
        log_info("%s: %s", o->name, o->line);
    }
    o->used = 0;
}

/* False at its end. */
static bool take_output(struct output *o)
{
    char text[1024];
    ssize_t got = read(o->fd, text, sizeof(text));

    for (ssize_t i = 0; i < got; i++) {
        if (text[i] == '\n' || o->used == sizeof(o->line) - 1)
            end_line(o);
        if (text[i] != '\n')
            o->line[o->used++] = text[i];
    }
    return got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN));
}

/* Until the child has ended; false: it took too long. */
static bool watch_child(pid_t pid, struct output *o)
{
    int child = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p[2] = {{.fd = child, .events = POLLIN}, {.fd = o->fd, .events = POLLIN}};
    uint64_t until = clock_ms() + SCRIPT_TIMEOUT_S * 1000, now;
    bool ended = false;

    while (!ended && (now = clock_ms()) < until) {
        if (poll(p, 2, (int)(until - now)) < 0 && errno != EINTR)
            break;
        if (p[1].revents && !take_output(o))
            p[1].fd = -1;
        ended = p[0].revents != 0;
    }
    if (child >= 0)
        close(child);
    if (ended && p[1].fd >= 0)
        take_output(o); /* what it wrote last lies in the pipe */
    end_line(o);
    return ended;
}

static int finish(pid_t pid, const struct words *w, struct output *o, struct report *r)
{
    bool ended = watch_child(pid, o);
    int status = 0;

    if (!ended)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!ended)
        return report_set(r, REPORT_TIMEOUT, "the script %s did not end within %u s and was stopped", w->path,
                          SCRIPT_TIMEOUT_S);
    if (WIFEXITED(status) && !WEXITSTATUS(status))
        return 0;
    return report_set(r, REPORT_FAILED, "the script %s failed%s%s", w->path, o->last[0] ? ": " : "", o->last);
}

int script_run(const struct script *s, struct report *r)
{
    char *env[SCRIPT_ENV_MAX + 2] = {script_path_env};
    struct output o = {0};
    struct words w;
    int ends[2], rc;
    pid_t pid;

    if (split(s->command, s->action, &w, r) || check_path(w.path, r))
        return -1;
    memcpy(env + 1, s->env, sizeof(s->env));
    if (pipe2(ends, O_CLOEXEC))
        return report_set(r, REPORT_FAILED, "no pipe for the script %s: %s", w.path, strerror(errno));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    pid = spawn(&w, env, ends[1], r);
    close(ends[1]);
    o.fd = ends[0];
    o.name = w.path;
    rc = pid > 0 ? finish(pid, &w, &o, r) : -1;
    close(ends[0]);
    return rc;
}
