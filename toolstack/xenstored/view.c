/* SPDX-License-Identifier: MIT */
/*
 * Operations on the tree with permissions and quotas. Each checks everything first and then changes: it cannot
 * half fail.
 */
#include "xenstored/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct view store;

struct change *change_new(enum change_kind kind, const struct subject *who, const char *path, uint32_t path_len,
                          const void *value, uint32_t value_len)
{
    struct change *change = need(sizeof(*change) + path_len + 1 + value_len);

    *change = (struct change){.kind = kind, .who = *who, .path_len = path_len, .value_len = value_len};
    memcpy(change->text, path, path_len);
    change->text[path_len] = 0;
    if (value_len)
        memcpy(change->text + path_len + 1, value, value_len);
    return change;
}

void change_free(struct change *change)
{
    if (change->perms)
        perms_unref(change->perms);
    if (change->removed)
        node_unref(change->removed);
    free(change);
}

void changes_free(struct changes *changes)
{
    struct change *change;

    while ((change = STAILQ_FIRST(changes))) {
        STAILQ_REMOVE_HEAD(changes, link);
        change_free(change);
    }
}

/* 0 if the place is the whole path and may be accessed. A missing node is as visible as the nearest node above it. */
static int check(const struct view *view, const struct place *place, const struct subject *who, enum access want)
{
    if (!view->trusted && !perms_allow(place->node->perms, who, want))
        return -EACCES;
    return *place->rest ? -ENOENT : 0;
}

int view_get(const struct view *view, const struct subject *who, const char *path, enum access want, struct node **node)
{
    struct place place = tree_find(view->root, path);

    *node = place.node;
    return check(view, &place, who, want);
}

static uint32_t names_in(const char *rest)
{
    struct component name;
    uint32_t count = 0;

    while (path_next(&rest, &name))
        count++;
    return count;
}

/* Whether who may make count nodes below parent; *owner will own them. */
static int check_nodes(const struct view *view, const struct node *parent, const struct subject *who, uint32_t count,
                       unsigned *owner)
{
    *owner = who->domid ? who->domid : perms_owner(parent->perms);
    if (who->domid == 0 || view->trusted)
        return 0;
    return quota_over(QUOTA_NODES, (uint64_t)(account_nodes(view->ledger, *owner) + count)) ? -ENOSPC : 0;
}

/* WRITE and MKDIR: makes the node if it is missing; *created says so. */
static int make(struct view *view, struct change *change, struct node ***slot, bool *created)
{
    struct place place = tree_find(view->root, change->text);
    int error = check(view, &place, &change->who, ACCESS_WRITE);
    unsigned owner;
    uint32_t count;

    *created = error == -ENOENT;
    if (!error) {
        *slot = change->kind == CHANGE_MKDIR ? NULL : tree_edit(&view->root, change->text);
        return 0;
    }
    if (error != -ENOENT)
        return error;
    count = names_in(place.rest);
    error = check_nodes(view, place.node, &change->who, count, &owner);
    if (error)
        return error;
    *slot = tree_make(&view->root, change->text, &change->who);
    account_add(view->ledger, owner, (int32_t)count);
    return 0;
}

static int apply_write(struct view *view, struct change *change)
{
    struct node **slot;
    bool created;
    int error;

    if (change->who.domid && !view->trusted && quota_over(QUOTA_NODE_BYTES, change->value_len))
        return -ENOSPC;
    error = make(view, change, &slot, &created);
    if (!error)
        node_set_value(slot, change_value(change), change->value_len);
    return error;
}

static int apply_mkdir(struct view *view, struct change *change)
{
    struct node **slot;
    bool created;
    int error = make(view, change, &slot, &created);

    if (!error && !created)
        change->kind = CHANGE_READ;
    return error;
}

static void account_subtree(struct view *view, const struct node *node, int32_t nodes)
{
    account_add(view->ledger, perms_owner(node->perms), nodes);
    for (uint32_t i = 0; i < node->children; i++)
        account_subtree(view, node->child[i], nodes);
}

static int apply_rm(struct view *view, struct change *change)
{
    struct place place = tree_find(view->root, change->text);
    int error = check(view, &place, &change->who, ACCESS_WRITE);

    if (error == -ENOENT && names_in(place.rest) == 1) {
        change->kind = CHANGE_READ;
        return 0;
    }
    if (error)
        return error;
    if (place.node == view->root)
        return -EINVAL;
    if (change->removed)
        node_unref(change->removed);
    change->removed = tree_detach(&view->root, change->text);
    account_subtree(view, change->removed, -1);
    return 0;
}

static int apply_perms(struct view *view, struct change *change)
{
    struct place place = tree_find(view->root, change->text);
    int error = check(view, &place, &change->who, ACCESS_WRITE);
    unsigned before, after = perms_owner(change->perms);

    if (error)
        return error;
    before = perms_owner(place.node->perms);
    if (!view->trusted && !perms_owned_by(place.node->perms, &change->who))
        return -EACCES;
    if (!view->trusted && before != after && change->who.domid)
        return -EPERM;
    account_add(view->ledger, before, -1);
    account_add(view->ledger, after, 1);
    node_set_perms(*tree_edit(&view->root, change->text), perms_ref(change->perms));
    return 0;
}

int view_apply(struct view *view, struct change *change)
{
    switch (change->kind) {
    case CHANGE_WRITE:
        return apply_write(view, change);
    case CHANGE_MKDIR:
        return apply_mkdir(view, change);
    case CHANGE_RM:
        return apply_rm(view, change);
    case CHANGE_PERMS:
        return apply_perms(view, change);
    default:
        return 0;
    }
}

void tree_walk(const struct node *node, struct buffer *path, void (*visit)(const struct node *, const char *, void *),
               void *context)
{
    uint32_t end = path->end;

    buffer_add(path, "", 1);
    visit(node, path->data, context);
    path->end = end;
    for (uint32_t i = 0; i < node->children; i++) {
        if (path->data[end - 1] != '/')
            buffer_add(path, "/", 1);
        buffer_add(path, node->child[i]->text, node->child[i]->name_len);
        tree_walk(node->child[i], path, visit, context);
        path->end = end;
    }
}
