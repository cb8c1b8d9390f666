/* SPDX-License-Identifier: MIT */
/* What a unit test includes first: cmocka without the name that core uses (fail), and tests in a
 * process of their own. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#undef fail
#undef fail_msg
#define fail_msg(...)                                                                                                  \
    do {                                                                                                               \
        print_error(__VA_ARGS__);                                                                                      \
        print_error("\n");                                                                                             \
        _fail(__FILE__, __LINE__);                                                                                     \
    } while (0)
#include "host/machine.h"

/* Like cmocka_unit_test(f), in a child process: with a machine of its own, and no other test harmed
 * by a crash. */
void host_run_isolated(void **state);
struct host_isolated {
    const char *name;
    CMUnitTestFunction fn;
};
#define isolated_test(f)                                                                                               \
    {                                                                                                                  \
#f, host_run_isolated, NULL, NULL, &(struct host_isolated)                                                     \
        {                                                                                                              \
#f, f                                                                                                      \
        }                                                                                                              \
    }
