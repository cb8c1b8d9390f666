/* SPDX-License-Identifier: MIT */
/*
 * grant_table_op: arrays of operations, each with a status of its own; the call itself fails only for arguments that cannot
 * be read or written. Arrays are cut at preemption points: pointer and count of the continuation name what is left.
 *
 * Version 1 only. Not offered, -ENOSYS: dump_table, transfer, unmap_and_replace, get_status_frames, swap_grant_ref,
 * cache_flush, and version 2.
 */
#include "hypercall/hypercall.h"
#include "core/grant/grant.h"
#include "core/mem/tlb.h"

/* The rest of an array of operations, from `arg` on. */
struct batch {
    uint32_t cmd;
    uint64_t arg;
    uint32_t count;
};

static int64_t continue_batch(const struct batch *b)
{
    uint64_t args[3] = {b->cmd, b->arg, b->count};

    return hw_hypercall_continue(__HYPERVISOR_grant_table_op, 3, args);
}

/* A domain that the caller may act for, with a reference. GNTST_* */
static int16_t target(uint16_t id, struct domain **out)
{
    struct domain *self = current_vcpu()->domain;
    struct domain *d = domain_get_ref(id, self);

    if (!d)
        return GNTST_bad_domain;
    if (d != self && policy_check(self, MAY_CONTROL_DOMAIN, d)) {
        domain_put(d);
        return GNTST_permission_denied;
    }
    *out = d;
    return GNTST_okay;
}

/* ---- Mapping -------------------------------------------------------------------------------------------------- */

#define UNMAP_BATCH 32 /* operations that share a TLB flush */

static void flush_and_end(struct grant_use *ended, unsigned count)
{
    tlb_flush_stale(tlb_clock_now());
    for (unsigned i = 0; i < count; i++)
        grant_use_end(&ended[i]);
}

/* The guest cannot be told the handle. */
static void undo_map(struct domain *d, const struct gnttab_map_grant_ref *op)
{
    struct gnttab_unmap_grant_ref unmap = {
        .host_addr = op->host_addr, .dev_bus_addr = op->dev_bus_addr, .handle = op->handle};
    struct grant_use ended;

    if (op->status != GNTST_okay)
        return;
    grant_unmap(d, &unmap, &ended);
    flush_and_end(&ended, 1);
}

static int64_t map_refs(struct batch b)
{
    struct domain *d = current_vcpu()->domain;
    struct gnttab_map_grant_ref op;

    while (b.count) {
        if (copy_in(&op, b.arg))
            return fail(-EFAULT);
        grant_map(d, &op);
        if (copy_out(b.arg, &op)) {
            undo_map(d, &op);
            return fail(-EFAULT);
        }
        b.arg += sizeof(op);
        b.count--;
        if (b.count && hw_preempt_check())
            return continue_batch(&b);
    }
    return 0;
}

/* Up to UNMAP_BATCH of them, with one flush; advances b. */
static int unmap_some(struct domain *d, struct batch *b)
{
    struct gnttab_unmap_grant_ref ops[UNMAP_BATCH];
    struct grant_use ended[UNMAP_BATCH];
    unsigned n = 0, want = MIN(b->count, (uint32_t)UNMAP_BATCH);
    bool changed = false;
    int rc = 0;

    for (; n < want && !rc; n += !rc) {
        if (copy_in(&ops[n], b->arg + n * sizeof(ops[n]))) {
            rc = -EFAULT;
            continue;
        }
        grant_unmap(d, &ops[n], &ended[n]);
        changed |= ops[n].status == GNTST_okay;
    }
    if (changed)
        flush_and_end(ended, n);
    /* Only now may other vCPUs be told. */
    for (unsigned i = 0; i < n; i++)
        if (copy_out(b->arg + i * sizeof(ops[i]), &ops[i]))
            rc = -EFAULT;
    b->arg += n * sizeof(ops[0]);
    b->count -= n;
    return rc ? fail(rc) : 0;
}

