/* SPDX-License-Identifier: MIT */
/*
 * The scheduler under a simulated clock: shares by weight, caps, affinity, latency, yielding; and with one thread per CPU:
 * no wake-up lost, no vCPU on two CPUs, pausing.
 */
#include "host/test.h"
#include <pthread.h>
#include <time.h>
#include <unistd.h>
#include "core/sched/credit.h"
#include "core/sched/task.h"
#include "core/time/vcpu_timer.h"

#define CPUS_MAX  4
#define VCPUS_MAX 64

/* What a simulated vCPU does: computes for burst_ns, then sleeps for sleep_ns (0: never sleeps). */
struct guest {
    struct vcpu *v;
    uint64_t burst_ns, sleep_ns;
    uint64_t left_ns, wake_at_ns;   /* of this burst; 0 not asleep */
    uint64_t woken_ns, wait_max_ns; /* wake-up to running */
    uint64_t ran_on[CPUS_MAX];
};
static struct guest guests[VCPUS_MAX];
static unsigned guests_count;
static uint64_t end_ns;

static struct domain *make_domain(uint16_t id, unsigned weight, unsigned cap, unsigned vcpus)
{
    struct domain *d = hw_domain_alloc();

    d->id = id;
    d->max_vcpus = vcpus;
    d->sched.weight = (uint16_t)weight;
    d->sched.cap = (uint16_t)cap;
    spin_init(&d->event_lock, LOCK_EVENT);
    d->vcpus = calloc(vcpus, sizeof(d->vcpus[0]));
    for (unsigned i = 0; i < vcpus; i++) {
        struct vcpu *v = hw_vcpu_alloc(d, i);

        d->vcpus[i] = v;
        v->domain = d;
        v->id = i;
        v->pause_flags = VPF_DOWN;
        v->info = &v->no_info;
        v->runstate = RUNSTATE_offline;
        v->runstate_entry_ns = host_now_ns;
        vcpu_timers_init(v);
        assert_int_equal(sched_vcpu_init(v), 0);
    }
    return d;
}

static void free_domain(struct domain *d)
{
    for (unsigned i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = d->vcpus[i];

        __atomic_fetch_or(&v->pause_flags, VPF_DOWN, __ATOMIC_SEQ_CST);
        sched_sleep(v);
        while (v->running) { /* each CPU in turn looks */
            host_set_current(v->pcpu, NULL);
            pcpu_do_work();
        }
        sched_vcpu_remove(v);
        vcpu_timers_destroy(v);
        hw_vcpu_free(v);
    }
    free(d->vcpus);
    hw_domain_free(d);
}

static struct guest *add_guest(struct vcpu *v, uint64_t burst_ns, uint64_t sleep_ns)
{
    struct guest *g = &guests[guests_count++];

    *g = (struct guest){.v = v, .burst_ns = burst_ns, .sleep_ns = sleep_ns, .left_ns = burst_ns};
    __atomic_fetch_and(&v->pause_flags, ~VPF_DOWN, __ATOMIC_SEQ_CST);
    sched_wake(v);
    return g;
}

static void add_hogs(struct domain *d)
{
    for (unsigned i = 0; i < d->max_vcpus; i++)
        add_guest(d->vcpus[i], 0, 0);
}

static struct guest *guest_of(const struct vcpu *v)
{
    for (unsigned i = 0; i < guests_count; i++)
        if (guests[i].v == v)
            return &guests[i];
    return NULL;
}

/* ---- The simulation ---- */

static bool do_all_work(void)
{
    bool any = false;
    unsigned cpu;

    for_each_cpu (cpu, &cpus_online) {
        host_set_current(cpu, NULL);
        for (unsigned i = 0; pcpus[cpu]->work; i++) {
            assert_true(i < 100);
            pcpu_do_work();
            any = true;
        }
    }
    return any;
}

