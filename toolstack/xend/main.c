/* SPDX-License-Identifier: MIT */
/*
 * xend: the authority over domains. Read main() for what is brought up, and in which order; then vm.h, life.c, events.c, api.c.
 *
 *   main.c    this; options, the one-xend-only lock            server.c  clients, lines        api.c     the methods
 *   vm.c      records of domains        state.c   their files  job.c     workers, queues       record.c  VM records
 *   life.c    from state to state       domain.c  hypervisor   nodes.c   xenstore's nodes      check.c   what stands against it
 *   device.c  vbd.c vif.c loop.c script.c  devices             store.c   xenstore              events.c  what just happens
 *   config.c  settings                  host.c    the machine  log.c     the log               files.c   small files
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/fault.h"
#include "xend/api.h"
#include "xend/clock.h"
#include "xend/events.h"
#include "xend/files.h"
#include "xend/host.h"
#include "xend/log.h"
#include "xend/nodes.h"
#include "xend/script.h"
#include "xend/server.h"
#include "xend/state.h"
#include "xend/store.h"
#include "xend/xend.h"

#define RUN_DIR   "/run/xend"
#define CACHE_DIR "/var/cache/xend"
#define LOG_PATH  "/var/log/xen/xend.log"
#define WORKERS   "16" /* jobs side by side; most only wait for a script or a backend */
#define START_S   90
#define STOP_S    60
#define PATH_SIZE 512

struct xend xend;
static const char *config_path = XEND_CONFIG_PATH;
static bool stopping;

static const char usage_text[] =
    "usage: xend [OPTIONS]                run in the foreground\n"
    "       xend start|stop|restart|status [OPTIONS]\n"
    "  --config FILE     settings (" XEND_CONFIG_PATH ")\n"
    "  --state-dir DIR   socket, lock and the state of domains (" RUN_DIR ")\n"
    "  --cache-dir DIR   unpacked kernels (" CACHE_DIR ")\n"
    "  --log FILE        the log (" LOG_PATH ")\n"
    "  --debug           more in the log, the log on standard error as well, the call debug.fail_at\n"
    "  --fail-at STEP    that step of building a domain fails when it is next reached (with --debug)\n";

static void path_in_run_dir(char path[PATH_SIZE], const char *name)
{
    snprintf(path, PATH_SIZE, "%s/%s", xend.run_dir, name);
}

/* ---- One xend only ------------------------------------------------------------------------------------------------ */

/* The file xend.pid is locked as long as xend lives. Returns its descriptor, -1: another has it, its pid in *other. */
static int take_lock(pid_t *other)
{
    char path[PATH_SIZE], text[32];
    int fd;

    *other = 0;
    path_in_run_dir(path, "xend.pid");
    files_make_parent(path);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return -1;
    if (!flock(fd, LOCK_EX | LOCK_NB))
        return fd;
    if (files_read_line(path, text, sizeof(text)))
        *other = (pid_t)atoi(text);
    close(fd);
    return -1;
}

static int hold_lock(struct report *r)
{
    pid_t other;
    int fd = take_lock(&other);

    if (fd < 0 && other)
        return report_set(r, REPORT_EXISTS, "xend is running already (process %d)", other);
    if (fd < 0)
        return report_set(r, REPORT_FAILED, "%s/xend.pid cannot be locked: %s", xend.run_dir, strerror(errno));
    if (ftruncate(fd, 0) || dprintf(fd, "%d\n", getpid()) < 0)
        log_warn("xend.pid cannot be written: %m");
    return 0;
}

/* ---- Bringing up -------------------------------------------------------------------------------------------------- */

/* Once after the machine's boot, not after each start of xend. */
static void run_network_script(void)
{
    struct script script = {.command = xend.config.network_script, .action = "start"};
    char marker[PATH_SIZE];
    struct report r = {0};

    path_in_run_dir(marker, "network-started");
    if (!script.command || !access(marker, F_OK))
        return;
    if (script_run(&script, &r))
        log_error("network-script: %s", r.text);
    else if (files_replace(marker, "", 0))
        log_warn("%s cannot be made: %m", marker);
}

static void write_domain0(struct job *j)
{
    struct store *s = store_get();

    if (s)
        nodes_write_domain0(s);
    store_put(s);
}

static void nothing(struct job *j)
{
}

static void on_signal(uv_signal_t *s, int number)
{
    if (stopping)
        _exit(0); /* asked twice: what is under way is taken up by the next xend */
    stopping = true;
    log_info("xend ends: %u jobs to finish", job_count());
    server_close();
}

/* Ends when the last job has. */
static void on_idle_check(uv_check_t *c)
{
    if (stopping && !job_count())
        uv_stop(uv_default_loop());
}

static int open_all(struct report *r)
{
    char path[PATH_SIZE];

    if (hold_lock(r))
        return -1;
    log_info("xend starts");
    path_in_run_dir(path, "domains");
    if (xend_config_load(config_path, &xend.config, r) || state_open(path, r) || hv_open(&xend.hv, r) ||
        kernel_cache_open(xend.cache_dir, &xend.kernels, r))
        return -1;
    host_limit_dom0_cpus(xend.config.dom0_cpus);
    run_network_script();
    events_open();
    path_in_run_dir(path, "xend.sock");
    return server_open(path, api_handle, r);
}

