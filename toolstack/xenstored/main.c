/* SPDX-License-Identifier: MIT */
/*
 * xenstored: the store of Domain 0 and its guests. Options, start, end. What happens in between: protocol.c,
 * loop.c.
 */
#include "xenstored/domain.h"
#include "xenstored/journal.h"
#include "xenstored/loop.h"
#include "xenstored/persist.h"
#include "xenstored/protocol.h"
#include "xenstored/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define RUN_DIR "/run/xenstored"

/* Seconds from the last event to the look for lost ones, at least; at most twice as many. */
#define SECOND_LOOK_S 1

static const char *socket_dir = RUN_DIR, *state_dir = RUN_DIR, *pid_file = "/run/xenstored.pid";
static bool fork_away, no_hypervisor;

static void usage(FILE *to)
{
    fprintf(to, "Usage: xenstored [OPTION]...\n"
                "Serves the store that Domain 0 and its guests share.\n"
                "\n"
                "  -n, --no-fork          stay in the foreground (the default)\n"
                "  -f, --fork             go to the background when ready\n"
                "      --socket-dir DIR   make the socket in DIR (" RUN_DIR ")\n"
                "      --state-dir DIR    keep the journal in DIR, a tmpfs (" RUN_DIR ")\n"
                "      --pid-file FILE    write the process id to FILE (/run/xenstored.pid)\n"
                "      --trace FILE       write a line for each request to FILE\n"
                "      --quota NAME=N     set a limit for guests:\n");
    for (unsigned i = 0; i < QUOTA_COUNT; i++)
        fprintf(to, "                           %-18s %s (%u)\n", quotas[i].name, quotas[i].meaning, quotas[i].limit);
    fprintf(to, "      --no-hypervisor    serve the socket only; for trying it without Xen\n"
                "  -h, --help             print this and end\n");
}

static void set_quota(char *text)
{
    char *equals = strchr(text, '=');

    if (equals)
        *equals = 0;
    if (!equals || !quota_set(text, equals + 1))
        die("--quota %s: expected NAME=NUMBER with a name that --help lists", text);
}

static void parse_options(int argc, char **argv)
{
    enum { SOCKET_DIR = 256, STATE_DIR, PID_FILE, TRACE, QUOTA, NO_HYPERVISOR };
    static const struct option options[] = {{"no-fork", no_argument, NULL, 'n'},
                                            {"fork", no_argument, NULL, 'f'},
                                            {"socket-dir", required_argument, NULL, SOCKET_DIR},
                                            {"state-dir", required_argument, NULL, STATE_DIR},
                                            {"pid-file", required_argument, NULL, PID_FILE},
                                            {"trace", required_argument, NULL, TRACE},
                                            {"quota", required_argument, NULL, QUOTA},
                                            {"no-hypervisor", no_argument, NULL, NO_HYPERVISOR},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option;

    while ((option = getopt_long(argc, argv, "nfh", options, NULL)) != -1) {
        switch (option) {
        case 'n':
            fork_away = false;
            break;
        case 'f':
            fork_away = true;
            break;
        case SOCKET_DIR:
            socket_dir = optarg;
            break;
        case STATE_DIR:
            state_dir = optarg;
            break;
        case PID_FILE:
            pid_file = optarg;
            break;
        case TRACE:
            protocol_trace(optarg);
            break;
        case QUOTA:
            set_quota(optarg);
            break;
        case NO_HYPERVISOR:
            no_hypervisor = true;
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            fputs("Try 'xenstored --help'.\n", stderr);
            exit(2);
        }
    }
    if (optind < argc)
        die("unexpected argument '%s'; try 'xenstored --help'", argv[optind]);
}

/* One daemon at a time: the lock on the pid file is held until the end. */
static void lock_pid_file(void)
{
    char text[16];
    int fd = open(pid_file, O_RDWR | O_CREAT | O_CLOEXEC, 0644), len;

    if (fd < 0)
        die("cannot write the pid file %s: %s", pid_file, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB))
        die("another xenstored holds %s: stop it first", pid_file);
    len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) || write(fd, text, (size_t)len) != len)
        die("cannot write the pid file %s: %s", pid_file, strerror(errno));
}

/* One descriptor for each client: as many as may be. */
static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/*
 * A client writes a request in three pieces. As a batch process the daemon does not interrupt it after the first on
 * the same CPU, but runs when the client waits for the reply: one wake for each request.
 */
