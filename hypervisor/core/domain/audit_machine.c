/* SPDX-License-Identifier: MIT */
/*
 * The audit on a running machine: by the console's key, in steps beside the guests, with as much time between two steps as one takes;
 * and in DEBUG builds after every N hypercalls (option audit=N) with every domain stopped, so that each frame is judged.
 *
 * One at a time: whoever has set `active`. Of two CPUs that stop each other's current vCPU both would wait for ever, so who comes
 * second does nothing.
 */
#include "core/domain/audit_machine.h"
#include "core/domain/domain.h"
#include "core/lib/options.h"
#include "core/lib/print.h"

#define STEP_PAUSE (20 * USEC)

static bool active;
static unsigned audit_period;
static uint32_t calls;
static struct timer step_timer;
static uint64_t steps_ns, longest_step_ns;

OPTION_UINT(audit, audit_period, "audit after every N hypercalls (DEBUG builds)");

static void pause_all(bool pause)
{
    for (struct domain *d = domain_next(NULL); d; d = domain_next(d)) {
        if (pause)
            domain_pause(d);
        else
            domain_unpause(d);
    }
}

static bool take_turn(void)
{
    return !__atomic_exchange_n(&active, true, __ATOMIC_ACQUIRE);
}

static void end_turn(void)
{
    __atomic_store_n(&active, false, __ATOMIC_RELEASE);
}

static void print_result(const struct audit_result *r)
{
    print_raw(
        "audit: %s: %lu frames, %lu page tables, %lu violations; %lu changed meanwhile; %lu ns, longest step %lu ns\n",
        r->violations ? "WRONG" : "clean", r->frames, r->tables, r->violations, r->unjudged, steps_ns, longest_step_ns);
}

static void audit_tick(void *unused)
{
    uint64_t begin = hw_now_ns(), took;
    bool more = audit_step();
    struct audit_result r;

    took = hw_now_ns() - begin;
    steps_ns += took;
    longest_step_ns = MAX(longest_step_ns, took);
    if (more) {
        timer_set(&step_timer, hw_now_ns() + STEP_PAUSE);
        return;
    }
    r = audit_end();
    print_result(&r);
    end_turn();
}

void audit_start(void)
{
    if (!take_turn()) {
        print_raw("audit: one is being made\n");
    } else if (!audit_begin(true, true)) {
        print_raw("audit: no memory for it\n");
        end_turn();
    } else {
        steps_ns = longest_step_ns = 0;
        timer_init(&step_timer, audit_tick, NULL, this_cpu()->id);
        timer_set(&step_timer, hw_now_ns());
    }
}

void audit_after_hypercall(void)
{
    struct audit_result r;

    if (!audit_period || __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % audit_period || !take_turn())
        return;
    pause_all(true);
    r = audit_run(true);
    pause_all(false);
    end_turn();
    if (r.violations)
        panic("audit: %lu violations", r.violations);
}
