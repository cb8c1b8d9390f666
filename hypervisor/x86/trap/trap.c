/* SPDX-License-Identifier: MIT */
/*
 * What the entry code calls: every trap, and everything on the way back to a guest. The idle loop. The answers to the core
 * about the hypercall in progress.
 */
#include "core/domain/domain.h"
#include "core/lib/print.h"
#include "core/mem/alloc.h"
#include "core/trace/latency.h"
#include "hypercall/hypercall.h"
#include "x86/cpu/cpu.h"
#include "x86/cpu/percpu.h"
#include "x86/pv/pv.h"
#include "x86/trap/trap.h"

#define VECTOR_PF     14
#define VECTOR_MC     18
#define VECTOR_LEGACY 0x20 /* to 0x2f: where a spurious interrupt of the 8259 would come */
#define PF_RSVD       (1u << 3)
#define PF_FETCH      (1u << 4)

/* A page fault of ring 0 that needs no fixup: a page of the guest's LDT that was not there yet when a selector was loaded,
 * or a stale translation. */
static bool ring0_fault_cured(struct regs *r, uint64_t cr2)
{
    struct vcpu *v = current_vcpu();
    unsigned offset;
    bool ldt;

    if (!v || !v->domain)
        return false;
    if (pv_window_fault(v, cr2, &ldt, &offset))
        return ldt && pv_map_ldt_page(v, offset / PAGE_SIZE);
    return !(r->error_code & (PF_RSVD | PF_FETCH)) && pv_access_allowed(v, cr2, r->error_code);
}

/* Single steps and breakpoints that a guest prepared must not stop the hypervisor: a TF that came through SYSENTER, a
 * breakpoint that MOV SS carried over SYSCALL. */
static void ring0_debug(struct regs *r)
{
    write_dr(6, 0xffff0ff0);
    r->rflags &= ~(uint64_t)RFLAGS_TF;
}

static void ring0_exception(struct regs *r)
{
    switch (r->entry_vector) {
    case 1:
        ring0_debug(r);
        return;
    case 2:
        nmi_handler(r);
        return;
    case 8: /* the fault had no stack to be told on */
        if (cpu_stack_guard(read_cr(2)))
            panic_regs(r, "a stack has overflowed: %lx is in its guard page", read_cr(2));
        break;
    case VECTOR_MC:
        break;
    case VECTOR_PF: {
        uint64_t cr2 = read_cr(2);

        if (ring0_fault_cured(r, cr2) || extable_fixup(r))
            return;
        if (cpu_stack_guard(cr2))
            panic_regs(r, "a stack has overflowed: %lx is in its guard page", cr2);
        panic_regs(r, "page fault in the hypervisor at %lx", cr2);
    }
    default:
        if (extable_fixup(r))
            return;
    }
    panic_regs(r, "trap %s in the hypervisor", trap_name(r->entry_vector));
}

/* False: it is no interrupt. */
static bool interrupt(unsigned vector)
{
    if (vector < VECTOR_LEGACY || vector == VECTOR_INT80)
        return false;
    if (vector >= VECTOR_FIRST_IRQ)
        irq_handler((uint8_t)vector);
    else
        log_debug("Spurious interrupt, vector %x", vector);
    return true;
}

void guest_trap(struct regs *r)
{
    LATENCY(latency_begin(LATENCY_TRAP(r->entry_vector & 255), (uint64_t[]){r->rip, read_cr(2), r->error_code}));
    if (likely(r->entry_vector == VECTOR_PF))
        pv_page_fault(r);
    else if (!interrupt(r->entry_vector))
        pv_handle_trap(r);
    LATENCY(latency_end());
}

void ring0_trap(struct regs *r)
{
    if (!interrupt(r->entry_vector))
        ring0_exception(r);
}

/* Interrupts off between the look at the work bits and HLT: STI takes effect after HLT has begun. */
static void idle_wait(struct pcpu *c)
{
    lock_assert_none_held();
    LATENCY(latency_end());
    if (!__atomic_load_n(&c->work, __ATOMIC_ACQUIRE))
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    LATENCY(latency_begin(LATENCY_IDLE, NULL));
}

/* Does what waits for this CPU until there is a guest to run and nothing more to do before it runs. Delivering an event
 * may find the guest's stack gone and crash the domain, which is work again. */
struct regs *prepare_return(void)
{
    struct pcpu *c = this_cpu();

    for (;;) {
        struct vcpu *v;

        if (unlikely(__atomic_load_n(&c->work, __ATOMIC_ACQUIRE)))
            pcpu_do_work();
        v = c->current;
        if (unlikely(v == c->idle)) {
            if (!scrub_idle())
                idle_wait(c);
            continue;
        }
        if (unlikely(pv_of(v)->areas_stale) && v->in_kernel)
            pv_write_areas(v);
        pv_deliver_events(v);
        if (likely(!__atomic_load_n(&c->work, __ATOMIC_ACQUIRE))) {
            LATENCY(latency_end());
            return guest_regs(v);
        }
    }
}

/* The handler's return value goes to rax, so it is the number of the call to make again. */
int64_t hw_hypercall_continue(unsigned nr, unsigned count, const uint64_t *args)
{
    struct vcpu *v = current_vcpu();
    struct regs *r = guest_regs(v);
    uint64_t *const arg_regs[6] = {&r->rdi, &r->rsi, &r->rdx, &r->r10, &r->r8, &r->r9};

    ASSERT(count <= ARRAY_SIZE(arg_regs));
    if (v->mc_cont) {
        struct hypercall_continuation *cont = v->mc_cont;

        *cont = (struct hypercall_continuation){.preempted = true, .op = nr};
        for (unsigned i = 0; i < count; i++)
            cont->args[i] = args[i];
        return 0;
    }
    for (unsigned i = 0; i < count; i++)
        *arg_regs[i] = args[i];
    r->rip -= 2; /* SYSCALL is 0f 05 */
    return nr;
}
