/* SPDX-License-Identifier: MIT */
/*
 * Error returns that can say where they come from, and the assertions.
 *
 * `return fail(-EINVAL);` is `return -EINVAL;`; built with TRACE_FAIL=1, or with the trace bit
 * "fail" set, each prints its file, line and value: that is how an unexplained errno is found.
 *
 * A guest's fault is never an assertion: it is an error or domain_crash(). ASSERT and BUG are for
 * our own faults only and stop the machine with a report.
 */
#pragma once
#include "core/lib/types.h"
#include "core/lib/errno.h"

int fail_report(int rc, const char *file, int line, const char *text);
void __noreturn panic(const char *fmt, ...) __printf(1, 2);

extern uint32_t trace_mask; /* TRACE_* bits, core/trace/trace.h */
#define TRACE_FAIL_BIT (1u << 0)

#define fail(rc) (unlikely(trace_mask & TRACE_FAIL_BIT) ? fail_report((rc), __FILE__, __LINE__, #rc) : (rc))

#define BUG() panic("BUG at %s:%d", __FILE__, __LINE__)
#define ASSERT(c)                                                                                                      \
    do {                                                                                                               \
        if (unlikely(!(c)))                                                                                            \
            panic("assertion failed at %s:%d: %s", __FILE__, __LINE__, #c);                                            \
    } while (0)
#ifdef DEBUG
#define DEBUG_BUILD    1
#define ASSERT_SLOW(c) ASSERT(c)
#else
#define DEBUG_BUILD    0
#define ASSERT_SLOW(c) ((void)0)
#endif
