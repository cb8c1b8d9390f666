/* SPDX-License-Identifier: MIT */
/*
 * The machine of the model: Domain 0 with an empty address space, two CPUs with the real scheduler, and one step of a CPU:
 * time goes on, what is due is done, and what the CPU runs makes one operation, or goes on with a hypercall that was cut.
 */
#include "model.h"
#include "core/event/event.h"
#include "core/mem/alloc.h"
#include "core/mem/mmu.h"
#include "core/mem/reservation.h"
#include "core/sched/sched.h"
#include "core/trace/conring.h"

static struct {
    const struct op *op;
    unsigned up_to; /* sum of weights, this one included */
} choices[2][128];  /* of ordinary domains, of privileged ones */
static unsigned choices_count, weights[2];
static uint64_t heap_before;
mfn_t world_m2p;

/* ---- The vCPUs' memory for arguments ---- */

static struct model_vcpu vcpus[(MODEL_DOMAINS + 4) * MODEL_VCPUS] __aligned_to(4096);
_Static_assert(sizeof(struct model_vcpu) % 64 == 0, "arenas are aligned");

struct model_vcpu *model_vcpu(const struct vcpu *v)
{
    return &vcpus[(v->domain->id % (MODEL_DOMAINS + 4)) * MODEL_VCPUS + v->id % MODEL_VCPUS];
}

/* ---- Choosing ---- */

static void add_family(const struct op_family *f)
{
    for (unsigned i = 0; i < f->count; i++) {
        const struct op *op = &f->ops[i];

        weights[0] += op->privileged ? (op->weight + 15) / 16 : op->weight;
        weights[1] += op->weight;
        for (unsigned p = 0; p < 2; p++)
            choices[p][choices_count].up_to = weights[p], choices[p][choices_count].op = op;
        choices_count++;
    }
}

const struct op *pick_op(const struct vcpu *v)
{
    unsigned p = v->domain->is_privileged, at = rnd(weights[p]), i = 0;

    while (choices[p][i].up_to <= at)
        i++;
    return choices[p][i].op;
}

static unsigned number_of(const struct op *op)
{
    for (unsigned i = 0; i < choices_count; i++)
        if (choices[0][i].op == op)
            return i;
    return 0;
}

const char *op_name(unsigned number)
{
    return number < choices_count ? choices[0][number].op->name : NULL;
}

/* ---- Making the machine ---- */

static void context_switched(struct vcpu *prev, struct vcpu *next)
{
    hw_load_l4(!next->domain ? INVALID_MFN : next->in_kernel ? next->kernel_l4 : next->user_l4);
}

static void create_domain0(void)
{
    struct domain_config cfg = {.max_vcpus = MODEL_VCPUS,
                                .max_evtchn_port = 1023,
                                .max_grant_frames = 3,
                                .max_maptrack_frames = 2,
                                .pages_max = MODEL_PAGES + 16,
                                .privileged = true,
                                .hardware = rnd64() & 1};
    struct vcpu_guest_context ctxt = {.flags = VGCF_in_kernel | VGCF_online};
    struct domain *d;

    if (domain_create(&cfg, &d))
        violation("Domain 0 cannot be created");
    domain0 = d;
    for (unsigned i = 0; i < MODEL_PAGES; i++)
        ctxt.ctrlreg[3] = reservation_add(d, 0, 0, false).n << PAGE_SHIFT;
    io_frames_permit(d, host_io_frame(0).n, host_io_frame(3).n, true);
    rangeset_add(&d->io_ports, 0, 0xffff);
    rangeset_add(&d->io_irqs, 0, HOST_PIRQS - 1);
    if (vcpu_initialise(d->vcpus[0], &ctxt) || domain_control_unpause(d))
        violation("Domain 0 cannot be started");
}

void world_learn(void)
{
    static const struct op_family *const families[] = {&ops_mmu,  &ops_memory, &ops_grant,  &ops_event,
                                                       &ops_vcpu, &ops_domctl, &ops_machine};

    for (unsigned i = 0; i < ARRAY_SIZE(families); i++)
        add_family(families[i]);
}

static void no_audit(void)
{
}

void world_create(void)
{
    host_machine_init(MODEL_CPUS, MODEL_FRAMES);
    host_switch_hook = context_switched;
    host_direct_start = (uint64_t)vcpus;
    host_direct_size = sizeof(vcpus);
    for (unsigned i = 0; i < 3; i++)
        host_pci_present[i] = true;
    trace_mask = chance(4) ? ~0u : 0;
    keys_init();
    key_register('A', "the model makes an audit after each step: there is but one at a time", no_audit);
    scrub_start();
    cpus_init();
    heap_before = heap_used_bytes();
    world_m2p = alloc_frames(0, 0);
    frame_of(world_m2p)->refs |= FR_SHARED;
    create_domain0();
}

/* ---- A step ---- */

int64_t world_call(struct vcpu *v, const struct call *c)
{
    struct model_vcpu *m = model_vcpu(v);
    int64_t rc;

    stats->calls++;
    port_poison_stack();
    host_continuation.valid = false;
    rc = hypercall_dispatch(c->args, c->nr);
    lock_assert_none_held();
    if (rc == -ERESTART)
        violation("-ERESTART has left hypercall %u", c->nr);
    m->has_pending = rc == HOST_CONTINUE && host_continuation.valid;
    if (m->has_pending) {
        m->pending = (struct call){.nr = host_continuation.nr};
        memcpy(m->pending.args, host_continuation.args, host_continuation.count * sizeof(uint64_t));
        stats->continued++;
    }
    return rc;
}

