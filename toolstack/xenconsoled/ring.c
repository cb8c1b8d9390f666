/* SPDX-License-Identifier: MIT */
/* Console rings: see ring.h. Each position is read once and the copy is judged: the guest may change it meanwhile. */
#include "xenconsoled/ring.h"
#include <string.h>

int ring_output_peek(struct xencons_interface *ring, char *buf, uint32_t *end)
{
    uint32_t prod = __atomic_load_n(&ring->out_prod, __ATOMIC_ACQUIRE);
    uint32_t cons = __atomic_load_n(&ring->out_cons, __ATOMIC_RELAXED);
    size_t len = prod - cons, at = MASK_XENCONS_IDX(cons, ring->out), first;

    if (len > RING_OUTPUT_SIZE)
        return -1;
    first = len < RING_OUTPUT_SIZE - at ? len : RING_OUTPUT_SIZE - at;
    memcpy(buf, ring->out + at, first);
    memcpy(buf + first, ring->out, len - first);
    *end = prod;
    return (int)len;
}

void ring_output_done(struct xencons_interface *ring, uint32_t end)
{
    __atomic_store_n(&ring->out_cons, end, __ATOMIC_RELEASE);
}

int ring_input_room(struct xencons_interface *ring)
{
    uint32_t prod = __atomic_load_n(&ring->in_prod, __ATOMIC_RELAXED);
    uint32_t cons = __atomic_load_n(&ring->in_cons, __ATOMIC_ACQUIRE);
    uint32_t used = prod - cons;

    return used > RING_INPUT_SIZE ? -1 : (int)(RING_INPUT_SIZE - used);
}

int ring_input_put(struct xencons_interface *ring, const char *data, size_t len)
{
    uint32_t prod = __atomic_load_n(&ring->in_prod, __ATOMIC_RELAXED);
    uint32_t cons = __atomic_load_n(&ring->in_cons, __ATOMIC_ACQUIRE);
    size_t used = prod - cons, at = MASK_XENCONS_IDX(prod, ring->in), first;

    if (used > RING_INPUT_SIZE)
        return -1;
    if (len > RING_INPUT_SIZE - used)
        len = RING_INPUT_SIZE - used;
    first = len < RING_INPUT_SIZE - at ? len : RING_INPUT_SIZE - at;
    memcpy(ring->in + at, data, first);
    memcpy(ring->in, data + first, len - first);
    __atomic_store_n(&ring->in_prod, prod + (uint32_t)len, __ATOMIC_RELEASE);
    return (int)len;
}
