/* SPDX-License-Identifier: MIT */
/* What the files of the scheduler share: queue.c (a CPU's queue), place.c (which CPU), account.c (credit), credit.c. */
#pragma once
#include "core/domain/domain.h"
#include "core/lib/fail.h"
#include "core/lib/print.h"
#include "core/trace/trace.h"

#define CREDIT_PERIOD (30 * MSEC)            /* accounting */
#define CREDIT_MAX    ((int64_t)(30 * MSEC)) /* nobody saves up more */
#define CREDIT_FIRST  (CREDIT_MAX / 3)       /* on becoming active */
#define CREDIT_MIN    (-2 * CREDIT_MAX)      /* nor owes more: what it took of idle CPUs must not starve it later */

static inline bool vcpu_runnable(const struct vcpu *v)
{
    return !__atomic_load_n(&v->pause_flags, __ATOMIC_SEQ_CST) && !__atomic_load_n(&v->pause_count, __ATOMIC_SEQ_CST);
}
static inline bool vcpu_may_run_on(const struct vcpu *v, unsigned cpu)
{
    return cpumask_test(&v->sched.affinity_hard, cpu);
}
/* RUNSTATE_* of a vCPU that is not runnable. */
static inline uint8_t vcpu_idle_runstate(const struct vcpu *v)
{
    return __atomic_load_n(&v->pause_flags, __ATOMIC_RELAXED) & VPF_BLOCKED ? RUNSTATE_blocked : RUNSTATE_offline;
}

/* ---- queue.c: all with the run-queue lock of v->pcpu (or c) held ---- */
struct pcpu *sched_lock_vcpu(struct vcpu *v);   /* locks the queue of v->pcpu, and returns that CPU */
void queue_add(struct pcpu *c, struct vcpu *v); /* into its class, by credit */
void queue_remove(struct pcpu *c, struct vcpu *v);
struct vcpu *queue_first(struct pcpu *c);        /* NULL: empty */
unsigned queue_best_class(const struct pcpu *c); /* SCHED_IDLE: empty. Also without the lock, as a hint */
/* Class by credit: UNDER or OVER. */
uint8_t credit_class(const struct vcpu *v);
/* Charges what v (on a CPU) has used up to now. */
void credit_charge(struct vcpu *v, uint64_t now_ns);

/* ---- place.c ---- */
extern cpumask_t sched_idle_cpus; /* [a] run their idle vCPU */
/* Puts a runnable vCPU that is neither queued nor on a CPU into the queue of the best CPU, and tells that CPU. Harmless
 * when there is nothing to do. Without locks. */
void sched_place(struct vcpu *v, bool woken);
/* An idle CPU that may run v is told to look for work. */
void sched_tickle(const struct vcpu *v);
/* Takes a waiting vCPU of a class before `below` (SCHED_IDLE: any, even against its soft affinity) from another CPU's
 * queue: then v->pcpu is this CPU, v is in no queue, and self->sched.holds is v. NULL: none. Without locks. */
struct vcpu *sched_steal(struct pcpu *self, unsigned below);

/* ---- account.c ---- */
void account_init(void);
void account_activate(struct vcpu *v); /* v has got a CPU: it takes part from now on. Without locks */
void account_remove(struct vcpu *v);

/* ---- credit.c ---- */
extern unsigned option_slice_us, option_ratelimit_us;
/* Programs the CPU's slice timer for what runs and waits there. Lock of c held. */
void sched_arm_slice(struct pcpu *c, uint64_t now_ns);
