/* SPDX-License-Identifier: MIT */
/* Privileged instructions, registers and ports: what ring 3 cannot do and the hypervisor does not do for it either. */
#include "guest/attack.h"

#define INSTRUCTION(name, text)                                                                                        \
    static void name(void *arg)                                                                                        \
    {                                                                                                                  \
        uint64_t a = ADDRESS(arg), c = a, d = a;                                                                       \
        __asm__ volatile(text : "+a"(a), "+c"(c), "+d"(d)::"memory", "rbx", "rsi", "rdi", "r8");                       \
    }
INSTRUCTION(i_hlt, "hlt")
INSTRUCTION(i_cli, "cli")
INSTRUCTION(i_sti, "sti")
INSTRUCTION(i_lgdt, "lgdt (%%rsp)")
INSTRUCTION(i_lidt, "lidt (%%rsp)")
INSTRUCTION(i_lldt, "lldt %%ax")
INSTRUCTION(i_ltr, "ltr %%ax")
INSTRUCTION(i_lmsw, "lmsw %%ax")
INSTRUCTION(i_invd, "invd")
INSTRUCTION(i_invlpg, "invlpg (%%rsp)")
INSTRUCTION(i_swapgs, "swapgs")
INSTRUCTION(i_sysret, "sysretq")
INSTRUCTION(i_sysexit, "sysexitq")
INSTRUCTION(i_rdpmc, "rdpmc")
INSTRUCTION(i_monitor, "monitor")
INSTRUCTION(i_mwait, "mwait")
INSTRUCTION(i_rsm, "rsm")
INSTRUCTION(i_vmrun, "vmrun")
INSTRUCTION(i_vmload, "vmload")
INSTRUCTION(i_vmsave, "vmsave")
INSTRUCTION(i_stgi, "stgi")
INSTRUCTION(i_clgi, "clgi")
INSTRUCTION(i_skinit, "skinit")
INSTRUCTION(i_vmmcall, "vmmcall")
INSTRUCTION(i_vmcall, "vmcall")
INSTRUCTION(i_invpcid, ".byte 0x66, 0x0f, 0x38, 0x82, 0x04, 0x24")
INSTRUCTION(i_xsaves, "xsaves (%%rsp)")
INSTRUCTION(i_to_cr8, "mov %%rax, %%cr8")
INSTRUCTION(i_from_cr8, "mov %%cr8, %%rax")
INSTRUCTION(i_to_cr3, "mov %%rax, %%cr3")
INSTRUCTION(i_xsetbv, "xor %%ecx, %%ecx; xsetbv")
INSTRUCTION(i_clac, "clac")
INSTRUCTION(i_locked, ".byte 0xf0, 0x0f, 0x20, 0xc0")
INSTRUCTION(i_ud, "ud2")
INSTRUCTION(i_prefixes,
            ".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x0f,0x20,0xc0")

static const struct {
    const char *name;
    void (*run)(void *arg);
} faulting[] = {
#define F(name)                                                                                                        \
    {                                                                                                                  \
#name, i_##name                                                                                                \
    }
    F(hlt),    F(lgdt),    F(lidt),   F(lldt),    F(ltr),    F(lmsw),     F(invd),   F(invlpg), F(swapgs),
    F(sysret), F(sysexit), F(rdpmc),  F(monitor), F(mwait),  F(rsm),      F(vmrun),  F(vmload), F(vmsave),
    F(stgi),   F(clgi),    F(skinit), F(vmmcall), F(vmcall), F(invpcid),  F(xsaves), F(to_cr8), F(from_cr8),
    F(to_cr3), F(xsetbv),  F(clac),   F(locked),  F(ud),     F(prefixes), F(cli),    F(sti),
};

ATTACK(privileged_instructions, SURVIVES,
       "XSA-105 XSA-110 XSA-76: each instruction of ring 0 that has no meaning for a guest")
{
    static const uint64_t values[] = {0, 1, ~0UL, HV_START, 0x8000000000000000};

    for (unsigned i = 0; i < COUNT_OF(faulting); i++)
        for (unsigned v = 0; v < COUNT_OF(values); v++)
            if (!guarded(faulting[i].run, (void *)values[v]))
                FAIL(faulting[i].name, v);
}

