/* SPDX-License-Identifier: MIT */
/* The daemon's messages: see say.h. */
#include "xenconsoled/say.h"
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

static bool syslog_open;

void say_to_syslog(void)
{
    openlog("xenconsoled", LOG_PID, LOG_DAEMON);
    syslog_open = true;
}

void say(const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (syslog_open)
        syslog(LOG_NOTICE, "%s", line);
    else
        fprintf(stderr, "xenconsoled: %s\n", line);
}
