/* SPDX-License-Identifier: MIT */
/*
 * The VGA text screen, 80 by 25, written at the bottom and scrolled. Only after a loader that left the adapter in text mode.
 * `shadow` is what the screen shows: reading the adapter back would be slow. Under the console lock.
 */
#include "core/lib/string.h"
#include "x86/console/devices.h"
#include "x86/cpu/cpu.h"

#define COLUMNS   80
#define ROWS      25
#define BLANK     0x0720 /* grey on black */
#define CRTC      0x3d4
#define TAB_WIDTH 8

static uint16_t *screen; /* NULL: no text screen */
static bool active;
static unsigned column;
static uint16_t shadow[ROWS * COLUMNS];
#define LAST_ROW ((ROWS - 1) * COLUMNS)

static void move_cursor(void)
{
    unsigned at = LAST_ROW + column;

    outw(CRTC, (uint16_t)(0x0e | (at & 0xff00)));
    outw(CRTC, (uint16_t)(0x0f | (at << 8)));
}

static void blank(uint16_t *from, unsigned count)
{
    while (count--)
        *from++ = BLANK;
}

void vga_init(void *buffer, bool first)
{
    screen = buffer;
    if (!first)
        return;
    blank(shadow, ROWS * COLUMNS);
    memcpy(screen, shadow, sizeof(shadow));
    move_cursor();
}

void vga_set_active(bool on)
{
    active = on && screen;
}

static void new_line(void)
{
    column = 0;
    memmove(shadow, shadow + COLUMNS, LAST_ROW * sizeof(*shadow));
    blank(shadow + LAST_ROW, COLUMNS);
    memcpy(screen, shadow, sizeof(shadow));
}

static void put(char c)
{
    if (c == '\n') {
        new_line();
    } else if (c == '\r') {
        column = 0;
    } else if (c == '\t') {
        column = MIN(ROUND_UP(column + 1, (unsigned)TAB_WIDTH), COLUMNS - 1u);
    } else if (c == '\b') {
        column -= column > 0;
    } else if ((uint8_t)c >= ' ') {
        if (column == COLUMNS)
            new_line();
        screen[LAST_ROW + column] = shadow[LAST_ROW + column] = (uint16_t)(0x0700 | (uint8_t)c);
        column++;
    }
}

void vga_write(const char *s, size_t n)
{
    if (!active)
        return;
    while (n--)
        put(*s++);
    move_cursor();
}
