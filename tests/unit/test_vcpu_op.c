/* SPDX-License-Identifier: MIT */
/* vcpu_op, set_timer_op and sched_op as a guest makes them: results, timers, sleeping, polling, watchdogs. */
#include "host/test.h"
#include "core/event/event.h"
#include "core/time/wallclock.h"
#include "hypercall/hypercall.h"
#include <xen/sched.h>

static struct domain *d;
static struct vcpu *v0, *v1;
static uint32_t timer_port;

static int64_t vcpu_op(unsigned cmd, unsigned id, const void *arg)
{
    return host_hypercall(vcpu_op, cmd, id, (uint64_t)arg);
}

static int64_t sched_op(unsigned cmd, const void *arg)
{
    return host_hypercall(sched_op, cmd, (uint64_t)arg);
}

static void work(void)
{
    for (unsigned i = 0; this_cpu()->work; i++) {
        assert_true(i < 100);
        pcpu_do_work();
    }
}

/* Time goes on, and the timer interrupt comes. */
static void advance(uint64_t ns)
{
    host_now_ns += ns;
    pcpu_raise(0, PCPU_WORK_TIMER);
    work();
}

static void start(void)
{
    struct domain_config cfg = {.id = 1,
                                .max_vcpus = 2,
                                .max_evtchn_port = 127,
                                .max_grant_frames = 4,
                                .max_maptrack_frames = 4,
                                .pages_max = 100};

    host_machine_init(1, 0);
    domain_subsystem_init();
    assert_int_equal(domain_create(&cfg, &d), 0);
    v0 = d->vcpus[0];
    v1 = d->vcpus[1];
    assert_int_equal(evtchn_bind_virq(d, VIRQ_TIMER, 0, &timer_port), 0);
    memset(d->shared_info->evtchn_mask, 0, sizeof(d->shared_info->evtchn_mask));
    v0->initialised = true;
    assert_int_equal(vcpu_up(v0), 0);
    domain_unpause(d);
    work();
    assert_ptr_equal(current_vcpu(), v0);
    v0->info->evtchn_upcall_mask = 1;
    v0->info->evtchn_upcall_pending = 0;
}

static bool take_timer_event(void)
{
    bool was = d->shared_info->evtchn_pending[timer_port / 64] & (1UL << (timer_port % 64));

    d->shared_info->evtchn_pending[timer_port / 64] = 0;
    v0->info->evtchn_pending_sel = 0;
    v0->info->evtchn_upcall_pending = 0;
    return was;
}

static void results_of_vcpu_op(void **state)
{
    (void)state;
    start();
    assert_int_equal(vcpu_op(VCPUOP_is_up, 0, NULL), 1);
    assert_int_equal(vcpu_op(VCPUOP_is_up, 1, NULL), 0);
    assert_int_equal(vcpu_op(VCPUOP_is_up, 2, NULL), -ENOENT);
    assert_int_equal(host_hypercall(vcpu_op, VCPUOP_is_up, 1UL << 32, 0), -ENOENT);
    assert_int_equal(vcpu_op(VCPUOP_up, 1, NULL), -EINVAL); /* not initialised */
    assert_int_equal(vcpu_op(VCPUOP_get_physid, 0, NULL), -EINVAL);
    assert_int_equal(vcpu_op(99, 0, NULL), -ENOSYS);
    assert_int_equal(vcpu_op(VCPUOP_initialise, 1, NULL), -EFAULT);
    assert_int_equal(vcpu_op(VCPUOP_send_nmi, 0, &d), -EINVAL);
    assert_int_equal(vcpu_op(VCPUOP_send_nmi, 0, NULL), 0);
    assert_true(v0->nmi_pending);
}

