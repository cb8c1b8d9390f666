/* SPDX-License-Identifier: MIT */
/*
 * The fake machine: CPUs, memory, time, TLB flushes, panic. Implements the port
 * (hypervisor/hw/hw.h) together with guest.c (guest memory, hypercalls, vCPUs) and devices.c.
 * Single threaded unless a test makes threads, one per CPU.
 */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host/machine.h"
#include "core/lib/options.h"
#include "core/mem/alloc.h"
#include "core/mem/tlb.h"
#include "core/sched/sched.h"

__thread struct pcpu *host_this_cpu;
struct host_cpu *host_cpus[MAX_CPUS];
uint8_t *host_ram;
struct frame *hw_frames;
uint64_t *hw_m2p;
uint64_t hw_frames_max;

void (*host_m2p_hook)(mfn_t m);
void (*host_clear_hook)(mfn_t m);
void (*host_relax_hook)(void);
void (*host_kick_hook)(unsigned cpu);
void (*host_switch_hook)(struct vcpu *prev, struct vcpu *next);
unsigned host_preempt_checks, host_flush_calls;
static unsigned preempt_period, preempt_left;
uint64_t host_now_ns = SEC;
unsigned host_time_updates;

/* The section of options is never empty, whatever is linked. */
static bool host_option;
OPTION_BOOL(host_option, host_option, "only in tests: nothing");

static void cpu_init(unsigned id)
{
    struct host_cpu *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    host_cpus[id] = c;
    c->l4 = INVALID_MFN;
    c->timer_deadline = ~0UL;
    c->core.id = id;
    c->core.idle = c->core.current = &c->idle_vcpu;
    c->idle_vcpu.pcpu = id;
    c->idle_vcpu.id = id;
    c->idle_vcpu.running = true;
    c->idle_vcpu.kernel_l4 = c->idle_vcpu.user_l4 = INVALID_MFN;
    list_init(&c->core.tasks);
    pcpus[id] = &c->core;
    cpumask_set(&cpus_online, id);
}

static void memory_init(uint64_t frames)
{
    hw_frames_max = frames;
    host_ram = aligned_alloc(PAGE_SIZE, frames * PAGE_SIZE);
    hw_frames = calloc(frames, sizeof(*hw_frames));
    hw_m2p = malloc(frames * sizeof(*hw_m2p));
    if (!host_ram || !hw_frames || !hw_m2p)
        abort();
    memset(host_ram, 0xa5, frames * PAGE_SIZE); /* nobody may count on zeroes */
    for (uint64_t m = 0; m < frames; m++)
        hw_m2p[m] = M2P_INVALID;
    frame_table_init_io(MFN(0), MFN(0));
    frame_table_init_io(MFN(frames - HOST_IO_FRAMES), MFN(frames - 1));
}

void host_machine_init(unsigned ncpus, uint64_t frames)
{
    if (host_ram)
        panic("host_machine_init twice in one process: use isolated_test()");
    memory_init(frames ? frames : HOST_FRAMES);
    for (unsigned i = 0; i < ncpus; i++)
        cpu_init(i);
    host_this_cpu = pcpus[0];
    for (unsigned i = 0; i < ncpus; i++) {
        timer_heap_init(&pcpus[i]->timers);
        sched_cpu_init(pcpus[i]);
    }
    alloc_add_ram(MFN(1), MFN(hw_frames_max - HOST_IO_FRAMES - 1), true);
    sched_init();
}

mfn_t host_io_frame(unsigned n)
{
    return MFN(hw_frames_max - HOST_IO_FRAMES + n);
}

void host_set_current(unsigned cpu, struct vcpu *v)
{
    host_this_cpu = pcpus[cpu];
    if (!v || v == this_cpu()->current)
        return;
    this_cpu()->current->running = this_cpu()->current == this_cpu()->idle;
    v->pcpu = cpu;
    v->running = true;
    this_cpu()->current = v;
    host_cpus[cpu]->l4 = v->kernel_l4;
}

/* ---- CPUs ---- */
void hw_kick(unsigned cpu)
{
    __atomic_fetch_add(&host_cpus[cpu]->kicks, 1, __ATOMIC_RELAXED);
    if (host_kick_hook)
        host_kick_hook(cpu);
}

void hw_relax(void)
{
    if (host_relax_hook)
        host_relax_hook();
    else
        sched_yield();
}

void host_preempt_after(unsigned checks)
{
    preempt_period = preempt_left = checks;
}

