/* SPDX-License-Identifier: MIT */
/*
 * Who is there: see guests.h. What it owns: `present`, one guest per living domain but Domain 0, by domid; `ending`, consoles of dead
 * domains that somebody still reads; `by_port`, which console a port belongs to. A guest's memory goes with its closed uv handle.
 */
#include "xenconsoled/guest.h"
#include "xenconsoled/say.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define LIST_BATCH 64
#define TOKEN_SCAN "scan"

struct guests {
    struct hv *hv;
    struct wires *wires;
    const struct log_policy *log;
    struct store *store;
    struct guest *present, *ending;
    struct guest **by_port;
    size_t ports;
    int inotify_fd;
    uv_poll_t inotify;
    uv_timer_t tick;
    bool want_scan;
};

/* ---- Ports --------------------------------------------------------------------------------------------------- */

static void set_port(struct guests *g, int port, struct guest *guest)
{
    size_t want = (size_t)port + 1, ports = g->ports ? g->ports : 64;
    struct guest **grown;

    if (want > g->ports) {
        while (ports < want)
            ports *= 2;
        grown = realloc(g->by_port, ports * sizeof(*grown));
        if (!grown)
            return;
        memset(grown + g->ports, 0, (ports - g->ports) * sizeof(*grown));
        g->by_port = grown;
        g->ports = ports;
    }
    g->by_port[port] = guest;
}

/* The port of a broken console may already be somebody else's. */
static void clear_port(struct guests *g, const struct guest *guest)
{
    size_t port = (size_t)guest->console.wire.port;

    if (port < g->ports && g->by_port[port] == guest)
        g->by_port[port] = NULL;
}

/* ---- Terminals and time -------------------------------------------------------------------------------------- */

static void on_tick(uv_timer_t *timer);
static void settle(struct guest *guest);

static uint64_t now_ms(const struct guests *g)
{
    return uv_now(g->tick.loop);
}

static void on_terminal(uv_poll_t *poll, int status, int events)
{
    struct guest *guest = poll->data;

    if (status) { /* not seen while a slave is open; nothing would get better by looking again */
        uv_poll_stop(poll);
        return;
    }
    console_terminal(&guest->console, events & UV_READABLE, events & UV_WRITABLE, now_ms(guest->all));
    settle(guest);
}

/* After anything has happened to a console: what its terminal is watched for, whether the clock must run. */
static void settle(struct guest *guest)
{
    struct console *c = &guest->console;
    struct console_interest want = console_interest(c);
    int events = (want.readable ? UV_READABLE : 0) | (want.writable ? UV_WRITABLE : 0);
    struct guests *g = guest->all;

    if (events != guest->poll_events) {
        guest->poll_events = events;
        if (events)
            uv_poll_start(&guest->poll, events, on_terminal);
        else
            uv_poll_stop(&guest->poll);
    }
    if (console_needs_tick(c) && !uv_is_active((uv_handle_t *)&g->tick))
        uv_timer_start(&g->tick, on_tick, CONSOLE_PERIOD_MS, CONSOLE_PERIOD_MS);
}

static void free_guest(uv_handle_t *handle)
{
    free(handle->data);
}

static void discard(struct guest *guest)
{
    if (!guest->joined) {
        free(guest);
        return;
    }
    uv_close((uv_handle_t *)&guest->poll, free_guest);
    console_close(&guest->console, guest->all->inotify_fd);
}

static void on_tick(uv_timer_t *timer)
{
    struct guests *g = timer->data;
    bool again = false;

    for (struct guest *guest = g->present; guest; guest = guest->next) {
        if (!guest->joined || !console_needs_tick(&guest->console))
            continue;
        console_tick(&guest->console, now_ms(g));
        settle(guest);
        again |= console_needs_tick(&guest->console);
    }
    for (struct guest **at = &g->ending; *at;) {
        struct guest *guest = *at;

        if (console_tick(&guest->console, now_ms(g))) {
            settle(guest);
            at = &guest->next;
        } else {
            *at = guest->next;
            discard(guest);
        }
    }
    if (!again && !g->ending)
        uv_timer_stop(timer);
}

static struct guest *find_watch(struct guests *g, int wd)
{
    struct guest *lists[] = {g->present, g->ending};

    for (unsigned i = 0; i < 2; i++)
        for (struct guest *guest = lists[i]; guest; guest = guest->next)
            if (guest->joined && guest->console.pty.watch == wd)
                return guest;
    return NULL;
}

/* When the queue has overflowed the counts may be wrong: they come right as terminals are closed and opened. */
static void on_inotify(uv_poll_t *poll, int status, int events)
{
    struct guests *g = poll->data;
    char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t len = read(g->inotify_fd, buf, sizeof(buf));
    const struct inotify_event *event;

    for (ssize_t at = 0; at < len; at += (ssize_t)(sizeof(*event) + event->len)) {
        struct guest *guest;

        event = (const struct inotify_event *)(buf + at);
        guest = find_watch(g, event->wd);
        if (!guest || !(event->mask & (IN_OPEN | IN_CLOSE)))
            continue;
        console_readers(&guest->console, event->mask & IN_OPEN ? 1 : -1, now_ms(g));
        settle(guest);
    }
}

/* ---- Coming and going ---------------------------------------------------------------------------------------- */

