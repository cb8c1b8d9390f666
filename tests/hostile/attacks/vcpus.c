/* SPDX-License-Identifier: MIT */
/* vCPUs, their contexts, timers and memory areas; scheduling. */
#include "guest/attack.h"

#define ROUNDS 500

static struct vcpu_guest_context context;

static long initialise(unsigned vcpu)
{
    return vcpu_op(VCPUOP_initialise, vcpu, &context);
}

static void good_context(void)
{
    static uint8_t stack[STACK_SIZE] __attribute__((aligned(16384)));

    fill_context(&context, (struct cpu *)stack);
}

ATTACK(roots_of_new_vcpus, SURVIVES, "XSA-109: contexts whose roots are no tables, of another level, of other domains")
{
    const uint64_t frames[] = {0,
                               0x200,
                               board->domain0_mfn,
                               board->domain0_table_mfn,
                               board->frames_max,
                               ~0UL >> 12,
                               ~0UL,
                               mfn_of(table_of((void *)VIRT_BASE, 1)),
                               mfn_of(table_of((void *)VIRT_BASE, 3)),
                               mfn_of(new_page()),
                               start_info->shared_info / PAGE};

    for (unsigned i = 0; i < COUNT_OF(frames); i++) {
        good_context();
        context.ctrlreg[3] = frames[i] * PAGE;
        REFUSED(initialise(1));
        if (!frames[i] || frames[i] == ~0UL)
            continue;
        good_context();
        context.ctrlreg[1] = frames[i] * PAGE;
        REFUSED(initialise(1));
    }
    good_context();
    ALLOWED(initialise(1));
    REFUSED(initialise(1));
    REFUSED(initialise(0));
    REFUSED(initialise(VCPUS_MAX));
    REFUSED(initialise(~0u));
}

ATTACK(contexts, SURVIVES, "XSA-12 XSA-193: contexts with addresses, tables and registers that may not be")
{
    for (unsigned i = 0; i < 12; i++) {
        good_context();
        switch (i) {
        case 0:
            context.event_callback_eip = 0x0000800000000000;
            break;
        case 1:
            context.failsafe_callback_eip = 0x8000000000000000;
            break;
        case 2:
            context.syscall_callback_eip = 0xffff7fffffffffff;
            break;
        case 3:
            context.trap_ctxt[255].address = 0x0000800000000000;
            break;
        case 4:
            context.fs_base = 0x0000800000000000;
            break;
        case 5:
            context.gs_base_user = 0x8000000000000000;
            break;
        case 6:
            context.gs_base_kernel = 0x8000000000000000;
            break;
        case 7:
            context.gdt_ents = 7169;
            break;
        case 8:
            context.gdt_ents = 1;
            context.gdt_frames[0] = board->domain0_mfn;
            break;
        case 9:
            context.ldt_base = HV_START;
            context.ldt_ents = 8;
            break;
        case 10:
            context.debugreg[0] = HV_START;
            break;
        default:
            context.debugreg[7] = 1UL << 13;
        }
        REFUSED(initialise(2));
    }
    REFUSED(vcpu_op(VCPUOP_initialise, 2, (void *)HV_START));
    REFUSED(vcpu_op(VCPUOP_initialise, 2, (void *)(VIRT_BASE + board->free_end * PAGE - 8)));
    REFUSED(vcpu_op(VCPUOP_up, 2, NULL));
}

ATTACK(registers_of_new_vcpus, EITHER,
       "XSA-53 XSA-202: flags, selectors, FPU state of nonsense that the processor is to load")
{
    for (unsigned id = 1; id < VCPUS_MAX; id++) {
        good_context();
        memset(&context.fpu_ctxt, 0xff, sizeof(context.fpu_ctxt));
        context.flags |= VGCF_I387_VALID | 0xffffff00;
        context.user_regs.rflags = ~0UL;
        context.user_regs.cs = id == 1 ? 0xe008 : id == 2 ? 0xffff : 0;
        context.user_regs.ds = context.user_regs.es = context.user_regs.fs = context.user_regs.gs = 0xe040 + id;
        context.user_regs.rip = id == 3 ? 0x0000800000000000 : VIRT_BASE;
        if (!initialise(id))
            vcpu_op(VCPUOP_up, id, NULL);
    }
    sleep_ns(5000000);
}

