/* SPDX-License-Identifier: MIT */
/*
 * The console daemon's inner parts on the build host: rings in memory whose other end is played here, real pseudo-terminals, real log files.
 * The wires (event channels, mappings) are stand-ins that count.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include "xenconsoled/console.h"
#include "xenconsoled/say.h"

/* ---- Stand-ins ----------------------------------------------------------------------------------------------- */

struct wires {
    unsigned notified, unmasked, closed;
};
static unsigned said;

void wire_notify(struct wires *w, const struct wire *wire)
{
    assert_non_null(wire->ring);
    w->notified++;
}

void wire_unmask(struct wires *w, const struct wire *wire)
{
    assert_non_null(wire->ring);
    w->unmasked++;
}

void wire_close(struct wires *w, struct wire *wire)
{
    if (wire->ring)
        w->closed++;
    wire->ring = NULL;
}

void say(const char *fmt, ...)
{
    said++;
}

/* ---- A guest ------------------------------------------------------------------------------------------------- */

struct fixture {
    struct wires wires;
    struct xencons_interface *ring; /* on the heap, so that the sanitizer guards its ends */
    struct console console;
    struct log_policy policy;
    char directory[32];
    int inotify_fd;
};

static void guest_writes(struct xencons_interface *r, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        r->out[MASK_XENCONS_IDX(r->out_prod + i, r->out)] = text[i];
    r->out_prod += (uint32_t)len;
}

