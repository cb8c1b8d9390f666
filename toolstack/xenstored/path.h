/* SPDX-License-Identifier: MIT */
/* Paths: which are valid, and relative ones made absolute. No state. */
#ifndef XENSTORED_PATH_H
#define XENSTORED_PATH_H

#include "xenstored/base.h"

#include <errno.h> /* before xs_wire.h, which then has the names of the errors */
#include <xen/io/xs_wire.h>

/* An absolute path. A path given relative to /local/domain/<id>/ keeps the length of that prefix in base. */
struct path {
    uint32_t len;
    uint32_t base;
    char text[XENSTORE_ABS_PATH_MAX + 1];
};

/* Makes given absolute for the domain. -EINVAL: a bad character, empty, too long, doubled or trailing
 * slash, or a special name. */
int path_parse(struct path *path, unsigned domid, const char *given);
/* The same for a watch, which may also be one of the special names, "@introduceDomain" and the like. */
int path_parse_watch(struct path *path, unsigned domid, const char *given);

/* One name of a path. */
struct component {
    const char *name;
    uint32_t len;
};

/* Takes the next name off an absolute path: *cursor starts as the path and ends as "". False at the end. */
bool path_next(const char **cursor, struct component *component);

/* A decimal number of at most max and nothing else. False if text is not one. */
bool parse_number(const char *text, uint64_t max, uint64_t *value);
/* The same for the id of a real domain (not one of the DOMID_ values). */
bool parse_domid(const char *text, unsigned *domid);

#endif
