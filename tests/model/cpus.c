/* SPDX-License-Identifier: MIT */
/*
 * Several CPUs at once: each makes its step in a context of its own, and the order in which they go on is decided here, at
 * points: every atomic operation of core (point.h), hence every lock taken and given back, and wherever a CPU waits. One
 * thread, so that an order can be had again. What is per thread in the fake machine changes hands with the context.
 */
#include <ucontext.h>
#include "model.h"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define FIBER_START(save, to) __sanitizer_start_switch_fiber(save, (to).stack, (to).size)
#define FIBER_FINISH(save)    __sanitizer_finish_switch_fiber(save, NULL, NULL)
#else
#define FIBER_START(save, to) ((void)(save))
#define FIBER_FINISH(save)    ((void)(save))
#endif

#define STACK_SIZE (256 * 1024)
#define HOME       MODEL_CPUS /* the context that began the round */
#define WAITS_MAX  200000

static struct context {
    ucontext_t context;
    void *stack, *fake;
    size_t size;
    bool busy;
    struct pcpu *cpu;
    struct host_continuation continuation;
    uint64_t seed;
} contexts[MODEL_CPUS + 1];
static unsigned running = HOME, waits;
static unsigned next_switch;
int model_points_on;
unsigned cpus_switch_at[SWITCHES + 1], cpus_points;

static void switch_to(unsigned next)
{
    struct context *from = &contexts[running], *to = &contexts[next];

    from->cpu = host_this_cpu;
    from->continuation = host_continuation;
    from->seed = model_seed;
    running = next;
    host_this_cpu = to->cpu;
    host_continuation = to->continuation;
    model_seed = to->seed;
    FIBER_START(&from->fake, *to);
    swapcontext(&from->context, &to->context);
    FIBER_FINISH(from->fake);
}

/* Another CPU that is in the middle of its step, or has not begun it; HOME: none. */
static unsigned another(void)
{
    for (unsigned i = 1; i < MODEL_CPUS; i++)
        if (contexts[(running + i) % MODEL_CPUS].busy)
            return (running + i) % MODEL_CPUS;
    return HOME;
}

void model_point(void)
{
    cpus_points++;
    if (running == HOME || !cpus_switch_at[next_switch] || cpus_points < cpus_switch_at[next_switch])
        return;
    next_switch++;
    if (another() != HOME) {
        stats->switches++;
        switch_to(another());
    }
}

/* Who waits gives way; CPUs between two steps are in their guest, and do the work that is raised there. */
void cpus_relax(void)
{
    struct pcpu *self = host_this_cpu;
    unsigned next = running == HOME ? HOME : another();

    if (++waits > WAITS_MAX)
        violation("CPU %u waits for ever", self->id);
    if (next != HOME) {
        switch_to(next);
        return;
    }
    for (unsigned i = 0; i < MODEL_CPUS; i++) {
        if (pcpus[i] == self)
            continue;
        host_this_cpu = pcpus[i];
        pcpu_do_work();
    }
    host_this_cpu = self;
}

static void context_main(void)
{
    FIBER_FINISH(NULL);
    for (;;) {
        unsigned cpu = running;

        port_step_begin();
        world_step(cpu);
        contexts[cpu].busy = false;
        switch_to(another());
    }
}

void cpus_init(void)
{
    for (unsigned i = 0; i < MODEL_CPUS; i++) {
        struct context *c = &contexts[i];

        c->size = STACK_SIZE;
        c->stack = aligned_alloc(PAGE_SIZE, STACK_SIZE);
        getcontext(&c->context);
        c->context.uc_stack.ss_sp = c->stack;
        c->context.uc_stack.ss_size = STACK_SIZE;
        makecontext(&c->context, context_main, 0);
        c->cpu = pcpus[i];
    }
    host_relax_hook = cpus_relax;
}

void cpus_round(uint64_t seed)
{
    unsigned first = (unsigned)(seed % MODEL_CPUS);
    bool alike = seed >> 32 & 1; /* the same choices: they meet */

    for (unsigned i = 0; i < MODEL_CPUS; i++) {
        contexts[i].busy = true;
        contexts[i].cpu = pcpus[i];
        contexts[i].seed = alike ? seed : seed + i * 0x632be59bd9b4e019;
    }
    cpus_points = next_switch = waits = 0;
    model_points_on = 1;
    switch_to(first);
    model_points_on = 0;
    port_step_end();
    stats->rounds++;
}
