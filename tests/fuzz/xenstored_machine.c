/* SPDX-License-Identifier: MIT */
/* See xenstored.h: the hypervisor's port, the loop and the clients, without a hypervisor and without waiting. */
#include "xenstored.h"
#include "xenstored/journal.h"
#include "xenstored/loop.h"
#include "xenstored/persist.h"
#include "xenstored/protocol.h"
#include "xenstored/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DEATH_PORT   1
#define FIRST_PORT   100
#define FIRST_REMOTE 5
#define SOURCES_MAX  64
#define ROUNDS_MAX   10000
#define JOURNAL_HEAD 48 /* bytes in front of the records */

static char directory[64];
static struct xenstore_domain_interface pages[PEER_DOMAINS];
static struct peer_domain {
    bool exists, dying, shutdown, bound, mapped, pending;
    uint8_t handle;
} peer_domains[PEER_DOMAINS];
static bool death_pending;
static int sockets[PEER_SOCKETS];
static struct source *sources[SOURCES_MAX], *listener;

/* Guests' misdeeds are told, but not to the fuzzer's log. The daemon's function is wrapped (fuzz.mk). */
void __wrap_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void __wrap_say(const char *format, ...)
{
    char line[4096];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
}

/* ---- The loop ---- */

int loop_add(struct source *source, uint32_t events)
{
    (void)events;
    if (!listener) {
        listener = source;
        return 0;
    }
    for (unsigned i = 0; i < SOURCES_MAX; i++)
        if (!sources[i]) {
            sources[i] = source;
            return 0;
        }
    return -ENOMEM;
}

void loop_change(struct source *source, uint32_t events)
{
    (void)source;
    (void)events;
}

void loop_remove(struct source *source)
{
    for (unsigned i = 0; i < SOURCES_MAX; i++)
        if (sources[i] == source)
            sources[i] = NULL;
}

static void turns(void)
{
    unsigned rounds = 0;

    do {
        connection_turns();
        connection_reap();
        MUST(++rounds < ROUNDS_MAX, "it has always something to do");
    } while (connection_waiting());
}

void store_settle(void)
{
    death_pending = true;
    store_serve();
}

void store_serve(void)
{
    domain_events();
    for (unsigned i = 0; i < SOURCES_MAX; i++)
        if (sources[i])
            sources[i]->ready(sources[i], EPOLLIN | EPOLLOUT);
    turns();
}

/* ---- The hypervisor ---- */

int hv_open(void)
{
    for (unsigned i = 0; i < PEER_DOMAINS; i++)
        peer_domains[i].bound = peer_domains[i].mapped = false;
    return 0;
}

int hv_event_next(void)
{
    if (death_pending) {
        death_pending = false;
        return DEATH_PORT;
    }
    for (unsigned i = 0; i < PEER_DOMAINS; i++)
        if (peer_domains[i].pending && peer_domains[i].bound) {
            peer_domains[i].pending = false;
            return (int)(FIRST_PORT + i);
        }
    return -EAGAIN;
}

void hv_unmask(unsigned port)
{
    MUST(port == DEATH_PORT || (port >= FIRST_PORT && port < FIRST_PORT + PEER_DOMAINS), "port %u", port);
}

unsigned hv_death_port(void)
{
    return DEATH_PORT;
}

struct xenstore_domain_interface *hv_map_ring(unsigned domid)
{
    if (domid >= PEER_DOMAINS || !peer_domains[domid].exists)
        return NULL;
    MUST(!peer_domains[domid].mapped, "the ring of domain %u is mapped twice", domid);
    peer_domains[domid].mapped = true;
    return &pages[domid];
}

void hv_unmap_ring(unsigned domid, struct xenstore_domain_interface *page)
{
    MUST(domid < PEER_DOMAINS && page == &pages[domid] && peer_domains[domid].mapped, "unmapped, but not mapped");
    peer_domains[domid].mapped = false;
}

int hv_own_kernel_port(void)
{
    return FIRST_REMOTE;
}

int hv_bind(unsigned domid, unsigned remote_port)
{
    if (domid >= PEER_DOMAINS || remote_port != peer_port(domid) || peer_domains[domid].bound)
        return -EINVAL;
    peer_domains[domid].bound = true;
    return (int)(FIRST_PORT + domid);
}

