/* SPDX-License-Identifier: MIT */
/*
 * sched_op: yielding, sleeping, polling, ending a domain, watchdogs.
 * Not offered: SCHEDOP_pin_override (-ENOSYS).
 */
#include "hypercall/hypercall.h"
#include "core/time/vcpu_timer.h"
#include <xen/sched.h>

#define POLL_PORTS_MAX 128

static int64_t sched_shutdown(struct domain *d, uint64_t arg)
{
    uint32_t latched = __atomic_load_n(&d->shutdown_latch, __ATOMIC_SEQ_CST);
    struct sched_shutdown op;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    trace(TRACE_DOMAIN, "domain %u shuts down: %u", d->id, op.reason);
    if (op.reason > SHUTDOWN_MAX)
        return fail(-EINVAL);
    domain_shutdown(d, latched ? latched - 1 : op.reason);
    return 0;
}

/* The code that is reported when the domain ends itself later, whatever reason it gives then. */
static int64_t sched_shutdown_code(struct domain *d, uint64_t arg)
{
    struct sched_shutdown op;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    if (op.reason > SHUTDOWN_MAX)
        return fail(-EINVAL);
    __atomic_store_n(&d->shutdown_latch, op.reason + 1, __ATOMIC_SEQ_CST);
    return 0;
}

static int64_t sched_remote_shutdown(struct domain *self, uint64_t arg)
{
    struct sched_remote_shutdown op;
    struct domain *d;
    int rc;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    d = domain_get_ref(op.domain_id, self);
    if (!d)
        return fail(-ESRCH);
    rc = op.reason > SHUTDOWN_MAX ? fail(-EINVAL) : policy_check(self, MAY_CONTROL_DOMAIN, d);
    if (!rc)
        domain_shutdown(d, op.reason);
    domain_put(d);
    return rc;
}

static int64_t sched_poll(struct vcpu *v, uint64_t arg)
{
    uint32_t ports[POLL_PORTS_MAX];
    struct sched_poll op;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    if (op.nr_ports > POLL_PORTS_MAX)
        return fail(-EINVAL);
    if (hw_copy_from_guest(ports, (uint64_t)op.ports.p, op.nr_ports * sizeof(*ports)))
        return fail(-EFAULT);
    return vcpu_poll(v, ports, op.nr_ports, op.timeout);
}

static int64_t sched_watchdog(struct domain *d, uint64_t arg)
{
    struct sched_watchdog op;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    return domain_watchdog(d, op.id, op.timeout);
}

HYPERCALL_HANDLER(sched_op)
{
    struct vcpu *v = current_vcpu();
    uint64_t arg = args[1];

    trace(TRACE_SCHED, "d%uv%u sched_op %lu", v->domain->id, v->id, args[0]);
    switch ((uint32_t)args[0]) {
    case SCHEDOP_yield:
        sched_yield_current();
        return 0;
    case SCHEDOP_block:
        sched_block_current();
        return 0;
    case SCHEDOP_shutdown:
        return sched_shutdown(v->domain, arg);
    case SCHEDOP_poll:
        return sched_poll(v, arg);
    case SCHEDOP_remote_shutdown:
        return sched_remote_shutdown(v->domain, arg);
    case SCHEDOP_shutdown_code:
        return sched_shutdown_code(v->domain, arg);
    case SCHEDOP_watchdog:
        return sched_watchdog(v->domain, arg);
    }
    return fail(-ENOSYS);
}
