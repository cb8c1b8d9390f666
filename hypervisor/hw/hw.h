/* SPDX-License-Identifier: MIT */
/*
 * The port: all that core/ and hypercall/ may ask of the machine. x86/ implements it for the machine,
 * tests/host/ for unit, model and fuzz tests. Nothing else of x86/ may be named in core/ or hypercall/.
 *
 * Rules that hold behind it (docs/locking.md):
 * - The hypervisor runs with interrupts off, on one stack per CPU, and never blocks. Interrupts are taken in
 *   guest mode, in the idle loop, and inside hw_preempt_check().
 * - A remote request (TLB flush, call) is served by the target on interrupt from guest mode or idle, and inside
 *   hw_relax() and hw_preempt_check(); so waiting for a remote CPU may be done with locks held.
 */
#pragma once
#include "core/lib/types.h"
#include "core/lib/bitmap.h"

struct pcpu;
struct vcpu;
struct domain;
struct vcpu_guest_context; /* public arch-x86/xen.h */

/* ---- CPUs ------------------------------------------------------------------------------------------------ */
#include "hw/this_cpu.h"    /* per build: static inline struct pcpu *this_cpu(void); in x86/ or tests/host/ */
void hw_kick(unsigned cpu); /* make the CPU leave guest mode or idle soon, to look at its work bits */
void hw_relax(void);        /* in every spinning loop: pauses, serves remote requests to this CPU */
/* Preemption point: takes waiting interrupts, and tells whether the operation at hand should be cut short
 * (-ERESTART) because this CPU has other work or the current vCPU an event to take. No lock may be held. */
bool hw_preempt_check(void);

/* ---- Memory ---------------------------------------------------------------------------------------------- */
/* hw_frame_va(mfn), hw_va_frame(va): the hypervisor's own writable mapping of all RAM (hw/this_cpu.h has the
 * inline functions, hw_frames[] the frame table, hw_m2p[] the machine-to-physical table, and
 * hw_m2p_set(mfn, pfn), which is safe for any RAM frame). */
#define M2P_INVALID (~0UL)
/* Loads a guest L4 (or, with INVALID_MFN, the hypervisor's own) on this CPU. Flushes this CPU's guest TLB;
 * calls tlb_note_flush(). */
void hw_load_l4(mfn_t l4);
/* Fills the sixteen hypervisor slots (256..271) of a new guest L4 (mapped at `l4`). */
void hw_l4_fill_reserved(uint64_t *l4);
/* Flushes guest TLB entries on the CPUs of `mask` (this one too when in it) and returns when all have done so:
 * everything, or with `all` false the page of linear address `va`. Each flushed CPU calls tlb_note_flush()
 * when everything went. */
void hw_flush_tlb(const cpumask_t *mask, bool all, uint64_t va);
void hw_flush_tlb_local(bool all, uint64_t va); /* on this CPU alone */
void hw_clear_frame(mfn_t mfn);                 /* zeroes one frame */
extern unsigned hw_phys_bits; /* width of physical addresses: higher address bits in an entry are reserved */
void hw_flush_caches(const cpumask_t *mask); /* writes back and invalidates the data caches of these CPUs */
void hw_copy_frame(mfn_t dst, mfn_t src);
/* The machine's memory map for Domain 0, in the ABI's format (e820), sorted; the interrupt controllers' windows are in it as
 * reserved. Returns the number of entries. */
struct hw_memory_range {
    uint64_t addr, size;
    uint32_t type; /* 1 RAM, 2 reserved, 3 ACPI, 4 NVS, 5 unusable */
} __packed;
unsigned hw_memory_map(const struct hw_memory_range **map);
/* First machine frame of the 2 MiB piece `index` of the machine-to-physical table; 0: a hole in it, INVALID_MFN: behind its end */
mfn_t hw_m2p_piece(unsigned index);

/* ---- Guest memory, by linear address in the current vCPU's current page tables ---------------------------- */
/* 0 or -EFAULT; an address inside the hypervisor's range is -EFAULT before any access. */
int __must_check hw_copy_from_guest(void *dst, uint64_t src, size_t size);
int __must_check hw_copy_to_guest(uint64_t dst, const void *src, size_t size);

