/* SPDX-License-Identifier: MIT */
/* Ways into and out of the guest: handlers, stacks and frames that cannot be, flags, traps in odd places. */
#include "guest/attack.h"

#define FLAG_TF   0x100UL
#define FLAG_IF   0x200UL
#define FLAG_IOPL 0x3000UL
#define FLAG_NT   0x4000UL
#define FLAG_RF   0x10000UL
#define FLAG_VM   0x20000UL
#define HV_CS     0xe008

static long register_callback(uint16_t type, uint64_t address)
{
    struct callback_register r = {.type = type, .address = address};

    return hypercall(__HYPERVISOR_callback_op, CALLBACKOP_register, ADDRESS(&r), 0, 0);
}

static long set_handler(uint8_t vector, uint64_t address)
{
    struct trap_info table[2] = {{vector, 0, FLAT_KERNEL_CS, address}, {0}};

    return hypercall(__HYPERVISOR_set_trap_table, ADDRESS(table), 0, 0, 0);
}

ATTACK(handlers_that_are_not_canonical, SURVIVES,
       "addresses that SYSRET must not see, in trap tables, callbacks, contexts")
{
    static const uint64_t addresses[] = {0x0000800000000000, 0xffff7fffffffffff, 0x8000000000000000,
                                         0xdead000000000000};

    for (unsigned i = 0; i < COUNT_OF(addresses); i++) {
        for (uint16_t type = 0; type < 10; type++)
            REFUSED(register_callback(type, addresses[i]));
        REFUSED(set_handler(14, addresses[i]));
    }
    REFUSED(register_callback(0xffff, VIRT_BASE));
    for (uint16_t type = 0; type < 10; type++)
        if (type != CALLBACKTYPE_nmi)
            REFUSED(hypercall(__HYPERVISOR_callback_op, CALLBACKOP_unregister,
                              ADDRESS(&(struct callback_unregister){type}), 0, 0));
    traps_init();
}

ATTACK(trap_tables, SURVIVES, "a list without an end, over the end of memory, in the hypervisor")
{
    struct trap_info *list = new_pages(3);

    for (unsigned i = 0; i < 3 * PAGE / sizeof(*list); i++)
        list[i] = (struct trap_info){(uint8_t)i, 0xff, 0xffff, VIRT_BASE};
    REFUSED(hypercall(__HYPERVISOR_set_trap_table, ADDRESS(list), 0, 0, 0));
    ALLOWED(map_entry((uint8_t *)list + 2 * PAGE, 0));
    REFUSED(hypercall(__HYPERVISOR_set_trap_table, ADDRESS(list) + 2 * PAGE - 40, 0, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_set_trap_table, HV_START, 0, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_set_trap_table, HV_START - 8, 0, 0, 0));
    traps_init();
}

/* ---- What an iret asks for ---- */

static struct iret_frame frame;

static void do_iret(void *arg)
{
    iret_with(arg);
}

static struct iret_frame *kernel_frame(uint64_t rip, uint64_t flags)
{
    frame = (struct iret_frame){.rip = rip,
                                .cs = FLAT_KERNEL_CS & ~3,
                                .rflags = flags,
                                .rsp = ADDRESS(this_cpu()) + 4096,
                                .ss = FLAT_KERNEL_SS};
    return &frame;
}

static const uint8_t trap_code[] = {0x9c, 0x58, 0x0f, 0x0b}; /* pushf; pop %rax; ud2 */

ATTACK(return_to_nowhere, SURVIVES,
       "XSA-7 and its like: SYSRET and IRET to addresses that are not canonical or the hypervisor's")
{
    static const uint64_t addresses[] = {0x0000800000000000,
                                         0xffff7fffffffffff,
                                         0xdeadbeefdeadbeef,
                                         HV_START,
                                         0xffff82d080000000,
                                         0x00007fffffffffff,
                                         ~0UL,
                                         0};

    for (unsigned i = 0; i < COUNT_OF(addresses); i++) {
        for (unsigned flags = 0; flags < 2; flags++) {
            struct iret_frame *f = kernel_frame(addresses[i], FLAG_IF);

            f->flags = flags ? VGCF_in_syscall : 0;
            CHECK(guarded(do_iret, f));
        }
    }
}

