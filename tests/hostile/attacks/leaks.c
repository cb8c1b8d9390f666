/* SPDX-License-Identifier: MIT */
/* What one domain must not learn of another, or of the hypervisor: registers of the FPU, answers' padding. */
#include "guest/attack.h"

#define LOOK_NS 300000000UL
#define FX_SIZE 512
#define FX_ST   32
#define FX_XMM  160
#define YMM     576 /* upper halves, in the standard form of XSAVE */
#define YMM_END (YMM + 256)
#define M2P_END 0xffff804000000000 /* up to here the ABI says what is where */

struct fpu {
    uint8_t area[1024] __attribute__((aligned(64)));
    bool avx;
};

static void enable_avx(void *arg)
{
    uint64_t cr4;

    __asm__ volatile("mov %%cr4, %0; or $0x40000, %0; mov %0, %%cr4" : "=r"(cr4));
    __asm__ volatile("xsetbv" ::"c"(0), "a"(7), "d"(0));
}

static void fpu_read(struct fpu *f)
{
    memset(f->area, 0, sizeof(f->area));
    if (f->avx)
        __asm__ volatile("xsave64 %0" : "+m"(f->area) : "a"(7), "d"(0));
    else
        __asm__ volatile("fxsave64 %0" : "+m"(f->area));
}

static void fpu_write(const struct fpu *f)
{
    if (f->avx)
        __asm__ volatile("xrstor64 %0" ::"m"(f->area), "a"(7), "d"(0));
    else
        __asm__ volatile("fxrstor64 %0" ::"m"(f->area));
}

/* All registers full of the word. */
static void fpu_fill(struct fpu *f, uint64_t word)
{
    fpu_read(f);
    for (unsigned at = FX_ST; at < (f->avx ? YMM_END : 416); at += 8)
        if (at < 416 || at >= YMM)
            *(uint64_t *)(f->area + at) = word;
    for (unsigned at = FX_ST; at < FX_XMM; at += 16)
        *(uint64_t *)(f->area + at + 8) = 0x3fff; /* a number */
    if (f->avx)
        *(uint64_t *)(f->area + FX_SIZE) = 7;
    fpu_write(f);
}

static bool fpu_has(const struct fpu *f, uint64_t word)
{
    for (unsigned at = 0; at < sizeof(f->area); at += 8)
        if (*(const uint64_t *)(f->area + at) == word)
            return true;
    return false;
}

static void keep_secret(void *arg)
{
    struct fpu mine = {.avx = !guarded(enable_avx, NULL)}, now = mine;

    fpu_fill(&mine, board->secret);
    fpu_read(&mine);
    while (!has_stopped()) {
        sched_op(SCHEDOP_yield, NULL);
        fpu_read(&now);
        if (memcmp(mine.area + FX_ST, now.area + FX_ST, YMM_END - FX_ST))
            FAIL("registers of the FPU changed", now.avx);
    }
}

static void secrets_in_registers(void)
{
    for (unsigned id = 1; id < VCPUS_MAX; id++)
        ALLOWED(cpu_start(id, keep_secret, NULL));
    keep_secret(NULL);
}

static void look_for_secret(void *arg)
{
    struct fpu f = {.avx = false};
    uint64_t secret = board->secret - board->domain + board->peer, end = now_ns() + LOOK_NS;

    fpu_read(&f);
    for (unsigned at = FX_XMM; at < 416; at += 8)
        CHECK(*(uint64_t *)(f.area + at) == 0); /* a new vCPU's */
    f.avx = !guarded(enable_avx, NULL);
    for (unsigned i = 0; now_ns() < end; i++) {
        hypercall(__HYPERVISOR_fpu_taskswitch, 0, 0, 0, 0);
        fpu_read(&f);
        CHECK(!fpu_has(&f, secret));
        if (i & 1)
            sched_op(SCHEDOP_yield, NULL);
        else
            sleep_ns(10000);
    }
}

ATTACK_WITH(registers_of_the_fpu, SURVIVES, secrets_in_registers,
            "XSA-52 XSA-62 XSA-165 XSA-220 XSA-267: x87, XMM and YMM registers of a domain that shares the CPUs")
{
    for (unsigned id = 1; id < VCPUS_MAX; id++)
        ALLOWED(cpu_start(id, look_for_secret, NULL));
    look_for_secret(NULL);
    for (unsigned id = 1; id < VCPUS_MAX; id++)
        cpu_wait(id);
}