static uint64_t next_event(void)
{
    uint64_t next = end_ns;
    unsigned cpu;

    for_each_cpu (cpu, &cpus_online) {
        const struct guest *g = guest_of(pcpus[cpu]->current);
        next = MIN(next, host_cpus[cpu]->timer_deadline);
        if (g && g->sleep_ns)
            next = MIN(next, host_now_ns + g->left_ns);
    }
    for (unsigned i = 0; i < guests_count; i++)
        if (guests[i].wake_at_ns)
            next = MIN(next, guests[i].wake_at_ns);
    return MAX(next, host_now_ns);
}

static void compute_until(uint64_t when)
{
    uint64_t took = when - host_now_ns;
    unsigned cpu;

    host_now_ns = when;
    for_each_cpu (cpu, &cpus_online) {
        struct guest *g = guest_of(pcpus[cpu]->current);

        host_set_current(cpu, NULL);
        if (host_cpus[cpu]->timer_deadline <= when) {
            host_cpus[cpu]->timer_deadline = ~0UL;
            pcpu_raise(cpu, PCPU_WORK_TIMER);
        }
        if (!g)
            continue;
        g->ran_on[cpu] += took;
        if (!g->sleep_ns)
            continue;
        g->left_ns -= took;
        if (!g->left_ns) {
            g->wake_at_ns = when + g->sleep_ns;
            sched_block_current();
        }
    }
}

static void wake_sleepers(void)
{
    for (unsigned i = 0; i < guests_count; i++) {
        struct guest *g = &guests[i];

        if (!g->wake_at_ns || g->wake_at_ns > host_now_ns)
            continue;
        g->wake_at_ns = 0;
        g->left_ns = g->burst_ns;
        g->woken_ns = host_now_ns;
        vcpu_kick(g->v);
    }
}

static void note_latency(void)
{
    unsigned cpu;

    for_each_cpu (cpu, &cpus_online) {
        struct guest *g = guest_of(pcpus[cpu]->current);

        if (!g || !g->woken_ns)
            continue;
        g->wait_max_ns = MAX(g->wait_max_ns, host_now_ns - g->woken_ns);
        g->woken_ns = 0;
    }
}

static void simulate(uint64_t ns)
{
    end_ns = host_now_ns + ns;
    while (host_now_ns < end_ns) {
        while (do_all_work())
            ;
        note_latency();
        compute_until(next_event());
        wake_sleepers();
    }
}

static uint64_t cpu_time(const struct domain *d)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < d->max_vcpus; i++) {
        struct vcpu_runstate_info info;
        sched_get_runstate(d->vcpus[i], &info, true);
        sum += info.time[RUNSTATE_running];
    }
    return sum;
}

static void assert_share(const struct domain *d, uint64_t of_ns, unsigned percent, unsigned tolerance)
{
    uint64_t permille = cpu_time(d) * 1000 / of_ns;

    if (permille + 10 * tolerance < 10 * percent || permille > 10 * (percent + tolerance)) {
        fail_msg("domain %u got %lu.%lu %%, expected %u +- %u", d->id, permille / 10, permille % 10, percent,
                 tolerance);
    }
}

/* ---- Shares ---- */

static void weights_decide_on_one_cpu(void **state)
{
    (void)state;
    host_machine_init(1, 256);
    struct domain *a = make_domain(1, 256, 0, 1), *b = make_domain(2, 512, 0, 1), *c = make_domain(3, 256, 0, 1);
    add_hogs(a);
    add_hogs(b);
    add_hogs(c);
    simulate(20 * SEC);
    assert_share(a, 20 * SEC, 25, 1);
    assert_share(b, 20 * SEC, 50, 1);
    assert_share(c, 20 * SEC, 25, 1);
    free_domain(a);
    free_domain(b);
    free_domain(c);
}

static void extreme_weights(void **state)
{
    (void)state;
    host_machine_init(1, 256);
    struct domain *a = make_domain(1, 100, 0, 1), *b = make_domain(2, 900, 0, 2);
    add_hogs(a);
    add_hogs(b);
    simulate(30 * SEC);
    assert_share(a, 30 * SEC, 10, 1);
    assert_share(b, 30 * SEC, 90, 1);
    free_domain(a);
    free_domain(b);
}