void hv_unbind(unsigned port)
{
    MUST(port >= FIRST_PORT && port < FIRST_PORT + PEER_DOMAINS && peer_domains[port - FIRST_PORT].bound,
         "port %u is not bound", port);
    peer_domains[port - FIRST_PORT].bound = false;
}

void hv_notify(unsigned port)
{
    MUST(port >= FIRST_PORT && port < FIRST_PORT + PEER_DOMAINS && peer_domains[port - FIRST_PORT].bound,
         "port %u is not bound", port);
}

int hv_domains(unsigned first, struct hv_domain *list, unsigned max)
{
    unsigned count = 0;

    for (unsigned i = first; i < PEER_DOMAINS && count < max; i++) {
        const struct peer_domain *from = &peer_domains[i];

        if (!from->exists)
            continue;
        list[count] = (struct hv_domain){.domid = i, .dying = from->dying, .shutdown = from->shutdown};
        memset(list[count++].handle, from->handle, sizeof(list[0].handle));
    }
    return (int)count;
}

/* ---- Peers ---- */

uint32_t peer_port(unsigned peer)
{
    return FIRST_REMOTE + peer;
}

void peer_change(unsigned peer, enum peer_change change)
{
    struct peer_domain *d = &peer_domains[peer];

    switch (change) {
    case PEER_EXISTS:
        d->exists = true;
        d->dying = d->shutdown = false;
        break;
    case PEER_DYING:
        d->dying = true;
        break;
    case PEER_SHUTDOWN:
        d->shutdown = true;
        break;
    case PEER_GONE:
        d->exists = false;
        break;
    default:
        d->handle++;
    }
    death_pending = true;
}

void peer_poke(unsigned peer, unsigned field, uint32_t value)
{
    struct xenstore_domain_interface *page = &pages[peer];
    uint32_t *fields[] = {&page->req_cons, &page->req_prod,   &page->rsp_cons,
                          &page->rsp_prod, &page->connection, &page->error};

    *fields[field % 6] = value;
    peer_domains[peer].pending = true;
}

static void write_ring(struct xenstore_domain_interface *page, const uint8_t *bytes, uint32_t len)
{
    uint32_t used = page->req_prod - page->req_cons, room = used < XENSTORE_RING_SIZE ? XENSTORE_RING_SIZE - used : 0;

    for (uint32_t i = 0; i < len && i < room; i++)
        page->req[MASK_XENSTORE_IDX(page->req_prod++)] = (char)bytes[i];
}