ATTACK(info_pages, SURVIVES,
       "XSA-327: vcpu_info across pages, misaligned, in tables, of others, twice, of vCPUs that run")
{
    uint64_t *page = new_page();
    uint64_t frames[] = {0, 0x200, board->domain0_mfn, board->frames_max, ~0UL, mfn_of(table_of(page, 1))};

    for (unsigned i = 0; i < COUNT_OF(frames); i++)
        REFUSED(vcpu_op(VCPUOP_register_vcpu_info, 1, &(struct vcpu_register_vcpu_info){.mfn = frames[i]}));
    for (uint32_t offset = 1; offset; offset = offset * 3 + 1)
        if (offset % 8 || offset > PAGE - sizeof(struct vcpu_info))
            REFUSED(vcpu_op(VCPUOP_register_vcpu_info, 1, &(struct vcpu_register_vcpu_info){mfn_of(page), offset, 0}));
        else
            break;
    REFUSED(vcpu_op(VCPUOP_register_vcpu_info, 1, &(struct vcpu_register_vcpu_info){mfn_of(page), PAGE - 8, 0}));
    REFUSED(vcpu_op(VCPUOP_register_vcpu_info, 1, &(struct vcpu_register_vcpu_info){mfn_of(page), ~0u - 7, 0}));
    ALLOWED(vcpu_op(VCPUOP_register_vcpu_info, 1, &(struct vcpu_register_vcpu_info){mfn_of(page), 64, 0}));
    REFUSED(vcpu_op(VCPUOP_register_vcpu_info, 1, &(struct vcpu_register_vcpu_info){mfn_of(page), 128, 0}));
    make_readonly(page);
    for (unsigned level = 1; level <= 4; level++)
        REFUSED(pin(level, page));
    REFUSED(hypercall(__HYPERVISOR_set_gdt, ADDRESS(&(uint64_t){mfn_of(page)}), 1, 0, 0));
}

ATTACK(info_page_given_up, EITHER, "XSA-248: the page of vcpu_info is unmapped and given up, and is in use still")
{
    uint64_t *page = new_page(), frame = mfn_of(page);
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};

    set_xen_guest_handle(r.extent_start, &frame);
    ALLOWED(vcpu_op(VCPUOP_register_vcpu_info, 0, &(struct vcpu_register_vcpu_info){mfn_of(page), 0, 0}));
    ALLOWED(map_entry(page, 0));
    memory_op(XENMEM_decrease_reservation, &r);
    REFUSED(map_entry(page, frame * PAGE | READONLY) ? -1 : -1);
    for (unsigned i = 0; i < 100; i++)
        sched_op(SCHEDOP_yield, NULL);
}

ATTACK(areas, SURVIVES, "XSA-212: run state and time areas in the hypervisor, in tables, nowhere, at the end of a page")
{
    static const uint64_t places[] = {HV_START, 0xffff830000100000, 0x0000800000000000, ~0UL, HV_START - 8, HV_END - 8,
                                      0x1000};
    uint64_t state = 0, *page = new_page();

    for (unsigned vcpu = 0; vcpu < VCPUS_MAX; vcpu++) {
        for (unsigned i = 0; i < COUNT_OF(places) + 2; i++) {
            uint64_t at = i < COUNT_OF(places)    ? places[i]
                          : i == COUNT_OF(places) ? ADDRESS(table_of(page, 1))
                                                  : ADDRESS(page) + PAGE - 4;
            struct vcpu_register_runstate_memory_area area = {.addr.p = at};

            vcpu_op(VCPUOP_register_runstate_memory_area, vcpu, &area);
            vcpu_op(VCPUOP_register_vcpu_time_memory_area, vcpu, &area);
            for (unsigned n = 0; n < 20; n++)
                sched_op(SCHEDOP_yield, NULL);
            sleep_ns(200000);
        }
    }
    CHECK(!try_read((void *)0x1000, &state));
    REFUSED(vcpu_op(VCPUOP_get_runstate_info, 0, (void *)HV_START));
    REFUSED(vcpu_op(VCPUOP_register_runstate_memory_area, VCPUS_MAX, &state));
}

/* ---- Time ---- */

ATTACK(timers, SURVIVES,
       "XSA-336: deadlines in the past, at the end of time, periods of nothing, timers of other vCPUs")
{
    static const uint64_t times[] = {0, 1, ~0UL, 1UL << 63, (1UL << 63) - 1, 1000, 999999};

    for (unsigned i = 0; i < COUNT_OF(times); i++) {
        struct vcpu_set_singleshot_timer single = {.timeout_abs_ns = times[i], .flags = ~0u};

        for (unsigned vcpu = 0; vcpu < VCPUS_MAX + 1; vcpu++) {
            vcpu_op(VCPUOP_set_periodic_timer, vcpu, &(struct vcpu_set_periodic_timer){times[i]});
            vcpu_op(VCPUOP_set_singleshot_timer, vcpu, &single);
        }
        hypercall(__HYPERVISOR_set_timer_op, times[i], 0, 0, 0);
        REFUSED(vcpu_op(VCPUOP_set_singleshot_timer, 1, &single));
        REFUSED(vcpu_op(VCPUOP_stop_singleshot_timer, 1, NULL));
    }
    REFUSED(vcpu_op(VCPUOP_set_periodic_timer, 0, &(struct vcpu_set_periodic_timer){1}));
    for (unsigned i = 0; i < 5000; i++)
        hypercall(__HYPERVISOR_set_timer_op, now_ns() + i % 64, 0, 0, 0);
}

