/* SPDX-License-Identifier: MIT */
/* xm rename: another name for a guest. */
#include "xm/client.h"

int xm_rename(int argc, char **argv)
{
    int first = xm_operands(argc, argv, 2, 2, "a domain and its new name");
    json_t *params;
    struct report r;

    if (first < 0)
        return REPORT_USAGE;
    params = json_pack("{s:s, s:s}", "vm", argv[first], "name", argv[first + 1]);
    if (!params)
        return xm_usage(argv[0], "'%s' cannot be a domain's name", argv[first + 1]);
    return xm_call("VM.set_name_label", params, NULL, &r) ? xm_fail(&r) : 0;
}
