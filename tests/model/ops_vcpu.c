/* SPDX-License-Identifier: MIT */
/* A domain's own vCPUs: starting, sleeping, polling, timers, areas, ending. */
#include "model.h"
#include <xen/sched.h>

/* Domain 0's end would be the machine's. */
static bool may_end(const struct domain *d)
{
    return !d->is_hardware;
}

static bool make_sched(struct vcpu *v, struct call *c)
{
    static const uint8_t cmds[] = {SCHEDOP_yield, SCHEDOP_yield, SCHEDOP_block, SCHEDOP_pin_override, 99};
    unsigned cmd = ONE_OF(cmds);

    *c = (struct call){.nr = __HYPERVISOR_sched_op, .args = {cmd, 0}};
    return true;
}

static bool make_poll(struct vcpu *v, struct call *c)
{
    struct sched_poll *op = arg_room(v, sizeof(*op));
    uint32_t *ports = arg_room(v, 16);

    for (unsigned i = 0; i < 4; i++)
        ports[i] = rnd(12);
    op->ports.p = ports;
    op->nr_ports = chance(32) ? 200 : rnd(4);
    op->timeout = chance(2) ? host_now_ns + rnd(10000000) : chance(2) ? 0 : 1;
    *c = (struct call){.nr = __HYPERVISOR_sched_op, .args = {SCHEDOP_poll, arg_address(v, op, sizeof(*op))}};
    return true;
}

static bool make_shutdown(struct vcpu *v, struct call *c)
{
    static const uint8_t cmds[] = {SCHEDOP_shutdown, SCHEDOP_shutdown_code, SCHEDOP_watchdog, SCHEDOP_remote_shutdown};
    struct sched_remote_shutdown *remote = arg_room(v, sizeof(*remote));
    struct sched_shutdown *op = arg_room(v, sizeof(*op));
    struct sched_watchdog *dog = arg_room(v, sizeof(*dog));
    unsigned cmd = ONE_OF(cmds);

    remote->domain_id = (domid_t)(chance(4) ? DOMID_SELF : rnd(MODEL_DOMAINS));
    remote->reason = op->reason = rnd(SHUTDOWN_MAX + 2);
    *dog = (struct sched_watchdog){.id = rnd(4), .timeout = rnd(3)};
    if (!may_end(v->domain) &&
        (cmd != SCHEDOP_remote_shutdown || !remote->domain_id || remote->domain_id == DOMID_SELF))
        return false;
    *c = (struct call){.nr = __HYPERVISOR_sched_op,
                       .args = {cmd, (uint64_t)(cmd == SCHEDOP_watchdog          ? (void *)dog
                                                : cmd == SCHEDOP_remote_shutdown ? (void *)remote
                                                                                 : (void *)op)}};
    return true;
}

static bool make_vcpu_op(struct vcpu *v, struct call *c)
{
    static const uint8_t cmds[] = {VCPUOP_up,
                                   VCPUOP_up,
                                   VCPUOP_down,
                                   VCPUOP_is_up,
                                   VCPUOP_get_runstate_info,
                                   VCPUOP_stop_periodic_timer,
                                   VCPUOP_stop_singleshot_timer,
                                   VCPUOP_send_nmi,
                                   VCPUOP_get_physid,
                                   99};
    unsigned cmd = ONE_OF(cmds);

    if (cmd == VCPUOP_down && !may_end(v->domain))
        return false;
    *c = (struct call){
        .nr = __HYPERVISOR_vcpu_op,
        .args = {cmd, chance(32) ? 1UL << rnd(64) : rnd(MODEL_VCPUS + 1),
                 cmd == VCPUOP_get_runstate_info ? (uint64_t)arg_room(v, sizeof(struct vcpu_runstate_info)) : 0}};
    return true;
}

static bool make_initialise(struct vcpu *v, struct call *c)
{
    struct vcpu_guest_context *ctxt = arg_room(v, sizeof(*ctxt));

    memset(ctxt, 0, sizeof(*ctxt));
    ctxt->flags = VGCF_in_kernel | (chance(2) ? VGCF_online : 0);
    ctxt->ctrlreg[3] = (chance(2) ? pick_table(v->domain, 4) : pick_unused(v->domain)).n << PAGE_SHIFT;
    ctxt->ctrlreg[1] = chance(2) ? 0 : pick_frame(v->domain).n << PAGE_SHIFT;
    ctxt->gdt_ents = rnd(3) ? 0 : 512;
    ctxt->gdt_frames[0] = pick_unused(v->domain).n;
    *c = (struct call){.nr = __HYPERVISOR_vcpu_op, .args = {VCPUOP_initialise, rnd(MODEL_VCPUS), (uint64_t)ctxt}};
    return true;
}

static bool make_register(struct vcpu *v, struct call *c)
{
    static const uint8_t cmds[] = {VCPUOP_register_vcpu_info, VCPUOP_register_runstate_memory_area,
                                   VCPUOP_register_vcpu_time_memory_area};
    struct vcpu_register_vcpu_info *info = arg_room(v, sizeof(*info));
    uint64_t *area = arg_room(v, 8);
    unsigned cmd = ONE_OF(cmds);

    *info = (struct vcpu_register_vcpu_info){.mfn = chance(4) ? pick_frame(v->domain).n : pick_unused(v->domain).n,
                                             .offset = rnd(chance(8) ? 5000 : 500) * 8};
    *area = chance(8) ? 0 : chance(2) ? pick_va() : (uint64_t)arg_room(v, sizeof(struct vcpu_runstate_info));
    *c = (struct call){
        .nr = __HYPERVISOR_vcpu_op,
        .args = {cmd, rnd(MODEL_VCPUS),
                 cmd == VCPUOP_register_vcpu_info ? arg_address(v, info, sizeof(*info)) : (uint64_t)area}};
    return true;
}

static bool make_timer(struct vcpu *v, struct call *c)
{
    struct vcpu_set_singleshot_timer *single = arg_room(v, sizeof(*single));
    struct vcpu_set_periodic_timer *periodic = arg_room(v, sizeof(*periodic));

    *single = (struct vcpu_set_singleshot_timer){host_now_ns + rnd(5000000) - 1000000, rnd(2)};
    periodic->period_ns = chance(4) ? rnd64() : 1000000UL * rnd(20);
    switch (rnd(3)) {
    case 0:
        *c = (struct call){.nr = __HYPERVISOR_set_timer_op, .args = {chance(4) ? 0 : host_now_ns + rnd(5000000)}};
        break;
    case 1:
        *c = (struct call){.nr = __HYPERVISOR_vcpu_op,
                           .args = {VCPUOP_set_singleshot_timer, rnd(MODEL_VCPUS), (uint64_t)single}};
        break;
    default:
        *c = (struct call){.nr = __HYPERVISOR_vcpu_op,
                           .args = {VCPUOP_set_periodic_timer, rnd(MODEL_VCPUS), (uint64_t)periodic}};
    }
    return true;
}

static const struct op ops[] = {
    CALL_OP("sched_op", 10, make_sched),      CALL_OP("poll", 4, make_poll),
    CALL_OP("shut down", 1, make_shutdown),   CALL_OP("vcpu_op", 8, make_vcpu_op),
    CALL_OP("vcpu init", 6, make_initialise), CALL_OP("register area", 5, make_register),
    CALL_OP("set timer", 5, make_timer),
};
const struct op_family ops_vcpu = {ops, ARRAY_SIZE(ops)};
