/* SPDX-License-Identifier: MIT */
/*
 * multicall: a batch of hypercalls.
 *
 * Each 64-byte entry is copied in, run, and its result copied out. An entry that is cut short has
 * its arguments rewritten in guest memory to say how to go on, and the batch is continued at it. A
 * batch stops when an entry leaves kernel mode (iret): that entry's result is the rax of user mode, and
 * so the batch's.
 */
#include "hypercall/hypercall.h"

static int store_continuation(uint64_t entry, const struct hypercall_continuation *cont)
{
    multicall_entry_t e = {.op = cont->op};

    for (unsigned i = 0; i < 6; i++)
        e.args[i] = cont->args[i];
    return copy_out(entry, &e);
}

/* Calls of a few hundred instructions, whatever their arguments: between others there is a preemption point each time. */
static bool is_short(uint64_t op)
{
    const uint64_t ops = 1UL << __HYPERVISOR_update_va_mapping | 1UL << __HYPERVISOR_set_segment_base |
                         1UL << __HYPERVISOR_stack_switch | 1UL << __HYPERVISOR_fpu_taskswitch |
                         1UL << __HYPERVISOR_update_descriptor;

    return op < 64 && (ops >> op & 1);
}

/* Runs the entry at `entry`. 0: go on, unless it has left kernel mode; 1: continue the batch at this entry; <0: the batch
 * fails. */
static int run_entry(struct vcpu *v, uint64_t entry, uint64_t *result, bool *was_short)
{
    struct hypercall_continuation cont = {.preempted = false};
    multicall_entry_t e;
    uint64_t args[6];

    if (copy_in(&e, entry))
        return fail(-EFAULT);
    *was_short = is_short(e.op);
    for (unsigned i = 0; i < 6; i++)
        args[i] = e.args[i];
    v->mc_cont = &cont;
    *result = e.op == __HYPERVISOR_multicall ? (uint64_t)fail(-EINVAL) : (uint64_t)hypercall_dispatch(args, e.op);
    v->mc_cont = NULL;
    if (cont.preempted)
        return store_continuation(entry, &cont) ? fail(-EFAULT) : 1;
    if (v != current_vcpu() || !v->in_kernel)
        return 0;
    return hw_copy_to_guest(entry + offsetof(multicall_entry_t, result), result, sizeof(*result)) ? fail(-EFAULT) : 0;
}

HYPERCALL_HANDLER(multicall)
{
    uint64_t entry = args[0], left = args[1];
    struct vcpu *v = current_vcpu();
    bool was_short = true;

    if (left > UINT32_MAX)
        return fail(-EINVAL);
    for (unsigned done = 0; left; entry += sizeof(multicall_entry_t), left--, done++) {
        uint64_t result;
        int rc;

        if (done && (!was_short || done % 8 == 0) && hw_preempt_check())
            return hw_hypercall_continue(__HYPERVISOR_multicall, 2, (uint64_t[]){entry, left});
        rc = run_entry(v, entry, &result, &was_short);
        if (rc < 0)
            return rc;
        if (rc)
            return hw_hypercall_continue(__HYPERVISOR_multicall, 2, (uint64_t[]){entry, left});
        if (!v->in_kernel)
            return (int64_t)result;
    }
    return 0;
}
