/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls: one table (table.c) names every call, its handler and who may make it; one file per family decodes, checks,
 * makes one core call and copies out.
 *
 * A handler gets the argument registers. A result of -ERESTART never leaves a handler: it returns
 * hw_hypercall_continue(nr, count, args) instead, whose args say how to go on (progress in arguments that the guest may
 * see and forge, and which are therefore checked like any first call's).
 */
#pragma once
#include "core/lib/types.h"
#include "core/lib/fail.h"
#include "core/lib/string.h"
#include "core/trace/trace.h"
#include "core/domain/domain.h"
#include "core/policy/policy.h"

/* Inside a multicall, vcpu.mc_cont points here: hw_hypercall_continue then puts the operation and arguments with which
 * the entry is to be made again into it, instead of moving the guest's instruction pointer. */
struct hypercall_continuation {
    bool preempted;
    uint64_t op, args[6];
};

#define HYPERCALLS_COUNT 64
/* Others get -ENOSYS, -EPERM, before the handler. */
enum hypercall_callers { FOR_NOBODY, FOR_PRIVILEGED, FOR_ANYBODY };
struct hypercall {
    int64_t (*handler)(const uint64_t args[6]);
    const char *name;
    uint8_t args_count;
    uint8_t callers; /* enum hypercall_callers */
};
extern const struct hypercall hypercall_table[HYPERCALLS_COUNT];
/* From the entry path and from multicall: checks the number, the caller, counts, traces, calls. */
int64_t hypercall_dispatch(const uint64_t args[6], uint64_t nr);

/* One handler a line, in hypercall/<family>.c; those of the processor state in x86/pv/. */
#define HYPERCALL_HANDLER(name) int64_t do_##name(const uint64_t args[6])
HYPERCALL_HANDLER(set_trap_table);                /* x86/pv/ */
HYPERCALL_HANDLER(mmu_update);                    /* hypercall/mmu.c */
HYPERCALL_HANDLER(set_gdt);                       /* x86/pv/ */
HYPERCALL_HANDLER(stack_switch);                  /* x86/pv/ */
HYPERCALL_HANDLER(fpu_taskswitch);                /* x86/pv/ */
HYPERCALL_HANDLER(platform_op);                   /* hypercall/platform.c */
HYPERCALL_HANDLER(set_debugreg);                  /* x86/pv/ */
HYPERCALL_HANDLER(get_debugreg);                  /* x86/pv/ */
HYPERCALL_HANDLER(update_descriptor);             /* hypercall/mmu.c */
HYPERCALL_HANDLER(memory_op);                     /* hypercall/memory.c */
HYPERCALL_HANDLER(multicall);                     /* hypercall/multicall.c */
HYPERCALL_HANDLER(update_va_mapping);             /* hypercall/mmu.c */
HYPERCALL_HANDLER(update_va_mapping_otherdomain); /* hypercall/mmu.c */
HYPERCALL_HANDLER(set_timer_op);                  /* hypercall/vcpu.c */
HYPERCALL_HANDLER(xen_version);                   /* hypercall/version.c */
HYPERCALL_HANDLER(console_io);                    /* hypercall/console.c */
HYPERCALL_HANDLER(grant_table_op);                /* hypercall/grant.c */
HYPERCALL_HANDLER(vm_assist);                     /* hypercall/version.c */
HYPERCALL_HANDLER(iret);                          /* x86/pv/ */
HYPERCALL_HANDLER(vcpu_op);                       /* hypercall/vcpu.c */
HYPERCALL_HANDLER(set_segment_base);              /* x86/pv/ */
HYPERCALL_HANDLER(mmuext_op);                     /* hypercall/mmuext.c */
HYPERCALL_HANDLER(sched_op);                      /* hypercall/sched.c */
HYPERCALL_HANDLER(callback_op);                   /* x86/pv/ */
HYPERCALL_HANDLER(event_channel_op);              /* hypercall/event.c */
HYPERCALL_HANDLER(physdev_op);                    /* hypercall/physdev.c */
HYPERCALL_HANDLER(domctl);                        /* hypercall/domctl/ */
HYPERCALL_HANDLER(sysctl);                        /* hypercall/sysctl/ */

/* DEBUG builds: the periodic audit (option audit=N). */
#ifdef DEBUG
#include "core/domain/audit_machine.h"
#define HYPERCALL_DONE() audit_after_hypercall()
#else
#define HYPERCALL_DONE() ((void)0)
#endif

#define copy_in(ptr, gva)  hw_copy_from_guest((ptr), (gva), sizeof(*(ptr)))
#define copy_out(gva, ptr) hw_copy_to_guest((gva), (ptr), sizeof(*(ptr)))
