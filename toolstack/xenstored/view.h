/* SPDX-License-Identifier: MIT */
/*
 * Views of the tree and changes to them. The store itself is a view, and each transaction has one. A change is a
 * record of one operation: it is applied to a view, kept by a transaction, written to the journal, and told to
 * watches.
 */
#ifndef XENSTORED_VIEW_H
#define XENSTORED_VIEW_H

#include "xenstored/quota.h"
#include "xenstored/tree.h"

#include <sys/queue.h>

/* ledger: where nodes gained and lost are counted until the commit; NULL books them at once (the store). */
struct view {
    struct node *root;
    struct ledger *ledger;
    bool trusted; /* permissions and quotas were checked before: replay of the journal */
};

/* The present tree. */
extern struct view store;

enum change_kind {
    CHANGE_READ, /* value or permissions were read; changes nothing */
    CHANGE_LIST, /* the children were read; changes nothing */
    CHANGE_WRITE,
    CHANGE_MKDIR,
    CHANGE_RM,
    CHANGE_PERMS
};

struct change {
    STAILQ_ENTRY(change) link;
    enum change_kind kind;
    struct subject who;
    uint32_t path_len;
    uint32_t value_len;
    struct perms *perms;  /* of CHANGE_PERMS, our reference */
    struct node *removed; /* of CHANGE_RM once applied, our reference */
    char text[];          /* the path, a zero, the value */
};

STAILQ_HEAD(changes, change);

static inline const char *change_value(const struct change *change)
{
    return change->text + change->path_len + 1;
}

static inline bool change_writes(const struct change *change)
{
    return change->kind >= CHANGE_WRITE;
}

struct change *change_new(enum change_kind kind, const struct subject *who, const char *path, uint32_t path_len,
                          const void *value, uint32_t value_len);
void change_free(struct change *change);
void changes_free(struct changes *changes);

/*
 * Applies a change. On an error the view is as before: -ENOENT, -EACCES, -EPERM (owner), -EINVAL (removal of the
 * root), -ENOSPC (quota). A change that turns out to have nothing to do (MKDIR of what exists, RM of what does not)
 * becomes a CHANGE_READ.
 */
int view_apply(struct view *view, struct change *change);

/*
 * The node at path if who has the access. -ENOENT, or -EACCES also where who may not learn that the node is
 * missing.
 */
int view_get(const struct view *view, const struct subject *who, const char *path, enum access want,
             struct node **node);

/* Calls visit for each node of a subtree, parents first; path holds its path and is as before afterwards. */
void tree_walk(const struct node *node, struct buffer *path, void (*visit)(const struct node *, const char *, void *),
               void *context);

#endif
