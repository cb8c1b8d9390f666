/* SPDX-License-Identifier: MIT */
/*
 * The tree of nodes, an immutable structure with shared parts: whoever holds a reference to a root holds a snapshot.
 *
 * Invariants: a node is changed only when it and all above it have one reference; otherwise the path to it is copied
 * first (tree_edit and the like see to it). So without an open transaction a change is made in place and copies
 * nothing. Children are sorted by name. A node's content stamp changes with its value and permissions, its list
 * stamp with the set of its children; stamps only grow, also over restarts of the daemon.
 */
#ifndef XENSTORED_TREE_H
#define XENSTORED_TREE_H

#include "xenstored/base.h"
#include "xenstored/path.h"
#include "xenstored/perms.h"

struct node {
    uint32_t refs;
    uint32_t room; /* bytes of text */
    uint32_t name_len;
    uint32_t value_len;
    uint64_t content_stamp;
    uint64_t list_stamp;
    struct perms *perms;
    struct node **child;
    uint32_t children;
    uint32_t child_room;
    char text[]; /* the name, a zero, the value */
};

static inline const char *node_value(const struct node *node)
{
    return node->text + node->name_len + 1;
}

/* A number greater than all before. tree_stamp_start: from where they count, once. */
uint64_t tree_stamp(void);
void tree_stamp_start(uint64_t stamp);

/* A root with these permissions, whose reference it takes. */
struct node *tree_new(struct perms *perms);
struct node *node_ref(struct node *node);
void node_unref(struct node *node);

/*
 * Where a path leads: the last node of it that exists, and what is left of the path there ("" if all of it
 * exists).
 */
struct place {
    struct node *node;
    const char *rest;
};

struct place tree_find(struct node *root, const char *path);

/* Makes the existing path changeable and returns where the pointer to its node is kept, until the next change. */
struct node **tree_edit(struct node **root, const char *path);
/* The same, creating what is missing with empty values and the permissions that who's nodes inherit there. */
struct node **tree_make(struct node **root, const char *path, const struct subject *who);
/* Takes the existing path, which is not the root, off the tree; the caller gets the reference. */
struct node *tree_detach(struct node **root, const char *path);

/* Changes of a node that may be changed (see tree_edit). node_set_perms takes the reference. */
void node_set_value(struct node **slot, const void *value, uint32_t len);
void node_set_perms(struct node *node, struct perms *perms);

#endif
