/* SPDX-License-Identifier: MIT */
/*
 * Halting, restarting and switching off the machine. The way to switch off is known to AML only, which Domain 0 runs: it
 * gives the values for the PM1 control registers. Option noreboot: after an error the machine stays as it is.
 */
#include "core/lib/fail.h"
#include "core/lib/options.h"
#include "core/lib/print.h"
#include "hw/hw.h"
#include "x86/acpi/acpi.h"
#include "x86/acpi/power.h"
#include "x86/cpu/cpu.h"
#include "x86/mmu/mmu.h"
#include "x86/time/time.h"

#define SLEEP_S5           5
#define PM1_SLEEP_ENABLE   (1u << 13)
#define SPACE_MEMORY       0
#define SPACE_IO           1
#define SPACE_PCI_CONFIG   2
#define PORT_RESET_CONTROL 0xcf9
#define PORT_KEYBOARD      0x64
#define KEYBOARD_BUSY      0x02
#define KEYBOARD_PULSE     0xfe /* the reset line */

bool option_noreboot;
OPTION_BOOL(noreboot, option_noreboot, "after a crash of the hypervisor or of Domain 0 leave the machine as it is");

static volatile uint8_t *reset_register; /* when it is in memory */

void power_init(void)
{
    if (acpi_info.reset_supported && acpi_info.reset_space == SPACE_MEMORY && acpi_info.reset_addr)
        reset_register = io_map(acpi_info.reset_addr, 1, false);
}

void hw_machine_halt(void)
{
    cpus_stop_others();
    print_raw("The machine is halted.\n");
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* Long enough for a reset to take effect, with or without a calibrated clock. */
static void wait_for_reset(void)
{
    if (tsc_khz()) {
        udelay(50000);
        return;
    }
    for (unsigned i = 0; i < 50000; i++)
        inb(0x80); /* about a microsecond each */
}

static void reset_by_acpi(void)
{
    if (!acpi_info.reset_supported)
        return;
    if (acpi_info.reset_space == SPACE_IO) {
        outb((uint16_t)acpi_info.reset_addr, acpi_info.reset_value);
    } else if (reset_register) {
        *reset_register = acpi_info.reset_value;
    } else if (acpi_info.reset_space == SPACE_PCI_CONFIG) {
        uint32_t device = (acpi_info.reset_addr >> 32) & 0x1f, function = (acpi_info.reset_addr >> 16) & 7;
        uint32_t offset = acpi_info.reset_addr & 0xff;

        outl(0xcf8, 1u << 31 | device << 11 | function << 8 | (offset & 0xfc));
        outb((uint16_t)(0xcfc + (offset & 3)), acpi_info.reset_value);
    }
    wait_for_reset();
}

static void reset_by_keyboard_controller(void)
{
    for (unsigned i = 0; i < 10000 && (inb(PORT_KEYBOARD) & KEYBOARD_BUSY); i++)
        inb(0x80);
    outb(PORT_KEYBOARD, KEYBOARD_PULSE);
    wait_for_reset();
}

static void __noreturn reset_by_triple_fault(void)
{
    const struct {
        uint16_t limit;
        uint64_t base;
    } __packed none = {0, 0};

    __asm__ volatile("lidt %0; int3" ::"m"(none));
    for (;;)
        __asm__ volatile("cli; hlt");
}

void hw_machine_restart(void)
{
    cpus_stop_others();
    reset_by_acpi();
    outb(PORT_RESET_CONTROL, 0x02);
    outb(PORT_RESET_CONTROL, 0x06);
    wait_for_reset();
    reset_by_keyboard_controller();
    reset_by_triple_fault();
}

int acpi_enter_sleep(uint16_t val_a, uint16_t val_b, unsigned state)
{
    if (state != SLEEP_S5)
        return fail(-EINVAL); /* no suspend */
    if (!acpi_info.pm1a_cnt)
        return fail(-ENODEV);
    log_info("Domain 0 switches the machine off");
    outw(acpi_info.pm1a_cnt, (uint16_t)(val_a | PM1_SLEEP_ENABLE));
    if (acpi_info.pm1b_cnt)
        outw(acpi_info.pm1b_cnt, (uint16_t)(val_b | PM1_SLEEP_ENABLE));
    wait_for_reset();
    return fail(-EIO);
}

/* Domain 0 has already tried acpi_enter_sleep(), if the machine can be switched off at all. */
void hw_machine_poweroff(void)
{
    cpus_stop_others();
    print_raw("The machine can be switched off now.\n");
    for (;;)
        __asm__ volatile("cli; hlt");
}
