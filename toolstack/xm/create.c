/* SPDX-License-Identifier: MIT */
/* xm create: starts a guest from its configuration. */
#include "lib/config/guest.h"
#include "xm/attach.h"
#include "xm/client.h"
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONSOLE_WAIT_MS 5000

struct create {
    bool console, paused, dry, quiet;
    const char *config; /* as given */
    char path[PATH_MAX];
    const char **overrides;
    size_t overrides_count;
};

static void print_fault(const char *text, void *arg)
{
    fprintf(stderr, "Error: %s\n", text);
}

/* name=value or name+=value */
static bool is_assignment(const char *s)
{
    if (!isalpha((unsigned char)*s) && *s != '_')
        return false;
    while (isalnum((unsigned char)*s) || *s == '_')
        s++;
    s += *s == '+';
    return *s == '=';
}

/* A bare name is looked up in the directory of configurations first: what lies about here cannot take its place */
static void find_config(struct create *c)
{
    const char *directory = getenv("XM_CONFIG_DIR");

    if (!strchr(c->config, '/')) {
        snprintf(c->path, sizeof(c->path), "%s/%s", directory && *directory ? directory : XM_CONFIG_DIR, c->config);
        if (!access(c->path, F_OK) || access(c->config, F_OK))
            return;
    }
    snprintf(c->path, sizeof(c->path), "%s", c->config);
}

/* 0; else the exit code */
static int parse_arguments(struct create *c, int argc, char **argv)
{
    static const struct option longs[] = {
        {"console", no_argument, NULL, 'c'},
        {"console_autoconnect", no_argument, NULL, 'c'},
        {"paused", no_argument, NULL, 'p'},
        {"dryrun", no_argument, NULL, 'n'},
        {"quiet", no_argument, NULL, 'q'},
        {"defconfig", required_argument, NULL, 'f'},
        {0},
    };
    int option;

    while ((option = xm_option(argc, argv, "cpnqf:", longs)) != -1) {
        if (option == '?')
            return REPORT_USAGE;
        c->console |= option == 'c';
        c->paused |= option == 'p';
        c->dry |= option == 'n';
        c->quiet |= option == 'q';
        if (option == 'f')
            c->config = optarg;
    }
    c->overrides = (const char **)argv; /* those found move to its front */
    for (; optind < argc; optind++) {
        if (is_assignment(argv[optind]))
            c->overrides[c->overrides_count++] = argv[optind];
        else if (c->config)
            return xm_usage("create", "'%s' is neither the one configuration nor of the form NAME=VALUE", argv[optind]);
        else
            c->config = argv[optind];
    }
    return c->config ? 0 : xm_usage("create", "'xm create' needs a configuration");
}

static void print_sentences(FILE *out, const char *prefix, const json_t *list)
{
    json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        fprintf(out, "%s%s\n", prefix, json_string_value(item) ? json_string_value(item) : "");
    }
}

static void print_ignored(const struct guest_config *config)
{
    json_t *item;
    size_t i;

    json_array_foreach(config->ignored, i, item)
    {
        printf("Not used: %s, line %" JSON_INTEGER_FORMAT ": %s\n", xm_text(item, "name"), xm_integer(item, "line", 0),
               xm_text(item, "why"));
    }
}

static int dry_run(const struct guest_config *config, json_t *json)
{
    struct report r;
    json_t *result;
    int code;

    print_ignored(config);
    if (xm_call("VM.check", json_pack("{s:o}", "config", json), &result, &r))
        return xm_fail(&r);
    print_sentences(stdout, "", json_object_get(result, "plan"));
    fflush(stdout);
    print_sentences(stderr, "Error: ", json_object_get(result, "problems"));
    code = json_array_size(json_object_get(result, "problems")) ? REPORT_FAILED : 0;
    json_decref(result);
    return code;
}

/* The guest is paused: its console is opened before its first instruction */
static int run_console(const struct create *c, const json_t *result)
{
    struct attachment *a = attach_new(xm_text(result, "uuid"), xm_text(result, "name"));
    struct report r;

    if (a)
        attach_open(a, CONSOLE_WAIT_MS);
    if (!c->paused && xm_call_vm("VM.unpause", xm_text(result, "uuid"), NULL, &r)) {
        if (a)
            attach_free(a);
        return xm_fail(&r);
    }
    return a ? attach_run(a) : REPORT_FAILED;
}

static int start(const struct create *c, json_t *json)
{
    struct report r;
    json_t *result;
    int code = 0;

    if (xm_call("VM.create",
                json_pack("{s:o, s:b, s:b}", "config", json, "start", 1, "paused", c->paused || c->console), &result,
                &r))
        return xm_fail(&r);
    if (!c->quiet)
        printf("Started domain %s (id=%" JSON_INTEGER_FORMAT ")\n", xm_text(result, "name"),
               xm_integer(result, "domid", -1));
    if (c->console)
        code = run_console(c, result);
    json_decref(result);
    return code;
}

int xm_create(int argc, char **argv)
{
    struct create c = {0};
    struct guest_config config;
    struct report r;
    char *full;
    json_t *json;
    int code = parse_arguments(&c, argc, argv);

    if (code)
        return code;
    find_config(&c);
    if (!access(c.path, R_OK) && !c.quiet)
        printf("Using config file \"%s\".\n", c.path);
    fflush(stdout);
    if (guest_config_load(c.path, c.overrides, c.overrides_count, &config, print_fault, NULL, &r))
        return (int)r.kind;
    full = realpath(c.path, NULL);
    if (full) {
        free(config.source);
        config.source = full;
    }
    json = guest_config_to_json(&config);
    code = !json ? REPORT_FAILED : c.dry ? dry_run(&config, json) : start(&c, json);
    guest_config_free(&config);
    return code;
}
