/* SPDX-License-Identifier: MIT */
/*
 * The longest stretches in the hypervisor, a build with LATENCY=1 only: from an entry to the way out or to a preemption point,
 * interrupts off all the time, so that each is also the longest that this CPU took none. By what was asked, with the arguments;
 * key 'L' shows them and begins anew. In other builds all of it is nothing.
 *
 * Times are of the system clock. Under QEMU's -icount shift=0 a nanosecond is an instruction.
 */
#pragma once
#include "core/lib/types.h"

/* What is measured: hypercalls by number, then traps and interrupts by vector, then what a CPU does between guests. */
#define LATENCY_CALL(nr) (nr)
#define LATENCY_TRAP(v)  (64 + (v))
#define LATENCY_WORK(bit)                                                                                              \
    (320 + (unsigned)__builtin_ctz(bit)) /* of PCPU_WORK_*: scheduling, timers, tasks, text, settling */
enum { LATENCY_SYSCALL = 325, LATENCY_IDLE, LATENCY_KINDS };

/* LATENCY(latency_end()): nothing in other builds. */
#ifdef MEASURE_LATENCY
#define LATENCY(call) call
#else
#define LATENCY(call) ((void)0)
#endif
void latency_begin(unsigned kind, const uint64_t args[3]); /* an entry; args may be NULL */
void latency_end(void);                                    /* on the way out; more may follow before the guest runs */
void latency_goes_on(unsigned kind);                       /* the same stretch does something else now */
void latency_again(void); /* behind a preemption point: the next stretch of the same kind */
void latency_init(void);
