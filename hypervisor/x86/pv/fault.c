/* SPDX-License-Identifier: MIT */
/*
 * What a trap from a guest means: its own affair (reflected to its handler), a privileged instruction or page-table store
 * to emulate, or something of the hypervisor's making (a page of its LDT not mapped yet, a stale translation).
 *
 * Page tables are walked here without a lock and without references: the roots are held by the vCPU, and what lies below is
 * only believed in so far as a wrong answer harms nobody but the guest.
 */
#include "core/mem/pte.h"
#include "core/trace/latency.h"
#include "core/trace/trace.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/pv.h"
#include "x86/trap/trap.h"

enum { V_DB = 1, V_NMI = 2, V_UD = 6, V_NM = 7, V_DF = 8, V_GP = 13, V_MC = 18 };
#define PF_P     (1u << 0)
#define PF_W     (1u << 1)
#define PF_RSVD  (1u << 3)
#define PF_FETCH (1u << 4)
#define EC_IDT   (1u << 1) /* of #GP: the selector is a vector */
#define EC_EXT   (1u << 0)
#define DR6_SET  0xffff0ff0UL
#define DR6_KEPT 0xe00fUL /* B0-B3, BD, BS, BT */
#define DR6_BS   0x4000UL

/* A walk: the entry it has come to, the bits that all entries so far have, and those that any has. */
struct walk {
    pte_t e, all, any;
};

static inline bool step(struct walk *w, mfn_t table, uint64_t va, unsigned level)
{
    if (level < 4 && unlikely(!mfn_valid(table)))
        return false;
    w->e = __atomic_load_n((const pte_t *)hw_frame_va(table) + pt_index(va, level), __ATOMIC_RELAXED);
    w->all &= w->e;
    w->any |= w->e;
    return w->e & PTE_P;
}

/* An address outside of the hypervisor's range, in the tables of a root that the vCPU has. False: not mapped. */
static inline __attribute__((always_inline)) bool walk(struct walk *w, mfn_t root, uint64_t va)
{
    *w = (struct walk){.all = ~0UL};
    return step(w, root, va, 4) && step(w, pte_mfn(w->e), va, 3) && step(w, pte_mfn(w->e), va, 2) &&
           step(w, pte_mfn(w->e), va, 1);
}

bool pv_access_allowed(struct vcpu *v, uint64_t va, uint32_t error_code)
{
    struct walk w;

    if (!guest_range_ok(va, 1) || !walk(&w, v->in_kernel ? v->kernel_l4 : v->user_l4, va))
        return false;
    if ((error_code & PF_W) && !(w.all & PTE_RW))
        return false;
    return !(error_code & PF_FETCH) || !(w.any & PTE_NX);
}

mfn_t pv_kernel_va_frame(struct vcpu *v, uint64_t va)
{
    struct walk w;

    return walk(&w, v->kernel_l4, va) ? pte_mfn(w.e) : INVALID_MFN;
}

/* In the descriptor windows the fault means a selector of the guest's; elsewhere in our range, a pointer. */
static __attribute__((noinline)) void hypervisor_range_fault(struct vcpu *v, struct regs *r, uint64_t cr2)
{
    struct pv_vcpu *pv = pv_of(v);
    unsigned offset;
    bool ldt;

    if (!pv_window_fault(v, cr2, &ldt, &offset))
        pv_inject_page_fault(v, cr2, r->error_code & ~PF_P); /* what is there is not told */
    else if (!ldt)
        pv_inject_exception(v, V_GP, offset & 0xfff8);
    else if (!pv_map_ldt_page(v, offset / PAGE_SIZE))
        pv_inject_page_fault(v, pv->ldt_base + offset, 0);
}

static void debug_inject(struct vcpu *v, uint64_t dr6)
{
    pv_of(v)->dr[6] |= dr6 & DR6_KEPT;
    pv_inject_exception(v, V_DB, 0);
}

void pv_single_step(struct vcpu *v)
{
    debug_inject(v, DR6_BS);
}

/* The page is there, but not for this access. */
static __attribute__((noinline)) void protection_fault(struct vcpu *v, struct regs *r, uint64_t cr2)
{
    if (v->in_kernel && (r->error_code & (PF_W | PF_RSVD | PF_FETCH)) == PF_W &&
        (v->domain->vm_assist & (1u << VMASST_TYPE_writable_pagetables)) && pv_emulate_pt_write(v, r, cr2))
        return;
    if (!(r->error_code & PF_RSVD) && pv_access_allowed(v, cr2, r->error_code))
        return; /* stale translation: the processor has dropped it now */
    pv_inject_page_fault(v, cr2, r->error_code);
}

