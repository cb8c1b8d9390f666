/* SPDX-License-Identifier: MIT */
/*
 * xm: the command line of the tools. One file per command, one table of them (table.c). xm makes no hypercalls: it asks xend
 * (docs/api.md). What went wrong goes to stderr as "Error: sentence"; the exit code is the kind of the report (lib/report.h):
 * 0 done, 1 failed, 2 usage, 3 configuration, 4 not found...
 */
#pragma once
#include <getopt.h>
#include <jansson.h>
#include "lib/report.h"
#include "lib/rpc/rpc.h"

#define XM_CONFIG_DIR  "/etc/xen" /* XM_CONFIG_DIR in the environment replaces it */
#define XM_XEND_WAIT_S 3          /* xend may be on its way up */

struct xm_command {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0]: the command's name. Returns the exit code */
    const char *help;                  /* one line */
    const char *usage;                 /* what follows "xm NAME" */
    const char *details;               /* options, each on its line; "" none */
    const char *examples;              /* each on its line */
};
extern const struct xm_command xm_commands[]; /* a NULL name at the end */
const struct xm_command *xm_command_find(const char *name);
void xm_command_help(const struct xm_command *c);

int xm_create(int argc, char **argv);
int xm_list(int argc, char **argv);
int xm_console(int argc, char **argv);
int xm_destroy(int argc, char **argv);
int xm_shutdown(int argc, char **argv);
int xm_reboot(int argc, char **argv);
int xm_pause(int argc, char **argv);
int xm_unpause(int argc, char **argv);
int xm_domid(int argc, char **argv);
int xm_domname(int argc, char **argv);
int xm_rename(int argc, char **argv);
int xm_info(int argc, char **argv);
int xm_dmesg(int argc, char **argv);
int xm_log(int argc, char **argv);
int xm_uptime(int argc, char **argv);
int xm_vcpu_list(int argc, char **argv);
int xm_help(int argc, char **argv);
