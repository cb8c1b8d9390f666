/* SPDX-License-Identifier: MIT */
/* Kinds of values: see kinds.h. */
#include "lib/config/kinds.h"
#include "lib/config/device.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool fault_type(struct reader *r, const struct key *k, const struct value *v, const char *wanted)
{
    lang_fault(r->sink, v->at, "%s must be %s, not %s", k->name, wanted, value_type_name(v->type));
    return false;
}

static bool out_of_memory(struct reader *r, const struct value *v)
{
    lang_fault(r->sink, v->at, "out of memory");
    return false;
}

/* Adds to the names that mean nothing here */
static bool note_ignored(struct reader *r, const char *name, const struct value *v, const char *why)
{
    json_t *note = json_pack("{s:s, s:i, s:s}", "name", name, "line", (int)v->at.line, "why", why);

    if (!r->c->ignored)
        r->c->ignored = json_array();
    return !json_array_append_new(r->c->ignored, note) || out_of_memory(r, v);
}

bool read_ignored(struct reader *r, const struct key *k, const struct value *v)
{
    return note_ignored(r, k->name, v, k->why);
}

/* A copy of a string (a number counts as the text it was written as) into *out. None and "": not given */
static bool read_text_into(struct reader *r, const struct key *k, const struct value *v, char **out)
{
    free(*out);
    *out = NULL;
    if (v->type == VALUE_NONE)
        return true;
    if (v->type != VALUE_STRING && v->type != VALUE_NUMBER)
        return fault_type(r, k, v, "a string");
    if (!*v->text)
        return true;
    *out = strdup(v->text);
    return *out || out_of_memory(r, v);
}

bool read_text(struct reader *r, const struct key *k, const struct value *v)
{
    return read_text_into(r, k, v, (char **)((char *)r->c + k->offset));
}

bool read_word(struct reader *r, const struct key *k, const struct value *v)
{
    char **word = (char **)((char *)r + k->offset);

    if (!read_text_into(r, k, v, word))
        return false;
    if (*word && (strpbrk(*word, " \t") || (k->offset != offsetof(struct reader, nfs_root) && strchr(*word, ':')))) {
        lang_fault(r->sink, v->at, "%s must be one word without a colon, not '%s'", k->name, *word);
        return false;
    }
    return true;
}

/* A number, or a string of digits; None is 0 */
static bool read_number_into(struct reader *r, const struct key *k, const struct value *v, int64_t max, int64_t *out)
{
    char *end;

    *out = v->number;
    if (v->type == VALUE_NONE)
        *out = 0;
    else if (v->type == VALUE_STRING) {
        errno = 0;
        *out = strtoll(v->text, &end, 10);
        if (errno || end == v->text || *end) {
            lang_fault(r->sink, v->at, "%s must be a whole number, not '%.60s'", k->name, v->text);
            return false;
        }
    } else if (v->type != VALUE_NUMBER) {
        return fault_type(r, k, v, "a number");
    }
    if (*out < 0 || *out > max) {
        lang_fault(r->sink, v->at, "%s is %lld; it must be 0 to %lld", k->name, (long long)*out, (long long)max);
        return false;
    }
    return true;
}

bool read_unsigned(struct reader *r, const struct key *k, const struct value *v)
{
    int64_t number;

    if (!read_number_into(r, k, v, 1000000, &number))
        return false;
    *(unsigned *)((char *)r->c + k->offset) = (unsigned)number;
    return true;
}

bool read_mib(struct reader *r, const struct key *k, const struct value *v)
{
    int64_t number;
    size_t length = v->type == VALUE_STRING ? strlen(v->text) : 0;

    if (length > 1 && isdigit((unsigned char)v->text[0]) && strchr("kKmMgGtT", v->text[length - 1])) {
        lang_fault(r->sink, v->at, "%s is a number of MiB, without a unit, not '%.60s'", k->name, v->text);
        return false;
    }
    if (!read_number_into(r, k, v, INT64_MAX, &number))
        return false;
    *(uint64_t *)((char *)r->c + k->offset) = (uint64_t)number;
    return true;
}