ATTACK(return_with_wrong_selectors, SURVIVES,
       "frames with the hypervisor's code segment, with null, with LDT selectors")
{
    static const uint64_t selectors[] = {HV_CS, HV_CS | 3, 0xe010, 0xe018, 0xe040, 0,     3,
                                         7,     0xffff,    0x8,    0x10,   0xe030, 0x1000};

    for (unsigned i = 0; i < COUNT_OF(selectors); i++) {
        struct iret_frame *f = kernel_frame(ADDRESS(trap_code), FLAG_IF);

        f->cs = selectors[i] & ~3UL;
        guarded(do_iret, f);
        f = kernel_frame(ADDRESS(trap_code), FLAG_IF);
        f->ss = selectors[i];
        guarded(do_iret, f);
    }
    CHECK(guarded(do_iret, kernel_frame(ADDRESS(trap_code), FLAG_IF)) == 7);
}

static uint64_t seen_flags;

static void read_flags(void *arg)
{
    __asm__ volatile("pushfq; pop %0" : "=r"(seen_flags));
}

/* A stub of user code leaves its flags in memory. */
static uint8_t flags_code[PAGE] __attribute__((aligned(4096)));

ATTACK(flags_of_the_processor, SURVIVES, "XSA-202: IOPL, NT, VM and a clear IF are asked for and not given")
{
    static const uint64_t asked[] = {
        0, FLAG_IOPL, FLAG_NT, FLAG_VM, FLAG_VM | FLAG_NT | FLAG_IOPL, ~FLAG_TF & 0x3fffff, ~0UL & ~FLAG_TF};
    /* pushfq; pop %rax; mov %rax, (seen_flags); ud2 */
    uint64_t *address = (uint64_t *)(flags_code + 4);

    memcpy(flags_code, (uint8_t[]){0x9c, 0x58, 0x48, 0xa3}, 4);
    *address = ADDRESS(&seen_flags);
    memcpy(flags_code + 12, (uint8_t[]){0x0f, 0x0b}, 2);
    for (unsigned i = 0; i < COUNT_OF(asked); i++) {
        for (unsigned flags = 0; flags < 2; flags++) {
            struct iret_frame *f = kernel_frame(ADDRESS(flags_code), asked[i]);

            f->flags = flags ? VGCF_in_syscall : 0;
            seen_flags = ~0UL;
            CHECK(guarded(do_iret, f) == 7);
            CHECK((seen_flags & (FLAG_IF | FLAG_IOPL | FLAG_NT | FLAG_VM)) == FLAG_IF);
        }
    }
    CHECK(!guarded(read_flags, NULL) && (seen_flags & FLAG_IF));
    shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
}

/* ---- Traps in odd places ---- */

static void step_into_syscall(void *arg)
{
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq; syscall; nop" ::"a"(__HYPERVISOR_xen_version), "D"(0), "S"(0)
                     : "rcx", "r11", "memory");
}

static void step_into_int3(void *arg)
{
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq; int3" ::: "memory");
}

static void step_into_sysenter(void *arg)
{
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq; sysenter" ::: "memory", "rax", "rcx");
}

static uint16_t stack_selector = FLAT_KERNEL_SS;

static void mov_ss_then_syscall(void *arg)
{
    __asm__ volatile("mov %2, %%ss; syscall; nop" ::"a"(__HYPERVISOR_xen_version), "D"(0), "m"(stack_selector), "S"(0)
                     : "rcx", "r11", "memory");
}

static void mov_ss_then_int3(void *arg)
{
    __asm__ volatile("mov %0, %%ss; int3" ::"m"(stack_selector) : "memory");
}

static void mov_ss_then_int80(void *arg)
{
    __asm__ volatile("mov %0, %%ss; int $0x80" ::"m"(stack_selector) : "memory");
}

ATTACK(single_steps, SURVIVES, "XSA-204 XSA-308: TF is set when the hypervisor is entered, by each way")
{
    CHECK(guarded(step_into_syscall, NULL) == 2);
    CHECK(guarded(step_into_int3, NULL));
    CHECK(guarded(step_into_sysenter, NULL));
    CHECK(!guarded(read_flags, NULL) && !(seen_flags & FLAG_TF));
}

ATTACK(breakpoint_over_mov_ss, SURVIVES,
       "XSA-260 XSA-265: a breakpoint on the operand of MOV SS, which comes in the hypervisor")
{
    ALLOWED(hypercall(__HYPERVISOR_set_debugreg, 0, ADDRESS(&stack_selector), 0, 0));
    ALLOWED(hypercall(__HYPERVISOR_set_debugreg, 7, 0x70003, 0, 0)); /* two bytes, read or write */
    for (unsigned i = 0; i < 100; i++) {
        guarded(mov_ss_then_syscall, NULL);
        guarded(mov_ss_then_int3, NULL);
        guarded(mov_ss_then_int80, NULL);
    }
    ALLOWED(hypercall(__HYPERVISOR_set_debugreg, 7, 0, 0, 0));
}

