/* SPDX-License-Identifier: MIT */
/*
 * Guests' configurations as JSON, which xend does not trust whoever sends it: what is accepted keeps all rules and is written
 * again as the same.
 */
#include "config_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    struct guest_config c;
    struct report r = {0};

    if (!json)
        return 0;
    if (guest_config_from_json(json, &c, &r)) {
        MUST(r.kind != REPORT_NONE && *r.text, "refused without a reason");
    } else {
        check_config(&c);
        guest_config_free(&c);
    }
    json_decref(json);
    return 0;
}