static size_t guest_reads(struct xencons_interface *r, char *text)
{
    size_t n = 0;

    while (r->in_cons != r->in_prod)
        text[n++] = r->in[MASK_XENCONS_IDX(r->in_cons++, r->in)];
    return n;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    said = 0;
    f->ring = calloc(1, sizeof(*f->ring));
    strcpy(f->directory, "/tmp/console.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    f->policy = (struct log_policy){f->directory, 1u << 20, 2, false};
    f->inotify_fd = inotify_init1(IN_NONBLOCK);
    assert_int_equal(pty_open(&f->console.pty, f->inotify_fd), 0);
    log_open(&f->console.log, &f->policy, "guest-demo");
    f->console.wire = (struct wire){.ring = f->ring, .domid = 7, .port = 3};
    console_start(&f->console, &f->wires, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[64];

    console_close(&f->console, f->inotify_fd);
    close(f->inotify_fd);
    snprintf(command, sizeof(command), "rm -rf %s", f->directory);
    assert_int_equal(system(command), 0);
    free(f->ring);
    free(f);
    return 0;
}

static size_t read_all(int fd, char *buf, size_t size)
{
    size_t n = 0;
    ssize_t got;

    usleep(20000); /* the kernel passes a terminal's bytes on in a worker */
    while (n < size && (got = read(fd, buf + n, size - n)) > 0) {
        n += (size_t)got;
        usleep(2000);
    }
    return n;
}

static int attach(struct fixture *f, uint64_t now_ms)
{
    int fd = open(f->console.pty.path, O_RDWR | O_NOCTTY | O_NONBLOCK);

    assert_true(fd >= 0);
    console_readers(&f->console, 1, now_ms);
    return fd;
}

static size_t file_text(const struct fixture *f, const char *name, char *buf, size_t size)
{
    char path[96];
    size_t n;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    file = fopen(path, "r");
    if (!file)
        return 0;
    n = fread(buf, 1, size, file);
    fclose(file);
    return n;
}

/* ---- The ring ------------------------------------------------------------------------------------------------ */

static void test_ring_wraps(void **state)
{
    struct xencons_interface *r = calloc(1, sizeof(*r));
    char buf[RING_OUTPUT_SIZE], text[RING_OUTPUT_SIZE];
    uint32_t end;

    /* Positions near their own end wrap as well. */
    r->out_prod = r->out_cons = r->in_prod = r->in_cons = UINT32_MAX - 5;
    for (unsigned round = 0; round < 3000; round++) {
        size_t len = round % (RING_OUTPUT_SIZE + 1), in = round % (RING_INPUT_SIZE + 1);

        memset(text, 'a' + (int)(round % 26), len);
        guest_writes(r, text, len);
        assert_int_equal(ring_output_peek(r, buf, &end), (int)len);
        assert_memory_equal(buf, text, len);
        assert_int_equal(ring_output_peek(r, buf, &end), (int)len);
        ring_output_done(r, end);
        assert_int_equal(ring_output_peek(r, buf, &end), 0);
        memset(text, 'A' + (int)(round % 26), sizeof(text));
        assert_int_equal(ring_input_room(r), (int)RING_INPUT_SIZE);
        assert_int_equal(ring_input_put(r, text, in), (int)in);
        assert_int_equal(ring_input_room(r), (int)(RING_INPUT_SIZE - in));
        assert_int_equal(guest_reads(r, buf), in);
        assert_memory_equal(buf, text, in);
    }
    free(r);
}

static void test_ring_full(void **state)
{
    struct xencons_interface *r = calloc(1, sizeof(*r));
    char text[RING_INPUT_SIZE + 100] = "x";

    assert_int_equal(ring_input_put(r, text, 1000), 1000);
    assert_int_equal(ring_input_put(r, text, 100), 24);
    assert_int_equal(ring_input_put(r, text, 100), 0);
    r->in_cons++;
    assert_int_equal(ring_input_put(r, text, 100), 1);
    r->in_cons = r->in_prod;
    assert_int_equal(ring_input_put(r, text, sizeof(text)), (int)RING_INPUT_SIZE);
    free(r);
}

static void test_ring_hostile(void **state)
{
    static const uint32_t odd[] = {0,    1,    1023,       1024,       1025,       2047,
                                   2048, 2049, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    struct xencons_interface *r = calloc(1, sizeof(*r));
    char buf[RING_OUTPUT_SIZE];
    uint32_t end;

    for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        for (unsigned j = 0; j < sizeof(odd) / sizeof(odd[0]); j++) {
            uint32_t used = odd[i] - odd[j];

            r->out_prod = r->in_prod = odd[i];
            r->out_cons = r->in_cons = odd[j];
            assert_int_equal(ring_output_peek(r, buf, &end), used > RING_OUTPUT_SIZE ? -1 : (int)used);
            assert_int_equal(ring_input_room(r), used > RING_INPUT_SIZE ? -1 : (int)(RING_INPUT_SIZE - used));
            assert_int_equal(ring_input_put(r, buf, sizeof(buf)),
                             used > RING_INPUT_SIZE ? -1 : (int)(RING_INPUT_SIZE - used));
        }
    free(r);
}

/* ---- Backlogs ------------------------------------------------------------------------------------------------ */

static size_t backlog_take(struct backlog *b, char *buf)
{
    const char *piece;
    size_t n = 0, len;

    while ((len = backlog_peek(b, &piece))) {
        memcpy(buf + n, piece, len);
        n += len;
        backlog_drop(b, len);
    }
    return n;
}

static void test_backlog_keeps_newest(void **state)
{
    struct backlog b = {.limit = 5000};
    char all[40000], buf[8192];
    size_t at = 0;

    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)(i * 7 + i / 256);
    for (size_t step = 1; at + step < sizeof(all); at += step, step = step * 3 % 1999 + 1)
        backlog_add(&b, all + at, step);
    assert_int_equal(b.used, 5000);
    assert_int_equal(backlog_take(&b, buf), 5000);
    assert_memory_equal(buf, all + at - 5000, 5000);
    assert_null(b.data); /* empty: no memory */
    backlog_add(&b, all, 6000);
    assert_int_equal(backlog_take(&b, buf), 5000);
    assert_memory_equal(buf, all + 1000, 5000);
}

static void test_backlog_grows_only_when_used(void **state)
{
    struct backlog b = {.limit = 16384};

    backlog_add(&b, "x", 0);
    assert_int_equal(b.size, 0);
    backlog_add(&b, "abc", 3);
    assert_true(b.size <= 512);
    backlog_free(&b);
}

/* ---- Logs ---------------------------------------------------------------------------------------------------- */

static void test_log_rotates(void **state)
{
    struct fixture *f = *state;
    char line[101], buf[4096];

    f->policy.size_max = 1000;
    for (unsigned i = 0; i < 45; i++) {
        snprintf(line, sizeof(line), "%098u\r\n", i);
        log_write(&f->console.log, line, 100);
    }
    assert_int_equal(file_text(f, "guest-demo.log", buf, sizeof(buf)), 500);
    assert_int_equal(file_text(f, "guest-demo.log.1", buf, sizeof(buf)), 1000);
    assert_memory_equal(buf + 96, "30", 2);
    assert_int_equal(file_text(f, "guest-demo.log.2", buf, sizeof(buf)), 1000);
    assert_memory_equal(buf + 96, "20", 2);
    assert_int_equal(file_text(f, "guest-demo.log.3", buf, sizeof(buf)), 0);
}

static void test_log_goes_on_after_restart(void **state)
{
    struct fixture *f = *state;
    char buf[64];

    log_write(&f->console.log, "one\n", 4);
    log_close(&f->console.log);
    log_open(&f->console.log, &f->policy, "guest-demo");
    assert_int_equal(f->console.log.size, 4);
    log_write(&f->console.log, "two\n", 4);
    assert_int_equal(file_text(f, "guest-demo.log", buf, sizeof(buf)), 8);
    assert_memory_equal(buf, "one\ntwo\n", 8);
}

static void test_log_names_and_links(void **state)
{
    struct fixture *f = *state;
    struct log log;
    char path[96], target[96], buf[64];

    log_open(&log, &f->policy, "guest-../../etc/x y\n");
    log_write(&log, "hello", 5);
    log_close(&log);
    assert_int_equal(file_text(f, "guest-.._.._etc_x_y_.log", buf, sizeof(buf)), 5);
    /* A link planted in the directory is not followed. */
    snprintf(path, sizeof(path), "%s/guest-link.log", f->directory);
    snprintf(target, sizeof(target), "%s/target", f->directory);
    assert_int_equal(symlink(target, path), 0);
    log_open(&log, &f->policy, "guest-link");
    log_write(&log, "hello", 5);
    log_write(&log, "hello", 5);
    log_close(&log);
    assert_int_equal(file_text(f, "target", buf, sizeof(buf)), 0);
    assert_int_equal(said, 1);
}

static void test_log_timestamps(void **state)
{
    struct fixture *f = *state;
    char lines[2048], *buf = malloc(1 << 17);
    size_t n;

    f->policy.timestamps = true;
    log_write(&f->console.log, "a\nb", 3);
    log_write(&f->console.log, "c\n", 2);
    n = file_text(f, "guest-demo.log", buf, 1 << 17);
    assert_int_equal(n, 2 * 23 + 5);
    assert_int_equal(buf[0], '[');
    assert_memory_equal(buf + 20, "Z] a\n[", 5);
    assert_memory_equal(buf + n - 3, "bc\n", 3);
    memset(lines, '\n', sizeof(lines));
    log_write(&f->console.log, lines, sizeof(lines));
    assert_int_equal(file_text(f, "guest-demo.log", buf, 1 << 17), n + sizeof(lines) * 24);
    free(buf);
}

static void test_log_reopen(void **state)
{
    struct fixture *f = *state;
    char path[96], moved[96], buf[16];

    log_write(&f->console.log, "old", 3);
    snprintf(path, sizeof(path), "%s/guest-demo.log", f->directory);
    snprintf(moved, sizeof(moved), "%s/moved", f->directory);
    assert_int_equal(rename(path, moved), 0);
    log_reopen(&f->console.log);
    log_write(&f->console.log, "new", 3);
    assert_int_equal(file_text(f, "guest-demo.log", buf, sizeof(buf)), 3);
    assert_memory_equal(buf, "new", 3);
}

/* ---- Consoles ------------------------------------------------------------------------------------------------ */

static void test_both_ways(void **state)
{
    struct fixture *f = *state;
    char buf[64];
    int fd = attach(f, 1);

    guest_writes(f->ring, "login: ", 7);
    console_event(&f->console, 1);
    assert_int_equal(f->wires.notified, 1);
    assert_int_equal(f->wires.unmasked, 1);
    assert_int_equal(f->ring->out_cons, 7);
    assert_int_equal(read_all(fd, buf, sizeof(buf)), 7);
    assert_memory_equal(buf, "login: ", 7);
    assert_int_equal(write(fd, "root\r\n\003", 7), 7); /* raw: nothing is translated, echoed or made a signal */
    usleep(20000);
    console_terminal(&f->console, true, false, 2);
    assert_int_equal(guest_reads(f->ring, buf), 7);
    assert_memory_equal(buf, "root\r\n\003", 7);
    assert_int_equal(read_all(fd, buf, sizeof(buf)), 0);
    assert_int_equal(file_text(f, "guest-demo.log", buf, sizeof(buf)), 7);
    close(fd);
}

static void test_terminal_is_roots(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    assert_int_equal(stat(f->console.pty.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_uid, geteuid());
}

static void test_inotify_tells_readers(void **state)
{
    struct fixture *f = *state;
    struct inotify_event event;
    int fd;

    assert_int_equal(read(f->inotify_fd, &event, sizeof(event)), -1);
    fd = open(f->console.pty.path, O_RDWR | O_NOCTTY);
    assert_int_equal(read(f->inotify_fd, &event, sizeof(event)), sizeof(event));
    assert_true(event.mask & IN_OPEN);
    assert_int_equal(event.wd, f->console.pty.watch);
    close(fd);
    assert_int_equal(read(f->inotify_fd, &event, sizeof(event)), sizeof(event));
    assert_true(event.mask & IN_CLOSE);
}

static void test_later_reader_sees_the_end(void **state)
{
    struct fixture *f = *state;
    char line[65], buf[CONSOLE_BACKLOG_MAX + 64];
    size_t n;
    int fd;

    for (unsigned i = 0; i < 1000; i++) {
        snprintf(line, sizeof(line), "%062u\r\n", i);
        guest_writes(f->ring, line, 64);
        console_event(&f->console, i * CONSOLE_PERIOD_MS);
    }
    assert_int_equal(f->console.backlog.used, CONSOLE_BACKLOG_MAX);
    fd = attach(f, 1);
    n = read_all(fd, buf, sizeof(buf)); /* more than the kernel keeps for a terminal */
    console_terminal(&f->console, false, true, 1);
    n += read_all(fd, buf + n, sizeof(buf) - n);
    assert_int_equal(n, CONSOLE_BACKLOG_MAX);
    assert_memory_equal(buf + CONSOLE_BACKLOG_MAX - 64, line, 64);
    assert_null(f->console.backlog.data);
    close(fd);
}

static void test_input_waits_for_room(void **state)
{
    struct fixture *f = *state;
    char text[2000], buf[2100];
    int fd = attach(f, 1);

    memset(text, 'k', sizeof(text));
    assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
    usleep(20000);
    for (unsigned i = 0; i < 4; i++)
        if (console_interest(&f->console).readable)
            console_terminal(&f->console, true, false, 1);
    assert_false(console_interest(&f->console).readable);
    assert_int_equal(guest_reads(f->ring, buf), RING_INPUT_SIZE);
    console_event(&f->console, 1);
    assert_true(console_interest(&f->console).readable);
    for (unsigned i = 0; i < 4; i++)
        console_terminal(&f->console, true, false, 1);
    assert_int_equal(guest_reads(f->ring, buf), sizeof(text) - RING_INPUT_SIZE);
    close(fd);
}

/* A guest that never rests costs EVENTS_MAX events a period; nothing of what is in the ring gets lost. */
static void test_flood_is_limited(void **state)
{
    struct fixture *f = *state;
    unsigned handled = 0;

    for (unsigned ms = 1000; ms < 2000; ms++)
        for (unsigned i = 0; i < 1000; i++) {
            if (f->console.masked)
                break; /* a masked port signals nothing */
            guest_writes(f->ring, "x", 1);
            console_event(&f->console, ms);
            handled++;
            if (console_needs_tick(&f->console))
                assert_true(f->console.masked);
        }
    assert_true(handled <= CONSOLE_EVENTS_MAX + 1);
    assert_true(console_needs_tick(&f->console));
    assert_int_equal(f->ring->out_prod - f->ring->out_cons, 1);
    assert_true(console_tick(&f->console, 2000));
    assert_int_equal(f->ring->out_prod, f->ring->out_cons);
    assert_false(console_needs_tick(&f->console));
    for (unsigned i = 0; i < 1000 && !f->console.masked; i++) {
        guest_writes(f->ring, "x", 1);
        console_event(&f->console, 2001);
        handled++;
    }
    assert_true(handled <= 2 * (CONSOLE_EVENTS_MAX + 1));
}

/* A reader who is there but takes nothing holds the guest up for STUCK_MS, then loses the oldest. */
static void test_slow_reader_then_stuck(void **state)
{
    struct fixture *f = *state;
    char text[2000], *buf = malloc(1 << 20);
    int fd = attach(f, 1);
    uint64_t ms = 1000;
    unsigned written = 0;
    size_t n;

    memset(text, 's', sizeof(text));
    for (; !f->console.masked && written < 200; written++, ms += CONSOLE_PERIOD_MS) {
        guest_writes(f->ring, text, sizeof(text));
        console_event(&f->console, ms);
    }
    assert_true(written < 200);
    assert_true(console_interest(&f->console).writable);
    console_tick(&f->console, ms);
    assert_true(f->console.masked); /* still held up: nothing has been dropped */
    n = read_all(fd, buf, 1 << 20);
    console_tick(&f->console, ms + 1);
    assert_false(f->console.masked);
    n += read_all(fd, buf, 1 << 20);
    console_terminal(&f->console, false, true, ms + 2);
    n += read_all(fd, buf, 1 << 20);
    assert_int_equal(n, written * sizeof(text));
    for (written = 0; !f->console.masked && written < 200; written++, ms += CONSOLE_PERIOD_MS) {
        guest_writes(f->ring, text, sizeof(text));
        console_event(&f->console, ms);
    }
    console_tick(&f->console, ms + CONSOLE_STUCK_MS);
    assert_false(f->console.masked);
    for (unsigned i = 0; i < 50; i++, ms += CONSOLE_PERIOD_MS) {
        guest_writes(f->ring, text, sizeof(text));
        console_event(&f->console, ms + CONSOLE_STUCK_MS);
        assert_int_equal(f->ring->out_prod, f->ring->out_cons);
    }
    assert_true(f->console.backlog.used <= CONSOLE_BACKLOG_MAX);
    free(buf);
    close(fd);
}

static void test_hostile_output(void **state)
{
    struct fixture *f = *state;
    char buf[256];
    int fd = attach(f, 1);

    f->ring->out_prod = 5000;
    console_event(&f->console, 1);
    assert_int_equal(f->console.state, CONSOLE_BROKEN);
    assert_int_equal(f->wires.closed, 1);
    assert_int_equal(f->wires.unmasked, 0);
    console_event(&f->console, 2);
    console_tick(&f->console, 3);
    assert_false(console_needs_tick(&f->console));
    assert_int_equal(write(fd, "hello", 5), 5);
    usleep(20000);
    console_terminal(&f->console, true, true, 4);
    assert_int_equal(said, 1);
    buf[read_all(fd, buf, sizeof(buf) - 1)] = 0;
    assert_non_null(strstr(buf, "console stopped"));
    console_end(&f->console, 5);
    assert_int_equal(f->wires.closed, 1);
    close(fd);
}

static void test_hostile_input(void **state)
{
    struct fixture *f = *state;
    int fd = attach(f, 1);

    f->ring->in_cons = 1;
    assert_int_equal(write(fd, "hello", 5), 5);
    usleep(20000);
    console_terminal(&f->console, true, false, 4);
    assert_int_equal(f->console.state, CONSOLE_BROKEN);
    assert_int_equal(said, 1);
    close(fd);
}

/* Positions jump about at random between all calls: nothing crashes, loops or reads beyond the ring. */
static void test_hostile_at_random(void **state)
{
    struct fixture *f = *state;
    int fd = attach(f, 1);
    unsigned broken = 0;

    srand(1);
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t *positions[] = {&f->ring->in_cons, &f->ring->in_prod, &f->ring->out_cons, &f->ring->out_prod};

        *positions[rand() % 4] += (uint32_t)(rand() % 8 ? rand() % 300 : rand());
        if (rand() % 4 == 0)
            console_event(&f->console, i);
        else if (rand() % 2)
            console_terminal(&f->console, console_interest(&f->console).readable, true, i);
        else
            console_tick(&f->console, i);
        if (f->console.state == CONSOLE_BROKEN) { /* begin again */
            memset(f->ring, 0, sizeof(*f->ring));
            f->console.wire.ring = f->ring;
            f->console.state = CONSOLE_OPEN;
            broken++;
        }
    }
    assert_true(broken > 100);
    close(fd);
}

/* Killed between storing and moving on: the next daemon finds the positions in the ring. */
static void test_restart_in_the_middle(void **state)
{
    struct fixture *f = *state;
    struct console next = {.log = {.fd = -1}};
    char buf[64];
    int fd;

    guest_writes(f->ring, "before ", 7);
    console_event(&f->console, 1);
    guest_writes(f->ring, "while away ", 11); /* nobody there */
    assert_int_equal(ring_input_put(f->ring, "typed", 5), 5);
    assert_int_equal(pty_open(&next.pty, f->inotify_fd), 0);
    log_open(&next.log, &f->policy, "guest-demo");
    next.wire = (struct wire){.ring = f->ring, .domid = 7, .port = 4};
    console_start(&next, &f->wires, 0);
    console_event(&next, 2);
    fd = open(next.pty.path, O_RDWR | O_NOCTTY | O_NONBLOCK);
    console_readers(&next, 1, 2);
    assert_int_equal(read_all(fd, buf, sizeof(buf)), 11);
    assert_memory_equal(buf, "while away ", 11);
    assert_int_equal(guest_reads(f->ring, buf), 5);
    assert_int_equal(file_text(f, "guest-demo.log", buf, sizeof(buf)), 18);
    assert_memory_equal(buf, "before while away ", 18);
    close(fd);
    console_close(&next, f->inotify_fd);
}

static void test_death_drains(void **state)
{
    struct fixture *f = *state;
    char buf[64];
    int fd = attach(f, 1);

    guest_writes(f->ring, "Power down.", 11);
    console_end(&f->console, 1000);
    assert_int_equal(f->wires.closed, 1);
    usleep(20000);
    assert_true(console_needs_tick(&f->console));
    assert_true(console_tick(&f->console, 1020)); /* not read yet: stays */
    assert_true(console_tick(&f->console, 1040));
    assert_int_equal(read_all(fd, buf, sizeof(buf)), 11);
    assert_memory_equal(buf, "Power down.", 11);
    assert_true(console_tick(&f->console, 1060));
    assert_false(console_tick(&f->console, 1080));
    assert_int_equal(file_text(f, "guest-demo.log", buf, sizeof(buf)), 11);
    close(fd);
}

static void test_death_is_not_put_off(void **state)
{
    struct fixture *f = *state;
    int fd = attach(f, 1);

    guest_writes(f->ring, "unread", 6);
    console_end(&f->console, 1000);
    assert_true(console_tick(&f->console, 1000 + CONSOLE_END_MAX_MS - 1));
    assert_false(console_tick(&f->console, 1000 + CONSOLE_END_MAX_MS));
    console_readers(&f->console, -1, 1000);
    assert_false(console_tick(&f->console, 1020));
    close(fd);
}

#define CONSOLE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_wraps),
        cmocka_unit_test(test_ring_full),
        cmocka_unit_test(test_ring_hostile),
        cmocka_unit_test(test_backlog_keeps_newest),
        cmocka_unit_test(test_backlog_grows_only_when_used),
        CONSOLE_TEST(test_log_rotates),
        CONSOLE_TEST(test_log_goes_on_after_restart),
        CONSOLE_TEST(test_log_names_and_links),
        CONSOLE_TEST(test_log_timestamps),
        CONSOLE_TEST(test_log_reopen),
        CONSOLE_TEST(test_both_ways),
        CONSOLE_TEST(test_terminal_is_roots),
        CONSOLE_TEST(test_inotify_tells_readers),
        CONSOLE_TEST(test_later_reader_sees_the_end),
        CONSOLE_TEST(test_input_waits_for_room),
        CONSOLE_TEST(test_flood_is_limited),
        CONSOLE_TEST(test_slow_reader_then_stuck),
        CONSOLE_TEST(test_hostile_output),
        CONSOLE_TEST(test_hostile_input),
        CONSOLE_TEST(test_hostile_at_random),
        CONSOLE_TEST(test_restart_in_the_middle),
        CONSOLE_TEST(test_death_drains),
        CONSOLE_TEST(test_death_is_not_put_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
