/* SPDX-License-Identifier: MIT */
/*
 * Guests' configuration files, and xm's arguments behind them: an input is the text, then arguments, each after a NUL. A refusal
 * has told of faults; what is accepted keeps all rules, and is the same after its way to xend as JSON.
 */
#include "config_rules.h"

#define ARGUMENTS_MAX 4

static unsigned faults;

static void note_fault(const char *text, void *arg)
{
    (void)arg;
    MUST(*text && !strchr(text, '\n'), "a fault of more than a line");
    faults++;
}

static void parse(const char *text, size_t size, const char *const *arguments, size_t count)
{
    struct report r = {0};
    struct guest_config c;

    faults = 0;
    if (guest_config_parse("t", text, size, arguments, count, &c, note_fault, NULL, &r)) {
        MUST(faults && r.kind == REPORT_CONFIG && *r.text, "refused without a reason");
        return;
    }
    MUST(!faults, "accepted with faults");
    check_config(&c);
    guest_config_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t text_size = end ? (size_t)(end - data) : size, rest_size = size - text_size, count = 0;
    char *text = malloc(text_size ? text_size : 1),
         *rest = malloc(rest_size + 1); /* each of its size: reading on is seen */
    const char *arguments[ARGUMENTS_MAX];

    memcpy(text, data, text_size);
    memcpy(rest, data + text_size, rest_size);
    rest[rest_size] = 0;
    for (size_t at = 1; at < rest_size && count < ARGUMENTS_MAX; at += strlen(rest + at) + 1)
        arguments[count++] = rest + at;
    parse(text, text_size, arguments, count);
    free(text);
    free(rest);
    return 0;
}
