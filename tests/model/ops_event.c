/* SPDX-License-Identifier: MIT */
/* Event channels: bound, sent to, closed and reset in every order, and what a guest may write into the memory that shows them. */
#include "model.h"
#include "core/event/internal.h"

static uint32_t pick_port(void)
{
    return chance(32) ? ONE_OF(((uint32_t[]){0, 200, 1023, 1024, 131071, ~0u})) : 1 + rnd(10);
}

static void *zeroed(struct vcpu *v, size_t size)
{
    return memset(arg_room(v, size), 0, size);
}

static bool event_call(struct vcpu *v, struct call *c, unsigned cmd, void *op, size_t size)
{
    *c = (struct call){.nr = __HYPERVISOR_event_channel_op, .args = {cmd, arg_address(v, op, size)}};
    return true;
}

static uint16_t pick_peer(void)
{
    return chance(8) ? DOMID_SELF : (uint16_t)rnd(MODEL_DOMAINS);
}

static bool make_alloc(struct vcpu *v, struct call *c)
{
    struct evtchn_alloc_unbound *op = zeroed(v, sizeof(*op));

    op->dom = chance(4) ? pick_domid(v->domain) : DOMID_SELF;
    op->remote_dom = pick_peer();
    return event_call(v, c, EVTCHNOP_alloc_unbound, op, sizeof(*op));
}

static bool is_open_for(struct domain *d, uint32_t port, uint16_t peer)
{
    const struct evtchn *c = evtchn_of(d, port);

    return c && c->state == EVTCHNSTAT_unbound && c->peer == peer && !d->dying;
}

static bool make_bind(struct vcpu *v, struct call *c)
{
    struct evtchn_bind_interdomain *op = zeroed(v, sizeof(*op));
    struct domain *far;
    bool open;

    op->remote_dom = pick_peer();
    op->remote_port = pick_port();
    far = domain_get_ref(op->remote_dom, v->domain);
    open = far && is_open_for(far, op->remote_port, v->domain->id);
    if (far)
        domain_put(far);
    (void)event_call(v, c, EVTCHNOP_bind_interdomain, op, sizeof(*op));
    c->must_fail = !open;
    return true;
}

static bool make_bind_virq(struct vcpu *v, struct call *c)
{
    struct evtchn_bind_virq *op = zeroed(v, sizeof(*op));

    op->virq = chance(2) ? VIRQ_TIMER : rnd(26);
    op->vcpu = rnd(4) ? rnd(MODEL_VCPUS) : rnd(200);
    return event_call(v, c, EVTCHNOP_bind_virq, op, sizeof(*op));
}

static bool make_bind_ipi(struct vcpu *v, struct call *c)
{
    struct evtchn_bind_ipi *op = zeroed(v, sizeof(*op));

    op->vcpu = rnd(MODEL_VCPUS + 1);
    return event_call(v, c, EVTCHNOP_bind_ipi, op, sizeof(*op));
}

static bool make_bind_pirq(struct vcpu *v, struct call *c)
{
    struct evtchn_bind_pirq *op = zeroed(v, sizeof(*op));

    op->pirq = chance(16) ? 256 : rnd(30);
    op->flags = rnd(3);
    return event_call(v, c, EVTCHNOP_bind_pirq, op, sizeof(*op));
}

/* Those that name a port, or begin with it. */
static bool make_port_op(struct vcpu *v, struct call *c)
{
    static const uint8_t cmds[] = {EVTCHNOP_close,  EVTCHNOP_send,      EVTCHNOP_send,         EVTCHNOP_send,
                                   EVTCHNOP_unmask, EVTCHNOP_bind_vcpu, EVTCHNOP_set_priority, 14};
    uint32_t *op = zeroed(v, 16);

    op[0] = pick_port();
    op[1] = rnd(20);
    return event_call(v, c, ONE_OF(cmds), op, 16);
}

static bool make_status(struct vcpu *v, struct call *c)
{
    struct evtchn_status *op = zeroed(v, sizeof(*op));

    op->dom = pick_domid(v->domain);
    op->port = pick_port();
    return event_call(v, c, EVTCHNOP_status, op, sizeof(*op));
}

static bool make_reset(struct vcpu *v, struct call *c)
{
    struct evtchn_reset *op = zeroed(v, sizeof(*op));

    op->dom = pick_domid(v->domain);
    return event_call(v, c, EVTCHNOP_reset, op, sizeof(*op));
}

static bool make_fifo(struct vcpu *v, struct call *c)
{
    struct evtchn_init_control *control = zeroed(v, sizeof(*control));
    struct evtchn_expand_array *array = zeroed(v, sizeof(*array));

    control->control_gfn = chance(4) ? pick_frame(v->domain).n : pick_unused(v->domain).n;
    control->offset = chance(4) ? rnd(5000) : rnd(500) * 8;
    control->vcpu = rnd(MODEL_VCPUS + 1);
    array->array_gfn = chance(4) ? pick_frame(v->domain).n : pick_unused(v->domain).n;
    if (chance(2))
        return event_call(v, c, EVTCHNOP_expand_array, array, sizeof(*array));
    return event_call(v, c, EVTCHNOP_init_control, control, sizeof(*control));
}

/* ---- The guest's own writing ---- */

static void scribble_word(struct frame *f, void *to_add)
{
    uint32_t *words = hw_frame_va(frame_mfn(f));

    __atomic_store_n(&words[rnd(2) ? rnd(16) : rnd(1024)], (uint32_t)rnd64(), __ATOMIC_RELAXED);
    *(unsigned *)to_add += 1;
}

static void act_scribble(struct vcpu *v)
{
    struct shared_info *s = v->domain->shared_info;
    unsigned written = 0;

    if (!s)
        return;
    switch (rnd(4)) {
    case 0:
        __atomic_store_n(&s->evtchn_pending[0], rnd64(), __ATOMIC_SEQ_CST);
        break;
    case 1:
        __atomic_store_n(&s->evtchn_mask[0], chance(2) ? 0 : rnd64(), __ATOMIC_SEQ_CST);
        break;
    case 2:
        v->info->evtchn_upcall_pending = (uint8_t)chance(8);
        v->info->evtchn_upcall_mask = (uint8_t)chance(2);
        v->info->evtchn_pending_sel = chance(2) ? 0 : rnd64();
        break;
    default:
        evtchn_for_each_frame(v->domain, scribble_word, &written);
    }
}

/* It takes its events, as a guest would. */
static void act_take_events(struct vcpu *v)
{
    struct shared_info *s = v->domain->shared_info;

    v->info->evtchn_upcall_pending = 0;
    v->info->evtchn_pending_sel = 0;
    if (s)
        __atomic_store_n(&s->evtchn_pending[0], 0, __ATOMIC_SEQ_CST);
}

static const struct op ops[] = {
    CALL_OP("alloc_unbound", 12, make_alloc),     CALL_OP("bind_interdomain", 20, make_bind),
    CALL_OP("bind_virq", 5, make_bind_virq),      CALL_OP("bind_ipi", 3, make_bind_ipi),
    CALL_OP("bind_pirq", 3, make_bind_pirq),      CALL_OP("port operation", 40, make_port_op),
    CALL_OP("event status", 4, make_status),      CALL_OP("event reset", 2, make_reset),
    CALL_OP("event FIFO", 6, make_fifo),          GUEST_OP("scribble event words", 8, act_scribble),
    GUEST_OP("take events", 10, act_take_events),
};
const struct op_family ops_event = {ops, ARRAY_SIZE(ops)};