static void weights_decide_on_several_cpus(void **state)
{
    (void)state;
    host_machine_init(2, 256);
    struct domain *a = make_domain(1, 256, 0, 2), *b = make_domain(2, 256, 0, 4), *c = make_domain(3, 512, 0, 2);
    add_hogs(a);
    add_hogs(b);
    add_hogs(c);
    simulate(20 * SEC);
    assert_share(a, 20 * SEC, 50, 4);
    assert_share(b, 20 * SEC, 50, 4);
    assert_share(c, 20 * SEC, 100, 4);
    free_domain(a);
    free_domain(b);
    free_domain(c);
}

/* One vCPU cannot use more than a CPU; the others get what is left. */
static void what_one_cannot_use_the_others_get(void **state)
{
    (void)state;
    host_machine_init(2, 256);
    struct domain *a = make_domain(1, 10000, 0, 1), *b = make_domain(2, 256, 0, 2), *c = make_domain(3, 256, 0, 2);
    add_hogs(a);
    add_hogs(b);
    add_hogs(c);
    simulate(20 * SEC);
    assert_share(a, 20 * SEC, 100, 5);
    assert_share(b, 20 * SEC, 50, 4);
    assert_share(c, 20 * SEC, 50, 4);
    free_domain(a);
    free_domain(b);
    free_domain(c);
}

static void nothing_is_idle_while_somebody_waits(void **state)
{
    (void)state;
    host_machine_init(4, 256);
    struct domain *a = make_domain(1, 256, 0, 7), *b = make_domain(2, 256, 0, 1);
    add_hogs(a);
    for (unsigned i = 0; i < 1; i++)
        add_guest(b->vcpus[i], 3 * MSEC, 7 * MSEC);
    simulate(5 * SEC);
    assert_true(cpu_time(a) + cpu_time(b) > 4 * 5 * SEC - 20 * MSEC);
    for (unsigned i = 0; i < 7; i++) /* and all get on */
        assert_true(guests[i].ran_on[0] + guests[i].ran_on[1] + guests[i].ran_on[2] + guests[i].ran_on[3] > 2 * SEC);
    free_domain(a);
    free_domain(b);
}

static void caps_hold(void **state)
{
    (void)state;
    host_machine_init(2, 256);
    struct domain *a = make_domain(1, 256, 40, 1), *b = make_domain(2, 256, 50, 2);
    add_hogs(a);
    add_hogs(b);
    simulate(10 * SEC);
    assert_share(a, 10 * SEC, 40, 1);
    assert_share(b, 10 * SEC, 50, 1);
    assert_int_equal(sched_set_domain(a, 256, 0), 0); /* lifted */
    uint64_t before = cpu_time(a);
    simulate(10 * SEC);
    assert_true(cpu_time(a) - before > 9900 * MSEC);
    assert_int_equal(sched_set_domain(a, 0, 0), -EINVAL);
    free_domain(a);
    free_domain(b);
}

/* ---- Affinity ---- */

static cpumask_t only(unsigned cpu)
{
    cpumask_t m = {{0}};
    cpumask_set(&m, cpu);
    return m;
}

static void affinity_holds(void **state)
{
    cpumask_t one = only(1), zero = only(0), none = {{0}}, missing = only(7);

    (void)state;
    host_machine_init(2, 256);
    struct domain *a = make_domain(1, 256, 0, 4);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(sched_set_affinity(a->vcpus[i], &one, &one), 0);
    add_hogs(a);
    simulate(2 * SEC);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(guests[i].ran_on[0], 0);
        assert_true(guests[i].ran_on[1] > 500 * MSEC);
    }
    assert_true(guests[3].ran_on[0] > 1900 * MSEC);
    /* all, whether running, waiting or asleep, to the other CPU */
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(sched_set_affinity(a->vcpus[i], &zero, &zero), 0);
        memset(guests[i].ran_on, 0, sizeof(guests[i].ran_on));
    }
    simulate(2 * SEC);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(guests[i].ran_on[1], 0);
        assert_true(guests[i].ran_on[0] > 400 * MSEC);
    }
    assert_int_equal(sched_set_affinity(a->vcpus[0], &none, &none), -EINVAL);
    assert_int_equal(sched_set_affinity(a->vcpus[0], &missing, &missing), -EINVAL);
    free_domain(a);
}

