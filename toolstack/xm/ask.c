/* SPDX-License-Identifier: MIT */
/*
 * Asking guests to end: all are asked before the first is waited for. A guest is waited for by its uuid and the generation that was
 * asked, so that neither a new name nor a restart of it, or of xend, is mistaken.
 */
#include "xm/ask.h"
#include "xm/client.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WAIT_S   60 /* of one call; it is made again */
#define LOST_MAX 20 /* how often xend may go away while we wait */

struct asked {
    bool all, wait;
    const char *method;
    json_t *waiting; /* of {"uuid", "name", "generation"} */
    int code;
};

static void note_failure(struct asked *a, const struct report *r)
{
    int failed = xm_fail(r);

    a->code = a->code ? a->code : failed;
}

static void ask_one(struct asked *a, const json_t *record)
{
    const char *uuid = xm_text(record, "uuid");
    json_t *result;
    struct report r;

    if (xm_call_vm(a->method, uuid, &result, &r)) {
        note_failure(a, &r);
        return;
    }
    json_array_append_new(a->waiting, json_pack("{s:s, s:s, s:I}", "uuid", uuid, "name", xm_text(record, "name"),
                                                "generation", xm_integer(result, "generation", 0)));
    json_decref(result);
}

static void ask_named(struct asked *a, int count, char **names)
{
    json_t *record;
    struct report r;

    for (int i = 0; i < count; i++) {
        if (xm_call_vm("VM.get_record", names[i], &record, &r)) {
            note_failure(a, &r);
            continue;
        }
        ask_one(a, record);
        json_decref(record);
    }
}

/* All that run, but for Domain-0 */
static void ask_all(struct asked *a)
{
    struct report r;
    json_t *records = xm_records(0, NULL, &r), *record;
    size_t i;

    if (!records)
        note_failure(a, &r);
    json_array_foreach(records, i, record)
    {
        if (xm_integer(record, "domid", -1) > 0)
            ask_one(a, record);
    }
    json_decref(records);
}

/* "gone", "restarted", "preserved" of one guest into *result. 0; -1 */
static int wait_one(const json_t *guest, json_t **result, struct report *r)
{
    int rc, lost = 0;

    do {
        rc = xm_call("VM.wait",
                     json_pack("{s:s, s:I, s:i}", "vm", xm_text(guest, "uuid"), "generation",
                               xm_integer(guest, "generation", 0), "timeout_s", WAIT_S),
                     result, r);
        if (rc && r->kind == REPORT_NO_DAEMON) {
            nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
            lost++;
        }
    } while (rc && (r->kind == REPORT_TIMEOUT || (r->kind == REPORT_NO_DAEMON && lost < LOST_MAX)));
    if (!rc || r->kind != REPORT_NOT_FOUND)
        return rc;
    *result = json_pack("{s:s}", "state", "gone");
    return 0;
}

static void wait_all(struct asked *a)
{
    json_t *guest, *result;
    struct report r;
    size_t i;

    json_array_foreach(a->waiting, i, guest)
    {
        if (wait_one(guest, &result, &r)) {
            note_failure(a, &r);
            continue;
        }
        if (!strcmp(xm_text(result, "state"), "restarted"))
            printf("Domain %s restarted\n", xm_text(guest, "name"));
        else if (!strcmp(xm_text(result, "state"), "preserved"))
            printf("Domain %s shut down; it is preserved\n", xm_text(guest, "name"));
        else
            printf("Domain %s terminated\n", xm_text(guest, "name"));
        fflush(stdout);
        json_decref(result);
    }
    if (a->all && !a->code)
        printf("All domains %s\n", strcmp(a->method, "VM.clean_reboot") ? "terminated" : "restarted");
}

int xm_ask(int argc, char **argv, const char *method)
{
    static const struct option longs[] = {{"all", no_argument, NULL, 'a'}, {"wait", no_argument, NULL, 'w'}, {0}};
    struct asked a = {.method = method};
    int option;

    while ((option = xm_option(argc, argv, "aw", longs)) != -1) {
        if (option == '?')
            return REPORT_USAGE;
        a.all |= option == 'a';
        a.wait |= option == 'w';
    }
    if (a.all && optind < argc)
        return xm_usage(argv[0], "either -a or domains, not both");
    if (!a.all && optind == argc)
        return xm_usage(argv[0], "'xm %s' needs a domain's name or id, or -a", argv[0]);
    a.waiting = json_array();
    if (a.all)
        ask_all(&a);
    else
        ask_named(&a, argc - optind, argv + optind);
    if (a.wait)
        wait_all(&a);
    json_decref(a.waiting);
    return a.code;
}
