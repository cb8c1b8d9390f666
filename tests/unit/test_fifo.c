/* SPDX-License-Identifier: MIT */
/* FIFO event channels: against a guest that keeps to the protocol nothing may be lost; against one that does not, nothing
 * may break. The guest's side is written here from the ABI's description. */
#include "host/test.h"
#include <pthread.h>
#include "core/event/event.h"
#include "core/lib/bitmap.h"
#include "core/mem/alloc.h"
#include "core/mem/audit.h"
#include "core/mem/reservation.h"
#include "core/mem/type.h"

#define PENDING (1u << EVTCHN_FIFO_PENDING)
#define MASKED  (1u << EVTCHN_FIFO_MASKED)
#define LINKED  (1u << EVTCHN_FIFO_LINKED)
#define LINK    ((uint32_t)EVTCHN_FIFO_LINK_MASK)
#define VCPUS   2
#define QUEUES  EVTCHN_FIFO_MAX_QUEUES

/* The guest. */
static struct domain *d;
static mfn_t array_mfn, control_mfn[VCPUS];
static uint32_t *words;
static struct evtchn_fifo_control_block *blocks[VCPUS];
static uint32_t heads[VCPUS][QUEUES];
static unsigned handled[EVTCHN_PORTS_2L];
static unsigned last_handled;

static mfn_t guest_frame(void)
{
    mfn_t m = reservation_add(d, 0, 0, false);

    assert_false(mfn_eq(m, INVALID_MFN));
    return m;
}

/* As the hypercall does, which is cut each time. */
static void show_all(void)
{
    uint32_t port = 1, was;

    host_preempt_after(1);
    do {
        was = port;
    } while (evtchn_show_deferred(d, &port) == -ERESTART && port > was);
    host_preempt_after(0);
    assert_true(port >= was);
}

static int init_vcpu(unsigned v, mfn_t m, unsigned offset)
{
    struct evtchn_init_control ic = {.control_gfn = m.n, .offset = offset, .vcpu = v};
    int rc = evtchn_init_control(d, &ic);

    if (!rc) {
        assert_int_equal(ic.link_bits, 17);
        show_all();
    }
    return rc;
}

static int expand(void)
{
    int rc = evtchn_expand_array(d, array_mfn.n);

    if (!rc)
        show_all();
    return rc;
}

static void make_domain(void)
{
    struct domain_config cfg = {.max_vcpus = VCPUS, .max_evtchn_port = ~0u, .pages_max = 1000, .privileged = true};

    assert_int_equal(domain_create(&cfg, &d), 0);
    domain0 = d;
    array_mfn = guest_frame();
    words = hw_frame_va(array_mfn);
    for (unsigned i = 0; i < 1024; i++)
        words[i] = MASKED;
    for (unsigned v = 0; v < VCPUS; v++) {
        control_mfn[v] = guest_frame();
        blocks[v] = hw_frame_va(control_mfn[v]);
    }
}

static void go_fifo(void)
{
    for (unsigned v = 0; v < VCPUS; v++)
        assert_int_equal(init_vcpu(v, control_mfn[v], 0), 0);
    assert_int_equal(expand(), 0);
}

static void unmask(uint32_t port)
{
    __atomic_fetch_and(&words[port], ~MASKED, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&words[port], __ATOMIC_SEQ_CST) & PENDING)
        (void)evtchn_unmask(d, port);
}

static void handle(uint32_t port)
{
    __atomic_fetch_and(&words[port], ~PENDING, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&handled[port], 1, __ATOMIC_SEQ_CST);
    last_handled = port;
}

/* Takes one event of the highest ready queue. False: none is ready. */
static bool take_one(unsigned v, uint32_t *ready)
{
    unsigned q;
    uint32_t head;

    *ready |= __atomic_exchange_n(&blocks[v]->ready, 0, __ATOMIC_SEQ_CST);
    if (!*ready)
        return false;
    q = (unsigned)__builtin_ctz(*ready);
    head = heads[v][q] ? heads[v][q] : __atomic_load_n(&blocks[v]->head[q], __ATOMIC_SEQ_CST);
    if (!head || head >= 1024) {
        *ready &= ~(1u << q);
        return true;
    }
    heads[v][q] = __atomic_fetch_and(&words[head], ~(LINKED | LINK), __ATOMIC_SEQ_CST) & LINK;
    if (!heads[v][q])
        *ready &= ~(1u << q);
    if ((__atomic_load_n(&words[head], __ATOMIC_SEQ_CST) & (PENDING | MASKED)) == PENDING)
        handle(head);
    return true;
}

