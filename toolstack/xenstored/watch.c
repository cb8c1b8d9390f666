/* SPDX-License-Identifier: MIT */
/* The table of watches and the search for those that an event concerns. */
#include "xenstored/watch.h"
#include "xenstored/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const special_names[SPECIAL_COUNT] = {"@introduceDomain", "@releaseDomain"};
static struct perms *specials[SPECIAL_COUNT];

/* FNV-1a: it can be carried on from each prefix of a path to the next. */
#define HASH_START 2166136261U

static uint32_t hash_byte(uint32_t hash, char c)
{
    return (hash ^ (uint8_t)c) * 16777619U;
}

static struct watch **table;
static uint32_t table_size, table_used;

static uint32_t hash_path(const char *path, uint32_t len)
{
    uint32_t hash = HASH_START;

    while (len--)
        hash = hash_byte(hash, *path++);
    return hash;
}

static void table_grow(void)
{
    struct watch **old = table, *watch;
    uint32_t old_size = table_size;

    table_size = old_size ? old_size * 2 : 64;
    table = need_zeroed(table_size * sizeof(struct watch *));
    for (uint32_t i = 0; i < old_size; i++) {
        while ((watch = old[i])) {
            old[i] = watch->next;
            watch->next = table[watch->hash & (table_size - 1)];
            table[watch->hash & (table_size - 1)] = watch;
        }
    }
    free(old);
}

static struct watch *find(struct connection *conn, const struct path *path, const char *token)
{
    struct watch *watch;

    TAILQ_FOREACH(watch, &conn->watches, of_connection)
    if (watch->path_len == path->len && watch->base == path->base && !memcmp(watch->text, path->text, path->len) &&
        !strcmp(watch_token(watch), token))
        return watch;
    return NULL;
}

int watch_add(struct connection *conn, const struct path *path, const char *token, int32_t depth, struct watch **added)
{
    uint32_t token_len = (uint32_t)strlen(token);
    struct watch *watch;

    if (find(conn, path, token))
        return -EEXIST;
    if (conn->who.domid && quota_over(QUOTA_WATCHES, conn->watch_count + 1))
        return -ENOSPC;
    watch = *added = need(sizeof(*watch) + path->len + token_len + 2);
    *watch = (struct watch){.conn = conn, .depth = depth, .base = path->base, .path_len = path->len};
    watch->token_len = token_len;
    memcpy(watch->text, path->text, path->len + 1);
    memcpy(watch->text + path->len + 1, token, token_len + 1);
    watch->hash = hash_path(path->text, path->len);
    TAILQ_INSERT_TAIL(&conn->watches, watch, of_connection);
    conn->watch_count++;
    if (table_used++ == table_size)
        table_grow();
    watch->next = table[watch->hash & (table_size - 1)];
    table[watch->hash & (table_size - 1)] = watch;
    return 0;
}

static void drop(struct watch *watch)
{
    struct watch **link = &table[watch->hash & (table_size - 1)];

    while (*link != watch)
        link = &(*link)->next;
    *link = watch->next;
    table_used--;
    TAILQ_REMOVE(&watch->conn->watches, watch, of_connection);
    watch->conn->watch_count--;
    free(watch);
}

int watch_remove(struct connection *conn, const struct path *path, const char *token)
{
    struct watch *watch = find(conn, path, token);

    if (!watch)
        return -ENOENT;
    drop(watch);
    return 0;
}

void watch_remove_all(struct connection *conn)
{
    struct watch *watch;

    while ((watch = TAILQ_FIRST(&conn->watches)))
        drop(watch);
}

/* An event on its way: its path, and what a watcher must be able to read; perms NULL: Domain 0 only. */
struct event {
    const char *path;
    uint32_t len;
    const struct perms *perms;
};

