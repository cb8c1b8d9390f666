/* SPDX-License-Identifier: MIT */
/* Quotas and accounts. One account for each possible domain id: the table is untouched memory until an id is used. */
#include "xenstored/quota.h"
#include "xenstored/path.h"

#include <stdlib.h>
#include <string.h>

struct quota quotas[QUOTA_COUNT] = {
    [QUOTA_NODES] = {"nodes", "nodes that a guest owns", 1000},
    [QUOTA_WATCHES] = {"watches", "watches of a guest", 128},
    [QUOTA_TRANSACTIONS] = {"transactions", "open transactions of a guest", 10},
    [QUOTA_NODE_BYTES] = {"node-bytes", "bytes of a value that a guest writes", 2048},
    [QUOTA_NODE_PERMS] = {"node-perms", "permissions that a guest gives a node", 5},
    [QUOTA_TRANSACTION_BYTES] = {"transaction-bytes", "bytes that a guest's transaction reads and writes", 128 << 10},
    [QUOTA_OUTPUT_BYTES] = {"output-bytes", "bytes queued for a client before its watch events are merged", 32 << 10},
};

static struct account {
    uint64_t death;
    int64_t nodes;
} accounts[DOMAINS_MAX];

bool quota_set(const char *name, const char *text)
{
    uint64_t value;

    for (unsigned i = 0; i < QUOTA_COUNT; i++) {
        if (strcmp(quotas[i].name, name))
            continue;
        if (!parse_number(text, UINT32_MAX, &value))
            return false;
        quotas[i].limit = (uint32_t)value;
        return true;
    }
    return false;
}

static struct ledger_line *ledger_find(const struct ledger *ledger, unsigned domid)
{
    for (uint32_t i = 0; i < ledger->count; i++)
        if (ledger->line[i].domid == domid)
            return &ledger->line[i];
    return NULL;
}

void account_add(struct ledger *ledger, unsigned domid, int32_t nodes)
{
    struct ledger_line *line;

    if (!ledger) {
        accounts[domid].nodes += nodes;
        return;
    }
    line = ledger_find(ledger, domid);
    if (!line) {
        if (ledger->count == ledger->room) {
            ledger->room = ledger->room * 2 + 4;
            ledger->line = need_more(ledger->line, ledger->room * sizeof(*ledger->line));
        }
        line = &ledger->line[ledger->count++];
        *line = (struct ledger_line){.domid = domid};
    }
    line->nodes += nodes;
}

int64_t account_nodes(const struct ledger *ledger, unsigned domid)
{
    const struct ledger_line *line = ledger ? ledger_find(ledger, domid) : NULL;

    return accounts[domid].nodes + (line ? line->nodes : 0);
}

void ledger_book(struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->count; i++) {
        unsigned domid = ledger->line[i].domid;

        accounts[accounts[domid].death > ledger->since ? 0 : domid].nodes += ledger->line[i].nodes;
    }
    ledger->count = 0;
}

void ledger_free(struct ledger *ledger)
{
    free(ledger->line);
    *ledger = (struct ledger){0};
}

void account_bury(unsigned domid, uint64_t stamp)
{
    accounts[0].nodes += accounts[domid].nodes;
    accounts[domid].nodes = 0;
    accounts[domid].death = stamp;
}

uint64_t account_death(unsigned domid)
{
    return accounts[domid].death;
}
