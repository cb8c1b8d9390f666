/* SPDX-License-Identifier: MIT */
/*
 * The audit on a running machine: stops every domain, audits, lets them go on. By the console's key, and in DEBUG builds after
 * every N hypercalls (option audit=N).
 *
 * One CPU at a time: two that stop each other's current vCPU would wait for ever, so who comes second does nothing.
 */
#include "core/domain/audit_machine.h"
#include "core/domain/domain.h"
#include "core/lib/options.h"
#include "core/lib/print.h"

static bool active;
static unsigned audit_period;
static uint32_t calls;

OPTION_UINT(audit, audit_period, "audit after every N hypercalls (DEBUG builds)");

static void pause_all(bool pause)
{
    for (struct domain *d = domain_next(NULL); d; d = domain_next(d)) {
        if (pause)
            domain_pause(d);
        else
            domain_unpause(d);
    }
}

bool audit_machine(bool print, struct audit_result *result)
{
    if (__atomic_exchange_n(&active, true, __ATOMIC_ACQUIRE))
        return false;
    pause_all(true);
    *result = audit_run(print);
    pause_all(false);
    __atomic_store_n(&active, false, __ATOMIC_RELEASE);
    return true;
}

void audit_after_hypercall(void)
{
    struct audit_result r;

    if (!audit_period || __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % audit_period)
        return;
    if (audit_machine(true, &r) && r.violations)
        panic("audit: %lu violations", r.violations);
}
