/* SPDX-License-Identifier: MIT */
/* xm console: this terminal joined to a guest's console. */
#include "xm/attach.h"
#include "xm/client.h"

int xm_console(int argc, char **argv)
{
    int first = xm_operands(argc, argv, 1, 1, "one domain's name or id");
    struct attachment *a;
    struct report r;
    json_t *record;

    if (first < 0)
        return REPORT_USAGE;
    if (xm_call_vm("VM.get_record", argv[first], &record, &r))
        return xm_fail(&r);
    if (xm_integer(record, "domid", -1) <= 0) {
        bool host = !xm_integer(record, "domid", -1);

        report_set(&r, REPORT_STATE,
                   host ? "the console of %s is that of the machine" : "%s is not running: it has no console now",
                   xm_text(record, "name"));
        json_decref(record);
        return xm_fail(&r);
    }
    a = attach_new(xm_text(record, "uuid"), xm_text(record, "name"));
    json_decref(record);
    if (!a)
        return REPORT_FAILED;
    attach_open(a, 0);
    return attach_run(a);
}
