/* SPDX-License-Identifier: MIT */
/* xm domname: the name of a domain. */
#include "xm/client.h"
#include <stdio.h>

int xm_domname(int argc, char **argv)
{
    int first = xm_operands(argc, argv, 1, 1, "one domain's id");
    json_t *record;
    struct report r;

    if (first < 0)
        return REPORT_USAGE;
    if (xm_call_vm("VM.get_record", argv[first], &record, &r))
        return xm_fail(&r);
    printf("%s\n", xm_text(record, "name"));
    json_decref(record);
    return 0;
}
