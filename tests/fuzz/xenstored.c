/* SPDX-License-Identifier: MIT */
/*
 * xenstored with its real tree, journal, socket and rings. An input is a sequence of operations: requests and raw bytes of
 * guests, of Domain 0's kernel and of clients on the socket; nonsense in the ring pages; domains that come and go; kills of the
 * daemon. What must hold: accounts are what the tree has, guests stay within their quotas, output is whole messages, and after a
 * kill the tree, the domains, and the watches and transactions of the rings are what they were.
 */
#include "xenstored.h"
#include "xenstored/protocol.h"

#define OPERATIONS_MAX 64

/* ---- The state as a text ---- */

static void print_node(const struct node *node, const char *path, void *context)
{
    char word[PERM_WORD];
    FILE *out = context;

    fprintf(out, "%s =", path);
    for (uint32_t i = 0; i < node->value_len; i++)
        fprintf(out, " %02x", (uint8_t)node_value(node)[i]);
    for (uint32_t i = 0; i < node->perms->count; i++)
        if (perm_stands(node->perms, i) && perm_print(node->perms, i, word))
            fprintf(out, " %s", word);
    fputc('\n', out);
}

/* A ring that the domain has broken may be noticed by one daemon and not by the next: it is no part of this. */
static void print_ring(const struct ring *ring, FILE *out)
{
    const struct transaction *tx;
    const struct watch *watch;

    TAILQ_FOREACH(watch, &ring->conn.watches, of_connection)
    fprintf(out, "  watch %s %s %d %u\n", watch->text, watch_token(watch), watch->depth, watch->base);
    TAILQ_FOREACH(tx, &ring->conn.transactions, of_connection)
    fprintf(out, "  transaction %u\n", tx->id);
}

static char *state(bool rings)
{
    const struct domain *domain;
    struct buffer path = {0};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    buffer_add(&path, "/", 1);
    tree_walk(store.root, &path, print_node, out);
    buffer_clear(&path, 0);
    for (unsigned id = 0; id < PEER_DOMAINS; id++) {
        domain = domain_find(id);
        if (!domain)
            continue;
        fprintf(out, "domain %u: introduced %d, target %d, shutdown %d, port %u\n", id, domain->introduced,
                domain->target, domain->shutdown_told, domain->remote_port);
        if (rings && domain->ring)
            print_ring(domain->ring, out);
    }
    fclose(out);
    return text;
}

/* ---- Invariants ---- */

#define SMALL_IDS 64 /* accounts that are looked at though no node has such an owner */

static int64_t owned[DOMAINS_MAX];

static void count_node(const struct node *node, const char *path, void *context)
{
    (void)path;
    owned[perms_owner(node->perms)] += *(const int *)context;
}

static void check_account(unsigned id)
{
    MUST(owned[id] == account_nodes(NULL, id), "domain %u owns %ld nodes, its account says %ld", id, (long)owned[id],
         (long)account_nodes(NULL, id));
}

static void check_owner(const struct node *node, const char *path, void *context)
{
    (void)path;
    (void)context;
    check_account(perms_owner(node->perms));
}

static void check_accounts(void)
{
    struct buffer path = {0};
    int one = 1, minus = -1;

    buffer_add(&path, "/", 1);
    tree_walk(store.root, &path, count_node, &one);
    tree_walk(store.root, &path, check_owner, NULL);
    for (unsigned id = 0; id < SMALL_IDS; id++)
        check_account(id);
    tree_walk(store.root, &path, count_node, &minus);
    buffer_clear(&path, 0);
}

static void check_connections(void)
{
    const struct connection *conn;
    const struct transaction *tx;
    const struct watch *watch;
    uint32_t watches, transactions;

    TAILQ_FOREACH(conn, &connections, all)
    {
        watches = transactions = 0;
        TAILQ_FOREACH(watch, &conn->watches, of_connection)
        watches++;
        TAILQ_FOREACH(tx, &conn->transactions, of_connection)
        transactions++;
        MUST(watches == conn->watch_count && transactions == conn->transaction_count, "counts");
        if (conn->who.domid)
            MUST(watches <= quotas[QUOTA_WATCHES].limit && transactions <= quotas[QUOTA_TRANSACTIONS].limit, "quotas");
    }
}

