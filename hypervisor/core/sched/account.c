/* SPDX-License-Identifier: MIT */
/*
 * Accounting: every 30 ms the time of all CPUs is given out as credit to the domains that want it, by weight, and within
 * a domain equally to its active vCPUs. What a domain cannot use (it has fewer vCPUs than its share has CPUs, or a cap)
 * goes to the others. Use is charged as it happens (credit_charge), in nanoseconds.
 *
 * Credit is cut off at CREDIT_MAX (who sleeps does not save up) and at CREDIT_MIN (what was taken of idle CPUs does not
 * starve anybody later); and vCPUs that affinity keeps to a few CPUs cannot use all that they are given. So what is given
 * out is corrected each time to bring the sum of all credits back to 0: credits then differ around 0, and OVER means to
 * have used more than others.
 *
 * A vCPU is active from when it gets a CPU until it has used nothing for a whole period. While nobody is active there is
 * no accounting, and no timer.
 *
 * Caps: a vCPU of a capped domain has a budget beside its credit, which does not add up over periods; with nothing left of
 * it the vCPU is parked until the next accounting.
 *
 * Locks: LOCK_ACCOUNT guards the lists and the grants; run-queue locks nest inside, one at a time.
 */
#include "core/sched/credit.h"

#define ELAPSED_MAX  (10 * CREDIT_PERIOD)
#define SPREAD_STEPS 4 /* rounds of giving to others what a domain cannot use */

static struct spinlock account_lock = SPINLOCK_INIT(LOCK_ACCOUNT);
static struct list active_domains = LIST_INIT(active_domains);
static struct timer account_timer;
static uint64_t accounted_ns;
static int64_t credit_sum; /* of the active vCPUs, after the last accounting */

static void account_run(void *unused);

void account_init(void)
{
    timer_init(&account_timer, account_run, NULL, this_cpu()->id);
}

/* Something to begin with: it took no part in the last accounting. */
static void grant_first(struct vcpu *v)
{
    struct pcpu *c = sched_lock_vcpu(v);

    v->sched.credit_ns = MAX(v->sched.credit_ns, CREDIT_FIRST);
    spin_unlock(&c->sched.lock);
}

void account_activate(struct vcpu *v)
{
    struct sched_domain *d = &v->domain->sched;

    spin_lock(&account_lock);
    if (!v->sched.active) {
        if (list_empty(&active_domains) && !timer_is_set(&account_timer)) {
            accounted_ns = hw_now_ns();
            timer_set(&account_timer, accounted_ns + CREDIT_PERIOD);
        }
        if (list_empty(&d->active))
            list_add_tail(&d->active_link, &active_domains);
        list_add_tail(&v->sched.active_link, &d->active);
        d->active_count++;
        v->sched.active = true;
        grant_first(v);
    }
    spin_unlock(&account_lock);
}

static void deactivate(struct vcpu *v)
{
    struct sched_domain *d = &v->domain->sched;

    list_del(&v->sched.active_link);
    v->sched.active = false;
    if (!--d->active_count)
        list_del(&d->active_link);
}

void account_remove(struct vcpu *v)
{
    spin_lock(&account_lock);
    if (v->sched.active)
        deactivate(v);
    spin_unlock(&account_lock);
}

static unsigned cpus_count(void)
{
    unsigned n = 0, cpu;

    for_each_cpu (cpu, &cpus_online)
        n++;
    return n;
}

static uint64_t cap_ns(const struct sched_domain *d, uint64_t elapsed)
{
    return elapsed * d->cap / 100;
}

/* What the domain can use of a period at most. */
static uint64_t usable_ns(const struct sched_domain *d, uint64_t elapsed)
{
    uint64_t most = elapsed * d->active_count;
    return d->cap ? MIN(most, cap_ns(d, elapsed)) : most;
}

/* Steers the sum of all credits towards 0: half of what it is off is corrected each time. */
static uint64_t sum_to_give(uint64_t capacity)
{
    int64_t most = (int64_t)capacity, give = most - credit_sum / 2;

    credit_sum = 0;
    return (uint64_t)MIN(MAX(give, most / 8), 2 * most);
}

/* Sets grant_ns of each active domain. A domain whose share is more than it can use gets what it can use, and the rest is
 * shared out anew among the others. */