ATTACK(polls, SURVIVES, "XSA-29: polls of too many ports, of ports that do not exist, until the past")
{
    static evtchn_port_t ports[200];
    struct sched_poll poll = {.nr_ports = 129, .timeout = 1};

    set_xen_guest_handle(poll.ports, ports);
    REFUSED(sched_op(SCHEDOP_poll, &poll));
    poll.nr_ports = ~0u;
    REFUSED(sched_op(SCHEDOP_poll, &poll));
    poll.nr_ports = 1;
    REFUSED(sched_op(SCHEDOP_poll, &poll)); /* port 0 */
    ports[0] = ~0u;
    REFUSED(sched_op(SCHEDOP_poll, &poll));
    ports[0] = 5000;
    sched_op(SCHEDOP_poll, &poll);
    set_xen_guest_handle(poll.ports, (evtchn_port_t *)HV_START);
    REFUSED(sched_op(SCHEDOP_poll, &poll));
    REFUSED(sched_op(SCHEDOP_poll, (void *)HV_START));
}

ATTACK(shutdowns, SURVIVES, "XSA-127: ends of other domains, reasons that do not exist, watchdogs of all numbers")
{
    REFUSED(sched_op(SCHEDOP_remote_shutdown, &(struct sched_remote_shutdown){0, SHUTDOWN_poweroff}));
    REFUSED(sched_op(SCHEDOP_remote_shutdown, &(struct sched_remote_shutdown){DOMID_XEN, SHUTDOWN_poweroff}));
    REFUSED(sched_op(SCHEDOP_shutdown, &(struct sched_shutdown){SHUTDOWN_MAX + 1}));
    REFUSED(sched_op(SCHEDOP_shutdown, &(struct sched_shutdown){~0u}));
    REFUSED(sched_op(SCHEDOP_shutdown, (void *)0x1000));
    REFUSED(sched_op(SCHEDOP_shutdown_code, &(struct sched_shutdown){~0u}));
    REFUSED(sched_op(SCHEDOP_pin_override, &(uint64_t){0}));
    for (unsigned cmd = 8; cmd < 64; cmd++)
        REFUSED(sched_op(cmd, NULL));
    REFUSED(sched_op(SCHEDOP_watchdog, &(struct sched_watchdog){0, 0}));
    REFUSED(sched_op(SCHEDOP_watchdog, &(struct sched_watchdog){1, 100}));
    REFUSED(sched_op(SCHEDOP_watchdog, &(struct sched_watchdog){~0u, 100}));
    RETURNS(1, sched_op(SCHEDOP_watchdog, &(struct sched_watchdog){0, ~0u}));
    RETURNS(2, sched_op(SCHEDOP_watchdog, &(struct sched_watchdog){0, 1000}));
    REFUSED(sched_op(SCHEDOP_watchdog, &(struct sched_watchdog){0, 1000}));
    REFUSED(sched_op(SCHEDOP_watchdog, &(struct sched_watchdog){3, 1000}));
}

/* ---- Races ---- */

static uint32_t ended;

static void spin(void *arg)
{
    while (!READ_ONCE(ended))
        sched_op(SCHEDOP_yield, NULL);
}

static void up_and_down(void *arg)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        vcpu_op(i & 1 ? VCPUOP_down : VCPUOP_up, 3, NULL);
        vcpu_op(VCPUOP_is_up, 3, NULL);
    }
    __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
}

ATTACK(up_and_down_at_once, EITHER, "XSA-336: two vCPUs take a third up and down while it runs")
{
    ALLOWED(cpu_start(3, spin, NULL));
    ALLOWED(cpu_start(1, up_and_down, NULL));
    up_and_down(NULL);
    for (unsigned i = 0; i < 1000 && READ_ONCE(ended) < 2; i++)
        sleep_ns(1000000);
}

static void die_at_once(void *arg)
{
    uint64_t state = board->seed + ADDRESS(arg);

    while (!READ_ONCE(ended))
        relax();
    for (unsigned i = random_next(&state) % 1000; i; i--)
        hypercall(__HYPERVISOR_xen_version, 0, 0, 0, 0);
    iret_with((void *)0x1000);
}

ATTACK(all_vcpus_crash, DIES, "each vCPU crashes the domain, at about the same time")
{
    for (unsigned id = 1; id < VCPUS_MAX; id++)
        ALLOWED(cpu_start(id, die_at_once, (void *)(uint64_t)id));
    WRITE_ONCE(ended, 1);
    die_at_once(NULL);
}
