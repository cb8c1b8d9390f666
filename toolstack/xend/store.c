/* SPDX-License-Identifier: MIT */
/*
 * xenstore: calls through our own client, waiting for changes through libxenstore. What it owns: one idle connection (`idle`,
 * guarded by `lock`).
 *
 * Every call is one that may be made twice (writes of values, removals, introductions), so that one that may or may not have been
 * answered is simply made again. What a transaction writes goes out in one piece with whatever asks for an answer next.
 *
 * libxenstore turns to the kernel's ring when the socket refuses it, and would wait there for ever: so the socket is tried first
 * with a connection of our own.
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
#include "lib/store/client.h"
#include "xend/clock.h"
#include "xend/log.h"

#define WATCH_SLICE_MS    1000
#define RETRY_PAUSE_MS    50
#define TRANSACTION_TRIES 100

struct store {
    struct store_client *c;    /* NULL: to be connected */
    struct xs_handle *watcher; /* has a reading thread: only while something is waited for */
    bool gave_up;              /* xenstored did not come back in time: further calls try but once */
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct store_client
    *idle; /* one connection is kept for the next who asks: more would pile up after a busy time */

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
    s->c = idle;
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
        idle = s->c;
        s->c = NULL;
    }
    pthread_mutex_unlock(&lock);
    store_client_close(s->c);
    free(s);
}

