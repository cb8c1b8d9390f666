/* SPDX-License-Identifier: MIT */
/* Traps: the descriptor table's entries, the vectors, and the exception table for faults that ring 0 expects. */
#pragma once
#include "x86/trap/regs.h"

/* Vectors. 0..31 exceptions, 0x80 the guest's int 0x80, 0x30..0xdf devices (x86/irq), the rest: */
#define VECTOR_INT80      0x80
#define VECTOR_FIRST_IRQ  0x30
#define VECTOR_LAST_IRQ   0xdf
#define VECTOR_APIC_TIMER 0xf0
#define VECTOR_KICK       0xf1 /* look at your work bits */
#define VECTOR_REMOTE     0xf2 /* serve remote requests */
#define VECTOR_APIC_ERROR 0xfe
#define VECTOR_SPURIOUS   0xff

/* ---- entry.S: what x86/cpu puts into the IDT and the MSRs ----
 * Vector n's stub is entry_trap_stubs + n * ENTRY_TRAP_STUB_SIZE; all are interrupt gates (IF off) to HV_CS. DPL 3: 3, 4 and
 * VECTOR_INT80; the rest DPL 0. IST_* (cpu.h) for vectors 1, 2, 8 and 18. An IST's top is its stack's end minus STACK_TOP_SIZE, with a
 * struct stack_top above it, like the main stack's. TSS.rsp0 belongs to hw_context_switch.
 * CPU n's LSTAR, CSTAR, SYSENTER_EIP point to its own stub: entry_xxx_stubs + n * ENTRY_CALL_STUB_SIZE; SYSENTER_CS is HV_CS,
 * SYSENTER_ESP 0, SFMASK is SFMASK_VALUE, STAR is FLAT_CS32 << 48 | HV_CS << 32. */
extern const char entry_trap_stubs[], entry_syscall_stubs[], entry_syscall32_stubs[], entry_sysenter_stubs[];
#define ENTRY_TRAP_STUB_SIZE 16
#define ENTRY_CALL_STUB_SIZE 32
/* CF PF AF ZF SF TF IF DF OF IOPL NT RF VM AC VIF VIP ID: all that a guest can set */
#define SFMASK_VALUE 0x3f7fd5
/* What the call stubs need, one line of cache a CPU: written at context switch. */
struct entry_slot {
    uint64_t regs_top; /* &pv_vcpu.regs + 1 of the vCPU that runs */
    uint64_t user_rsp; /* for the three instructions between entry and the frame */
    uint64_t pad[6];
};
extern struct entry_slot entry_slots[];

void guest_trap(struct regs *r);   /* from entry.S, every vector: from guest mode, r is in the vCPU */
void ring0_trap(struct regs *r);   /* from the hypervisor: r is on the stack in use */
struct regs *prepare_return(void); /* from entry.S: all that is to do before a guest runs; its registers */
void irq_handler(uint8_t vector);  /* x86/irq/irq.c: a device or local vector; interrupts off */
static inline bool regs_from_guest(const struct regs *r)
{
    return (r->cs & 3) == 3;
}
/* An instruction at `fault` that may fault in ring 0 continues at `fixup`. */
#define EXTABLE(fault, fixup) ".pushsection extable, \"a\"; .balign 8; .quad " fault ", " fixup "; .popsection\n"
bool extable_fixup(struct regs *r);
int __must_check copy_unsafe(void *dst, const void *src,
                             size_t size); /* copy_unsafe.S: unchecked addresses; 0, -EFAULT */

/* x86/cpu/panic.c */
void __noreturn panic_regs(const struct regs *r, const char *fmt, ...) __printf(2, 3); /* a trap in ring 0; #MC, #DF */
void nmi_handler(
    struct regs *r); /* vector 2, on its IST stack: stops this CPU when asked to, else says so and returns */
const char *trap_name(unsigned vector); /* "#PF page fault" */
