/* SPDX-License-Identifier: MIT */
/* Event channels: states of ports, errors, delivery by two levels, polling, closing; random use checked against rules. */
#include "host/test.h"
#include <pthread.h>
#include <time.h>
#include "core/event/event.h"
#include "core/lib/bitmap.h"
#include "core/mem/alloc.h"
#include "core/trace/conring.h"
#include "hypercall/hypercall.h"

static struct domain *make(uint16_t id, unsigned vcpus, unsigned max_port)
{
    struct domain_config cfg = {.id = id, .max_vcpus = vcpus, .max_evtchn_port = max_port, .privileged = !id};
    struct domain *d = NULL;

    cfg.pages_max = 100;
    assert_int_equal(domain_create(&cfg, &d), 0);
    if (!id)
        domain0 = d;
    return d;
}

static struct evtchn_status status_of(struct domain *d, uint32_t port)
{
    struct evtchn_status st = {.port = port};

    assert_int_equal(evtchn_status(d, &st), 0);
    return st;
}

static bool pending(struct domain *d, uint32_t port)
{
    return bit_test(d->shared_info->evtchn_pending, port);
}

static void mask_all(struct domain *d, bool on)
{
    memset(d->shared_info->evtchn_mask, on ? 0xff : 0, sizeof(d->shared_info->evtchn_mask));
}

/* What a guest does in its upcall. */
static void take_events(struct domain *d, unsigned vcpu)
{
    struct vcpu_info *info = d->vcpus[vcpu]->info;

    info->evtchn_upcall_pending = 0;
    info->evtchn_pending_sel = 0;
    memset(d->shared_info->evtchn_pending, 0, sizeof(d->shared_info->evtchn_pending));
}

/* d's new port joined with e's new port. */
static void join(struct domain *d, struct domain *e, uint32_t *at_d, uint32_t *at_e)
{
    assert_int_equal(evtchn_alloc_unbound(e, d->id, at_e), 0);
    assert_int_equal(evtchn_bind_interdomain(d, e->id, *at_e, at_d), 0);
}

static void interdomain(void **state)
{
    struct domain *d, *e;
    uint32_t pd, pe, other;

    host_machine_init(2, 0);
    d = make(0, 2, ~0u);
    e = make(1, 2, ~0u);
    assert_int_equal(evtchn_bind_interdomain(d, 1, 1, &pd), -EINVAL);
    assert_int_equal(evtchn_bind_interdomain(d, 7, 1, &pd), -ESRCH);
    assert_int_equal(evtchn_alloc_unbound(e, 5, &other), 0);
    assert_int_equal(evtchn_bind_interdomain(d, 1, other, &pd), -EINVAL); /* is for domain 5 */
    assert_int_equal(d->refcount, 1);
    assert_int_equal(e->refcount, 1);

    join(d, e, &pd, &pe);
    assert_true(pending(d, pd)); /* once, for what was sent before */
    assert_false(pending(e, pe));
    assert_int_equal(status_of(d, pd).status, EVTCHNSTAT_interdomain);
    assert_int_equal(status_of(d, pd).u.interdomain.dom, 1);
    assert_int_equal(status_of(d, pd).u.interdomain.port, pe);
    assert_int_equal(status_of(e, pe).u.interdomain.port, pd);
    assert_int_equal(d->refcount, 2);
    assert_int_equal(e->refcount, 2);

    assert_int_equal(evtchn_send(d, pd), 0);
    assert_true(pending(e, pe));
    assert_int_equal(e->vcpus[0]->info->evtchn_upcall_pending, 1);
    assert_int_equal(e->vcpus[0]->info->evtchn_pending_sel, 1);
    assert_int_equal(e->vcpus[1]->info->evtchn_upcall_pending, 0);

    assert_int_equal(evtchn_close(d, pd), 0);
    assert_int_equal(evtchn_close(d, pd), -EINVAL);
    assert_int_equal(status_of(e, pe).status, EVTCHNSTAT_unbound);
    assert_int_equal(status_of(e, pe).u.unbound.dom, 0);
    assert_int_equal(evtchn_send(e, pe), 0); /* nobody there: dropped */
    assert_int_equal(evtchn_send(d, pd), -EINVAL);
    assert_int_equal(d->refcount, 1);
    assert_int_equal(e->refcount, 1);
    assert_int_equal(evtchn_bind_interdomain(d, 1, pe, &pd), 0); /* and again */
    assert_int_equal(evtchn_close(e, pe), 0);
    assert_int_equal(status_of(d, pd).status, EVTCHNSTAT_unbound);
    assert_int_equal(evtchn_close(d, pd), 0);
    assert_int_equal(evtchn_close(e, other), 0);
    assert_false(pending(e, pe));

    join(d, d, &pd, &pe); /* with oneself */
    assert_int_equal(d->refcount, 3);
    take_events(d, 0);
    assert_int_equal(evtchn_send(d, pe), 0);
    assert_true(pending(d, pd));
    assert_int_equal(evtchn_close(d, pe), 0);
    assert_int_equal(d->refcount, 1);
}

