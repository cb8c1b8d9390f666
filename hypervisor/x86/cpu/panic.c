/* SPDX-License-Identifier: MIT */
/*
 * The end: a report of our own fault (what, registers, stack by name, who was running), then a halt or a restart as option
 * noreboot says; and the NMI, by which one CPU stops the others.
 *
 * The first CPU to panic reports; others that panic meanwhile halt. A panic while reporting gives one line and goes on to
 * the end. Nothing here takes a lock, but for the console's of a report that goes on, or trusts a pointer it has not checked.
 */
#include <stdarg.h>
#include "core/domain/domain.h"
#include "core/lib/print.h"
#include "core/trace/conring.h"
#include "x86/apic/apic.h"
#include "x86/boot/boot.h"
#include "x86/cpu/cpu.h"
#include "x86/cpu/symbols.h"
#include "x86/mmu/mmu.h"
#include "x86/pv/pv.h"
#include "x86/time/time.h"
#include "x86/trap/trap.h"

#define STACK_FRAMES_MAX 32
#define RESTART_DELAY_S  5
#define STOP_WAIT_US     100000

static uint32_t reporter; /* CPU + 1 of who panics first; 0: nobody */
static uint32_t stopping; /* the others are to stop */
static uint32_t stopped;  /* how many have */
static uint32_t nmis_unreported;

const char *trap_name(unsigned vector)
{
    static const char *const names[32] = {
        [0] = "#DE divide error",
        [1] = "#DB debug",
        [2] = "NMI",
        [3] = "#BP breakpoint",
        [4] = "#OF overflow",
        [5] = "#BR bound range",
        [6] = "#UD invalid opcode",
        [7] = "#NM device not available",
        [8] = "#DF double fault",
        [10] = "#TS invalid TSS",
        [11] = "#NP segment not present",
        [12] = "#SS stack segment",
        [13] = "#GP general protection",
        [14] = "#PF page fault",
        [16] = "#MF x87 error",
        [17] = "#AC alignment check",
        [18] = "#MC machine check",
        [19] = "#XM SIMD error",
        [20] = "#VE virtualisation",
        [21] = "#CP control protection",
    };
    return vector < 32 && names[vector] ? names[vector] : "of unknown kind";
}

static void print_address(const char *label, uint64_t address)
{
    uint64_t offset;
    const char *name = symbol_find(address, &offset);

    if (name)
        print_raw("%s%016lx %s+%#lx\n", label, address, name, offset);
    else
        print_raw("%s%016lx\n", label, address);
}

static void print_registers(const struct regs *r)
{
    print_raw("  trap %s, error code %x, cs %04x, rflags %lx\n", trap_name(r->entry_vector), r->error_code, r->cs,
              r->rflags);
    print_address("  rip ", r->rip);
    print_raw("  rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", r->rax, r->rbx, r->rcx, r->rdx);
    print_raw("  rsi %016lx  rdi %016lx  rbp %016lx  rsp %016lx\n", r->rsi, r->rdi, r->rbp, r->rsp);
    print_raw("  r8  %016lx  r9  %016lx  r10 %016lx  r11 %016lx\n", r->r8, r->r9, r->r10, r->r11);
    print_raw("  r12 %016lx  r13 %016lx  r14 %016lx  r15 %016lx\n", r->r12, r->r13, r->r14, r->r15);
}

static void print_control_registers(void)
{
    print_raw("  cr0 %lx  cr2 %lx  cr3 %lx  cr4 %lx\n", read_cr(0), read_cr(2), read_cr(3), read_cr(4));
}

/* Follows the frame pointers upwards inside one stack. */
static void print_stack(uint64_t rbp)
{
    uint64_t stack_end = (rbp | (STACK_SIZE - 1)) + 1;

    print_raw("Stack:\n");
    for (unsigned i = 0; i < STACK_FRAMES_MAX; i++) {
        if ((rbp & 7) || rbp + 16 > stack_end || !hv_page_mapped(rbp) || !hv_page_mapped(rbp + 8))
            return;
        uint64_t next = ((const uint64_t *)rbp)[0], from = ((const uint64_t *)rbp)[1];

        if (!address_is_text(from))
            return;
        print_address("  ", from - 1); /* inside the call */
        if (next <= rbp)
            return;
        rbp = next;
    }
}

