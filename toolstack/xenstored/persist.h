/* SPDX-License-Identifier: MIT */
/*
 * What the journal's items mean: each change of the state as a record, the whole state as a snapshot, and both read
 * back.
 *
 * Of clients on sockets nothing is kept: they see the end of the connection and connect anew. Of rings all is kept:
 * watches, ids of open transactions (doomed after a restart), requests taken in part, and output not yet in the
 * ring.
 */
#ifndef XENSTORED_PERSIST_H
#define XENSTORED_PERSIST_H

#include "xenstored/domain.h"
#include "xenstored/ring.h"

void persist_change(const struct change *change);
void persist_special(enum special which);

/* INTRODUCE and SET_TARGET, shutdown told: everything about the domain but its ring. */
void persist_domain(const struct domain *domain);
void persist_release(unsigned domid);
void persist_death(unsigned domid);

/* What happens on a ring. Nothing is written of connections that do not last. */
void persist_output(const struct connection *conn, const void *bytes, uint32_t len);
/* Bytes taken from the ring: len of a request that is not complete, or 0 when one is done. */
void persist_input(const struct ring *ring, const void *bytes, uint32_t len);
/* Anew at these positions, without watches, transactions and output; or stopped (ring->error). */
void persist_ring(const struct ring *ring);
void persist_watch(const struct watch *watch);
void persist_unwatch(const struct connection *conn, const struct path *path, const char *token);
void persist_reset(const struct connection *conn);
void persist_transaction(const struct connection *conn, uint32_t id, bool open);

/* The two callbacks of the journal. */
void persist_snapshot(void);
struct journal_item;
void persist_play(const struct journal_item *item, const char *body);

#endif
