/* SPDX-License-Identifier: MIT */
/*
 * Paths. The character set and the lengths are those of Xen's docs/misc/xenstore.txt and io/xs_wire.h: letters,
 * digits and -/_@; no doubled and no trailing slash.
 */
#include "xenstored/path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xen/xen.h>

static const bool allowed[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['-'] = true, ['_'] = true, ['@'] = true,
};

/* Checks the names of text and the slashes between them; text may start with a slash. */
static bool names_valid(const char *text, uint32_t len)
{
    bool slash = false;

    for (uint32_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c != '/') {
            if (!allowed[c])
                return false;
            slash = false;
        } else if (slash) {
            return false;
        } else {
            slash = true;
        }
    }
    return len && (!slash || len == 1);
}

int path_parse(struct path *path, unsigned domid, const char *given)
{
    size_t len = strlen(given);

    path->base = 0;
    if (given[0] != '/') {
        if (len > XENSTORE_REL_PATH_MAX || given[0] == '@')
            return -EINVAL;
        path->base = (uint32_t)snprintf(path->text, sizeof(path->text), "/local/domain/%u/", domid);
    } else if (len > XENSTORE_ABS_PATH_MAX) {
        return -EINVAL;
    }
    if (!names_valid(given, (uint32_t)len))
        return -EINVAL;
    memcpy(path->text + path->base, given, len + 1);
    path->len = path->base + (uint32_t)len;
    return 0;
}

int path_parse_watch(struct path *path, unsigned domid, const char *given)
{
    size_t len = strlen(given);

    if (given[0] != '@')
        return path_parse(path, domid, given);
    if (len > XENSTORE_REL_PATH_MAX || !names_valid(given, (uint32_t)len))
        return -EINVAL;
    memcpy(path->text, given, len + 1);
    path->len = (uint32_t)len;
    path->base = 0;
    return 0;
}

bool path_next(const char **cursor, struct component *component)
{
    const char *name = *cursor;

    if (*name == '/')
        name++;
    if (!*name) {
        *cursor = name;
        return false;
    }
    component->name = name;
    while (*name && *name != '/')
        name++;
    component->len = (uint32_t)(name - component->name);
    *cursor = name;
    return true;
}

bool parse_number(const char *text, uint64_t max, uint64_t *value)
{
    uint64_t sum = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        sum = sum * 10 + (uint64_t)(*text - '0');
        if (sum > max)
            return false;
    }
    *value = sum;
    return true;
}

bool parse_domid(const char *text, unsigned *domid)
{
    uint64_t value;

    if (!parse_number(text, DOMID_FIRST_RESERVED - 1, &value))
        return false;
    *domid = (unsigned)value;
    return true;
}