static void join(struct guest *guest)
{
    struct guests *g = guest->all;
    struct xs_handle *xs = store_handle(g->store);
    bool before = guest->joined;

    if (!xs)
        return;
    guest_join(guest, xs, g->inotify_fd, g->wires, g->log);
    if (!guest->joined || before)
        return;
    uv_poll_init(g->tick.loop, &guest->poll, guest->console.pty.master);
    guest->poll.data = guest;
    set_port(g, guest->console.wire.port, guest);
    console_event(&guest->console, now_ms(g)); /* what was written before */
    settle(guest);
}

/* Takes it off the list; its terminal may live on for a moment. */
static void end_guest(struct guest **at)
{
    struct guest *guest = *at;
    struct guests *g = guest->all;

    *at = guest->next;
    guest_unwatch(guest, store_handle(g->store));
    if (!guest->joined) {
        discard(guest);
        return;
    }
    clear_port(g, guest);
    console_end(&guest->console, now_ms(g));
    guest->next = g->ending;
    g->ending = guest;
    settle(guest);
}

/* The list is walked along with the hypervisor's: *at is the first guest not yet compared. Returns where to go on. */
static struct guest **compare(struct guests *g, struct guest **at, const struct xen_domctl_getdomaininfo *info)
{
    bool dying = info->flags & XEN_DOMINF_dying;
    struct guest *guest;

    while (*at && (*at)->domid < info->domain)
        end_guest(at);
    if (*at && (*at)->domid == info->domain && (dying || memcmp((*at)->uuid, info->handle, sizeof((*at)->uuid))))
        end_guest(at);
    if (dying)
        return at;
    if (!*at || (*at)->domid != info->domain) {
        guest = calloc(1, sizeof(*guest));
        if (!guest)
            return at;
        guest->all = g;
        guest->domid = info->domain;
        memcpy(guest->uuid, info->handle, sizeof(guest->uuid));
        guest->next = *at;
        *at = guest;
    }
    if (!(*at)->told)
        join(*at);
    return &(*at)->next;
}

static void scan(struct guests *g)
{
    struct xen_domctl_getdomaininfo infos[LIST_BATCH];
    struct guest **at = &g->present;
    uint32_t first = 1;
    int n;

    do {
        n = hv_domain_list(g->hv, first, LIST_BATCH, infos);
        if (n < 0) {
            say("the hypervisor does not list its domains: %s", strerror(-n));
            return;
        }
        for (int i = 0; i < n; i++) {
            at = compare(g, at, &infos[i]);
            first = infos[i].domain + 1u;
        }
    } while (n == LIST_BATCH);
    while (*at)
        end_guest(at);
}

/* ---- What xenstore says -------------------------------------------------------------------------------------- */

static void on_connected(void *context)
{
    struct guests *g = context;
    struct xs_handle *xs = store_handle(g->store);

    for (struct guest *guest = g->present; guest; guest = guest->next)
        guest_unwatch(guest, NULL);
    if (!xs_watch(xs, "@introduceDomain", TOKEN_SCAN) || !xs_watch(xs, "@releaseDomain", TOKEN_SCAN))
        say("xenstored refuses watches on domains coming and going: %s", strerror(errno));
    scan(g);
}

static void on_changed(void *context, const char *token)
{
    struct guests *g = context;
    unsigned long domid;

    if (!strcmp(token, TOKEN_SCAN)) {
        g->want_scan = true;
        return;
    }
    domid = strtoul(token, NULL, 10);
    for (struct guest *guest = g->present; guest && guest->domid <= domid; guest = guest->next)
        if (guest->domid == domid)
            join(guest);
}

static void on_settled(void *context)
{
    struct guests *g = context;

    if (g->want_scan)
        scan(g);
    g->want_scan = false;
}

/* ---- The daemon's view --------------------------------------------------------------------------------------- */

int guests_open(struct guests **out, uv_loop_t *loop, struct hv *hv, struct wires *wires, const struct log_policy *log,
                struct report *r)
{
    struct guests *g = calloc(1, sizeof(*g));
    struct store_user user = {g, on_connected, on_changed, on_settled};

    if (!g)
        return report_set(r, REPORT_FAILED, "no memory");
    g->hv = hv;
    g->wires = wires;
    g->log = log;
    g->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    g->store = g->inotify_fd < 0 ? NULL : store_open(loop, &user);
    if (!g->store) {
        report_set(r, REPORT_FAILED, "no memory, or no inotify: %s", strerror(errno));
        free(g);
        return -1;
    }
    uv_timer_init(loop, &g->tick);
    g->tick.data = g;
    uv_poll_init(loop, &g->inotify, g->inotify_fd);
    g->inotify.data = g;
    uv_poll_start(&g->inotify, UV_READABLE, on_inotify);
    *out = g;
    return 0;
}

void guests_event(struct guests *g, int port)
{
    struct guest *guest = (size_t)port < g->ports ? g->by_port[port] : NULL;

    if (!guest)
        return;
    console_event(&guest->console, now_ms(g));
    settle(guest);
}

void guests_reopen_logs(struct guests *g)
{
    for (struct guest *guest = g->present; guest; guest = guest->next)
        if (guest->joined)
            log_reopen(&guest->console.log);
}
