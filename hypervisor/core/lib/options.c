/* SPDX-License-Identifier: MIT */
/* The hypervisor's command line: finds each declared option (section "options") and hands it its
 * value. */
#include "core/lib/options.h"
#include "core/lib/errno.h"
#include "core/lib/print.h"
#include "core/lib/string.h"

extern const struct option __start_options[], __stop_options[];

#define WORD_MAX 256

int parse_size(const char *s, const char **end, uint64_t unit_bare, uint64_t *bytes)
{
    const char *p;
    uint64_t n, unit;

    if (*s < '0' || *s > '9')
        return -EINVAL;
    n = text_to_u64(s, &p);
    switch (*p | 0x20) {
    case 'b':
        unit = 1;
        break;
    case 'k':
        unit = KIB;
        break;
    case 'm':
        unit = MIB;
        break;
    case 'g':
        unit = GIB;
        break;
    case 't':
        unit = 1024 * GIB;
        break;
    default:
        unit = 0;
        break;
    }
    if (unit)
        p++;
    else
        unit = unit_bare;
    if (__builtin_mul_overflow(n, unit, bytes))
        return -EINVAL;
    if (end)
        *end = p;
    else if (*p)
        return -EINVAL;
    return 0;
}

static int parse_bool(const char *value, bool *out)
{
    if (!value || !strcmp(value, "1") || !strcmp(value, "yes") || !strcmp(value, "on") || !strcmp(value, "true"))
        *out = true;
    else if (!strcmp(value, "0") || !strcmp(value, "no") || !strcmp(value, "off") || !strcmp(value, "false"))
        *out = false;
    else
        return -EINVAL;
    return 0;
}

static int parse_uint(const char *value, unsigned *out)
{
    const char *end;
    uint64_t n;

    if (!value || *value < '0' || *value > '9')
        return -EINVAL;
    n = text_to_u64(value, &end);
    if (*end || n > 0xffffffffUL)
        return -EINVAL;
    *out = (unsigned)n;
    return 0;
}

static int option_apply(const struct option *o, const char *value)
{
    switch (o->kind) {
    case OPT_BOOL:
        return parse_bool(value, o->target);
    case OPT_UINT:
        return parse_uint(value, o->target);
    case OPT_STRING:
        if (!value || strlen(value) >= o->size)
            return -EINVAL;
        text_copy(o->target, value, o->size);
        return 0;
    case OPT_FUNC:
        return ((int (*)(const char *))o->target)(value ? value : "");
    }
    return -EINVAL;
}

static const struct option *option_find(const char *name)
{
    for (const struct option *o = __start_options; o < __stop_options; o++)
        if (!strcmp(o->name, name))
            return o;
    return NULL;
}

/* One word: name, name=value, or no-name for a switch. */
static void option_word(char *word)
{
    char *value = strchr(word, '=');
    const struct option *o;

    if (value)
        *value++ = 0;
    o = option_find(word);
    if (!o && !value && !strncmp(word, "no-", 3)) {
        o = option_find(word + 3);
        if (o && o->kind == OPT_BOOL)
            value = (char *)"no";
        else
            o = NULL;
    }
    if (!o)
        log_warn("option '%s' is not known: ignored (h on the console lists keys, docs/ the options)", word);
    else if (option_apply(o, value))
        log_warn("option '%s': '%s' is not a valid value: ignored (%s)", word, value ? value : "", o->help);
}

void options_parse(const char *line)
{
    char word[WORD_MAX];

    for (;;) {
        size_t n = 0;
        while (*line == ' ' || *line == '\t')
            line++;
        while (line[n] && line[n] != ' ' && line[n] != '\t')
            n++;
        if (!n || (n == 2 && line[0] == '-' && line[1] == '-'))
            return;
        if (n < WORD_MAX) {
            memcpy(word, line, n);
            word[n] = 0;
            option_word(word);
        } else {
            log_warn("an option longer than %u letters was ignored", WORD_MAX - 1);
        }
        line += n;
    }
}
