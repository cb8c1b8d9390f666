/* SPDX-License-Identifier: MIT */
/* The terminal of this process, raw for a while: it is given back by whatever ends the process, signals too. */
#pragma once

/* Does nothing when stdin is not a terminal. */
void terminal_raw(void);
void terminal_restore(void);
