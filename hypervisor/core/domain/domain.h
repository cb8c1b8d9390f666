/* SPDX-License-Identifier: MIT */
/*
 * Domains and their virtual CPUs.
 *
 * Life of a domain:
 *   (none) --domain_create--> ALIVE, paused --domain_shutdown--> shut down (vCPUs stopped, memory kept)
 *   any --domain_destroy--> DYING (no new references) --teardown done--> DEAD --last reference put--> freed
 *
 * Locks: letters as in the legend of each struct.
 */
#pragma once
#include "core/lib/types.h"
#include "core/lib/list.h"
#include "core/lib/lock.h"
#include "core/lib/bitmap.h"
#include "core/lib/range.h"
#include "core/mem/frame.h"
#include "core/sched/sched.h"
#include "core/time/timer.h"
#include <xen/xen.h>
#include <xen/vcpu.h>

struct vcpu;
struct evtchn_table; /* core/event/event.h */
struct grant_table;  /* core/grant/grant.h */

/* [I] fixed after creation, [a] atomic, [M] memory lock, [E] event lock, [D] domctl lock, [L] domain list lock,
 * [S] run-queue lock, [o] written only by the vCPU itself while it runs or by whoever holds it stopped */
struct domain {
    uint16_t id;             /* [I] */
    bool is_privileged;      /* [I] Domain 0: may act on others and on the machine */
    bool is_hardware;        /* [I] drives the real hardware */
    bool is_xenstore;        /* [I] was created to run xenstored */
    uint8_t dying;           /* [a] enum domain_dying */
    bool shutdown;           /* [a] */
    uint32_t shutdown_code;  /* [a] SHUTDOWN_*; ~0 before */
    uint32_t shutdown_latch; /* [a] SCHEDOP_shutdown_code: code + 1 for the domain's own shutdown; 0 none */
    bool crashed_reported;
    uint32_t refcount;  /* [a] who looks at it, outside of its own running vCPUs */
    uint8_t handle[16]; /* [D] */
    struct list all;    /* [L] in id order */
    struct spinlock domctl_lock;

    unsigned max_vcpus;  /* [I] */
    struct vcpu **vcpus; /* [I] max_vcpus pointers */

    struct spinlock memory_lock;
    uint32_t page_list;         /* [M] mfn of the first frame (links in the frame table), 0 none */
    uint32_t page_list_changes; /* [M] how often it has changed: for who walks it in pieces */
    uint64_t pages_count;  /* [M] frames of RAM on the list; frames_owned() counts those given up but still held, too */
    uint64_t pages_coming; /* [M] being allocated, without the lock */
    uint64_t pages_max;    /* [M] */
    uint64_t pages_claimed;        /* allocator's lock: promised, not yet given; core/mem/reservation.h */
    uint64_t pages_shared;         /* [a] FR_SHARED frames owned */
    struct memory_map *memory_map; /* [M] heap; NULL: none set; core/mem/reservation.h */
    uint64_t relinquish_next;      /* teardown progress */
    bool teardown_active;          /* [a] a CPU is at it */
    bool reaped;                   /* [a] the list's reference is given back */

    struct shared_info *shared_info; /* [I] hypervisor's mapping; guest maps the same frame. Dead: NULL */
    mfn_t shared_info_mfn;           /* [I] Dead: INVALID_MFN */

    struct evtchn_table *events; /* [I] */
    struct spinlock event_lock;
    struct grant_table *grants; /* [I] */

    struct rangeset io_ports;     /* [D] ports it may use */
    struct rangeset io_frames;    /* [M] machine frames outside RAM it may map */
    struct rangeset io_frames_ro; /* [M] of those, the ones it may only read (MSI-X tables) */
    struct rangeset io_irqs;      /* [D] physical IRQs it may bind */

    uint32_t vm_assist;        /* [a] VMASST_TYPE_* bits */
    unsigned pause_count;      /* [a] of the whole domain; counted in each vCPU too */
    unsigned control_pauses;   /* [a] of those, the toolstack's */
    struct sched_domain sched; /* core/sched */
    int64_t time_offset_s;
    struct cpu_policy
        *cpu_policy; /* changes only before a vCPU has a context, and while paused; core/domain/cpu_policy.h */
    uint32_t tsc_mode,
        tsc_incarnation;       /* [D] 0 default, 2 native; times restored: shown to the guest, kept for its next host */
    uint64_t poll_mask[2];     /* [a] vCPUs 0..127 that are in SCHEDOP_poll */
    struct timer watchdogs[2]; /* SCHEDOP_watchdog */
    uint64_t watchdogs_used;   /* [a] bit per watchdog */
    uint64_t crash_time;
};
enum domain_dying { DOMAIN_ALIVE = 0, DOMAIN_DYING = 1, DOMAIN_DEAD = 2 };

