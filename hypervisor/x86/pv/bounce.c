/* SPDX-License-Identifier: MIT */
/*
 * Entering a guest's handlers: the frame on its kernel stack, and the switch between its two modes.
 *
 * Frame, from the new stack pointer up: rcx, r11, [ds es fs gs: failsafe only], [error code], rip, cs, rflags, rsp, ss. The
 * saved upcall mask is in bits 32..39 of the cs word; the IF bit is its inverse; the RPL of cs tells the interrupted mode.
 * Handlers start with flat selectors, so they may be entered by SYSRET.
 *
 * A guest whose kernel stack cannot be written has no way to be told anything: its domain is crashed.
 */
#include "core/lib/fail.h"
#include "core/mem/pte.h"
#include "core/trace/trace.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/pv.h"
#include "x86/trap/guest_word.h"

#define VECTOR_NMI 2
#define VECTOR_PF  14
/* Vectors with an error code: #DF #TS #NP #SS #GP #PF #AC #CP */
#define ERROR_CODE_VECTORS 0x227d00u
#define PF_USER            (1u << 2)
#define PF_RSVD            (1u << 3)

void pv_write_areas(struct vcpu *v)
{
    pv_of(v)->areas_stale = false;
    if (v->runstate_area)
        vcpu_runstate_copy(v);
    if (v->time_area)
        hw_update_vcpu_time(v);
}

void pv_toggle_mode(struct vcpu *v)
{
    v->in_kernel = !v->in_kernel;
    __asm__ volatile("swapgs" ::: "memory");
    hw_load_l4(v->in_kernel ? v->kernel_l4 : v->user_l4);
    if (v->in_kernel && unlikely(pv_of(v)->areas_stale))
        pv_write_areas(v);
}

static inline uint64_t visible_rflags(const struct pv_vcpu *pv, uint8_t mask)
{
    uint64_t flags = pv->regs.rflags & ~(uint64_t)(RFLAGS_IF | RFLAGS_IOPL);

    if (!mask)
        flags |= RFLAGS_IF;
    if (pv->core.domain->vm_assist & (1u << VMASST_TYPE_architectural_iopl))
        flags |= (uint64_t)pv->iopl << 12;
    return flags;
}

/* The mode may be the kernel's by now and the registers still the user's: with those the vCPU must never run again, even while
 * a shutdown that another vCPU began has not come to this one. Hence a pause of its own, which nobody takes back. */
static __attribute__((noinline, cold)) void no_stack(struct vcpu *v, uint64_t entry, uint64_t sp)
{
    domain_crash(v->domain, "vCPU %u: no stack for a handler at %lx (sp %lx, rip %lx)", v->id, entry, sp,
                 pv_of(v)->regs.rip);
    vcpu_pause_nosync(v);
}

#define FRAME_WORDS 7 /* without error code and selectors */

void pv_find_syscall_frame(struct pv_vcpu *pv)
{
    uint64_t sp = (pv->kernel_sp & ~15UL) - FRAME_WORDS * sizeof(uint64_t);

    pv->syscall_frame = pv->syscall.entry && guest_range_ok(sp, FRAME_WORDS * sizeof(uint64_t)) ? sp : 0;
}

void pv_syscall_no_stack(struct regs *r)
{
    struct vcpu *v = regs_vcpu(r);

    no_stack(v, pv_of(v)->syscall.entry, pv_of(v)->syscall_frame);
}

/* The frame, with `count` words behind rcx and r11, and the way to the handler. In line: the count is a constant, and an
 * array of words to be copied would cost more than the frame. */
static inline __attribute__((always_inline)) void enter_handler(struct vcpu *v, uint64_t entry, bool mask_events,
                                                                const uint64_t *words, unsigned count)
{
    struct pv_vcpu *pv = pv_of(v);
    struct regs *r = &pv->regs;
    uint8_t mask = __atomic_load_n(&v->info->evtchn_upcall_mask, __ATOMIC_RELAXED);
    uint64_t sp = r->rsp, cs = r->cs & ~3u, *frame;
    unsigned failed = 0;

    if (!v->in_kernel) {
        pv_toggle_mode(v);
        sp = pv->kernel_sp;
        cs |= 3;
    }
    sp = (sp & ~15UL) - (FRAME_WORDS + count) * sizeof(*frame);
    if (unlikely(!guest_range_ok(sp, (FRAME_WORDS + count) * sizeof(*frame)))) {
        no_stack(v, entry, sp);
        return;
    }
    frame = (uint64_t *)sp;
    GUEST_STORE(failed, frame++, r->rcx);
    GUEST_STORE(failed, frame++, r->r11);
    for (unsigned i = 0; i < count; i++)
        GUEST_STORE(failed, frame++, words[i]);
    GUEST_STORE(failed, frame++, r->rip);
    GUEST_STORE(failed, frame++, cs | (uint64_t)mask << 32);
    GUEST_STORE(failed, frame++, visible_rflags(pv, mask));
    GUEST_STORE(failed, frame++, r->rsp);
    GUEST_STORE(failed, frame++, r->ss);
    if (unlikely(failed)) {
        no_stack(v, entry, sp);
        return;
    }
    if (mask_events)
        __atomic_store_n(&v->info->evtchn_upcall_mask, 1, __ATOMIC_RELAXED);
    r->rip = entry;
    r->rsp = sp;
    r->cs = FLAT_CS64;
    r->ss = FLAT_DS;
    r->rflags = (r->rflags & GUEST_RFLAGS_MASK & ~(uint64_t)(RFLAGS_TF | RFLAGS_RF | RFLAGS_AC)) | GUEST_RFLAGS_FIXED;
    r->entry_vector = TRAP_SYSCALL;
}