/* ---- Time ------------------------------------------------------------------------------------------------ */
uint64_t hw_now_ns(void);                /* system time: ns since boot; the same on all CPUs, never back */
uint32_t hw_tsc_khz(void);               /* the TSC's frequency: every guest's */
void hw_timer_set(uint64_t deadline_ns); /* this CPU's one-shot; ~0 cancels; a past one fires at once */
/* Fills the vCPU's time page(s) (shared vcpu_time_info, secondary area) for the CPU it is on. */
void hw_update_vcpu_time(struct vcpu *v);

/* ---- Domains and vCPUs: the machine's part ---------------------------------------------------------------- */
struct domain *hw_domain_alloc(void); /* zeroed container with the core struct at its start; NULL: no memory */
void hw_domain_free(struct domain *d);
int hw_domain_init(struct domain *d); /* 0 or -errno */
void hw_domain_destroy(struct domain *d);
struct vcpu *hw_vcpu_alloc(struct domain *d, unsigned id);
void hw_vcpu_free(struct vcpu *v);
/* Takes over a guest context into a vCPU that is down (all but the page-table roots, which the caller has
 * put into v->kernel_l4 / user_l4 with their references; takes descriptor-page references for the GDT).
 * 0, -EINVAL. The frame is checked: nothing in it can make ring 0 fault. */
int hw_vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *ctxt);
void hw_vcpu_get_context(struct vcpu *v, struct vcpu_guest_context *ctxt); /* zeroes the rest */
void hw_vcpu_release(struct vcpu *v); /* gives back GDT, LDT and like references: domain teardown */
/* MMUEXT_SET_LDT for the current vCPU: `base` is linear, of a whole number of pages' descriptors that are mapped (as descriptor
 * pages) when first used; entries 0..8192, 0: no LDT. The old LDT's references are dropped. 0, -EINVAL a bad base or count. */
int hw_set_ldt(struct vcpu *v, uint64_t base, unsigned entries);
/* What of a vCPU's context the first struct has no room for: 32-bit system call entries. It is stopped. 0, -EINVAL. */
struct xen_domctl_ext_vcpucontext;
int hw_vcpu_set_ext_context(struct vcpu *v, const struct xen_domctl_ext_vcpucontext *ctxt);
void hw_vcpu_get_ext_context(struct vcpu *v,
                             struct xen_domctl_ext_vcpucontext *ctxt); /* vcpu and size are the caller's */
/* Its extended FPU state as the tools keep it: XCR0, the features ever enabled (64 bits each), the XSAVE area in standard form.
 * Bytes of it all and *mask, the features that the machine has; 0: it has no XSAVE. */
size_t hw_xstate_size(uint64_t *mask);
void hw_vcpu_get_xstate(struct vcpu *v, void *buf);                   /* hw_xstate_size() bytes; the vCPU is stopped */
int hw_vcpu_set_xstate(struct vcpu *v, const void *buf, size_t size); /* 0; -EINVAL what this machine cannot load */
void hw_fill_hypercall_page(void *page); /* one frame: slot n of 32 bytes makes hypercall n */
/* Audit: calls fn for each type reference that the machine's part of a vCPU holds (GDT and LDT frames, FT_DESC), and for those
 * of the domain (vCPU 0 stands for it: FT_WRITABLE of the pirq EOI map...). */
void hw_vcpu_for_each_ref(struct vcpu *v, void (*fn)(struct frame *f, enum frame_type type, void *arg), void *arg);
/* This CPU leaves prev and runs next from the next return to guest mode; either may be idle. next's time page is filled, and
 * vcpu_runstate_copy(next) is called before it runs, or when it next enters its kernel. */
void hw_context_switch(struct vcpu *prev, struct vcpu *next);
/* Arranges that the current hypercall is made again with these arguments (count <= 6): the instruction pointer
 * goes back to the hypercall instruction, or the multicall entry is rewritten. Returns the value that the
 * handler must return. */
int64_t hw_hypercall_continue(unsigned nr, unsigned count, const uint64_t *args);

/* ---- Interrupt lines of devices (x86/irq) ------------------------------------------------------------------ */
/* A pirq is a domain's number for an interrupt source: a line of the I/O APIC (GSI) or a message (MSI, MSI-X). */
unsigned hw_pirq_max(void); /* pirqs are below this */
bool hw_gsi_valid(unsigned gsi);
/* Gives the GSI to the domain. *pirq < 0: choose (the GSI's own number when free). The same GSI again gives the same pirq.
 * 0; -EINVAL no such GSI or pirq; -EEXIST another domain has it, or the pirq is another's; -ENOMEM. */