/* ---- Operations ---- */

static void request(struct input *in, unsigned peer)
{
    char message[sizeof(struct xsd_sockmsg) + 256];
    struct xsd_sockmsg head = {.type = input_u8(in), .req_id = 7, .tx_id = input_u8(in), .len = input_u8(in)};

    memcpy(message, &head, sizeof(head));
    input_bytes(in, message + sizeof(head), head.len);
    peer_write(peer, message, (uint32_t)sizeof(head) + head.len);
}

static void raw_bytes(struct input *in, unsigned peer)
{
    char bytes[256];
    uint32_t len = input_u8(in);

    input_bytes(in, bytes, len);
    peer_write(peer, bytes, len);
}

static void introduce(unsigned domid)
{
    char message[sizeof(struct xsd_sockmsg) + 64];
    struct xsd_sockmsg head = {.type = XS_INTRODUCE};

    head.len = (uint32_t)snprintf(message + sizeof(head), 64, "%u%c%u%c%u", domid, 0, 99, 0, peer_port(domid)) + 1;
    memcpy(message, &head, sizeof(head));
    peer_write(PEER_DOMAINS, message, (uint32_t)sizeof(head) + head.len);
}

/* Quotas that a CONTROL request has changed are not kept; what a ring's domain has broken may be noticed only now. */
static void restart(bool damage, struct input *in)
{
    bool rings = true;
    char *before, *after;

    store_settle();
    if (damage) {
        journal_damage(input_u16(in), input_u8(in));
        store_restart();
        return;
    }
    for (unsigned id = 0; id < PEER_DOMAINS; id++)
        rings = rings && (!domain_find(id) || !domain_find(id)->ring || !domain_find(id)->ring->error);
    before = state(rings);
    store_restart();
    for (unsigned id = 0; id < PEER_DOMAINS; id++)
        if (domain_find(id) && domain_find(id)->ring && domain_find(id)->ring->error)
            rings = false;
    after = state(rings);
    MUST(!rings || !strcmp(before, after), "before the kill:\n%safter it:\n%s", before, after);
    free(before);
    free(after);
}

static void operation(struct input *in)
{
    unsigned op = input_u8(in), peer = (op >> 4) % PEERS, guest = peer % PEER_DOMAINS;

    switch (op & 15) {
    case 0:
        raw_bytes(in, peer);
        break;
    case 1:
        peer_poke(guest, input_u8(in), (uint32_t)input_u64(in));
        break;
    case 2: /* whatever number is there: Domain 0 stays */
        peer_change(guest ? guest : 1, input_u8(in) % PEER_CHANGES);
        break;
    case 3:
        introduce(guest);
        break;
    case 4:
        restart(false, in);
        break;
    case 5:
        restart(true, in);
        break;
    case 6:
        if (peer >= PEER_DOMAINS)
            peer_connect(peer);
        break;
    case 7:
        peer_take(peer);
        break;
    case 8: /* several requests before xenstored looks */
        request(in, peer);
        return;
    default:
        request(in, peer);
        store_serve();
        peer_take(peer);
        return;
    }
    store_serve();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct quota limits[QUOTA_COUNT];

    memcpy(limits, quotas, sizeof(limits));
    store_start();
    introduce(1);
    introduce(2);
    store_serve();
    for (unsigned n = 0; n < OPERATIONS_MAX && input_left(&in); n++)
        operation(&in);
    for (unsigned peer = 0; peer < PEERS; peer++)
        peer_take(peer);
    store_serve();
    check_accounts();
    if (!memcmp(limits, quotas, sizeof(limits)))
        check_connections();
    store_forget();
    memcpy(quotas, limits, sizeof(limits));
    return 0;
}
