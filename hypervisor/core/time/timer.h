/* SPDX-License-Identifier: MIT */
/*
 * Timers: a heap of deadlines per CPU, fired from pcpu_do_work.
 * A timer belongs to the CPU that it was made for or migrated to; its handler runs there, without locks, and may set,
 * stop, kill or free its own timer. The links are in the timer itself, so that setting one cannot fail.
 * Lock: LOCK_TIMER of the timer's CPU.
 */
#pragma once
#include "core/lib/types.h"
#include "core/lib/lock.h"

enum timer_state {
    TIMER_IDLE,
    TIMER_SET,    /* in the heap of `cpu` */
    TIMER_MOVING, /* will be, as soon as the move to `cpu` is complete */
};
struct timer {
    uint64_t deadline_ns; /* system time */
    void (*handler)(void *arg);
    void *arg;
    unsigned cpu;
    uint8_t state;                 /* enum timer_state; never passes through IDLE while it is moved */
    struct timer *child, *sibling; /* a pairing heap: first child, next of the same parent */
    struct timer *prev;            /* previous sibling, or the parent for a first child */
};
struct timer_heap {
    struct spinlock lock;
    struct timer *root; /* the earliest */
    unsigned count;
    struct timer *running;  /* whose handler runs now; may be gone already: only for comparison */
    uint64_t programmed_ns; /* what hw_timer_set was told; ~0 nothing */
    bool firing;            /* in timers_run, which programs at its end */
};
void timer_init(struct timer *t, void (*handler)(void *), void *arg, unsigned cpu);
void timer_set(struct timer *t, uint64_t deadline_ns); /* (re)arms; a past deadline fires soon */
void timer_stop(struct timer *t); /* not set afterwards; the handler may still be running on another CPU */
void timer_kill(struct timer *t); /* stops, and waits until its handler runs no more (unless it is the caller) */
bool timer_is_set(const struct timer *t);
void timer_migrate(struct timer *t, unsigned cpu);
void timers_run(void);                      /* this CPU: fires what is due, programs hw_timer_set */
void timer_heap_init(struct timer_heap *h); /* boot, before first use */
void timers_print(void);                    /* key handler */
/* Kept for callers that reserve room: there is nothing to reserve. */
static inline int timer_reserve(unsigned count)
{
    (void)count;
    return 0;
}
