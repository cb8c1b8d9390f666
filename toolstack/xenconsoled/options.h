/* SPDX-License-Identifier: MIT */
/* The command line of xenconsoled (xenconsoled(8)). */
#pragma once
#include "xenconsoled/log.h"

struct options {
    struct log_policy log;
    bool log_hypervisor, log_guests;
    bool fork;
    const char *pid_file; /* NULL: none */
    const char *state_directory;
};
/* Returns -1 to go on, else the exit code: help was asked for (0), or something is wrong and has been said (2). */
int options_parse(struct options *o, int argc, char **argv);
