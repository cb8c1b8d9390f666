/* SPDX-License-Identifier: MIT */
/* The traced form of error returns. */
#include "core/lib/fail.h"
#include "core/trace/trace.h"

int fail_report(int rc, const char *file, int line, const char *text)
{
    if (rc != -ERESTART) /* how preemption works, not an error */
        trace_print(TRACE_FAIL_BIT, "%s:%d: %d (%s)", file, line, rc, text);
    return rc;
}
