/* SPDX-License-Identifier: MIT */
/*
 * The local APIC of each CPU, as memory (xAPIC) or by MSRs (x2APIC); its timer; interrupts between CPUs.
 *
 * Every CPU uses the same of the two modes, chosen by the boot CPU. The timer is one-shot; where the CPU offers it, it is
 * TSC-deadline. No lock: each CPU programs only its own, with interrupts off.
 */
#include "core/lib/fail.h"
#include "core/lib/options.h"
#include "core/lib/print.h"
#include "x86/acpi/acpi.h"
#include "x86/apic/apic.h"
#include "x86/cpu/cpu.h"
#include "x86/mmu/mmu.h"
#include "x86/trap/trap.h"

enum lapic_reg { /* offsets of xAPIC; an x2APIC MSR is 0x800 + offset / 16 */
                 LAPIC_ID = 0x20,
                 LAPIC_VERSION = 0x30,
                 LAPIC_TPR = 0x80,
                 LAPIC_EOI = 0xb0,
                 LAPIC_DFR = 0xe0,
                 LAPIC_SVR = 0xf0,
                 LAPIC_ISR = 0x100,
                 LAPIC_ESR = 0x280,
                 LAPIC_LVT_CMCI = 0x2f0,
                 LAPIC_ICR = 0x300,
                 LAPIC_ICR_HIGH = 0x310,
                 LAPIC_LVT_TIMER = 0x320,
                 LAPIC_LVT_THERMAL = 0x330,
                 LAPIC_LVT_PERF = 0x340,
                 LAPIC_LVT_LINT0 = 0x350,
                 LAPIC_LVT_LINT1 = 0x360,
                 LAPIC_LVT_ERROR = 0x370,
                 LAPIC_TIMER_INITIAL = 0x380,
                 LAPIC_TIMER_CURRENT = 0x390,
                 LAPIC_TIMER_DIVIDE = 0x3e0,
};
#define APIC_BASE_ENABLE   (1u << 11)
#define APIC_BASE_X2APIC   (1u << 10)
#define APIC_BASE_ADDRESS  0xffffffffff000UL
#define SVR_ENABLE         (1u << 8)
#define LVT_MASKED         (1u << 16)
#define LVT_NMI            (4u << 8)
#define LVT_TIMER_DEADLINE (2u << 17)
#define ICR_INIT           (5u << 8)
#define ICR_STARTUP        (6u << 8)
#define ICR_NMI            (4u << 8)
#define ICR_PENDING        (1u << 12)
#define ICR_ASSERT         (1u << 14)
#define ICR_LEVEL          (1u << 15)
#define ICR_WAIT_LOOPS     1000000u
#define MSR_TSC_DEADLINE   0x6e0
#define LVT_DIVIDE_BY_1    0xb

uint64_t lapic_timer_hz;
static bool x2apic_allowed = true;
OPTION_BOOL(x2apic, x2apic_allowed, "use x2APIC mode when the processor has it");
static bool x2apic_mode;
static volatile uint32_t *lapic_mmio;

static uint32_t lapic_read(enum lapic_reg reg)
{
    if (x2apic_mode)
        return (uint32_t)rdmsr(0x800 + reg / 16);
    return lapic_mmio[reg / 4];
}

static void lapic_write(enum lapic_reg reg, uint32_t value)
{
    if (x2apic_mode)
        wrmsr(0x800 + reg / 16, value);
    else
        lapic_mmio[reg / 4] = value;
}

void __init_only lapic_boot_init(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);
    uint64_t address = acpi_info.lapic_addr ? acpi_info.lapic_addr : base & APIC_BASE_ADDRESS;
    bool already = (base & APIC_BASE_ENABLE) && (base & APIC_BASE_X2APIC);

    /* An 8259's request that the firmware left behind must be gone before LINT0 is masked: QEMU keeps it otherwise, without a
     * vector, for the first time that interrupts are on. */
    pic_disable();
    if (already && !x2apic_allowed)
        log_warn("APIC: x2apic=no is ignored: the firmware has switched to x2APIC");
    x2apic_mode = already || (cpu_features.x2apic && x2apic_allowed);
    if (!x2apic_mode)
        lapic_mmio = io_map(address, PAGE_SIZE, false);
    log_info("APIC: %s%s", x2apic_mode ? "x2APIC" : "xAPIC", cpu_features.tsc_deadline ? ", TSC-deadline timer" : "");
}

static void lapic_enable(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;

    wrmsr(MSR_APIC_BASE, base); /* x2APIC may only be entered from enabled xAPIC */
    if (x2apic_mode && !(base & APIC_BASE_X2APIC))
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
}

