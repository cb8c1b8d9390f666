/* SPDX-License-Identifier: MIT */
/* The console ring: the last 32 KiB (option conring_size) of console text, for `dmesg` of the
 * hypervisor and the key that shows it again; and the way to the devices (hw_console_write). Lock:
 * LOCK_CONSOLE. */
#pragma once
#include "core/lib/types.h"
void conring_write(const char *s, size_t n); /* ring and devices */
bool conring_is_locked(void);                /* NMI: writing would wait, perhaps for whom it has interrupted */
void conring_force_unlock(void);             /* panic: whoever holds the lock will not come back */
/* SYSCTL_readconsole: copies from *index (incremental) or the oldest; returns bytes copied, moves
 * *index. clear: what is before that is not given to non-incremental readers again. */
size_t conring_read(char *buf, size_t size, bool clear, bool incremental, uint32_t *index);
void conring_print_again(void); /* key handler */
/* Console input: three Ctrl-a switch between Domain 0 and the hypervisor's keys. Called by the
 * device's interrupt. */
void console_input(char c);
bool console_input_room(void);               /* false: leave it in the device until hw_console_input_resume() */
size_t console_read(char *buf, size_t size); /* Domain 0's CONSOLEIO_read */
/* Registers a key of the hypervisor's console. */
void key_run(char c); /* as if it had been pressed; no lock held */
void key_register(char key, const char *help, void (*fn)(void));
void keys_init(void); /* registers core's own keys */
