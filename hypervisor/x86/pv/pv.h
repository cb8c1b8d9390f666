/* SPDX-License-Identifier: MIT */
/*
 * A PV vCPU's processor state and what is done with it. The state is in this struct while the vCPU does not run; while it
 * runs, what the processor holds (FPU, segment registers and bases, debug registers) is in the processor.
 */
#pragma once
#include "core/domain/domain.h"
#include "x86/emulate/decode.h"
#include "x86/trap/regs.h"

#define FLAT_CS64              0xe033
#define FLAT_CS32              0xe023
#define FLAT_DS                0xe02b
#define FIRST_RESERVED_GDT_SEL 0xe000

struct pv_callback {
    uint64_t entry;   /* 0: none */
    bool mask_events; /* set the upcall mask on the way in */
};

struct pv_vcpu {
    struct vcpu core; /* first: container_of */

    uint64_t regs_align __aligned_to(16); /* TSS.rsp0 is &regs + 1, which must be 16-byte aligned */
    struct regs regs;
    uint64_t stack; /* top of the stack of the CPU it runs on, minus struct stack_top: the entry code loads it */
    uint64_t fs_base, gs_base_kernel, gs_base_user;
    uint16_t ds, es, fs, gs;
    uint64_t kernel_sp;
    uint16_t kernel_ss;
    uint64_t syscall_frame; /* where the frame of a system call goes; 0: it takes the long way (x86/trap/short.S) */

    struct trap_info traps[256];
    struct pv_callback event, failsafe, syscall, syscall32, sysenter, nmi;

    struct frame *gdt_frames[14]; /* each with a descriptor-type reference */
    struct frame *gdt_coming[14]; /* of a call that was cut, likewise */
    unsigned gdt_entries;
    uint64_t ldt_base; /* linear, page aligned */
    unsigned ldt_entries;
    struct frame *ldt_frames[16]; /* mapped so far, each with a descriptor-type reference */

    uint64_t dr[8]; /* 0-3, 6, 7 as the guest sees them */
    bool dr_loaded;
    bool ts;      /* guest's CR0.TS: the next FPU instruction traps */
    uint64_t cr4; /* guest's view */
    uint8_t iopl;
    uint64_t io_bitmap; /* guest address, 0 none */
    unsigned io_bitmap_ports;
    uint64_t xcr0;
    void *xsave; /* 64-byte aligned area, size of the enabled features */
    uint32_t msr_tsc_aux;
    bool areas_stale; /* run state and time areas: to be written when next in guest kernel mode */
};
struct pv_domain {
    struct domain core;         /* first */
    struct frame *pirq_eoi_map; /* PHYSDEVOP_pirq_eoi_gmfn: shared bitmap, with a writable reference; NULL */
    uint16_t *pirq_irq;         /* irq of each pirq (x86/irq) */
    uint32_t pci_cf8;           /* the domain's latched configuration address */
    uint8_t rtc_index;          /* CMOS register that the domain's port 70 has selected */
};
static inline struct pv_vcpu *pv_of(struct vcpu *v)
{
    return (struct pv_vcpu *)v;
}
static inline struct pv_domain *pv_domain_of(struct domain *d)
{
    return (struct pv_domain *)d;
}
static inline struct regs *guest_regs(struct vcpu *v)
{
    return &pv_of(v)->regs;
}

/* Whose registers these are; they are a running vCPU's own, not a copy. */
static inline struct vcpu *regs_vcpu(struct regs *r)
{
    return &container_of(r, struct pv_vcpu, regs)->core;
}

struct x86_cpu;
void pv_load_gs(uint16_t selector); /* the active GS: a bad selector becomes null; RPL 3 */
void pv_cpu_init(
    struct x86_cpu *c); /* on each CPU, after its descriptor tables: STAR, LSTAR, CSTAR, SFMASK, SYSENTER */
/* ---- x86/trap/entry.S ---- */
void __noreturn
return_to_guest(void); /* does pending work, delivers events, runs this_cpu()->current; idle goes to the idle loop */

/* ---- x86/pv/bounce.c: entering the guest's handlers ---- */
void pv_inject_exception(struct vcpu *v, uint8_t vector,
                         uint32_t error_code); /* current vCPU; error code ignored where the vector has none */
