/* SPDX-License-Identifier: MIT */
/* xm list: the domains, in the columns that scripts have always cut. */
#include "xm/client.h"
#include "xm/long.h"
#include <stdio.h>

enum form { COLUMNS, LONG, JSON, NAMES };

static void print_row(const json_t *record)
{
    json_int_t domid = xm_integer(record, "domid", -1), memory_mib = (xm_integer(record, "memory_kib", 0) + 512) / 1024;
    char id[24] = ""; /* empty: not running */

    if (domid >= 0)
        snprintf(id, sizeof(id), "%" JSON_INTEGER_FORMAT, domid);
    printf("%-40s %5s %5" JSON_INTEGER_FORMAT " %5" JSON_INTEGER_FORMAT " %10s %9.1f\n", xm_text(record, "name"), id,
           memory_mib, xm_integer(record, "vcpus", 0), xm_text(record, "state"), xm_real(record, "cpu_time_s"));
}

static void print_records(const json_t *records, enum form form)
{
    json_t *record;
    size_t i;

    if (form == JSON) {
        xm_print_json(records);
        return;
    }
    if (form == COLUMNS)
        printf("%-40s %5s %5s %5s %10s %9s\n", "Name", "ID", "Mem", "VCPUs", "State", "Time(s)");
    json_array_foreach(records, i, record)
    {
        if (form == COLUMNS)
            print_row(record);
        else if (form == NAMES)
            puts(xm_text(record, "name"));
        else
            xm_print_long(record);
    }
}

int xm_list(int argc, char **argv)
{
    static const struct option longs[] = {
        {"long", no_argument, NULL, 'l'}, {"json", no_argument, NULL, 'j'}, {"quiet", no_argument, NULL, 'q'}, {0}};
    enum form form = COLUMNS;
    struct report r;
    json_t *records;
    int option;

    while ((option = xm_option(argc, argv, "lq", longs)) != -1) {
        if (option == '?')
            return REPORT_USAGE;
        form = option == 'l' ? LONG : option == 'j' ? JSON : NAMES;
    }
    records = xm_records(argc - optind, argv + optind, &r);
    if (!records)
        return xm_fail(&r);
    print_records(records, form);
    json_decref(records);
    return 0;
}
