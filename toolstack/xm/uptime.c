/* SPDX-License-Identifier: MIT */
/* xm uptime: how long domains have been running. */
#include "xm/client.h"
#include <stdio.h>
#include <time.h>

/* Domain 0 is where we run, and the machine's clock tells since when */
static json_int_t seconds_up(const json_t *record)
{
    json_int_t now = (json_int_t)time(NULL), begin = xm_integer(record, "start_time", now);
    struct timespec up;

    if (!xm_integer(record, "domid", -1) && !clock_gettime(CLOCK_BOOTTIME, &up))
        return (json_int_t)up.tv_sec;
    return now > begin ? now - begin : 0;
}

static void print_uptime(const json_t *record)
{
    json_int_t s = seconds_up(record), days = s / 86400;

    printf("%-33s %4" JSON_INTEGER_FORMAT " ", xm_text(record, "name"), xm_integer(record, "domid", -1));
    if (days)
        printf("%" JSON_INTEGER_FORMAT " day%s, ", days, days == 1 ? "" : "s");
    printf("%2d:%02d:%02d\n", (int)(s % 86400 / 3600), (int)(s % 3600 / 60), (int)(s % 60));
}

int xm_uptime(int argc, char **argv)
{
    int first = xm_operands(argc, argv, 0, argc, "domains");
    json_t *records, *record;
    struct report r;
    size_t i;

    if (first < 0)
        return REPORT_USAGE;
    records = xm_records(argc - first, argv + first, &r);
    if (!records)
        return xm_fail(&r);
    printf("%-33s %4s %s\n", "Name", "ID", "Uptime");
    json_array_foreach(records, i, record)
    {
        if (xm_integer(record, "domid", -1) >= 0)
            print_uptime(record);
    }
    json_decref(records);
    return 0;
}
