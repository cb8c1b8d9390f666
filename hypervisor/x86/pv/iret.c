/* SPDX-License-Identifier: MIT */
/* The iret hypercall: a guest kernel goes back to what its handler interrupted, or to user mode for the first time. */
#include "core/lib/fail.h"
#include "core/mem/pte.h"
#include "hypercall/hypercall.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/pv.h"
#include "x86/trap/guest_word.h"

static bool read_frame(struct iret_context *c, uint64_t address)
{
    const struct iret_context *frame = (const struct iret_context *)address;
    unsigned failed = 0;

    if (unlikely(!guest_range_ok(address, sizeof(*frame))))
        return false;
    GUEST_LOAD(failed, c->rax, &frame->rax);
    GUEST_LOAD(failed, c->r11, &frame->r11);
    GUEST_LOAD(failed, c->rcx, &frame->rcx);
    GUEST_LOAD(failed, c->flags, &frame->flags);
    GUEST_LOAD(failed, c->rip, &frame->rip);
    GUEST_LOAD(failed, c->cs, &frame->cs);
    GUEST_LOAD(failed, c->rflags, &frame->rflags);
    GUEST_LOAD(failed, c->rsp, &frame->rsp);
    GUEST_LOAD(failed, c->ss, &frame->ss);
    return likely(!failed);
}

/* Nothing is checked here that IRET checks: a frame that it refuses goes to the failsafe callback. The value returned is
 * the new rax, which the entry code stores like any hypercall's result. */
HYPERCALL_HANDLER(iret)
{
    struct vcpu *v = current_vcpu();
    struct pv_vcpu *pv = pv_of(v);
    struct regs *r = &pv->regs;
    struct iret_context c;

    if (unlikely(!read_frame(&c, r->rsp))) {
        domain_crash(v->domain, "vCPU %u: no iret frame at %lx", v->id, r->rsp);
        return 0;
    }
    if ((c.cs & 3) == 3 && mfn_eq(v->user_l4, INVALID_MFN)) {
        domain_crash(v->domain, "vCPU %u: iret to user mode without user page tables", v->id);
        return 0;
    }
    if (v->domain->vm_assist & (1u << VMASST_TYPE_architectural_iopl))
        pv->iopl = (uint8_t)(c.rflags >> 12) & 3;
    r->rip = c.rip;
    r->rsp = c.rsp;
    r->rflags = (c.rflags & GUEST_RFLAGS_MASK) | GUEST_RFLAGS_FIXED;
    if (c.flags & VGCF_in_syscall) {
        r->cs = FLAT_CS64;
        r->ss = FLAT_DS;
        r->rcx = c.rip; /* what SYSRET leaves in them: nothing of the kernel's may be seen if it comes to an IRET */
        r->r11 = r->rflags;
        r->entry_vector = TRAP_SYSCALL;
    } else {
        r->cs = (uint16_t)c.cs | 3;
        r->ss = (uint16_t)c.ss | 3;
        r->r11 = c.r11;
        r->rcx = c.rcx;
        r->entry_vector = 0;
    }
    if ((c.cs & 3) == 3)
        pv_toggle_mode(v);
    __atomic_store_n(&v->info->evtchn_upcall_mask, !(c.rflags & RFLAGS_IF), __ATOMIC_RELAXED);
    v->nmi_masked = false;
    return (int64_t)c.rax;
}