#define VCPU_MAX 128

/* Reasons why a vCPU does not run, bits of vcpu.pause_flags [a] */
#define VPF_DOWN    (1u << 0) /* not up (VCPUOP_down, or not yet initialised) */
#define VPF_BLOCKED (1u << 1) /* SCHEDOP_block / poll */

struct vcpu {
    struct domain *domain;   /* [I] NULL: an idle vCPU */
    unsigned id;             /* [I] */
    unsigned pcpu;           /* [S] the CPU whose run queue it is on or last was on */
    bool running;            /* [a] its state is in a CPU (set before, cleared after the context switch) */
    bool initialised;        /* [D] has a context */
    bool initialising;       /* [D] somebody is giving it one */
    uint32_t pause_flags;    /* [a] */
    uint32_t pause_count;    /* [a] vcpu_pause */
    struct sched_vcpu sched; /* core/sched's */

    /* Events. info points into shared_info or the registered frame; never NULL */
    struct vcpu_info *info;   /* [o] */
    struct vcpu_info no_info; /* where info points, for ids beyond shared_info, until one is registered */
    struct frame *info_frame; /* [o] registered frame, with a writable reference; NULL */
    uint32_t poll_port;       /* [a] 0 none, ~0 several */
    uint32_t virq_port[24];   /* [E] port bound to each VIRQ; 0 none */
    struct timer poll_timer;

    /* Time */
    struct timer singleshot_timer;
    struct timer periodic_timer;
    uint64_t periodic_period_ns;
    uint64_t runstate_entry_ns; /* [S] */
    uint64_t runstate_ns[4];    /* [S] RUNSTATE_* */
    uint8_t runstate;           /* [S] */
    uint64_t runstate_area;     /* [o] guest address, 0 none */
    uint64_t time_area;         /* [o] guest address of the secondary time area, 0 none */

    /* Page-table roots: each holds a type reference (FT_L4). INVALID_MFN: none */
    mfn_t kernel_l4, user_l4; /* [o] */
    struct frame
        *dropping[2]; /* [o] page tables whose last type reference is being given back (core/mem/root.c); NULL */
    bool in_kernel;   /* [o] guest kernel mode: kernel_l4 is loaded */
    bool nmi_pending, nmi_masked;           /* [a], [o] */
    struct hypercall_continuation *mc_cont; /* [o] hypercall/hypercall.h; non-NULL inside a multicall */
};

/* Per physical CPU. x86 embeds it; the idle vCPU of CPU n is pcpus[n]->idle. */
#define PCPU_WORK_SCHED  (1u << 0) /* pick a vCPU anew */
#define PCPU_WORK_TIMER  (1u << 1) /* timers may have expired */
#define PCPU_WORK_TASK   (1u << 2) /* deferred tasks (core/sched/task.h) */
#define PCPU_WORK_TEXT   (1u << 3) /* the console ring has text that Domain 0 has not been told of */
#define PCPU_WORK_SETTLE (1u << 4) /* pcpus_settle() waits */
struct pcpu {
    unsigned id;
    uint32_t work;        /* [a] PCPU_WORK_* */
    struct vcpu *current; /* the vCPU this CPU runs; its idle one otherwise */
    struct vcpu *idle;
    uint64_t tlb_flushed; /* [a] flush clock at this CPU's last full guest flush (core/mem/tlb.c) */
    struct timer_heap timers;
    struct sched_cpu sched;
    struct list tasks;        /* deferred tasks of this CPU */
    struct timer scrub_timer; /* core/mem/scrub.c */
    unsigned locks_held;      /* DEBUG: bit per lock class */
};
extern struct pcpu *pcpus[MAX_CPUS]; /* NULL: no such CPU */
extern cpumask_t cpus_online;
void pcpu_raise(unsigned cpu, uint32_t work); /* sets work bits; kicks the CPU when it is another */
/* Does all raised work, in order: timers, tasks, scheduling. Called by the machine
 * on the way to guest mode and in the idle loop; afterwards this_cpu()->current is what is to run.
 */