/* Whoever has a channel to a domain that dies is told: its end is pending, and unbound. */
static void death_is_told(void **state)
{
    struct domain *d, *e;
    uint32_t pd, pe;

    host_machine_init(2, 0);
    d = make(0, 1, ~0u);
    e = make(1, 1, ~0u);
    join(d, e, &pd, &pe);
    take_events(d, 0);
    assert_int_equal(evtchn_close(e, pe), 0);
    assert_false(pending(d, pd)); /* that is the guest's own affair */
    assert_int_equal(evtchn_close(d, pd), 0);
    join(d, e, &pd, &pe);
    take_events(d, 0);
    assert_int_equal(domain_destroy(e), 0);
    assert_true(pending(d, pd));
    assert_int_equal(status_of(d, pd).status, EVTCHNSTAT_unbound);
    assert_null(domain_get(1));
}

static void virqs(void **state)
{
    struct domain *d;
    uint32_t p, q;

    host_machine_init(1, 0);
    d = make(0, 2, ~0u);
    assert_int_equal(evtchn_bind_virq(d, 24, 0, &p), -EINVAL);
    assert_int_equal(evtchn_bind_virq(d, VIRQ_TIMER, 2, &p), -ENOENT);
    assert_int_equal(evtchn_bind_virq(d, VIRQ_CONSOLE, 1, &p), -EINVAL);
    assert_int_equal(evtchn_bind_virq(d, VIRQ_TIMER, 1, &p), 0);
    assert_int_equal(evtchn_bind_virq(d, VIRQ_TIMER, 1, &q), -EEXIST);
    assert_int_equal(evtchn_bind_virq(d, VIRQ_CONSOLE, 0, &q), 0);
    assert_int_equal(status_of(d, p).vcpu, 1);
    assert_int_equal(status_of(d, p).u.virq, VIRQ_TIMER);
    assert_int_equal(evtchn_send(d, p), -EINVAL);
    assert_int_equal(evtchn_bind_vcpu(d, p, 0), -EINVAL); /* a vCPU's own */
    assert_int_equal(evtchn_bind_vcpu(d, q, 2), -ENOENT);
    assert_int_equal(evtchn_bind_vcpu(d, q, 1), 0);

    mask_all(d, true);
    evtchn_raise_virq(d->vcpus[0], VIRQ_TIMER); /* not bound */
    evtchn_raise_virq(d->vcpus[1], VIRQ_TIMER);
    assert_true(pending(d, p));
    assert_int_equal(d->vcpus[1]->info->evtchn_upcall_pending, 0);
    assert_int_equal(evtchn_unmask(d, p), 0); /* tells at once what waits */
    assert_int_equal(d->vcpus[1]->info->evtchn_upcall_pending, 1);
    take_events(d, 1);
    mask_all(d, false);
    evtchn_raise_global_virq(VIRQ_CONSOLE);
    assert_true(pending(d, q));
    assert_int_equal(d->vcpus[1]->info->evtchn_upcall_pending, 1);
    evtchn_raise_global_virq(VIRQ_DOM_EXC); /* not bound */

    assert_int_equal(evtchn_close(d, q), 0);
    assert_int_equal(evtchn_close(d, p), 0);
    assert_false(pending(d, q));
    evtchn_raise_virq(d->vcpus[1], VIRQ_TIMER);
    assert_false(pending(d, p));
    assert_int_equal(evtchn_bind_virq(d, VIRQ_CONSOLE, 0, &q), 0);
    assert_int_equal(evtchn_bind_virq(d, VIRQ_TIMER, 1, &p), 0);
    assert_int_equal(status_of(d, q).vcpu, 0); /* fresh bindings tell vCPU 0 */
}

