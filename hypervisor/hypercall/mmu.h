/* SPDX-License-Identifier: MIT */
/* What mmu.c and mmuext.c share: naming domains, progress of batches, flushing the CPUs that some vCPUs run on. */
#pragma once
#include "hypercall/hypercall.h"

/* A domain that the caller names as the owner of frames or tables, checked by policy. `id` is what core/mem compares with
 * (DOMID_IO and DOMID_XEN stay that); `d` has a reference that mmu_put_owner() drops, NULL for those two. 0; -ESRCH no such
 * domain or a dying one; -EPERM. */
struct mmu_owner {
    struct domain *d;
    uint16_t id;
    bool referenced;
};
int mmu_get_owner(uint16_t domid, struct mmu_owner *o);
void mmu_put_owner(struct mmu_owner *o);

/* Batches: the second argument is what is left in the low half and what is done, over all continuations, in the high one. */
struct mmu_progress {
    uint64_t next; /* guest address of the next request */
    uint32_t left, done;
};
struct mmu_progress mmu_progress_of(const uint64_t args[6]);
/* Ends a batch: finishes pending drops, writes the number done, or makes the continuation. */
int64_t mmu_batch_result(unsigned nr, const uint64_t args[6], const struct mmu_progress *p, int rc);

/* A guest's bitmap of vCPUs. 0, -EFAULT. */
struct vcpu_bits {
    uint64_t w[BITS_TO_WORDS(VCPU_MAX)];
};
int vcpu_bits_read(struct domain *d, uint64_t gva, struct vcpu_bits *bits);
void vcpu_bits_all(struct domain *d, struct vcpu_bits *bits);
/* Flushes the CPUs that these vCPUs run on now. A vCPU that runs nowhere loads its root, which flushes, before it does. */
void mmu_flush_vcpus(struct domain *d, const struct vcpu_bits *bits, bool all, uint64_t va);
