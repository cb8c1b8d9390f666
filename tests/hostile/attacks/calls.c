/* SPDX-License-Identifier: MIT */
/* Hypercalls as such: numbers, rights, pointers, batches, lengths. */
#include "guest/attack.h"
#include <xen/domctl.h>
#include <xen/sysctl.h>

#define FLOOD_NS 300000000UL
#define ENOSYS   38

static const uint64_t bad_pointers[] = {HV_START,
                                        HV_START + 8,
                                        0xffff808000000000,
                                        0xffff810000000000,
                                        0xffff82d080000000,
                                        0xffff82e000000000,
                                        0xffff830000000000,
                                        HV_END - 8,
                                        HV_START - 4,
                                        HV_START - 1,
                                        0x0000800000000000,
                                        0x00007ffffffffff8,
                                        0xdeadbeef00000000,
                                        0x1000,
                                        ~0UL,
                                        ~0UL - 7};

/* Calls that end or stop the caller even with bad arguments. */
static bool is_safe(unsigned nr, unsigned cmd)
{
    if (nr == __HYPERVISOR_iret || (nr == __HYPERVISOR_sched_op && (cmd == SCHEDOP_block || cmd == SCHEDOP_poll)))
        return false;
    if (nr == __HYPERVISOR_vcpu_op && (cmd == VCPUOP_down || cmd == VCPUOP_send_nmi))
        return false;
    return nr != __HYPERVISOR_fpu_taskswitch && nr != __HYPERVISOR_set_segment_base && nr != __HYPERVISOR_stack_switch;
}

ATTACK(pointers_into_the_hypervisor, SURVIVES,
       "XSA-212 XSA-29: each call and command with pointers that are not the guest's")
{
    for (unsigned nr = 0; nr < 64; nr++) {
        for (unsigned cmd = 0; cmd < 64; cmd++) {
            if (!is_safe(nr, cmd))
                continue;
            for (unsigned i = 0; i < COUNT_OF(bad_pointers); i++) {
                hypercall(nr, cmd, bad_pointers[i], 1, DOMID_SELF);
                hypercall(nr, cmd, 0, bad_pointers[i], DOMID_SELF);
                hypercall(nr, bad_pointers[i], 1, bad_pointers[i], DOMID_SELF);
                hypercall(nr, cmd, 4096, bad_pointers[i], 0);
            }
        }
    }
    traps_init();
    CHECK(M2P[board->self_mfn] == 0);
}

ATTACK(unknown_calls, SURVIVES, "numbers beyond the table, and those that are not offered")
{
    static const unsigned missing[] = {4, 6, 11, 16, 19, 27, 28, 31, 34, 37, 38, 39, 40, 41, 42, 43, 47, 48, 55, 63};

    for (unsigned i = 0; i < COUNT_OF(missing); i++)
        RETURNS(-ENOSYS, hypercall(missing[i], 0, 0, 0, 0));
    for (unsigned shift = 6; shift < 64; shift++) {
        RETURNS(-ENOSYS, hypercall(1UL << shift, 0, 0, 0, 0));
        RETURNS(-ENOSYS, hypercall(~0UL << shift, 0, 0, 0, 0));
        RETURNS(-ENOSYS, hypercall(1UL << shift | __HYPERVISOR_xen_version, 0, 0, 0, 0));
    }
}

