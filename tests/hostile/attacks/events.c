/* SPDX-License-Identifier: MIT */
/* Event channels: ports that are not there or another's, races of closing and sending, the memory that FIFO queues are in. */
#include "guest/attack.h"

#define ROUNDS 3000

static long alloc(uint16_t domain, uint16_t remote, uint32_t *port)
{
    struct evtchn_alloc_unbound op = {.dom = domain, .remote_dom = remote};
    long rc = event_op(EVTCHNOP_alloc_unbound, &op);

    *port = op.port;
    return rc;
}

static long bind(uint16_t remote, uint32_t remote_port, uint32_t *port)
{
    struct evtchn_bind_interdomain op = {.remote_dom = remote, .remote_port = remote_port};
    long rc = event_op(EVTCHNOP_bind_interdomain, &op);

    *port = op.local_port;
    return rc;
}

static long close_port(uint32_t port)
{
    return event_op(EVTCHNOP_close, &(struct evtchn_close){port});
}

static long send(uint32_t port)
{
    return event_op(EVTCHNOP_send, &(struct evtchn_send){port});
}

ATTACK(ports_out_of_bounds, SURVIVES, "XSA-342 XSA-344: each command with ports that do not exist")
{
    static const uint32_t ports[] = {0,      1023,   1024,       1025,       4095,      4096,
                                     131071, 131072, 0x7fffffff, 0x80000000, 0xffffffff};

    for (unsigned i = 0; i < COUNT_OF(ports); i++) {
        uint32_t p = ports[i], got;

        REFUSED(send(p));
        REFUSED(close_port(p));
        REFUSED(event_op(EVTCHNOP_unmask, &(struct evtchn_unmask){p}));
        REFUSED(event_op(EVTCHNOP_bind_vcpu, &(struct evtchn_bind_vcpu){p, 0}));
        REFUSED(event_op(EVTCHNOP_set_priority, &(struct evtchn_set_priority){p, 1}));
        REFUSED(bind(0, p, &got));
        REFUSED(bind(DOMID_SELF, p, &got));
    }
}

ATTACK(channels_of_others, SURVIVES, "XSA-29: ports for other domains, the status and reset of theirs")
{
    uint32_t port;

    REFUSED(alloc(0, DOMID_SELF, &port));
    REFUSED(alloc(DOMID_XEN, 0, &port));
    REFUSED(alloc(12345, 0, &port));
    REFUSED(event_op(EVTCHNOP_reset, &(struct evtchn_reset){0}));
    for (unsigned p = 0; p < 64; p++) {
        struct evtchn_status s = {.dom = 0, .port = p};

        REFUSED(event_op(EVTCHNOP_status, &s));
        REFUSED(bind(0, p, &port));
        REFUSED(bind(DOMID_IO, p, &port));
    }
}

ATTACK(virqs_and_lines, SURVIVES,
       "XSA-496 XSA-46 XSA-237: interrupts that do not exist, of other vCPUs, of the machine")
{
    for (uint32_t virq = 0; virq < 64; virq++) {
        for (uint32_t vcpu = 0; vcpu < 6; vcpu++) {
            struct evtchn_bind_virq op = {.virq = virq, .vcpu = vcpu};

            if (event_op(EVTCHNOP_bind_virq, &op))
                continue;
            CHECK(virq < 24 && vcpu < VCPUS_MAX);
            REFUSED(event_op(EVTCHNOP_bind_virq, &op));
            REFUSED(send(op.port));
        }
    }
    for (uint32_t pirq = 0; pirq < 300; pirq++)
        REFUSED(event_op(EVTCHNOP_bind_pirq, &(struct evtchn_bind_pirq){.pirq = pirq}));
    REFUSED(event_op(EVTCHNOP_bind_pirq, &(struct evtchn_bind_pirq){.pirq = ~0u}));
    REFUSED(event_op(EVTCHNOP_bind_ipi, &(struct evtchn_bind_ipi){.vcpu = VCPUS_MAX}));
    REFUSED(event_op(EVTCHNOP_bind_ipi, &(struct evtchn_bind_ipi){.vcpu = ~0u}));
}

ATTACK(all_ports_taken, SURVIVES,
       "XSA-340: ports until there are no more, closed, taken again; the page of the answer is gone")
{
    uint32_t port, first = 0, count = 0;

    while (!alloc(DOMID_SELF, DOMID_SELF, &port)) {
        first = first ? first : port;
        CHECK(++count < 1024);
    }
    for (unsigned i = 0; i < 200; i++) {
        ALLOWED(close_port(first + i));
        REFUSED(close_port(first + i));
    }
    for (unsigned i = 0; i < 500; i++)
        REFUSED(event_op(EVTCHNOP_alloc_unbound, (void *)0x1000));
    ALLOWED(event_op(EVTCHNOP_reset, &(struct evtchn_reset){DOMID_SELF}));
    ALLOWED(alloc(DOMID_SELF, DOMID_SELF, &port));
}

/* ---- FIFO queues ---- */

static long init_control(uint64_t gfn, uint32_t offset, uint32_t vcpu)
{
    struct evtchn_init_control op = {.control_gfn = gfn, .offset = offset, .vcpu = vcpu};

    return event_op(EVTCHNOP_init_control, &op);
}

static long expand(uint64_t gfn)
{
    return event_op(EVTCHNOP_expand_array, &(struct evtchn_expand_array){gfn});
}

