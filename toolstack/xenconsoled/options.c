/* SPDX-License-Identifier: MIT */
/* Options: see options.h. */
#include "xenconsoled/options.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: xenconsoled [OPTION]...\n"
    "Joins the consoles of guests to pseudo-terminals and logs them.\n"
    "\n"
    "  --log=WHAT          none, hv (the hypervisor), guest, all; or several: hv,guest (default: all)\n"
    "  --log-dir=DIR       where the logs are (default: /var/log/xen/console)\n"
    "  --log-size=KIB      size at which a log is put aside (default: 1024)\n"
    "  --log-keep=N        how many older files of a log are kept, 0 to 99 (default: 3)\n"
    "  --timestamps        each line of a log begins with its time (UTC)\n"
    "  --fork              goes into the background when ready; messages go to the system's log\n"
    "  --no-fork           stays in the foreground and writes messages to standard error (the default)\n"
    "  --pid-file=FILE     writes the process id there\n"
    "  --state-dir=DIR     keeps there how much of the hypervisor's console is logged (default: /run/xen)\n"
    "  --help              this text\n"
    "\n"
    "Example: xenconsoled --log=hv,guest --log-size=512 --log-keep=5\n";

enum {
    OPT_HELP = 256,
    OPT_LOG,
    OPT_DIR,
    OPT_SIZE,
    OPT_KEEP,
    OPT_TIMESTAMPS,
    OPT_FORK,
    OPT_NO_FORK,
    OPT_PID_FILE,
    OPT_STATE_DIR
};
static const struct option known[] = {
    {"help", no_argument, NULL, OPT_HELP},
    {"log", required_argument, NULL, OPT_LOG},
    {"log-dir", required_argument, NULL, OPT_DIR},
    {"log-size", required_argument, NULL, OPT_SIZE},
    {"log-keep", required_argument, NULL, OPT_KEEP},
    {"timestamps", no_argument, NULL, OPT_TIMESTAMPS},
    {"fork", no_argument, NULL, OPT_FORK},
    {"no-fork", no_argument, NULL, OPT_NO_FORK},
    {"pid-file", required_argument, NULL, OPT_PID_FILE},
    {"state-dir", required_argument, NULL, OPT_STATE_DIR},
    {NULL, 0, NULL, 0},
};

static int parse_what(struct options *o, char *text)
{
    char *save = NULL;

    o->log_hypervisor = o->log_guests = false;
    for (char *word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        bool all = !strcmp(word, "all");

        if (!all && strcmp(word, "hv") && strcmp(word, "guest") && strcmp(word, "none")) {
            fprintf(stderr, "xenconsoled: --log=%s is not known; there are none, hv, guest and all\n", word);
            return -1;
        }
        o->log_hypervisor |= all || !strcmp(word, "hv");
        o->log_guests |= all || !strcmp(word, "guest");
    }
    return 0;
}

static int parse_number(const char *option, const char *text, unsigned long min, unsigned long max,
                        unsigned long *value)
{
    char *end;

    errno = 0;
    *value = strtoul(text, &end, 10);
    if (end != text && !*end && *text != '-' && !errno && *value >= min && *value <= max)
        return 0;
    fprintf(stderr, "xenconsoled: --%s=%s is not a number from %lu to %lu\n", option, text, min, max);
    return -1;
}

static int apply(struct options *o, int option, char *value)
{
    unsigned long number;

    switch (option) {
    case OPT_LOG:
        return parse_what(o, value);
    case OPT_DIR:
        o->log.directory = value;
        return 0;
    case OPT_SIZE:
        if (parse_number("log-size", value, 1, 1ul << 30, &number))
            return -1;
        o->log.size_max = number << 10;
        return 0;
    case OPT_KEEP:
        if (parse_number("log-keep", value, 0, 99, &number))
            return -1;
        o->log.keep = (unsigned)number;
        return 0;
    case OPT_TIMESTAMPS:
        o->log.timestamps = true;
        return 0;
    case OPT_FORK:
    case OPT_NO_FORK:
        o->fork = option == OPT_FORK;
        return 0;
    case OPT_PID_FILE:
        o->pid_file = value;
        return 0;
    case OPT_STATE_DIR:
        o->state_directory = value;
        return 0;
    default: /* getopt has said what is wrong */
        return -1;
    }
}

int options_parse(struct options *o, int argc, char **argv)
{
    int option;

    *o = (struct options){.log = {"/var/log/xen/console", 1u << 20, 3, false},
                          .log_hypervisor = true,
                          .log_guests = true,
                          .state_directory = "/run/xen"};
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == OPT_HELP) {
            fputs(help, stdout);
            return 0;
        }
        if (apply(o, option, optarg)) {
            fputs("Try 'xenconsoled --help'.\n", stderr);
            return 2;
        }
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, "xenconsoled: '%s' is not an option; try 'xenconsoled --help'\n", argv[optind]);
    return 2;
}
