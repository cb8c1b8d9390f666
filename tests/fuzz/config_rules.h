/* SPDX-License-Identifier: MIT */
/* What holds for every guest's configuration that was accepted, whichever way it came. */
#pragma once
#include <stdbool.h>
#include "fuzz.h"
#include "lib/config/check.h"
#include "lib/config/guest.h"

static inline void note_broken_rule(void *arg, const char *key, int index, const char *text)
{
    (void)arg;
    MUST(false, "accepted against the rules: %s %d: %s", key, index, text);
}

static inline void check_config(const struct guest_config *c)
{
    struct guest_config back;
    struct report r = {0};
    json_t *first = guest_config_to_json(c), *second;
    char *cmdline = guest_config_cmdline(c);

    MUST(first && cmdline, "no memory");
    MUST(guest_config_check(c, note_broken_rule, NULL), "rules");
    MUST(!guest_config_from_json(first, &back, &r), "refused as JSON: %s", r.text);
    second = guest_config_to_json(&back);
    MUST(json_equal(first, second), "it is another after its way");
    json_decref(first);
    json_decref(second);
    guest_config_free(&back);
    free(cmdline);
}
