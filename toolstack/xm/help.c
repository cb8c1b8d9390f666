/* SPDX-License-Identifier: MIT */
/* xm help: the commands, or one of them. */
#include "xm/client.h"
#include <stdio.h>

int xm_help(int argc, char **argv)
{
    const struct xm_command *c;
    int first = xm_operands(argc, argv, 0, 1, "one command's name");

    if (first < 0)
        return REPORT_USAGE;
    if (first < argc) {
        c = xm_command_find(argv[first]);
        if (!c) {
            fprintf(stderr, "Error: unknown command '%s'; 'xm help' lists the commands\n", argv[first]);
            return REPORT_USAGE;
        }
        xm_command_help(c);
        return 0;
    }
    printf("Usage: xm COMMAND [ARGUMENT...]\n\n");
    for (c = xm_commands; c->name; c++)
        printf("  %-10s  %s\n", c->name, c->help);
    printf("\nA DOMAIN is a name, an id or a uuid. 'xm help COMMAND' explains a command and gives examples.\n");
    return 0;
}
