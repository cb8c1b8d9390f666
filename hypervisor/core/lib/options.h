/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's command line. A module declares its option with OPTION_*() at file scope;
 * options_parse() walks the declared ones. Unknown or malformed options are warned about by name
 * and ignored.
 */
#pragma once
#include "core/lib/types.h"

struct option {
    const char *name;
    enum { OPT_BOOL, OPT_UINT, OPT_STRING, OPT_FUNC } kind;
    void *target;     /* bool*, unsigned*, char[size] or int (*)(const char *value): 0 or -EINVAL */
    size_t size;      /* of a string */
    const char *help; /* one line */
};
/* A linker section on the machine, a constructor-free array by the same section name on the host.
 */
#define OPTION_ENTRY(id, ...)                                                                                          \
    static const struct option option_##id __used __section("options") __attribute__((aligned(8))) = {__VA_ARGS__}
#define OPTION_BOOL(nm, var, text)   OPTION_ENTRY(var, #nm, OPT_BOOL, &(var), 0, text)
#define OPTION_UINT(nm, var, text)   OPTION_ENTRY(var, #nm, OPT_UINT, &(var), 0, text)
#define OPTION_STRING(nm, var, text) OPTION_ENTRY(var, #nm, OPT_STRING, (var), sizeof(var), text)
#define OPTION_FUNC(nm, fn, text)    OPTION_ENTRY(fn, #nm, OPT_FUNC, (void *)(fn), 0, text)

/* Parses "name=value name no-name ..."; "--" ends. Quotes are not special. Warns through log_warn.
 */
void options_parse(const char *command_line);
/* "512M", "2G", "4096K", "65536" (bare: unit_bare bytes each), case-blind; 0 or -EINVAL. */
int parse_size(const char *s, const char **end, uint64_t unit_bare, uint64_t *bytes);
