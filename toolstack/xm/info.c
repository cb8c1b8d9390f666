/* SPDX-License-Identifier: MIT */
/* xm info: the machine and the hypervisor, one "name : value" a line, in xend's order. */
#include "xm/client.h"
#include <stdio.h>

static void print_value(const json_t *value)
{
    size_t i;
    json_t *item;

    if (json_is_string(value)) {
        printf("%s", json_string_value(value));
    } else if (json_is_integer(value)) {
        printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_real(value)) {
        printf("%.3f", json_real_value(value));
    } else if (json_is_boolean(value)) {
        printf("%s", json_is_true(value) ? "yes" : "no");
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, item)
        {
            if (i)
                putchar(' ');
            print_value(item);
        }
    }
}

int xm_info(int argc, char **argv)
{
    json_t *record, *value;
    const char *key;
    struct report r;

    if (xm_operands(argc, argv, 0, 0, "") < 0)
        return REPORT_USAGE;
    if (xm_call("host.get_record", NULL, &record, &r))
        return xm_fail(&r);
    json_object_foreach(record, key, value)
    {
        printf("%-22s : ", key);
        print_value(value);
        putchar('\n');
    }
    json_decref(record);
    return 0;
}