ATTACK(calls_of_domain_0, SURVIVES,
       "XSA-74 XSA-87 XSA-92: domctl, sysctl, platform_op, physdev_op without the right to them")
{
    static union {
        struct xen_domctl domctl;
        struct xen_sysctl sysctl;
        struct xen_platform_op platform;
        uint64_t words[64];
    } u;

    for (unsigned cmd = 0; cmd < 128; cmd++) {
        for (unsigned self = 0; self < 2; self++) {
            memset(&u, 0, sizeof(u));
            u.domctl.cmd = cmd;
            u.domctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
            u.domctl.domain = self ? board->domain : 0;
            REFUSED(hypercall(__HYPERVISOR_domctl, ADDRESS(&u), 0, 0, 0));
        }
        u.sysctl.cmd = cmd;
        u.sysctl.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
        REFUSED(hypercall(__HYPERVISOR_sysctl, ADDRESS(&u), 0, 0, 0));
        u.platform.cmd = cmd;
        u.platform.interface_version = XENPF_INTERFACE_VERSION;
        REFUSED(hypercall(__HYPERVISOR_platform_op, ADDRESS(&u), 0, 0, 0));
        memset(&u, 0, sizeof(u));
        if (cmd != PHYSDEVOP_set_iopl && cmd != PHYSDEVOP_set_iobitmap && cmd != PHYSDEVOP_eoi &&
            cmd != PHYSDEVOP_irq_status_query)
            REFUSED(hypercall(__HYPERVISOR_physdev_op, cmd, ADDRESS(&u), 0, 0));
    }
}

/* ---- Batches ---- */

static multicall_entry_t entries[512];

static long multicall(void *list, uint64_t count)
{
    return hypercall(__HYPERVISOR_multicall, ADDRESS(list), count, 0, 0);
}

ATTACK(batches_in_batches, SURVIVES, "a batch that holds batches, itself, and writes its own entries")
{
    for (unsigned i = 0; i < COUNT_OF(entries); i++) {
        entries[i].op = __HYPERVISOR_multicall;
        entries[i].args[0] = ADDRESS(entries);
        entries[i].args[1] = COUNT_OF(entries);
    }
    ALLOWED(multicall(entries, COUNT_OF(entries)));
    for (unsigned i = 0; i < COUNT_OF(entries); i++)
        CHECK((long)entries[i].result < 0);
    entries[0].op = __HYPERVISOR_xen_version; /* its answer becomes the next entry */
    entries[0].args[0] = XENVER_compile_info;
    entries[0].args[1] = ADDRESS(&entries[1]);
    entries[1] = entries[0];
    ALLOWED(multicall(entries, 1));
    multicall(entries, 2);
    multicall((char *)entries + 1, 3);
}

ATTACK(batches_out_of_memory, SURVIVES, "XSA-111: batches of huge lengths, over the end of memory, in the hypervisor")
{
    for (unsigned i = 0; i < COUNT_OF(bad_pointers); i++) {
        REFUSED(multicall((void *)bad_pointers[i], 1));
        REFUSED(multicall((void *)bad_pointers[i], ~0u));
    }
    entries[0].op = __HYPERVISOR_xen_version;
    REFUSED(multicall(entries, ~0u));
    REFUSED(multicall(entries, ~0UL));
    REFUSED(multicall(entries, 1UL << 32));
    ALLOWED(multicall(NULL, 0));
}

static void iret_in_batch(void *arg)
{
    struct iret_frame frame = {.rip = ADDRESS(arg), .cs = FLAT_USER_CS | 3, .rflags = 0x202, .ss = FLAT_USER_SS};

    entries[0] = (multicall_entry_t){.op = __HYPERVISOR_iret};
    entries[1] = (multicall_entry_t){.op = __HYPERVISOR_xen_version, .result = 0x77};
    hypercall(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS, (ADDRESS(&frame) & -16UL) - 1024, 0, 0);
    __asm__ volatile("mov %0, %%rsp; syscall; ud2" ::"r"(&frame), "a"(__HYPERVISOR_multicall), "D"(entries), "S"(2)
                     : "memory");
}

ATTACK(leaving_the_kernel_in_a_batch, SURVIVES, "XSA-213: what follows an iret to user mode is not done")
{
    static uint8_t code[16] = {0x0f, 0x0b};

    ALLOWED(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(table_of((void *)VIRT_BASE, 4)), 0));
    CHECK(guarded(iret_in_batch, code) == 7);
    CHECK(this_cpu()->trap.rip == ADDRESS(code));
    CHECK(entries[1].result == 0x77);
}

/* ---- Lengths ---- */

