/* SPDX-License-Identifier: MIT */
/*
 * The fake machine that tests run core/ and hypercall/ on: what a test may set, and what it may
 * look at.
 *
 * One machine a process: modules of core keep state of their own. A test that needs a fresh one is
 * declared with isolated_test() (host/test.h), which runs it in a process of its own.
 */
#pragma once
#include <setjmp.h>
#include "core/domain/domain.h"
#include "core/lib/fail.h"
#include <xen/domctl.h>

#define HOST_FRAMES    16384                /* 64 MiB: the usual size */
#define HOST_IO_FRAMES 8                    /* the last ones, and frame 0, are no RAM: owner FRAME_OWNER_IO */
#define HOST_OWN_ENTRY 0x51075107510710f0UL /* in the hypervisor's slots of every root */

/* ---- Setting up
 * -------------------------------------------------------------------------------------------- */
/* CPUs 0..ncpus-1 with idle vCPUs, `frames` frames of memory (0: HOST_FRAMES), the allocator
 * filled, the scheduler ready. The caller is CPU 0 afterwards, running its idle vCPU; system time
 * is 1 s. */
void host_machine_init(unsigned ncpus, uint64_t frames);
mfn_t host_io_frame(unsigned n); /* the n-th (0..HOST_IO_FRAMES-1) frame that is no RAM */
/* The calling thread is now this CPU, running v (NULL: what it runs already). Bypasses the
 * scheduler. */
void host_set_current(unsigned cpu, struct vcpu *v);

/* ---- CPUs
 * --------------------------------------------------------------------------------------------------
 */
struct host_cpu {
    struct pcpu core; /* first */
    struct vcpu idle_vcpu;
    mfn_t l4;                /* loaded root; INVALID_MFN: the hypervisor's own */
    uint64_t timer_deadline; /* hw_timer_set; ~0 none */
    unsigned timer_sets, kicks, l4_loads, flushes, switches;
};
extern struct host_cpu *host_cpus[MAX_CPUS];
extern void (*host_clear_hook)(mfn_t m);     /* called before hw_clear_frame clears */
extern void (*host_relax_hook)(void);        /* called by hw_relax; NULL: gives way to other threads */
extern void (*host_kick_hook)(unsigned cpu); /* called by hw_kick */
extern void (*host_switch_hook)(struct vcpu *prev, struct vcpu *next); /* by hw_context_switch */
void host_preempt_after(unsigned checks); /* every so many hw_preempt_check() say yes; 0: never */
extern unsigned host_preempt_checks;      /* asked so far */
extern unsigned host_flush_calls;         /* hw_flush_tlb */

/* ---- Time
 * --------------------------------------------------------------------------------------------------
 */
extern uint64_t host_now_ns;       /* what hw_now_ns() says */
extern unsigned host_time_updates; /* hw_update_vcpu_time */

/* ---- Guest memory
 * ------------------------------------------------------------------------------------------ */
/* While the current vCPU has no kernel_l4, guest addresses are host pointers. Otherwise its tables
 * are walked, with present, user and (for stores) writable demanded at each level; accessed and
 * dirty bits are set. */
bool host_translate(struct vcpu *v, uint64_t va, bool write, void **host);
/* Addresses in here are host pointers for every vCPU, and no others are; size 0: no such place. */
extern uint64_t host_direct_start, host_direct_size;
extern unsigned host_copy_fail_after; /* that many copies succeed, then one fails with -EFAULT; 0: none fails */

/* ---- Hypercalls
 * -------------------------------------------------------------------------------------------- */
#define HOST_CONTINUE                                                                                                  \
    ((int64_t)0x48C0FFEE00000000) /* what hw_hypercall_continue() returns here   \
                                                     */
struct host_continuation {
    bool valid;
    unsigned nr, count;
    uint64_t args[6];
};
extern struct host_continuation host_continuation; /* the last */
extern unsigned host_continuations;                /* how many there were */
/* Makes a hypercall as the current vCPU, again and again while it is continued; `between` (may be
 * NULL) is called before each repetition. Up to six arguments, all uint64_t: int64_t rc =
 * host_hypercall(vcpu_op, VCPUOP_is_up, 0, 0); */
typedef int64_t host_handler_t(const uint64_t args[6]);
int64_t host_hypercall_run(host_handler_t *fn, const uint64_t args[6], void (*between)(void));
#define host_hypercall(name, ...) host_hypercall_run(do_##name, (const uint64_t[6]){__VA_ARGS__}, NULL)

/* ---- Domains and vCPUs, the machine's part
 * -------------------------------------------------------------------- */
#define HOST_GDT_PAGES 2
struct host_vcpu {
    struct vcpu core; /* first */
    int64_t result;   /* hw_set_hypercall_result */
    unsigned results_set;
    bool areas_stale;                   /* switched to in user mode: its run-state area is owed */
    struct vcpu_guest_context *context; /* hw_vcpu_set_context; NULL: none yet */
    struct xen_domctl_ext_vcpucontext ext_context;
    uint8_t xstate[832];          /* hw_vcpu_set_xstate */
    uint64_t ldt_base, io_bitmap; /* hw_set_ldt, hw_set_iobitmap, hw_set_iopl */
    unsigned ldt_entries, io_bitmap_ports, iopl;
    struct frame *gdt[HOST_GDT_PAGES]; /* each held as a descriptor page */
};
static inline struct host_vcpu *host_vcpu_of(struct vcpu *v)
{
    return (struct host_vcpu *)v;
}
extern int host_domain_init_result, host_set_context_result; /* what the port answers */
extern unsigned host_domains_live, host_vcpus_live;

/* ---- Interrupt lines, console, machine
 * -------------------------------------------------------------------------- */
#define HOST_PIRQS 256
#define HOST_GSIS  24 /* the first pirqs are their own GSIs; the others are messages */
struct host_pirq {
    struct domain *mapped, *bound; /* NULL: not */
    bool will_share, level, active_low, set_up;
    struct hw_msi_request msi;
    unsigned eois;
};
extern struct host_pirq host_pirqs[HOST_PIRQS];
extern bool host_console_to_stderr; /* otherwise only into the buffer below */
extern char host_console[65536];    /* what was written, terminated; keeps the beginning */
extern size_t host_console_len;

extern struct frame *host_eoi_map; /* hw_pirq_set_eoi_map */
#define HOST_PCI_DEVFNS 256
extern bool host_pci_present[HOST_PCI_DEVFNS]; /* on bus 0 of segment 0: the test says which exist */
extern bool host_pci_known[HOST_PCI_DEVFNS];   /* reported by hw_pci_device_add */
extern unsigned host_pci_restores;

/* ---- Panic
 * ----------------------------------------------------------------------------------------------------
 */
/* panic() and hw_machine_*() end the process, unless the test expects them:
 *     if (HOST_EXPECT_PANIC()) { ...must panic...; fail_msg } else { check host_panic_text } */
extern jmp_buf host_panic_jump;
extern bool host_panic_expected;
extern char host_panic_text[512];
#define HOST_EXPECT_PANIC() (host_panic_expected = true, setjmp(host_panic_jump) == 0)