static void disconnect(struct store *s)
{
    store_client_close(s->c);
    s->c = NULL;
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
    while (!s->c) {
        s->c = store_client_open();
        if (s->c)
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

/* ---- Requests ---------------------------------------------------------------------------------------------- */

#define TEXT(text)                                                                                                     \
    (struct store_piece)                                                                                               \
    {                                                                                                                  \
        (text), (unsigned)strlen(text)                                                                                 \
    }
#define STRING(text)                                                                                                   \
    (struct store_piece)                                                                                               \
    {                                                                                                                  \
        (text), (unsigned)strlen(text) + 1                                                                             \
    }

/* Makes a request until xenstored answers it: the answer, to be freed. Inside a transaction a broken connection ends the
 * transaction: there is no second try. */
static char *ask(struct store *s, uint32_t type, xs_transaction_t t, const struct store_piece *pieces, unsigned count,
                 unsigned *len)
{
    uint64_t until = patience(s);
    char *answer;

    if (t != STORE_OUTSIDE) {
        errno = ENOTCONN;
        return s->c ? store_client_call(s->c, type, t, pieces, count, len) : NULL;
    }
    do {
        if (!connected(s, until))
            return NULL;
        answer = store_client_call(s->c, type, t, pieces, count, len);
    } while (!answer && try_again(s, until));
    return answer;
}

/* A request whose answer says no more than that it is done. In a transaction it is only queued, and the transaction's end tells. */
static int tell(struct store *s, uint32_t type, xs_transaction_t t, const struct store_piece *pieces, unsigned count)
{
    char *answer;

    if (t != STORE_OUTSIDE) {
        errno = ENOTCONN;
        return s->c ? store_client_queue(s->c, type, t, pieces, count) : -1;
    }
    answer = ask(s, type, t, pieces, count, NULL);
    free(answer);
    return answer ? 0 : -1;
}

/* ---- Nodes ------------------------------------------------------------------------------------------------- */

char *store_read(struct store *s, xs_transaction_t t, const char *path)
{
    return ask(s, XS_READ, t, &STRING(path), 1, NULL);
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
    return tell(s, XS_WRITE, t, (struct store_piece[]){STRING(path), TEXT(value)}, 2);
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
    return tell(s, XS_MKDIR, t, &STRING(path), 1);
}

int store_remove(struct store *s, xs_transaction_t t, const char *path)
{
    char *answer = ask(s, XS_RM, t, &STRING(path), 1, NULL);

    free(answer);
    return answer || errno == ENOENT ? 0 : -1;
}

int store_set_access(struct store *s, xs_transaction_t t, const char *path, uint32_t owner, uint32_t reader)
{
    char own[16], read[16];

    snprintf(own, sizeof(own), "n%u", owner);
    snprintf(read, sizeof(read), "r%u", reader);
    return tell(s, XS_SET_PERMS, t, (struct store_piece[]){STRING(path), STRING(own), STRING(read)},
                owner == reader ? 2 : 3);
}

/* The names in an answer of `len` bytes, each with its NUL: an array with them behind, freed as one. */
static char **split(const char *names, unsigned len, unsigned *count)
{
    char **list, *text;

    for (unsigned i = 0; i < len; i++)
        *count += !names[i];
    list = malloc((*count + 1) * sizeof(*list) + len);
    if (!list)
        return NULL;
    text = memcpy((char *)(list + *count + 1), names, len);
    for (unsigned i = 0; i < *count; text += strlen(text) + 1)
        list[i++] = text;
    return list;
}

/* More names than an answer holds. */
static char **list_long(const char *path, unsigned *count)
{
    struct xs_handle *xs = store_connect();
    char **names = xs ? xs_directory(xs, STORE_OUTSIDE, path, count) : NULL;

    if (xs)
        xs_close(xs);
    return names;
}

char **store_list(struct store *s, const char *path, unsigned *count)
{
    unsigned len;
    char *answer = ask(s, XS_DIRECTORY, STORE_OUTSIDE, &STRING(path), 1, &len), **names;

    *count = 0;
    if (!answer)
        return errno == E2BIG ? list_long(path, count) : NULL;
    names = split(answer, len, count);
    free(answer);
    return names;
}

/* ---- Transactions ------------------------------------------------------------------------------------------ */

static int start(struct store *s, xs_transaction_t *t)
{
    char *answer = ask(s, XS_TRANSACTION_START, STORE_OUTSIDE, &STRING(""), 1, NULL);

    if (!answer)
        return -1;
    *t = (xs_transaction_t)strtoul(answer, NULL, 10);
    free(answer);
    return 0;
}

/* What was queued must have gone well before a transaction may be committed. */
static int finish(struct store *s, xs_transaction_t t, bool commit)
{
    char *answer;

    if (!s->c || (store_client_settle(s->c) && commit))
        return -1;
    answer = store_client_call(s->c, XS_TRANSACTION_END, t, &STRING(commit ? "T" : "F"), 1, NULL);
    free(answer);
    return answer ? 0 : -1;
}

/* 0 committed, 1 to be made again, -1 */
static int transact_once(struct store *s, store_body_fn *body, void *arg, uint64_t until)
{
    xs_transaction_t t;
    int failed, error;

    if (start(s, &t))
        return -1;
    failed = body(s, t, arg) || (s->c && store_client_settle(s->c));
    if (!failed && !finish(s, t, true))
        return 0;
    error = errno;
    if (!failed && error == EAGAIN)
        return 1;
    if (failed)
        (void)finish(s, t, false);
    errno = error;
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

static bool is_introduced(struct store *s, const char *domid)
{
    char *answer = ask(s, XS_IS_DOMAIN_INTRODUCED, STORE_OUTSIDE, &STRING(domid), 1, NULL);
    bool yes = answer && *answer == 'T';

    free(answer);
    return yes;
}

int store_introduce(struct store *s, uint32_t domid, uint64_t mfn, uint32_t port)
{
    char id[16], frame[24], channel[16];
    int error;

    snprintf(id, sizeof(id), "%u", domid);
    snprintf(frame, sizeof(frame), "%lu", mfn);
    snprintf(channel, sizeof(channel), "%u", port);
    if (!tell(s, XS_INTRODUCE, STORE_OUTSIDE, (struct store_piece[]){STRING(id), STRING(frame), STRING(channel)}, 3))
        return 0;
    error = errno;
    /* The second time, after a broken connection: xenstored may have done it, and then it is done. */
    if (!store_error_is_connection(error) && is_introduced(s, id))
        return 0;
    errno = error;
    return -1;
}

int store_release(struct store *s, uint32_t domid)
{
    char id[16];

    snprintf(id, sizeof(id), "%u", domid);
    if (!tell(s, XS_RELEASE, STORE_OUTSIDE, &STRING(id), 1))
        return 0;
    return errno == ENOENT || errno == EINVAL ? 0 : -1;
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
