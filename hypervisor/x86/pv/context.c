/* SPDX-License-Identifier: MIT */
/*
 * PV vCPUs and domains as the port knows them: made, freed, given a context, switched to and from.
 *
 * What a vCPU has in the processor while it runs: the roots of its page tables, GDT and LDT windows, segment registers and
 * bases, FPU, CR0.TS, two bits of CR4, debug registers, TSC_AUX. When another guest's vCPU is loaded nothing of it is left;
 * an idle CPU has none of its page tables, but keeps what cannot be reached without running a guest.
 *
 * The scheduler clears prev->running, with release order, after hw_context_switch() has returned: only then is all of prev
 * in memory, and another CPU may load it.
 */
#include "core/lib/fail.h"
#include "core/mem/alloc.h"
#include "core/mem/pte.h"
#include "hypercall/hypercall.h"
#include "x86/cpu/cpu.h"
#include "x86/cpu/percpu.h"
#include "x86/pv/pv.h"
#include "x86/trap/trap.h"
#include <xen/domctl.h>

#define MSR_PRED_CMD 0x49
#define CR4_GUEST    ((1UL << 2) | (1UL << 3)) /* TSD, DE */
#define DR6_INITIAL  0xffff0ff0UL
#define DR7_INITIAL  0x400UL
#define STUB_SIZE    32 /* of the hypercall page */
#define VM_ASSIST_OK                                                                                                   \
    ((1u << VMASST_TYPE_4gb_segments) | (1u << VMASST_TYPE_writable_pagetables) |                                      \
     (1u << VMASST_TYPE_pae_extended_cr3) | (1u << VMASST_TYPE_architectural_iopl) |                                   \
     (1u << VMASST_TYPE_runstate_update_flag))

_Static_assert(sizeof(struct pv_vcpu) > PAGE_SIZE, "large enough to be page aligned by the heap");
_Static_assert(offsetof(struct cpu_user_regs, es) == sizeof(struct regs), "struct regs is the start of the ABI's");

/* The domain whose vCPU ran last on each CPU: its branch predictions are not another's. */
static const struct domain *last_domain[MAX_CPUS];

/* RPL 3, so that none of the hypervisor's segments can be loaded. On a fault the load is made again with null. */
#define LOAD_SEGMENT(seg, selector)                                                                                    \
    do {                                                                                                               \
        uint32_t sel_ = ((selector) & ~3) ? (selector) | 3 : 0;                                                        \
        __asm__ volatile("1: movw %w0, %%" #seg "\n" EXTABLE("1b", "2f") ".pushsection .text.fixup, \"ax\"\n"          \
                                                                         "2: xorl %0, %0; jmp 1b\n.popsection"         \
                         : "+r"(sel_));                                                                                \
    } while (0)

void pv_load_gs(uint16_t selector)
{
    LOAD_SEGMENT(gs, selector);
}

/* ---- The CPU's part --------------------------------------------------------------------------------------------- */

void pv_cpu_init(struct x86_cpu *c)
{
    uint64_t stub = c->core.id * (uint64_t)ENTRY_CALL_STUB_SIZE;

    pv_descriptor_cpu_init(c);
    wrmsr(MSR_STAR, (uint64_t)FLAT_CS32 << 48 | (uint64_t)HV_CS << 32);
    wrmsr(MSR_LSTAR, (uint64_t)entry_syscall_stubs + stub);
    wrmsr(MSR_CSTAR, (uint64_t)entry_syscall32_stubs + stub);
    wrmsr(MSR_SFMASK, SFMASK_VALUE);
    wrmsr(MSR_SYSENTER_CS, HV_CS);
    wrmsr(MSR_SYSENTER_ESP, 0);
    wrmsr(MSR_SYSENTER_EIP, (uint64_t)entry_sysenter_stubs + stub);
}

static void save_segments(struct pv_vcpu *pv)
{
    bool kernel = pv->core.in_kernel;

    pv->ds = pv_read_selector(SEG_DS);
    pv->es = pv_read_selector(SEG_ES);
    pv->fs = pv_read_selector(SEG_FS);
    pv->gs = pv_read_selector(SEG_GS);
    pv->fs_base = rdmsr(MSR_FS_BASE);
    *(kernel ? &pv->gs_base_kernel : &pv->gs_base_user) = rdmsr(MSR_GS_BASE);
    *(kernel ? &pv->gs_base_user : &pv->gs_base_kernel) = rdmsr(MSR_KERNEL_GS_BASE);
}