bool read_nics(struct reader *r, const struct key *k, const struct value *v)
{
    int64_t number;

    if (!read_number_into(r, k, v, GUEST_VIFS_MAX, &number))
        return false;
    r->nics = (unsigned)number;
    return true;
}

/* The one processor of old files; -1: any */
bool read_cpu(struct reader *r, const struct key *k, const struct value *v)
{
    if (v->type == VALUE_NUMBER && v->number == -1) {
        r->cpu = -1;
        return true;
    }
    return read_number_into(r, k, v, 4095, &r->cpu);
}

/* A string, a number, or a list of them: the union */
bool read_cpus(struct reader *r, const struct key *k, const struct value *v)
{
    char *all = NULL, *longer;

    if (v->type != VALUE_LIST) {
        if (!read_text(r, k, v))
            return false;
        if (r->c->cpus && (!strcmp(r->c->cpus, "all") || !*text_trim(r->c->cpus))) {
            free(r->c->cpus);
            r->c->cpus = NULL;
        }
        return true;
    }
    for (size_t i = 0; i < v->count; i++) {
        char *one = NULL;

        if (!read_text_into(r, k, &v->items[i], &one)) {
            free(all);
            return false;
        }
        if (one && asprintf(&longer, "%s%s%s", all ? all : "", all ? "," : "", one) >= 0) {
            free(all);
            all = longer;
        }
        free(one);
    }
    free(r->c->cpus);
    r->c->cpus = all;
    return true;
}

bool read_uuid(struct reader *r, const struct key *k, const struct value *v)
{
    char *text = NULL;

    if (!read_text_into(r, k, v, &text))
        return false;
    if (text && strlen(text) >= sizeof(r->c->uuid)) {
        lang_fault(r->sink, v->at, "the uuid '%.60s' is too long", text);
        free(text);
        return false;
    }
    for (size_t i = 0; text && i <= strlen(text); i++)
        r->c->uuid[i] = (char)tolower((unsigned char)text[i]);
    free(text);
    return true;
}

static const char *const builder_names[] = {"linux", "hvm"};
static const char *builder_at(size_t i)
{
    return builder_names[i];
}

bool read_builder(struct reader *r, const struct key *k, const struct value *v)
{
    const char *text = v->text ? v->text : "", *meant;

    if (v->type != VALUE_STRING)
        return fault_type(r, k, v, "a string");
    if (!strcmp(text, "hvm")) {
        r->c->builder = BUILDER_HVM;
        return true;
    }
    r->c->builder = BUILDER_LINUX;
    if (!strcmp(text, "linux") || !strcmp(text, "generic") || !strcmp(text, "netbsd") || !strcmp(text, "pv"))
        return true;
    meant = text_guess(text, builder_at, 2);
    lang_fault(r->sink, v->at, "the %s '%.60s' is not known: %s%s%s", k->name, text,
               meant ? "did you mean '" : "it must be linux or hvm", meant ? meant : "", meant ? "'?" : "");
    return false;
}

static const struct {
    const char *name;
    enum guest_event_action action;
} actions[] = {
    {"destroy", ACTION_DESTROY},          {"restart", ACTION_RESTART},
    {"preserve", ACTION_PRESERVE},        {"rename-restart", ACTION_RENAME_RESTART},
    {"coredump-destroy", ACTION_DESTROY}, {"coredump-restart", ACTION_RESTART},
};
#define ACTIONS (sizeof(actions) / sizeof(actions[0]))

static const char *action_at(size_t i)
{
    return actions[i].name;
}

bool read_action(struct reader *r, const struct key *k, const struct value *v)
{
    const char *text = v->text ? v->text : "", *meant;
    enum guest_event_action *const fields[] = {&r->c->on_poweroff, &r->c->on_reboot, &r->c->on_crash};

    if (v->type != VALUE_STRING)
        return fault_type(r, k, v, "a string");
    r->has_action[k->offset] = true;
    for (size_t i = 0; i < ACTIONS; i++) {
        if (!strcmp(text, actions[i].name)) {
            *fields[k->offset] = actions[i].action;
            return strncmp(text, "coredump", 8) ||
                   note_ignored(r, k->name, v, "no dump is written when a guest crashes");
        }
    }
    meant = text_guess(text, action_at, ACTIONS);
    if (meant)
        lang_fault(r->sink, v->at, "the action '%.60s' is not known: did you mean '%s'?", text, meant);
    else
        lang_fault(r->sink, v->at, "the action '%.60s' must be destroy, restart, preserve or rename-restart", text);
    return false;
}

