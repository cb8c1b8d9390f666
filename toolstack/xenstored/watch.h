/* SPDX-License-Identifier: MIT */
/*
 * Watches, in a hash table by the path they watch: an event looks up each prefix of its path, so it costs what its
 * depth is, however many watches there are. A watch of a node is told of the node and of all below it, unless it has
 * a depth.
 */
#ifndef XENSTORED_WATCH_H
#define XENSTORED_WATCH_H

#include "xenstored/view.h"

struct connection;

#define ANY_DEPTH (-1)

struct watch {
    TAILQ_ENTRY(watch) of_connection;
    struct watch *next; /* in the hash table */
    struct connection *conn;
    uint32_t hash;
    int32_t depth; /* names below path it is told of; ANY_DEPTH: no limit */
    uint32_t base; /* how much of a path is left away in events: the watch was set relative to that */
    uint32_t path_len;
    uint32_t token_len;
    char text[]; /* the path, a zero, the token, a zero */
};

TAILQ_HEAD(watches, watch);

static inline const char *watch_token(const struct watch *watch)
{
    return watch->text + watch->path_len + 1;
}

/* -EEXIST: the connection has one with this path and token. -ENOSPC: quota. */
int watch_add(struct connection *conn, const struct path *path, const char *token, int32_t depth, struct watch **watch);
/* -ENOENT: there is none. */
int watch_remove(struct connection *conn, const struct path *path, const char *token);
void watch_remove_all(struct connection *conn);

/* Tells the watches of a change that is in the store now. Who may not read the node is not told. */
void watch_fire(const struct change *change);
/* The event of a new watch. */
void watch_fire_first(struct watch *watch);

/* The events "@introduceDomain" and "@releaseDomain". */
enum special { SPECIAL_INTRODUCE, SPECIAL_RELEASE, SPECIAL_COUNT };
extern const char *const special_names[SPECIAL_COUNT];
void watch_fire_special(enum special which, unsigned domid);
/* Who is told of them beside Domain 0: permissions of these names. watch_special finds one by name, or returns -1. */
int watch_special(const char *name);
struct perms *special_perms(enum special which);
void special_set_perms(enum special which, struct perms *perms);

#endif
