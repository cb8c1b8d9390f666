/* SPDX-License-Identifier: MIT */
/*
 * A processor's own state: what it can do, control registers, descriptor tables, stacks, its record. The same for the boot
 * CPU and the others (x86/cpu/smp.c). Everything here is set up before the CPU is online and then stays; guests' GDT and LDT
 * pages come and go in the windows (x86/pv/descriptor.c).
 */
#include "core/lib/print.h"
#include "core/lib/string.h"
#include "core/mem/alloc.h"
#include "core/mem/pte.h"
#include "core/mem/tlb.h"
#include "x86/cpu/cpu.h"
#include "x86/cpu/percpu.h"
#include "x86/mmu/mmu.h"
#include "x86/pv/pv.h"
#include "x86/trap/trap.h"

struct cpu_features cpu_features;
unsigned hw_phys_bits = 36;     /* the least there is; known after cpu_boot_init() */
extern struct x86_cpu boot_cpu; /* head.S puts it at the top of the boot stack */
struct x86_cpu boot_cpu;

#define MAIN_PAGES     (STACK_SIZE / PAGE_SIZE - 1)
#define IST_PAGES      3
#define OWN_PAGE       (PTE_P | PTE_RW | PTE_NX | PTE_A | PTE_D | PTE_G)
#define GDT_OWN_OFFSET (14 * PAGE_SIZE)
/* PE MP ET NE WP AM PG; TS is the guest's */
#define CR0_VALUE 0x80050033

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_mid;
    uint32_t offset_high, reserved;
};
static struct gate idt[256] __aligned_to(4096); /* made read-only once filled */

/* ---- Identification ---- */

static void identify_family(void)
{
    uint32_t r[4];

    cpuid_count(0, 0, r);
    cpu_features.vendor = r[1];
    cpuid_count(1, 0, r);
    cpu_features.family = (r[0] >> 8) & 15;
    cpu_features.model = (r[0] >> 4) & 15;
    cpu_features.stepping = r[0] & 15;
    if (cpu_features.family >= 6)
        cpu_features.model |= (r[0] >> 12) & 0xf0;
    if (cpu_features.family == 15)
        cpu_features.family += (r[0] >> 20) & 0xff;
}

static void identify_xsave(uint32_t max_leaf)
{
    const uint64_t avx512 = 0xe0, basic = 0x7;
    uint32_t r[4];

    if (max_leaf < 0xd)
        cpu_features.xsave = false;
    if (!cpu_features.xsave)
        return;
    cpuid_count(0xd, 0, r);
    cpu_features.xcr0_mask = r[0] & basic;
    if ((r[0] & (avx512 | basic)) == (avx512 | basic))
        cpu_features.xcr0_mask |= avx512;
    cpuid_count(0xd, 1, r);
    cpu_features.xsaveopt = r[0] & 1;
}

static void identify(void)
{
    struct cpu_features *f = &cpu_features;
    uint32_t r[4], max, max_extended;

    identify_family();
    cpuid_count(0, 0, r);
    max = r[0];
    cpuid_count(1, 0, r);
    f->pcid = (r[2] >> 17) & 1;
    f->x2apic = (r[2] >> 21) & 1;
    f->tsc_deadline = (r[2] >> 24) & 1;
    f->xsave = (r[2] >> 26) & 1;
    if (max >= 6) {
        cpuid_count(6, 0, r);
        f->arat = (r[0] >> 2) & 1;
    }
    if (max >= 7) {
        cpuid_count(7, 0, r);
        f->fsgsbase = r[1] & 1;
        f->smep = (r[1] >> 7) & 1;
        f->invpcid = (r[1] >> 10) & 1;
        f->umip = (r[2] >> 2) & 1;
        f->ibpb = (r[3] >> 26) & 1;
    }
    cpuid_count(0x80000000, 0, r);
    max_extended = r[0];
    cpuid_count(0x80000001, 0, r);
    f->nx = (r[3] >> 20) & 1;
    f->page1gb = (r[3] >> 26) & 1;
    f->rdtscp = (r[3] >> 27) & 1;
    if (max_extended >= 0x80000007) {
        cpuid_count(0x80000007, 0, r);
        f->invariant_tsc = (r[3] >> 8) & 1;
    }
    f->phys_bits = 36;
    f->virt_bits = 48;
    if (max_extended >= 0x80000008) {
        cpuid_count(0x80000008, 0, r);
        f->phys_bits = r[0] & 0xff;
        f->virt_bits = (r[0] >> 8) & 0xff;
        f->ibpb |= (r[1] >> 12) & 1;
    }
    hw_phys_bits = MIN(f->phys_bits, 52u);
    identify_xsave(max);
}

