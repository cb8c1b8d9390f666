/* SPDX-License-Identifier: MIT */
/* domctl: where vCPUs run and how much they get. There is one NUMA node, node 0. */
#include "hypercall/domctl/domctl.h"

/* ---- Bitmaps of the tools: bytes, the lowest number in bit 0 of the first ---- */

#define BITMAP_BITS_MAX 65536u

int domctl_bitmap_in(uint64_t *words, unsigned bits, const struct xenctl_bitmap *from)
{
    unsigned n = MIN(from->nr_bits, bits), bytes = DIV_ROUND_UP(n, 8);

    if (from->nr_bits > BITMAP_BITS_MAX)
        return fail(-EINVAL);
    memset(words, 0, BITS_TO_WORDS(bits) * sizeof(*words));
    if (hw_copy_from_guest(words, (uint64_t)from->bitmap.p, bytes))
        return fail(-EFAULT);
    for (unsigned bit = n; bit < bytes * 8; bit++)
        bit_clear(words, bit);
    return 0;
}

int domctl_bitmap_out(const struct xenctl_bitmap *to, const uint64_t *words, unsigned bits)
{
    unsigned n = MIN(to->nr_bits, bits), bytes = DIV_ROUND_UP(to->nr_bits, 8), done = 0;
    uint8_t part[128];

    if (to->nr_bits > BITMAP_BITS_MAX)
        return fail(-EINVAL);
    while (done < bytes) {
        unsigned now = MIN(bytes - done, (unsigned)sizeof(part));

        memset(part, 0, now);
        for (unsigned bit = 0; bit < now * 8 && done * 8 + bit < n; bit++)
            part[bit / 8] |= (uint8_t)(bit_test(words, done * 8 + bit) << bit % 8);
        if (hw_copy_to_guest((uint64_t)to->bitmap.p + done, part, now))
            return fail(-EFAULT);
        done += now;
    }
    return 0;
}

/* ---- Affinity ---- */

static void mask_and(cpumask_t *a, const cpumask_t *b)
{
    for (unsigned i = 0; i < ARRAY_SIZE(a->w); i++)
        a->w[i] &= b->w[i];
}

static void current_masks(struct vcpu *v, cpumask_t *hard, cpumask_t *soft)
{
    *hard = v->sched.affinity_hard;
    *soft = v->sched.affinity_soft;
}

/* What is kept is what was asked; what goes back is what it comes to on the CPUs that are there. */
int domctl_setvcpuaffinity(struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
    struct vcpu *v = vcpu_of(d, a->vcpu);
    cpumask_t hard, soft;
    int rc = 0;

    if (!v || (a->flags & ~(XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT | XEN_VCPUAFFINITY_FORCE)) ||
        !(a->flags & (XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT)))
        return fail(-EINVAL);
    current_masks(v, &hard, &soft);
    if (a->flags & XEN_VCPUAFFINITY_HARD)
        rc = domctl_bitmap_in(hard.w, MAX_CPUS, &a->cpumap_hard);
    if (!rc && (a->flags & XEN_VCPUAFFINITY_SOFT))
        rc = domctl_bitmap_in(soft.w, MAX_CPUS, &a->cpumap_soft);
    if (!rc)
        rc = sched_set_affinity(v, &hard, &soft);
    if (rc)
        return rc;
    mask_and(&hard, &cpus_online);
    mask_and(&soft, &hard);
    if (a->flags & XEN_VCPUAFFINITY_HARD)
        rc = domctl_bitmap_out(&a->cpumap_hard, hard.w, MAX_CPUS);
    if (!rc && (a->flags & XEN_VCPUAFFINITY_SOFT))
        rc = domctl_bitmap_out(&a->cpumap_soft, soft.w, MAX_CPUS);
    return rc;
}

int domctl_getvcpuaffinity(struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
    struct vcpu *v = vcpu_of(d, a->vcpu);
    cpumask_t hard, soft;
    int rc = 0;

    if (!v || !(a->flags & (XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT)))
        return fail(-EINVAL);
    current_masks(v, &hard, &soft);
    if (a->flags & XEN_VCPUAFFINITY_HARD)
        rc = domctl_bitmap_out(&a->cpumap_hard, hard.w, MAX_CPUS);
    if (!rc && (a->flags & XEN_VCPUAFFINITY_SOFT))
        rc = domctl_bitmap_out(&a->cpumap_soft, soft.w, MAX_CPUS);
    return rc;
}

int domctl_setnodeaffinity(struct domain *d, struct xen_domctl *op)
{
    uint64_t nodes;
    int rc = domctl_bitmap_in(&nodes, 64, &op->u.nodeaffinity.nodemap);

    if (rc)
        return rc;
    return nodes & 1 ? 0 : fail(-EINVAL);
}

int domctl_getnodeaffinity(struct domain *d, struct xen_domctl *op)
{
    const uint64_t nodes = 1;

    return domctl_bitmap_out(&op->u.nodeaffinity.nodemap, &nodes, 64);
}

/* ---- Weight and cap ---- */

#define KEEP_CAP 0xffff /* and weight 0 keeps the weight */

int domctl_scheduler_op(struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_sched_credit *c = &op->u.scheduler_op.u.credit;
    unsigned weight = d->sched.weight, cap = d->sched.cap;

    if (op->u.scheduler_op.sched_id != XEN_SCHEDULER_CREDIT)
        return fail(-EINVAL);
    switch (op->u.scheduler_op.cmd) {
    case XEN_DOMCTL_SCHEDOP_putinfo:
        return sched_set_domain(d, c->weight ? c->weight : weight, c->cap != KEEP_CAP ? c->cap : cap);
    case XEN_DOMCTL_SCHEDOP_getinfo:
        memset(&op->u.scheduler_op.u, 0, sizeof(op->u.scheduler_op.u));
        c->weight = (uint16_t)weight;
        c->cap = (uint16_t)cap;
        return 0;
    default:
        return fail(-EINVAL);
    }
}
