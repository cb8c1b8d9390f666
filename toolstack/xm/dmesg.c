/* SPDX-License-Identifier: MIT */
/* xm dmesg: the hypervisor's messages. */
#include "xm/client.h"
#include <stdio.h>

int xm_dmesg(int argc, char **argv)
{
    static const struct option longs[] = {{"clear", no_argument, NULL, 'c'}, {0}};
    bool clear = false;
    struct report r;
    json_t *result;
    int option;

    while ((option = xm_option(argc, argv, "c", longs)) != -1) {
        if (option == '?')
            return REPORT_USAGE;
        clear = true;
    }
    if (optind < argc)
        return xm_usage(argv[0], "'xm dmesg' takes no argument");
    if (xm_call("host.dmesg", json_pack("{s:b}", "clear", clear), &result, &r))
        return xm_fail(&r);
    fputs(xm_text(result, "text"), stdout);
    json_decref(result);
    return 0;
}