int hw_pirq_map_gsi(struct domain *d, unsigned gsi, int *pirq);
int hw_gsi_setup(unsigned gsi, bool level, bool active_low); /* 0; -EINVAL; -EEXIST: set up already */
struct hw_msi_request {
    uint16_t segment;
    uint8_t bus, devfn;
    bool msix;
    uint16_t entry;      /* MSI-X: table index */
    unsigned count;      /* MSI: messages, 1..32 */
    uint64_t table_base; /* MSI-X: address of the BAR that holds the table, checked against the device */
};
/* Programs the device's message, masked until the pirq is bound; `count` consecutive pirqs, *pirq the first (< 0: choose).
 * 0; -ENODEV unknown device; -EINVAL; -EEXIST that entry is in use; -ENXIO; -ENOSPC no vectors; -ENOMEM. */
int hw_pirq_map_msi(struct domain *d, const struct hw_msi_request *rq, int *pirq);
int hw_pirq_unmap(struct domain *d, unsigned pirq); /* 0; -EINVAL not mapped; -EBUSY still bound */
int hw_pirq_status(struct domain *d, unsigned pirq, bool *needs_eoi, bool *shared); /* 0, -EINVAL not mapped */
/* Shared page with a bit for each pirq that needs hw_pirq_eoi(); the frame is held writable. 0, -EINVAL, -EBUSY has one. */
int hw_pirq_set_eoi_map(struct domain *d, mfn_t mfn);
/* A dying domain's lines and messages are masked and given back, and the shared page; again is nothing. No lock held. */
void hw_pirq_release_all(struct domain *d);
int hw_ioapic_read(uint64_t address, uint32_t reg,
                   uint32_t *value); /* 0, -EINVAL: Domain 0 asks how many lines there are */
/* PCI functions that Domain 0 has found; only those can have messages mapped. 0, -ENODEV nothing there, -ENOMEM. */
int hw_pci_device_add(uint16_t segment, uint8_t bus, uint8_t devfn);
int hw_pci_device_remove(uint16_t segment, uint8_t bus, uint8_t devfn); /* -EBUSY: messages mapped */
int hw_pci_restore_msi(uint16_t segment, uint8_t bus,
                       uint8_t devfn); /* writes them to the device again after a reset */

/* ---- Processors and ACPI, for platform_op; I/O ports of a PV vCPU, for physdev_op ---------------------------- */
struct hw_cpu_info {
    uint32_t apic_id, acpi_id;
    uint32_t core, socket; /* core: within its socket */
    bool online;
};
bool hw_cpu_info(unsigned cpu, struct hw_cpu_info *info); /* false: no such CPU */
struct hw_machine_info {
    uint32_t cpu_khz, threads_per_core, cores_per_socket;
    /* CPUID as the public featureset has it: 1.edx, 1.ecx, 80000001.edx, .ecx, d:1.eax, 7.ebx, 7.ecx, 80000007.edx */
    uint32_t features[8];
};
void hw_machine_info(struct hw_machine_info *info);
int hw_acpi_sleep(uint16_t pm1a, uint16_t pm1b, unsigned state); /* S5 only; -EINVAL; does not return when it works */
void hw_set_iopl(struct vcpu *v, unsigned iopl);                 /* 0..3; the current vCPU (x86/pv/io.c) */
void hw_set_iobitmap(struct vcpu *v, uint64_t gva,
                     unsigned ports); /* bitmap in guest memory, read at each access; 0: none */

/* ---- Interrupt lines and the machine (x86/irq, x86/acpi) --------------------------------------------------- */
void hw_pirq_eoi(struct domain *d, unsigned pirq);
int hw_pirq_bind(struct domain *d, unsigned pirq, bool will_share); /* unmasks; 0, -EINVAL, -EBUSY */
void hw_pirq_unbind(struct domain *d, unsigned pirq);
void hw_print_guest_state(struct domain *d);    /* registers of its vCPUs, to the console: a crash report */
extern bool option_noreboot;                    /* after a crash the machine stays as it is */
const char *hw_command_line(void);              /* of the hypervisor */
void hw_console_input_resume(void);             /* there is room for console input again */
void hw_console_write(const char *s, size_t n); /* to all console devices, bounded time */
void __noreturn hw_machine_halt(void);
void __noreturn hw_machine_restart(void);
void __noreturn hw_machine_poweroff(void);
