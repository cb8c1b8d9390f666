/* SPDX-License-Identifier: MIT */
/*
 * The wires to the guests: ring pages mapped and event channels bound, all through one set of handles of Debian's stable libraries. A
 * signalled port stays masked until wire_unmask: what a guest may cost is decided by whoever unmasks.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "lib/hv/hv.h"
#include "xenconsoled/ring.h"

struct wires;
struct wire {
    struct xencons_interface *ring; /* NULL: not joined */
    uint32_t domid;
    int port;     /* ours */
    bool granted; /* the page came by grant, not as a foreign frame */
};
/* 0; -1: *r says what is missing. hv must stay. */
int wires_open(struct wires **out, struct hv *hv, struct report *r);
/* Readable when a port is signalled. */
int wires_fd(struct wires *w);
/* The next signalled port, -1: none. Call it when the descriptor is readable. */
int wires_pending(struct wires *w);
/* The port of the hypervisor's "console ring has text" signal; -errno. */
int wires_bind_console_virq(struct wires *w);
void wires_unmask(struct wires *w, int port);

/* Maps the ring, by grant reference 0 or else as frame ring_mfn of the domain, and binds remote_port. 0 or -errno. */
int wire_open(struct wires *w, struct wire *wire, uint32_t domid, uint64_t ring_mfn, uint32_t remote_port);
void wire_notify(struct wires *w, const struct wire *wire);
void wire_unmask(struct wires *w, const struct wire *wire);
/* May be called on one that is not joined. */
void wire_close(struct wires *w, struct wire *wire);