ATTACK(endless_batches, SURVIVES,
       "XSA-45 XSA-125 XSA-296: counts of thousands of millions end at the first bad element, or are cut")
{
    static struct mmu_update updates[4];
    static struct gnttab_copy copies[4];
    uint32_t done = 0;

    REFUSED(hypercall(__HYPERVISOR_mmu_update, 0x1000, ~0u, ADDRESS(&done), DOMID_SELF));
    REFUSED(hypercall(__HYPERVISOR_mmu_update, ADDRESS(updates), 0x7fffffff, ADDRESS(&done), DOMID_SELF));
    REFUSED(hypercall(__HYPERVISOR_mmu_update, ADDRESS(updates), ~0UL, HV_START, DOMID_SELF));
    REFUSED(hypercall(__HYPERVISOR_mmuext_op, 0x1000, ~0u, 0, DOMID_SELF));
    hypercall(__HYPERVISOR_mmuext_op, VIRT_BASE, ~0UL, 0, DOMID_SELF);
    REFUSED(grant_op(GNTTABOP_copy, copies, 0x80000000));
    grant_op(GNTTABOP_copy, copies, 4);
    REFUSED(grant_op(GNTTABOP_copy, (void *)0x1000, 0x7fffffff));
    REFUSED(hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, 0x80000000, VIRT_BASE, 0));
    REFUSED(hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, 0x7fffffff, VIRT_BASE, 0));
    REFUSED(hypercall(__HYPERVISOR_console_io, CONSOLEIO_read, 16, VIRT_BASE, 0));
}

ATTACK(flood_of_text, SURVIVES,
       "XSA-146 XSA-152 XSA-118: a domain that prints without end, and makes the hypervisor print")
{
    uint64_t end = now_ns() + FLOOD_NS;

    for (unsigned i = 0; now_ns() < end; i++) {
        hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, 4096, VIRT_BASE + i % 64, 0);
        hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, 1, ADDRESS("\n"), 0);
        map_entry((void *)VIRT_BASE, board->domain0_mfn * PAGE | PLAIN);
    }
}

/* ---- Registers ---- */

ATTACK(registers_are_kept, SURVIVES, "XSA-454: no register changes over a call but its result")
{
    uint64_t before[12], after[12];

    for (unsigned i = 0; i < 12; i++)
        before[i] = board->secret + i;
    for (unsigned nr = 0; nr < 64; nr++) {
        uint64_t rax = nr, *b = before, *a = after;

        if (!is_safe(nr, (unsigned)before[0]) || nr == __HYPERVISOR_multicall || nr == __HYPERVISOR_console_io)
            continue;
        __asm__ volatile(
            "push %%rbx; push %%rbp; push %1; mov %2, %%rbp\n"
            "mov (%%rbp), %%rdi; mov 8(%%rbp), %%rsi; mov 16(%%rbp), %%rdx; mov 24(%%rbp), %%r10\n"
            "mov 32(%%rbp), %%r8; mov 40(%%rbp), %%r9; mov 48(%%rbp), %%rbx; mov 56(%%rbp), %%r12\n"
            "mov 64(%%rbp), %%r13; mov 72(%%rbp), %%r14; mov 80(%%rbp), %%r15; mov 88(%%rbp), %%rbp\n"
            "syscall\n"
            "xchg %%rbp, (%%rsp)\n"
            "mov %%rdi, (%%rbp); mov %%rsi, 8(%%rbp); mov %%rdx, 16(%%rbp); mov %%r10, 24(%%rbp)\n"
            "mov %%r8, 32(%%rbp); mov %%r9, 40(%%rbp); mov %%rbx, 48(%%rbp); mov %%r12, 56(%%rbp)\n"
            "mov %%r13, 64(%%rbp); mov %%r14, 72(%%rbp); mov %%r15, 80(%%rbp); pop %%rsi; mov %%rsi, 88(%%rbp)\n"
            "pop %%rbp; pop %%rbx"
            : "+a"(rax), "+S"(a), "+D"(b)::"rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
              "memory");
        for (unsigned i = 0; i < 12; i++)
            if (before[i] != after[i])
                FAIL("a register changed: call, register", nr * 100 + i);
    }
}