static void singleshot_timer(void **state)
{
    struct vcpu_set_singleshot_timer t = {.timeout_abs_ns = 0};

    (void)state;
    start();
    t.timeout_abs_ns = host_now_ns + MSEC;
    assert_int_equal(vcpu_op(VCPUOP_set_singleshot_timer, 1, &t), -EINVAL); /* not its own */
    assert_int_equal(vcpu_op(VCPUOP_stop_singleshot_timer, 1, NULL), -EINVAL);
    assert_int_equal(vcpu_op(VCPUOP_set_singleshot_timer, 0, NULL), -EFAULT);

    assert_int_equal(vcpu_op(VCPUOP_set_singleshot_timer, 0, &t), 0);
    advance(999 * USEC);
    assert_false(take_timer_event());
    advance(2 * USEC);
    assert_true(take_timer_event());
    advance(10 * MSEC);
    assert_false(take_timer_event());

    t.timeout_abs_ns = host_now_ns - 1; /* past: the event comes at once */
    assert_int_equal(vcpu_op(VCPUOP_set_singleshot_timer, 0, &t), 0);
    assert_true(take_timer_event());
    t.flags = VCPU_SSHOTTMR_future;
    assert_int_equal(vcpu_op(VCPUOP_set_singleshot_timer, 0, &t), -ETIME);
    assert_false(take_timer_event());

    t.timeout_abs_ns = host_now_ns + MSEC;
    assert_int_equal(vcpu_op(VCPUOP_set_singleshot_timer, 0, &t), 0);
    assert_int_equal(vcpu_op(VCPUOP_stop_singleshot_timer, 0, NULL), 0);
    advance(2 * MSEC);
    assert_false(take_timer_event());

    assert_int_equal(host_hypercall(set_timer_op, host_now_ns + MSEC), 0);
    advance(2 * MSEC);
    assert_true(take_timer_event());
    assert_int_equal(host_hypercall(set_timer_op, host_now_ns + MSEC), 0);
    assert_int_equal(host_hypercall(set_timer_op, 0), 0);
    advance(2 * MSEC);
    assert_false(take_timer_event());
    assert_int_equal(host_hypercall(set_timer_op, ~0UL), 0); /* for ever */
    advance(1000 * SEC);
    assert_false(take_timer_event());
}

static void periodic_timer(void **state)
{
    struct vcpu_set_periodic_timer p = {.period_ns = 999 * USEC};

    (void)state;
    start();
    assert_int_equal(vcpu_op(VCPUOP_set_periodic_timer, 0, &p), -EINVAL);
    p.period_ns = ~0UL;
    assert_int_equal(vcpu_op(VCPUOP_set_periodic_timer, 0, &p), -EINVAL);
    p.period_ns = 10 * MSEC;
    assert_int_equal(vcpu_op(VCPUOP_set_periodic_timer, 0, &p), 0);
    for (unsigned i = 0; i < 5; i++) {
        advance(9 * MSEC);
        assert_false(take_timer_event());
        advance(1 * MSEC);
        assert_true(take_timer_event());
    }
    advance(1000 * MSEC); /* missed ticks are not made up for */
    assert_true(take_timer_event());
    advance(9 * MSEC);
    assert_false(take_timer_event());
    assert_int_equal(vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL), 0);
    advance(100 * MSEC);
    assert_false(take_timer_event());
}

static void runstate_area(void **state)
{
    struct vcpu_runstate_info area, other, now;
    struct vcpu_register_runstate_memory_area reg = {.addr.v = &area};

    (void)state;
    start();
    memset(&area, 0xff, sizeof(area));
    d->vm_assist = 1u << VMASST_TYPE_runstate_update_flag;
    assert_int_equal(vcpu_op(VCPUOP_register_runstate_memory_area, 0, &reg), 0);
    assert_int_equal(area.state, RUNSTATE_running);
    assert_false(area.state_entry_time & XEN_RUNSTATE_UPDATE);
    reg.addr.v = &other;
    assert_int_equal(vcpu_op(VCPUOP_register_runstate_memory_area, 1, &reg), 0);
    assert_int_equal(other.state, RUNSTATE_offline);
    reg.addr.p = 0xffff800000000000UL;
    assert_int_equal(vcpu_op(VCPUOP_register_runstate_memory_area, 1, &reg), -EFAULT);

    uint64_t blocked = area.time[RUNSTATE_blocked];
    sched_op(SCHEDOP_block, NULL);
    work();
    assert_ptr_equal(current_vcpu(), this_cpu()->idle);
    host_now_ns += 5 * MSEC;
    evtchn_raise_virq(v0, VIRQ_TIMER);
    work();
    assert_ptr_equal(current_vcpu(), v0);
    assert_int_equal(area.state, RUNSTATE_running); /* written on the way in */
    assert_int_equal(area.time[RUNSTATE_blocked], blocked + 5 * MSEC);
    assert_int_equal(area.state_entry_time, host_now_ns);
    host_now_ns += 3 * MSEC;
    assert_int_equal(vcpu_op(VCPUOP_get_runstate_info, 0, &now), 0);
    assert_int_equal(now.time[RUNSTATE_running], area.time[RUNSTATE_running] + 3 * MSEC);

    v0->in_kernel = false; /* in user mode: owed until it enters the kernel */
    take_timer_event();
    sched_op(SCHEDOP_block, NULL);
    work();
    evtchn_raise_virq(v0, VIRQ_TIMER);
    area.state = 77;
    work();
    assert_int_equal(area.state, 77);
    assert_true(host_vcpu_of(v0)->areas_stale);
}

