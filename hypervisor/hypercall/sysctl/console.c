/* SPDX-License-Identifier: MIT */
/* sysctl: the console ring, and the keys of the hypervisor's console. */
#include "hypercall/sysctl/sysctl.h"
#include "core/trace/conring.h"

/* In pieces: the ring is not read with a guest's page under its lock. Only what was copied out is given up. */
int sysctl_readconsole(struct xen_sysctl *op)
{
    struct xen_sysctl_readconsole *r = &op->u.readconsole;
    uint64_t to = (uint64_t)r->buffer.p;
    uint32_t index = r->index, done = 0;
    bool incremental = r->incremental;
    char piece[512];
    size_t n;

    while ((n = conring_read(piece, MIN((size_t)(r->count - done), sizeof(piece)), false, incremental, &index))) {
        if (hw_copy_to_guest(to + done, piece, n))
            return fail(-EFAULT);
        done += (uint32_t)n;
        incremental = true;
    }
    if (r->clear)
        (void)conring_read(piece, 0, true, true, &index);
    r->index = index;
    r->count = done;
    r->pad0 = r->pad1 = 0;
    return 0;
}

#define KEYS_MAX 64

int sysctl_debug_keys(struct xen_sysctl *op)
{
    char keys[KEYS_MAX];
    uint32_t n = op->u.debug_keys.nr_keys;

    if (n > KEYS_MAX)
        return fail(-E2BIG);
    if (hw_copy_from_guest(keys, (uint64_t)op->u.debug_keys.keys.p, n))
        return fail(-EFAULT);
    for (uint32_t i = 0; i < n; i++)
        key_run(keys[i]);
    return 0;
}