static __attribute__((noinline)) void enter_plain(struct vcpu *v, uint64_t entry, bool mask_events)
{
    enter_handler(v, entry, mask_events, NULL, 0);
}

static __attribute__((noinline)) void enter_with_code(struct vcpu *v, uint64_t entry, bool mask_events, uint64_t code)
{
    enter_handler(v, entry, mask_events, &code, 1);
}

void pv_enter_callback(struct vcpu *v, const struct pv_callback *cb)
{
    enter_plain(v, cb->entry, cb->mask_events);
}

static __attribute__((noinline, cold)) void no_handler(struct vcpu *v, uint8_t vector, uint32_t error_code)
{
    domain_crash(v->domain, "vCPU %u: no handler for trap %u (error code %x) at rip %lx", v->id, vector, error_code,
                 pv_of(v)->regs.rip);
}

static inline void inject(struct vcpu *v, uint8_t vector, uint32_t error_code)
{
    const struct trap_info *t = &pv_of(v)->traps[vector];

    trace(TRACE_TRAP, "d%u v%u trap %u error %x at %lx", v->domain->id, v->id, vector, error_code, pv_of(v)->regs.rip);
    if (unlikely(!t->address))
        no_handler(v, vector, error_code);
    else if (vector < 32 && (ERROR_CODE_VECTORS >> vector & 1))
        enter_with_code(v, t->address, TI_GET_IF(t), error_code);
    else
        enter_plain(v, t->address, TI_GET_IF(t));
}

void pv_inject_exception(struct vcpu *v, uint8_t vector, uint32_t error_code)
{
    inject(v, vector, error_code);
}

/* The U bit tells the guest's mode, for all of it runs in ring 3. */
void pv_inject_page_fault(struct vcpu *v, uint64_t cr2, uint32_t error_code)
{
    error_code &= ~(PF_USER | PF_RSVD);
    if (!v->in_kernel)
        error_code |= PF_USER;
    __atomic_store_n(&v->info->arch.cr2, cr2, __ATOMIC_RELAXED);
    inject(v, VECTOR_PF, error_code);
}

static void deliver_nmi(struct vcpu *v)
{
    struct pv_vcpu *pv = pv_of(v);

    if (!pv->nmi.entry && !pv->traps[VECTOR_NMI].address)
        return; /* stays pending */
    __atomic_store_n(&v->nmi_pending, false, __ATOMIC_RELAXED);
    v->nmi_masked = true;
    if (pv->nmi.entry)
        pv_enter_callback(v, &(struct pv_callback){.entry = pv->nmi.entry, .mask_events = true});
    else
        pv_inject_exception(v, VECTOR_NMI, 0);
}

void pv_deliver_events(struct vcpu *v)
{
    struct vcpu_info *info = v->info;

    if (unlikely(__atomic_load_n(&v->nmi_pending, __ATOMIC_RELAXED)) && !v->nmi_masked)
        deliver_nmi(v);
    if (!__atomic_load_n(&info->evtchn_upcall_pending, __ATOMIC_ACQUIRE) ||
        __atomic_load_n(&info->evtchn_upcall_mask, __ATOMIC_RELAXED))
        return;
    if (pv_of(v)->event.entry)
        pv_enter_callback(v, &(struct pv_callback){.entry = pv_of(v)->event.entry, .mask_events = true});
}

/* IRET refused the frame (a bad selector or address): the guest's failsafe handler is told, with the data selectors. */
void pv_iret_fault(void)
{
    struct vcpu *v = current_vcpu();
    struct pv_vcpu *pv = pv_of(v);
    uint64_t selectors[4];

    trace(TRACE_TRAP, "d%u v%u failsafe at %lx", v->domain->id, v->id, pv->regs.rip);
    if (!pv->failsafe.entry) {
        domain_crash(v->domain, "vCPU %u: bad frame %x:%lx, %x:%lx and no failsafe callback", v->id, pv->regs.cs,
                     pv->regs.rip, pv->regs.ss, pv->regs.rsp);
        return;
    }
    selectors[0] = pv_read_selector(SEG_DS);
    selectors[1] = pv_read_selector(SEG_ES);
    selectors[2] = pv_read_selector(SEG_FS);
    selectors[3] = pv_read_selector(SEG_GS);
    enter_handler(v, pv->failsafe.entry, pv->failsafe.mask_events, selectors, ARRAY_SIZE(selectors));
}