static void upcall(unsigned v)
{
    struct vcpu_info *info = d->vcpus[v]->info;
    uint32_t ready = 0;

    if (!__atomic_exchange_n(&info->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST))
        return;
    while (take_one(v, &ready))
        ;
}

static uint32_t new_ipi(unsigned v)
{
    uint32_t port;

    assert_int_equal(evtchn_bind_ipi(d, v, &port), 0);
    return port;
}

static void setting_up(void **state)
{
    uint32_t p;

    host_machine_init(1, 0);
    make_domain();
    assert_int_equal(expand(), -EOPNOTSUPP);
    assert_int_equal(evtchn_bind_ipi(d, 0, &p), 0);
    assert_int_equal(evtchn_set_priority(d, p, 0), -ENOSYS);
    assert_int_equal(init_vcpu(VCPUS, control_mfn[0], 0), -ENOENT);
    assert_int_equal(init_vcpu(0, control_mfn[0], 4096 - 64), -EINVAL);
    assert_int_equal(init_vcpu(0, control_mfn[0], 4), -EINVAL);
    assert_int_equal(init_vcpu(0, MFN(~0UL), 0), -EINVAL);
    assert_int_equal(init_vcpu(0, MFN(0), 0), -EINVAL); /* not its own */
    assert_int_equal(init_vcpu(0, control_mfn[0], 64), 0);
    assert_int_equal(init_vcpu(0, control_mfn[0], 64), -EINVAL); /* once */
    assert_int_equal(evtchn_set_priority(d, p, 16), -EINVAL);
    assert_int_equal(evtchn_set_priority(d, p, 0), 0);
    for (unsigned i = 0; i < 127; i++)
        assert_int_equal(evtchn_expand_array(d, array_mfn.n), 0);
    assert_int_equal(expand(), 0);
    assert_int_equal(expand(), -ENOSPC);
    assert_int_equal(evtchn_expand_array(d, ~0UL), -EINVAL);
    assert_int_equal(frame_tcount(frame_of(array_mfn)->refs), 128);
    assert_int_equal(audit_run(true).violations, 0);
    assert_int_equal(frame_tcount(frame_of(control_mfn[0])->refs), 1);
    assert_int_equal(evtchn_reset(d), 0);
    assert_int_equal(frame_tcount(frame_of(array_mfn)->refs), 0);
    assert_int_equal(frame_tcount(frame_of(control_mfn[0])->refs), 0);
    go_fifo();
    evtchn_close_all(d);
    assert_int_equal(frame_tcount(frame_of(array_mfn)->refs), 0);
}

static void many_ports(void **state)
{
    uint32_t p = 0;

    host_machine_init(1, 0);
    make_domain();
    go_fifo();
    for (unsigned i = 1; i < EVTCHN_PORTS_FIFO; i++)
        assert_int_equal(evtchn_bind_ipi(d, 0, &p), 0);
    assert_int_equal(p, EVTCHN_PORTS_FIFO - 1);
    assert_int_equal(evtchn_bind_ipi(d, 0, &p), -ENOSPC);
    assert_int_equal(evtchn_send(d, 100000), 0); /* has no word yet */
    assert_true(evtchn_is_pending(d, 100000));
    evtchn_close_all(d);
}

static void order_and_priority(void **state)
{
    uint32_t a, b, c;

    host_machine_init(1, 0);
    make_domain();
    go_fifo();
    a = new_ipi(0);
    b = new_ipi(0);
    c = new_ipi(0);
    assert_int_equal(evtchn_set_priority(d, c, EVTCHN_FIFO_PRIORITY_MAX), 0);
    assert_int_equal(evtchn_send(d, b), 0); /* masked */
    assert_int_equal(d->vcpus[0]->info->evtchn_upcall_pending, 0);
    assert_int_equal(words[b], PENDING | MASKED);
    unmask(a);
    unmask(b); /* now b is in the queue */
    unmask(c);
    assert_int_equal(d->vcpus[0]->info->evtchn_upcall_pending, 1);
    assert_int_equal(evtchn_send(d, a), 0);
    assert_int_equal(evtchn_send(d, a), 0);
    assert_int_equal(evtchn_send(d, c), 0);
    assert_int_equal(blocks[0]->ready, 1u << 7 | 1u << 0);
    assert_int_equal(blocks[0]->head[7], b);
    assert_int_equal(words[b] & LINK, a);

    uint32_t ready = 0;
    assert_true(take_one(0, &ready));
    assert_int_equal(last_handled, c);
    assert_true(take_one(0, &ready));
    assert_int_equal(last_handled, b);
    assert_true(take_one(0, &ready));
    assert_int_equal(last_handled, a);
    assert_false(take_one(0, &ready));
    assert_int_equal(handled[a], 1);
    assert_int_equal(words[a], 0);

    /* A closed port that the guest has not taken out of its queue is not given away again. */
    assert_int_equal(evtchn_send(d, a), 0);
    assert_int_equal(evtchn_close(d, a), 0);
    assert_false(words[a] & PENDING);
    assert_int_equal(new_ipi(0), c + 1);
    upcall(0);
    assert_int_equal(new_ipi(0), a);
}

