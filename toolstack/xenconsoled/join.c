/* SPDX-License-Identifier: MIT */
/* Joining a guest's console: what xenstore says of it, and what is told back. Values of xenstore are not trusted to be well-formed. */
#include "xenconsoled/guest.h"
#include "xenconsoled/say.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE  96
#define TELL_TRIES 16

static void node_path(char *path, uint32_t domid, const char *node)
{
    snprintf(path, PATH_SIZE, "/local/domain/%u/%s", domid, node);
}

/* The caller frees; NULL: absent. */
static char *read_node(struct xs_handle *xs, xs_transaction_t t, uint32_t domid, const char *node)
{
    char path[PATH_SIZE];

    node_path(path, domid, node);
    return xs_read(xs, t, path, NULL);
}

static bool read_number(struct xs_handle *xs, uint32_t domid, const char *node, uint64_t *value)
{
    char *text = read_node(xs, XBT_NULL, domid, node), *end = text;
    bool good = false;

    if (text) {
        errno = 0;
        *value = strtoull(text, &end, 10);
        good = end != text && !*end && !errno && *text != '-';
    }
    free(text);
    return good;
}

/* xend may remove the domain's nodes meanwhile: in a transaction, so that none is made anew. */
static bool write_tty(struct xs_handle *xs, xs_transaction_t t, const struct guest *guest)
{
    struct xs_permissions access[] = {{.id = 0, .perms = XS_PERM_NONE}, {.id = guest->domid, .perms = XS_PERM_READ}};
    const char *tty = guest->console.pty.path;
    char path[PATH_SIZE];
    char *port = read_node(xs, t, guest->domid, "console/port");

    if (!port)
        return false;
    free(port);
    node_path(path, guest->domid, "console/tty");
    return xs_write(xs, t, path, tty, (unsigned)strlen(tty)) && xs_set_permissions(xs, t, path, access, 2);
}

static void tell_tty(struct guest *guest, struct xs_handle *xs)
{
    for (unsigned i = 0; i < TELL_TRIES && !guest->told; i++) {
        xs_transaction_t t = xs_transaction_start(xs);
        bool written;

        if (t == XBT_NULL)
            return;
        written = write_tty(xs, t, guest);
        if (xs_transaction_end(xs, t, !written))
            guest->told = written;
        else if (errno != EAGAIN)
            return;
        if (!written)
            return;
    }
}

static void complain(struct guest *guest, const char *what, int err)
{
    if (!guest->complained)
        say("domain %u: %s: %s; it has no console", guest->domid, what, strerror(err));
    guest->complained = true;
}

static void open_log(struct guest *guest, struct xs_handle *xs, const struct log_policy *policy)
{
    char *name;
    char file[128];

    guest->console.log.fd = -1;
    if (!policy)
        return;
    name = read_node(xs, XBT_NULL, guest->domid, "name");
    if (name)
        snprintf(file, sizeof(file), "guest-%s", name);
    else
        snprintf(file, sizeof(file), "guest-domain-%u", guest->domid);
    free(name);
    log_open(&guest->console.log, policy, file);
}

/* The console's nodes. false: not all of them are there. */
struct nodes {
    uint64_t port, ring_ref, limit;
};
static bool read_nodes(struct guest *guest, struct xs_handle *xs, struct nodes *nodes)
{
    char *type;

    if (!read_number(xs, guest->domid, "console/port", &nodes->port) || nodes->port > UINT32_MAX ||
        !read_number(xs, guest->domid, "console/ring-ref", &nodes->ring_ref))
        return false;
    if (!read_number(xs, guest->domid, "console/limit", &nodes->limit))
        nodes->limit = 0;
    type = read_node(xs, XBT_NULL, guest->domid, "console/type");
    guest->not_ours = type && strcmp(type, "xenconsoled");
    free(type);
    return true;
}

static bool open_console(struct guest *guest, const struct nodes *nodes, int inotify_fd, struct wires *wires)
{
    struct console *c = &guest->console;
    int rc;

    memset(c, 0, sizeof(*c));
    rc = pty_open(&c->pty, inotify_fd);
    if (rc) {
        complain(guest, "no pseudo-terminal could be made", -rc);
        return false;
    }
    rc = wire_open(wires, &c->wire, guest->domid, nodes->ring_ref, (uint32_t)nodes->port);
    if (rc) {
        pty_close(&c->pty, inotify_fd);
        complain(guest, "its console ring cannot be joined", -rc);
        return false;
    }
    console_start(c, wires, nodes->limit);
    return true;
}

static void watch(struct guest *guest, struct xs_handle *xs)
{
    char path[PATH_SIZE], token[16];

    if (guest->watched || !xs_is_domain_introduced(xs, guest->domid))
        return;
    node_path(path, guest->domid, "console");
    snprintf(token, sizeof(token), "%u", guest->domid);
    guest->watched = xs_watch(xs, path, token);
}

void guest_unwatch(struct guest *guest, struct xs_handle *xs)
{
    char path[PATH_SIZE], token[16];

    if (guest->watched && xs) {
        node_path(path, guest->domid, "console");
        snprintf(token, sizeof(token), "%u", guest->domid);
        xs_unwatch(xs, path, token);
    }
    guest->watched = false;
}

void guest_join(struct guest *guest, struct xs_handle *xs, int inotify_fd, struct wires *wires,
                const struct log_policy *log)
{
    struct nodes nodes;

    if (!guest->joined && !guest->not_ours) {
        if (!read_nodes(guest, xs, &nodes)) {
            watch(guest, xs);
            return;
        }
        guest_unwatch(guest, xs);
        if (guest->not_ours || !open_console(guest, &nodes, inotify_fd, wires))
            return;
        guest->joined = true;
        open_log(guest, xs, log);
    }
    if (guest->joined && !guest->told)
        tell_tty(guest, xs);
}