static void soft_affinity_is_preferred_but_not_obeyed(void **state)
{
    cpumask_t one = only(1), all;

    (void)state;
    memset(&all, 0xff, sizeof(all));
    host_machine_init(2, 256);
    struct domain *a = make_domain(1, 256, 0, 2);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(sched_set_affinity(a->vcpus[i], &all, &one), 0);
    struct guest *g = add_guest(a->vcpus[0], MSEC, MSEC);
    simulate(1 * SEC);
    assert_true(g->ran_on[1] > 490 * MSEC); /* the idle CPU that it likes */
    add_guest(a->vcpus[1], 0, 0);
    g->sleep_ns = 0;
    simulate(1 * SEC);
    assert_true(cpu_time(a) > 2400 * MSEC); /* no CPU idles for the sake of a preference */
    free_domain(a);
}

/* ---- Latency and yielding ---- */

static void who_sleeps_much_is_served_soon(void **state)
{
    (void)state;
    host_machine_init(1, 256);
    struct domain *a = make_domain(1, 256, 0, 3), *b = make_domain(2, 256, 0, 1);
    add_hogs(a);
    struct guest *g = add_guest(b->vcpus[0], 500 * USEC, 9500 * USEC);
    simulate(5 * SEC);
    assert_true(g->wait_max_ns <= 1 * MSEC); /* the rate limit */
    assert_share(b, 5 * SEC, 5, 1);
    free_domain(a);
    free_domain(b);
}

static void nobody_is_switched_before_the_rate_limit(void **state)
{
    (void)state;
    host_machine_init(1, 256);
    struct domain *a = make_domain(1, 256, 0, 1), *b = make_domain(2, 256, 0, 8);
    add_hogs(a);
    for (unsigned i = 0; i < 8; i++)
        add_guest(b->vcpus[i], 10 * USEC, (100 + 7 * i) * USEC);
    simulate(1 * SEC);
    assert_true(host_cpus[0]->switches < 10000); /* each sleeper's short run ends by itself; then 1 ms is quiet */
    assert_true(cpu_time(a) > 850 * MSEC);
    free_domain(a);
    free_domain(b);
}

static void yield_lets_others_run(void **state)
{
    (void)state;
    host_machine_init(1, 256);
    struct domain *a = make_domain(1, 256, 0, 2);
    add_hogs(a);
    do_all_work();
    for (unsigned i = 0; i < 100; i++) {
        struct vcpu *before = pcpus[0]->current;

        before->sched.credit_ns = 20 * MSEC; /* even when the other is of a lower class */
        a->vcpus[!before->id]->sched.credit_ns = -20L * (int64_t)MSEC;
        host_now_ns += 10 * USEC;
        sched_yield_current();
        do_all_work();
        assert_ptr_not_equal(pcpus[0]->current, before);
        assert_ptr_not_equal(pcpus[0]->current, pcpus[0]->idle);
    }
    free_domain(a);
    /* alone, it goes on */
    struct domain *b = make_domain(2, 256, 0, 1);
    guests_count = 0;
    add_hogs(b);
    do_all_work();
    sched_yield_current();
    do_all_work();
    assert_ptr_equal(pcpus[0]->current, b->vcpus[0]);
    free_domain(b);
}