static bool arena_holds(const struct vcpu *v, uint64_t va)
{
    return va - (uint64_t)model_vcpu(v)->arena < ARENA_SIZE;
}

static void make_call(struct vcpu *v, const struct op *op, const struct call *c)
{
    unsigned n = number_of(op);
    uint16_t id = v->domain->id;
    unsigned vcpu = v->id;
    int64_t rc;

    stats->tried[n]++;
    rc = world_call(v, c);
    if (rc >= 0)
        stats->done[n]++;
    if (!model_points_on && !port_scrambles() && rc != HOST_CONTINUE) {
        if (c->must_fail && rc >= 0)
            violation("%s gave %ld", op->name, rc);
        if (op->after && !rc && arena_holds(v, c->args[1]))
            op->after(v, c);
    }
    say("  d%uv%u %s (%u: %lx %lx %lx %lx) = %ld\n", id, vcpu, op->name, c->nr, c->args[0], c->args[1], c->args[2],
        c->args[3], rc == HOST_CONTINUE ? -ERESTART : rc);
}

static bool make_arguments(struct vcpu *v, const struct op *op, struct call *c)
{
    int points = model_points_on;
    bool ok;

    model_points_on = 0; /* nothing changes meanwhile: what is picked may be used without a reference */
    ok = op->make(v, c);
    model_points_on = points;
    return ok;
}

static void guest_step(struct vcpu *v)
{
    struct model_vcpu *m = model_vcpu(v);
    struct call c = {0};
    const struct op *op;

    if (m->has_pending && !chance(8)) {
        c = m->pending;
        say("  d%uv%u goes on with %u\n", v->domain->id, v->id, c.nr);
        world_call(v, &c);
        return;
    }
    if (chance(2))
        m->has_pending = false; /* given up; else an upcall's handler is at work */
    op = pick_op(v);
    if (op->act) {
        say("  d%uv%u %s\n", v->domain->id, v->id, op->name);
        op->act(v);
        stats->tried[number_of(op)]++;
        stats->done[number_of(op)]++;
    } else if (make_arguments(v, op, &c)) {
        make_call(v, op, &c);
    }
}

/* Somebody who sleeps is woken; Domain 0 is never gone for good. */
static void wake_somebody(void)
{
    struct domain *d = domain_get((uint16_t)rnd(MODEL_DOMAINS));

    if (!d)
        return;
    if (d->is_privileged) {
        domain_resume(d);
        (void)vcpu_up(d->vcpus[0]);
        (void)domain_control_unpause(d);
    }
    vcpu_unblock(d->vcpus[rnd(d->max_vcpus)]);
    domain_put(d);
}

/* What comes from outside: devices, other CPUs' idle loops. */
static void environment(void)
{
    struct domain *d;

    switch (rnd(8)) {
    case 0:
        d = domain_get((uint16_t)rnd(MODEL_DOMAINS));
        if (!d)
            return;
        evtchn_raise_pirq(d, rnd(30));
        domain_put(d);
        break;
    case 1:
        evtchn_raise_global_virq(chance(2) ? VIRQ_DOM_EXC : VIRQ_CONSOLE);
        break;
    case 2:
        (void)scrub_idle();
        break;
    case 3:
        console_input("abA\001"[rnd(4)]);
        break;
    default:
        wake_somebody();
    }
}

static void time_goes_on(unsigned cpu)
{
    host_now_ns += chance(4) ? 31 * MSEC : rnd(200000);
    if (host_cpus[cpu]->timer_deadline > host_now_ns)
        return;
    host_cpus[cpu]->timer_deadline = ~0UL;
    pcpu_raise(cpu, PCPU_WORK_TIMER);
}

void world_step(unsigned cpu)
{
    host_this_cpu = pcpus[cpu];
    time_goes_on(cpu);
    pcpu_do_work();
    if (chance(16) || !current_vcpu()->domain)
        environment();
    if (current_vcpu()->domain)
        guest_step(current_vcpu());
    pcpu_do_work();
}

/* ---- The end ---- */

static void destroy(struct domain *d)
{
    unsigned tries = 0;

    while (domain_destroy(d) == -ERESTART) {
        cpus_relax();
        if (++tries > 100000)
            violation("domain %u cannot be destroyed", d->id);
    }
}

static void all_work(void)
{
    for (unsigned n = 0; n < 4; n++)
        for (unsigned cpu = 0; cpu < MODEL_CPUS; cpu++) {
            host_this_cpu = pcpus[cpu];
            pcpu_do_work();
        }
}

/* From a CPU that runs nobody: the others' vCPUs go first. */
void world_end(void)
{
    for (struct domain *d = domain_next(NULL); d; d = domain_next(d))
        domain_pause(d);
    all_work();
    host_this_cpu = pcpus[0];
    for (struct domain *d = domain_next(NULL); d; d = domain_next(d))
        if (d != domain0)
            destroy(d);
    all_work();
    check_all();
    host_this_cpu = pcpus[0];
    while (alloc_scrub_some())
        ;
    struct domain *d0 = domain0;
    domain0 = NULL;
    destroy(d0);
    all_work();
    if (domain_next(NULL))
        violation("a domain is left");
    check_nothing_left();
    if (heap_used_bytes() != heap_before)
        violation("%lu bytes of the heap are not given back", heap_used_bytes() - heap_before);
}