void pv_page_fault(struct regs *r)
{
    struct vcpu *v = regs_vcpu(r);
    uint64_t cr2 = read_cr(2);

    if (unlikely(cr2 >= HYPERVISOR_START && cr2 < HYPERVISOR_END))
        hypervisor_range_fault(v, r, cr2);
    else if (r->error_code & PF_P)
        protection_fault(v, r, cr2);
    else
        pv_inject_page_fault(v, cr2, r->error_code);
}

static bool may_use_vector(const struct vcpu *v, const struct trap_info *t)
{
    return t->address && TI_GET_DPL(t) >= (v->in_kernel ? 1 : 3);
}

/* An instruction was emulated, and rip is behind it unless it is to be made again. */
static void emulated(struct vcpu *v, const struct regs *r, uint64_t rip_before)
{
    if (unlikely(r->rflags & RFLAGS_TF) && r->rip != rip_before)
        pv_single_step(v);
}

/* All gates but a few have DPL 0, so INT n comes here: the guest's own DPL decides. */
static void general_protection(struct vcpu *v, struct regs *r)
{
    uint64_t rip = r->rip;
    uint32_t ec = r->error_code;

    if ((ec & EC_IDT) && !(ec & EC_EXT)) {
        uint8_t vector = (uint8_t)(ec >> 3);

        if (may_use_vector(v, &pv_of(v)->traps[vector])) {
            r->rip += 2; /* cd nn */
            pv_inject_exception(v, vector, 0);
            return;
        }
    } else if (!ec && pv_emulate_privileged(v, r)) {
        emulated(v, r, rip);
        return;
    }
    pv_inject_exception(v, V_GP, ec);
}

static void invalid_opcode(struct vcpu *v, struct regs *r)
{
    uint64_t rip = r->rip;

    if (pv_emulate_forced(v, r))
        emulated(v, r, rip);
    else
        pv_inject_exception(v, V_UD, 0);
}

static void int80(struct vcpu *v, struct regs *r)
{
    if (may_use_vector(v, &pv_of(v)->traps[VECTOR_INT80])) {
        pv_inject_exception(v, VECTOR_INT80, 0);
        return;
    }
    r->rip -= 2;
    pv_inject_exception(v, V_GP, VECTOR_INT80 << 3 | EC_IDT);
}

static void debug(struct vcpu *v)
{
    uint64_t dr6 = read_dr(6);

    write_dr(6, DR6_SET);
    debug_inject(v, dr6);
}

static void device_not_available(struct vcpu *v)
{
    bool was_set = pv_of(v)->ts;

    fpu_set_ts(v, false);
    if (was_set)
        pv_inject_exception(v, V_NM, 0);
}

void pv_handle_trap(struct regs *r)
{
    struct vcpu *v = regs_vcpu(r);

    switch (r->entry_vector) {
    case V_GP:
        general_protection(v, r);
        break;
    case V_UD:
        invalid_opcode(v, r);
        break;
    case V_NM:
        device_not_available(v);
        break;
    case V_DB:
        debug(v);
        break;
    case V_NMI:
        nmi_handler(r);
        break;
    case VECTOR_INT80:
        int80(v, r);
        break;
    case V_DF:
    case V_MC:
        panic_regs(r, "trap %s while d%u v%u ran", trap_name(r->entry_vector), v->domain->id, v->id);
    default: /* below 32: the rest are interrupts */
        pv_inject_exception(v, (uint8_t)r->entry_vector, r->error_code);
    }
}

/* SYSENTER keeps neither address nor stack pointer, and clears IF. */
static void fix_sysenter_frame(struct regs *r)
{
    r->rflags = (r->rflags & GUEST_RFLAGS_MASK & ~(uint64_t)RFLAGS_TF) | GUEST_RFLAGS_FIXED;
}

/* From entry.S: SYSCALL in guest user mode, SYSCALL in compatibility mode, SYSENTER. */
void pv_syscall_from_user(struct regs *r)
{
    struct vcpu *v = regs_vcpu(r);
    struct pv_vcpu *pv = pv_of(v);
    const struct pv_callback *cb = &pv->syscall;

    LATENCY(latency_begin(LATENCY_SYSCALL, NULL));
    if (unlikely(r->entry_vector == TRAP_SYSCALL32)) {
        cb = &pv->syscall32;
        r->rip = (uint32_t)r->rip;
        r->rsp = (uint32_t)r->rsp;
    } else if (unlikely(r->entry_vector == TRAP_SYSENTER)) {
        cb = &pv->sysenter;
        fix_sysenter_frame(r);
    }
    if (likely(cb->entry && !v->in_kernel)) {
        pv_enter_callback(v, cb);
        return;
    }
    if (r->entry_vector == TRAP_SYSENTER) {
        pv_inject_exception(v, V_GP, 0);
        return;
    }
    r->rip -= 2; /* the instruction is not there, as if EFER.SCE were clear */
    pv_inject_exception(v, V_UD, 0);
}
