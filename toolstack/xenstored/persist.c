/* SPDX-License-Identifier: MIT */
/* The journal's items: writing them, the snapshot, reading them back. Invariant: bodies are read with bounds. */
#include "xenstored/persist.h"
#include "xenstored/journal.h"

#include <stdlib.h>
#include <string.h>

enum item {
    ITEM_NODE = 1, /* of a snapshot: path_len, count of perms, path, perms, value */
    ITEM_WRITE,    /* path_len, 0, path, value */
    ITEM_MKDIR,
    ITEM_RM,
    ITEM_PERMS,   /* path_len, count of perms, path, perms */
    ITEM_DOMAIN,  /* struct domain_body */
    ITEM_RELEASE, /* nothing */
    ITEM_DEATH,   /* nothing */
    ITEM_RING,    /* in_pos, out_pos, error */
    ITEM_INPUT,   /* in_pos, out_pos, bytes of a request */
    ITEM_OUTPUT,  /* in_pos, out_pos, bytes of messages */
    ITEM_WATCH,   /* path_len, depth, base, path, token */
    ITEM_UNWATCH, /* path_len, 0, base, path, token */
    ITEM_RESET,   /* nothing */
    ITEM_OPEN,    /* id of a transaction */
    ITEM_CLOSED,
    ITEM_COUNT
};

struct domain_body {
    uint64_t gfn;
    uint32_t port;
    uint16_t target;
    uint8_t introduced, shutdown_told;
    uint8_t handle[16];
};

static const enum item item_of_change[] = {
    [CHANGE_WRITE] = ITEM_WRITE, [CHANGE_MKDIR] = ITEM_MKDIR, [CHANGE_RM] = ITEM_RM, [CHANGE_PERMS] = ITEM_PERMS};

/* Adds the entries that still stand. Returns how many. */
static uint32_t add_perms(struct buffer *body, const struct perms *perms)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < perms->count; i++) {
        struct perm entry = perms->entry[i];

        if (!perm_stands(perms, i))
            continue;
        if (i == 0)
            entry.domid = (uint16_t)perms_owner(perms);
        buffer_add(body, &entry, sizeof(entry));
        count++;
    }
    return count;
}

static void add_node(enum item type, unsigned domid, const char *path, const struct perms *perms, const void *value,
                     uint32_t value_len)
{
    static struct buffer body;
    uint32_t head[2] = {(uint32_t)strlen(path), 0};

    buffer_clear(&body, UINT32_MAX);
    buffer_add(&body, head, sizeof(head));
    buffer_add(&body, path, head[0]);
    if (perms) {
        head[1] = add_perms(&body, perms);
        memcpy(body.data, head, sizeof(head));
    }
    journal_add((uint16_t)type, domid, body.data, body.end, value, value_len);
}

void persist_change(const struct change *change)
{
    if (change_writes(change))
        add_node(item_of_change[change->kind], change->who.domid, change->text, change->perms, change_value(change),
                 change->value_len);
}

void persist_special(enum special which)
{
    add_node(ITEM_PERMS, 0, special_names[which], special_perms(which), NULL, 0);
}

void persist_domain(const struct domain *domain)
{
    struct domain_body body = {.gfn = domain->gfn,
                               .port = domain->remote_port,
                               .target = domain->target,
                               .introduced = domain->introduced,
                               .shutdown_told = domain->shutdown_told};

    memcpy(body.handle, domain->handle, sizeof(body.handle));
    journal_add(ITEM_DOMAIN, domain->domid, &body, sizeof(body), NULL, 0);
}

void persist_release(unsigned domid)
{
    journal_add(ITEM_RELEASE, domid, NULL, 0, NULL, 0);
}

void persist_death(unsigned domid)
{
    journal_add(ITEM_DEATH, domid, NULL, 0, NULL, 0);
}

static void add_positions(enum item type, const struct ring *ring, uint32_t out_pos, const void *bytes, uint32_t len)
{
    uint32_t head[2] = {ring->in_pos, out_pos};

    journal_add((uint16_t)type, ring->conn.who.domid, head, sizeof(head), bytes, len);
}

