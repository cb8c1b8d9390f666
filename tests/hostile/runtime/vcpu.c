/* SPDX-License-Identifier: MIT */
/* Time, and further vCPUs: each has a stack of its own, with its struct cpu at the lower end. */
#include "runtime/runtime.h"

static uint8_t stacks[VCPUS_MAX][STACK_SIZE] __attribute__((aligned(16384)));

extern char cpu_entry[];
void cpu_main(struct cpu *cpu);

uint64_t now_ns(void)
{
    const volatile struct vcpu_time_info *t = &shared_info->vcpu_info[this_cpu()->id].time;
    uint64_t ns, ticks;
    uint32_t version;

    do {
        version = t->version & ~1u;
        ticks = rdtsc() - t->tsc_timestamp;
        ticks = t->tsc_shift < 0 ? ticks >> -t->tsc_shift : ticks << t->tsc_shift;
        ns = t->system_time + (uint64_t)((unsigned __int128)ticks * t->tsc_to_system_mul >> 32);
    } while (version != t->version);
    return ns;
}

void sleep_ns(uint64_t ns)
{
    struct sched_poll poll = {.timeout = now_ns() + ns};

    while (now_ns() < poll.timeout)
        sched_op(SCHEDOP_poll, &poll);
}

void fill_context(struct vcpu_guest_context *c, struct cpu *cpu)
{
    memset(c, 0, sizeof(*c));
    c->flags = VGCF_in_kernel;
    c->user_regs.rip = ADDRESS(cpu_entry);
    c->user_regs.rsp = ADDRESS(cpu) + STACK_SIZE;
    c->user_regs.rdi = ADDRESS(cpu);
    c->user_regs.cs = FLAT_KERNEL_CS;
    c->user_regs.ss = FLAT_KERNEL_SS;
    c->user_regs.rflags = 0x200;
    c->kernel_ss = FLAT_KERNEL_SS;
    c->kernel_sp = c->user_regs.rsp;
    c->ctrlreg[3] = mfn_of((void *)start_info->pt_base) * PAGE;
}

void cpu_main(struct cpu *cpu)
{
    traps_init();
    cpu->work(cpu->arg);
    WRITE_ONCE(cpu->done, true);
    for (;;)
        vcpu_op(VCPUOP_down, cpu->id, NULL);
}

long cpu_start(unsigned id, void (*work)(void *arg), void *arg)
{
    static struct vcpu_guest_context context;
    struct cpu *cpu = (struct cpu *)stacks[id];
    long rc;

    *cpu = (struct cpu){.id = id, .work = work, .arg = arg};
    fill_context(&context, cpu);
    shared_info->vcpu_info[id].evtchn_upcall_mask = 1;
    rc = vcpu_op(VCPUOP_initialise, id, &context);
    return rc ? rc : vcpu_op(VCPUOP_up, id, NULL);
}

void cpu_wait(unsigned id)
{
    struct cpu *cpu = (struct cpu *)stacks[id];

    while (!READ_ONCE(cpu->done))
        sched_op(SCHEDOP_yield, NULL);
}
