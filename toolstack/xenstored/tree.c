/* SPDX-License-Identifier: MIT */
/* The tree of nodes: lookup, path copying, insertion and removal. No permissions are checked here, see view.c. */
#include "xenstored/tree.h"

#include <stdlib.h>
#include <string.h>

static uint64_t last_stamp;

uint64_t tree_stamp(void)
{
    return ++last_stamp;
}

void tree_stamp_start(uint64_t stamp)
{
    if (stamp > last_stamp)
        last_stamp = stamp;
}

/* A node with one reference, room for a value, no value and no children. */
static struct node *node_new(const char *name, uint32_t name_len, uint32_t value_room, struct perms *perms)
{
    uint32_t room = (name_len + 1 + value_room + 15) & ~15U;
    struct node *node = need(sizeof(*node) + room);

    *node = (struct node){.refs = 1, .room = room, .name_len = name_len, .perms = perms};
    node->content_stamp = node->list_stamp = tree_stamp();
    memcpy(node->text, name, name_len);
    node->text[name_len] = 0;
    return node;
}

struct node *tree_new(struct perms *perms)
{
    return node_new("", 0, 0, perms);
}

struct node *node_ref(struct node *node)
{
    node->refs++;
    return node;
}

void node_unref(struct node *node)
{
    if (--node->refs)
        return;
    for (uint32_t i = 0; i < node->children; i++)
        node_unref(node->child[i]);
    free(node->child);
    perms_unref(node->perms);
    free(node);
}

static struct node *node_copy(const struct node *node)
{
    uint32_t used = node->name_len + 1 + node->value_len;
    struct node *copy = need(sizeof(*copy) + node->room);

    memcpy(copy, node, sizeof(*node) + used);
    copy->refs = 1;
    perms_ref(copy->perms);
    copy->child_room = copy->children;
    copy->child = NULL;
    if (copy->children)
        copy->child = need(copy->children * sizeof(*copy->child));
    for (uint32_t i = 0; i < copy->children; i++)
        copy->child[i] = node_ref(node->child[i]);
    return copy;
}

/* Makes *slot, whose parent is ours alone, ours alone too. */
static struct node *own(struct node **slot)
{
    struct node *shared = *slot;

    if (shared->refs > 1) {
        *slot = node_copy(shared);
        node_unref(shared);
    }
    return *slot;
}

static int compare(const struct component *name, const struct node *node)
{
    uint32_t len = name->len < node->name_len ? name->len : node->name_len;
    int order = memcmp(name->name, node->text, len);

    return order ? order : (name->len > node->name_len) - (name->len < node->name_len);
}

/* The index of the child of that name, or the one where it would be inserted; *found says which. */
static uint32_t child_index(const struct node *node, const struct component *name, bool *found)
{
    uint32_t low = 0, high = node->children;

    *found = false;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = compare(name, node->child[middle]);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void child_insert(struct node *node, uint32_t index, struct node *child)
{
    if (node->children == node->child_room) {
        node->child_room = node->child_room + node->child_room / 2 + 4;
        node->child = need_more(node->child, node->child_room * sizeof(*node->child));
    }
    memmove(node->child + index + 1, node->child + index, (node->children - index) * sizeof(*node->child));
    node->child[index] = child;
    node->children++;
    node->list_stamp = tree_stamp();
}

struct place tree_find(struct node *root, const char *path)
{
    struct place place = {.node = root, .rest = path};
    const char *cursor = path;
    struct component name;
    bool found;

    while (path_next(&cursor, &name)) {
        uint32_t index = child_index(place.node, &name, &found);

        if (!found)
            return place;
        place.node = place.node->child[index];
        place.rest = cursor;
    }
    place.rest = "";
    return place;
}

struct node **tree_edit(struct node **root, const char *path)
{
    struct node **slot = root, *node = own(root);
    struct component name;
    bool found;

    while (path_next(&path, &name)) {
        slot = &node->child[child_index(node, &name, &found)];
        node = own(slot);
    }
    return slot;
}

struct node **tree_make(struct node **root, const char *path, const struct subject *who)
{
    struct node **slot = root, *node = own(root);
    struct component name;
    bool found;

    while (path_next(&path, &name)) {
        uint32_t index = child_index(node, &name, &found);

        if (!found)
            child_insert(node, index, node_new(name.name, name.len, 16, perms_inherit(node->perms, who)));
        slot = &node->child[index];
        node = own(slot);
    }
    return slot;
}

struct node *tree_detach(struct node **root, const char *path)
{
    struct node *parent = NULL, *node = own(root);
    struct component name;
    uint32_t index = 0;
    bool found;

    while (path_next(&path, &name)) {
        parent = node;
        index = child_index(parent, &name, &found);
        node = *path ? own(&parent->child[index]) : parent->child[index];
    }
    parent->children--;
    memmove(parent->child + index, parent->child + index + 1, (parent->children - index) * sizeof(*parent->child));
    parent->list_stamp = tree_stamp();
    return node;
}

void node_set_value(struct node **slot, const void *value, uint32_t len)
{
    struct node *node = *slot;
    uint32_t used = node->name_len + 1 + len;

    if (used > node->room || node->room > 2 * used + 64) {
        node->room = (used + 15) & ~15U;
        node = *slot = need_more(node, sizeof(*node) + node->room);
    }
    memcpy(node->text + node->name_len + 1, value, len);
    node->value_len = len;
    node->content_stamp = tree_stamp();
}

void node_set_perms(struct node *node, struct perms *perms)
{
    perms_unref(node->perms);
    node->perms = perms;
    node->content_stamp = tree_stamp();
}