uint32_t cpu_initial_apic_id(void)
{
    uint32_t r[4];

    cpuid_count(0, 0, r);
    if (r[0] >= 0xb) {
        cpuid_count(0xb, 0, r);
        if (r[1] != 0)
            return r[3];
    }
    cpuid_count(1, 0, r);
    return r[1] >> 24;
}

/* ---- Tables and stacks of one CPU ---- */

static void map_own_pages(uint64_t va, unsigned pages)
{
    for (; pages--; va += PAGE_SIZE) {
        mfn_t m = alloc_zeroed_frame();
        if (mfn_eq(m, INVALID_MFN))
            panic("out of memory for a CPU's tables and stacks");
        hv_map_page(va, m.n << PAGE_SHIFT, OWN_PAGE);
    }
}

/* The `pages` highest pages of a stack whose place is [at, at + STACK_SIZE); the page below them stays unmapped. Returns
 * what goes into RSP. */
static uint64_t make_stack(struct x86_cpu *c, uint64_t at, unsigned pages)
{
    uint64_t end = at + STACK_SIZE;
    struct stack_top *top = (struct stack_top *)end - 1;

    _Static_assert(sizeof(*top) == STACK_TOP_SIZE, "head.S and the entry code use this number");
    map_own_pages(end - pages * PAGE_SIZE, pages);
    top->cpu = &c->core;
    return (uint64_t)top;
}

static void make_gdt(struct x86_cpu *c)
{
    uint64_t tss = (uint64_t)c->tss, limit = sizeof(*c->tss) - 1, *d;

    map_own_pages(c->percpu_va + PERCPU_GDT + GDT_OWN_OFFSET, 1);
    d = c->gdt_own = (uint64_t *)(c->percpu_va + PERCPU_GDT + GDT_OWN_OFFSET);
    d[(HV_CS & 0xfff) / 8] = 0x00af9b000000ffff;
    d[(HV_DS & 0xfff) / 8] = 0x00cf93000000ffff;
    d[(FLAT_CS32 & 0xfff) / 8] = 0x00cffb000000ffff;
    d[(FLAT_DS & 0xfff) / 8] = 0x00cff3000000ffff;
    d[(FLAT_CS64 & 0xfff) / 8] = 0x00affb000000ffff;
    d[(HV_TSS & 0xfff) / 8] =
        limit | (tss & 0xffffff) << 16 | 0x89UL << 40 | ((tss >> 24) & 0xff) << 56; /* available 64-bit TSS */
    d[(HV_TSS & 0xfff) / 8 + 1] = tss >> 32;
}

static void init_idle_vcpu(struct x86_cpu *c)
{
    struct vcpu *v = &c->idle_vcpu;

    v->id = v->pcpu = c->core.id;
    v->initialised = v->running = v->in_kernel = true;
    v->kernel_l4 = v->user_l4 = INVALID_MFN;
    list_init(&v->sched.queue);
    cpumask_set(&v->sched.affinity_hard, c->core.id);
    c->core.idle = c->core.current = v;
}