void persist_output(const struct connection *conn, const void *bytes, uint32_t len)
{
    add_positions(ITEM_OUTPUT, ring_of(conn), ring_of(conn)->out_pos, bytes, len);
}

void persist_input(const struct ring *ring, const void *bytes, uint32_t len)
{
    add_positions(ITEM_INPUT, ring, ring->out_pos, bytes, len);
}

void persist_ring(const struct ring *ring)
{
    add_positions(ITEM_RING, ring, ring->out_pos, &ring->error, sizeof(ring->error));
}

static void add_watch(enum item type, unsigned domid, int32_t depth, uint32_t base, const char *path, uint32_t path_len,
                      const char *token)
{
    uint32_t head[3] = {path_len, (uint32_t)depth, base};
    char text[XENSTORE_ABS_PATH_MAX + XENSTORE_PAYLOAD_MAX];
    uint32_t token_len = (uint32_t)strlen(token);

    memcpy(text, path, path_len);
    memcpy(text + path_len, token, token_len);
    journal_add((uint16_t)type, domid, head, sizeof(head), text, path_len + token_len);
}

void persist_watch(const struct watch *watch)
{
    if (watch->conn->transport->lasting)
        add_watch(ITEM_WATCH, watch->conn->who.domid, watch->depth, watch->base, watch->text, watch->path_len,
                  watch_token(watch));
}

void persist_unwatch(const struct connection *conn, const struct path *path, const char *token)
{
    if (conn->transport->lasting)
        add_watch(ITEM_UNWATCH, conn->who.domid, 0, path->base, path->text, path->len, token);
}

void persist_reset(const struct connection *conn)
{
    if (conn->transport->lasting)
        journal_add(ITEM_RESET, conn->who.domid, NULL, 0, NULL, 0);
}

void persist_transaction(const struct connection *conn, uint32_t id, bool open)
{
    if (conn->transport->lasting)
        journal_add(open ? ITEM_OPEN : ITEM_CLOSED, conn->who.domid, &id, sizeof(id), NULL, 0);
}

/*
 * The whole of a ring. Output that was sent in part begins at the message's first byte, so that replay finds its
 * length.
 */
static void snapshot_ring(const struct ring *ring)
{
    const struct connection *conn = &ring->conn;
    const struct transaction *tx;
    const struct watch *watch;
    uint32_t first = ring->out_pos - conn->sent;

    add_positions(ITEM_RING, ring, first, &ring->error, sizeof(ring->error));
    if (buffer_size(&conn->output))
        add_positions(ITEM_OUTPUT, ring, first, buffer_bytes(&conn->output), buffer_size(&conn->output));
    add_positions(ITEM_INPUT, ring, ring->out_pos, buffer_bytes(&ring->input), buffer_size(&ring->input));
    TAILQ_FOREACH(watch, &conn->watches, of_connection)
    persist_watch(watch);
    TAILQ_FOREACH(tx, &conn->transactions, of_connection)
    persist_transaction(conn, tx->id, true);
}

static void snapshot_node(const struct node *node, const char *path, void *context)
{
    add_node(ITEM_NODE, 0, path, node->perms, node_value(node), node->value_len);
}

void persist_snapshot(void)
{
    const struct domain *domain;
    struct buffer path = {0};

    for (enum special which = 0; which < SPECIAL_COUNT; which++)
        persist_special(which);
    buffer_add(&path, "/", 1);
    tree_walk(store.root, &path, snapshot_node, NULL);
    free(path.data);
    TAILQ_FOREACH(domain, &domains, all)
    {
        persist_domain(domain);
        if (domain->ring)
            snapshot_ring(domain->ring);
    }
}

/* A body being read: left bytes at at; bad after one read too far. */
struct reader {
    const char *at;
    uint32_t left;
    bool bad;
};

static const char *take(struct reader *body, uint32_t len)
{
    const char *at = body->at;

    if (body->bad || len > body->left) {
        body->bad = true;
        return NULL;
    }
    body->at += len;
    body->left -= len;
    return at;
}