/* Selectors first: loading one sets its base. All bases are written, since a null selector need not clear its own. */
static void load_segments(const struct pv_vcpu *pv)
{
    bool kernel = pv->core.in_kernel;
    uint16_t ss;

    LOAD_SEGMENT(ds, pv->ds);
    LOAD_SEGMENT(es, pv->es);
    LOAD_SEGMENT(fs, pv->fs);
    LOAD_SEGMENT(gs, pv->gs);
    wrmsr(MSR_FS_BASE, pv->fs_base);
    wrmsr(MSR_GS_BASE, kernel ? pv->gs_base_kernel : pv->gs_base_user);
    wrmsr(MSR_KERNEL_GS_BASE, kernel ? pv->gs_base_user : pv->gs_base_kernel);
    /* An interrupt left SS null; on some processors SYSRET would give its attributes to the guest. */
    __asm__ volatile("movw %%ss, %0" : "=r"(ss));
    if (ss != HV_DS)
        __asm__ volatile("movw %w0, %%ss" ::"r"(HV_DS));
}

static void load_cr4(const struct pv_vcpu *pv)
{
    uint64_t real = read_cr(4), wanted = (real & ~CR4_GUEST) | (pv->cr4 & CR4_GUEST);

    if (real != wanted)
        write_cr(4, wanted);
}

static void save(struct pv_vcpu *pv)
{
    save_segments(pv);
    pv_unload_debugregs(&pv->core);
    fpu_save(&pv->core);
}

static void load(struct x86_cpu *c, struct pv_vcpu *pv)
{
    struct vcpu *v = &pv->core;
    uint64_t regs_top = (uint64_t)(&pv->regs + 1);

    if (last_domain[c->core.id] != v->domain) {
        last_domain[c->core.id] = v->domain;
        if (cpu_features.ibpb)
            wrmsr(MSR_PRED_CMD, 1);
    }
    pv->stack = cpu_stack_top(c);
    entry_slots[c->core.id].regs_top = regs_top;
    c->tss->rsp0 = regs_top;
    hw_load_l4(v->in_kernel ? v->kernel_l4 : v->user_l4);
    pv_load_descriptor_tables(v);
    load_segments(pv);
    load_cr4(pv);
    if (cpu_features.rdtscp)
        wrmsr(MSR_TSC_AUX, pv->msr_tsc_aux);
    fpu_restore(v);
    pv_load_debugregs(v);
    hw_update_vcpu_time(v);
    pv->areas_stale = v->runstate_area || v->time_area;
}

void hw_context_switch(struct vcpu *prev, struct vcpu *next)
{
    struct x86_cpu *c = this_x86_cpu();

    if (prev->domain)
        save(pv_of(prev));
    c->core.current = next; /* before the load: faults in it are about next */
    if (next->domain)
        load(c, pv_of(next));
    else
        hw_load_l4(INVALID_MFN);
}

/* ---- Domains and vCPUs ------------------------------------------------------------------------------------------ */

struct domain *hw_domain_alloc(void)
{
    struct pv_domain *d = heap_alloc(sizeof(*d));

    return d ? &d->core : NULL;
}

void hw_domain_free(struct domain *d)
{
    heap_free(pv_domain_of(d));
}

int hw_domain_init(struct domain *d)
{
    return 0;
}

void hw_domain_destroy(struct domain *d)
{
    for (unsigned i = 0; i < MAX_CPUS; i++)
        if (last_domain[i] == d)
            last_domain[i] = NULL; /* its address may be another's soon */
}

struct vcpu *hw_vcpu_alloc(struct domain *d, unsigned id)
{
    struct pv_vcpu *pv = heap_alloc(sizeof(*pv));

    if (!pv)
        return NULL;
    if (fpu_vcpu_init(&pv->core)) {
        heap_free(pv);
        return NULL;
    }
    pv->dr[6] = DR6_INITIAL;
    pv->dr[7] = DR7_INITIAL;
    return &pv->core;
}

void hw_vcpu_free(struct vcpu *v)
{
    fpu_vcpu_free(v);
    heap_free(pv_of(v));
}

void hw_vcpu_release(struct vcpu *v)
{
    pv_release_descriptor_tables(v);
}