#define SOFTWARE_INTERRUPT(n)                                                                                          \
    static void int_##n(void *arg)                                                                                     \
    {                                                                                                                  \
        __asm__ volatile("int $" #n);                                                                                  \
    }
SOFTWARE_INTERRUPT(0)
SOFTWARE_INTERRUPT(1)
SOFTWARE_INTERRUPT(2)
SOFTWARE_INTERRUPT(8)
SOFTWARE_INTERRUPT(14)
SOFTWARE_INTERRUPT(18)
SOFTWARE_INTERRUPT(32)
SOFTWARE_INTERRUPT(128)
SOFTWARE_INTERRUPT(240)
SOFTWARE_INTERRUPT(255)

static void icebp(void *arg)
{
    __asm__ volatile(".byte 0xf1");
}

ATTACK(software_interrupts, SURVIVES,
       "XSA-106 XSA-196 XSA-259: INT of vectors that are exceptions', the hypervisor's, nobody's")
{
    static void (*const all[])(void *) = {int_0,  int_1,   int_2,   int_8,   int_14, int_18,
                                          int_32, int_128, int_240, int_255, icebp};

    for (unsigned i = 0; i < COUNT_OF(all); i++)
        for (unsigned n = 0; n < 20; n++)
            CHECK(guarded(all[i], NULL));
}

/* ---- No way in ---- */

static void divide(void *arg)
{
    __asm__ volatile("ud2");
}

ATTACK(no_handler, DIES, "a trap without a handler")
{
    hypercall(__HYPERVISOR_set_trap_table, 0, 0, 0, 0);
    divide(NULL);
}

ATTACK(handler_that_traps, DIES, "a handler whose first instruction traps, for ever downwards on the stack")
{
    ALLOWED(set_handler(6, ADDRESS(divide)));
    ALLOWED(set_handler(14, ADDRESS(divide)));
    divide(NULL);
}

ATTACK(stack_in_the_hypervisor, DIES, "a trap with the stack pointer in the hypervisor's memory")
{
    __asm__ volatile("mov %0, %%rsp; ud2" ::"r"(0xffff830000100000UL));
}

ATTACK(stack_in_the_table_of_frames, DIES, "a trap with the stack pointer in the M2P")
{
    __asm__ volatile("mov %0, %%rsp; ud2" ::"r"(HV_START + 4096));
}

ATTACK(stack_just_above_the_hypervisor, DIES,
       "a frame that would begin in the guest's memory and end in the hypervisor's")
{
    __asm__ volatile("mov %0, %%rsp; ud2" ::"r"(HV_END + 8));
}

ATTACK(stack_wraps, DIES, "a frame around address 0")
{
    __asm__ volatile("mov $16, %%rsp; ud2" ::);
}

ATTACK(stack_in_a_page_table, DIES, "XSA-242: the frame of a trap would be entries of a page table")
{
    uint64_t *table = table_of((void *)VIRT_BASE, 1);

    __asm__ volatile("mov %0, %%rsp; ud2" ::"r"(table + 512));
}

ATTACK(no_failsafe, DIES, "a frame that IRET refuses, and nobody to be told")
{
    ALLOWED(register_callback(CALLBACKTYPE_failsafe, 0));
    kernel_frame(ADDRESS(trap_code), FLAG_IF)->ss = HV_CS;
    iret_with(&frame);
}

ATTACK(iret_without_frame, DIES, "the frame of the iret hypercall is not there")
{
    iret_with((void *)0x1000);
}

/* A page of ours as the hypervisor sees it: nothing but the check of the address is in the way. */
static uint64_t in_the_direct_map(const void *page)
{
    return 0xffff830000000000 + mfn_of(page) * PAGE;
}

ATTACK(iret_frame_in_the_hypervisor, DIES, "the frame of the iret hypercall is in the hypervisor's memory")
{
    struct iret_frame *page = new_page();

    *page = *kernel_frame(ADDRESS(trap_code), FLAG_IF);
    iret_with((void *)in_the_direct_map(page));
}

ATTACK(user_mode_without_tables, DIES, "iret to user mode with no root for it")
{
    kernel_frame(ADDRESS(trap_code), FLAG_IF)->cs = FLAT_USER_CS | 3;
    iret_with(&frame);
}

ATTACK(kernel_stack_of_user_mode, DIES, "XSA-339: a trap in user mode with a kernel stack in the hypervisor")
{
    ALLOWED(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(table_of((void *)VIRT_BASE, 4)), 0));
    kernel_frame(ADDRESS(trap_code), FLAG_IF)->cs = FLAT_USER_CS | 3;
    hypercall(__HYPERVISOR_stack_switch, 0, in_the_direct_map(new_page()) + PAGE, 0, 0);
    iret_with(&frame);
}

