/* SPDX-License-Identifier: MIT */
/* Transactions: log, conflict check, merge. Invariant: by_age is sorted by the stamp at the start (ledger.since). */
#include "xenstored/transaction.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * A snapshot keeps alive what others replace: after this many stamps, a few for each change, a guest's is given
 * up.
 */
#define STALE_STAMPS 100000

static struct transactions open_ones = TAILQ_HEAD_INITIALIZER(open_ones);

struct transaction *transaction_new(uint32_t id, unsigned domid)
{
    struct transaction *tx = need_zeroed(sizeof(*tx));

    tx->id = id;
    tx->of_guest = domid != 0;
    STAILQ_INIT(&tx->log);
    tx->base = node_ref(store.root);
    tx->view = (struct view){.root = node_ref(store.root), .ledger = &tx->ledger};
    tx->ledger.since = tree_stamp();
    TAILQ_INSERT_TAIL(&open_ones, tx, by_age);
    return tx;
}

void transaction_doom(struct transaction *tx)
{
    if (tx->doomed)
        return;
    tx->doomed = true;
    TAILQ_REMOVE(&open_ones, tx, by_age);
    node_unref(tx->base);
    node_unref(tx->view.root);
    tx->base = tx->view.root = NULL;
    changes_free(&tx->log);
    ledger_free(&tx->ledger);
}

void transaction_free(struct transaction *tx)
{
    transaction_doom(tx);
    free(tx);
}

void transaction_age(void)
{
    struct transaction *tx = TAILQ_FIRST(&open_ones), *next;
    uint64_t now;

    if (!tx)
        return;
    for (now = tree_stamp(); tx && now - tx->ledger.since > STALE_STAMPS; tx = next) {
        next = TAILQ_NEXT(tx, by_age);
        if (tx->of_guest)
            transaction_doom(tx);
    }
}

/* What a doomed transaction does: the change is tried on a view that is thrown away. */
static int try_on_store(struct change *change)
{
    struct ledger ledger = {0};
    struct view view = {.root = node_ref(store.root), .ledger = &ledger};
    int error = view_apply(&view, change);

    node_unref(view.root);
    ledger_free(&ledger);
    return error;
}

int transaction_apply(struct transaction *tx, struct change *change)
{
    uint32_t size = (uint32_t)sizeof(*change) + change->path_len + change->value_len;
    int error;

    if (tx->doomed) {
        error = try_on_store(change);
        change_free(change);
        return error;
    }
    error = tx->of_guest && quota_over(QUOTA_TRANSACTION_BYTES, tx->log_bytes + size) ? -ENOSPC
                                                                                      : view_apply(&tx->view, change);
    if (error) {
        change_free(change);
        return error;
    }
    tx->log_bytes += size;
    STAILQ_INSERT_TAIL(&tx->log, change, link);
    return 0;
}

/* Whether what the change read or replaced is in the present tree as it was in the snapshot. */
static bool undisturbed(const struct transaction *tx, const struct change *change)
{
    struct place then = tree_find(tx->base, change->text), now = tree_find(store.root, change->text);

    if (*then.rest && *now.rest)
        return !change_writes(change) || strlen(now.rest) <= strlen(then.rest);
    if (*then.rest || *now.rest)
        return false;
    if (change->kind == CHANGE_RM)
        return then.node == now.node;
    if (change->kind == CHANGE_LIST)
        return then.node->list_stamp == now.node->list_stamp;
    return then.node->content_stamp == now.node->content_stamp;
}

/* Makes the logged changes again, on top of what others committed; *root is ours. */
static int merge(struct transaction *tx, struct node **root)
{
    struct view view = {.root = node_ref(store.root), .ledger = &tx->ledger};
    struct change *change;
    int error = 0;

    tx->ledger.count = 0;
    STAILQ_FOREACH(change, &tx->log, link)
    {
        error = undisturbed(tx, change) ? view_apply(&view, change) : -EAGAIN;
        if (error)
            break;
    }
    *root = view.root;
    return error == 0 || error == -ENOSPC ? error : -EAGAIN;
}

static bool only_read(const struct transaction *tx)
{
    const struct change *change;

    STAILQ_FOREACH(change, &tx->log, link)
    if (change_writes(change))
        return false;
    return true;
}

int transaction_commit(struct transaction *tx, struct changes *done)
{
    struct node *root;
    int error = 0;

    if (tx->doomed)
        return -EAGAIN;
    if (only_read(tx))
        return 0;
    if (store.root == tx->base)
        root = node_ref(tx->view.root);
    else
        error = merge(tx, &root);
    if (error) {
        node_unref(root);
        return error;
    }
    node_unref(store.root);
    store.root = root;
    ledger_book(&tx->ledger);
    STAILQ_CONCAT(done, &tx->log);
    return 0;
}