/* ---- Guest contexts ----------------------------------------------------------------------------------------------- */

static bool context_addresses_ok(const struct vcpu_guest_context *c)
{
    for (unsigned n = 0; n < ARRAY_SIZE(c->trap_ctxt); n++)
        if (!va_canonical(c->trap_ctxt[n].address))
            return false;
    return va_canonical(c->event_callback_eip) && va_canonical(c->failsafe_callback_eip) &&
           va_canonical(c->syscall_callback_eip) && va_canonical(c->fs_base) && va_canonical(c->gs_base_kernel) &&
           va_canonical(c->gs_base_user);
}

/* IRET loads the frame, so what is wrong with its selectors and addresses is found where a fault is expected. */
static void take_registers(struct pv_vcpu *pv, const struct vcpu_guest_context *c)
{
    struct regs *r = &pv->regs;

    memcpy(r, &c->user_regs, sizeof(*r));
    r->cs |= 3;
    r->ss |= 3;
    pv->iopl = (uint8_t)(r->rflags >> 12) & 3;
    r->rflags = (r->rflags & GUEST_RFLAGS_MASK) | GUEST_RFLAGS_FIXED;
    r->error_code = r->entry_vector = 0;
    pv->ds = c->user_regs.ds;
    pv->es = c->user_regs.es;
    pv->fs = c->user_regs.fs;
    pv->gs = c->user_regs.gs;
    pv->fs_base = c->fs_base;
    pv->gs_base_kernel = c->gs_base_kernel;
    pv->gs_base_user = c->gs_base_user;
    pv->kernel_ss = (uint16_t)c->kernel_ss | 3;
    pv->kernel_sp = c->kernel_sp;
}

static void take_callbacks(struct pv_vcpu *pv, const struct vcpu_guest_context *c)
{
    memcpy(pv->traps, c->trap_ctxt, sizeof(pv->traps));
    pv->event = (struct pv_callback){.entry = c->event_callback_eip};
    pv->failsafe = (struct pv_callback){c->failsafe_callback_eip, c->flags & VGCF_failsafe_disables_events};
    pv->syscall = (struct pv_callback){c->syscall_callback_eip, c->flags & VGCF_syscall_disables_events};
}

static int take_debugregs(struct vcpu *v, const struct vcpu_guest_context *c)
{
    static const uint8_t order[] = {0, 1, 2, 3, 6, 7};

    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        if (pv_set_debugreg(v, order[i], c->debugreg[order[i]]))
            return fail(-EINVAL);
    return 0;
}

int hw_vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *ctxt)
{
    struct pv_vcpu *pv = pv_of(v);
    int rc;

    if (!context_addresses_ok(ctxt))
        return fail(-EINVAL);
    rc = take_debugregs(v, ctxt);
    if (!rc)
        rc = ctxt->gdt_ents > FIRST_RESERVED_GDT_SEL / 8 ? fail(-EINVAL)
                                                         : pv_set_gdt(v, ctxt->gdt_frames, (unsigned)ctxt->gdt_ents);
    if (!rc)
        rc = ctxt->ldt_ents > UINT32_MAX ? fail(-EINVAL) : pv_set_ldt(v, ctxt->ldt_base, (unsigned)ctxt->ldt_ents);
    if (rc)
        return rc; /* what was taken goes with the next attempt, or with the domain */
    take_registers(pv, ctxt);
    take_callbacks(pv, ctxt);
    pv_find_syscall_frame(pv);
    fpu_set_context(v, ctxt);
    if (!v->id)
        __atomic_fetch_or(&v->domain->vm_assist, (uint32_t)ctxt->vm_assist & VM_ASSIST_OK, __ATOMIC_SEQ_CST);
    return 0;
}

static uint64_t root_to_cr3(mfn_t root)
{
    return mfn_eq(root, INVALID_MFN) ? 0 : xen_pfn_to_cr3(root.n);
}

