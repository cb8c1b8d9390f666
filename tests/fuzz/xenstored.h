/* SPDX-License-Identifier: MIT */
/*
 * The machine below xenstored in its fuzzer: a few domains with ring pages and ports, and clients on the socket. An input's
 * operations act on it; xenstored is served by store_serve() as its own loop would do it.
 */
#pragma once
#include "fuzz.h"
#include "xenstored/domain.h"

#define PEER_DOMAINS 4 /* 0 is Domain 0's kernel */
#define PEER_SOCKETS 2
#define PEERS        (PEER_DOMAINS + PEER_SOCKETS)

/* All of xenstored as after its start in a new boot. */
void store_start(void);
/* It is killed and started again: what it knows then is in the journal and in the rings. */
void store_restart(void);
/* Drops everything that the process of a daemon holds, as its end does. */
void store_forget(void);
/* Until it has nothing more to do. */
void store_serve(void);
/* The same, having looked who lives: a daemon looks when it starts. */
void store_settle(void);

/* As the domain or the client does it: bytes towards xenstored as far as there is room; taking and checking its output. */
void peer_write(unsigned peer, const void *bytes, uint32_t len);
void peer_take(unsigned peer);
void peer_connect(unsigned peer); /* a socket: closes it first */
/* One field of the ring page gets a value of the domain's choice; fields 0..5. */
void peer_poke(unsigned peer, unsigned field, uint32_t value);
/* Lives, dies, shuts down, is another one with the same number. */
enum peer_change { PEER_EXISTS, PEER_DYING, PEER_SHUTDOWN, PEER_GONE, PEER_ANOTHER, PEER_CHANGES };
void peer_change(unsigned peer, enum peer_change change);
uint32_t peer_port(unsigned peer); /* what INTRODUCE must name */
/* Changes a byte of the journal's file. */
void journal_damage(uint32_t at, uint8_t change);