/* The tail of one queue moves to another: what comes after it must not follow it there. */
static void tail_changes_queue(void **state)
{
    uint32_t a, b, c;

    host_machine_init(1, 0);
    make_domain();
    go_fifo();
    a = new_ipi(0);
    b = new_ipi(0);
    c = new_ipi(0);
    for (uint32_t p = a; p <= c; p++)
        unmask(p);
    assert_int_equal(evtchn_send(d, a), 0); /* tail of queue 7 */
    upcall(0);
    assert_int_equal(evtchn_set_priority(d, a, 3), 0);
    assert_int_equal(evtchn_send(d, a), 0); /* in queue 3 */
    assert_int_equal(evtchn_send(d, b), 0); /* first of queue 7 */
    assert_int_equal(words[a] & LINK, 0);
    assert_int_equal(blocks[0]->head[7], b);
    assert_int_equal(evtchn_send(d, c), 0);
    assert_int_equal(words[b] & LINK, c);
    assert_int_equal(evtchn_set_priority(d, b, 3), 0); /* stays where it is until taken out */
    assert_int_equal(evtchn_send(d, b), 0);
    upcall(0);
    assert_int_equal(handled[a], 2);
    assert_int_equal(handled[b], 1);
    assert_int_equal(handled[c], 1);
}

static void nothing_is_lost_on_the_way(void **state)
{
    uint32_t a, b, v;

    host_machine_init(1, 0);
    make_domain();
    a = new_ipi(0);
    b = new_ipi(1);
    assert_int_equal(evtchn_bind_virq(d, VIRQ_TIMER, 1, &v), 0);
    memset(d->shared_info->evtchn_mask, 0xff, 512);
    assert_int_equal(evtchn_send(d, a), 0); /* the two-level way */
    assert_int_equal(init_vcpu(0, control_mfn[0], 0), 0);
    assert_false(bit_test(d->shared_info->evtchn_pending, a));
    assert_true(evtchn_is_pending(d, a));
    assert_int_equal(evtchn_send(d, b), 0); /* neither word nor queue */
    assert_int_equal(expand(), 0);
    assert_int_equal(words[a], PENDING | MASKED);
    assert_int_equal(words[b], PENDING | MASKED);
    unmask(a);
    unmask(b); /* its vCPU has no queue */
    unmask(v);
    evtchn_raise_virq(d->vcpus[1], VIRQ_TIMER);
    assert_int_equal(words[b], PENDING);
    upcall(0);
    assert_int_equal(handled[a], 1);
    assert_int_equal(init_vcpu(1, control_mfn[1], 0), 0);
    upcall(1);
    assert_int_equal(handled[b], 1);
    assert_int_equal(handled[v], 1);
}

