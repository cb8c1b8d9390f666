/* SPDX-License-Identifier: MIT */
/* xm log: the end of xend's log. */
#include "xm/client.h"
#include <stdio.h>

int xm_log(int argc, char **argv)
{
    json_t *result;
    struct report r;

    if (xm_operands(argc, argv, 0, 0, "") < 0)
        return REPORT_USAGE;
    if (xm_call("host.get_log", NULL, &result, &r))
        return xm_fail(&r);
    fputs(xm_text(result, "text"), stdout);
    json_decref(result);
    return 0;
}
