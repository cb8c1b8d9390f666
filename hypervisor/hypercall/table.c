/* SPDX-License-Identifier: MIT */
/*
 * The hypercall table: every call that is offered, its handler, and who may make it. What is not in
 * the table is -ENOSYS, which is also the answer that guests know how to take for the calls that
 * are not offered: the *_compat forms, kexec, tmem, xenoprof, xsm, nmi_op, xenpmu, argo, hypfs,
 * mca.
 */
#include "hypercall/hypercall.h"
#include "core/lib/poison.h"
#include "core/trace/latency.h"

#define CALL(number, fn, count)       [number] = {do_##fn, #fn, count, FOR_ANYBODY}
#define PRIVILEGED(number, fn, count) [number] = {do_##fn, #fn, count, FOR_PRIVILEGED}

const struct hypercall hypercall_table[HYPERCALLS_COUNT] = {
    CALL(__HYPERVISOR_set_trap_table, set_trap_table, 1),
    CALL(__HYPERVISOR_mmu_update, mmu_update, 4),
    CALL(__HYPERVISOR_set_gdt, set_gdt, 2),
    CALL(__HYPERVISOR_stack_switch, stack_switch, 2),
    CALL(__HYPERVISOR_fpu_taskswitch, fpu_taskswitch, 1),
    PRIVILEGED(__HYPERVISOR_platform_op, platform_op, 1),
    CALL(__HYPERVISOR_set_debugreg, set_debugreg, 2),
    CALL(__HYPERVISOR_get_debugreg, get_debugreg, 1),
    CALL(__HYPERVISOR_update_descriptor, update_descriptor, 2),
    CALL(__HYPERVISOR_memory_op, memory_op, 2),
    CALL(__HYPERVISOR_multicall, multicall, 2),
    CALL(__HYPERVISOR_update_va_mapping, update_va_mapping, 3),
    CALL(__HYPERVISOR_set_timer_op, set_timer_op, 1),
    CALL(__HYPERVISOR_xen_version, xen_version, 2),
    CALL(__HYPERVISOR_console_io, console_io, 3),
    CALL(__HYPERVISOR_grant_table_op, grant_table_op, 3),
    CALL(__HYPERVISOR_vm_assist, vm_assist, 2),
    CALL(__HYPERVISOR_update_va_mapping_otherdomain, update_va_mapping_otherdomain, 4),
    CALL(__HYPERVISOR_iret, iret, 0),
    CALL(__HYPERVISOR_vcpu_op, vcpu_op, 3),
    CALL(__HYPERVISOR_set_segment_base, set_segment_base, 2),
    CALL(__HYPERVISOR_mmuext_op, mmuext_op, 4),
    CALL(__HYPERVISOR_sched_op, sched_op, 2),
    CALL(__HYPERVISOR_callback_op, callback_op, 2),
    CALL(__HYPERVISOR_event_channel_op, event_channel_op, 2),
    CALL(__HYPERVISOR_physdev_op, physdev_op, 2),
    PRIVILEGED(__HYPERVISOR_domctl, domctl, 1),
    PRIVILEGED(__HYPERVISOR_sysctl, sysctl, 1),
};

/* The calls that are refused, privileged or traced. */
static __attribute__((noinline)) int64_t dispatch_with_checks(const uint64_t args[6], uint64_t nr)
{
    const struct hypercall *call;
    int64_t rc;

    if (nr >= HYPERCALLS_COUNT)
        return fail(-ENOSYS);
    call = &hypercall_table[nr & (HYPERCALLS_COUNT - 1)];
    if (call->callers == FOR_NOBODY)
        return fail(-ENOSYS);
    if (call->callers == FOR_PRIVILEGED && !current_vcpu()->domain->is_privileged)
        return fail(-EPERM);
    trace(TRACE_HYPERCALL, "%s(%lx, %lx, %lx, %lx)", call->name, args[0], args[1], args[2], args[3]);
    rc = call->handler(args);
    LATENCY(latency_end());
    HYPERCALL_DONE();
    return rc;
}

int64_t hypercall_dispatch(const uint64_t args[6], uint64_t nr)
{
    /* Masked: no speculative read beyond the table. */
    const struct hypercall *call = &hypercall_table[nr & (HYPERCALLS_COUNT - 1)];
    int64_t rc;

    if (DEBUG_BUILD)
        poison_stack();
    LATENCY(latency_begin(LATENCY_CALL(nr & (HYPERCALLS_COUNT - 1)), args));
    if (unlikely(nr >= HYPERCALLS_COUNT) || unlikely(call->callers != FOR_ANYBODY) ||
        unlikely((TRACE_MASK_COMPILED)&trace_mask & TRACE_HYPERCALL))
        return dispatch_with_checks(args, nr);
    rc = call->handler(args);
    LATENCY(latency_end());
    HYPERCALL_DONE();
    return rc;
}