void cpu_record_init(struct x86_cpu *c, unsigned id, uint32_t apic_id)
{
    uint64_t base = PERCPU_START + id * PERCPU_SIZE, stack;

    c->core.id = id;
    c->apic_id = apic_id;
    c->percpu_va = base;
    c->root_loaded = hypervisor_root;
    init_idle_vcpu(c);
    list_init(&c->core.tasks);
    timer_heap_init(&c->core.timers);

    c->gdt_ptes = hv_l1_entry(base + PERCPU_GDT);
    c->ldt_ptes = hv_l1_entry(base + PERCPU_LDT);
    stack = make_stack(c, base + PERCPU_STACK, MAIN_PAGES);
    map_own_pages(base + PERCPU_TSS, 1);
    c->tss = (struct tss *)(base + PERCPU_TSS);
    c->tss->rsp0 = stack;
    c->tss->io_map_base = sizeof(*c->tss); /* none */
    c->tss->ist[IST_NMI - 1] = make_stack(c, base + PERCPU_IST_NMI, IST_PAGES);
    c->tss->ist[IST_MCE - 1] = make_stack(c, base + PERCPU_IST_MCE, IST_PAGES);
    c->tss->ist[IST_DF - 1] = make_stack(c, base + PERCPU_IST_DF, IST_PAGES);
    c->tss->ist[IST_DB - 1] = make_stack(c, base + PERCPU_IST_DB, IST_PAGES);
    make_gdt(c);
}

uint64_t cpu_stack_top(const struct x86_cpu *c)
{
    return c->percpu_va + PERCPU_STACK + STACK_SIZE - STACK_TOP_SIZE;
}

uint64_t cpu_stack_lowest(const struct x86_cpu *c, unsigned stack)
{
    static const uint64_t ends[STACKS_COUNT] = {
        PERCPU_STACK + STACK_SIZE,  PERCPU_IST_NMI + STACK_SIZE, PERCPU_IST_MCE + STACK_SIZE,
        PERCPU_IST_DF + STACK_SIZE, PERCPU_IST_DB + STACK_SIZE,
    };

    return c->percpu_va + ends[stack] - (stack ? IST_PAGES : MAIN_PAGES) * PAGE_SIZE;
}

bool cpu_stack_guard(uint64_t address)
{
    for (unsigned i = 0; i < STACKS_COUNT; i++)
        if (cpu_stack_lowest(this_x86_cpu(), i) - 1 - address < PAGE_SIZE)
            return true;
    return false;
}

static void fill_idt(void)
{
    static const uint8_t ists[32] = {[1] = IST_DB, [2] = IST_NMI, [8] = IST_DF, [18] = IST_MCE};

    for (unsigned v = 0; v < 256; v++) {
        uint64_t stub = (uint64_t)entry_trap_stubs + v * ENTRY_TRAP_STUB_SIZE;
        bool from_guest = v == 3 || v == 4 || v == VECTOR_INT80;

        idt[v] = (struct gate){
            .offset_low = (uint16_t)stub,
            .selector = HV_CS,
            .ist = v < 32 ? ists[v] : 0,
            .type = from_guest ? 0xee : 0x8e, /* present, interrupt gate, DPL 3 or 0 */
            .offset_mid = (uint16_t)(stub >> 16),
            .offset_high = (uint32_t)(stub >> 32),
        };
    }
    hv_map_page((uint64_t)idt, (uint64_t)idt - HV_START, OWN_PAGE & ~PTE_RW);
}

/* ---- On the CPU itself ---- */

