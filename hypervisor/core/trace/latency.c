/* SPDX-License-Identifier: MIT */
/*
 * The longest stretches (latency.h). A CPU writes its own record of the stretch that it is in; the table of the longest of all is
 * written by whoever has a longer one, without a lock: a wrong line of a measurement harms nobody.
 */
#include "core/trace/latency.h"
#include "core/domain/domain.h"
#include "core/lib/print.h"
#include "core/lib/string.h"
#include "core/trace/conring.h"
#include "hw/hw.h"

#define SHOWN_MIN_NS 2000

struct stretch {
    uint64_t ns; /* while it lasts: its beginning */
    uint64_t count, sum_ns;
    uint64_t args[3];
    uint16_t domain, inner; /* inner: a batch's call at the end */
};
static struct stretch longest[2][LATENCY_KINDS]; /* Domain 0's, which is trusted with long ones; guests' */
static struct {
    struct stretch at;
    unsigned kind;
} cpus[MAX_CPUS];

void latency_begin(unsigned kind, const uint64_t args[3])
{
    const struct vcpu *v = current_vcpu();
    struct stretch *s = &cpus[this_cpu()->id].at;

    s->inner = (uint16_t)kind;
    if (kind < LATENCY_TRAP(0) && v->mc_cont)
        return; /* an entry of a batch: the batch's stretch goes on */
    cpus[this_cpu()->id].kind = kind;
    s->domain = v && v->domain ? v->domain->id : 0x7fff;
    for (unsigned i = 0; i < 3; i++)
        s->args[i] = args ? args[i] : 0;
    s->ns = hw_now_ns();
}

void latency_end(void)
{
    unsigned me = this_cpu()->id;
    struct stretch *now = &cpus[me].at, *l = &longest[now->domain != 0][cpus[me].kind];
    uint64_t ns = hw_now_ns() - now->ns;

    l->count++;
    l->sum_ns += ns;
    if (ns <= l->ns)
        return;
    l->ns = ns;
    l->domain = now->domain;
    l->inner = now->inner;
    memcpy(l->args, now->args, sizeof(l->args));
}

void latency_goes_on(unsigned kind)
{
    cpus[this_cpu()->id].kind = kind;
}

void latency_again(void)
{
    cpus[this_cpu()->id].at.ns = hw_now_ns();
}

static void print_kind(unsigned kind)
{
    static const char *const works[] = {"scheduling", "timers", "tasks", "text", "settling", "system call", "idle"};

    if (kind < LATENCY_TRAP(0))
        print_raw("  hypercall %3u", kind);
    else if (kind < LATENCY_WORK(1))
        print_raw("  vector    %3u", kind - LATENCY_TRAP(0));
    else
        print_raw("  %-13s", works[kind - LATENCY_WORK(1)]);
}

static uint64_t print_longest(struct stretch *of)
{
    uint64_t most = 0;

    for (unsigned i = 0; i < LATENCY_KINDS; i++) {
        struct stretch l = of[i];

        of[i] = (struct stretch){0};
        most = MAX(most, l.ns);
        if (l.ns < SHOWN_MIN_NS)
            continue;
        print_kind(i);
        print_raw(": %lu ns, domain %u, arguments %lx %lx %lx, inner %u; %lu of them, %lu on average\n", l.ns, l.domain,
                  l.args[0], l.args[1], l.args[2], l.inner, l.count, l.sum_ns / MAX(l.count, 1UL));
    }
    return most;
}

static void key_latency(void)
{
    uint64_t own = print_longest(longest[0]), guests = print_longest(longest[1]);

    print_raw("longest stretch: %lu ns for guests, %lu ns for Domain 0\n", guests, own);
}

void latency_init(void)
{
    memset(longest, 0, sizeof(longest)); /* nobody waited for the boot */
    key_register('L', "the longest stretches in the hypervisor", key_latency);
}