static void time_area(void **state)
{
    struct vcpu_time_info page;
    struct vcpu_register_time_memory_area reg = {.addr.v = &page};

    (void)state;
    start();
    unsigned before = host_time_updates;
    assert_true(before); /* the time is there before the first instruction */
    assert_int_equal(vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, &reg), 0);
    assert_int_equal(v0->time_area, (uint64_t)&page);
    assert_int_equal(host_time_updates, before + 1);
    reg.addr.p = 0;
    assert_int_equal(vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, &reg), 0);
    assert_int_equal(v0->time_area, 0);
    wallclock_set(0x123456789UL * SEC + 5);
    assert_int_equal(d->shared_info->wc_sec, 0x23456789);
    assert_int_equal(d->shared_info->wc_sec_hi, 1);
    assert_int_equal(d->shared_info->wc_nsec, 5);
    assert_false(d->shared_info->wc_version & 1);
}

static void block(void **state)
{
    (void)state;
    start();
    v0->info->evtchn_upcall_pending = 1; /* masked: block unmasks, and then does not sleep */
    assert_int_equal(sched_op(SCHEDOP_block, NULL), 0);
    assert_int_equal(v0->info->evtchn_upcall_mask, 0);
    work();
    assert_ptr_equal(current_vcpu(), v0);
    v0->info->evtchn_upcall_pending = 0;
    assert_int_equal(sched_op(SCHEDOP_block, NULL), 0);
    work();
    assert_ptr_equal(current_vcpu(), this_cpu()->idle);
    assert_int_equal(v0->runstate, RUNSTATE_blocked);
    evtchn_raise_virq(v0, VIRQ_TIMER);
    work();
    assert_ptr_equal(current_vcpu(), v0);
    assert_int_equal(sched_op(SCHEDOP_yield, NULL), 0);
    work();
    assert_ptr_equal(current_vcpu(), v0);
    assert_int_equal(sched_op(SCHEDOP_pin_override, NULL), -ENOSYS);
}

static void poll(void **state)
{
    uint32_t ports[129], kicker;
    struct sched_poll op = {.nr_ports = 1};

    (void)state;
    start();
    assert_int_equal(evtchn_bind_ipi(d, 0, &kicker), 0);
    d->shared_info->evtchn_mask[0] = ~0UL; /* masked ports wake, too */
    set_xen_guest_handle(op.ports, ports);
    ports[0] = kicker;

    for (unsigned with_two = 0; with_two < 2; with_two++) {
        op.nr_ports = 1 + with_two;
        ports[1] = timer_port;
        op.timeout = 0;
        assert_int_equal(sched_op(SCHEDOP_poll, &op), 0);
        work();
        assert_ptr_equal(current_vcpu(), this_cpu()->idle);
        assert_int_equal(evtchn_send(d, kicker), 0);
        work();
        assert_ptr_equal(current_vcpu(), v0);
        assert_int_equal(v0->poll_port, 0);
        assert_int_equal(d->poll_mask[0], 0);

        assert_int_equal(sched_op(SCHEDOP_poll, &op), 0); /* still pending: at once */
        work();
        assert_ptr_equal(current_vcpu(), v0);
        d->shared_info->evtchn_pending[0] = 0;

        op.timeout = host_now_ns + MSEC;
        assert_int_equal(sched_op(SCHEDOP_poll, &op), 0);
        work();
        assert_ptr_equal(current_vcpu(), this_cpu()->idle);
        advance(MSEC);
        assert_ptr_equal(current_vcpu(), v0);
        assert_false(timer_is_set(&v0->poll_timer));
        assert_int_equal(d->poll_mask[0], 0);
        op.timeout = host_now_ns; /* over already */
        assert_int_equal(sched_op(SCHEDOP_poll, &op), 0);
        work();
        assert_ptr_equal(current_vcpu(), v0);
    }
    op.nr_ports = 129;
    assert_int_equal(sched_op(SCHEDOP_poll, &op), -EINVAL);
    op.nr_ports = 1;
    ports[0] = 0;
    assert_int_equal(sched_op(SCHEDOP_poll, &op), -EINVAL);
    ports[0] = 1u << 31;
    assert_int_equal(sched_op(SCHEDOP_poll, &op), -EINVAL);
    set_xen_guest_handle(op.ports, NULL);
    assert_int_equal(sched_op(SCHEDOP_poll, &op), -EFAULT);
    assert_int_equal(v0->pause_flags, 0);
}

