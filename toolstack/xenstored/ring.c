/* SPDX-License-Identifier: MIT */
/* Connections over rings: positions, copying, the order of publication. See ring.h for why it is that order. */
#include "xenstored/ring.h"
#include "xenstored/persist.h"
#include "xenstored/protocol.h"

#include <stdlib.h>
#include <string.h>

#define RING_SIZE XENSTORE_RING_SIZE
#define FEATURES  (XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR)

/* An index or state in the page, which the domain may change at any time. */
static uint32_t look(const uint32_t *field)
{
    return __atomic_load_n(field, __ATOMIC_SEQ_CST);
}

/*
 * Publishes. A domain only notifies if, by our index, we had seen all of its bytes (or filled the ring), so whoever
 * moves an index must then look at the other one again. Linux moves its own and looks at ours without a barrier in
 * between, so its store may become visible after its look: our look that counts is the one after notify(), which is
 * a system call and a hypercall later.
 */
static void set(uint32_t *field, uint32_t value)
{
    __atomic_store_n(field, value, __ATOMIC_SEQ_CST);
    step();
}

/* True: there was something to tell, so the domain's indices are to be looked at again. */
static bool notify(struct ring *ring)
{
    bool told = ring->published;

    if (told)
        hv_notify(ring->port);
    ring->published = false;
    step();
    return told;
}

static void copy_out(const struct ring *ring, uint32_t pos, char *to, uint32_t len)
{
    uint32_t at = MASK_XENSTORE_IDX(pos), first = len < RING_SIZE - at ? len : RING_SIZE - at;

    memcpy(to, ring->page->req + at, first);
    memcpy(to + first, ring->page->req, len - first);
}

static void copy_in(struct ring *ring, uint32_t pos, const char *from, uint32_t len)
{
    uint32_t at = MASK_XENSTORE_IDX(pos), first = len < RING_SIZE - at ? len : RING_SIZE - at;

    memcpy(ring->page->rsp + at, from, first);
    memcpy(ring->page->rsp, from + first, len - first);
    step();
}

/* Stops the connection because of what the domain did; a reconnection starts it again. */
static void stop(struct ring *ring, uint32_t error)
{
    say("domain %u broke the ring protocol (error %u): its connection is stopped", ring->conn.who.domid, error);
    ring->error = error;
    connection_reset(&ring->conn);
    connection_drop_output(&ring->conn);
    buffer_clear(&ring->input, 0);
    persist_ring(ring);
    protocol_finish();
    set(&ring->page->error, error);
    ring->published = true;
    notify(ring);
}

/* The domain asks for a ring as new. */
static void reconnect(struct ring *ring)
{
    ring->error = XENSTORE_ERROR_NONE;
    connection_reset(&ring->conn);
    connection_drop_output(&ring->conn);
    buffer_clear(&ring->input, 0);
    ring->in_pos = ring->out_pos = 0;
    persist_ring(ring);
    protocol_finish();
    set(&ring->page->req_cons, 0);
    set(&ring->page->req_prod, 0);
    set(&ring->page->rsp_cons, 0);
    set(&ring->page->rsp_prod, 0);
    set(&ring->page->error, XENSTORE_ERROR_NONE);
    set(&ring->page->connection, XENSTORE_CONNECTED);
    ring->published = true;
    notify(ring);
}

/* Moves what fits from the output into the ring and publishes it, until one of them is empty or full. */
static void push(struct ring *ring)
{
    uint32_t len;
    const char *bytes;

    while ((bytes = connection_unsent(&ring->conn, &len))) {
        uint32_t used = ring->out_pos - look(&ring->page->rsp_cons);

        if (used > RING_SIZE) {
            stop(ring, XENSTORE_ERROR_RINGIDX);
            return;
        }
        if (used == RING_SIZE)
            return;
        if (len > RING_SIZE - used)
            len = RING_SIZE - used;
        copy_in(ring, ring->out_pos, bytes, len);
        ring->out_pos += len;
        connection_sent(&ring->conn, len);
        set(&ring->page->rsp_prod, ring->out_pos);
        ring->published = true;
    }
}

static void flush(struct connection *conn)
{
    struct ring *ring = ring_of(conn);

    if (!ring->page || ring->error)
        return;
    do
        push(ring);
    while (notify(ring) && !ring->error);
}

/* Publishes that requests up to in_pos are taken. */
static void publish_input(struct ring *ring)
{
    set(&ring->page->req_cons, ring->in_pos);
    ring->published = true;
}

/*
 * Takes len bytes of an incomplete request: the domain then has room for the rest, and notifies when it adds to
 * it.
 */
static void take_part(struct ring *ring, uint32_t len)
{
    char *to = buffer_grow(&ring->input, len);

    copy_out(ring, ring->in_pos, to, len);
    ring->input.end += len;
    ring->in_pos += len;
    persist_input(ring, to, len);
    protocol_finish();
    publish_input(ring);
    notify(ring);
}