/* Whoever prints may hold any lock: Domain 0 is told later, once for all that was printed. */
static void console_text_is_told(void **state)
{
    struct domain *d;
    uint32_t p;

    host_machine_init(1, 0);
    d = make(0, 1, ~0u);
    assert_int_equal(evtchn_bind_virq(d, VIRQ_CON_RING, 0, &p), 0);
    conring_write("text\n", 5);
    assert_false(pending(d, p));
    pcpu_do_work();
    assert_true(pending(d, p));
    take_events(d, 0);
    pcpu_do_work();
    assert_false(pending(d, p));
}

static void pirqs(void **state)
{
    struct domain *d;
    uint32_t p, q;

    host_machine_init(1, 0);
    d = make(0, 1, ~0u);
    evtchn_raise_pirq(d, 3); /* none bound yet */
    assert_int_equal(evtchn_bind_pirq(d, hw_pirq_max(), 0, &p), -EINVAL);
    assert_int_equal(evtchn_bind_pirq(d, ~0u, 0, &p), -EINVAL);
    assert_int_equal(evtchn_bind_pirq(d, 3, 2, &p), -EINVAL);
    assert_int_equal(evtchn_bind_pirq(d, 3, BIND_PIRQ__WILL_SHARE, &p), 0);
    assert_ptr_equal(host_pirqs[3].bound, d);
    assert_true(host_pirqs[3].will_share);
    assert_int_equal(evtchn_bind_pirq(d, 3, 0, &q), -EEXIST);
    host_pirqs[4].bound = (void *)1;
    assert_int_equal(evtchn_bind_pirq(d, 4, 0, &q), -EBUSY); /* the port is given back */
    assert_int_equal(evtchn_bind_ipi(d, 0, &q), 0);
    assert_int_equal(q, p + 1);
    evtchn_raise_pirq(d, 3);
    evtchn_raise_pirq(d, 4);
    evtchn_raise_pirq(d, ~0u);
    assert_true(pending(d, p));
    assert_false(pending(d, q));
    assert_int_equal(evtchn_close(d, p), 0);
    assert_null(host_pirqs[3].bound);
    evtchn_raise_pirq(d, 3);
    assert_false(pending(d, p));
}

static void ports_run_out(void **state)
{
    struct domain *d, *e;
    uint32_t p;

    host_machine_init(1, 0);
    d = make(0, 1, 200);
    for (uint32_t i = 1; i <= 200; i++) {
        assert_int_equal(evtchn_bind_ipi(d, 0, &p), 0);
        assert_int_equal(p, i);
    }
    assert_int_equal(evtchn_bind_ipi(d, 0, &p), -ENOSPC);
    assert_int_equal(evtchn_close(d, 77), 0);
    assert_int_equal(evtchn_bind_ipi(d, 0, &p), 0);
    assert_int_equal(p, 77);
    assert_int_equal(evtchn_close(d, 0), -EINVAL);
    assert_int_equal(evtchn_close(d, 201), -EINVAL);
    assert_int_equal(evtchn_send(d, ~0u), -EINVAL);
    assert_int_equal(evtchn_unmask(d, 500), -EINVAL);
    assert_int_equal(evtchn_bind_vcpu(d, 0, 0), -EINVAL);
    struct evtchn_status st = {.port = 5000};
    assert_int_equal(evtchn_status(d, &st), -EINVAL);

    e = make(1, 1, ~0u); /* two levels have 4096 whatever the domain's limit is */
    for (uint32_t i = 1; i < EVTCHN_PORTS_2L; i++)
        assert_int_equal(evtchn_bind_ipi(e, 0, &p), 0);
    assert_int_equal(evtchn_bind_ipi(e, 0, &p), -ENOSPC);
    host_preempt_after(2);
    unsigned rounds = 0;
    for (int rc = -ERESTART; rc; rounds++) {
        rc = evtchn_reset(e);
        assert_true(!rc || rc == -ERESTART);
        if (rc)
            assert_int_equal(evtchn_bind_ipi(e, 0, &p), -EBUSY);
    }
    assert_true(rounds > 10);
    assert_int_equal(evtchn_bind_ipi(e, 0, &p), 0);
    assert_int_equal(p, 1);
    evtchn_close_all(e);
    assert_int_equal(evtchn_bind_ipi(e, 0, &p), -EINVAL);
}

