/* SPDX-License-Identifier: MIT */
/* Timers: order, re-arming, stopping, moving between CPUs, what the hardware is told. */
#include "host/test.h"
#include "core/time/timer.h"

#define MANY 500

static unsigned fired;
static uint64_t last_deadline;
static struct timer timers[MANY];

static void note(void *arg)
{
    const struct timer *t = arg;

    assert_true(t->deadline_ns >= last_deadline);
    assert_true(t->deadline_ns <= host_now_ns);
    assert_false(timer_is_set(t));
    last_deadline = t->deadline_ns;
    fired++;
}

static void fire_at(uint64_t now)
{
    host_now_ns = now;
    timers_run();
}

static void they_fire_in_order(void **state)
{
    uint64_t start;
    unsigned stopped = 0;

    (void)state;
    host_machine_init(1, 256);
    start = host_now_ns;
    srand(1);
    for (unsigned i = 0; i < MANY; i++) {
        timer_init(&timers[i], note, &timers[i], 0);
        timer_set(&timers[i], start + 1 + (unsigned)rand() % 1000);
    }
    for (unsigned i = 0; i < MANY; i += 3) /* set anew */
        timer_set(&timers[i], start + 1 + (unsigned)rand() % 1000);
    for (unsigned i = 0; i < MANY; i += 7) {
        timer_stop(&timers[i]);
        timer_stop(&timers[i]);
        stopped++;
    }
    assert_int_equal(this_cpu()->timers.count, MANY - stopped);
    for (uint64_t t = 1; t <= 1000; t += 10)
        fire_at(start + t);
    fire_at(start + 1001);
    assert_int_equal(fired, MANY - stopped);
    assert_int_equal(this_cpu()->timers.count, 0);
    assert_null(this_cpu()->timers.root);
}

static void the_heap_keeps_its_order_under_random_use(void **state)
{
    uint64_t now;
    unsigned set = 0;

    (void)state;
    host_machine_init(1, 256);
    now = host_now_ns;
    srand(2);
    for (unsigned i = 0; i < MANY; i++)
        timer_init(&timers[i], note, &timers[i], 0);
    for (unsigned step = 0; step < 50000; step++) {
        struct timer *t = &timers[(unsigned)rand() % MANY];
        switch (rand() % 4) {
        case 0:
        case 1:
            timer_set(t, now + 1 + (unsigned)rand() % 5000);
            break;
        case 2:
            timer_stop(t);
            break;
        default:
            now += (unsigned)rand() % 20;
            last_deadline = 0;
            fire_at(now);
            for (unsigned i = 0; i < MANY; i++)
                assert_true(!timer_is_set(&timers[i]) || timers[i].deadline_ns > now);
        }
    }
    for (unsigned i = 0; i < MANY; i++)
        set += timer_is_set(&timers[i]);
    assert_int_equal(this_cpu()->timers.count, set);
    timers_print();
}

static struct timer repeating;
static void repeat(void *arg)
{
    (void)arg;
    fired++;
    timer_set(&repeating, repeating.deadline_ns + 100);
}

static void a_handler_may_set_its_timer_again(void **state)
{
    uint64_t start;

    (void)state;
    host_machine_init(1, 256);
    start = host_now_ns;
    timer_init(&repeating, repeat, NULL, 0);
    timer_set(&repeating, start + 100);
    for (unsigned i = 0; i < 1000; i++)
        fire_at(start + i * 10);
    assert_int_equal(fired, 99);
    timer_kill(&repeating);
    fire_at(start + 100000);
    assert_int_equal(fired, 99);
}

static void kill_self(void *arg)
{
    fired++;
    timer_set(arg, hw_now_ns() + 1);
    timer_kill(arg);
    free(arg);
}

static void a_handler_may_kill_and_free_its_timer(void **state)
{
    struct timer *t = malloc(sizeof(*t));

    (void)state;
    host_machine_init(1, 256);
    timer_init(t, kill_self, t, 0);
    timer_set(t, host_now_ns + 5);
    fire_at(host_now_ns + 10);
    assert_int_equal(fired, 1);
    assert_null(this_cpu()->timers.root);
}

static void the_hardware_is_told_only_what_comes_first(void **state)
{
    struct host_cpu *c;
    struct timer a, b;
    uint64_t now;

    (void)state;
    host_machine_init(1, 256);
    c = host_cpus[0];
    now = host_now_ns;
    timer_init(&a, note, &a, 0);
    timer_init(&b, note, &b, 0);
    timer_set(&a, now + 100);
    assert_int_equal(c->timer_deadline, now + 100);
    assert_int_equal(c->timer_sets, 1);
    timer_set(&b, now + 200); /* later */
    assert_int_equal(c->timer_sets, 1);
    timer_set(&a, now + 300); /* moved on: the old interrupt comes for nothing */
    assert_int_equal(c->timer_sets, 1);
    timer_set(&a, now + 50);
    assert_int_equal(c->timer_deadline, now + 50);
    assert_int_equal(c->timer_sets, 2);
    fire_at(now + 60);
    assert_int_equal(fired, 1);
    assert_int_equal(c->timer_deadline, now + 200);
    assert_int_equal(c->timer_sets, 3);
    fire_at(now + 210);
    assert_int_equal(fired, 2);
    assert_int_equal(c->timer_sets, 3); /* nothing is left */
}

static void timers_move_between_cpus(void **state)
{
    struct timer a;
    uint64_t now;

    (void)state;
    host_machine_init(2, 256);
    now = host_now_ns;
    timer_init(&a, note, &a, 1);
    timer_set(&a, now + 100); /* from CPU 0: CPU 1 is told to look */
    assert_int_equal(host_cpus[1]->kicks, 1);
    assert_true(pcpus[1]->work & PCPU_WORK_TIMER);
    host_set_current(1, NULL);
    pcpu_do_work();
    assert_int_equal(host_cpus[1]->timer_deadline, now + 100);
    timer_migrate(&a, 0);
    assert_int_equal(pcpus[1]->timers.count, 0);
    assert_int_equal(pcpus[0]->timers.count, 1);
    assert_true(pcpus[0]->work & PCPU_WORK_TIMER);
    fire_at(now + 150); /* CPU 1: the interrupt comes for nothing */
    assert_int_equal(fired, 0);
    host_set_current(0, NULL);
    pcpu_do_work();
    assert_int_equal(fired, 1);
}

static struct timer waited_for;
static unsigned relaxed;
static void other_cpu_finishes(void)
{
    if (++relaxed == 3)
        pcpus[1]->timers.running = NULL;
}

static void kill_waits_for_the_handler_on_another_cpu(void **state)
{
    (void)state;
    host_machine_init(2, 256);
    timer_init(&waited_for, note, &waited_for, 0);
    pcpus[1]->timers.running = &waited_for; /* as if CPU 1 were in its handler */
    host_relax_hook = other_cpu_finishes;
    timer_kill(&waited_for);
    assert_int_equal(relaxed, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(they_fire_in_order),
        isolated_test(the_heap_keeps_its_order_under_random_use),
        isolated_test(a_handler_may_set_its_timer_again),
        isolated_test(a_handler_may_kill_and_free_its_timer),
        isolated_test(the_hardware_is_told_only_what_comes_first),
        isolated_test(timers_move_between_cpus),
        isolated_test(kill_waits_for_the_handler_on_another_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
