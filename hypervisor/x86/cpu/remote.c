/* SPDX-License-Identifier: MIT */
/*
 * Requests between CPUs: a function to be run there, TLB flushes above all; kicks; and what a CPU does while it waits.
 *
 * Each CPU has one outgoing request, and a bit in each target's `from` says that it is meant. The target clears the bit,
 * runs the function, then counts itself off; the sender waits for the count to be 0 before it uses its request again. A
 * waiting sender serves its own requests, so two that wait for each other both get on. Functions must not send requests.
 * Lock-free: `waiting` and `from` are atomic; fn and arg are written only while waiting is 0.
 */
#include "core/mem/tlb.h"
#include "core/trace/latency.h"
#include "x86/apic/apic.h"
#include "x86/cpu/cpu.h"
#include "x86/trap/trap.h"

struct request {
    void (*fn)(void *);
    void *arg;
    uint32_t waiting; /* targets that have not done it */
} __aligned_to(64);
static struct request requests[MAX_CPUS]; /* by sender */
static struct {
    uint64_t from[MAX_CPUS / 64];
} __aligned_to(64) inboxes[MAX_CPUS]; /* by target */

void remote_serve(void)
{
    struct x86_cpu *me = this_x86_cpu();

    if (likely(!__atomic_load_n(&me->remote_pending, __ATOMIC_RELAXED)))
        return;
    __atomic_exchange_n(&me->remote_pending, 0, __ATOMIC_SEQ_CST);
    for (unsigned w = 0; w < MAX_CPUS / 64; w++) {
        uint64_t senders = __atomic_load_n(&inboxes[me->core.id].from[w], __ATOMIC_RELAXED);

        if (!senders)
            continue;
        senders = __atomic_exchange_n(&inboxes[me->core.id].from[w], 0, __ATOMIC_SEQ_CST);
        for (; senders; senders &= senders - 1) {
            struct request *r = &requests[w * 64 + (unsigned)__builtin_ctzl(senders)];
            r->fn(r->arg);
            __atomic_fetch_sub(&r->waiting, 1, __ATOMIC_SEQ_CST);
        }
    }
}

void hw_relax(void)
{
    __builtin_ia32_pause();
    remote_serve();
}

static void wait_done(const struct request *r)
{
    while (__atomic_load_n(&r->waiting, __ATOMIC_ACQUIRE))
        hw_relax();
}

void remote_call(const cpumask_t *mask, void (*fn)(void *), void *arg, bool wait)
{
    unsigned me = this_cpu()->id, cpu;
    struct request *r = &requests[me];
    cpumask_t targets;
    uint32_t count = 0;

    for (unsigned w = 0; w < MAX_CPUS / 64; w++) {
        targets.w[w] = mask->w[w] & cpus_online.w[w];
        if (w == me / 64)
            targets.w[w] &= ~(1UL << (me % 64));
        count += (uint32_t)__builtin_popcountl(targets.w[w]);
    }
    if (count) {
        wait_done(r);
        r->fn = fn;
        r->arg = arg;
        __atomic_store_n(&r->waiting, count, __ATOMIC_RELEASE);
        for_each_cpu (cpu, &targets) {
            struct x86_cpu *c = x86_cpu_of(pcpus[cpu]);

            bit_test_set_atomic(inboxes[cpu].from, me);
            if (!__atomic_exchange_n(&c->remote_pending, 1, __ATOMIC_SEQ_CST))
                lapic_send_ipi(c->apic_id, VECTOR_REMOTE);
        }
    }
    if (cpumask_test(mask, me))
        fn(arg);
    if (wait && count)
        wait_done(r);
}

/* ---- TLB ---- */

static void flush_all(void *arg)
{
    tlb_note_flush();
    write_cr(3, read_cr(3));
}

static void flush_page(void *va)
{
    __asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
}

void hw_flush_tlb(const cpumask_t *mask, bool all, uint64_t va)
{
    remote_call(mask, all ? flush_all : flush_page, (void *)va, true);
}

void hw_flush_tlb_local(bool all, uint64_t va)
{
    if (all)
        flush_all(NULL);
    else
        flush_page((void *)va);
}

static void flush_caches(void *arg)
{
    __asm__ volatile("wbinvd" ::: "memory");
}

void hw_flush_caches(const cpumask_t *mask)
{
    remote_call(mask, flush_caches, NULL, true);
}

/* ---- Kicks and preemption ---- */

void hw_kick(unsigned cpu)
{
    lapic_send_ipi(x86_cpu_of(pcpus[cpu])->apic_id, VECTOR_KICK);
}

bool hw_preempt_check(void)
{
    struct pcpu *c = this_cpu();

    lock_assert_none_held();
    LATENCY(latency_end());
    __asm__ volatile("sti; nop; cli" ::: "memory");
    LATENCY(latency_again());
    if (__atomic_load_n(&c->work, __ATOMIC_RELAXED))
        return true;
    return c->current->domain && vcpu_has_events(c->current);
}