static void polling(void **state)
{
    struct domain *d;
    struct vcpu *v;
    uint32_t p, q;

    host_machine_init(1, 0);
    d = make(0, 3, ~0u);
    v = d->vcpus[2];
    mask_all(d, true);
    assert_int_equal(evtchn_bind_ipi(d, 2, &p), 0);
    assert_int_equal(evtchn_bind_ipi(d, 2, &q), 0);
    v->poll_port = p;
    v->pause_flags |= VPF_BLOCKED;
    bit_set(d->poll_mask, 2);
    assert_int_equal(evtchn_send(d, q), 0); /* another */
    assert_true(v->pause_flags & VPF_BLOCKED);
    assert_int_equal(evtchn_send(d, p), 0); /* although it is masked */
    assert_false(v->pause_flags & VPF_BLOCKED);
    assert_false(bit_test(d->poll_mask, 2));
    assert_true(evtchn_is_pending(d, p));
    assert_false(evtchn_is_pending(d, 99));
    take_events(d, 2);
    v->poll_port = ~0u;
    v->pause_flags |= VPF_BLOCKED;
    bit_set(d->poll_mask, 2);
    assert_int_equal(evtchn_send(d, q), 0);
    assert_false(v->pause_flags & VPF_BLOCKED);
    d->poll_mask[1] = ~0UL; /* vCPUs that do not exist are passed over */
    evtchn_poll_check(d, p);
}

static void moved_info_loses_nothing(void **state)
{
    struct domain *d;

    host_machine_init(1, 0);
    d = make(0, 1, ~0u);
    evtchn_vcpu_info_moved(d->vcpus[0]);
    assert_int_equal(d->vcpus[0]->info->evtchn_pending_sel, ~0UL);
    assert_int_equal(d->vcpus[0]->info->evtchn_upcall_pending, 1);
}

/* ---- Hypercalls ---- */