static uint32_t take_u32(struct reader *body)
{
    const char *at = take(body, sizeof(uint32_t));
    uint32_t value = 0;

    if (at)
        memcpy(&value, at, sizeof(value));
    return value;
}

/* Takes a path of that length, as a string. */
static bool take_path(struct reader *body, uint32_t len, char path[XENSTORE_ABS_PATH_MAX + 1])
{
    const char *at = len <= XENSTORE_ABS_PATH_MAX ? take(body, len) : NULL;

    if (!at)
        return false;
    memcpy(path, at, len);
    path[len] = 0;
    return true;
}

static struct perms *take_perms(struct reader *body, uint32_t count)
{
    const char *at = count && count < UINT16_MAX ? take(body, count * (uint32_t)sizeof(struct perm)) : NULL;
    struct perms *perms;

    if (!at)
        return NULL;
    perms = perms_new(count);
    memcpy(perms->entry, at, count * sizeof(struct perm));
    for (uint32_t i = 0; i < count; i++)
        if (perms->entry[i].domid >= DOMAINS_MAX)
            perms->entry[i].domid = 0;
    return perms;
}

static bool same_perms(const struct perms *a, const struct perms *b)
{
    return a->count == b->count && !memcmp(a->entry, b->entry, a->count * sizeof(a->entry[0]));
}

static bool play_node(struct reader *body)
{
    static const struct subject domain0 = {.domid = 0, .target = NO_TARGET};
    uint32_t path_len = take_u32(body), count = take_u32(body);
    char path[XENSTORE_ABS_PATH_MAX + 1];
    struct perms *perms;
    struct node **slot;

    if (!take_path(body, path_len, path))
        return false;
    perms = take_perms(body, count);
    if (!perms)
        return false;
    slot = tree_make(&store.root, path, &domain0);
    account_add(NULL, perms_owner(perms), 1);
    if (same_perms(perms, (*slot)->perms))
        perms_unref(perms);
    else
        node_set_perms(*slot, perms);
    node_set_value(slot, body->at, body->left);
    return true;
}

static bool play_change(enum change_kind kind, unsigned domid, struct reader *body)
{
    struct view view = {.root = store.root, .trusted = true};
    struct subject who = {.domid = (uint16_t)domid, .target = NO_TARGET};
    uint32_t path_len = take_u32(body), count = take_u32(body);
    char path[XENSTORE_ABS_PATH_MAX + 1];
    struct perms *perms = NULL;
    struct change *change;

    if (!take_path(body, path_len, path))
        return false;
    if (kind == CHANGE_PERMS && !(perms = take_perms(body, count)))
        return false;
    if (perms && watch_special(path) >= 0) {
        special_set_perms((enum special)watch_special(path), perms);
        perms_unref(perms);
        return true;
    }
    change = change_new(kind, &who, path, path_len, body->at, body->left);
    change->perms = perms;
    view_apply(&view, change);
    store.root = view.root;
    change_free(change);
    return true;
}

static bool play_domain(unsigned domid, struct reader *reader)
{
    const char *at = take(reader, sizeof(struct domain_body));
    struct domain *domain = domain_find(domid);
    struct domain_body body;

    if (!at)
        return false;
    memcpy(&body, at, sizeof(body));
    if (!domain)
        domain = domain_new(domid);
    domain->gfn = body.gfn;
    domain->remote_port = body.port;
    domain->target = body.target;
    domain->introduced = body.introduced;
    domain->shutdown_told = body.shutdown_told;
    memcpy(domain->handle, body.handle, sizeof(domain->handle));
    if (domain->introduced && !domain->ring)
        domain->ring = ring_new(domid);
    if (domain->ring)
        domain->ring->conn.who.target = body.target;
    return true;
}