/* Interrupts that the firmware left in service would block ours. */
static void lapic_finish_leftovers(void)
{
    for (unsigned n = 0; n < 256; n++) {
        uint32_t in_service = 0;

        for (unsigned i = 0; i < 8; i++)
            in_service |= lapic_read(LAPIC_ISR + 0x10 * i);
        if (!in_service)
            return;
        lapic_eoi();
    }
}

void lapic_cpu_init(void)
{
    unsigned lvt_max;

    lapic_enable();
    lapic_write(LAPIC_TPR, 0);
    if (!x2apic_mode)
        lapic_write(LAPIC_DFR, ~0u);
    lvt_max = (lapic_read(LAPIC_VERSION) >> 16) & 0xff;
    lapic_write(LAPIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);

    /* The 8259 is not used, so LINT0 stays off; NMIs of the board come to the boot CPU. */
    lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
    /* An interrupt that the 8259 had raised before is withdrawn from QEMU's processor only by a change like this one. */
    lapic_write(LAPIC_TPR, 0);
    lapic_write(LAPIC_LVT_LINT1, this_cpu()->id ? LVT_MASKED : LVT_NMI);
    if (lvt_max >= 4)
        lapic_write(LAPIC_LVT_PERF, LVT_MASKED);
    if (lvt_max >= 5)
        lapic_write(LAPIC_LVT_THERMAL, LVT_MASKED);
    if (lvt_max >= 6)
        lapic_write(LAPIC_LVT_CMCI, LVT_MASKED);
    lapic_write(LAPIC_ESR, 0);
    lapic_write(LAPIC_LVT_ERROR, VECTOR_APIC_ERROR);
    lapic_finish_leftovers();

    lapic_write(LAPIC_TIMER_INITIAL, 0);
    lapic_write(LAPIC_TIMER_DIVIDE, LVT_DIVIDE_BY_1);
    if (cpu_features.tsc_deadline) {
        lapic_write(LAPIC_LVT_TIMER, VECTOR_APIC_TIMER | LVT_TIMER_DEADLINE);
        __asm__ volatile("mfence" ::: "memory"); /* the mode must be set before the first deadline */
    } else {
        lapic_write(LAPIC_LVT_TIMER, VECTOR_APIC_TIMER);
    }
}

void lapic_eoi(void)
{
    lapic_write(LAPIC_EOI, 0);
}

uint32_t lapic_take_errors(void)
{
    lapic_write(LAPIC_ESR, 0); /* latches what has come together since */
    return lapic_read(LAPIC_ESR);
}

/* Waits, bounded, until the last message has been sent. */
static void lapic_icr_wait(void)
{
    for (unsigned n = 0; n < ICR_WAIT_LOOPS; n++) {
        if (!(lapic_read(LAPIC_ICR) & ICR_PENDING))
            return;
        __builtin_ia32_pause();
    }
}

static void lapic_send(uint32_t apic_id, uint32_t command)
{
    if (x2apic_mode) {
        /* An x2APIC write does not wait for earlier stores; the receiver must see them. */
        __asm__ volatile("mfence; lfence" ::: "memory");
        wrmsr(0x800 + LAPIC_ICR / 16, ((uint64_t)apic_id << 32) | command);
        return;
    }
    lapic_icr_wait();
    lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
    lapic_write(LAPIC_ICR, command);
}

void lapic_send_ipi(uint32_t apic_id, uint8_t vector)
{
    lapic_send(apic_id, ICR_ASSERT | vector);
}

void lapic_send_init(uint32_t apic_id)
{
    lapic_send(apic_id, ICR_INIT | ICR_LEVEL | ICR_ASSERT);
    if (!x2apic_mode) {
        lapic_icr_wait();
        lapic_send(apic_id, ICR_INIT | ICR_LEVEL); /* old parts want the de-assert */
        lapic_icr_wait();
    }
}

void lapic_send_startup(uint32_t apic_id, uint8_t page)
{
    lapic_send(apic_id, ICR_STARTUP | ICR_ASSERT | page);
    if (!x2apic_mode)
        lapic_icr_wait();
}

void lapic_send_nmi(uint32_t apic_id)
{
    lapic_send(apic_id, ICR_NMI | ICR_ASSERT);
}

void lapic_timer_set_ticks(uint32_t ticks)
{
    lapic_write(LAPIC_TIMER_INITIAL, ticks);
}

uint32_t lapic_timer_count(void)
{
    return lapic_read(LAPIC_TIMER_CURRENT);
}

void lapic_timer_set_deadline(uint64_t tsc)
{
    wrmsr(MSR_TSC_DEADLINE, tsc);
}
