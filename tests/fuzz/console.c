/* SPDX-License-Identifier: MIT */
/*
 * A guest's console in xenconsoled: an input plays the guest, who writes into the ring what it likes, the readers of the terminal,
 * and the time. What must hold: the backlog stays within its limit; only what is xenconsoled's to write in the ring is written; a
 * guest is heard so often and no more; of a guest that keeps the rules every byte is logged once, in order.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/inotify.h>
#include <termios.h>
#include <unistd.h>
#include "fuzz.h"
#include "xenconsoled/console.h"
#include "xenconsoled/say.h"

#define STEPS_MAX 200

struct wires {
    unsigned unmasked, notified;
};

static struct wires wires;
static struct xencons_interface *ring, shadow;
static struct pty pty = {.master = -1};
static int inotify_fd, reader = -1;
static bool honest;           /* the guest has kept the rules so far */
static uint8_t written, seen; /* the next byte of the guest's output, and of the log */

/* ---- Stand-ins ---- */

void wire_notify(struct wires *w, const struct wire *wire)
{
    MUST(wire->ring == ring, "notified without a ring");
    w->notified++;
}

void wire_unmask(struct wires *w, const struct wire *wire)
{
    MUST(wire->ring == ring, "unmasked without a ring");
    w->unmasked++;
}

void wire_close(struct wires *w, struct wire *wire)
{
    (void)w;
    wire->ring = NULL;
}

void say(const char *fmt, ...)
{
    (void)fmt;
}

void log_write(struct log *log, const char *data, size_t len)
{
    (void)log;
    for (size_t i = 0; honest && i < len; i++, seen++)
        MUST((uint8_t)data[i] == seen, "the log has %x, not %x", (uint8_t)data[i], seen);
}

void log_close(struct log *log)
{
    (void)log;
}

/* ---- The guest ---- */

static void guest_writes(unsigned len)
{
    for (; len && ring->out_prod - ring->out_cons < RING_OUTPUT_SIZE; len--)
        ring->out[MASK_XENCONS_IDX(ring->out_prod++, ring->out)] = (char)written++;
}

static void guest_pokes(struct input *in)
{
    uint32_t *fields[] = {&ring->in_cons, &ring->in_prod, &ring->out_cons, &ring->out_prod};
    unsigned which = input_u8(in) % 5;

    honest = false;
    if (which == 4)
        input_bytes(in, ring->out + input_u16(in) % RING_OUTPUT_SIZE / 2, 16);
    else
        *fields[which] = (uint32_t)input_u64(in);
}

/* ---- Readers ---- */

static void attach(struct console *c, uint64_t now_ms)
{
    if (reader >= 0)
        return;
    reader = open(pty.path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    MUST(reader >= 0, "no terminal: %s", strerror(errno));
    console_readers(c, 1, now_ms);
}

static void detach(struct console *c, uint64_t now_ms)
{
    if (reader < 0)
        return;
    close(reader);
    reader = -1;
    console_readers(c, -1, now_ms);
}

static void type(unsigned len)
{
    char bytes[256] = "typed";

    if (reader >= 0)
        (void)!write(reader, bytes, len);
}

static void take(unsigned len)
{
    char bytes[4096];

    if (reader >= 0)
        (void)!read(reader, bytes, len * 16);
}

/* ---- Invariants ---- */

/* `shadow` is the ring before the step: of it, xenconsoled writes input, where it ends, and how far it has read. */
static void check(const struct console *c)
{
    MUST(!memcmp(shadow.out, ring->out, sizeof(ring->out)) && shadow.out_prod == ring->out_prod &&
             shadow.in_cons == ring->in_cons,
         "written where only the guest writes");
    MUST(c->backlog.used <= c->backlog.limit && c->backlog.limit <= CONSOLE_BACKLOG_MAX, "%zu bytes of backlog",
         c->backlog.used);
    MUST(c->state != CONSOLE_OPEN || c->wire.ring == ring, "open without a ring");
    MUST(c->state == CONSOLE_OPEN || !c->wire.ring, "a ring, but not open");
    MUST(!honest || c->state != CONSOLE_BROKEN, "an honest guest's console is broken");
}

static void event(struct console *c, uint64_t now_ms, unsigned times)
{
    unsigned before = wires.unmasked;

    for (unsigned n = 0; n < times; n++)
        console_event(c, now_ms);
    MUST(wires.unmasked - before <= CONSOLE_EVENTS_MAX, "heard %u times at once", wires.unmasked - before);
}

/* False: the console has ended. */
static bool step(struct input *in, struct console *c, uint64_t *now_ms)
{
    unsigned op = input_u8(in), count = input_u8(in);
    bool lives = true;

    if (op % 12 == 0)
        guest_writes(count * 8);
    else if (op % 12 == 1)
        guest_pokes(in);
    shadow = *ring;
    switch (op % 12) {
    case 2:
        *now_ms += count * 10;
        break;
    case 3:
        lives = console_tick(c, *now_ms);
        break;
    case 4:
        attach(c, *now_ms);
        break;
    case 5:
        detach(c, *now_ms);
        break;
    case 6:
        type(count);
        break;
    case 7:
        take(count);
        break;
    case 8:
        console_terminal(c, count & 1, count & 2, *now_ms);
        break;
    case 9:
        if (count == 255)
            console_end(c, *now_ms);
        break;
    case 10: /* the guest takes its input */
        ring->in_cons = shadow.in_cons = ring->in_prod;
        break;
    default:
        event(c, *now_ms, 1 + count % 64);
    }
    check(c);
    return lives;
}

static void setup(void)
{
    inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    MUST(inotify_fd >= 0 && !pty_open(&pty, inotify_fd), "no terminal");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct console c = {0};
    uint64_t now_ms = 1000;

    if (pty.master < 0)
        setup();
    ring = calloc(1, sizeof(*ring)); /* of its size, so that the sanitizer guards its ends */
    honest = true;
    written = seen = 0;
    memset(&wires, 0, sizeof(wires));
    c.pty = pty;
    c.wire = (struct wire){.ring = ring, .domid = 7, .port = 3};
    console_start(&c, &wires, (size_t)input_u8(&in) << 8);
    ring->out_prod = ring->out_cons = (uint32_t)input_u64(&in);
    for (unsigned n = 0; n < STEPS_MAX && input_left(&in) && step(&in, &c, &now_ms); n++)
        continue;
    detach(&c, now_ms);
    tcflush(pty.master, TCIOFLUSH);
    tcflush(pty.slave, TCIOFLUSH);
    backlog_free(&c.backlog);
    free(ring);
    return 0;
}
