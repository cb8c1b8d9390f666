/* SPDX-License-Identifier: MIT */
/* What commands share: see client.h. Owns the connection to xend. */
#include "xm/client.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rpc *connection; /* NULL: none yet */

int xm_fail(const struct report *r)
{
    fflush(stdout);
    fprintf(stderr, "Error: %s\n", r->text);
    return (int)r->kind;
}

int xm_usage(const char *command, const char *fmt, ...)
{
    va_list ap;

    fflush(stdout);
    fputs("Error: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nSee 'xm help %s'.\n", command);
    return REPORT_USAGE;
}

int xm_option(int argc, char **argv, const char *letters, const struct option *longs)
{
    int option;

    opterr = 0;
    option = getopt_long(argc, argv, letters, longs, NULL);
    if (option == '?' && optopt && strchr(letters, optopt))
        xm_usage(argv[0], "the option -%c needs a value", optopt);
    else if (option == '?' && optopt)
        xm_usage(argv[0], "unknown option -%c", optopt);
    else if (option == '?')
        xm_usage(argv[0], "unknown option %s", argv[optind - 1]);
    return option;
}

int xm_operands(int argc, char **argv, int min, int max, const char *what)
{
    static const struct option none[] = {{0}};

    if (xm_option(argc, argv, "", none) != -1)
        return -1;
    if (argc - optind >= min && argc - optind <= max)
        return optind;
    if (!max)
        xm_usage(argv[0], "'xm %s' takes no argument", argv[0]);
    else
        xm_usage(argv[0], argc - optind < min ? "'xm %s' needs %s" : "'xm %s' takes only %s", argv[0], what);
    return -1;
}

const char *xm_socket(void)
{
    const char *path = getenv("XEND_SOCKET");

    return path && *path ? path : XEND_SOCKET;
}

int xm_call(const char *method, json_t *params, json_t **result, struct report *r)
{
    int rc;

    if (!connection && rpc_connect(xm_socket(), XM_XEND_WAIT_S, &connection, r)) {
        json_decref(params);
        return -1;
    }
    rc = rpc_call(connection, method, params, result, r);
    if (rc && r->kind == REPORT_NO_DAEMON)
        xm_disconnect();
    return rc;
}

int xm_call_vm(const char *method, const char *vm, json_t **result, struct report *r)
{
    json_t *params = json_pack("{s:s}", "vm", vm);

    if (!params)
        return report_set(r, REPORT_USAGE, "'%s' cannot be a domain's name", vm);
    return xm_call(method, params, result, r);
}

void xm_disconnect(void)
{
    rpc_close(connection);
    connection = NULL;
}

int xm_each(int argc, char **argv, const char *method)
{
    int first = xm_operands(argc, argv, 1, argc, "a domain's name or id"), code = 0;
    struct report r;

    if (first < 0)
        return REPORT_USAGE;
    for (int i = first; i < argc; i++) {
        if (xm_call_vm(method, argv[i], NULL, &r)) {
            int failed = xm_fail(&r);

            code = code ? code : failed;
        }
    }
    return code;
}

const char *xm_text(const json_t *record, const char *key)
{
    const char *text = json_string_value(json_object_get(record, key));

    return text ? text : "";
}

json_int_t xm_integer(const json_t *record, const char *key, json_int_t otherwise)
{
    const json_t *value = json_object_get(record, key);

    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

double xm_real(const json_t *record, const char *key)
{
    return json_number_value(json_object_get(record, key));
}

static json_t *all_records(struct report *r)
{
    json_t *result, *records;

    if (xm_call("VM.get_all_records", NULL, &result, r))
        return NULL;
    records = json_incref(json_object_get(result, "vms"));
    json_decref(result);
    if (!json_is_array(records)) {
        json_decref(records);
        report_set(r, REPORT_FAILED, "xend's list of domains is not understood");
        return NULL;
    }
    return records;
}

json_t *xm_records(int argc, char **argv, struct report *r)
{
    json_t *records, *record;

    if (!argc)
        return all_records(r);
    records = json_array();
    for (int i = 0; i < argc; i++) {
        if (xm_call_vm("VM.get_record", argv[i], &record, r)) {
            json_decref(records);
            return NULL;
        }
        json_array_append_new(records, record);
    }
    return records;
}

void xm_print_json(const json_t *j)
{
    json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
}
