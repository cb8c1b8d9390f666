/* SPDX-License-Identifier: MIT */
/*
 * Quotas and accounts: what a guest may take at most, and how many nodes each domain owns. Domain 0 is counted but
 * not limited. Invariant: the nodes of an account are the nodes of the present tree whose owner is that domain;
 * CONTROL "check" counts them again.
 */
#ifndef XENSTORED_QUOTA_H
#define XENSTORED_QUOTA_H

#include "xenstored/base.h"
#include <xen/xen.h>

#define DOMAINS_MAX DOMID_FIRST_RESERVED

struct quota {
    const char *name;
    const char *meaning;
    uint32_t limit;
};

enum quota_id {
    QUOTA_NODES,
    QUOTA_WATCHES,
    QUOTA_TRANSACTIONS,
    QUOTA_NODE_BYTES,
    QUOTA_NODE_PERMS,
    QUOTA_TRANSACTION_BYTES,
    QUOTA_OUTPUT_BYTES,
    QUOTA_COUNT
};

extern struct quota quotas[QUOTA_COUNT];

/* Whether a guest that would then have amount of it is over the limit. */
static inline bool quota_over(enum quota_id id, uint64_t amount)
{
    return amount > quotas[id].limit;
}

/* Sets a limit by name. False: no such quota, or text is no number. */
bool quota_set(const char *name, const char *text);

/* Nodes that a transaction has gained and lost and not yet committed, by owner; since is the stamp of its start. */
struct ledger {
    uint64_t since;
    uint32_t count, room;
    struct ledger_line {
        uint32_t domid;
        int32_t nodes;
    } * line;
};

/* Adds nodes to the owner's account, or to the ledger if there is one. */
void account_add(struct ledger *ledger, unsigned domid, int32_t nodes);
/* The nodes the domain owns, seen with the ledger (or NULL). */
int64_t account_nodes(const struct ledger *ledger, unsigned domid);
/* Books the ledger into the accounts and empties it. What a domain had that died since is Domain 0's. */
void ledger_book(struct ledger *ledger);
void ledger_free(struct ledger *ledger);

/* What a domain that died owned now belongs to Domain 0. Permissions older than stamp no longer mean that domain. */
void account_bury(unsigned domid, uint64_t stamp);
/* The stamp of the domain's last death, 0 if there was none. */
uint64_t account_death(unsigned domid);

#endif
