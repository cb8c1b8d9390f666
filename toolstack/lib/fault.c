/* SPDX-License-Identifier: MIT */
/* Injected faults: see fault.h. The armed step is one pointer into the table, changed atomically: building runs in worker threads. */
#include "lib/fault.h"
#include <stddef.h>
#include <string.h>

#define STEP_NAME(name) #name,
const char *const fault_steps[] = {FAULT_STEPS(STEP_NAME) NULL};
static const char *armed;

bool fault_at(const char *step, struct report *r)
{
    const char *now = __atomic_load_n(&armed, __ATOMIC_RELAXED);

    if (!now || strcmp(now, step) ||
        !__atomic_compare_exchange_n(&armed, &now, NULL, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return false;
    report_set(r, REPORT_FAILED, "step '%s' was made to fail by a test", step);
    return true;
}

int fault_arm(const char *step)
{
    const char *found = NULL;

    for (size_t i = 0; step && fault_steps[i]; i++)
        if (!strcmp(fault_steps[i], step))
            found = fault_steps[i];
    if (step && !found)
        return -1;
    __atomic_store_n(&armed, found, __ATOMIC_RELAXED);
    return 0;
}