static void print_who(void)
{
    const struct pcpu *c = this_cpu();
    struct vcpu *v = c->current;

    if (v && v->domain)
        print_raw("  running: domain %u vCPU %u (%s mode)", v->domain->id, v->id, v->in_kernel ? "kernel" : "user");
    else
        print_raw("  running: %s", v ? "no domain" : "the boot");
    if (v && v->domain && guest_regs(v)->entry_vector == TRAP_SYSCALL)
        print_raw(", last entered by call %lu", guest_regs(v)->rax);
    print_raw("\n");
}

static void __noreturn halt_here(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

static void __noreturn finish(void)
{
    if (option_noreboot) {
        print_raw("The machine is halted (noreboot).\n");
        halt_here();
    }
    if (tsc_khz()) {
        print_raw("The machine restarts in %u seconds.\n", RESTART_DELAY_S);
        for (unsigned i = 0; i < RESTART_DELAY_S * 1000; i++)
            udelay(1000);
    }
    hw_machine_restart();
}

/* Returns to who is to report; others never come back from here. */
static void enter(void)
{
    uint32_t nobody = 0, me = this_cpu()->id + 1;

    __asm__ volatile("cli");
    if (!__atomic_compare_exchange_n(&reporter, &nobody, me, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        if (nobody != me)
            halt_here();
        print_raw("\nPanic in the panic report.\n");
        finish();
    }
    cpus_stop_others();
    conring_force_unlock();
}

static void headline(const char *fmt, va_list ap)
{
    char text[512];

    hv_vsnprintf(text, sizeof(text), fmt, ap);
    print_raw("\nPANIC on CPU %u: %s\n", this_cpu()->id, text);
}

void panic(const char *fmt, ...)
{
    va_list ap;

    enter();
    va_start(ap, fmt);
    headline(fmt, ap);
    va_end(ap);
    print_who();
    print_address("  from ", (uint64_t)__builtin_return_address(0));
    print_control_registers();
    print_stack((uint64_t)__builtin_frame_address(0));
    finish();
}

void panic_regs(const struct regs *r, const char *fmt, ...)
{
    va_list ap;

    enter();
    va_start(ap, fmt);
    headline(fmt, ap);
    va_end(ap);
    print_who();
    print_registers(r);
    print_control_registers();
    /* A fault in a function's first instructions has not made its frame yet. */
    if (!(r->rsp & 7) && hv_page_mapped(r->rsp) && address_is_text(*(const uint64_t *)r->rsp))
        print_address("  at rsp ", *(const uint64_t *)r->rsp);
    print_stack(r->rbp);
    finish();
}

void boot_fail(const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    hv_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    print_raw("Hospes cannot start: %s\n", text);
    cpus_stop_others();
    halt_here();
}

void __noreturn __stack_chk_fail(void);
void __noreturn __stack_chk_fail(void)
{
    panic("a stack frame was overwritten");
}

/* ---- The NMI ---- */

void nmi_handler(struct regs *r)
{
    if (__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
        __atomic_fetch_add(&stopped, 1, __ATOMIC_SEQ_CST);
        halt_here();
    }
    /* The code that it interrupted may hold the console's lock. When nobody has it, then neither has that. */
    if (conring_is_locked())
        __atomic_fetch_add(&nmis_unreported, 1, __ATOMIC_RELAXED);
    else
        log_warn("NMI on CPU %u at %lx, reason %x, %u before it not reported", this_cpu()->id, r->rip, inb(0x61),
                 __atomic_exchange_n(&nmis_unreported, 0, __ATOMIC_RELAXED));
}

void cpus_stop_others(void)
{
    unsigned me = this_cpu()->id, cpu, others = 0;

    if (__atomic_exchange_n(&stopping, 1, __ATOMIC_SEQ_CST))
        return;
    for_each_cpu (cpu, &cpus_online) {
        if (cpu == me)
            continue;
        lapic_send_nmi(x86_cpu_of(pcpus[cpu])->apic_id);
        others++;
    }
    for (unsigned i = 0; i < STOP_WAIT_US && others; i++) {
        if (__atomic_load_n(&stopped, __ATOMIC_ACQUIRE) >= others)
            return;
        udelay(1);
    }
}