static void be_patient(void)
{
    struct sched_param param = {0};

    sched_setscheduler(0, SCHED_BATCH, &param);
}

static void make_dir(const char *dir)
{
    if (mkdir(dir, 0755) && errno != EEXIST)
        die("cannot make the directory %s: %s", dir, strerror(errno));
}

/* The nodes that are there before anyone writes one. Only Domain 0 sees them. */
static void first_nodes(void)
{
    static const char *const paths[] = {"/local/domain", "/tool/xenstored"};
    static const struct subject domain0 = {.domid = 0, .target = NO_TARGET};

    account_add(NULL, 0, 1);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct change *change = change_new(CHANGE_MKDIR, &domain0, paths[i], (uint32_t)strlen(paths[i]), NULL, 0);

        view_apply(&store, change);
        change_free(change);
    }
}

/* The tree as it was, or a new one. Stamps go on from the clock, so none is given twice whatever happens between. */
static void load(void)
{
    struct timespec now;
    struct perms *perms;

    clock_gettime(CLOCK_MONOTONIC, &now);
    tree_stamp_start((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
    perms = perms_new(1);
    perms->entry[0] = (struct perm){0, ACCESS_NONE};
    store.root = tree_new(perms);
    if (!journal_replay(state_dir, persist_play))
        first_nodes();
    journal_start(state_dir, persist_snapshot);
}

static void signal_ready(struct source *source, uint32_t events)
{
    loop_stop();
}

static void catch_signals(void)
{
    static struct source source = {.ready = signal_ready};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    source.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (source.fd < 0 || loop_add(&source, EPOLLIN))
        die("cannot catch signals: %s", strerror(errno));
}

static int second_look_timer;
static bool second_look_due, events_since;

/*
 * Linux's /dev/xen/evtchn looks whether its reader has taken all before it adds a port, and wakes it only then. If
 * meanwhile we take the last one and go to sleep, neither that port nor any later one wakes us. So some time after
 * the last events, once, everything is looked at without having been told to.
 */
static void plan_second_look(void)
{
    static const struct itimerspec in = {.it_value = {.tv_sec = SECOND_LOOK_S}};

    if (second_look_due)
        events_since = true;
    else
        second_look_due = !timerfd_settime(second_look_timer, 0, &in, NULL);
}

static void hypervisor_ready(struct source *source, uint32_t events)
{
    if (domain_events())
        plan_second_look();
}

static struct source hypervisor = {.ready = hypervisor_ready};

static void second_look_ready(struct source *source, uint32_t events)
{
    uint64_t times;

    if (read(source->fd, &times, sizeof(times)) != sizeof(times))
        return;
    second_look_due = false;
    loop_change(&hypervisor, EPOLLIN); /* so epoll asks again whether there are ports to take */
    domain_look_again();
    if (events_since)
        plan_second_look();
    events_since = false;
}

static void join_hypervisor(void)
{
    static struct source second_look = {.ready = second_look_ready};

    if (!domain_start())
        die("no hypervisor, no rings; --no-hypervisor serves the socket only");
    hypervisor.fd = hv_event_fd();
    second_look_timer = second_look.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop_add(&hypervisor, EPOLLIN) || loop_add(&second_look, EPOLLIN))
        die("cannot wait for event channels: %s", strerror(errno));
}

/* The parent ends when the child is ready, with its status. */
static void go_to_background(int *ready)
{
    int pipe_fds[2];
    char byte;
    pid_t pid;

    if (pipe2(pipe_fds, O_CLOEXEC))
        die("cannot make a pipe: %s", strerror(errno));
    pid = fork();
    if (pid < 0)
        die("cannot fork: %s", strerror(errno));
    if (pid) {
        close(pipe_fds[1]);
        _exit(read(pipe_fds[0], &byte, 1) == 1 ? 0 : 1);
    }
    close(pipe_fds[0]);
    setsid();
    *ready = pipe_fds[1];
}

int main(int argc, char **argv)
{
    int ready = -1;

    parse_options(argc, argv);
    if (fork_away)
        go_to_background(&ready);
    lock_pid_file();
    make_dir(socket_dir);
    make_dir(state_dir);
    raise_limits();
    be_patient();
    loop_init();
    catch_signals();
    load();
    if (!no_hypervisor)
        join_hypervisor();
    socket_listen(socket_dir);
    if (ready >= 0 && write(ready, "", 1) == 1)
        close(ready);
    loop_run();
    socket_unlink();
    unlink(pid_file);
    return 0;
}