void pcpu_do_work(void);
/* Asks all other CPUs to end what they do for a guest at this moment; pcpus_settled(): all have. One at a time may ask, from where
 * this CPU itself is in the midst of nothing. */
void pcpus_settle(void);
bool pcpus_settled(void);

static inline struct vcpu *current_vcpu(void);

/* ---- domain.c ---- */
extern struct domain *domain0;
void domain_subsystem_init(void);
struct domain_config {
    uint16_t id;        /* or DOMID_INVALID to choose */
    unsigned max_vcpus; /* 1..VCPU_MAX */
    unsigned max_evtchn_port;
    unsigned max_grant_frames, max_maptrack_frames;
    uint64_t pages_max;
    bool privileged, hardware, xenstore;
    uint8_t handle[16];
};
/* Creates a domain, paused, with shared_info, event and grant tables and all its vCPUs (down). 0, cfg->id and *out (whose one
 * reference is the list's: another CPU may destroy it at once), or -EINVAL, -EEXIST, -ENOSPC, -ENOMEM. */
int domain_create(struct domain_config *cfg, struct domain **out);
/* With a reference; NULL: no such domain. domain_get_self_or resolves DOMID_SELF. */
struct domain *domain_get(uint16_t id);
struct domain *domain_get_ref(uint16_t id, struct domain *self);
struct domain *domain_get_from(uint16_t id); /* the one with this number, or else the next above; NULL: none */
void domain_put(struct domain *d);
struct domain *domain_next(struct domain *d); /* iteration with references: puts d, gets the next; NULL starts/ends */
void domain_pause(struct domain *d);          /* counted; returns when no vCPU runs (not the caller's own) */
void domain_unpause(struct domain *d);
/* The toolstack's pauses, which it can see and must match: a new domain has one. 0; -EOVERFLOW too many; -EINVAL none left. */
int domain_control_pause(struct domain *d);
int domain_control_unpause(struct domain *d);
void domain_shutdown(struct domain *d, uint32_t reason);
void domain_resume(struct domain *d); /* undoes a shutdown: its vCPUs go on where they were */
/* The guest's own fault: logs the reason once, stops the domain with SHUTDOWN_crash; never returns
 * control to that guest. Safe anywhere in a hypercall or trap: the caller goes on and returns. */
void domain_crash(struct domain *d, const char *fmt, ...) __printf(2, 3);
int domain_destroy(struct domain *d); /* 0, -ERESTART */
void domain_frames_gone(void); /* a domain has lost its last frame: if it is dead it can go. Any locks may be held */
#define for_each_vcpu(d, v, i)                                                                                         \
    for (unsigned i = 0; i < (d)->max_vcpus; i++)                                                                      \
        if (((v) = (d)->vcpus[i]) != NULL)

/* ---- vcpu.c ---- */
struct vcpu *vcpu_of(struct domain *d, unsigned id); /* NULL: no such vCPU; the index is clamped against speculation */
void vcpu_pause(struct vcpu *v); /* counted; returns when it runs no more; not on the current vCPU */
void vcpu_pause_nosync(struct vcpu *v);
void vcpu_unpause(struct vcpu *v);
void vcpu_unblock(struct vcpu *v);          /* ends SCHEDOP_block or _poll */
void vcpu_kick(struct vcpu *v);             /* it has something to take: unblocks it, or makes its CPU look */
bool vcpu_has_events(const struct vcpu *v); /* upcall pending and not masked */
int vcpu_register_info(struct vcpu *v, mfn_t mfn, unsigned offset);
void vcpu_runstate_copy(struct vcpu *v); /* to the guest's area; v is current, in kernel mode */
/* 0, -ENOENT, -EEXIST...: VCPUOP_initialise, _up, _down */
int vcpu_initialise(struct vcpu *v, const struct vcpu_guest_context *ctxt);
/* The same for the toolstack, while the domain is paused. A vCPU that has a context takes a new one only with the roots, GDT
 * and LDT that it has: -EOPNOTSUPP (a guest that was saved goes on). 0, -EINVAL, -ENOMEM, -EBUSY, -ERESTART. */
int vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *ctxt);
bool vcpu_is_initialising(struct vcpu *v); /* somebody is giving it a context; of a dying domain: once false, always */
int vcpu_up(struct vcpu *v);
int vcpu_down(struct vcpu *v);

#include "hw/hw.h"
static inline struct vcpu *current_vcpu(void)
{
    return this_cpu()->current;
}