ATTACK(fifo_memory, SURVIVES,
       "XSA-107 XSA-221 XSA-327: control blocks and arrays across pages, of others, of tables, before their time")
{
    uint64_t *page = new_page(), frame = mfn_of(page);
    uint64_t wrong[] = {
        board->domain0_mfn, 0x200, board->frames_max, ~0UL, mfn_of(table_of(page, 1)), start_info->shared_info / PAGE};

    REFUSED(expand(frame));
    for (unsigned i = 0; i < COUNT_OF(wrong); i++) {
        if (i != 5)
            REFUSED(init_control(wrong[i], 0, 0));
    }
    REFUSED(init_control(frame, 1, 0));
    REFUSED(init_control(frame, 4096, 0));
    REFUSED(init_control(frame, 4096 - 8, 0));
    REFUSED(init_control(frame, ~7u, 0));
    REFUSED(init_control(frame, 0, VCPUS_MAX));
    REFUSED(init_control(frame, 0, ~0u));
    if (init_control(frame, 0, 0))
        return;
    for (unsigned i = 0; i < COUNT_OF(wrong) - 1; i++)
        REFUSED(expand(wrong[i]));
    for (unsigned i = 0; i < 200; i++)
        if (expand(mfn_of(new_page())))
            break;
}

ATTACK(fifo_nonsense, SURVIVES,
       "XSA-358 XSA-359 XSA-505: links in rings, heads beyond the end, all bits set, while events are sent")
{
    uint32_t *array = new_page(), *control = new_page(), port[64];
    uint64_t state = board->seed;

    ALLOWED(init_control(mfn_of(control), 0, 0));
    ALLOWED(expand(mfn_of(array)));
    for (unsigned i = 0; i < COUNT_OF(port); i++) {
        uint32_t remote;

        ALLOWED(alloc(DOMID_SELF, DOMID_SELF, &remote));
        ALLOWED(bind(DOMID_SELF, remote, &port[i]));
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t r = random_next(&state);

        array[r & 1023] = (uint32_t)(r >> 20);
        control[r >> 10 & 31] = (uint32_t)(r >> 30);
        send(port[r >> 50 & 63]);
        event_op(EVTCHNOP_unmask, &(struct evtchn_unmask){port[r >> 56 & 63]});
        event_op(EVTCHNOP_set_priority, &(struct evtchn_set_priority){port[r & 63], (uint32_t)(r >> 40) & 31});
    }
    shared_info->vcpu_info[0].evtchn_upcall_pending = 0;
}

/* ---- Races ---- */

static uint32_t racing, ended, race_port[2];

static void close_and_bind(void *arg)
{
    uint32_t mine;

    for (unsigned i = 0; i < ROUNDS; i++) {
        if (!alloc(DOMID_SELF, DOMID_SELF, &mine)) {
            WRITE_ONCE(race_port[0], mine);
            if (!bind(DOMID_SELF, mine, &race_port[1]))
                close_port(i & 1 ? mine : race_port[1]);
            close_port(mine);
            close_port(race_port[1]);
        }
        if (i % 500 == 0)
            event_op(EVTCHNOP_reset, &(struct evtchn_reset){DOMID_SELF});
    }
    __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
}

static void keep_sending(void *arg)
{
    while (READ_ONCE(racing)) {
        send(READ_ONCE(race_port[0]));
        send(READ_ONCE(race_port[1]));
        event_op(EVTCHNOP_bind_vcpu, &(struct evtchn_bind_vcpu){race_port[1], ADDRESS(arg)});
        event_op(EVTCHNOP_unmask, &(struct evtchn_unmask){race_port[0]});
    }
    __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
}

ATTACK(closed_while_sent, SURVIVES, "XSA-343 XSA-338: one vCPU closes, binds and resets, others send, move and unmask")
{
    racing = 1;
    ALLOWED(cpu_start(1, keep_sending, (void *)1));
    ALLOWED(cpu_start(2, keep_sending, (void *)2));
    close_and_bind(NULL);
    WRITE_ONCE(racing, 0);
    while (READ_ONCE(ended) < 3)
        sched_op(SCHEDOP_yield, NULL);
}

static void offer_and_close(void)
{
    uint32_t port;

    while (!has_stopped()) {
        if (!alloc(DOMID_SELF, board->peer, &port)) {
            for (unsigned i = 0; i < 20; i++)
                send(port);
            close_port(port);
        }
    }
}

ATTACK_WITH(closed_by_the_other_side, SURVIVES, offer_and_close,
            "XSA-343: one domain offers and closes, the other binds and sends")
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t port;

        if (bind(board->peer, 1 + i % 4, &port))
            continue;
        send(port);
        close_port(port);
    }
}

ATTACK(nonsense_in_shared_info, SURVIVES, "pending and mask words, selectors and clocks that the guest overwrites")
{
    uint64_t state = board->seed;
    uint32_t remote, port;

    ALLOWED(alloc(DOMID_SELF, DOMID_SELF, &remote));
    ALLOWED(bind(DOMID_SELF, remote, &port));
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t r = random_next(&state);

        ((uint64_t *)shared_info)[r % 512] = random_next(&state);
        shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
        send(port);
        send(remote);
    }
    memset(shared_info, 0xff, PAGE);
    send(port);
}
