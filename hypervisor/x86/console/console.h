/* SPDX-License-Identifier: MIT */
/* The console's devices: com1/com2 (16550) and VGA text; option console=com1,vga com1=115200,8n1. */
#pragma once
#include "core/lib/types.h"
void console_early_init(void);         /* from the command line; polled output works afterwards */
void console_map(void);                /* memory_init: the final page tables are loaded, the screen must be mapped */
void console_irq_init(void);           /* takes the UART's interrupt; input goes to console_input() */
void console_give_up_vga(void);        /* Domain 0 takes the screen (option vga=keep: no) */
bool console_owns_port(uint16_t port); /* the UART in use: Domain 0 reads all ones */