/* Performs the complete request in message; take bytes of it are still in the ring. */
static void perform(struct ring *ring, const struct xsd_sockmsg *head, char *message, uint32_t take)
{
    message[sizeof(*head) + head->len] = 0;
    ring->in_pos += take;
    protocol_perform(&ring->conn, head, message + sizeof(*head));
    buffer_clear(&ring->input, 0);
    persist_input(ring, NULL, 0);
    protocol_finish();
    if (ring->error)
        return;
    publish_input(ring);
    notify(ring);
}

/* Copies the first len bytes of the request to message: they are in the input, then in the ring. */
static void gather(const struct ring *ring, char *message, uint32_t len)
{
    uint32_t have = buffer_size(&ring->input), first = len < have ? len : have;

    if (first)
        memcpy(message, ring->input.data + ring->input.start, first);
    copy_out(ring, ring->in_pos, message + first, len - first);
}

/* Looks at the ring once and takes one request or the part of it that is there. True: there may be more. */
static bool serve_one(struct ring *ring)
{
    static char message[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX + 1];
    uint32_t have = buffer_size(&ring->input), avail = look(&ring->page->req_prod) - ring->in_pos, size;
    struct xsd_sockmsg head;

    if (!avail)
        return false;
    if (avail > RING_SIZE) {
        stop(ring, XENSTORE_ERROR_RINGIDX);
        return false;
    }
    if (have + avail < sizeof(head)) {
        take_part(ring, avail);
        return true;
    }
    gather(ring, message, sizeof(head));
    memcpy(&head, message, sizeof(head));
    if (head.len > XENSTORE_PAYLOAD_MAX) {
        stop(ring, XENSTORE_ERROR_PROTO);
        return false;
    }
    size = (uint32_t)sizeof(head) + head.len;
    if (have + avail < size) {
        take_part(ring, avail);
        return true;
    }
    gather(ring, message, size);
    perform(ring, &head, message, size - have);
    return true;
}

static bool turn(struct connection *conn)
{
    struct ring *ring = ring_of(conn);
    bool more = true;

    if (!ring->page)
        return false;
    if (look(&ring->page->connection) == XENSTORE_RECONNECT)
        reconnect(ring);
    if (!ring->error && buffer_size(&conn->output))
        flush(conn);
    for (unsigned i = 0; i < TURN_REQUESTS && more; i++)
        more = !conn->dead && !ring->error && !connection_congested(conn) && serve_one(ring);
    if (more)
        return true;
    if (!conn->dead && ring->unmask)
        hv_unmask(ring->port);
    ring->unmask = false;
    return false;
}

static void release(struct connection *conn)
{
    struct ring *ring = ring_of(conn);

    free(conn->output.data);
    free(ring->input.data);
    free(ring);
}

static const struct transport ring_transport = {.turn = turn, .flush = flush, .release = release, .lasting = true};

struct ring *ring_new(unsigned domid)
{
    struct ring *ring = need_zeroed(sizeof(*ring));

    connection_init(&ring->conn, &ring_transport, domid);
    return ring;
}

static void begin(struct ring *ring, struct xenstore_domain_interface *page, unsigned port)
{
    ring->page = page;
    ring->port = port;
    set(&page->server_features, FEATURES);
    ring->published = true;
}

void ring_attach(struct ring *ring, struct xenstore_domain_interface *page, unsigned port)
{
    ring->in_pos = look(&page->req_cons);
    ring->out_pos = look(&page->rsp_prod);
    begin(ring, page, port);
    notify(ring);
    connection_wake(&ring->conn);
}

void ring_resume(struct ring *ring, struct xenstore_domain_interface *page, unsigned port)
{
    uint32_t unsent, published = look(&page->rsp_prod) - ring->out_pos;

    begin(ring, page, port);
    connection_unsent(&ring->conn, &unsent);
    if (ring->error)
        set(&page->error, ring->error);
    if (!ring->error && published > unsent && look(&page->connection) == XENSTORE_CONNECTED) {
        stop(ring, XENSTORE_ERROR_RINGIDX);
    } else if (!ring->error && published <= unsent) {
        ring->out_pos += published;
        if (published)
            connection_sent(&ring->conn, published);
        publish_input(ring);
        push(ring);
    }
    notify(ring);
    connection_wake(&ring->conn);
}

void ring_rebind(struct ring *ring, unsigned port)
{
    ring->port = port;
    ring->unmask = false;
    ring->published = true;
    notify(ring);
    connection_wake(&ring->conn);
}

void ring_lose_port(struct ring *ring)
{
    hv_unmap_ring(ring->conn.who.domid, ring->page);
    ring->page = NULL;
}

void ring_close(struct ring *ring)
{
    if (ring->page) {
        hv_unbind(ring->port);
        hv_unmap_ring(ring->conn.who.domid, ring->page);
        ring->page = NULL;
    }
    connection_kill(&ring->conn);
}

void ring_event(struct ring *ring)
{
    ring->unmask = true;
    connection_wake(&ring->conn);
}