void peer_write(unsigned peer, const void *bytes, uint32_t len)
{
    if (peer >= PEER_DOMAINS) {
        if (sockets[peer - PEER_DOMAINS] >= 0)
            (void)!send(sockets[peer - PEER_DOMAINS], bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        return;
    }
    write_ring(&pages[peer], bytes, len);
    peer_domains[peer].pending = true;
}

void peer_connect(unsigned peer)
{
    int *fd = &sockets[peer - PEER_DOMAINS];
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (*fd >= 0)
        close(*fd);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(*fd >= 0 && !connect(*fd, (struct sockaddr *)&address, sizeof(address)), "cannot connect: %s",
         strerror(errno));
    listener->ready(listener, EPOLLIN);
}

/* A socket's output is a sequence of whole messages: replies and watch events. */
static void check_messages(const char *bytes, size_t size)
{
    struct xsd_sockmsg head;

    for (; size; bytes += sizeof(head) + head.len, size -= sizeof(head) + head.len) {
        if (size < sizeof(head))
            return;
        memcpy(&head, bytes, sizeof(head));
        MUST(head.len <= XENSTORE_PAYLOAD_MAX, "a message of %u bytes", head.len);
        if (size < sizeof(head) + head.len)
            return;
        MUST(head.type < XS_TYPE_COUNT, "type %u", head.type);
        if (head.type == XS_WATCH_EVENT || head.type == XS_ERROR)
            MUST(head.len && !bytes[sizeof(head) + head.len - 1], "not a string");
    }
}

void peer_take(unsigned peer)
{
    static char bytes[1 << 18];
    ssize_t n;

    if (peer < PEER_DOMAINS) {
        if (pages[peer].rsp_cons != pages[peer].rsp_prod)
            peer_domains[peer].pending = true;
        pages[peer].rsp_cons = pages[peer].rsp_prod;
        return;
    }
    if (sockets[peer - PEER_DOMAINS] < 0)
        return;
    n = recv(sockets[peer - PEER_DOMAINS], bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n > 0)
        check_messages(bytes, (size_t)n);
}

/* ---- Start and end ---- */

static void remove_directory(void)
{
    char path[128];

    socket_unlink();
    snprintf(path, sizeof(path), "%s/journal", directory);
    unlink(path);
    rmdir(directory);
}

static void make_directory(void)
{
    snprintf(directory, sizeof(directory), "/dev/shm/fuzz-xenstored.XXXXXX");
    MUST(mkdtemp(directory), "no directory: %s", strerror(errno));
    atexit(remove_directory);
    for (unsigned i = 0; i < PEER_SOCKETS; i++)
        sockets[i] = -1;
    socket_listen(directory);
}

/* As main.c does it. */
static void load(void)
{
    static const struct subject domain0 = {.domid = 0, .target = NO_TARGET};
    struct perms *perms = perms_new(1);
    struct change *change;

    perms->entry[0] = (struct perm){0, ACCESS_NONE};
    store.root = tree_new(perms);
    if (!journal_replay(directory, persist_play)) {
        account_add(NULL, 0, 1);
        change = change_new(CHANGE_MKDIR, &domain0, "/local/domain", 13, NULL, 0);
        view_apply(&store, change);
        change_free(change);
    }
    journal_start(directory, persist_snapshot);
    MUST(domain_start(), "no hypervisor");
}

void store_start(void)
{
    char path[128];

    if (!directory[0])
        make_directory();
    snprintf(path, sizeof(path), "%s/journal", directory);
    unlink(path);
    memset(pages, 0, sizeof(pages));
    memset(peer_domains, 0, sizeof(peer_domains));
    for (unsigned i = 0; i < PEER_DOMAINS; i++)
        peer_domains[i].exists = true;
    for (unsigned i = 0; i < PEER_SOCKETS; i++)
        sockets[i] = -1;
    death_pending = false;
    load();
    for (unsigned i = 0; i < PEER_SOCKETS; i++)
        peer_connect(PEER_DOMAINS + i);
}

static void account_off(const struct node *node, const char *path, void *context)
{
    (void)path;
    (void)context;
    account_add(NULL, perms_owner(node->perms), -1);
}

void store_forget(void)
{
    struct buffer path = {0};
    struct connection *conn;
    struct domain *domain;
    struct perms *perms;

    buffer_add(&path, "/", 1);
    tree_walk(store.root, &path, account_off, NULL);
    buffer_clear(&path, 0);
    while ((domain = TAILQ_FIRST(&domains)))
        domain_remove(domain);
    while ((conn = TAILQ_FIRST(&connections)))
        connection_kill(conn);
    connection_reap();
    node_unref(store.root);
    store.root = NULL;
    for (enum special which = 0; which < SPECIAL_COUNT; which++) {
        perms = perms_new(1);
        perms->entry[0] = (struct perm){0, ACCESS_NONE};
        special_set_perms(which, perms);
        perms_unref(perms);
    }
    for (unsigned i = 0; i < PEER_SOCKETS; i++) {
        if (sockets[i] >= 0)
            close(sockets[i]);
        sockets[i] = -1;
    }
}

void store_restart(void)
{
    store_forget();
    load();
    for (unsigned i = 0; i < PEER_SOCKETS; i++)
        peer_connect(PEER_DOMAINS + i);
}

void journal_damage(uint32_t at, uint8_t change)
{
    char path[128];
    struct stat st;
    uint8_t byte;
    int fd;

    snprintf(path, sizeof(path), "%s/journal", directory);
    fd = open(path, O_RDWR | O_CLOEXEC);
    MUST(fd >= 0 && !fstat(fd, &st), "no journal");
    at = JOURNAL_HEAD + at % ((uint32_t)st.st_size - JOURNAL_HEAD);
    MUST(pread(fd, &byte, 1, at) == 1, "cannot read");
    byte ^= change;
    MUST(pwrite(fd, &byte, 1, at) == 1, "cannot write");
    close(fd);
}
