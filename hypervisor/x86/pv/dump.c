/* SPDX-License-Identifier: MIT */
/* A guest's registers on the console: crash reports and the key for vCPU registers. Reads only what is saved: a vCPU that runs
 * elsewhere shows its state of the last time it entered the hypervisor. */
#include "x86/pv/pv.h"
#include "core/lib/print.h"

#define OTHERS_SHOWN 3

static void print_vcpu(struct vcpu *v)
{
    const struct regs *r = guest_regs(v);

    print_raw("vcpu %u (%s mode)%s\n", v->id, v->in_kernel ? "kernel" : "user", v == current_vcpu() ? " current" : "");
    print_raw("  rip %04x:%016lx rsp %04x:%016lx rflags %08lx vector %x error %x\n", r->cs, r->rip, r->ss, r->rsp,
              r->rflags, r->entry_vector, r->error_code);
    print_raw("  rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", r->rax, r->rbx, r->rcx, r->rdx);
    print_raw("  rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", r->rsi, r->rdi, r->rbp, r->r8);
    print_raw("  r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", r->r9, r->r10, r->r11, r->r12);
    print_raw("  r13 %016lx r14 %016lx r15 %016lx cr2 %016lx\n", r->r13, r->r14, r->r15, v->info->arch.cr2);
    print_raw("  kernel l4 %lx user l4 %lx kernel stack %lx\n", v->kernel_l4.n, v->user_l4.n, pv_of(v)->kernel_sp);
}

/* Interrupts are off and the console is slow: the vCPU that matters, and a few more. */
void hw_print_guest_state(struct domain *d)
{
    struct vcpu *first = current_vcpu()->domain == d ? current_vcpu() : vcpu_of(d, 0), *v;
    unsigned others = 0;

    if (first && first->initialised)
        print_vcpu(first);
    for_each_vcpu (d, v, i) {
        if (v == first || !v->initialised)
            continue;
        if (others++ == OTHERS_SHOWN) {
            print_raw("further vCPUs are not shown\n");
            return;
        }
        hw_relax();
        print_vcpu(v);
    }
}