/* Tells the watches of exactly path[0..len) whose hash it is; below: how many names deeper the event is. */
static void tell(const struct event *event, uint32_t hash, uint32_t len, int32_t below)
{
    if (!table_used)
        return;
    for (struct watch *watch = table[hash & (table_size - 1)]; watch; watch = watch->next) {
        const struct subject *who = &watch->conn->who;

        if (watch->hash != hash || watch->path_len != len || memcmp(watch->text, event->path, len))
            continue;
        if (watch->depth != ANY_DEPTH && below > watch->depth)
            continue;
        if (who->domid == 0 || (event->perms && perms_allow(event->perms, who, ACCESS_READ)))
            connection_event(watch, event->path, event->len);
    }
}

static int32_t names_below(const char *path, uint32_t len, uint32_t from)
{
    int32_t count = 0;

    for (uint32_t i = from; i < len; i++)
        count += path[i] == '/';
    return count;
}

/* Tells the watches of the path and of every path above it. */
static void tell_prefixes(const struct event *event)
{
    uint32_t hash = HASH_START;

    if (!table_used)
        return;
    if (event->path[0] == '/' && event->len > 1)
        tell(event, hash_byte(HASH_START, '/'), 1, names_below(event->path, event->len, 0));
    for (uint32_t i = 0; i < event->len; i++) {
        if (event->path[i] == '/' && i)
            tell(event, hash, i, names_below(event->path, event->len, i));
        hash = hash_byte(hash, event->path[i]);
    }
    tell(event, hash, event->len, 0);
}

/* Tells the watches of nodes that went with a removed one: each is told its own path. */
static void tell_removed(const struct node *node, const char *path, void *removed)
{
    uint32_t len = (uint32_t)strlen(path);
    struct event event = {.path = path, .len = len, .perms = node->perms};

    if (node != removed && table_used)
        tell(&event, hash_path(path, len), len, 0);
}

void watch_fire(const struct change *change)
{
    struct event event = {.path = change->text, .len = change->path_len};
    struct buffer path = {0};
    struct place place;

    if (change->kind != CHANGE_RM) {
        place = tree_find(store.root, change->text);
        event.perms = *place.rest ? NULL : place.node->perms;
        tell_prefixes(&event);
        return;
    }
    event.perms = change->removed->perms;
    tell_prefixes(&event);
    if (!change->removed->children)
        return;
    buffer_add(&path, change->text, change->path_len);
    tree_walk(change->removed, &path, tell_removed, change->removed);
    free(path.data);
}

void watch_fire_first(struct watch *watch)
{
    connection_event(watch, watch->text, watch->path_len);
}

/*
 * The event is one of "@releaseDomain/<domid>": a watch with depth 1 is told that, a plain one the bare name, and
 * one of just this domain is possible too.
 */
void watch_fire_special(enum special which, unsigned domid)
{
    char path[32];
    const char *name = special_names[which];
    struct event event = {.path = path, .perms = special_perms(which)};
    uint32_t len = (uint32_t)strlen(name);

    if (!table_used)
        return;
    event.len = (uint32_t)snprintf(path, sizeof(path), "%s/%u", name, domid);
    for (struct watch *watch = table[hash_path(name, len) & (table_size - 1)]; watch; watch = watch->next)
        if (!strcmp(watch->text, name) &&
            (watch->conn->who.domid == 0 || perms_allow(event.perms, &watch->conn->who, ACCESS_READ)))
            connection_event(watch, path, watch->depth == 1 ? event.len : len);
    tell(&event, hash_path(path, event.len), event.len, 0);
}

int watch_special(const char *name)
{
    for (int i = 0; i < SPECIAL_COUNT; i++)
        if (!strcmp(name, special_names[i]))
            return i;
    return -1;
}

struct perms *special_perms(enum special which)
{
    if (!specials[which]) {
        specials[which] = perms_new(1);
        specials[which]->entry[0] = (struct perm){0, ACCESS_NONE};
    }
    return specials[which];
}

void special_set_perms(enum special which, struct perms *perms)
{
    perms_unref(special_perms(which));
    specials[which] = perms_ref(perms);
}