static void share_out(uint64_t elapsed)
{
    uint64_t left = sum_to_give(elapsed * cpus_count());
    struct sched_domain *d;
    bool again = true;

    list_for_each (d, &active_domains, active_link)
        d->grant_ns = 0;
    for (unsigned step = 0; again && step < SPREAD_STEPS; step++) {
        uint64_t weights = 0, pool = left;

        again = false;
        list_for_each (d, &active_domains, active_link)
            if (!d->grant_ns)
                weights += d->weight;
        list_for_each (d, &active_domains, active_link)
            if (!d->grant_ns && pool * d->weight / weights >= usable_ns(d, elapsed)) {
                d->grant_ns = MAX(usable_ns(d, elapsed), 1UL);
                left -= MIN(left, d->grant_ns);
                again = true;
            }
    }
    uint64_t weights = 0;
    list_for_each (d, &active_domains, active_link)
        if (!d->grant_ns)
            weights += d->weight;
    list_for_each (d, &active_domains, active_link)
        if (!d->grant_ns)
            d->grant_ns = left * d->weight / weights;
}

/* Gives one vCPU its part. Returns whether it was parked and no longer is. Run-queue lock held. */
static bool grant(struct pcpu *c, struct vcpu *v, uint64_t credit, uint64_t budget, bool capped, uint64_t now)
{
    struct sched_vcpu *s = &v->sched;
    uint8_t class;
    bool unpark;

    if (s->on_cpu)
        credit_charge(v, now);
    s->credit_ns = MAX(MIN(s->credit_ns + (int64_t)credit, CREDIT_MAX), CREDIT_MIN);
    credit_sum += s->credit_ns;
    s->budget_ns = s->capped ? MIN(s->budget_ns + (int64_t)budget, (int64_t)budget) : (int64_t)budget;
    s->capped = capped;
    s->used_ns = 0;
    class = credit_class(v);
    if (s->queued && class != s->priority && s->priority != SCHED_BOOST) {
        queue_remove(c, v);
        s->priority = class;
        queue_add(c, v);
    }
    if (s->on_cpu)
        s->priority = class;
    sched_arm_slice(c, now); /* who goes before whom, or what is left of a budget, may have changed */
    unpark = s->parked && (!capped || s->budget_ns > 0);
    if (unpark)
        s->parked = false;
    return unpark;
}

static void account_vcpu(struct vcpu *v, uint64_t elapsed, uint64_t now)
{
    const struct sched_domain *d = &v->domain->sched;
    uint64_t credit = d->grant_ns / d->active_count, budget = cap_ns(d, elapsed) / d->active_count;
    struct pcpu *c = sched_lock_vcpu(v);
    bool unparked = grant(c, v, credit, budget, d->cap != 0, now);

    spin_unlock(&c->sched.lock);
    if (unparked)
        sched_place(v, false);
}

/* The vCPUs that used nothing for a period are left out from now on. Debts are forgiven to them. */
static void drop_idle(struct sched_domain *d)
{
    struct vcpu *v, *next;

    list_for_each_safe (v, next, &d->active, sched.active_link) {
        struct sched_vcpu *s = &v->sched;
        struct pcpu *c = sched_lock_vcpu(v);
        bool idle = !s->used_ns && !s->on_cpu && !s->queued && !s->parked;

        if (idle) {
            s->credit_ns = MAX(s->credit_ns, 0L);
            s->budget_ns = (int64_t)(cap_ns(d, CREDIT_PERIOD) / d->active_count);
        }
        spin_unlock(&c->sched.lock);
        if (idle)
            deactivate(v);
    }
}

static void account_run(void *unused)
{
    struct sched_domain *d, *next;
    uint64_t now = hw_now_ns(), elapsed;
    struct vcpu *v;

    spin_lock(&account_lock);
    elapsed = MIN(now - accounted_ns, ELAPSED_MAX);
    accounted_ns = now;
    list_for_each_safe (d, next, &active_domains, active_link)
        drop_idle(d);
    share_out(elapsed);
    list_for_each (d, &active_domains, active_link)
        list_for_each (v, &d->active, sched.active_link)
            account_vcpu(v, elapsed, now);
    if (!list_empty(&active_domains))
        timer_set(&account_timer, now + CREDIT_PERIOD);
    spin_unlock(&account_lock);
}

int sched_set_domain(struct domain *d, unsigned weight, unsigned cap)
{
    if (!weight || weight > UINT16_MAX || cap > 100 * MAX_CPUS || cap > UINT16_MAX)
        return fail(-EINVAL);
    spin_lock(&account_lock);
    d->sched.weight = (uint16_t)weight;
    d->sched.cap = (uint16_t)cap;
    spin_unlock(&account_lock);
    return 0;
}