static void hypercalls(void **state)
{
    struct evtchn_alloc_unbound au = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    struct evtchn_bind_interdomain bi;
    struct evtchn_status st = {.dom = DOMID_SELF};
    struct evtchn_reset rs = {.dom = DOMID_SELF};
    struct domain *d, *e;

    host_machine_init(1, 0);
    d = make(0, 1, ~0u);
    e = make(1, 1, ~0u);
    host_set_current(0, e->vcpus[0]);
    assert_int_equal(host_hypercall(event_channel_op, EVTCHNOP_alloc_unbound, 0), -EFAULT);
    assert_int_equal(host_hypercall(event_channel_op, 99, (uint64_t)&au), -ENOSYS);
    au.dom = 0;
    assert_int_equal(host_hypercall(event_channel_op, EVTCHNOP_alloc_unbound, (uint64_t)&au), -EPERM);
    au.dom = 9;
    assert_int_equal(host_hypercall(event_channel_op, EVTCHNOP_alloc_unbound, (uint64_t)&au), -ESRCH);
    au.dom = 1;
    au.remote_dom = 0;
    assert_int_equal(host_hypercall(event_channel_op, EVTCHNOP_alloc_unbound, (uint64_t)&au), 0);

    host_set_current(0, d->vcpus[0]);
    bi = (struct evtchn_bind_interdomain){.remote_dom = 1, .remote_port = au.port};
    assert_int_equal(host_hypercall(event_channel_op, EVTCHNOP_bind_interdomain, (uint64_t)&bi), 0);
    struct evtchn_send send = {.port = bi.local_port};
    assert_int_equal(host_hypercall(event_channel_op, EVTCHNOP_send, (uint64_t)&send), 0);
    assert_true(pending(e, au.port));
    st.dom = 1;
    st.port = au.port;
    assert_int_equal(host_hypercall(event_channel_op, EVTCHNOP_status, (uint64_t)&st), 0);
    assert_int_equal(st.status, EVTCHNSTAT_interdomain);

    /* A port that the guest cannot be told of does not stay. */
    struct evtchn_bind_ipi ipi = {.vcpu = 0};
    host_copy_fail_after = 2;
    assert_int_equal(host_hypercall(event_channel_op, EVTCHNOP_bind_ipi, (uint64_t)&ipi), -EFAULT);
    host_copy_fail_after = 0;
    assert_int_equal(host_hypercall(event_channel_op, EVTCHNOP_bind_ipi, (uint64_t)&ipi), 0);
    assert_int_equal(ipi.port, bi.local_port + 1);

    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(host_hypercall(event_channel_op, EVTCHNOP_bind_ipi, (uint64_t)&ipi), 0);
    host_preempt_after(1);
    assert_int_equal(host_hypercall(event_channel_op, EVTCHNOP_reset, (uint64_t)&rs), 0);
    assert_true(host_continuations > 5);
    host_preempt_after(0);
    assert_int_equal(status_of(e, au.port).status, EVTCHNSTAT_unbound);
    struct evtchn_set_priority sp = {.port = 1};
    assert_int_equal(host_hypercall(event_channel_op, EVTCHNOP_set_priority, (uint64_t)&sp), -EINVAL);
    evtchn_print(d);
    evtchn_print(e);
    assert_non_null(strstr(host_console, "unbound for domain 0"));
}

/* ---- Random use ---- */

static uint64_t seed = 88172645463325252UL;
static uint64_t any(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

#define DOMAINS 3
#define PORTS   40

/* Every interdomain port points at one that points back, and references are as many as ports. */
static void check_rules(struct domain **ds)
{
    unsigned refs[DOMAINS] = {0};

    for (unsigned i = 0; i < DOMAINS; i++)
        for (uint32_t p = 1; p <= PORTS; p++) {
            struct evtchn_status st = {.port = p}, back;
            if (evtchn_status(ds[i], &st) || st.status != EVTCHNSTAT_interdomain)
                continue;
            back = status_of(ds[st.u.interdomain.dom], st.u.interdomain.port);
            assert_int_equal(back.status, EVTCHNSTAT_interdomain);
            assert_int_equal(back.u.interdomain.dom, i);
            assert_int_equal(back.u.interdomain.port, p);
            refs[st.u.interdomain.dom]++;
        }
    for (unsigned i = 0; i < DOMAINS; i++)
        assert_int_equal(ds[i]->refcount, 1 + refs[i]);
}

static void random_step(struct domain **ds)
{
    struct domain *d = ds[any(DOMAINS)];
    uint32_t port = (uint32_t)any(PORTS + 3), out;

    switch (any(9)) {
    case 0:
        (void)evtchn_alloc_unbound(d, (uint16_t)any(DOMAINS), &out);
        break;
    case 1:
    case 2:
        (void)evtchn_bind_interdomain(d, (uint16_t)any(DOMAINS), port, &out);
        break;
    case 3:
        (void)evtchn_bind_virq(d, (uint32_t)any(26), (unsigned)any(3), &out);
        break;
    case 4:
        (void)evtchn_bind_ipi(d, (unsigned)any(3), &out);
        break;
    case 5:
        (void)evtchn_close(d, port);
        break;
    case 6:
        (void)evtchn_bind_vcpu(d, port, (unsigned)any(3));
        break;
    case 7:
        evtchn_raise_virq(d->vcpus[any(2)], (uint32_t)any(24));
        break;
    default:
        (void)evtchn_send(d, port);
        d->shared_info->evtchn_pending[0] = any(~0UL);
        break;
    }
}

static void random_use_keeps_the_rules(void **state)
{
    struct domain *ds[DOMAINS];
    uint64_t heap;

    host_machine_init(2, 0);
    for (unsigned i = 0; i < DOMAINS; i++)
        ds[i] = make((uint16_t)i, 2, PORTS);
    for (unsigned n = 0; n < 200000; n++) {
        random_step(ds);
        if (n % 16 == 0)
            check_rules(ds);
        if (n % 20000 == 0)
            assert_int_equal(evtchn_reset(ds[any(DOMAINS)]), 0);
    }
    heap = heap_used_bytes();
    for (unsigned i = 0; i < DOMAINS; i++)
        evtchn_close_all(ds[i]);
    check_rules(ds);
    assert_int_equal(heap_used_bytes(), heap);
}

/* ---- Two CPUs ---- */

static struct domain *near, *far;
static uint32_t near_port, far_port;
static bool stop;

static void *sender(void *arg)
{
    host_this_cpu = pcpus[1];
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        (void)evtchn_send(far, far_port);
        (void)evtchn_send(near, near_port);
        (void)evtchn_unmask(near, near_port);
    }
    return NULL;
}

