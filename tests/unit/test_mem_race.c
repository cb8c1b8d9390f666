/* SPDX-License-Identifier: MIT */
/*
 * Hostile guests: random operations on a small pool of frames, first by one CPU with an audit after each, then by four CPUs at
 * once with an audit at the end. Every frame may be anything at any time, so every conflict and every race comes up.
 * STEPS in the environment makes it longer.
 */
#include <pthread.h>
#include "mem_guest.h"
#include "core/mem/entry.h"

#define POOL 48
#define CPUS 4

static struct domain *domains[2];
static mfn_t pool[2][POOL];
static unsigned long done_well[16];

static uint64_t rnd(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Mostly sensible for some level, sometimes not. */
static pte_t random_entry(uint64_t *s, unsigned owner)
{
    pte_t e = pte_make(pool[owner][rnd(s) % POOL], PTE_P | PTE_US);

    if (rnd(s) % 4 == 0)
        return 0;
    if (rnd(s) % 2)
        e |= PTE_RW;
    if (rnd(s) % 8 == 0)
        e ^= 1UL << (rnd(s) % 64);
    return e;
}

static void store(struct domain *d, mfn_t m, unsigned index, pte_t e)
{
    if (writable_get(m, d->id))
        return;
    __atomic_store_n(entry(m, index), e, __ATOMIC_RELAXED);
    writable_put(frame_of(m));
}

/* One operation of one vCPU; -ERESTART is made again now and then, sometimes given up. */
static void step(struct vcpu *v, unsigned who, uint64_t *s)
{
    struct domain *d = v->domain;
    mfn_t m = pool[who][rnd(s) % POOL], m2 = pool[who][rnd(s) % POOL];
    unsigned index = (unsigned)(rnd(s) % 6), op = (unsigned)(rnd(s) % 12), tries = (unsigned)(rnd(s) % 30);
    uint16_t target = rnd(s) % 16 ? d->id : domains[1 - who]->id;
    pte_t e = random_entry(s, target == d->id ? who : 1 - who);
    int rc = 0;

    if (rnd(s) % 16 == 0)
        index = 500;
    do {
        switch (op) {
        case 0:
        case 1:
            store(d, m, index, e);
            break;
        case 2:
        case 3:
            rc = mmu_pin(d, m, 1 + (unsigned)(rnd(s) % 4));
            break;
        case 4:
        case 5:
            rc = mmu_unpin(d, m);
            break;
        case 6:
        case 7:
            rc = mmu_update_entry(d, frame_of(m), index, e, rnd(s) % 2 ? PT_SET : PT_PRESERVE_AD, target);
            break;
        case 8:
            rc = mmu_cmpxchg_l1(d, m, index, __atomic_load_n(entry(m, index), __ATOMIC_RELAXED), e);
            break;
        case 9:
            rc = mmu_set_kernel_root(v, m);
            break;
        case 10:
            rc = mmu_set_user_root(v, rnd(s) % 4 ? m : INVALID_MFN);
            break;
        case 11: /* the frame goes back and another comes */
            if (rnd(s) % 8 == 0 && reservation_drop(d, m2) == 0) {
                mfn_t new = reservation_add(d, 0, 0, false);
                for (unsigned i = 0; i < POOL; i++)
                    if (pool[who][i].n == m2.n && !mfn_eq(new, INVALID_MFN))
                        __atomic_store_n(&pool[who][i].n, new.n, __ATOMIC_RELAXED);
            }
            break;
        }
    } while (rc == -ERESTART && tries--);
    if (!rc)
        __atomic_fetch_add(&done_well[op], 1, __ATOMIC_RELAXED);
    /* Nothing goes back to the guest before its drops are done. */
    while (mmu_finish_drops(v))
        continue;
}

static void create(void)
{
    host_machine_init(CPUS, 2048);
    for (unsigned w = 0; w < 2; w++) {
        domains[w] = guest_create((uint16_t)(w + 1), false);
        for (unsigned i = 0; i < POOL; i++)
            pool[w][i] = guest_frame(domains[w]);
    }
}

static unsigned long steps(unsigned long usual)
{
    const char *s = getenv("STEPS");

    return s ? strtoul(s, NULL, 0) : usual;
}

static void finish(void)
{
    assert_audit();
    host_preempt_after(3);
    for (unsigned w = 0; w < 2; w++)
        assert_int_equal(UNTIL_DONE(domain_destroy(domains[w])), 0);
    host_preempt_after(0);
    assert_audit();
    assert_int_equal(frames_owned(1), 0);
    assert_int_equal(frames_owned(2), 0);
    for (unsigned op = 2; op < 11; op++)
        assert_true(done_well[op] > 0);
}

static void one_cpu(void **state)
{
    uint64_t seed = 88172645463325252;
    unsigned long n = steps(4000);

    create();
    for (unsigned long i = 0; i < n; i++) {
        unsigned who = i & 1;
        host_preempt_after((unsigned)(rnd(&seed) % 4));
        host_set_current(0, domains[who]->vcpus[0]);
        step(current_vcpu(), who, &seed);
        host_preempt_after(0);
        struct audit_result r = audit_run(true);
        if (r.violations)
            fprintf(stderr, "after step %lu:\n%s\n", i, host_console);
        assert_int_equal(r.violations, 0);
    }
    host_set_current(0, NULL);
    current_vcpu()->running = false;
    this_cpu()->current = this_cpu()->idle;
    finish();
}

static void *cpu_main(void *arg)
{
    unsigned cpu = (unsigned)(uintptr_t)arg;
    uint64_t seed = 0x9e3779b97f4a7c15 * (cpu + 1);
    struct vcpu *v = domains[cpu & 1]->vcpus[cpu >> 1];

    host_set_current(cpu, v);
    for (unsigned long i = 0, n = steps(60000); i < n; i++)
        step(v, cpu & 1, &seed);
    v->running = false;
    this_cpu()->current = this_cpu()->idle;
    return NULL;
}

static void four_cpus(void **state)
{
    pthread_t thread[CPUS];

    create();
    host_preempt_after(5);
    for (uintptr_t i = 0; i < CPUS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, cpu_main, (void *)i), 0);
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(thread[i], NULL);
    host_preempt_after(0);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {isolated_test(one_cpu), isolated_test(four_cpus)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
