/* SPDX-License-Identifier: MIT */
/*
 * Wall-clock time: UTC at system time 0, as each domain sees it (its time offset added) in its shared_info. Readers there
 * use the version: odd while it is being written. Lock: LOCK_CLOCK, for the value and for writing it out.
 */
#include "core/time/wallclock.h"
#include "core/domain/domain.h"
#include "core/trace/trace.h"

static struct spinlock clock_lock = SPINLOCK_INIT(LOCK_CLOCK);
static uint64_t utc_ns_at_boot;

void wallclock_publish(struct domain *d)
{
    struct shared_info *s;
    uint64_t seconds;
    uint32_t version;

    spin_lock(&clock_lock);
    s = d->shared_info;
    if (!s) {
        spin_unlock(&clock_lock);
        return;
    }
    seconds = utc_ns_at_boot / SEC + (uint64_t)d->time_offset_s;
    version = (__atomic_load_n(&s->wc_version, __ATOMIC_RELAXED) | 1) + 2;
    __atomic_store_n(&s->wc_version, version, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&s->wc_sec, (uint32_t)seconds, __ATOMIC_RELAXED);
    __atomic_store_n(&s->wc_sec_hi, (uint32_t)(seconds >> 32), __ATOMIC_RELAXED);
    __atomic_store_n(&s->wc_nsec, (uint32_t)(utc_ns_at_boot % SEC), __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&s->wc_version, version + 1, __ATOMIC_RELAXED);
    spin_unlock(&clock_lock);
}

void wallclock_forget(struct domain *d)
{
    spin_lock(&clock_lock);
    d->shared_info = NULL;
    spin_unlock(&clock_lock);
}

void wallclock_set(uint64_t utc_ns)
{
    struct domain *d = NULL;

    trace(TRACE_TIME, "wall clock: %lu ns at boot", utc_ns);
    spin_lock(&clock_lock);
    utc_ns_at_boot = utc_ns;
    spin_unlock(&clock_lock);
    while ((d = domain_next(d)) != NULL)
        wallclock_publish(d);
}
