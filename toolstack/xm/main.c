/* SPDX-License-Identifier: MIT */
/* xm's beginning: finds the command, runs it, makes sure that what it printed was written. */
#include "xm/client.h"
#include "lib/config/text.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *command_at(size_t i)
{
    return xm_commands[i].name;
}

static int unknown_command(const char *name)
{
    const char *meant;
    size_t count = 0;

    while (xm_commands[count].name)
        count++;
    meant = text_guess(name, command_at, count);
    if (meant)
        fprintf(stderr, "Error: unknown command '%s': did you mean '%s'?\n", name, meant);
    else
        fprintf(stderr, "Error: unknown command '%s'; 'xm help' lists the commands\n", name);
    return REPORT_USAGE;
}

static int run_command(int argc, char **argv)
{
    const struct xm_command *c = xm_command_find(argv[0]);

    if (!c)
        return unknown_command(argv[0]);
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            xm_command_help(c);
            return 0;
        }
    }
    return c->run(argc, argv);
}

int main(int argc, char **argv)
{
    char help[] = "help", *no_command[] = {help, NULL};
    int code;

    if (argc < 2) {
        xm_help(1, no_command);
        return REPORT_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        argv[1] = help;
    code = run_command(argc - 1, argv + 1);
    xm_disconnect();
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "Error: cannot write the output: %s\n", strerror(errno));
        return code ? code : REPORT_FAILED;
    }
    return code;
}