/* A handler that needs no stack: it ends the guest in peace. */
struct sched_shutdown end_in_peace = {.reason = SHUTDOWN_poweroff};

static __attribute__((naked)) void without_stack(void)
{
    __asm__("mov $2, %edi\n" /* SCHEDOP_shutdown */
            "lea end_in_peace(%rip), %rsi\n"
            "mov $29, %eax\n"
            "syscall\n"
            "ud2\n");
}

ATTACK(stack_of_system_calls, DIES, "XSA-339: a system call of user mode with a kernel stack in the hypervisor")
{
    static uint8_t code[PAGE] __attribute__((aligned(4096))) = {0x0f, 0x05};

    ALLOWED(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(table_of((void *)VIRT_BASE, 4)), 0));
    ALLOWED(register_callback(CALLBACKTYPE_syscall, ADDRESS(without_stack)));
    kernel_frame(ADDRESS(code), FLAG_IF)->cs = FLAT_USER_CS | 3;
    hypercall(__HYPERVISOR_stack_switch, 0, in_the_direct_map(new_page()) + PAGE, 0, 0);
    iret_with(&frame);
}

ATTACK(empty_user_root, DIES, "user mode on tables that map nothing, not even itself")
{
    uint64_t *root = new_table();

    ALLOWED(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(root), 0));
    kernel_frame(0x1000, FLAG_IF)->cs = FLAT_USER_CS | 3;
    hypercall(__HYPERVISOR_stack_switch, 0, 0x1000, 0, 0);
    iret_with(&frame);
}

/* ---- User mode ---- */

static uint8_t user_page[PAGE] __attribute__((aligned(4096)));

static int user(const uint8_t *code, size_t size)
{
    memset(user_page, 0xcc, 32);
    memcpy(user_page, code, size);
    return run_user(ADDRESS(user_page), ADDRESS(user_page) + PAGE);
}

ATTACK(calls_from_user_mode, SURVIVES,
       "XSA-76 XSA-446: SYSCALL, SYSENTER, INT 80 and INT n of the guest's user mode are the guest's affair")
{
    ALLOWED(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(table_of((void *)VIRT_BASE, 4)), 0));
    for (unsigned i = 0; i < 50; i++) {
        CHECK(user((uint8_t[]){0x0f, 0x05}, 2) == TRAP_SYSCALL);
        CHECK(user((uint8_t[]){0xcd, 0x80}, 2) == 0x80);
        CHECK(user((uint8_t[]){0xcd, 0x02}, 2) != 2); /* QEMU's error code names vector 4, which user mode may use */
        RETURNS(13, user((uint8_t[]){0xcd, 0x0e}, 2));
        CHECK(user((uint8_t[]){0xcc}, 1) == 3);
        CHECK(user((uint8_t[]){0xf4}, 1) == 13);
        user((uint8_t[]){0x0f, 0x34}, 2);
    }
    ALLOWED(register_callback(CALLBACKTYPE_syscall, 0));
    CHECK(user((uint8_t[]){0x0f, 0x05}, 2) == 6);
}

ATTACK(table_of_frames_from_user_mode, EITHER,
       "the M2P is the kernel's: user mode on tables of its own may not read it")
{
    uint64_t *l4 = new_page();

    l4[511] = table_of((void *)VIRT_BASE, 4)[511];
    make_readonly(l4);
    ALLOWED(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(l4), 0));
    /* mov (M2P), %rax: 48 a1 imm64 */
    CHECK(user((uint8_t[]){0x48, 0xa1, 0, 0, 0, 0, 0, 0x80, 0xff, 0xff}, 10) == 14);
}

ATTACK(nmis, SURVIVES,
       "XSA-339: NMIs to vCPUs without a handler, that are down, that do not exist, one after the other")
{
    for (unsigned i = 0; i < 3; i++)
        REFUSED(vcpu_op(VCPUOP_send_nmi, 0, (void *)8));
    ALLOWED(vcpu_op(VCPUOP_send_nmi, 1, NULL));
    REFUSED(vcpu_op(VCPUOP_send_nmi, VCPUS_MAX, NULL));
    hypercall(__HYPERVISOR_callback_op, CALLBACKOP_unregister, ADDRESS(&(struct callback_unregister){CALLBACKTYPE_nmi}),
              0, 0);
    ALLOWED(set_handler(2, 0) | 0);
    for (unsigned i = 0; i < 100; i++)
        guarded((void (*)(void *))(uintptr_t)ADDRESS(read_flags), NULL);
}
