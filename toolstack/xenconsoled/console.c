/* SPDX-License-Identifier: MIT */
/* A guest's console: see console.h. */
#include "xenconsoled/console.h"
#include "xenconsoled/say.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void console_start(struct console *c, struct wires *wires, size_t limit)
{
    c->wires = wires;
    c->state = CONSOLE_OPEN;
    c->events_left = CONSOLE_EVENTS_MAX;
    c->backlog.limit = limit && limit < CONSOLE_BACKLOG_MAX ? limit : CONSOLE_BACKLOG_MAX;
    if (c->backlog.limit < RING_OUTPUT_SIZE)
        c->backlog.limit = RING_OUTPUT_SIZE;
}

/* ---- To the terminal ----------------------------------------------------------------------------------------- */

/* Returns how much the terminal took. Raw and with a slave open it fails only for want of room. */
static size_t write_terminal(struct console *c, const char *data, size_t len, uint64_t now_ms)
{
    ssize_t n = write(c->pty.master, data, len);
    size_t taken = n > 0 ? (size_t)n : 0;

    if (taken)
        c->stalled_since_ms = 0;
    else if (!c->stalled_since_ms)
        c->stalled_since_ms = now_ms;
    return taken;
}

static void flush_backlog(struct console *c, uint64_t now_ms)
{
    const char *data;
    size_t len, taken;

    while (c->readers && (len = backlog_peek(&c->backlog, &data))) {
        taken = write_terminal(c, data, len, now_ms);
        backlog_drop(&c->backlog, taken);
        if (taken < len)
            return;
    }
}

static void deliver(struct console *c, const char *data, size_t len, uint64_t now_ms)
{
    size_t taken = 0;

    log_write(&c->log, data, len);
    flush_backlog(c, now_ms);
    if (c->readers && !c->backlog.used)
        taken = write_terminal(c, data, len, now_ms);
    backlog_add(&c->backlog, data + taken, len - taken);
}

/* A reader who is there but slow holds the guest up, for a while. */
static bool must_hold(const struct console *c, size_t len, uint64_t now_ms)
{
    bool stuck = c->stalled_since_ms && now_ms - c->stalled_since_ms >= CONSOLE_STUCK_MS;

    return c->readers && !stuck && c->backlog.used && c->backlog.used + len > c->backlog.limit;
}

/* ---- The ring ------------------------------------------------------------------------------------------------ */

static void leave_ring(struct console *c)
{
    wire_close(c->wires, &c->wire);
    c->masked = c->input_full = false;
}

static void break_off(struct console *c, uint64_t now_ms)
{
    char text[96];
    int len;

    say("domain %u: impossible positions in its console ring; its console is stopped", c->wire.domid);
    len = snprintf(text, sizeof(text), "\r\n[console stopped: the guest has damaged its ring]\r\n");
    deliver(c, text, (size_t)len, now_ms);
    leave_ring(c);
    c->state = CONSOLE_BROKEN;
}

/* Moves the output that waits, once, and looks whether input has room again. false: held up, or broken. */
static bool pump(struct console *c, uint64_t now_ms)
{
    char buf[RING_OUTPUT_SIZE];
    uint32_t end;
    int len = ring_output_peek(c->wire.ring, buf, &end), room = ring_input_room(c->wire.ring);

    if (len < 0 || room < 0) {
        break_off(c, now_ms);
        return false;
    }
    c->input_full = !room;
    if (!len)
        return true;
    if (must_hold(c, (size_t)len, now_ms)) {
        flush_backlog(c, now_ms);
        if (must_hold(c, (size_t)len, now_ms))
            return false;
    }
    deliver(c, buf, (size_t)len, now_ms);
    ring_output_done(c->wire.ring, end);
    wire_notify(c->wires, &c->wire);
    return true;
}

static void pump_and_unmask(struct console *c, uint64_t now_ms)
{
    if (!pump(c, now_ms))
        return;
    c->masked = false;
    wire_unmask(c->wires, &c->wire);
}

void console_event(struct console *c, uint64_t now_ms)
{
    if (c->state != CONSOLE_OPEN)
        return;
    if (now_ms - c->period_start_ms >= CONSOLE_PERIOD_MS) {
        c->period_start_ms = now_ms;
        c->events_left = CONSOLE_EVENTS_MAX;
    }
    c->masked = true;
    if (!c->events_left)
        return;
    c->events_left--;
    pump_and_unmask(c, now_ms);
}

static void console_input(struct console *c, uint64_t now_ms)
{
    char buf[RING_INPUT_SIZE];
    int room = ring_input_room(c->wire.ring);
    ssize_t len;

    c->input_full = !room;
    if (room > 0) {
        len = read(c->pty.master, buf, (size_t)room);
        if (len <= 0)
            return;
        room = ring_input_put(c->wire.ring, buf, (size_t)len);
        wire_notify(c->wires, &c->wire);
    }
    if (room < 0)
        break_off(c, now_ms);
}

/* ---- What the event loop calls ------------------------------------------------------------------------------- */

/* Nobody listens any more: what is typed goes nowhere. */
static void discard_input(struct console *c)
{
    char buf[256];
    ssize_t len = read(c->pty.master, buf, sizeof(buf));

    (void)len;
}

void console_terminal(struct console *c, bool readable, bool writable, uint64_t now_ms)
{
    if (readable && c->state == CONSOLE_OPEN)
        console_input(c, now_ms);
    else if (readable)
        discard_input(c);
    if (!writable)
        return;
    flush_backlog(c, now_ms);
    if (c->masked && c->events_left && c->state == CONSOLE_OPEN)
        pump_and_unmask(c, now_ms);
}

void console_readers(struct console *c, int change, uint64_t now_ms)
{
    if (change < 0 && !c->readers)
        return;
    c->readers += (unsigned)change;
    c->stalled_since_ms = 0;
    flush_backlog(c, now_ms);
}

struct console_interest console_interest(const struct console *c)
{
    return (struct console_interest){.readable = !c->input_full, .writable = c->readers && c->backlog.used};
}

bool console_needs_tick(const struct console *c)
{
    return c->masked || c->state == CONSOLE_ENDING;
}

static bool still_ending(struct console *c, uint64_t now_ms)
{
    bool drained = !c->backlog.used && pty_is_drained(&c->pty), before = c->was_drained;

    c->was_drained = drained;
    return c->readers && now_ms - c->ended_ms < CONSOLE_END_MAX_MS && !(drained && before);
}

bool console_tick(struct console *c, uint64_t now_ms)
{
    flush_backlog(c, now_ms);
    if (c->state == CONSOLE_ENDING)
        return still_ending(c, now_ms);
    c->period_start_ms = now_ms;
    c->events_left = CONSOLE_EVENTS_MAX;
    if (c->masked)
        pump_and_unmask(c, now_ms);
    return true;
}

void console_end(struct console *c, uint64_t now_ms)
{
    char buf[RING_OUTPUT_SIZE];
    uint32_t end;
    int len;

    if (c->state == CONSOLE_OPEN) {
        len = ring_output_peek(c->wire.ring, buf, &end);
        if (len > 0) {
            deliver(c, buf, (size_t)len, now_ms);
            ring_output_done(c->wire.ring, end);
        }
        leave_ring(c);
    }
    c->state = CONSOLE_ENDING;
    c->ended_ms = now_ms;
    c->was_drained = false;
}

void console_close(struct console *c, int inotify_fd)
{
    wire_close(c->wires, &c->wire);
    pty_close(&c->pty, inotify_fd);
    backlog_free(&c->backlog);
    log_close(&c->log);
}
