/* SPDX-License-Identifier: MIT */
/* What commands share: arguments, xend's answers, messages. */
#pragma once
#include <stdbool.h>
#include "xm/xm.h"

/* Prints "Error: sentence"; returns the exit code. */
int xm_fail(const struct report *r);
/* Prints "Error: sentence" and how to get help on the command; returns the exit code for wrong arguments. */
int xm_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The next option (see getopt_long); an unknown one is told, and '?' returned. Operands stay behind the options. */
int xm_option(int argc, char **argv, const char *letters, const struct option *longs);
/* Of a command without options: skips "--", tells unknown ones. The index of the first operand when their number is min..max;
 * -1: the fault has been told. `what`: the operands' names for messages. */
int xm_operands(int argc, char **argv, int min, int max, const char *what);

/* xend's socket (XEND_SOCKET in the environment replaces the usual one) */
const char *xm_socket(void);
/* One call on the one connection of this process. Takes over params. 0; -1 with *r. */
int xm_call(const char *method, json_t *params, json_t **result, struct report *r);
/* The same for a method of one guest: {"vm": vm}. */
int xm_call_vm(const char *method, const char *vm, json_t **result, struct report *r);
/* After xend went away: the next call connects anew. */
void xm_disconnect(void);
/* One call for each operand, as `xm pause` needs; every fault is told, the first decides the exit code. */
int xm_each(int argc, char **argv, const char *method);

/* Members of a record, with a value for absent ones. */
const char *xm_text(const json_t *record, const char *key);
json_int_t xm_integer(const json_t *record, const char *key, json_int_t otherwise);
double xm_real(const json_t *record, const char *key);
/* The records of the operands, or of all guests when there are none: a new reference to an array; NULL with *r. */
json_t *xm_records(int argc, char **argv, struct report *r);
/* Prints JSON for people and programs, and a newline. */
void xm_print_json(const json_t *j);
