/* SPDX-License-Identifier: MIT */
/*
 * The console ring of a guest: one page shared with a domain that may write anything into it at any time (xen/io/console.h). Both
 * positions of each direction live in the page, so that another daemon goes on where this one was killed. Nothing here loops on what
 * the guest says: a step moves at most the size of the ring.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <xen/io/console.h>

#define RING_OUTPUT_SIZE sizeof(((struct xencons_interface *)0)->out)
#define RING_INPUT_SIZE  sizeof(((struct xencons_interface *)0)->in)

/* Copies the guest's output that waits into buf (RING_OUTPUT_SIZE bytes) and leaves it in the ring. Returns how much, -1 when the
 * positions are impossible. *end is what ring_output_done takes. */
int ring_output_peek(struct xencons_interface *ring, char *buf, uint32_t *end);
/* Gives the room up to `end` back to the guest: when what was peeked at has been stored. */
void ring_output_done(struct xencons_interface *ring, uint32_t end);
/* Bytes of input that the guest has room for; -1: impossible positions. */
int ring_input_room(struct xencons_interface *ring);
/* Puts input into the ring. Returns how much had room, -1: impossible positions. */
int ring_input_put(struct xencons_interface *ring, const char *data, size_t len);
