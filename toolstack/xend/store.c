/* SPDX-License-Identifier: MIT */
/*
 * xenstore through libxenstore. What it owns: a few idle connections (`idle`, guarded by `lock`).
 *
 * libxenstore turns to the kernel's ring when the socket refuses it, and would wait there for ever: so the socket is tried first
 * with a connection of our own. Every call is one that may be made twice (writes of values, removals, introductions), so that one
 * that may or may not have been answered is simply made again.
 */
#include "xend/store.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "xend/clock.h"
#include "xend/log.h"

#define WATCH_SLICE_MS    1000
#define RETRY_PAUSE_MS    50
#define TRANSACTION_TRIES 100

struct store {
    struct xs_handle *xs;      /* NULL: to be connected */
    struct xs_handle *watcher; /* has a reading thread: only while something is waited for */
    bool gave_up;              /* xenstored did not come back in time: further calls try but once */
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct xs_handle *idle; /* one connection is kept for the next who asks: more would pile up after a busy time */

/* ---- Connections ------------------------------------------------------------------------------------------- */

bool store_error_is_connection(int error)
{
    return error == EPIPE || error == EBADF || error == ECONNRESET || error == ENOTCONN || error == ECONNREFUSED ||
           error == EIO || error == ECONNABORTED;
}

int store_guard(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", xs_daemon_socket());
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

struct xs_handle *store_connect(void)
{
    int fd = store_guard();

    if (fd < 0) {
        errno = ENOTCONN;
        return NULL;
    }
    close(fd);
    return xs_open(0);
}

struct store *store_get(void)
{
    struct store *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    pthread_mutex_lock(&lock);
    s->xs = idle;
    idle = NULL;
    pthread_mutex_unlock(&lock);
    return s;
}

void store_put(struct store *s)
{
    if (!s)
        return;
    if (s->watcher)
        xs_close(s->watcher);
    pthread_mutex_lock(&lock);
    if (!idle) {
        idle = s->xs;
        s->xs = NULL;
    }
    pthread_mutex_unlock(&lock);
    if (s->xs)
        xs_close(s->xs);
    free(s);
}

static void disconnect(struct store *s)
{
    if (s->xs)
        xs_close(s->xs);
    s->xs = NULL;
}

static uint64_t patience(const struct store *s)
{
    return clock_ms() + (s->gave_up ? 0 : STORE_RETRY_S * 1000);
}

/* After a failed call: true when it should be made again. */
static bool try_again(struct store *s, uint64_t until_ms)
{
    if (!store_error_is_connection(errno))
        return false;
    disconnect(s);
    if (clock_ms() >= until_ms) {
        s->gave_up = true;
        errno = ENOTCONN;
        return false;
    }
    return true;
}

static bool connected(struct store *s, uint64_t until_ms)
{
    while (!s->xs) {
        s->xs = store_connect();
        if (s->xs)
            break;
        if (clock_ms() >= until_ms) {
            s->gave_up = true;
            errno = ENOTCONN;
            return false;
        }
        clock_sleep_ms(RETRY_PAUSE_MS);
    }
    return true;
}

/* Makes a call until it has an answer of xenstored. Inside a transaction a broken connection ends the transaction: no retry. */
#define CALL(s, t, result, expression)                                                                                 \
    do {                                                                                                               \
        uint64_t retry_until = patience(s);                                                                            \
        do {                                                                                                           \
            if (((t) != STORE_OUTSIDE && !(s)->xs) || !connected(s, retry_until))                                      \
                break;                                                                                                 \
            result = expression;                                                                                       \
        } while (!(result) && (t) == STORE_OUTSIDE && try_again(s, retry_until));                                      \
    } while (0)

/* ---- Nodes ------------------------------------------------------------------------------------------------- */

char *store_read(struct store *s, xs_transaction_t t, const char *path)
{
    char *value = NULL;

    CALL(s, t, value, xs_read(s->xs, t, path, NULL));
    return value;
}

long store_read_number(struct store *s, const char *path, long otherwise)
{
    char *text = store_read(s, STORE_OUTSIDE, path), *end = NULL;
    long value = text ? strtol(text, &end, 10) : 0;

    if (!text || end == text || *end)
        value = otherwise;
    free(text);
    return value;
}

int store_write(struct store *s, xs_transaction_t t, const char *path, const char *value)
{
    bool ok = false;

    CALL(s, t, ok, xs_write(s->xs, t, path, value, (unsigned)strlen(value)));
    return ok ? 0 : -1;
}

int store_print(struct store *s, xs_transaction_t t, const char *dir, const char *name, const char *fmt, ...)
{
    char path[STORE_PATH_MAX], value[XENSTORE_PAYLOAD_MAX - STORE_PATH_MAX];
    va_list ap;
    int length;

    va_start(ap, fmt);
    length = vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    if (length >= (int)sizeof(value) || snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path)) {
        errno = E2BIG;
        return -1;
    }
    return store_write(s, t, path, value);
}

int store_mkdir(struct store *s, xs_transaction_t t, const char *path)
{
    bool ok = false;

    CALL(s, t, ok, xs_mkdir(s->xs, t, path));
    return ok ? 0 : -1;
}

int store_remove(struct store *s, xs_transaction_t t, const char *path)
{
    bool ok = false;

    CALL(s, t, ok, xs_rm(s->xs, t, path));
    return ok || errno == ENOENT ? 0 : -1;
}

int store_set_access(struct store *s, xs_transaction_t t, const char *path, uint32_t owner, uint32_t reader)
{
    struct xs_permissions access[2] = {{.id = owner, .perms = XS_PERM_NONE}, {.id = reader, .perms = XS_PERM_READ}};
    bool ok = false;

    CALL(s, t, ok, xs_set_permissions(s->xs, t, path, access, owner == reader ? 1 : 2));
    return ok ? 0 : -1;
}

char **store_list(struct store *s, const char *path, unsigned *count)
{
    char **names = NULL;

    *count = 0;
    CALL(s, STORE_OUTSIDE, names, xs_directory(s->xs, STORE_OUTSIDE, path, count));
    return names;
}

/* ---- Transactions ------------------------------------------------------------------------------------------ */

/* 0 committed, 1 to be made again, -1 */
static int transact_once(struct store *s, store_body_fn *body, void *arg, uint64_t until)
{
    xs_transaction_t t = STORE_OUTSIDE;
    int failed, error;

    CALL(s, STORE_OUTSIDE, t, xs_transaction_start(s->xs));
    if (t == STORE_OUTSIDE)
        return -1;
    failed = body(s, t, arg);
    error = errno;
    if (!failed && xs_transaction_end(s->xs, t, false))
        return 0;
    if (!failed)
        error = errno;
    else if (s->xs)
        xs_transaction_end(s->xs, t, true);
    errno = error;
    if (!failed && error == EAGAIN)
        return 1;
    return try_again(s, until) ? 1 : -1;
}

int store_transact(struct store *s, store_body_fn *body, void *arg)
{
    uint64_t until = patience(s);
    int result = 1;

    for (unsigned i = 0; result == 1 && i < TRANSACTION_TRIES; i++)
        result = transact_once(s, body, arg, until);
    if (result == 1)
        errno = EAGAIN;
    return result ? -1 : 0;
}

/* ---- Domains ----------------------------------------------------------------------------------------------- */

int store_introduce(struct store *s, uint32_t domid, uint64_t mfn, uint32_t port)
{
    bool ok = false;

    /* A second time after a broken connection: xenstored may have done it, and then it is done. */
    CALL(s, STORE_OUTSIDE, ok,
         xs_introduce_domain(s->xs, domid, mfn, port) ||
             (!store_error_is_connection(errno) && xs_is_domain_introduced(s->xs, domid)));
    return ok ? 0 : -1;
}

int store_release(struct store *s, uint32_t domid)
{
    bool ok = false;

    CALL(s, STORE_OUTSIDE, ok, xs_release_domain(s->xs, domid));
    return ok || errno == ENOENT || errno == EINVAL ? 0 : -1;
}

/* ---- Waiting ----------------------------------------------------------------------------------------------- */

static struct xs_handle *watch_on(struct store *s, const char *path)
{
    if (!s->watcher)
        s->watcher = store_connect();
    if (s->watcher && !xs_watch(s->watcher, path, "wait")) {
        xs_close(s->watcher);
        s->watcher = NULL;
    }
    return s->watcher;
}

/* Waits for a change, at most until then and not for long: a handle does not tell that its connection has ended. False: it has. */
static bool watch_next(struct xs_handle *watcher, uint64_t until_ms)
{
    struct pollfd p = {.fd = xs_fileno(watcher), .events = POLLIN};
    uint64_t now = clock_ms(), rest = until_ms > now ? until_ms - now : 0;
    char **event;
    int rc;

    rc = poll(&p, 1, (int)(rest < WATCH_SLICE_MS ? rest : WATCH_SLICE_MS));
    if (rc <= 0)
        return rc == 0 || errno == EINTR;
    while ((event = xs_check_watch(watcher)))
        free(event);
    return errno == EAGAIN;
}

int store_wait(struct store *s, const char *path, store_accept_fn *accept, void *arg, unsigned timeout_s)
{
    uint64_t until = clock_ms() + timeout_s * 1000ull;
    struct xs_handle *w = NULL;
    bool accepted;

    for (;;) {
        char *value = store_read(s, STORE_OUTSIDE, path);

        accepted = (value || errno == ENOENT) && accept(value, arg);
        free(value);
        if (accepted || clock_ms() >= until)
            break;
        if (!w)
            w = watch_on(s, path); /* fires at once, so that nothing is missed in between */
        if (!w)
            clock_sleep_ms(RETRY_PAUSE_MS);
        else if (!watch_next(w, until)) {
            xs_close(w);
            w = s->watcher = NULL;
        }
    }
    if (w)
        xs_unwatch(w, path, "wait");
    if (!accepted)
        errno = ETIMEDOUT;
    return accepted ? 0 : -1;
}