/* A vCPU that yields on a CPU without others fetches one that waits elsewhere. */
static void yield_fetches_work_from_other_cpus(void **state)
{
    cpumask_t one = only(1), all;

    (void)state;
    memset(&all, 0xff, sizeof(all));
    host_machine_init(2, 256);
    struct domain *a = make_domain(1, 256, 0, 3);
    for (unsigned i = 1; i < 3; i++)
        assert_int_equal(sched_set_affinity(a->vcpus[i], &one, &one), 0);
    add_hogs(a);
    do_all_work();
    assert_ptr_equal(pcpus[0]->current, a->vcpus[0]);
    for (unsigned i = 1; i < 3; i++)
        assert_int_equal(sched_set_affinity(a->vcpus[i], &all, &all), 0);
    host_set_current(0, NULL);
    sched_yield_current();
    do_all_work();
    assert_ptr_not_equal(pcpus[0]->current, a->vcpus[0]);
    assert_ptr_not_equal(pcpus[0]->current, pcpus[0]->idle);
    free_domain(a);
}

static struct vcpu *stolen;

/* CPU 1 takes CPU 0's last waiting vCPU, then lets go of its own queue, which CPU 0 waits for. */
static void steal_for_cpu1(void)
{
    host_relax_hook = NULL;
    host_set_current(1, NULL);
    spin_unlock(&pcpus[1]->sched.lock);
    stolen = sched_steal(pcpus[1], SCHED_IDLE);
    host_set_current(0, NULL);
}

static void reclass(struct vcpu *v, unsigned class)
{
    queue_remove(pcpus[v->pcpu], v);
    v->sched.priority = (uint8_t) class;
    queue_add(pcpus[v->pcpu], v);
}

/* CPU 0, whose vCPU has blocked, looks for something better than its one waiting vCPU, and loses that meanwhile. It must be known to
 * be idle then, or it stays so while others wait. */
static void who_loses_all_while_looking_is_known_to_be_idle(void **state)
{
    cpumask_t both = {{3}}, of[2] = {only(0), only(1)};
    struct vcpu *waits0, *waits1;

    (void)state;
    host_machine_init(2, 256);
    struct domain *a = make_domain(1, 256, 0, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(sched_set_affinity(a->vcpus[i], &of[i / 2], &of[i / 2]), 0);
    add_hogs(a);
    do_all_work();
    waits0 = a->vcpus[pcpus[0]->current == a->vcpus[0]];
    waits1 = a->vcpus[2 + (pcpus[1]->current == a->vcpus[2])];
    assert_int_equal(sched_set_affinity(waits0, &both, &both), 0);
    reclass(waits0, SCHED_OVER);
    reclass(waits1, SCHED_UNDER); /* worth a look, but not to be had */

    host_set_current(1, NULL);
    spin_lock(&pcpus[1]->sched.lock);
    host_set_current(0, NULL);
    host_relax_hook = steal_for_cpu1;
    sched_block_current();
    do_all_work();
    assert_ptr_equal(stolen, waits0);
    assert_ptr_equal(pcpus[0]->current, pcpus[0]->idle);
    assert_true(cpumask_test(&sched_idle_cpus, 0));
    /* so that CPU 1, which is busy, passes it on */
    __atomic_store_n(&pcpus[1]->sched.holds, NULL, __ATOMIC_RELEASE);
    host_set_current(1, NULL);
    sched_place(stolen, false);
    do_all_work();
    assert_ptr_equal(pcpus[0]->current, waits0);
    free_domain(a);
}

static void an_idle_machine_has_no_timers(void **state)
{
    (void)state;
    host_machine_init(2, 256);
    struct domain *a = make_domain(1, 256, 0, 1);
    struct guest *g = add_guest(a->vcpus[0], MSEC, 10 * SEC);
    simulate(1 * SEC);
    assert_int_equal(pcpus[0]->timers.count + pcpus[1]->timers.count, 0);
    assert_int_equal(g->ran_on[0] + g->ran_on[1], MSEC);
    assert_ptr_equal(pcpus[0]->current, pcpus[0]->idle);
    free_domain(a);
}

static void run_states_add_up(void **state)
{
    struct vcpu_runstate_info info;

    (void)state;
    host_machine_init(1, 256);
    uint64_t start = host_now_ns;
    struct domain *a = make_domain(1, 256, 0, 2);
    add_guest(a->vcpus[0], 3 * MSEC, 4 * MSEC);
    add_guest(a->vcpus[1], 0, 0);
    simulate(7 * SEC);
    for (unsigned i = 0; i < 2; i++) {
        sched_get_runstate(a->vcpus[i], &info, true);
        assert_int_equal(info.time[0] + info.time[1] + info.time[2] + info.time[3], host_now_ns - start);
    }
    sched_print_queues();
    free_domain(a);
}

static bool again_twice(void *arg)
{
    return ++*(unsigned *)arg % 3 != 0;
}

static void tasks_run_until_done(void **state)
{
    unsigned runs = 0;
    struct task t;

    (void)state;
    host_machine_init(1, 256);
    task_init(&t, again_twice, &runs);
    task_raise(&t);
    task_raise(&t);
    pcpu_do_work();
    assert_int_equal(runs, 1);
    assert_true(this_cpu()->work & PCPU_WORK_TASK);
    do_all_work();
    assert_int_equal(runs, 3);
    task_raise(&t);
    do_all_work();
    assert_int_equal(runs, 6);
}

/* ---- Threads: a CPU each ---- */

#define STORM_CPUS  4
#define STORM_VCPUS 10
#define STORM_MS    2500
static struct domain *storm_domain;
static uint64_t posts[STORM_VCPUS], taken[STORM_VCPUS], runs[STORM_VCPUS];
static uint32_t owner[STORM_VCPUS]; /* CPU + 1 that runs it */
static bool storm_posting, storm_over;

static uint64_t real_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SEC + (uint64_t)t.tv_nsec;
}

