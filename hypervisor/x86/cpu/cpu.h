/* SPDX-License-Identifier: MIT */
/* Processors: identification, descriptor tables and stacks of each CPU, bringing up, special instructions. */
#pragma once
#include "core/domain/domain.h"

struct tss {
    uint32_t reserved0;
    uint64_t rsp0, rsp1, rsp2;
    uint64_t reserved1;
    uint64_t ist[7]; /* ist[n - 1] is the gate's IST n */
    uint64_t reserved2;
    uint16_t reserved3, io_map_base;
} __packed;
/* Gates with a stack of their own: they may come while a guest's stack pointer is still loaded. Each of these stacks has its
 * struct stack_top. */
enum { IST_NMI = 1, IST_MCE = 2, IST_DF = 3, IST_DB = 4 };

struct x86_cpu {
    struct pcpu core; /* first */
    uint32_t apic_id, acpi_id;
    uint64_t percpu_va; /* PERCPU_START + id * PERCPU_SIZE */
    struct tss *tss;
    uint64_t *gdt_ptes, *ldt_ptes; /* the L1 entries behind this CPU's GDT and LDT windows */
    uint64_t *gdt_own;             /* this CPU's page of descriptors from selector 0xe000 on */
    uint32_t state;                /* [a] of bringing up: x86/cpu/smp.c */
    unsigned gdt_pages_mapped, ldt_pages_mapped;
    int64_t tsc_offset;       /* to the boot CPU's counter */
    mfn_t root_loaded;        /* what CR3 holds */
    uint16_t vector_irq[256]; /* x86/irq: irq + 1 of each vector; 0 none */
    uint32_t remote_pending;  /* [a] x86/cpu/remote.c */
    struct vcpu idle_vcpu;    /* its domain is NULL */
};
static inline struct x86_cpu *x86_cpu_of(struct pcpu *c)
{
    return (struct x86_cpu *)c;
}
static inline struct x86_cpu *this_x86_cpu(void)
{
    return x86_cpu_of(this_cpu());
}
/* Selectors in the hypervisor's own GDT page (page 14 of the window); FLAT_* in pv.h are the guests'. The GDT's limit is
 * HV_GDT_END - 1. The LDT descriptor's base is this CPU's LDT window for ever; x86/pv/descriptor.c writes it and LDTR. */
#define HV_CS      0xe008
#define HV_DS      0xe010
#define HV_TSS     0xe040
#define HV_LDT     0xe050
#define HV_GDT_END 0xe060
extern mfn_t hypervisor_root; /* the L4 without any guest's part */

void cpu_boot_init(void);  /* boot CPU: features, control registers, GDT/IDT/TSS, syscall MSRs, struct pcpu */
void cpus_start_all(void); /* the others (MADT), up to maxcpus=; each ends in the idle loop */
void provoke_init(void);   /* provoke.c: faults on purpose, in DEBUG builds */
void cpu_load_tables(struct x86_cpu *c); /* on the CPU itself */
void cpus_stop_others(void);             /* panic, shutdown: by NMI, bounded; they never come back */
void remote_call(const cpumask_t *mask, void (*fn)(void *), void *arg, bool wait); /* x86/cpu/remote.c */
void remote_serve(void); /* does what others asked of this CPU */
/* What the processor has. CR4 of every CPU: PAE PGE MCE OSFXSR OSXMMEXCPT, OSXSAVE and SMEP where there; FSGSBASE, UMIP,
 * SMAP, PCIDE, DE stay off. XCR0 = xcr0_mask. */
struct cpu_features {
    bool x2apic, smep, umip, fsgsbase, pcid, invpcid, nx, page1gb, xsave, xsaveopt, rdtscp, invariant_tsc, tsc_deadline,
        ibpb, arat;
    uint32_t vendor; /* first four letters: 'Genu', 'Auth', ... */
    uint32_t family, model, stepping;
    unsigned phys_bits, virt_bits;
    uint64_t xcr0_mask; /* what we enable: x87, SSE, AVX (and AVX-512 where its sizes are known) */
    unsigned xsave_size;
};
extern struct cpu_features cpu_features;
void cpu_policies_init(void); /* policy.c: from the features, what hw_cpu_policy() gives */

/* special instructions */
static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return ((uint64_t)hi << 32) | lo;
}
static inline void wrmsr(uint32_t msr, uint64_t v)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}
bool rdmsr_safe(uint32_t msr, uint64_t *v); /* false when it faults (exception table) */
bool wrmsr_safe(uint32_t msr, uint64_t v);
static inline void cpuid_count(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}
static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return ((uint64_t)hi << 32) | lo;
}
static inline uint8_t inb(uint16_t p)
{
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(p));
    return v;
}
static inline uint16_t inw(uint16_t p)
{
    uint16_t v;
    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(p));
    return v;
}
static inline uint32_t inl(uint16_t p)
{
    uint32_t v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(p));
    return v;
}
static inline void outb(uint16_t p, uint8_t v)
{
    __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(p));
}
static inline void outw(uint16_t p, uint16_t v)
{
    __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(p));
}
static inline void outl(uint16_t p, uint32_t v)
{
    __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(p));
}
#define read_cr(n)                                                                                                     \
    ({                                                                                                                 \
        uint64_t v_;                                                                                                   \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v_));                                                             \
        v_;                                                                                                            \
    })
#define write_cr(n, v) __asm__ volatile("mov %0, %%cr" #n ::"r"((uint64_t)(v)) : "memory")
#define read_dr(n)                                                                                                     \
    ({                                                                                                                 \
        uint64_t v_;                                                                                                   \
        __asm__ volatile("mov %%dr" #n ", %0" : "=r"(v_));                                                             \
        v_;                                                                                                            \
    })
#define write_dr(n, v) __asm__ volatile("mov %0, %%dr" #n ::"r"((uint64_t)(v)))

#define CR0_WP             (1UL << 16)
#define CR0_TS             (1UL << 3)
#define CR4_PAE            (1UL << 5)
#define CR4_MCE            (1UL << 6)
#define CR4_PGE            (1UL << 7)
#define CR4_OSFXSR         (1UL << 9)
#define CR4_OSXMMEXCPT     (1UL << 10)
#define CR4_OSXSAVE        (1UL << 18)
#define CR4_SMEP           (1UL << 20)
#define MSR_APIC_BASE      0x1b
#define MSR_PAT            0x277
#define MSR_EFER           0xc0000080
#define MSR_STAR           0xc0000081
#define MSR_LSTAR          0xc0000082
#define MSR_CSTAR          0xc0000083
#define MSR_SFMASK         0xc0000084
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_TSC_AUX        0xc0000103
#define MSR_SYSENTER_CS    0x174
#define MSR_SYSENTER_ESP   0x175
#define MSR_SYSENTER_EIP   0x176
#define EFER_SCE           (1u << 0)
#define EFER_LME           (1u << 8)
#define EFER_LMA           (1u << 10)
#define EFER_NX            (1u << 11)
/* The ABI's PAT: WB WT UC- UC WC WP UC UC */
#define PAT_VALUE   0x0000050100070406UL
#define RFLAGS_TF   (1u << 8)
#define RFLAGS_IF   (1u << 9)
#define RFLAGS_DF   (1u << 10)
#define RFLAGS_IOPL (3u << 12)
#define RFLAGS_NT   (1u << 14)
#define RFLAGS_RF   (1u << 16)
#define RFLAGS_VM   (1u << 17)
#define RFLAGS_AC   (1u << 18)