/* ---- Control registers ---- */

static uint64_t moved;

#define CONTROL(n)                                                                                                     \
    static void to_cr##n(void *arg)                                                                                    \
    {                                                                                                                  \
        __asm__ volatile("mov %0, %%cr" #n ::"r"(arg) : "memory");                                                     \
    }                                                                                                                  \
    static void from_cr##n(void *arg)                                                                                  \
    {                                                                                                                  \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(moved)::"memory");                                                \
    }
CONTROL(0)
CONTROL(2)
CONTROL(3)
CONTROL(4)

ATTACK(control_registers, SURVIVES, "CR0 without WP or paging, CR4 with SMEP off, CR3 of frames that are no roots")
{
    uint64_t cr0, cr4;

    CHECK(!guarded(from_cr0, NULL));
    cr0 = moved;
    for (unsigned bit = 0; bit < 64; bit++)
        CHECK(bit == 3 || guarded(to_cr0, (void *)(cr0 ^ 1UL << bit)));
    CHECK(!guarded(from_cr4, NULL));
    cr4 = moved;
    for (unsigned bit = 0; bit < 64; bit++)
        guarded(to_cr4, (void *)(cr4 ^ 1UL << bit));
    guarded(to_cr4, (void *)0);
    guarded(to_cr4, (void *)~0UL);
    guarded(to_cr4, (void *)cr4);
    CHECK(guarded(to_cr3, (void *)(board->domain0_table_mfn * PAGE)));
    CHECK(guarded(to_cr3, (void *)(mfn_of(table_of((void *)VIRT_BASE, 1)) * PAGE)));
    CHECK(guarded(to_cr3, (void *)~0UL));
    CHECK(!guarded(from_cr3, NULL) && (moved & ADDR) / PAGE == mfn_of(table_of((void *)VIRT_BASE, 4)));
    CHECK(!guarded(to_cr2, (void *)HV_START) && !guarded(from_cr2, NULL));
}

/* ---- Model-specific registers ---- */

struct msr {
    uint32_t number;
    uint64_t value;
};

static void do_wrmsr(void *arg)
{
    const struct msr *m = arg;

    __asm__ volatile("wrmsr" ::"c"(m->number), "a"((uint32_t)m->value), "d"((uint32_t)(m->value >> 32)) : "memory");
}

static void do_rdmsr(void *arg)
{
    struct msr *m = arg;
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(m->number) : "memory");
    m->value = (uint64_t)high << 32 | low;
}

static const uint32_t msr_ranges[][2] = {{0, 0x1000},
                                         {0x4b564d00, 0x4b564d10},
                                         {0x40000000, 0x40000200},
                                         {0xc0000000, 0xc0000400},
                                         {0xc0010000, 0xc0010400},
                                         {0xc0011000, 0xc0011060}};

ATTACK(model_specific_registers, SURVIVES, "XSA-333 XSA-108: all registers read, and written with bad values")
{
    for (unsigned r = 0; r < COUNT_OF(msr_ranges); r++) {
        for (uint32_t n = msr_ranges[r][0]; n < msr_ranges[r][1]; n++) {
            struct msr m = {.number = n};

            if (!guarded(do_rdmsr, &m))
                CHECK(m.value < HV_START || m.value >= HV_END);
            m.value = HV_START + 0x1000;
            if (n != 0xc0000100 && n != 0xc0000101 && n != 0xc0000102)
                guarded(do_wrmsr, &m);
        }
    }
    CHECK(this_cpu()->id == 0);
}

ATTACK(bases_that_are_not_canonical, SURVIVES, "XSA-193: segment bases, by register and by hypercall")
{
    for (uint32_t n = 0xc0000100; n <= 0xc0000102; n++) {
        struct msr m = {n, 0x0000800000000000};

        CHECK(guarded(do_wrmsr, &m));
        m.value = 0xffff7fffffffffff;
        CHECK(guarded(do_wrmsr, &m));
    }
    for (unsigned which = 0; which < 3; which++) {
        REFUSED(hypercall(__HYPERVISOR_set_segment_base, which, 0x0000800000000000, 0, 0));
        REFUSED(hypercall(__HYPERVISOR_set_segment_base, which, 0x8000000000000000, 0, 0));
    }
    REFUSED(hypercall(__HYPERVISOR_set_segment_base, 4, 0, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_set_segment_base, ~0UL, 0, 0, 0));
}

