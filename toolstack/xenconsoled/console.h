/* SPDX-License-Identifier: MIT */
/*
 * One guest's console: bytes between its ring, its terminal and its log.
 *
 *   ring --console_pump--> log, and: terminal when somebody has it open, backlog when nobody has or the reader is slow
 *   terminal --console_input--> ring
 *
 *   CONSOLE_OPEN --impossible ring--> CONSOLE_BROKEN        (said once; the terminal stays until the guest goes)
 *        \------------ console_end ------\--> CONSOLE_ENDING --read to the end, or END_MAX_MS--> gone
 *
 * What a guest may cost: EVENTS_MAX events in PERIOD_MS; then its port stays masked until console_tick, called each PERIOD_MS while
 * console_needs_tick. A reader that takes nothing for STUCK_MS holds the guest up no longer: then the oldest output goes.
 * Output leaves the ring only after it has been stored: a daemon killed in between stores it again rather than losing it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "xenconsoled/backlog.h"
#include "xenconsoled/log.h"
#include "xenconsoled/pty.h"
#include "xenconsoled/wire.h"

#define CONSOLE_EVENTS_MAX  32
#define CONSOLE_PERIOD_MS   20
#define CONSOLE_STUCK_MS    2000
#define CONSOLE_END_MAX_MS  2000
#define CONSOLE_BACKLOG_MAX (16u << 10)

enum console_state { CONSOLE_OPEN, CONSOLE_BROKEN, CONSOLE_ENDING };
struct console {
    enum console_state state;
    struct wires *wires;
    struct wire wire;
    struct pty pty;
    unsigned readers; /* others that have the terminal open */
    struct backlog backlog;
    struct log log;
    uint64_t period_start_ms, stalled_since_ms; /* 0: not stalled */
    uint64_t ended_ms;
    unsigned events_left;
    bool masked;     /* the port was signalled and has not been unmasked */
    bool input_full; /* the ring has no room: the terminal is not read */
    bool was_drained;
};
/* What of the terminal to wait for. */
struct console_interest {
    bool readable, writable;
};

/* The wire, the terminal and the log have been opened. limit: bytes of backlog at most (0: the most there is). */
void console_start(struct console *c, struct wires *wires, size_t limit);
/* The guest's port was signalled. */
void console_event(struct console *c, uint64_t now_ms);
/* The terminal can be read or written. */
void console_terminal(struct console *c, bool readable, bool writable, uint64_t now_ms);
/* Somebody has opened the terminal (+1) or closed it (-1). */
void console_readers(struct console *c, int change, uint64_t now_ms);
struct console_interest console_interest(const struct console *c);
bool console_needs_tick(const struct console *c);
/* false: this console has ended and can be freed. */
bool console_tick(struct console *c, uint64_t now_ms);
/* The guest is dying: takes what is left in the ring and leaves it. */
void console_end(struct console *c, uint64_t now_ms);
/* Closes all; the structure is the caller's. */
void console_close(struct console *c, int inotify_fd);
