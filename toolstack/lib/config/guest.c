/* SPDX-License-Identifier: MIT */
/*
 * A guest's configuration from a text: assignments are merged (a later one replaces, += adds), read name by name, and checked.
 * The structure itself: freeing it, its kernel command line.
 */
#include "lib/config/guest.h"
#include "lib/config/check.h"
#include "lib/config/device.h"
#include "lib/config/keys.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_DEFAULT_MIB 128

/* Faults on their way to the caller: all to its function, the first to the report */
struct hearer {
    config_fault_fn *fault;
    void *arg;
    struct report *report;
};

static void hear(const char *text, void *arg)
{
    struct hearer *h = arg;

    if (h->report && h->report->kind == REPORT_NONE)
        report_set(h->report, REPORT_CONFIG, "%s", text);
    if (h->fault)
        h->fault(text, h->arg);
}

struct loader {
    const char *name; /* of the text */
    struct lang_sink sink;
    struct lang_program program;
    bool *bad; /* of each assignment: a fault has been told */
    struct reader reader;
};

/* The right side of += takes the form of the left where it is clear what is meant: a number joins a text, a text a list */
static bool suit(const struct value *left, struct value *right)
{
    struct value *item;

    if (left->type == VALUE_STRING && right->type == VALUE_NUMBER)
        right->type = VALUE_STRING;
    if (left->type != VALUE_LIST || right->type != VALUE_STRING)
        return true;
    item = malloc(sizeof(*item));
    if (!item)
        return false;
    *item = *right;
    *right = (struct value){.type = VALUE_LIST, .at = item->at, .items = item, .count = 1};
    return true;
}

static void add_assignment(struct loader *l, struct assignment *old, struct assignment *a)
{
    const char *left = value_type_name(old->value.type), *right = value_type_name(a->value.type);
    int rc = suit(&old->value, &a->value) ? value_add(&old->value, &a->value) : -2;

    if (rc == -1)
        lang_fault(&l->sink, a->at, "+= cannot add %s to %s", right, left);
    else if (rc)
        lang_fault(&l->sink, a->at, "%s grows too large", a->name);
}

/* Assignments of one name become one, at the place of the last */
static void merge(struct loader *l)
{
    struct lang_program *p = &l->program;
    size_t kept = 0;

    for (size_t i = 0; i < p->count; i++) {
        struct assignment *a = &p->items[i], *old = NULL;

        for (size_t k = 0; k < kept && !old; k++)
            if (!strcmp(p->items[k].name, a->name))
                old = &p->items[k];
        if (!old) {
            p->items[kept++] = *a;
            continue;
        }
        if (a->add) {
            add_assignment(l, old, a);
        } else {
            value_free(&old->value);
            old->value = a->value;
        }
        a->value = (struct value){0};
        old->at = a->at;
        free(a->name);
    }
    p->count = kept;
}

static long find_assignment(const struct loader *l, const char *key)
{
    for (size_t i = 0; i < l->program.count; i++)
        if (!strcmp(l->program.items[i].name, key))
            return (long)i;
    return -1;
}