ATTACK(wrong_kind_of_registers, SURVIVES,
       "syscall and interrupt entry points, PAT, EFER, APIC, debug control are not a guest's")
{
    static const uint32_t numbers[] = {0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000080, 0x174, 0x175,
                                       0x176,      0x1b,       0x277,      0x1d9,      0x2ff,      0x200, 0x38f,
                                       0xc0010114, 0xc0010117, 0xda0,      0x6a0,      0x6a2,      0x6e0};

    for (unsigned i = 0; i < COUNT_OF(numbers); i++) {
        struct msr m = {numbers[i], 0x1234500000};

        CHECK(guarded(do_wrmsr, &m));
    }
}

/* ---- Debug registers ---- */

static long set_debug(unsigned reg, uint64_t value)
{
    return hypercall(__HYPERVISOR_set_debugreg, reg, value, 0, 0);
}

ATTACK(debug_registers, SURVIVES, "XSA-12 XSA-444: breakpoints in the hypervisor, general detect, reserved bits")
{
    for (unsigned reg = 0; reg < 4; reg++) {
        REFUSED(set_debug(reg, HV_START));
        REFUSED(set_debug(reg, HV_START - 1));
        REFUSED(set_debug(reg, HV_START - 7));
        REFUSED(set_debug(reg, HV_END - 1));
        REFUSED(set_debug(reg, 0xffff82d080000000));
        REFUSED(set_debug(reg, 0x0000800000000000));
        ALLOWED(set_debug(reg, HV_END));
        ALLOWED(set_debug(reg, 0));
    }
    REFUSED(set_debug(7, 1UL << 13));
    REFUSED(set_debug(7, 1UL << 32 | 1));
    REFUSED(set_debug(7, 0x20001)); /* I/O without CR4.DE */
    REFUSED(set_debug(6, 1UL << 32));
    REFUSED(set_debug(8, 0));
    REFUSED(set_debug(~0u, 0));
    REFUSED(hypercall(__HYPERVISOR_get_debugreg, 8, 0, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_get_debugreg, 0x107, 0, 0, 0));
}

/* ---- Ports ---- */

struct port {
    uint16_t number;
    uint32_t value;
};

static void do_in(void *arg)
{
    struct port *p = arg;

    __asm__ volatile("inl %%dx, %%eax" : "=a"(p->value) : "d"(p->number));
}

static void do_out(void *arg)
{
    const struct port *p = arg;

    __asm__ volatile("outb %%al, %%dx" ::"a"(p->value), "d"(p->number));
}

static void do_outs(void *arg)
{
    uint64_t count = 64;

    __asm__ volatile("rep outsb" : "+S"(arg), "+c"(count) : "d"(0x80) : "memory");
}

static void do_ins(void *arg)
{
    uint64_t count = 64;

    __asm__ volatile("rep insb" : "+D"(arg), "+c"(count) : "d"(0x60) : "memory");
}

static void set_iopl(unsigned level)
{
    ALLOWED(hypercall(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, ADDRESS(&(struct physdev_set_iopl){level}), 0, 0));
}

ATTACK(all_ports, SURVIVES, "ports of the machine with and without I/O privilege: reads are all ones, writes are lost")
{
    for (unsigned level = 0; level < 4; level += 1) {
        set_iopl(level);
        for (unsigned n = 0; n < 0x10000; n += level == 1 ? 1 : 61) {
            struct port p = {.number = (uint16_t)n, .value = 0};

            CHECK(!guarded(do_in, &p) == (level >= 1));
            CHECK(!level || p.value == ~0u);
            p.value = n == 0xcf9 ? 6 : 0xfe;
            guarded(do_out, &p);
        }
    }
    REFUSED(hypercall(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, ADDRESS(&(struct physdev_set_iopl){4}), 0, 0));
}

