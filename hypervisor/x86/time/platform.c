/* SPDX-License-Identifier: MIT */
/*
 * Platform timers: HPET, ACPI PM timer, 8254 (PIT), in this order of preference; option clocksource= chooses one.
 * They are the hypervisor's: Domain 0 is kept off their ports. Read only on the boot CPU, so no lock.
 */
#include "core/lib/options.h"
#include "core/lib/print.h"
#include "core/lib/string.h"
#include "x86/acpi/acpi.h"
#include "x86/cpu/cpu.h"
#include "x86/mmu/mmu.h"
#include "x86/time/platform.h"

#define HPET_PERIOD     0x04 /* high half of the capabilities: femtoseconds a tick */
#define HPET_CONFIG     0x10
#define HPET_COUNTER    0xf0
#define HPET_ENABLE     1u
#define HPET_LEGACY     2u
#define HPET_PERIOD_MAX 100000000u
#define FEMTO           1000000000000000UL
#define PM_TIMER_HZ     3579545
#define PIT_HZ          1193182
#define SAMPLES         8

static char wanted[16];
OPTION_STRING(clocksource, wanted, "platform timer: hpet, acpi or pit");

static volatile uint32_t *hpet;
static struct platform_timer hpet_timer, pm_timer, pit_timer;
const struct platform_timer *platform_timer;

/* ---- HPET ------------------------------------------------------------------------------------------------- */

static uint32_t hpet_read(void)
{
    return hpet[HPET_COUNTER / 4];
}

static bool __init_only hpet_init(void)
{
    uint32_t period;

    if (!acpi_info.hpet_addr)
        return false;
    hpet = io_map(acpi_info.hpet_addr, 1024, false);
    period = hpet[HPET_PERIOD / 4];
    if (!period || period > HPET_PERIOD_MAX)
        return false;
    hpet[HPET_CONFIG / 4] = (hpet[HPET_CONFIG / 4] & ~HPET_LEGACY) | HPET_ENABLE;
    hpet_timer = (struct platform_timer){"HPET", FEMTO / period, 32, hpet_read};
    return true;
}

/* ---- ACPI PM timer ---------------------------------------------------------------------------------------- */

/* Some chipsets give a torn value now and then: two readings must agree. */
static uint32_t pm_read(void)
{
    uint32_t a = inl(acpi_info.pm_timer_port), b = a;

    for (unsigned n = 0; n < 4; n++) {
        b = inl(acpi_info.pm_timer_port);
        if (((b - a) & 0xffffff) < PM_TIMER_HZ / 1000)
            return b;
        a = b;
    }
    return b;
}

static bool __init_only pm_init(void)
{
    if (!acpi_info.pm_timer_port)
        return false;
    pm_timer = (struct platform_timer){"ACPI PM timer", PM_TIMER_HZ, acpi_info.pm_timer_32bit ? 32 : 24, pm_read};
    return true;
}

/* ---- PIT: channel 0, free running; its interrupt is masked -------------------------------------------------- */

static uint32_t pit_read(void)
{
    uint32_t count;

    outb(0x43, 0); /* latch */
    count = inb(0x40);
    count |= (uint32_t)inb(0x40) << 8;
    return (0x10000 - count) & 0xffff;
}

static bool __init_only pit_init(void)
{
    outb(0x43, 0x34); /* mode 2, 65536 */
    outb(0x40, 0);
    outb(0x40, 0);
    pit_timer = (struct platform_timer){"PIT", PIT_HZ, 16, pit_read};
    return true;
}

/* ---- Choice ------------------------------------------------------------------------------------------------ */

static bool __init_only counts(const struct platform_timer *t)
{
    uint32_t first = t->read();

    for (unsigned n = 0; n < 10000; n++)
        if (t->read() != first)
            return true;
    log_warn("time: the %s does not count", t->name);
    return false;
}

void __init_only platform_timer_init(void)
{
    static const struct {
        const char *option;
        bool (*init)(void);
        const struct platform_timer *timer;
    } candidates[] = {
        {"hpet", hpet_init, &hpet_timer},
        {"acpi", pm_init, &pm_timer},
        {"pit", pit_init, &pit_timer},
    };

    for (unsigned pass = wanted[0] ? 0 : 1; pass < 2; pass++) {
        for (unsigned i = 0; i < ARRAY_SIZE(candidates); i++) {
            if (!pass && strcmp(wanted, candidates[i].option))
                continue;
            if (!candidates[i].init() || !counts(candidates[i].timer))
                continue;
            platform_timer = candidates[i].timer;
            return;
        }
        if (!pass)
            log_warn("time: clocksource=%s is not to be had", wanted);
    }
}

struct platform_sample platform_sample(void)
{
    struct platform_sample best = {.width = ~0UL};

    for (unsigned n = 0; n < SAMPLES; n++) {
        uint64_t before = rdtsc(), width;
        uint32_t counter;

        __asm__ volatile("lfence" ::: "memory");
        counter = platform_timer->read();
        __asm__ volatile("lfence" ::: "memory");
        width = rdtsc() - before;
        if (width < best.width)
            best = (struct platform_sample){before + width / 2, counter, width};
    }
    return best;
}