bool hw_preempt_check(void)
{
    lock_assert_none_held();
    host_preempt_checks++;
    if (!preempt_period || --preempt_left)
        return false;
    preempt_left = preempt_period;
    return true;
}

void hw_context_switch(struct vcpu *prev, struct vcpu *next)
{
    if (prev == next)
        panic("switch from a vCPU to itself");
    host_cpus[this_cpu()->id]->switches++;
    if (host_switch_hook)
        host_switch_hook(prev, next);
    this_cpu()->current = next;
    if (!next->domain)
        return;
    hw_update_vcpu_time(next);
    host_vcpu_of(next)->areas_stale = !next->in_kernel;
    if (next->in_kernel)
        vcpu_runstate_copy(next);
}

/* ---- Memory ---- */
void hw_load_l4(mfn_t l4)
{
    struct host_cpu *c = host_cpus[this_cpu()->id];

    tlb_note_flush();
    c->l4 = l4;
    c->l4_loads++;
}

void hw_l4_fill_reserved(uint64_t *l4)
{
    for (unsigned i = 256; i <= 271; i++)
        l4[i] = HOST_OWN_ENTRY; /* not present: nothing of the hypervisor is mapped here */
}

void hw_flush_tlb_local(bool all, uint64_t va)
{
    cpumask_t self = {{0}};

    cpumask_set(&self, host_this_cpu->id);
    hw_flush_tlb(&self, all, va);
}

void hw_flush_tlb(const cpumask_t *mask, bool all, uint64_t va)
{
    struct pcpu *self = host_this_cpu;
    unsigned cpu;

    (void)va;
    __atomic_fetch_add(&host_flush_calls, 1, __ATOMIC_RELAXED);
    for_each_cpu (cpu, mask) {
        if (!host_cpus[cpu])
            panic("flush of CPU %u, which does not exist", cpu);
        __atomic_fetch_add(&host_cpus[cpu]->flushes, 1, __ATOMIC_RELAXED);
        if (!all)
            continue;
        host_this_cpu = pcpus[cpu];
        tlb_note_flush();
    }
    host_this_cpu = self;
}

unsigned hw_phys_bits = 46;
unsigned host_cache_flushes;

void hw_flush_caches(const cpumask_t *mask)
{
    (void)mask;
    host_cache_flushes++;
}

unsigned hw_memory_map(const struct hw_memory_range **map)
{
    static struct hw_memory_range ranges[3];

    ranges[0] = (struct hw_memory_range){0, PAGE_SIZE, 2};
    ranges[1] = (struct hw_memory_range){PAGE_SIZE, (hw_frames_max - HOST_IO_FRAMES - 1) * PAGE_SIZE, 1};
    ranges[2] = (struct hw_memory_range){host_io_frame(0).n * PAGE_SIZE, HOST_IO_FRAMES * PAGE_SIZE, 2};
    *map = ranges;
    return ARRAY_SIZE(ranges);
}

/* The table is no memory of the machine here: it ends at once. */
mfn_t hw_m2p_piece(unsigned index)
{
    (void)index;
    return INVALID_MFN;
}

bool hw_cpu_info(unsigned cpu, struct hw_cpu_info *info)
{
    if (cpu >= MAX_CPUS || !host_cpus[cpu])
        return false;
    *info =
        (struct hw_cpu_info){.apic_id = cpu * 2, .acpi_id = cpu, .core = cpu % 2, .socket = cpu / 2, .online = true};
    return true;
}

void hw_machine_info(struct hw_machine_info *info)
{
    *info = (struct hw_machine_info){2000000, 1, 2, {1, 2, 3, 4, 5, 6, 7, 8}};
}

void hw_clear_frame(mfn_t mfn)
{
    if (host_clear_hook)
        host_clear_hook(mfn);
    memset(hw_frame_va(mfn), 0, PAGE_SIZE);
}

void hw_copy_frame(mfn_t dst, mfn_t src)
{
    memcpy(hw_frame_va(dst), hw_frame_va(src), PAGE_SIZE);
}

/* ---- Time ---- */
uint64_t hw_now_ns(void)
{
    return __atomic_load_n(&host_now_ns, __ATOMIC_RELAXED);
}

uint32_t hw_tsc_khz(void)
{
    return 2000000;
}

void hw_timer_set(uint64_t deadline_ns)
{
    struct host_cpu *c = host_cpus[this_cpu()->id];

    c->timer_deadline = deadline_ns;
    c->timer_sets++;
}

void hw_update_vcpu_time(struct vcpu *v)
{
    (void)v;
    __atomic_fetch_add(&host_time_updates, 1, __ATOMIC_RELAXED);
}
