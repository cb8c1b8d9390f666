/* SPDX-License-Identifier: MIT */
/*
 * event_channel_op: decodes each command, finds the domain it is about, makes one call of core/event/.
 * A port that cannot be told to the guest (the answer's page is gone) is closed again.
 */
#include "hypercall/hypercall.h"
#include "core/event/event.h"
#include <xen/event_channel.h>

/* The domain that a command names, with a reference; another than the caller's needs the right to control it. */
static int target(uint16_t id, struct domain **out)
{
    struct domain *self = current_vcpu()->domain;
    struct domain *d = domain_get_ref(id, self);
    int rc = 0;

    *out = NULL;
    if (!d)
        return fail(-ESRCH);
    if (d != self)
        rc = policy_check(self, MAY_CONTROL_DOMAIN, d);
    if (rc) {
        domain_put(d);
        return rc;
    }
    *out = d;
    return 0;
}

/* The end of a command that made a port: `rc` of making it, and where the answer goes. */
static int64_t answer_port(struct domain *d, int rc, uint64_t arg, const void *answer, size_t size, uint32_t port)
{
    if (rc)
        return rc;
    if (!hw_copy_to_guest(arg, answer, size))
        return 0;
    evtchn_close(d, port);
    return fail(-EFAULT);
}

static int64_t alloc_unbound(uint64_t arg)
{
    struct domain *self = current_vcpu()->domain, *d;
    struct evtchn_alloc_unbound op;
    int64_t rc;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    rc = target(op.dom, &d);
    if (rc)
        return rc;
    rc = evtchn_alloc_unbound(d, op.remote_dom == DOMID_SELF ? self->id : op.remote_dom, &op.port);
    rc = answer_port(d, (int)rc, arg, &op, sizeof(op), op.port);
    domain_put(d);
    return rc;
}

static int64_t bind_interdomain(uint64_t arg)
{
    struct domain *d = current_vcpu()->domain;
    struct evtchn_bind_interdomain op;
    int rc;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    rc = evtchn_bind_interdomain(d, op.remote_dom, op.remote_port, &op.local_port);
    return answer_port(d, rc, arg, &op, sizeof(op), op.local_port);
}

static int64_t bind_virq(uint64_t arg)
{
    struct domain *d = current_vcpu()->domain;
    struct evtchn_bind_virq op;
    int rc;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    rc = evtchn_bind_virq(d, op.virq, op.vcpu, &op.port);
    return answer_port(d, rc, arg, &op, sizeof(op), op.port);
}

static int64_t bind_ipi(uint64_t arg)
{
    struct domain *d = current_vcpu()->domain;
    struct evtchn_bind_ipi op;
    int rc;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    rc = evtchn_bind_ipi(d, op.vcpu, &op.port);
    return answer_port(d, rc, arg, &op, sizeof(op), op.port);
}

static int64_t bind_pirq(uint64_t arg)
{
    struct domain *d = current_vcpu()->domain;
    struct evtchn_bind_pirq op;
    int rc;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    rc = evtchn_bind_pirq(d, op.pirq, op.flags, &op.port);
    return answer_port(d, rc, arg, &op, sizeof(op), op.port);
}

static int64_t status(uint64_t arg)
{
    struct evtchn_status op;
    struct domain *d;
    int rc;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    rc = target(op.dom, &d);
    if (rc)
        return rc;
    rc = evtchn_status(d, &op);
    domain_put(d);
    if (rc)
        return rc;
    return copy_out(arg, &op) ? fail(-EFAULT) : 0;
}

static int64_t reset(const uint64_t args[6])
{
    struct evtchn_reset op;
    struct domain *d;
    int rc;

    if (copy_in(&op, args[1]))
        return fail(-EFAULT);
    rc = target(op.dom, &d);
    if (rc)
        return rc;
    rc = evtchn_reset(d);
    domain_put(d);
    return rc == -ERESTART ? hw_hypercall_continue(__HYPERVISOR_event_channel_op, 2, args) : rc;
}

/* With this bit a command is our own continuation: the rest is the port to go on with. A guest that makes such a call has what
 * it asks for. */
#define SHOW_FROM 0x80000000u

static int64_t show_from(uint32_t port)
{
    int rc = evtchn_show_deferred(current_vcpu()->domain, &port);

    return rc == -ERESTART ? hw_hypercall_continue(__HYPERVISOR_event_channel_op, 2, (uint64_t[]){SHOW_FROM | port, 0})
                           : rc;
}

static int64_t init_control(uint64_t arg)
{
    struct evtchn_init_control op;
    int rc;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    rc = evtchn_init_control(current_vcpu()->domain, &op);
    if (rc)
        return rc;
    return copy_out(arg, &op) ? fail(-EFAULT) : show_from(1);
}

static int64_t expand_array(uint64_t arg)
{
    struct evtchn_expand_array op;
    int rc = copy_in(&op, arg) ? fail(-EFAULT) : evtchn_expand_array(current_vcpu()->domain, op.array_gfn);

    return rc ? rc : show_from(1);
}

/* Commands that take one struct and give nothing back. */
static int64_t simple(uint32_t cmd, uint64_t arg)
{
    struct domain *d = current_vcpu()->domain;
    union {
        struct evtchn_close close;
        struct evtchn_bind_vcpu bind_vcpu;
        struct evtchn_unmask unmask;
        struct evtchn_set_priority priority;
    } op;

    switch (cmd) {
    case EVTCHNOP_close:
        return copy_in(&op.close, arg) ? fail(-EFAULT) : evtchn_close(d, op.close.port);
    case EVTCHNOP_bind_vcpu:
        return copy_in(&op.bind_vcpu, arg) ? fail(-EFAULT) : evtchn_bind_vcpu(d, op.bind_vcpu.port, op.bind_vcpu.vcpu);
    case EVTCHNOP_unmask:
        return copy_in(&op.unmask, arg) ? fail(-EFAULT) : evtchn_unmask(d, op.unmask.port);
    case EVTCHNOP_set_priority:
        return copy_in(&op.priority, arg) ? fail(-EFAULT)
                                          : evtchn_set_priority(d, op.priority.port, op.priority.priority);
    default:
        return fail(-ENOSYS);
    }
}

HYPERCALL_HANDLER(event_channel_op)
{
    struct evtchn_send send;

    trace(TRACE_EVENT, "event_channel_op %u", (uint32_t)args[0]);
    switch ((uint32_t)args[0]) {
    case EVTCHNOP_send:
        return copy_in(&send, args[1]) ? fail(-EFAULT) : evtchn_send(current_vcpu()->domain, send.port);
    case EVTCHNOP_alloc_unbound:
        return alloc_unbound(args[1]);
    case EVTCHNOP_bind_interdomain:
        return bind_interdomain(args[1]);
    case EVTCHNOP_bind_virq:
        return bind_virq(args[1]);
    case EVTCHNOP_bind_ipi:
        return bind_ipi(args[1]);
    case EVTCHNOP_bind_pirq:
        return bind_pirq(args[1]);
    case EVTCHNOP_status:
        return status(args[1]);
    case EVTCHNOP_reset:
        return reset(args);
    case EVTCHNOP_init_control:
        return init_control(args[1]);
    case EVTCHNOP_expand_array:
        return expand_array(args[1]);
    default:
        if ((uint32_t)args[0] & SHOW_FROM)
            return show_from((uint32_t)args[0] & ~SHOW_FROM);
        return simple((uint32_t)args[0], args[1]);
    }
}
