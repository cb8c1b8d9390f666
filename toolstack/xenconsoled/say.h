/* SPDX-License-Identifier: MIT */
/* What the daemon has to say to people: lines on standard error, or to syslog once it has left the terminal. */
#pragma once
#include <stdbool.h>

void say_to_syslog(void);
/* One line; no newline at the end of fmt. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
