/* SPDX-License-Identifier: MIT */
/* xm vcpu-list: the domains' processors. */
#include "xm/client.h"
#include <stdio.h>

static void print_vcpu(const json_t *record, const json_t *vcpu)
{
    json_int_t cpu = xm_integer(vcpu, "cpu", -1);
    char where[24] = "-";

    if (cpu >= 0)
        snprintf(where, sizeof(where), "%" JSON_INTEGER_FORMAT, cpu);
    printf("%-32s %5" JSON_INTEGER_FORMAT " %5" JSON_INTEGER_FORMAT " %5s %5s %9.1f %s\n", xm_text(record, "name"),
           xm_integer(record, "domid", -1), xm_integer(vcpu, "number", 0), where,
           cpu < 0 ? "--p" : xm_text(vcpu, "state"), xm_real(vcpu, "time_s"), xm_text(vcpu, "affinity"));
}

int xm_vcpu_list(int argc, char **argv)
{
    int first = xm_operands(argc, argv, 0, argc, "domains");
    json_t *records, *record, *vcpu;
    struct report r;
    size_t i, k;

    if (first < 0)
        return REPORT_USAGE;
    records = xm_records(argc - first, argv + first, &r);
    if (!records)
        return xm_fail(&r);
    printf("%-32s %5s %5s %5s %5s %9s %s\n", "Name", "ID", "VCPU", "CPU", "State", "Time(s)", "CPU Affinity");
    json_array_foreach(records, i, record)
    {
        json_array_foreach(json_object_get(record, "vcpu"), k, vcpu)
        {
            print_vcpu(record, vcpu);
        }
    }
    json_decref(records);
    return 0;
}
