/* SPDX-License-Identifier: MIT */
/*
 * Which devices the console's text goes to: option console=com1,vga (com2, none). The ring in core/trace/conring.c orders the
 * writes: its lock guards what is here and in the devices.
 */
#include "core/lib/fail.h"
#include "core/lib/options.h"
#include "core/lib/string.h"
#include "hw/hw.h"
#include "x86/boot/boot.h"
#include "x86/console/console.h"
#include "x86/console/devices.h"
#include "x86/mmu/mmu.h"

#define VGA_TEXT_PHYS 0xb8000
#define VGA_TEXT_SIZE 0x8000

static bool initialised, use_vga = true;
static int use_com = 0; /* 0: com1, 1: com2, -1: none */
static char option_vga[16];
OPTION_STRING(vga, option_vga, "keep: the hypervisor goes on writing to the screen after Domain 0 has started");

static int option_console(const char *value)
{
    bool vga = false;
    int com = -1;

    while (*value) {
        const char *end = strchr(value, ',');
        size_t n = end ? (size_t)(end - value) : strlen(value);

        if (n == 3 && strncmp(value, "vga", 3) == 0)
            vga = true;
        else if (n == 4 && strncmp(value, "com", 3) == 0 && (value[3] == '1' || value[3] == '2'))
            com = value[3] - '1';
        else if (!(n == 4 && strncmp(value, "none", 4) == 0))
            return -EINVAL;
        value += n + (end != NULL);
    }
    use_vga = vga;
    use_com = com;
    return 0;
}
OPTION_FUNC(console, option_console, "where the console goes: com1, com2, vga, none, with commas; default com1,vga");

void console_early_init(void)
{
    bool first = !initialised;

    initialised = true;
    if (use_com >= 0)
        uart_configure((unsigned)use_com);
    if (use_vga && boot_info.video.text)
        vga_init((void *)(DIRECTMAP_START + VGA_TEXT_PHYS), first);
    vga_set_active(use_vga && boot_info.video.text);
}

void console_map(void)
{
    if (use_vga && boot_info.video.text)
        vga_init(io_map(VGA_TEXT_PHYS, VGA_TEXT_SIZE, true), false);
}

void console_irq_init(void)
{
    uart_take_irq();
}

void console_give_up_vga(void)
{
    if (strcmp(option_vga, "keep") != 0)
        vga_set_active(false);
}

bool console_owns_port(uint16_t port)
{
    return uart_owns_port(port);
}

/* A panic before the options are known still reaches the default devices. */
void hw_console_write(const char *s, size_t n)
{
    if (!initialised)
        console_early_init();
    uart_write(s, n);
    vga_write(s, n);
}