/* Serves until a signal. `ready`: a descriptor to close when clients can come, -1. */
static int serve(int ready)
{
    static struct job domain0 = {.run = write_domain0, .done = nothing};
    static uv_signal_t term, interrupt;
    static uv_check_t check;
    struct report r = {0};
    uv_loop_t *loop;

    setenv("UV_THREADPOOL_SIZE", WORKERS, 0);
    signal(SIGPIPE, SIG_IGN);
    json_object_seed(0);
    log_open(xend.log_path, xend.debug);
    if (open_all(&r)) {
        log_error("%s", r.text);
        fprintf(stderr, "xend: %s\n", r.text);
        return 1;
    }
    loop = uv_default_loop();
    job_submit(&domain0);
    uv_signal_init(loop, &term);
    uv_signal_start(&term, on_signal, SIGTERM);
    uv_signal_init(loop, &interrupt);
    uv_signal_start(&interrupt, on_signal, SIGINT);
    uv_check_init(loop, &check);
    uv_check_start(&check, on_idle_check);
    if (ready >= 0)
        close(ready);
    uv_run(loop, UV_RUN_DEFAULT);
    log_info("xend has ended");
    return 0;
}

/* ---- start, stop, status -------------------------------------------------------------------------------------------- */

static pid_t running_pid(void)
{
    pid_t other;
    int fd = take_lock(&other);

    if (fd >= 0)
        close(fd);
    return other;
}

static int do_status(void)
{
    pid_t pid = running_pid();

    if (pid)
        printf("xend is running (process %d)\n", pid);
    else
        printf("xend is not running\n");
    return pid ? 0 : 3;
}

static int do_stop(void)
{
    uint64_t until = clock_ms() + STOP_S * 1000;
    pid_t pid = running_pid();

    if (!pid)
        return 0;
    if (kill(pid, SIGTERM)) {
        fprintf(stderr, "xend: process %d cannot be ended: %s\n", pid, strerror(errno));
        return 1;
    }
    while (running_pid() == pid) {
        if (clock_ms() > until) {
            fprintf(stderr, "xend: process %d does not end\n", pid);
            return 1;
        }
        clock_sleep_ms(20);
    }
    return 0;
}

/* The child serves; the parent waits until it does. A pipe tells: closed by serve(), or by the child's end. */
static int do_start(void)
{
    int ends[2], status = 0;
    char byte;
    pid_t pid;

    if (running_pid())
        return do_status();
    if (pipe2(ends, O_CLOEXEC) || (pid = fork()) < 0) {
        fprintf(stderr, "xend: cannot start: %s\n", strerror(errno));
        return 1;
    }
    if (!pid) {
        close(ends[0]);
        setsid();
        if (!freopen("/dev/null", "r", stdin) || chdir("/"))
            _exit(1);
        exit(serve(ends[1]));
    }
    close(ends[1]);
    while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
        ;
    return running_pid() == pid ? 0 : (waitpid(pid, &status, WNOHANG), 1);
}

/* ---- Options ---------------------------------------------------------------------------------------------------------- */

static int usage(FILE *to, int status)
{
    fputs(usage_text, to);
    return status;
}

static int read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"state-dir", required_argument, NULL, 's'},
        {"cache-dir", required_argument, NULL, 'k'},
        {"log", required_argument, NULL, 'l'},
        {"debug", no_argument, NULL, 'd'},
        {"fail-at", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int o;

    xend = (struct xend){.run_dir = RUN_DIR, .cache_dir = CACHE_DIR, .log_path = LOG_PATH};
    while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1)
        switch (o) {
        case 'c':
            config_path = optarg;
            break;
        case 's':
            xend.run_dir = optarg;
            break;
        case 'k':
            xend.cache_dir = optarg;
            break;
        case 'l':
            xend.log_path = optarg;
            break;
        case 'd':
            xend.debug = true;
            break;
        case 'f':
            if (fault_arm(optarg)) {
                fprintf(stderr, "xend: there is no step '%s'\n", optarg);
                return 2;
            }
            break;
        case 'h':
            exit(usage(stdout, 0));
        default:
            return usage(stderr, 2);
        }
    return 0;
}

int main(int argc, char **argv)
{
    int rc = read_options(argc, argv);
    const char *command;

    if (rc)
        return rc;
    if (argc - optind > 1)
        return usage(stderr, 2);
    command = optind < argc ? argv[optind] : "";
    if (!*command)
        return serve(-1);
    if (!strcmp(command, "start"))
        return do_start();
    if (!strcmp(command, "stop"))
        return do_stop();
    if (!strcmp(command, "restart"))
        return do_stop() ? 1 : do_start();
    if (!strcmp(command, "status"))
        return do_status();
    return usage(stderr, 2);
}