/* Takes the two positions of a ring's items: output before out_pos is known to be published. */
static bool take_positions(struct ring *ring, struct reader *body, bool fresh)
{
    uint32_t in_pos = take_u32(body), out_pos = take_u32(body), unsent;

    if (body->bad)
        return false;
    connection_unsent(&ring->conn, &unsent);
    if (!fresh && out_pos - ring->out_pos > unsent)
        return false;
    if (!fresh && out_pos != ring->out_pos)
        connection_sent(&ring->conn, out_pos - ring->out_pos);
    ring->in_pos = in_pos;
    ring->out_pos = out_pos;
    return true;
}

static void play_watch(struct connection *conn, struct reader *body, bool add)
{
    uint32_t path_len = take_u32(body), depth = take_u32(body), base = take_u32(body);
    struct path path = {.base = base, .len = path_len};
    char token[XENSTORE_PAYLOAD_MAX + 1];
    struct watch *watch;

    if (!take_path(body, path_len, path.text) || body->left >= sizeof(token) || base > path_len)
        return;
    memcpy(token, body->at, body->left);
    token[body->left] = 0;
    if (add)
        watch_add(conn, &path, token, (int32_t)depth, &watch);
    else
        watch_remove(conn, &path, token);
}

static void play_transaction(struct connection *conn, uint32_t id, bool open)
{
    struct transaction *tx = connection_transaction(conn, id);

    if (open && !tx) {
        tx = transaction_new(id, conn->who.domid);
        transaction_doom(tx);
        TAILQ_INSERT_TAIL(&conn->transactions, tx, of_connection);
        conn->transaction_count++;
        conn->last_transaction = id;
    } else if (!open && tx) {
        TAILQ_REMOVE(&conn->transactions, tx, of_connection);
        conn->transaction_count--;
        transaction_free(tx);
    }
}

static bool play_ring(enum item type, struct ring *ring, struct reader *body)
{
    switch (type) {
    case ITEM_RING:
        connection_reset(&ring->conn);
        connection_drop_output(&ring->conn);
        buffer_clear(&ring->input, 0);
        if (!take_positions(ring, body, true))
            return false;
        ring->error = take_u32(body);
        return !body->bad;
    case ITEM_INPUT:
        if (!take_positions(ring, body, false))
            return false;
        if (body->left)
            buffer_add(&ring->input, body->at, body->left);
        else
            buffer_clear(&ring->input, 0);
        return true;
    case ITEM_OUTPUT:
        if (!take_positions(ring, body, false))
            return false;
        buffer_add(&ring->conn.output, body->at, body->left);
        return true;
    case ITEM_WATCH:
    case ITEM_UNWATCH:
        play_watch(&ring->conn, body, type == ITEM_WATCH);
        return true;
    case ITEM_RESET:
        connection_reset(&ring->conn);
        return true;
    default:
        play_transaction(&ring->conn, take_u32(body), type == ITEM_OPEN);
        return !body->bad;
    }
}

static bool play(const struct journal_item *item, struct reader *body)
{
    struct domain *domain = domain_find(item->domid);

    switch (item->type) {
    case ITEM_NODE:
        return play_node(body);
    case ITEM_WRITE:
        return play_change(CHANGE_WRITE, item->domid, body);
    case ITEM_MKDIR:
        return play_change(CHANGE_MKDIR, item->domid, body);
    case ITEM_RM:
        return play_change(CHANGE_RM, item->domid, body);
    case ITEM_PERMS:
        return play_change(CHANGE_PERMS, item->domid, body);
    case ITEM_DOMAIN:
        return play_domain(item->domid, body);
    case ITEM_RELEASE:
        return domain && (domain_disconnect(domain), true);
    case ITEM_DEATH:
        return domain && (domain_remove(domain), true);
    default:
        return item->type < ITEM_COUNT && domain && domain->ring && play_ring(item->type, domain->ring, body);
    }
}

void persist_play(const struct journal_item *item, const char *bytes)
{
    struct reader body = {.at = bytes, .left = item->len};

    if (item->domid >= DOMAINS_MAX || !play(item, &body))
        die("the journal does not make sense (item %u of domain %u); remove it to start with an empty store",
            item->type, item->domid);
}
