/* SPDX-License-Identifier: MIT */
/*
 * How the functions of hv.h make a hypercall: what the files of this folder share.
 *
 * Arguments must lie in memory that the kernel keeps in place. Getting such memory and giving it back is dear (a mapping each time), so a
 * handle keeps buffers for ever: one for each call that has been under way at the same time. Lock: hv.lock guards hv.idle.
 */
#pragma once
#include <pthread.h>
#include <xencall.h>
#include "lib/hv/hv.h"

#define HV_BUFFER_SIZE (64 * 1024)

struct hv_buffer {
    struct hv_buffer *next;
    uint8_t *data; /* HV_BUFFER_SIZE bytes */
    size_t used;
};
struct hv {
    xencall_handle *call;
    xenforeignmemory_handle *memory;
    pthread_mutex_t lock;
    struct hv_buffer *idle;
};

/* An empty buffer, the caller's until it is put; NULL: no memory. */
struct hv_buffer *hv_buffer_get(struct hv *hv);
void hv_buffer_put(struct hv *hv, struct hv_buffer *b);
/* `size` zeroed bytes of it, aligned to 16. The caller takes no more than there are: hv_buffer_room(). */
void *hv_buffer_take(struct hv_buffer *b, size_t size);
size_t hv_buffer_room(const struct hv_buffer *b);

/* One call whose argument is *arg (size bytes, copied in and, when the call went well, out). The result, or -errno. */
long hv_call_copy(struct hv *hv, unsigned op, unsigned command, void *arg, size_t size);
/* `op` on the caller's stack, for those without arrays; command and domain are filled in here. 0, -errno. */
int hv_domctl(struct hv *hv, uint32_t command, uint32_t domid, struct xen_domctl *op);
int hv_sysctl(struct hv *hv, uint32_t command, struct xen_sysctl *op);
/* `op` taken from a buffer, with handles to more of that buffer. */
int hv_domctl_in(struct hv *hv, uint32_t command, uint32_t domid, struct xen_domctl *op);
int hv_sysctl_in(struct hv *hv, uint32_t command, struct xen_sysctl *op);