static void use_fpu(void *arg)
{
    __asm__ volatile("fld1; fstp %%st(0)" ::);
}

static void bad_mxcsr(void *arg)
{
    __asm__ volatile("ldmxcsr %0" ::"m"(*(const uint32_t *)arg));
}

static void bad_xrstor(void *arg)
{
    __asm__ volatile("xrstor64 %0" ::"m"(*(const struct fpu *)arg), "a"(~0), "d"(~0));
}

ATTACK(fpu_state, SURVIVES, "XSA-53 XSA-54 XSA-190: TS, reserved bits of MXCSR, XCR0 and XSAVE headers")
{
    static const uint32_t mxcsr = 0xffffffff;
    static struct fpu f;

    ALLOWED(hypercall(__HYPERVISOR_fpu_taskswitch, 1, 0, 0, 0));
    CHECK(guarded(use_fpu, NULL) == 8);
    CHECK(!guarded(use_fpu, NULL));
    guarded(bad_mxcsr, (void *)&mxcsr); /* QEMU does not look at the reserved bits */
    f.avx = !guarded(enable_avx, NULL);
    memset(f.area, 0xff, sizeof(f.area));
    if (f.avx)
        guarded(bad_xrstor, &f);
    for (unsigned i = 0; i < 100; i++)
        sched_op(SCHEDOP_yield, NULL);
}

/* ---- Answers ---- */

static bool ends_or_sleeps(unsigned nr, unsigned cmd)
{
    return nr == __HYPERVISOR_iret || nr == __HYPERVISOR_set_trap_table || nr == __HYPERVISOR_stack_switch ||
           nr == __HYPERVISOR_multicall || nr == __HYPERVISOR_set_segment_base ||
           (nr == __HYPERVISOR_sched_op && cmd != SCHEDOP_yield) ||
           (nr == __HYPERVISOR_vcpu_op && (cmd == VCPUOP_down || cmd == VCPUOP_send_nmi || cmd == VCPUOP_initialise));
}

ATTACK(answers, SURVIVES,
       "XSA-122 XSA-132 XSA-313: no answer to any command has a word that is an address of the hypervisor's")
{
    uint64_t *page = new_page();

    for (unsigned nr = 0; nr < 64; nr++) {
        for (unsigned cmd = 0; cmd < 48; cmd++) {
            if (ends_or_sleeps(nr, cmd))
                continue;
            for (unsigned fill = 0; fill < 3; fill++) {
                memset(page, fill == 2 ? 0xff : (int)fill, PAGE);
                if (nr == __HYPERVISOR_vcpu_op)
                    hypercall(nr, cmd, 0, ADDRESS(page), 0);
                else
                    hypercall(nr, cmd, ADDRESS(page), 1, DOMID_SELF);
                for (unsigned i = 0; i < 512; i++)
                    if (page[i] > M2P_END && page[i] < HV_END)
                        FAIL("an address of the hypervisor's from call and command", nr * 1000 + cmd);
            }
        }
    }
    traps_init();
}

static void read_limit(void *arg)
{
    uint64_t limit = 0;

    __asm__ volatile("lsl %w1, %0; lar %w1, %0; verr %w1; verw %w1" : "+r"(limit) : "r"(arg));
}

ATTACK(looking_at_selectors, SURVIVES, "LAR, LSL, VERR, VERW of all selectors, with no tables behind them")
{
    for (unsigned selector = 0; selector < 0x10000; selector += 3)
        guarded(read_limit, (void *)(uint64_t)selector);
}

ATTACK(reading_the_hypervisor, SURVIVES,
       "XSA-254: reads, writes and jumps all over the hypervisor's range fault; what is there is not told")
{
    uint64_t value, state = board->seed;

    for (unsigned i = 0; i < 4000; i++) {
        uint64_t va = 0xffff808000000000 + random_next(&state) % (HV_END - 0xffff808000000000);

        CHECK(!try_read((void *)(va & ~7UL), &value));
        CHECK(this_cpu()->trap.vector == 13 || !(this_cpu()->trap.error & 1));
        CHECK(!try_write((void *)(va & ~7UL), 0));
    }
}
