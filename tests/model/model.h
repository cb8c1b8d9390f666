/* SPDX-License-Identifier: MIT */
/*
 * The model tests: a small machine whose domains do random and guided sequences of everything that a guest can do, with every
 * count, type, right and translation recomputed after each step.
 *
 *   main.c    episodes, each in a process of its own; shrinking a sequence that fails
 *   world.c   the machine, one step of a CPU, the end of everything
 *   cpus.c    several CPUs in the middle of their steps at once, in an order that a seed decides
 *   port.c    what stands between core and the fake machine: failing allocations and copies, leaks, preemption
 *   tlb.c     what translations each CPU may still hold
 *   check*.c  the invariants
 *   pick.c    arguments; ops_*.c the operations, a table in each
 *
 * A step's choices come from its own seed, made of the episode's and the step's number: a step left out changes no other's.
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host/machine.h"
#include "hypercall/hypercall.h"
#include "core/mem/frame.h"
#include "core/mem/pte.h"

#define MODEL_FRAMES  512
#define MODEL_CPUS    2
#define MODEL_DOMAINS 6  /* numbers 0..5 are used */
#define MODEL_PAGES   28 /* that a domain gets, more or less */
#define MODEL_VCPUS   2  /* of each domain */
#define ARENA_SIZE    12288

/* ---- Chance ---- */
extern uint64_t model_seed; /* of what is being chosen now */
static inline uint64_t rnd64(void)
{
    uint64_t z = (model_seed += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}
static inline unsigned rnd(unsigned below)
{
    return (unsigned)((rnd64() >> 32) * below >> 32);
}
static inline bool chance(unsigned one_in)
{
    return !rnd(one_in);
}
#define ONE_OF(array) ((array)[rnd(ARRAY_SIZE(array))])

/* ---- Operations ---- */
struct call {
    unsigned nr;
    uint64_t args[6];
    bool must_fail; /* as things stand, if nobody interferes */
};
struct op {
    const char *name;
    unsigned weight;
    bool privileged;                                     /* only Domain 0 does it often; others now and then */
    bool (*make)(struct vcpu *v, struct call *c);        /* a hypercall; false: nothing comes to mind */
    void (*act)(struct vcpu *v);                         /* or what a guest does without one */
    void (*after)(struct vcpu *v, const struct call *c); /* looks at what was answered, when nobody has interfered */
};
#define CALL_OP(name_, weight_, make_)                                                                                 \
    {                                                                                                                  \
        .name = name_, .weight = weight_, .make = make_                                                                \
    }
#define CALL_OP_CHECKED(name_, weight_, make_, after_)                                                                 \
    {                                                                                                                  \
        .name = name_, .weight = weight_, .make = make_, .after = after_                                               \
    }
#define TOOLS_OP(name_, weight_, make_)                                                                                \
    {                                                                                                                  \
        .name = name_, .weight = weight_, .privileged = true, .make = make_                                            \
    }
#define GUEST_OP(name_, weight_, act_)                                                                                 \
    {                                                                                                                  \
        .name = name_, .weight = weight_, .act = act_                                                                  \
    }
struct op_family {
    const struct op *ops;
    unsigned count;
};
extern const struct op_family ops_mmu, ops_memory, ops_grant, ops_event, ops_vcpu, ops_domctl, ops_machine;

/* ---- pick.c ---- */
extern const uint16_t slots[];
#define SLOTS 12
static inline unsigned pick_slot(void)
{
    return slots[rnd(chance(8) ? SLOTS : 4)];
}
struct domain *pick_domain(void); /* one that exists, without a reference; never NULL while Domain 0 is there */
mfn_t pick_own(struct domain *d);
mfn_t pick_table(struct domain *d, unsigned level); /* a valid one, level 0: of any level; INVALID_MFN */
mfn_t pick_unused(struct domain *d);                /* with no reference but its allocation; or any of its own */
mfn_t pick_frame(struct domain *d);                 /* mostly its own, sometimes anything */
uint16_t pick_domid(struct domain *self);
uint64_t pick_va(void);
pte_t pick_pte(struct domain *d, unsigned level);
/* Room for arguments, filled with what was there; and where the guest says it is: there, in memory mapped by its tables, or nowhere */
void *arg_room(struct vcpu *v, size_t size);
uint64_t arg_address(struct vcpu *v, void *arg, size_t size);

/* ---- world.c ---- */
struct model_vcpu {
    struct call pending; /* a hypercall that is to be continued */
    bool has_pending;
    size_t used;
    uint8_t arena[ARENA_SIZE] __aligned_to(64);
};
struct model_vcpu *model_vcpu(const struct vcpu *v);
void world_learn(void);               /* what operations there are: once, first */
const char *op_name(unsigned number); /* NULL: no more */
void world_create(void);
void world_step(unsigned cpu); /* one step of what that CPU runs; this CPU is that one */
extern mfn_t world_m2p;        /* a frame of the hypervisor's that Domain 0 may read */
void world_end(void);          /* all domains go; checks that nothing is left */
int64_t world_call(struct vcpu *v, const struct call *c);
const struct op *pick_op(const struct vcpu *v);

/* ---- cpus.c ---- */
#define SWITCHES 63
void cpus_init(void);
void cpus_round(uint64_t seed); /* a step of each CPU, interleaved */
void cpus_relax(void);
extern unsigned cpus_switch_at[SWITCHES + 1]; /* cpus_round: points at which another CPU goes on; 0 ends */
extern unsigned cpus_points;                  /* passed in this round */
extern int model_points_on;                   /* point.h */

/* ---- port.c ---- */
void port_step_begin(void); /* decides what fails in this step */
void port_step_end(void);
void port_poison_stack(void);
bool port_scrambles(void); /* arguments are not what was made */
#define TAG_WORD(who) (0x7a9d000000000aa0UL | (uint64_t)(who) << 16)
#define TAG_OF(word)  (((word)&0xffff00000000ffffUL) == 0x7a9d000000000aa0UL ? (int)((word) >> 16 & 0xffff) : -1)
#define TAG_HV        0xffff
static inline bool is_tag(uint64_t word) /* and not a part of one that something else was written into */
{
    return TAG_OF(word) == TAG_HV || (TAG_OF(word) >= 0 && TAG_OF(word) < 64);
}
static inline bool is_hermit(uint16_t id) /* it grants nothing to anybody */
{
    return id == 3;
}

/* ---- tlb.c ---- */
void tlb_model_init(void);
void tlb_model_fill(void);  /* each CPU caches all that its root reaches */
void tlb_model_check(void); /* after check_frames() */

/* ---- check.c, check_domain.c ---- */
void check_all(void);
void check_frames(void);
void check_domains(void);
void check_tags(void);
bool check_granted(const struct domain *d, mfn_t m, bool write); /* by what check_frames() found */
void check_nothing_left(void);

/* ---- main.c ---- */
void __noreturn violation(const char *fmt, ...) __printf(1, 2);
void say(const char *fmt, ...) __printf(1, 2); /* with TRACE=1 */
extern bool model_trace;
struct model_stats {
    uint64_t steps, calls, audits, rounds, switches, faults, continued, created, destroyed, violations;
    uint64_t done[256], tried[256]; /* by operation */
};
extern struct model_stats *stats;
