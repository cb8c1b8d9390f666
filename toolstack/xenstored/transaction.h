/* SPDX-License-Identifier: MIT */
/*
 * Transactions: a snapshot of the tree, a private version of it, and a log of what was read and changed.
 *
 * The commit merges: if nobody changed the tree meanwhile the private version becomes the tree; otherwise, if nothing
 * that the log names has been changed by others, the logged changes are made again on the present tree. Else it fails
 * with EAGAIN. Disjoint transactions never disturb one another, and one that only read never fails.
 *
 * A doomed transaction has no snapshot: it reads the present tree, its changes are checked and dropped, its commit is
 * EAGAIN. Doomed are those that were open when the daemon was killed, and a guest's whose snapshot has become old.
 */
#ifndef XENSTORED_TRANSACTION_H
#define XENSTORED_TRANSACTION_H

#include "xenstored/view.h"

struct transaction {
    TAILQ_ENTRY(transaction) of_connection;
    TAILQ_ENTRY(transaction) by_age;
    uint32_t id;
    bool doomed;
    bool of_guest;
    struct node *base;
    struct view view;
    struct ledger ledger;
    struct changes log;
    uint32_t log_bytes;
};

TAILQ_HEAD(transactions, transaction);

struct transaction *transaction_new(uint32_t id, unsigned domid);
/* Ends it without a commit. */
void transaction_free(struct transaction *tx);
/* Gives up the snapshot and all changes. */
void transaction_doom(struct transaction *tx);

/*
 * Applies and logs a change; takes it over in every case. Errors of view_apply; -ENOSPC: the log is over the
 * quota.
 */
int transaction_apply(struct transaction *tx, struct change *change);

/*
 * Commits into the store and moves the changes to done, for journal and watches. 0 or -EAGAIN; -ENOSPC if together
 * with what others committed a quota would be exceeded. The transaction is to be freed in any case.
 */
int transaction_commit(struct transaction *tx, struct changes *done);

/* To be called after every commit: dooms what holds on to a snapshot that is many commits old. */
void transaction_age(void);

#endif
