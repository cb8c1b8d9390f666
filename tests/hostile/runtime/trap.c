/* SPDX-License-Identifier: MIT */
/* Traps: every one ends what guarded() runs on that vCPU; one that nobody expected ends the test. */
#include "runtime/runtime.h"

#define TRAP_STUB_SIZE 32
#define USER_STACK_GAP 2048 /* of the kernel stack: what lies above belongs to the callers of run_user() */

extern char trap_stubs[], on_event[], on_failsafe[], on_syscall[], on_sysenter[], on_syscall32[], on_nmi[];
void __attribute__((noreturn)) guard_return(uint64_t sp, int result);
void __attribute__((noreturn)) trap_taken(unsigned vector, uint64_t error, uint64_t rip);

struct cpu *this_cpu(void)
{
    return (struct cpu *)(ADDRESS(__builtin_frame_address(0)) & ~(STACK_SIZE - 1));
}

void trap_taken(unsigned vector, uint64_t error, uint64_t rip)
{
    struct cpu *cpu = this_cpu();

    cpu->trap = (struct trap){vector, error, rip, shared_info->vcpu_info[cpu->id].arch.cr2};
    if (!cpu->guard_sp)
        unexpected_trap(&cpu->trap);
    guard_return(cpu->guard_sp, (int)vector + 1);
}

static long callback(uint16_t type, const void *address)
{
    struct callback_register r = {.type = type, .address = ADDRESS(address)};

    return hypercall(__HYPERVISOR_callback_op, CALLBACKOP_register, ADDRESS(&r), 0, 0);
}

void traps_init(void)
{
    struct trap_info table[257];

    for (unsigned v = 0; v < 256; v++)
        table[v] = (struct trap_info){(uint8_t)v, v == 3 || v == 4 || v == 0x80 ? 3 : 0, FLAT_KERNEL_CS,
                                      ADDRESS(trap_stubs) + v * TRAP_STUB_SIZE};
    table[256] = (struct trap_info){0};
    hypercall(__HYPERVISOR_set_trap_table, ADDRESS(table), 0, 0, 0);
    callback(CALLBACKTYPE_event, on_event);
    callback(CALLBACKTYPE_failsafe, on_failsafe);
    callback(CALLBACKTYPE_syscall, on_syscall);
    callback(CALLBACKTYPE_sysenter, on_sysenter);
    callback(CALLBACKTYPE_syscall32, on_syscall32);
    callback(CALLBACKTYPE_nmi, on_nmi);
}

struct access {
    volatile uint64_t *address;
    uint64_t value;
};

static void do_read(void *arg)
{
    struct access *a = arg;

    a->value = *a->address;
}

static void do_write(void *arg)
{
    struct access *a = arg;

    *a->address = a->value;
}

bool try_read(const volatile void *address, uint64_t *value)
{
    struct access a = {.address = (volatile uint64_t *)address};
    bool ok = !guarded(do_read, &a);

    *value = a.value;
    return ok;
}

bool try_write(volatile void *address, uint64_t value)
{
    struct access a = {address, value};

    return !guarded(do_write, &a);
}

struct user_start {
    uint64_t rip, rsp;
};

static void enter_user(void *arg)
{
    const struct user_start *u = arg;
    struct iret_frame frame = {
        .rip = u->rip, .cs = FLAT_USER_CS | 3, .rflags = 0x202, .rsp = u->rsp, .ss = FLAT_USER_SS};

    hypercall(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS, (ADDRESS(&frame) & -16UL) - USER_STACK_GAP, 0, 0);
    iret_with(&frame);
}

int run_user(uint64_t rip, uint64_t rsp)
{
    struct user_start u = {rip, rsp};

    return guarded(enter_user, &u) - 1;
}
