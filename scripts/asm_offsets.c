/* SPDX-License-Identifier: MIT */
/* The offsets that the entry code needs, compiled to assembly and turned into build/gen/asm_offsets.h (scripts/offsets.mk). */
#include "core/mem/pte.h"
#include "core/trace/trace.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/pv.h"
#include "x86/trap/trap.h"

#define DEFINE(name, value) __asm__ volatile("\n.ascii \"->" #name " %c0\"" ::"i"((long)(value)))
#define FROM_REGS(member)   ((long)offsetof(struct pv_vcpu, member) - (long)offsetof(struct pv_vcpu, regs))

_Static_assert((offsetof(struct pv_vcpu, regs) + sizeof(struct regs)) % 16 == 0, "TSS.rsp0 is 16-byte aligned");
_Static_assert(sizeof(struct entry_slot) == 64, "entry_slots is laid out in entry.S");
_Static_assert(HYPERVISOR_END - HYPERVISOR_START == 1UL << HYPERVISOR_SHIFT &&
                   HYPERVISOR_START << (64 - HYPERVISOR_SHIFT) == 0,
               "one block, known by the upper bits of an address");
_Static_assert(offsetof(struct vcpu_info, evtchn_upcall_mask) == 1, "one word with evtchn_upcall_pending");

void asm_offsets(void);
void asm_offsets(void)
{
    DEFINE(REGS_R15, offsetof(struct regs, r15));
    DEFINE(REGS_R14, offsetof(struct regs, r14));
    DEFINE(REGS_R13, offsetof(struct regs, r13));
    DEFINE(REGS_R12, offsetof(struct regs, r12));
    DEFINE(REGS_RBP, offsetof(struct regs, rbp));
    DEFINE(REGS_RBX, offsetof(struct regs, rbx));
    DEFINE(REGS_R11, offsetof(struct regs, r11));
    DEFINE(REGS_R10, offsetof(struct regs, r10));
    DEFINE(REGS_R9, offsetof(struct regs, r9));
    DEFINE(REGS_R8, offsetof(struct regs, r8));
    DEFINE(REGS_RAX, offsetof(struct regs, rax));
    DEFINE(REGS_RCX, offsetof(struct regs, rcx));
    DEFINE(REGS_RDX, offsetof(struct regs, rdx));
    DEFINE(REGS_RSI, offsetof(struct regs, rsi));
    DEFINE(REGS_RDI, offsetof(struct regs, rdi));
    DEFINE(REGS_ERROR_CODE, offsetof(struct regs, error_code));
    DEFINE(REGS_ENTRY_VECTOR, offsetof(struct regs, entry_vector));
    DEFINE(REGS_RIP, offsetof(struct regs, rip));
    DEFINE(REGS_CS, offsetof(struct regs, cs));
    DEFINE(REGS_RFLAGS, offsetof(struct regs, rflags));
    DEFINE(REGS_RSP, offsetof(struct regs, rsp));
    DEFINE(REGS_SS, offsetof(struct regs, ss));
    DEFINE(REGS_WORDS, sizeof(struct regs) / 8);
    /* Of a struct pv_vcpu, seen from its saved registers. */
    DEFINE(FROM_REGS_STACK, FROM_REGS(stack));
    DEFINE(FROM_REGS_IN_KERNEL, FROM_REGS(core.in_kernel));
    DEFINE(FROM_REGS_INFO, FROM_REGS(core.info));
    DEFINE(FROM_REGS_NMI_PENDING, FROM_REGS(core.nmi_pending));
    DEFINE(FROM_REGS_DOMAIN, FROM_REGS(core.domain));
    DEFINE(FROM_REGS_KERNEL_L4, FROM_REGS(core.kernel_l4));
    DEFINE(FROM_REGS_USER_L4, FROM_REGS(core.user_l4));
    DEFINE(FROM_REGS_NMI_MASKED, FROM_REGS(core.nmi_masked));
    DEFINE(FROM_REGS_AREAS_STALE, FROM_REGS(areas_stale));
    DEFINE(FROM_REGS_SYSCALL_FRAME, FROM_REGS(syscall_frame));
    DEFINE(FROM_REGS_SYSCALL_ENTRY, FROM_REGS(syscall.entry));
    DEFINE(FROM_REGS_SYSCALL_MASK_EVENTS, FROM_REGS(syscall.mask_events));
    DEFINE(PV_REGS, offsetof(struct pv_vcpu, regs));
    DEFINE(PCPU_WORK, offsetof(struct x86_cpu, core.work));
    DEFINE(PCPU_TLB_FLUSHED, offsetof(struct x86_cpu, core.tlb_flushed));
    DEFINE(CPU_ROOT_LOADED, offsetof(struct x86_cpu, root_loaded));
    DEFINE(DOMAIN_VM_ASSIST, offsetof(struct domain, vm_assist));
    DEFINE(ASM_ARCHITECTURAL_IOPL, 1u << VMASST_TYPE_architectural_iopl);
    DEFINE(ASM_M2P_L4_OFFSET, pt_index(M2P_RO_START, 4) * sizeof(uint64_t));
    DEFINE(ASM_HYPERVISOR_SHIFT, HYPERVISOR_SHIFT);
    DEFINE(ASM_HYPERVISOR_BLOCK, HYPERVISOR_START >> HYPERVISOR_SHIFT);
    DEFINE(ASM_PAGE_SHIFT, PAGE_SHIFT);
    DEFINE(ASM_HYPERCALL_IRET, __HYPERVISOR_iret);
    DEFINE(ASM_TRACE_HYPERCALL, TRACE_MASK_COMPILED & TRACE_HYPERCALL);
    DEFINE(ASM_RFLAGS_MASK, GUEST_RFLAGS_MASK);
    DEFINE(ASM_RFLAGS_HANDLER, GUEST_RFLAGS_MASK & ~(RFLAGS_TF | RFLAGS_RF | RFLAGS_AC));
    DEFINE(ASM_RFLAGS_FIXED, GUEST_RFLAGS_FIXED);
    DEFINE(ASM_RFLAGS_IF, RFLAGS_IF);
    DEFINE(ASM_VGCF_IN_SYSCALL, VGCF_in_syscall);
    DEFINE(IRET_RAX, offsetof(struct iret_context, rax));
    DEFINE(IRET_R11, offsetof(struct iret_context, r11));
    DEFINE(IRET_RCX, offsetof(struct iret_context, rcx));
    DEFINE(IRET_FLAGS, offsetof(struct iret_context, flags));
    DEFINE(IRET_RIP, offsetof(struct iret_context, rip));
    DEFINE(IRET_CS, offsetof(struct iret_context, cs));
    DEFINE(IRET_RFLAGS, offsetof(struct iret_context, rflags));
    DEFINE(IRET_RSP, offsetof(struct iret_context, rsp));
    DEFINE(IRET_SS, offsetof(struct iret_context, ss));
    DEFINE(PCPU_CURRENT, offsetof(struct x86_cpu, core.current));
    DEFINE(ASM_FLAT_CS64, FLAT_CS64);
    DEFINE(ASM_FLAT_CS32, FLAT_CS32);
    DEFINE(ASM_FLAT_DS, FLAT_DS);
    DEFINE(ASM_TRAP_SYSCALL, TRAP_SYSCALL);
    DEFINE(ASM_TRAP_SYSCALL32, TRAP_SYSCALL32);
    DEFINE(ASM_TRAP_SYSENTER, TRAP_SYSENTER);
    DEFINE(ASM_MAX_CPUS, MAX_CPUS);
    DEFINE(ASM_STACK_SIZE, STACK_SIZE);
    DEFINE(ASM_STACK_TOP_SIZE, sizeof(struct stack_top));
    DEFINE(ASM_TRAP_STUB_SIZE, ENTRY_TRAP_STUB_SIZE);
    DEFINE(ASM_CALL_STUB_SIZE, ENTRY_CALL_STUB_SIZE);
    DEFINE(ASM_EFAULT, EFAULT);
}