static void storm_switch(struct vcpu *prev, struct vcpu *next)
{
    if (prev->domain) {
        assert_true(prev->running);
        if (real_ns() % 7 == 0)
            usleep(50); /* the window in which prev's state is not yet saved */
        assert_int_equal(__atomic_exchange_n(&owner[prev->id], 0, __ATOMIC_SEQ_CST), this_cpu()->id + 1);
    }
    if (next->domain) {
        assert_int_equal(__atomic_exchange_n(&owner[next->id], this_cpu()->id + 1, __ATOMIC_SEQ_CST), 0);
    }
}

static void post(unsigned to)
{
    struct vcpu *v = storm_domain->vcpus[to];

    __atomic_fetch_add(&posts[to], 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&v->info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    vcpu_kick(v);
}

/* A turn of a guest: takes what was posted to it, posts to others, sleeps, yields, pauses others. */
static void storm_turn(struct vcpu *v, unsigned *seed)
{
    unsigned what = (unsigned)rand_r(seed) % 16;

    runs[v->id]++;
    if (__atomic_exchange_n(&v->info->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST))
        __atomic_store_n(&taken[v->id], __atomic_load_n(&posts[v->id], __ATOMIC_SEQ_CST), __ATOMIC_SEQ_CST);
    if (storm_posting && what < 5)
        post((unsigned)rand_r(seed) % STORM_VCPUS);
    if (storm_posting && what == 5) { /* set_affinity of somebody, to half of the CPUs */
        cpumask_t m = {{0}};
        m.w[0] = rand_r(seed) % 2 ? 0x3 : 0x6;
        sched_set_affinity(storm_domain->vcpus[(unsigned)rand_r(seed) % STORM_VCPUS], &m, &m);
    }
    if (storm_posting && what == 6) {
        struct vcpu *other = storm_domain->vcpus[(unsigned)rand_r(seed) % STORM_VCPUS];
        vcpu_pause_nosync(other);
        vcpu_unpause(other);
    }
    if (what < 12)
        sched_block_current();
    else if (what < 15)
        sched_yield_current();
}

static void *storm_cpu(void *arg)
{
    unsigned cpu = (unsigned)(uintptr_t)arg, seed = cpu + 1;

    host_this_cpu = pcpus[cpu];
    while (!__atomic_load_n(&storm_over, __ATOMIC_RELAXED)) {
        struct host_cpu *c = host_cpus[cpu];

        if (cpu == 0)
            __atomic_store_n(&host_now_ns, real_ns(), __ATOMIC_RELAXED);
        if (c->timer_deadline <= hw_now_ns()) {
            c->timer_deadline = ~0UL;
            pcpu_raise(cpu, PCPU_WORK_TIMER);
        }
        while (__atomic_load_n(&c->core.work, __ATOMIC_SEQ_CST))
            pcpu_do_work();
        if (c->core.current != c->core.idle)
            storm_turn(c->core.current, &seed);
        else
            usleep(20);
    }
    return NULL;
}

static bool all_taken(void)
{
    for (unsigned i = 0; i < STORM_VCPUS; i++)
        if (__atomic_load_n(&taken[i], __ATOMIC_SEQ_CST) != __atomic_load_n(&posts[i], __ATOMIC_SEQ_CST))
            return false;
    return true;
}

static void no_wakeup_is_lost(void **state)
{
    pthread_t threads[STORM_CPUS];
    uint64_t start;

    (void)state;
    host_now_ns = real_ns();
    host_machine_init(STORM_CPUS + 1, 256);
    cpumask_clear(&cpus_online, STORM_CPUS); /* this thread's: it only posts */
    bit_test_clear_atomic(sched_idle_cpus.w, STORM_CPUS);
    host_set_current(STORM_CPUS, NULL);
    host_now_ns = real_ns();
    storm_domain = make_domain(1, 256, 0, STORM_VCPUS);
    host_switch_hook = storm_switch;
    storm_posting = true;
    for (unsigned i = 0; i < STORM_VCPUS; i++) {
        storm_domain->vcpus[i]->pause_flags = 0;
        sched_wake(storm_domain->vcpus[i]);
    }
    for (unsigned i = 0; i < STORM_CPUS; i++)
        pthread_create(&threads[i], NULL, storm_cpu, (void *)(uintptr_t)i);
    start = real_ns();
    while (real_ns() - start < STORM_MS * MSEC) {
        usleep(300);
        for (unsigned i = 0; i < STORM_VCPUS; i++) /* from outside, too: they may all be asleep */
            if (real_ns() % 3 == 0)
                post(i);
    }
    storm_posting = false;
    for (unsigned i = 0; i < STORM_VCPUS; i++)
        post(i);
    start = real_ns();
    while (!all_taken() && real_ns() - start < 10 * SEC)
        usleep(1000);
    assert_true(all_taken());
    storm_over = true;
    for (unsigned i = 0; i < STORM_CPUS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < STORM_VCPUS; i++)
        assert_true(runs[i] > 100);
    host_switch_hook = NULL;
    host_set_current(0, NULL);
    free_domain(storm_domain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(weights_decide_on_one_cpu),
        isolated_test(extreme_weights),
        isolated_test(weights_decide_on_several_cpus),
        isolated_test(what_one_cannot_use_the_others_get),
        isolated_test(nothing_is_idle_while_somebody_waits),
        isolated_test(caps_hold),
        isolated_test(affinity_holds),
        isolated_test(soft_affinity_is_preferred_but_not_obeyed),
        isolated_test(who_sleeps_much_is_served_soon),
        isolated_test(nobody_is_switched_before_the_rate_limit),
        isolated_test(yield_lets_others_run),
        isolated_test(yield_fetches_work_from_other_cpus),
        isolated_test(who_loses_all_while_looking_is_known_to_be_idle),
        isolated_test(an_idle_machine_has_no_timers),
        isolated_test(run_states_add_up),
        isolated_test(tasks_run_until_done),
        isolated_test(no_wakeup_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
