/* SPDX-License-Identifier: MIT */
/* The table of commands: what xm knows, and what `xm help` says about it. */
#include "xm/xm.h"
#include <stdio.h>
#include <string.h>

const struct xm_command xm_commands[] = {
    {
        "create",
        xm_create,
        "start a guest from its configuration",
        "[-c] [-p] [-n] [-q] CONFIG [NAME=VALUE...]",
        "  -c, --console         attach to the guest's console before it runs\n"
        "  -p, --paused          leave it paused\n"
        "  -n, --dryrun          start nothing: show what would be done and all that would go wrong\n"
        "  -q, --quiet           print errors only\n"
        "  -f, --defconfig FILE  the configuration, as an option\n"
        "A CONFIG without a slash is looked up in /etc/xen, then here. Each NAME=VALUE replaces what the file says, "
        "and\n"
        "NAME+=VALUE adds to it.\n",
        "  xm create -c demo\n"
        "  xm create /root/web.cfg memory=512 'extra+=single'\n"
        "  xm create -n demo\n",
    },
    {
        "list",
        xm_list,
        "list the domains",
        "[-l | --json | -q] [DOMAIN...]",
        "  -l, --long   everything, as S-expressions\n"
        "  --json       everything, as JSON\n"
        "  -q, --quiet  names only, each on its line\n"
        "State is six letters: r running, b blocked, p paused, s shut down, c crashed, d dying.\n",
        "  xm list\n"
        "  xm list demo 3\n"
        "  xm list --json | jq '.[].name'\n",
    },
    {
        "console",
        xm_console,
        "attach to a guest's console; Ctrl-] leaves it",
        "DOMAIN",
        "",
        "  xm console demo\n",
    },
    {
        "destroy",
        xm_destroy,
        "end guests at once, as if their power were cut",
        "DOMAIN...",
        "",
        "  xm destroy demo\n",
    },
    {
        "shutdown",
        xm_shutdown,
        "ask guests to shut down",
        "[-w] -a | DOMAIN...",
        "  -a, --all   all guests\n"
        "  -w, --wait  return when they have shut down\n",
        "  xm shutdown -w demo\n"
        "  xm shutdown -a\n",
    },
    {
        "reboot",
        xm_reboot,
        "ask guests to reboot",
        "[-w] -a | DOMAIN...",
        "  -a, --all   all guests\n"
        "  -w, --wait  return when they have been started again\n",
        "  xm reboot -w demo\n",
    },
    {"pause", xm_pause, "stop guests' processors", "DOMAIN...", "", "  xm pause demo\n"},
    {"unpause", xm_unpause, "let paused guests go on", "DOMAIN...", "", "  xm unpause demo\n"},
    {"domid", xm_domid, "print the id of a domain", "NAME", "", "  xm domid demo\n"},
    {"domname", xm_domname, "print the name of a domain", "ID", "", "  xm domname 1\n"},
    {"rename", xm_rename, "give a guest another name", "DOMAIN NAME", "", "  xm rename demo web\n"},
    {"info", xm_info, "describe the machine and the hypervisor", "", "", "  xm info\n"},
    {
        "dmesg",
        xm_dmesg,
        "print the hypervisor's messages",
        "[-c]",
        "  -c, --clear  forget them after printing\n",
        "  xm dmesg | tail\n",
    },
    {"log", xm_log, "print the end of xend's log", "", "", "  xm log\n"},
    {"uptime", xm_uptime, "print how long domains have been running", "[DOMAIN...]", "", "  xm uptime demo\n"},
    {"vcpu-list", xm_vcpu_list, "list the domains' processors", "[DOMAIN...]", "", "  xm vcpu-list demo\n"},
    {"help", xm_help, "list the commands, or explain one", "[COMMAND]", "", "  xm help create\n"},
    {NULL, NULL, NULL, NULL, NULL, NULL},
};

const struct xm_command *xm_command_find(const char *name)
{
    for (const struct xm_command *c = xm_commands; c->name; c++)
        if (!strcmp(c->name, name))
            return c;
    return NULL;
}

void xm_command_help(const struct xm_command *c)
{
    printf("xm %s: %s\n\nUsage: xm %s%s%s\n", c->name, c->help, c->name, *c->usage ? " " : "", c->usage);
    if (*c->details)
        printf("\n%s", c->details);
    printf("\nExamples:\n%s", c->examples);
}