void hw_vcpu_get_context(struct vcpu *v, struct vcpu_guest_context *ctxt)
{
    const struct pv_vcpu *pv = pv_of(v);

    memset(ctxt, 0, sizeof(*ctxt));
    memcpy(&ctxt->user_regs, &pv->regs, sizeof(pv->regs));
    ctxt->user_regs.error_code = ctxt->user_regs.entry_vector = 0;
    ctxt->user_regs.rflags |= (uint64_t)pv->iopl << 12;
    ctxt->user_regs.ds = pv->ds;
    ctxt->user_regs.es = pv->es;
    ctxt->user_regs.fs = pv->fs;
    ctxt->user_regs.gs = pv->gs;
    ctxt->fs_base = pv->fs_base;
    ctxt->gs_base_kernel = pv->gs_base_kernel;
    ctxt->gs_base_user = pv->gs_base_user;
    ctxt->kernel_ss = pv->kernel_ss;
    ctxt->kernel_sp = pv->kernel_sp;
    memcpy(ctxt->trap_ctxt, pv->traps, sizeof(pv->traps));
    memcpy(ctxt->debugreg, pv->dr, sizeof(pv->dr));
    ctxt->event_callback_eip = pv->event.entry;
    ctxt->failsafe_callback_eip = pv->failsafe.entry;
    ctxt->syscall_callback_eip = pv->syscall.entry;
    ctxt->ldt_base = pv->ldt_base;
    ctxt->ldt_ents = pv->ldt_entries;
    ctxt->gdt_ents = pv->gdt_entries;
    for (unsigned i = 0; i < ARRAY_SIZE(pv->gdt_frames); i++)
        ctxt->gdt_frames[i] = pv->gdt_frames[i] ? frame_mfn(pv->gdt_frames[i]).n : 0;
    ctxt->ctrlreg[1] = root_to_cr3(v->user_l4);
    ctxt->ctrlreg[3] = root_to_cr3(v->kernel_l4);
    ctxt->vm_assist = v->domain->vm_assist;
    ctxt->flags = (v->in_kernel ? VGCF_IN_KERNEL : 0) | (pv->failsafe.mask_events ? VGCF_failsafe_disables_events : 0) |
                  (pv->syscall.mask_events ? VGCF_syscall_disables_events : 0) |
                  (__atomic_load_n(&v->pause_flags, __ATOMIC_RELAXED) & VPF_DOWN ? 0 : VGCF_online);
    fpu_get_context(v, ctxt);
}

int hw_vcpu_set_ext_context(struct vcpu *v, const struct xen_domctl_ext_vcpucontext *ctxt)
{
    struct pv_vcpu *pv = pv_of(v);

    if (!va_canonical(ctxt->syscall32_callback_eip) || !va_canonical(ctxt->sysenter_callback_eip))
        return fail(-EINVAL);
    pv->syscall32 = (struct pv_callback){ctxt->syscall32_callback_eip, ctxt->syscall32_disables_events};
    pv->sysenter = (struct pv_callback){ctxt->sysenter_callback_eip, ctxt->sysenter_disables_events};
    return 0;
}

void hw_vcpu_get_ext_context(struct vcpu *v, struct xen_domctl_ext_vcpucontext *ctxt)
{
    const struct pv_vcpu *pv = pv_of(v);

    ctxt->syscall32_callback_eip = pv->syscall32.entry;
    ctxt->sysenter_callback_eip = pv->sysenter.entry;
    ctxt->syscall32_callback_cs = ctxt->sysenter_callback_cs = FLAT_CS64;
    ctxt->syscall32_disables_events = pv->syscall32.mask_events;
    ctxt->sysenter_disables_events = pv->sysenter.mask_events;
}

/* One stub for each hypercall: slot n makes call n. Kernels of before the inline hypercalls call through it. */
void hw_fill_hypercall_page(void *page)
{
    /* push rcx; push r11; mov n, eax; syscall; pop r11; pop rcx; ret */
    static const uint8_t stub[] = {0x51, 0x41, 0x53, 0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3};
    /* push rcx; push r11; push rax; mov n, eax; syscall */
    static const uint8_t iret[] = {0x51, 0x41, 0x53, 0x50, 0xb8, __HYPERVISOR_iret, 0, 0, 0, 0x0f, 0x05};
    uint8_t *code = page;

    memset(page, 0xcc, PAGE_SIZE);
    for (unsigned n = 0; n < PAGE_SIZE / STUB_SIZE; n++, code += STUB_SIZE) {
        memcpy(code, stub, sizeof(stub));
        code[4] = (uint8_t)n;
        if (n == __HYPERVISOR_iret)
            memcpy(code, iret, sizeof(iret));
    }
}