static void a_domain_ends_itself(void **state)
{
    struct sched_shutdown op = {.reason = 6};
    struct sched_remote_shutdown remote = {.domain_id = 1, .reason = SHUTDOWN_reboot};

    (void)state;
    start();
    assert_int_equal(sched_op(SCHEDOP_shutdown, &op), -EINVAL);
    assert_int_equal(sched_op(SCHEDOP_shutdown_code, &op), -EINVAL);
    assert_int_equal(sched_op(SCHEDOP_shutdown, NULL), -EFAULT);
    assert_int_equal(sched_op(SCHEDOP_remote_shutdown, &remote), -EPERM);
    remote.domain_id = 77;
    assert_int_equal(sched_op(SCHEDOP_remote_shutdown, &remote), -ESRCH);
    assert_false(d->shutdown);
    op.reason = SHUTDOWN_crash;
    assert_int_equal(sched_op(SCHEDOP_shutdown_code, &op), 0);
    op.reason = SHUTDOWN_poweroff;
    assert_int_equal(sched_op(SCHEDOP_shutdown, &op), 0);
    assert_true(d->shutdown);
    assert_int_equal(d->shutdown_code, SHUTDOWN_crash);
    work();
    assert_ptr_equal(current_vcpu(), this_cpu()->idle);
}

static void watchdogs(void **state)
{
    struct sched_watchdog w = {.id = 0, .timeout = 0};

    (void)state;
    start();
    assert_int_equal(sched_op(SCHEDOP_watchdog, &w), -EINVAL);
    w.id = 1;
    w.timeout = 10;
    assert_int_equal(sched_op(SCHEDOP_watchdog, &w), -EINVAL); /* not in use */
    w.id = 3;
    assert_int_equal(sched_op(SCHEDOP_watchdog, &w), -EINVAL);
    w.id = 0;
    assert_int_equal(sched_op(SCHEDOP_watchdog, &w), 1);
    assert_int_equal(sched_op(SCHEDOP_watchdog, &w), 2);
    assert_int_equal(sched_op(SCHEDOP_watchdog, &w), -ENOSPC);
    w.id = 1;
    w.timeout = 0;
    assert_int_equal(sched_op(SCHEDOP_watchdog, &w), 0); /* given back */
    w.id = 2;
    w.timeout = 10;
    for (unsigned i = 0; i < 5; i++) {
        advance(9 * SEC);
        assert_int_equal(sched_op(SCHEDOP_watchdog, &w), 0);
    }
    assert_false(d->shutdown);
    advance(11 * SEC);
    assert_true(d->shutdown);
    assert_int_equal(d->shutdown_code, SHUTDOWN_watchdog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(results_of_vcpu_op),
        isolated_test(singleshot_timer),
        isolated_test(periodic_timer),
        isolated_test(runstate_area),
        isolated_test(time_area),
        isolated_test(block),
        isolated_test(poll),
        isolated_test(a_domain_ends_itself),
        isolated_test(watchdogs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
