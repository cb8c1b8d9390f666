/* SPDX-License-Identifier: MIT */
/* The console's two kinds of device, behind x86/console/console.c. All bounded; callers hold the console lock. */
#pragma once
#include "core/lib/types.h"

void uart_configure(unsigned n); /* com1: 0, com2: 1; takes the port in use when it is there */
void uart_write(const char *s, size_t n);
void uart_take_irq(void);
bool uart_owns_port(uint16_t port);

void vga_init(void *screen, bool first); /* where the text buffer is mapped; clears the screen the first time */
void vga_write(const char *s, size_t n);
void vga_set_active(bool active);