/* A fault of the whole goes to the place of the value that it is about */
static void check_fault(void *arg, const char *key, int index, const char *text)
{
    struct loader *l = arg;
    struct place at = {l->name, 0, 0};
    long i = find_assignment(l, key);

    if (i >= 0 && l->bad[i])
        return; /* it follows from what has been told */
    if (i >= 0) {
        const struct value *v = &l->program.items[i].value;
        size_t entry = index < 0 ? 0 : !strcmp(key, "disk") ? l->reader.disk_entry[index] : l->reader.vif_entry[index];

        at = v->at;
        if (index >= 0 && v->type == VALUE_LIST && entry < v->count)
            at = v->items[entry].at;
    }
    lang_fault(&l->sink, at, "%s", text);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int set_defaults(struct loader *l, struct guest_config *c)
{
    *c = (struct guest_config){
        .memory_mib = MEMORY_DEFAULT_MIB,
        .vcpus = 1,
        .cpu_weight = GUEST_CPU_WEIGHT,
        .on_reboot = ACTION_RESTART,
        .on_crash = ACTION_RESTART,
        .source = strdup(l->name),
    };
    l->reader = (struct reader){.sink = &l->sink, .c = c, .cpu = -1};
    l->bad = calloc(l->program.count + 1, sizeof(*l->bad));
    return c->source && l->bad ? 0 : -1;
}

/* From the merged assignments to the configuration */
static void read_all(struct loader *l, struct guest_config *c)
{
    bool whole = !l->sink.faults_count;

    if (set_defaults(l, c)) {
        lang_fault(&l->sink, (struct place){l->name, 0, 0}, "out of memory");
        return;
    }
    for (size_t i = 0; i < l->program.count; i++)
        l->bad[i] = !key_read(&l->reader, &l->program.items[i]);
    if (!c->name && !(c->name = strdup(base_name(l->name))))
        lang_fault(&l->sink, (struct place){l->name, 0, 0}, "out of memory");
    if (reader_finish(&l->reader))
        lang_fault(&l->sink, (struct place){l->name, 0, 0}, "out of memory");
    if (whole) /* else what is missing may be among what could not be read */
        guest_config_check(c, check_fault, l);
}

/* "argument 'memory=64'": how each of xm's arguments is called in messages. NULL: no memory */
static char **argument_names(const char *const *overrides, size_t count)
{
    char **names = calloc(count + 1, sizeof(*names));

    for (size_t i = 0; names && i < count; i++) {
        if (asprintf(&names[i], "argument '%.200s'", overrides[i]) < 0) {
            names[i] = NULL;
            break;
        }
    }
    return names;
}

static void free_names(char **names)
{
    for (char **n = names; n && *n; n++)
        free(*n);
    free(names);
}

int guest_config_parse(const char *name, const char *text, size_t size, const char *const *overrides,
                       size_t overrides_count, struct guest_config *out, config_fault_fn *fault, void *arg,
                       struct report *r)
{
    struct hearer hearer = {.fault = fault, .arg = arg, .report = r};
    struct loader l = {.name = name, .sink = {.fault = hear, .arg = &hearer}};
    char **names = argument_names(overrides, overrides_count);

    r->kind = REPORT_NONE;
    *out = (struct guest_config){0};
    lang_parse(&l.sink, name, text, size, &l.program);
    for (size_t i = 0; i < overrides_count; i++)
        lang_parse_argument(&l.sink, names && names[i] ? names[i] : "argument", overrides[i], &l.program);
    merge(&l);
    read_all(&l, out);
    if (l.sink.faults_count)
        guest_config_free(out);
    reader_free(&l.reader);
    lang_free(&l.program);
    free(l.bad);
    free_names(names);
    return l.sink.faults_count ? -1 : 0;
}

/* All of an open file, at most one byte more than is allowed. NULL: *r says why */
static char *read_text(int fd, const char *path, size_t *size, struct report *r)
{
    char *text = malloc(LANG_TEXT_MAX + 1);
    ssize_t n;

    *size = 0;
    if (!text) {
        report_set(r, REPORT_FAILED, "out of memory");
        return NULL;
    }
    while ((n = read(fd, text + *size, LANG_TEXT_MAX + 1 - *size)) > 0)
        *size += (size_t)n;
    if (!n)
        return text;
    report_set(r, REPORT_FAILED, "%s: cannot be read: %s", path, strerror(errno));
    free(text);
    return NULL;
}

static char *read_file(const char *path, size_t *size, struct report *r)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char *text = NULL;
    struct stat st;

    if (fd < 0 || fstat(fd, &st))
        report_set(r, errno == ENOENT ? REPORT_NOT_FOUND : REPORT_FAILED, "%s: cannot be read: %s", path,
                   strerror(errno));
    else if (!S_ISREG(st.st_mode))
        report_set(r, REPORT_CONFIG, "%s: not a file", path);
    else
        text = read_text(fd, path, size, r);
    if (fd >= 0)
        close(fd);
    return text;
}

int guest_config_load(const char *path, const char *const *overrides, size_t overrides_count, struct guest_config *out,
                      config_fault_fn *fault, void *arg, struct report *r)
{
    size_t size;
    char *text = read_file(path, &size, r);
    int rc;

    *out = (struct guest_config){0};
    if (!text) {
        if (fault)
            fault(r->text, arg);
        return -1;
    }
    rc = guest_config_parse(path, text, size, overrides, overrides_count, out, fault, arg, r);
    free(text);
    return rc;
}

void guest_config_free(struct guest_config *c)
{
    for (unsigned i = 0; i < c->disks_count; i++)
        disk_free(&c->disks[i]);
    for (unsigned i = 0; i < c->vifs_count; i++)
        vif_free(&c->vifs[i]);
    free(c->source);
    free(c->name);
    free(c->kernel);
    free(c->ramdisk);
    free(c->root);
    free(c->extra);
    free(c->network);
    free(c->bootloader);
    free(c->bootargs);
    free(c->cpus);
    json_decref(c->ignored);
    *c = (struct guest_config){0};
}

char *guest_config_cmdline(const struct guest_config *c)
{
    const char *const parts[] = {c->network, c->extra};
    char *line, *longer;

    if (asprintf(&line, "%s%s", c->root ? "root=" : "", c->root ? c->root : "") < 0)
        return NULL;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (!parts[i])
            continue;
        if (asprintf(&longer, "%s%s%s", line, *line ? " " : "", parts[i]) < 0)
            longer = NULL;
        free(line);
        line = longer;
        if (!line)
            return NULL;
    }
    return line;
}
