/* SPDX-License-Identifier: MIT */
/* Running the network and device scripts: a child with its own process group, a clean environment and a time limit. Blocks. */
#pragma once
#include "lib/report.h"

#define SCRIPT_ARGS_MAX  16
#define SCRIPT_ENV_MAX   16
#define SCRIPT_TIMEOUT_S 60

struct script {
    const char *command;           /* name below /etc/xen/scripts or path, then words for arguments */
    const char *action;            /* a last argument: "online"; NULL none */
    char *env[SCRIPT_ENV_MAX + 1]; /* "name=value", besides PATH; NULL at the end */
};
/* 0; -1: it cannot be started, ended with an error (its last line of output is in the report), or took too long (and was killed,
 * with all that it had started). */
int script_run(const struct script *s, struct report *r);
/* Is there such an executable file? */
int script_check(const char *command, struct report *r);