void pv_inject_page_fault(struct vcpu *v, uint64_t cr2, uint32_t error_code);
void pv_enter_callback(struct vcpu *v, const struct pv_callback *cb); /* syscall and the like; its entry is not 0 */
/* Whoever changes kernel_sp or the callback of system calls calls this behind it. */
void pv_find_syscall_frame(struct pv_vcpu *pv);
void pv_syscall_no_stack(struct regs *r); /* from short.S: the frame of a system call cannot be written */
void pv_iret_fault(void);                 /* from entry.S: the way back to the guest faulted; failsafe callback */
void pv_deliver_events(struct vcpu *v);   /* on the way out: NMI, upcall when pending and not masked */
void pv_toggle_mode(struct vcpu *v);      /* kernel <-> user: loads the other root, swaps GS */
void pv_write_areas(struct vcpu *v);      /* run state and time, in kernel mode */
/* The bits of RFLAGS that a guest may have as it likes; IF is always set, IOPL, NT, VM never. */
#define GUEST_RFLAGS_MASK  0x250dd5UL
#define GUEST_RFLAGS_FIXED (RFLAGS_IF | 2UL)
/* ---- x86/pv/fault.c: what a trap from a guest means ---- */
void pv_page_fault(struct regs *r);  /* from guest mode */
void pv_handle_trap(struct regs *r); /* the other vectors of 0..31 */
void pv_syscall_from_user(struct regs *r);
/* ---- x86/pv/privop.c: privileged instructions; x86/pv/ptwrite.c: stores into page tables ---- */
bool pv_emulate_privileged(struct vcpu *v, struct regs *r); /* true: done */
bool pv_emulate_forced(struct vcpu *v, struct regs *r);     /* 0F 0B 'xen' CPUID */
bool pv_emulate_pt_write(struct vcpu *v, struct regs *r, uint64_t cr2);
/* The bytes at the guest's instruction pointer, and what kind of code they are. */
struct pv_code {
    union {
        uint8_t bytes[16];
        uint64_t words[2];
    };
    unsigned count; /* of bytes that could be read */
    enum insn_size mode;
};
bool pv_fetch(struct vcpu *v, const struct regs *r, struct pv_code *c); /* false: not readable, or 16-bit code */
/* ---- x86/pv/io.c: ports ---- */
uint32_t pv_port_in(struct domain *d, uint16_t port, unsigned bytes); /* permission checked: all ones when refused */
void pv_port_out(struct domain *d, uint16_t port, unsigned bytes, uint32_t value);
/* ---- x86/pv/cpuid.c, msr.c ---- */
void pv_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
bool pv_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value); /* false: #GP */
bool pv_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value);
/* ---- x86/pv/descriptor.c: GDT and LDT ---- */
int pv_set_gdt(struct vcpu *v, const uint64_t *mfns, unsigned entries);
int pv_set_ldt(struct vcpu *v, uint64_t base, unsigned entries);
bool pv_map_ldt_page(struct vcpu *v, unsigned page); /* on a fault in this CPU's LDT area */
void pv_load_descriptor_tables(struct vcpu *v);      /* context switch, with interrupts off */
struct x86_cpu;
void pv_descriptor_cpu_init(struct x86_cpu *c);
void pv_release_descriptor_tables(struct vcpu *v); /* it runs nowhere */
/* The page of this CPU's GDT or LDT window that holds `va`; false: neither. */
bool pv_window_fault(struct vcpu *v, uint64_t va, bool *ldt, unsigned *offset);
/* Base and limit of a segment that the running vCPU has loaded; false: no such descriptor. */
struct pv_segment {
    uint64_t base, limit;
    bool code64, code32; /* L and D bits of a code segment */
};
bool pv_read_segment(struct vcpu *v, uint16_t selector, struct pv_segment *s);
uint16_t pv_read_selector(unsigned segment); /* ES CS SS DS FS GS, in the processor's numbering */
/* ---- x86/pv/debugreg.c ---- */
int pv_set_debugreg(struct vcpu *v, unsigned reg, uint64_t value); /* 0, -EINVAL, -EPERM, -ENODEV */
void pv_load_debugregs(struct vcpu *v);
void pv_unload_debugregs(struct vcpu *v);
/* ---- x86/pv/fault.c ---- */
bool pv_access_allowed(struct vcpu *v, uint64_t va, uint32_t error_code); /* by the page tables as they are now */
mfn_t pv_kernel_va_frame(struct vcpu *v,
                         uint64_t va); /* by its kernel root; not of the hypervisor's range; INVALID_MFN: not mapped */
void pv_single_step(struct vcpu *v);   /* an instruction was emulated for a guest that single-steps */
/* ---- x86/pv/fpu.c ---- */
void fpu_boot_init(void);
void fpu_cpu_init(void);
int fpu_vcpu_init(struct vcpu *v);
void fpu_save(struct vcpu *v);
void fpu_restore(struct vcpu *v);
void fpu_set_ts(struct vcpu *v, bool ts);
bool fpu_set_xcr0(struct vcpu *v, uint64_t value); /* false: #GP */
void fpu_vcpu_free(struct vcpu *v);
struct vcpu_guest_context;
void fpu_set_context(struct vcpu *v, const struct vcpu_guest_context *ctxt);
void fpu_get_context(struct vcpu *v, struct vcpu_guest_context *ctxt);
/* ---- x86/pv/dom0/: building Domain 0 ---- */
struct boot_info;
void __init_only dom0_build(const struct boot_info *boot); /* panics with one clear line when it cannot */
