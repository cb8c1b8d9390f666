/* SPDX-License-Identifier: MIT */
/* Reports: see report.h. */
#include "lib/report.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {
    [REPORT_NONE] = "none",           [REPORT_FAILED] = "failed",       [REPORT_USAGE] = "usage",
    [REPORT_CONFIG] = "config",       [REPORT_NOT_FOUND] = "not-found", [REPORT_EXISTS] = "exists",
    [REPORT_NO_MEMORY] = "no-memory", [REPORT_BAD_IMAGE] = "bad-image", [REPORT_STATE] = "state",
    [REPORT_DENIED] = "denied",       [REPORT_NO_DAEMON] = "no-daemon", [REPORT_TIMEOUT] = "timeout",
};
#define KINDS_COUNT (sizeof(kind_names) / sizeof(kind_names[0]))

int report_set(struct report *r, enum report_kind kind, const char *fmt, ...)
{
    va_list ap;

    r->kind = kind;
    va_start(ap, fmt);
    vsnprintf(r->text, sizeof(r->text), fmt, ap);
    va_end(ap);
    return -1;
}

int report_prefix(struct report *r, const char *fmt, ...)
{
    char prefix[REPORT_TEXT_MAX], old[REPORT_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(prefix, sizeof(prefix), fmt, ap);
    va_end(ap);
    memcpy(old, r->text, sizeof(old));
    if (snprintf(r->text, sizeof(r->text), "%s: %s", prefix, old) >= (int)sizeof(r->text))
        memcpy(r->text + sizeof(r->text) - 4, "...", 4);
    return -1;
}

const char *report_kind_name(enum report_kind kind)
{
    return (unsigned)kind < KINDS_COUNT ? kind_names[kind] : kind_names[REPORT_FAILED];
}

enum report_kind report_kind_of(const char *name)
{
    for (unsigned i = 0; i < KINDS_COUNT; i++)
        if (!strcmp(kind_names[i], name))
            return (enum report_kind)i;
    return REPORT_FAILED;
}