static void load_control_registers(void)
{
    uint64_t cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    uint32_t r[4];

    cpuid_count(1, 0, r);
    if ((r[3] >> 7) & 1)
        cr4 |= CR4_MCE;
    if (cpu_features.smep)
        cr4 |= CR4_SMEP;
    if (cpu_features.xsave)
        cr4 |= CR4_OSXSAVE;
    write_cr(0, CR0_VALUE);
    write_cr(4, cr4);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE | EFER_NX);
    wrmsr(MSR_PAT, PAT_VALUE);
    if (cpu_features.xsave) {
        __asm__ volatile("xsetbv" ::"c"(0), "a"((uint32_t)cpu_features.xcr0_mask),
                         "d"((uint32_t)(cpu_features.xcr0_mask >> 32)));
        cpuid_count(0xd, 0, r);
        cpu_features.xsave_size = r[1];
    } else {
        cpu_features.xsave_size = 512;
    }
}

static void load_segments(void)
{
    __asm__ volatile("pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1:\n"
                     "movl %1, %%eax; movl %%eax, %%ss; xorl %%eax, %%eax\n"
                     "movl %%eax, %%ds; movl %%eax, %%es; movl %%eax, %%fs; movl %%eax, %%gs; lldt %%ax\n" ::"i"(HV_CS),
                     "i"(HV_DS)
                     : "rax", "memory");
}

void cpu_load_tables(struct x86_cpu *c)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __packed gdtr = {HV_GDT_END - 1, c->percpu_va + PERCPU_GDT}, idtr = {sizeof(idt) - 1, (uint64_t)idt};

    load_control_registers();
    __asm__ volatile("lgdt %0; lidt %1" ::"m"(gdtr), "m"(idtr));
    load_segments();
    __asm__ volatile("ltr %w0" ::"r"(HV_TSS));
    wrmsr(MSR_FS_BASE, 0);
    wrmsr(MSR_GS_BASE, 0);
    wrmsr(MSR_KERNEL_GS_BASE, 0);
    pv_cpu_init(c);
}

/* Before the local APIC closes the way of the 8259s (LINT0): a line that is up at that moment would stay pending at the
 * processor, and the first STI would find an interrupt without a vector. ioapic_init() does the rest. */
static void mask_8259(void)
{
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}

void cpu_boot_init(void)
{
    uint32_t r[4];

    mask_8259();
    identify();
    cpu_record_init(&boot_cpu, 0, cpu_initial_apic_id());
    fill_idt();
    cpu_load_tables(&boot_cpu);
    tlb_note_idle();
    pcpus[0] = &boot_cpu.core;
    cpumask_set(&cpus_online, 0);
    cpuid_count(0, 0, r);
    log_info("CPU: %.4s%.4s%.4s family %u model %u stepping %u, %u address bits%s%s%s", (const char *)&r[1],
             (const char *)&r[3], (const char *)&r[2], cpu_features.family, cpu_features.model, cpu_features.stepping,
             cpu_features.phys_bits, cpu_features.smep ? ", SMEP" : "", cpu_features.xsave ? ", XSAVE" : "",
             cpu_features.x2apic ? ", x2APIC" : "");
}

/* ---- MSRs that may not exist ---- */

bool rdmsr_safe(uint32_t msr, uint64_t *v)
{
    uint32_t lo, hi, ok;

    __asm__ volatile("movl $1, %2\n1: rdmsr\n2:\n" EXTABLE(
                         "1b", "3f") ".pushsection .text.fixup, \"ax\"\n"
                                     "3: xorl %2, %2; xorl %%eax, %%eax; xorl %%edx, %%edx; jmp 2b\n.popsection"
                     : "=a"(lo), "=d"(hi), "=&r"(ok)
                     : "c"(msr));
    *v = ((uint64_t)hi << 32) | lo;
    return ok;
}

bool wrmsr_safe(uint32_t msr, uint64_t v)
{
    uint32_t ok;

    __asm__ volatile("movl $1, %0\n1: wrmsr\n2:\n" EXTABLE("1b", "3f") ".pushsection .text.fixup, \"ax\"\n"
                                                                       "3: xorl %0, %0; jmp 2b\n.popsection"
                     : "=&r"(ok)
                     : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
                     : "memory");
    return ok;
}