bool read_switch(struct reader *r, const struct key *k, const struct value *v)
{
    bool *out = (bool *)((char *)r + k->offset);

    if (v->type == VALUE_LIST)
        return fault_type(r, k, v, "a truth value");
    *out = v->type == VALUE_BOOL ? v->truth : v->type == VALUE_NUMBER ? v->number != 0 : false;
    if (v->type == VALUE_STRING)
        *out = *v->text && strcmp(v->text, "off") && strcmp(v->text, "no") && strcmp(v->text, "0");
    return true;
}

/* What followed of a guest's end before there was one action for each. Names that say more win */
bool read_restart(struct reader *r, const struct key *k, const struct value *v)
{
    const char *text = v->text;

    if (v->type == VALUE_BOOL)
        text = v->truth ? "always" : "onreboot";
    else if (v->type != VALUE_STRING)
        return fault_type(r, k, v, "\"always\", \"onreboot\" or \"never\"");
    if (strcmp(text, "always") && strcmp(text, "onreboot") && strcmp(text, "never")) {
        lang_fault(r->sink, v->at, "%s is '%.60s'; it must be always, onreboot or never", k->name, text);
        return false;
    }
    free(r->restart);
    r->restart = strdup(text);
    return r->restart || out_of_memory(r, v);
}

/* The entries of a list of strings; one string is a list of one. False: not such a list */
static bool entries_of(struct reader *r, const struct key *k, const struct value *v, unsigned max,
                       const struct value **entries, size_t *count)
{
    *entries = v->type == VALUE_LIST ? v->items : v;
    *count = v->type == VALUE_LIST ? v->count : v->type != VALUE_NONE;
    if (v->type != VALUE_LIST && v->type != VALUE_STRING && v->type != VALUE_NONE)
        return fault_type(r, k, v, "a list of strings");
    if (*count > max) {
        lang_fault(r->sink, v->at, "%s has %zu entries; a guest can have %u", k->name, *count, max);
        return false;
    }
    return true;
}

bool read_disks(struct reader *r, const struct key *k, const struct value *v)
{
    const struct value *entries;
    char why[WHY_MAX];
    size_t count;
    bool good = true;

    if (!entries_of(r, k, v, GUEST_DISKS_MAX, &entries, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].type != VALUE_STRING) {
            good = fault_type(r, k, &entries[i], "a list of strings");
        } else if (disk_parse(entries[i].text, &r->c->disks[r->c->disks_count], why)) {
            lang_fault(r->sink, entries[i].at, "disk '%.200s': %s", entries[i].text, why);
            good = false;
        } else {
            r->disk_entry[r->c->disks_count++] = (unsigned)i;
        }
    }
    return good;
}

bool read_vifs(struct reader *r, const struct key *k, const struct value *v)
{
    const struct value *entries;
    const char *ignored;
    char why[WHY_MAX], name[40];
    size_t count;
    bool good = true;

    if (!entries_of(r, k, v, GUEST_VIFS_MAX, &entries, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].type != VALUE_STRING) {
            good = fault_type(r, k, &entries[i], "a list of strings");
        } else if (vif_parse(entries[i].text, &r->c->vifs[r->c->vifs_count], &ignored, why)) {
            lang_fault(r->sink, entries[i].at, "vif '%.200s': %s", entries[i].text, why);
            good = false;
        } else {
            r->vif_entry[r->c->vifs_count++] = (unsigned)i;
            snprintf(name, sizeof(name), "vif: %s", ignored ? ignored : "");
            good &= !ignored || note_ignored(r, name, &entries[i], "this key of a vif is not used");
        }
    }
    return good;
}
