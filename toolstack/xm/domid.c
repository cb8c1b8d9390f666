/* SPDX-License-Identifier: MIT */
/* xm domid: the id of a domain. */
#include "xm/client.h"
#include <stdio.h>

int xm_domid(int argc, char **argv)
{
    int first = xm_operands(argc, argv, 1, 1, "one domain's name");
    json_t *record;
    struct report r;

    if (first < 0)
        return REPORT_USAGE;
    if (xm_call_vm("VM.get_record", argv[first], &record, &r))
        return xm_fail(&r);
    printf("%" JSON_INTEGER_FORMAT "\n", xm_integer(record, "domid", -1));
    json_decref(record);
    return 0;
}
