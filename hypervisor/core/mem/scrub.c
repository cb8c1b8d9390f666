/* SPDX-License-Identifier: MIT */
/*
 * Clearing of free memory by idle CPUs, in steps of a few microseconds between which they look for other work. So a new guest's
 * memory is there at once, and nobody waits for the clearing of an old one's.
 *
 * It begins some time after memory has become dirty: whoever frees a guest is not done yet, and other CPUs have better things
 * to do with the memory bus. A CPU that goes idle sets a timer for then; with nothing dirty no timer is set and an idle machine
 * sleeps. No locks.
 */
#include "core/mem/alloc.h"
#include "core/domain/domain.h"

#define BOOT_DELAY (2 * SEC) /* Domain 0 comes first */
#define DELAY      (100 * MSEC)

static uint64_t due_ns = UINT64_MAX; /* never: still booting */

void scrub_start(void)
{
    __atomic_store_n(&due_ns, hw_now_ns() + BOOT_DELAY, __ATOMIC_RELAXED);
}

void scrub_wanted(void)
{
    uint64_t due = __atomic_load_n(&due_ns, __ATOMIC_RELAXED);

    if (due != UINT64_MAX)
        __atomic_store_n(&due_ns, MAX(due, hw_now_ns() + DELAY), __ATOMIC_RELAXED);
}

/* It has done its work by waking the CPU. */
static void woken(void *unused)
{
}

static void wake_at(uint64_t due)
{
    struct pcpu *c = this_cpu();

    if (!c->scrub_timer.handler)
        timer_init(&c->scrub_timer, woken, NULL, c->id);
    if (!timer_is_set(&c->scrub_timer))
        timer_set(&c->scrub_timer, due);
}

bool scrub_idle(void)
{
    uint64_t due = __atomic_load_n(&due_ns, __ATOMIC_RELAXED);

    if (!alloc_dirty_count() || due == UINT64_MAX)
        return false;
    if (hw_now_ns() < due) {
        wake_at(due);
        return false;
    }
    if (!alloc_scrub_some())
        return false; /* another CPU has the last of it */
    (void)hw_preempt_check();
    return true;
}