static void sending_while_closing(void **state)
{
    pthread_t thread;
    uint32_t p, q;

    host_machine_init(2, 0);
    near = make(0, 1, 10);
    far = make(1, 1, 10);
    join(near, far, &near_port, &far_port);
    assert_int_equal(pthread_create(&thread, NULL, sender, NULL), 0);
    for (unsigned i = 0; i < 20000; i++) {
        assert_int_equal(evtchn_close(i & 1 ? near : far, i & 1 ? near_port : far_port), 0);
        if (i & 2)
            assert_int_equal(evtchn_close(i & 1 ? far : near, i & 1 ? far_port : near_port), 0);
        else if (i & 1)
            assert_int_equal(evtchn_close(far, far_port), 0);
        else
            assert_int_equal(evtchn_close(near, near_port), 0);
        join(near, far, &p, &q);
        assert_int_equal(p, near_port);
        assert_int_equal(q, far_port);
    }
    stop = true;
    pthread_join(thread, NULL);
    assert_int_equal(near->refcount, 2);
    evtchn_close_all(far);
    assert_int_equal(near->refcount, 1);
}

/* While a send is under way (it has come to waking the far vCPU), neither end can be closed. */
static bool close_far, closed;

static void *closer(void *arg)
{
    host_this_cpu = pcpus[1];
    assert_int_equal(close_far ? evtchn_close(far, far_port) : evtchn_close(near, near_port), 0);
    __atomic_store_n(&closed, true, __ATOMIC_SEQ_CST);
    return NULL;
}

static pthread_t closing;

static void in_the_middle(unsigned cpu)
{
    struct timespec ts = {.tv_nsec = 20000000};

    host_kick_hook = NULL;
    assert_int_equal(pthread_create(&closing, NULL, closer, NULL), 0);
    nanosleep(&ts, NULL);
    assert_false(__atomic_load_n(&closed, __ATOMIC_SEQ_CST));
}

static void closing_waits_for_a_send(void **state)
{
    host_machine_init(2, 0);
    near = make(0, 1, 10);
    far = make(1, 1, 10);
    for (unsigned i = 0; i < 2; i++) {
        join(near, far, &near_port, &far_port);
        take_events(far, 0);
        far->vcpus[0]->running = true;
        far->vcpus[0]->pcpu = 1;
        close_far = i;
        closed = false;
        host_kick_hook = in_the_middle;
        assert_int_equal(evtchn_send(near, near_port), 0);
        assert_null(host_kick_hook);
        pthread_join(closing, NULL);
        assert_true(closed);
        evtchn_reset(far);
        evtchn_reset(near);
    }
    far->vcpus[0]->running = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(interdomain),
        isolated_test(death_is_told),
        isolated_test(virqs),
        isolated_test(console_text_is_told),
        isolated_test(pirqs),
        isolated_test(ports_run_out),
        isolated_test(polling),
        isolated_test(moved_info_loses_nothing),
        isolated_test(hypercalls),
        isolated_test(random_use_keeps_the_rules),
        isolated_test(sending_while_closing),
        isolated_test(closing_waits_for_a_send),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
