/* SPDX-License-Identifier: MIT */
/*
 * vcpu_op and set_timer_op: a domain's own vCPUs, their timers and the memory areas they share with the hypervisor.
 * Not offered: VCPUOP_get_physid (-EINVAL: no vCPU is pinned for its guest's knowledge).
 */
#include "hypercall/hypercall.h"
#include "core/mem/alloc.h"
#include "core/mem/pte.h"
#include "core/time/vcpu_timer.h"

static int64_t vcpuop_initialise(struct vcpu *v, uint64_t arg, const uint64_t args[6])
{
    struct vcpu_guest_context *ctxt = heap_alloc(sizeof(*ctxt));
    int rc;

    if (!ctxt)
        return fail(-ENOMEM);
    rc = copy_in(ctxt, arg) ? fail(-EFAULT) : vcpu_initialise(v, ctxt);
    heap_free(ctxt);
    return rc == -ERESTART ? hw_hypercall_continue(__HYPERVISOR_vcpu_op, 3, args) : rc;
}

static int64_t vcpuop_get_runstate(struct vcpu *v, uint64_t arg)
{
    struct vcpu_runstate_info info;

    sched_get_runstate(v, &info, true);
    return copy_out(arg, &info) ? fail(-EFAULT) : 0;
}

/* Another vCPU's area is first filled through the caller's tables: a kernel's addresses are the same in all of them. */
static int64_t vcpuop_register_runstate(struct vcpu *v, uint64_t arg)
{
    struct vcpu_register_runstate_memory_area area;
    struct vcpu_runstate_info info;

    if (copy_in(&area, arg))
        return fail(-EFAULT);
    if (area.addr.p && !guest_range_ok(area.addr.p, sizeof(info)))
        return fail(-EFAULT);
    __atomic_store_n(&v->runstate_area, area.addr.p, __ATOMIC_RELAXED);
    if (!area.addr.p)
        return 0;
    if (v == current_vcpu()) {
        vcpu_runstate_copy(v);
        return 0;
    }
    sched_get_runstate(v, &info, false);
    return copy_out(area.addr.p, &info) ? fail(-EFAULT) : 0;
}

static int64_t vcpuop_register_time(struct vcpu *v, uint64_t arg)
{
    struct vcpu_register_time_memory_area area;

    if (copy_in(&area, arg))
        return fail(-EFAULT);
    if (area.addr.p && !guest_range_ok(area.addr.p, sizeof(struct vcpu_time_info)))
        return fail(-EFAULT);
    __atomic_store_n(&v->time_area, area.addr.p, __ATOMIC_RELAXED);
    if (v == current_vcpu())
        hw_update_vcpu_time(v);
    else
        sched_refresh_time(v);
    return 0;
}

static int64_t vcpuop_set_periodic(struct vcpu *v, uint64_t arg)
{
    struct vcpu_set_periodic_timer op;

    return copy_in(&op, arg) ? fail(-EFAULT) : vcpu_set_periodic(v, op.period_ns);
}

static int64_t vcpuop_set_singleshot(struct vcpu *v, uint64_t arg)
{
    struct vcpu_set_singleshot_timer op;

    if (v != current_vcpu())
        return fail(-EINVAL);
    if (copy_in(&op, arg))
        return fail(-EFAULT);
    return vcpu_set_singleshot(v, op.timeout_abs_ns, op.flags & VCPU_SSHOTTMR_future);
}

static int64_t vcpuop_stop_singleshot(struct vcpu *v)
{
    if (v != current_vcpu())
        return fail(-EINVAL);
    vcpu_stop_singleshot(v);
    return 0;
}

static int64_t vcpuop_register_info(struct vcpu *v, uint64_t arg)
{
    struct vcpu_register_vcpu_info op;

    return copy_in(&op, arg) ? fail(-EFAULT) : vcpu_register_info(v, MFN(op.mfn), op.offset);
}

/* An NMI that comes between a vCPU's entering SCHEDOP_block and its blocking waits for the vCPU's next event: blocking looks for
 * events only. */
static int64_t vcpuop_send_nmi(struct vcpu *v, uint64_t arg)
{
    if (arg)
        return fail(-EINVAL);
    __atomic_store_n(&v->nmi_pending, true, __ATOMIC_SEQ_CST);
    vcpu_kick(v);
    return 0;
}

HYPERCALL_HANDLER(vcpu_op)
{
    struct domain *d = current_vcpu()->domain;
    struct vcpu *v = args[1] <= UINT32_MAX ? vcpu_of(d, (unsigned)args[1]) : NULL;
    uint64_t arg = args[2];

    trace(TRACE_DOMAIN, "domain %u vcpu_op %lu, vcpu %lu", d->id, args[0], args[1]);
    if (!v)
        return fail(-ENOENT);
    switch ((uint32_t)args[0]) {
    case VCPUOP_initialise:
        return vcpuop_initialise(v, arg, args);
    case VCPUOP_up:
        return vcpu_up(v);
    case VCPUOP_down:
        return vcpu_down(v);
    case VCPUOP_is_up:
        return !(__atomic_load_n(&v->pause_flags, __ATOMIC_SEQ_CST) & VPF_DOWN);
    case VCPUOP_get_runstate_info:
        return vcpuop_get_runstate(v, arg);
    case VCPUOP_register_runstate_memory_area:
        return vcpuop_register_runstate(v, arg);
    case VCPUOP_set_periodic_timer:
        return vcpuop_set_periodic(v, arg);
    case VCPUOP_stop_periodic_timer:
        return vcpu_set_periodic(v, 0);
    case VCPUOP_set_singleshot_timer:
        return vcpuop_set_singleshot(v, arg);
    case VCPUOP_stop_singleshot_timer:
        return vcpuop_stop_singleshot(v);
    case VCPUOP_register_vcpu_info:
        return vcpuop_register_info(v, arg);
    case VCPUOP_send_nmi:
        return vcpuop_send_nmi(v, arg);
    case VCPUOP_get_physid:
        return fail(-EINVAL);
    case VCPUOP_register_vcpu_time_memory_area:
        return vcpuop_register_time(v, arg);
    }
    return fail(-ENOSYS);
}

HYPERCALL_HANDLER(set_timer_op)
{
    struct vcpu *v = current_vcpu();

    trace(TRACE_TIME, "d%uv%u set_timer_op %lu", v->domain->id, v->id, args[0]);
    if (!args[0]) {
        vcpu_stop_singleshot(v);
        return 0;
    }
    return vcpu_set_singleshot(v, args[0], false);
}