ATTACK(string_ports, SURVIVES, "XSA-186: INS and OUTS from and to the hypervisor's memory and tables")
{
    set_iopl(3);
    CHECK(guarded(do_outs, (void *)(HV_START + 0x30000000000)));
    CHECK(guarded(do_outs, (void *)0xffff82d080000000));
    CHECK(guarded(do_ins, (void *)HV_START));
    CHECK(guarded(do_ins, table_of((void *)VIRT_BASE, 1)));
    CHECK(guarded(do_ins, (void *)0x0000800000000000));
    CHECK(guarded(do_outs, (void *)(HV_START - 16)));
}

ATTACK(port_bitmap, SURVIVES, "a bitmap of ports in the hypervisor, over the end of memory, of others' frames")
{
    struct physdev_set_iobitmap op = {.nr_ports = 65536};
    uint64_t *page = new_page();
    struct port p = {.number = 0xffff};

    set_xen_guest_handle(op.bitmap, (uint8_t *)HV_START);
    REFUSED(hypercall(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, ADDRESS(&op), 0, 0));
    set_xen_guest_handle(op.bitmap, (uint8_t *)(HV_START - 100));
    REFUSED(hypercall(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, ADDRESS(&op), 0, 0));
    set_xen_guest_handle(op.bitmap, (uint8_t *)-100);
    REFUSED(hypercall(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, ADDRESS(&op), 0, 0));
    op.nr_ports = 65537;
    REFUSED(hypercall(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, ADDRESS(&op), 0, 0));
    op.nr_ports = 65536;
    set_xen_guest_handle(op.bitmap, (uint8_t *)page + PAGE - 1); /* what follows is whatever it is */
    ALLOWED(hypercall(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, ADDRESS(&op), 0, 0));
    for (unsigned n = 0; n < 0x10000; n += 7) {
        p.number = (uint16_t)n;
        if (!guarded(do_in, &p))
            CHECK(p.value == ~0u);
    }
    set_xen_guest_handle(op.bitmap, (uint8_t *)0x1000);
    ALLOWED(hypercall(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, ADDRESS(&op), 0, 0));
    CHECK(guarded(do_in, &p));
}

/* ---- Fetching what is emulated ---- */

static void call(void *arg)
{
    ((void (*)(void))ADDRESS(arg))();
}

ATTACK(emulated_code_at_the_edge, SURVIVES, "XSA-186 XSA-195: a privileged instruction that ends where memory ends")
{
    static const uint8_t code[] = {0x0f, 0x20, 0xc0, 0xc3}; /* mov %cr0, %rax; ret */
    uint8_t *page = new_pages(2);

    ALLOWED(map_entry(page + PAGE, 0));
    for (unsigned have = 1; have <= sizeof(code); have++) {
        memcpy(page + PAGE - have, code, have);
        CHECK(!guarded(call, page + PAGE - have) == (have == sizeof(code)));
    }
    page[PAGE - 1] = 0x66; /* prefixes to the end, and across it */
    memset(page + PAGE - 20, 0x66, 20);
    CHECK(guarded(call, page + PAGE - 20));
    CHECK(guarded(call, (void *)HV_START));
    CHECK(guarded(call, (void *)(HV_START - 1)));
    CHECK(guarded(call, (void *)0xffff82d080000000));
}

static uint8_t user_code[PAGE] __attribute__((aligned(4096)));

ATTACK(privileged_in_user_mode, SURVIVES,
       "XSA-105 XSA-106: the same instructions from the guest's user mode are not emulated")
{
    static const uint8_t codes[][8] = {
        {0x0f, 0x20, 0xc0}, {0x0f, 0x22, 0xd8}, {0x0f, 0x32}, {0x0f, 0x30}, {0x0f, 0x06}, {0x0f, 0x09},
        {0x0f, 0x21, 0xf8}, {0x0f, 0x23, 0xf8}, {0xfa},       {0xee},       {0xec},       {0xf4},
        {0x0f, 0x01, 0xd1}, {0x0f, 0x01, 0xf8}};

    ALLOWED(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(table_of((void *)VIRT_BASE, 4)), 0));
    for (unsigned i = 0; i < COUNT_OF(codes); i++) {
        int vector;

        memcpy(user_code, codes[i], 8);
        memset(user_code + 3, 0xcc, 8);
        vector = run_user(ADDRESS(user_code), ADDRESS(user_code) + PAGE);
        if (vector != 13 && vector != 6)
            FAIL("vector for code", i * 1000 + (unsigned)vector);
    }
}
