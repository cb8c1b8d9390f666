/* SPDX-License-Identifier: MIT */
/* One instruction on the processor that the test runs on, to compare an emulation with. */
#pragma once
#include "x86/trap/regs.h"

/* Executes it with these general registers (RSP apart: it is this process's) and flags, and puts them back as it leaves them.
 * It must not jump, push or trap; the caller sees to what it may read and write. One thread at a time. */
void host_run_native(struct regs *r, const uint8_t *code, unsigned length);
/* Its code lies here, at the start of a page: for instructions that address memory relative to RIP. */
const uint8_t *host_native_code(void);
