/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: credit (weights, caps, hard and soft affinity), one run queue a CPU, with stealing.
 * A vCPU is runnable when pause_flags and pause_count are 0. Locks: each CPU's run-queue lock (LOCK_SCHED); a vCPU's
 * sched fields are guarded by the lock of the CPU that v->pcpu names. How wake-ups are never lost: credit.c.
 */
#pragma once
#include "core/lib/types.h"
#include "core/lib/list.h"
#include "core/lib/lock.h"
#include "core/lib/bitmap.h"
#include "core/time/timer.h"

struct domain;
struct vcpu;
struct pcpu;

#define SCHED_WEIGHT_DEFAULT 256

/* Lower numbers go first. BOOST: woken while it had credit; UNDER: credit left; OVER: used more than its share. */
enum sched_priority { SCHED_BOOST, SCHED_UNDER, SCHED_OVER, SCHED_IDLE };
#define SCHED_CLASSES 3 /* those that are queued */

/* [A] account lock (account.c), [S] run-queue lock */
struct sched_domain {
    uint16_t weight;         /* [A] 1..65535 */
    uint16_t cap;            /* [A] percent of one CPU; 0: none */
    bool ready;              /* the lists below are made */
    struct list active;      /* [A] its active vCPUs */
    struct list active_link; /* [A] in the list of domains that have such */
    unsigned active_count;   /* [A] */
    uint64_t grant_ns;       /* [A] of the accounting in progress */
};
struct sched_vcpu {
    struct list queue;                      /* [S] in the run queue of v->pcpu */
    bool queued;                            /* [S] */
    bool on_cpu;                            /* [S] chosen by CPU v->pcpu */
    bool parked;                            /* [S] its domain's cap is used up: not queued until the next accounting */
    bool capped;                            /* [S] budget_ns counts */
    bool active;                            /* [A] takes part in accounting */
    bool yielded;                           /* [o] others go first, once */
    bool polling;                           /* [o] in vcpu_poll: the end of it is to be tidied up */
    bool time_stale;                        /* [a] its time page is to be filled when it next passes the scheduler */
    uint8_t priority;                       /* [S] enum sched_priority */
    int64_t credit_ns;                      /* [S] granted minus used */
    int64_t budget_ns;                      /* [S] what the cap leaves until the next accounting */
    uint64_t used_ns;                       /* [S] since the last accounting */
    uint64_t charged_ns;                    /* [S] while on a CPU: the time up to which use has been charged */
    uint64_t started_ns;                    /* [S] when it last got the CPU */
    unsigned ran_on;                        /* [o] CPU of its last run; ~0 none */
    struct list active_link;                /* [A] */
    cpumask_t affinity_hard, affinity_soft; /* [S]; single words are read without */
};
struct sched_cpu {
    struct spinlock lock;
    struct list queue[SCHED_CLASSES];
    unsigned waiting[SCHED_CLASSES]; /* lengths; read by others without the lock */
    uint64_t slice_end_ns;
    struct timer slice_timer;        /* raises PCPU_WORK_SCHED */
    uint64_t idle_ns, idle_since_ns; /* [S] time without a vCPU up to the last one; when it last went idle */
    struct vcpu *holds;              /* [a] what this CPU works on without the lock: it must not be freed meanwhile */
};

void sched_init(void);               /* after pcpus are known; options sched=, sched_slice_us */
void sched_cpu_init(struct pcpu *c); /* a CPU comes up; creates nothing but its queue */
int sched_vcpu_init(struct vcpu *v); /* chooses a first CPU */
void sched_vcpu_remove(struct vcpu *v);
uint64_t sched_idle_ns(unsigned cpu); /* how long this online CPU has had nothing to run so far */
void sched_wake(struct vcpu *v);      /* became runnable: queue it, preempt a lower one */
void sched_sleep(struct vcpu *v);     /* became not runnable: take it off; its CPU is told if it runs */
void sched_block_current(void);       /* SCHEDOP_block: clears the upcall mask, sleeps unless an event is pending */
void sched_yield_current(void);
/* Chooses what this CPU runs next and switches (hw_context_switch). From pcpu_do_work only. */
void sched_run(void);
int sched_set_affinity(struct vcpu *v, const cpumask_t *hard, const cpumask_t *soft); /* -EINVAL: no online CPU */
int sched_set_domain(struct domain *d, unsigned weight, unsigned cap);
void sched_print_queues(void); /* key handler */
/* A consistent copy of a vCPU's run states (the public struct, zero-filled), the current one as of its entry or up to now. */
struct vcpu_runstate_info;
void sched_get_runstate(struct vcpu *v, struct vcpu_runstate_info *info, bool up_to_now);
/* Makes the vCPU's time page be filled anew, by the CPU it is on, before it runs on. */
void sched_refresh_time(struct vcpu *v);
/* Accounting of run states (core/time/runstate.c): called by sched with the run-queue lock held. */
void vcpu_runstate_change(struct vcpu *v, uint8_t state, uint64_t now_ns);