static int64_t unmap_refs(struct batch b)
{
    while (b.count) {
        int rc = unmap_some(current_vcpu()->domain, &b);
        if (rc)
            return rc;
        if (b.count && hw_preempt_check())
            return continue_batch(&b);
    }
    return 0;
}

static int64_t copy_grants(struct batch b)
{
    struct domain *d = current_vcpu()->domain;
    struct gnttab_copy op;

    while (b.count) {
        if (copy_in(&op, b.arg))
            return fail(-EFAULT);
        grant_copy(d, &op);
        if (copy_out(b.arg, &op))
            return fail(-EFAULT);
        b.arg += sizeof(op);
        b.count--;
        if (b.count && hw_preempt_check())
            return continue_batch(&b);
    }
    return 0;
}

/* ---- The table ------------------------------------------------------------------------------------------------ */

static int64_t put_frames(struct domain *d, uint64_t list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t mfn = grant_frame_mfn(d, i).n;
        if (copy_out(list + i * sizeof(mfn), &mfn))
            return fail(-EFAULT);
    }
    return 0;
}

static int64_t setup_table(uint64_t arg)
{
    struct gnttab_setup_table op;
    struct domain *d;
    int64_t rc = 0;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    op.status = target(op.dom, &d);
    if (op.status == GNTST_okay) {
        rc = grant_table_grow(d, op.nr_frames);
        if (!rc)
            rc = put_frames(d, (uint64_t)op.frame_list.p, op.nr_frames);
        else if (rc != -ERESTART)
            op.status = GNTST_general_error;
        domain_put(d);
    }
    if (rc == -ERESTART)
        return continue_batch(&(struct batch){GNTTABOP_setup_table, arg, 1});
    if (rc && op.status == GNTST_okay)
        return rc;
    return copy_out(arg, &op) ? fail(-EFAULT) : 0;
}

static int64_t query_size(uint64_t arg)
{
    struct gnttab_query_size op;
    struct domain *d;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    op.nr_frames = op.max_nr_frames = 0;
    op.status = target(op.dom, &d);
    if (op.status == GNTST_okay) {
        op.nr_frames = grant_frames_count(d);
        op.max_nr_frames = grant_frames_max(d);
        domain_put(d);
    }
    return copy_out(arg, &op) ? fail(-EFAULT) : 0;
}

static int64_t set_version(uint64_t arg)
{
    struct gnttab_set_version op;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    if (op.version == 2)
        return fail(-ENOSYS);
    if (op.version != 1)
        return fail(-EINVAL);
    return 0;
}

static int64_t get_version(uint64_t arg)
{
    struct gnttab_get_version op;
    struct domain *d;
    int16_t status;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    status = target(op.dom, &d);
    if (status != GNTST_okay)
        return status == GNTST_bad_domain ? fail(-ESRCH) : fail(-EPERM);
    domain_put(d);
    op.pad = 0;
    op.version = 1;
    return copy_out(arg, &op) ? fail(-EFAULT) : 0;
}

/* Commands about a table take one struct. */
static int64_t table_op(uint32_t cmd, uint64_t arg, uint32_t count)
{
    int64_t (*fn)(uint64_t arg) = cmd == GNTTABOP_setup_table   ? setup_table
                                  : cmd == GNTTABOP_query_size  ? query_size
                                  : cmd == GNTTABOP_set_version ? set_version
                                  : cmd == GNTTABOP_get_version ? get_version
                                                                : NULL;
    if (!fn)
        return fail(-ENOSYS);
    return count == 1 ? fn(arg) : fail(-EINVAL);
}

HYPERCALL_HANDLER(grant_table_op)
{
    struct batch b = {(uint32_t)args[0], args[1], (uint32_t)args[2]};

    trace(TRACE_GRANT, "grant_table_op %u count %u", b.cmd, b.count);
    if ((int32_t)b.count < 0)
        return fail(-EINVAL);
    switch (b.cmd) {
    case GNTTABOP_map_grant_ref:
        return map_refs(b);
    case GNTTABOP_unmap_grant_ref:
        return unmap_refs(b);
    case GNTTABOP_copy:
        return copy_grants(b);
    default:
        return table_op(b.cmd, b.arg, b.count);
    }
}
