/* SPDX-License-Identifier: MIT */
/*
 * Ticket spin locks with a checked order.
 *
 * The hypervisor runs with interrupts off (docs/locking.md), so a lock needs no interrupt-safe
 * form. A waiting CPU serves cross-CPU requests through hw_relax(), so that a holder may wait for
 * all CPUs to flush. Locks are taken in ascending class; DEBUG builds check that, and that no lock
 * is held at a preemption point or on the way back to a guest.
 */
#pragma once
#include "core/lib/types.h"

enum lock_class {                   /* ascending: a lock may be taken only while all those held are of lower class */
                  LOCK_DOMLIST = 1, /* the list of domains */
                  LOCK_DOMCTL,      /* building and destroying one domain */
                  LOCK_MEMORY,      /* a domain's page list and its counters */
                  LOCK_GRANT,       /* a domain's grant table; two of them: lower domid first, LOCK_NESTED
                                 second */
                  LOCK_MAPTRACK,    /* a domain's maptrack */
                  LOCK_EVENT,       /* a domain's event channels; two of them: by address, second nested
                                 */
                  LOCK_PIRQ,        /* interrupt descriptors */
                  LOCK_PCI,         /* PCI devices, configuration ports */
                  LOCK_FIFO,        /* an event FIFO queue */
                  LOCK_VCPU,        /* small state of one vCPU (registered areas, poll) */
                  LOCK_ACCOUNT,     /* the scheduler's accounting: active domains and vCPUs, grants of credit */
                  LOCK_SCHED,       /* a CPU's run queue; two of them: lower CPU first, second nested */
                  LOCK_TIMER,       /* a CPU's timer heap */
                  LOCK_CLOCK,       /* wallclock and clock parameters */
                  LOCK_MAPPING,     /* the hypervisor's own page tables */
                  LOCK_HEAP,        /* the frame allocator */
                  LOCK_IO,          /* RTC, PIT, IO-APIC registers */
                  LOCK_CONSOLE,     /* the console ring and its devices */
};

struct spinlock {
    uint16_t next, serving;
    uint8_t class;   /* fixed */
    bool nested;     /* by its holder: taken while another of the class was held */
    uint16_t holder; /* CPU + 1; DEBUG builds */
};
#define SPINLOCK_INIT(c)                                                                                               \
    {                                                                                                                  \
        0, 0, (c), false, 0                                                                                            \
    }

void spin_init(struct spinlock *l, enum lock_class class);
void spin_lock(struct spinlock *l);
void spin_lock_nested(struct spinlock *l); /* a second lock of the same class; the rule is the class's */
void spin_unlock(struct spinlock *l);
bool spin_is_locked(const struct spinlock *l);
/* DEBUG: panics when this CPU holds any lock. */
void lock_assert_none_held(void);