static uint64_t seed = 88172645463325252UL;
static uint64_t any(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

#define RANDOM_PORTS 12

/* Events move between queues, are masked and unmasked, and taken at any moment; each that was sent is handled after. */
static void random_use_loses_nothing(void **state)
{
    uint32_t first, ready[VCPUS] = {0, 0};

    host_machine_init(1, 0);
    make_domain();
    go_fifo();
    first = 1;
    for (unsigned i = 0; i < RANDOM_PORTS; i++) {
        uint32_t there, here;
        assert_int_equal(evtchn_alloc_unbound(d, 0, &there), 0);
        assert_int_equal(evtchn_bind_interdomain(d, 0, there, &here), 0);
        unmask(there);
        unmask(here);
    }
    for (unsigned n = 0; n < 300000; n++) {
        uint32_t port = first + (uint32_t)any(2 * RANDOM_PORTS);
        unsigned v = (unsigned)any(VCPUS);

        switch (any(8)) {
        case 0:
            assert_int_equal(evtchn_bind_vcpu(d, port, v), 0);
            break;
        case 1:
            assert_int_equal(evtchn_set_priority(d, port, (uint32_t)any(3)), 0);
            break;
        case 2:
            __atomic_fetch_or(&words[port], MASKED, __ATOMIC_SEQ_CST);
            break;
        case 3:
            unmask(port);
            break;
        case 4:
        case 5:
            take_one(v, &ready[v]);
            break;
        default: {
            struct evtchn_status st = {.port = port};
            assert_int_equal(evtchn_status(d, &st), 0);
            uint32_t far = st.u.interdomain.port;
            unsigned before = handled[far];
            assert_int_equal(evtchn_send(d, port), 0);
            if (any(64))
                break;
            unmask(far);
            for (unsigned w = 0; w < VCPUS; w++)
                while (take_one(w, &ready[w]))
                    ;
            assert_true(handled[far] > before);
        }
        }
    }
    for (unsigned i = 0; i < 2 * RANDOM_PORTS; i++)
        unmask(first + i);
    for (unsigned w = 0; w < VCPUS; w++)
        while (take_one(w, &ready[w]))
            ;
    for (unsigned i = 0; i < 2 * RANDOM_PORTS; i++)
        assert_int_equal(words[first + i], 0);
}

/* A guest that writes anything anywhere. */
static void scribbling(void **state)
{
    host_machine_init(1, 0);
    make_domain();
    go_fifo();
    for (unsigned i = 0; i < 600; i++)
        new_ipi((unsigned)any(VCPUS));
    for (unsigned n = 0; n < 300000; n++) {
        uint32_t port = (uint32_t)any(601);

        switch (any(6)) {
        case 0:
            words[any(1024)] = (uint32_t)any(1UL << 32);
            break;
        case 1:
            ((uint32_t *)blocks[any(VCPUS)])[any(18)] = (uint32_t)any(1UL << 32);
            break;
        case 2:
            (void)evtchn_set_priority(d, port, (uint32_t)any(17));
            break;
        case 3:
            (void)evtchn_unmask(d, port);
            break;
        default:
            (void)evtchn_send(d, port);
            break;
        }
        if (n % 50000 == 0)
            evtchn_print(d);
    }
    evtchn_close_all(d);
    assert_int_equal(frame_tcount(frame_of(array_mfn)->refs), 0);
    assert_int_equal(frame_pcount(frame_of(array_mfn)->refs), 1);
    assert_int_equal(audit_run(true).violations, 0);
}

/* One CPU sends, the guest takes on another. */
#define ROUNDS 100000
static uint32_t race_ports[4];
static bool done;

static void *guest_cpu(void *arg)
{
    uint32_t ready = 0;

    host_this_cpu = pcpus[1];
    while (!__atomic_load_n(&done, __ATOMIC_SEQ_CST)) {
        uint32_t port = race_ports[handled[race_ports[0]] & 3];

        while (take_one(0, &ready))
            ;
        __atomic_fetch_or(&words[port], MASKED, __ATOMIC_SEQ_CST);
        unmask(port);
    }
    while (take_one(0, &ready))
        ;
    return NULL;
}

static void sending_while_taking(void **state)
{
    pthread_t thread;

    host_machine_init(2, 0);
    make_domain();
    go_fifo();
    for (unsigned i = 0; i < 4; i++) {
        race_ports[i] = new_ipi(0);
        unmask(race_ports[i]);
    }
    assert_int_equal(pthread_create(&thread, NULL, guest_cpu, NULL), 0);
    for (unsigned n = 0; n < ROUNDS; n++) {
        uint32_t port = race_ports[n & 3];
        unsigned before = __atomic_load_n(&handled[port], __ATOMIC_SEQ_CST);

        assert_int_equal(evtchn_send(d, port), 0);
        if (n % 8 == 0)
            assert_int_equal(evtchn_set_priority(d, port, (uint32_t)any(3)), 0);
        if (n % 16 == 0) /* it arrives */
            for (unsigned spin = 0; __atomic_load_n(&handled[port], __ATOMIC_SEQ_CST) == before; spin++) {
                assert_true(spin < 200000000);
                hw_relax();
            }
    }
    __atomic_store_n(&done, true, __ATOMIC_SEQ_CST);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(words[race_ports[i]] & PENDING, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(setting_up),
        isolated_test(many_ports),
        isolated_test(order_and_priority),
        isolated_test(tail_changes_queue),
        isolated_test(nothing_is_lost_on_the_way),
        isolated_test(random_use_loses_nothing),
        isolated_test(scribbling),
        isolated_test(sending_while_taking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
