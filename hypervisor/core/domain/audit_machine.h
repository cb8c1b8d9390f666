/* SPDX-License-Identifier: MIT */
/* The audit on a running machine. */
#pragma once
#include "core/mem/audit.h"

/* Begins one beside the guests; its result goes to the console. Key 'A'. */
void audit_start(void);
/* DEBUG builds, after each hypercall: every N-th audits with all domains stopped, and panics on a violation. */
void audit_after_hypercall(void);
