/* SPDX-License-Identifier: MIT */
/* The audit on a running machine. */
#pragma once
#include "core/mem/audit.h"

/* Stops all domains meanwhile. false: another CPU is at it, nothing was done. No lock may be held. */
bool audit_machine(bool print, struct audit_result *result);
/* DEBUG builds, after each hypercall: every N-th audits, and panics on a violation. */
void audit_after_hypercall(void);
