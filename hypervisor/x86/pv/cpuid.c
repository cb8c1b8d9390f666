/* SPDX-License-Identifier: MIT */
/*
 * What CPUID tells a PV domain: a table computed from the processor's answers when the domain is created, with what PV guests
 * must not use taken out, and the ABI's own leaves at 0x40000000. Unknown leaves read 0, features are an allow list.
 *
 * Taken out: superpages and global pages, SMEP, SMAP, UMIP, PCID, FSGSBASE (all of them belong to ring 0's real page tables or
 * CR4), machine checks, MTRRs, performance and debug monitors, virtualization, XSAVES, keys and shadow stacks.
 * Topology: each vCPU is a package of its own.
 */
#include "core/lib/fail.h"
#include "core/lib/string.h"
#include "core/mem/alloc.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/pv.h"
#include "x86/time/time.h"
#include <xen/arch-x86/cpuid.h>

enum { EAX, EBX, ECX, EDX };
#define BIT(n)           (1u << (n))
#define BASIC_LEAVES     0x17
#define CACHE_SUBLEAVES  8
#define XSTATE_SUBLEAVES 32
#define EXT_LEAVES       0x20
#define XEN_LEAF         0x40000000u
#define XEN_VERSION_EAX  0x00040011u /* 4.17 */

struct cpu_policy {
    uint32_t basic[BASIC_LEAVES][4]; /* but 4, 7, 0xb, 0xd */
    uint32_t cache[CACHE_SUBLEAVES][4];
    uint32_t features7[2][4];
    uint32_t xstate[XSTATE_SUBLEAVES][4];
    uint32_t ext[EXT_LEAVES][4];
};

/* Leaf 1: FPU DE TSC MSR PAE CX8 APIC SEP CMOV PAT CLFSH MMX FXSR SSE SSE2 */
#define LEAF1_EDX                                                                                                      \
    (BIT(0) | BIT(2) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(9) | BIT(11) | BIT(15) | BIT(16) | BIT(19) | BIT(23) |  \
     BIT(24) | BIT(25) | BIT(26))
/* SSE3 PCLMULQDQ SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND */
#define LEAF1_ECX                                                                                                      \
    (BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | BIT(25) | BIT(26) |        \
     BIT(28) | BIT(29) | BIT(30))
#define LEAF1_ECX_OSXSAVE    BIT(27)
#define LEAF1_ECX_HYPERVISOR BIT(31)
#define LEAF1_ECX_XSAVE      (BIT(26) | BIT(28) | BIT(29) | BIT(12)) /* gone without XSAVE: AVX F16C FMA too */
/* BMI1 AVX2 BMI2 ERMS RDSEED ADX CLFLUSHOPT CLWB SHA */
#define LEAF7_EBX (BIT(3) | BIT(5) | BIT(8) | BIT(9) | BIT(18) | BIT(19) | BIT(23) | BIT(24) | BIT(29))
/* AVX512 F DQ IFMA CD BW VL */
#define LEAF7_EBX_AVX512 (BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31))
/* GFNI VAES VPCLMULQDQ RDPID MOVDIRI MOVDIR64B */
#define LEAF7_ECX (BIT(8) | BIT(9) | BIT(10) | BIT(22) | BIT(27) | BIT(28))
/* AVX512 VBMI VBMI2 VNNI BITALG VPOPCNTDQ */
#define LEAF7_ECX_AVX512 (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))
#define LEAF7_EDX        (BIT(4) | BIT(10)) /* FSRM, MD_CLEAR */
#define LEAF7_1_EAX      BIT(4)             /* AVX-VNNI */
/* LAHF ABM SSE4A MISALIGNSSE PREFETCHW XOP FMA4 TBM */
#define EXT1_ECX (BIT(0) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(16) | BIT(21))
/* SYSCALL NX MMXEXT FFXSR RDTSCP LM 3DNOWEXT 3DNOW; on AMD also copies of leaf 1's */
#define EXT1_EDX        (BIT(11) | BIT(20) | BIT(22) | BIT(25) | BIT(29) | BIT(30) | BIT(31))
#define EXT1_EDX_RDTSCP BIT(27)
#define EXT1_EDX_SHARED (LEAF1_EDX & 0x0183f3ffu & ~BIT(11))
#define EXT8_EBX        (BIT(0) | BIT(2))          /* CLZERO, no FPU pointer leak */
#define XSTATE1_EAX     (BIT(0) | BIT(1) | BIT(2)) /* XSAVEOPT, XSAVEC, XGETBV(1) */

static void host(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    cpuid_count(leaf, sub, r);
}

static void basic_features(struct cpu_policy *p)
{
    uint32_t *r = p->basic[1];

    host(1, 0, r);
    r[EBX] = (r[EBX] & 0xff00) | 1u << 16; /* CLFLUSH size; one logical processor; the vCPU's number comes later */
    r[ECX] = (r[ECX] & LEAF1_ECX) | LEAF1_ECX_HYPERVISOR;
    if (!cpu_features.xsave)
        r[ECX] &= ~LEAF1_ECX_XSAVE;
    r[EDX] &= LEAF1_EDX;
}

static void features7(struct cpu_policy *p)
{
    bool avx512 = (cpu_features.xcr0_mask & 0xe0) == 0xe0;
    bool avx = cpu_features.xcr0_mask & 4;
    uint32_t *r = p->features7[0], *r1 = p->features7[1];

    host(7, 0, r);
    if (r[EAX] >= 1) {
        host(7, 1, r1);
        r1[EAX] &= avx ? LEAF7_1_EAX : 0;
        r1[EBX] = r1[ECX] = r1[EDX] = 0;
        r[EAX] = 1;
    }
    r[EBX] &= LEAF7_EBX | (avx512 ? LEAF7_EBX_AVX512 : 0);
    r[ECX] &= LEAF7_ECX | (avx512 ? LEAF7_ECX_AVX512 : 0);
    r[EDX] &= LEAF7_EDX;
    if (!avx) {
        r[EBX] &= ~BIT(5);
        r[ECX] &= ~(BIT(9) | BIT(10));
    }
    if (!cpu_features.rdtscp)
        r[ECX] &= ~BIT(22);
}

static void xstate(struct cpu_policy *p)
{
    uint64_t mask = cpu_features.xcr0_mask;

    if (!cpu_features.xsave)
        return;
    host(0xd, 0, p->xstate[0]);
    p->xstate[0][EAX] = (uint32_t)mask;
    p->xstate[0][ECX] = cpu_features.xsave_size;
    p->xstate[0][EDX] = (uint32_t)(mask >> 32);
    host(0xd, 1, p->xstate[1]);
    p->xstate[1][EAX] &= XSTATE1_EAX;
    p->xstate[1][ECX] = p->xstate[1][EDX] = 0;
    for (unsigned n = 2; n < XSTATE_SUBLEAVES; n++)
        if (mask >> n & 1)
            host(0xd, n, p->xstate[n]);
}

static void caches(struct cpu_policy *p)
{
    for (unsigned n = 0; n < CACHE_SUBLEAVES; n++) {
        uint32_t *r = p->cache[n];

        host(4, n, r);
        if (!(r[EAX] & 0x1f)) {
            memset(r, 0, sizeof(p->cache[n]));
            return;
        }
        r[EAX] &= 0x3ff; /* shared with nobody: one core, one thread */
    }
}

static void basic_leaves(struct cpu_policy *p)
{
    uint32_t *leaf0 = p->basic[0], max;

    host(0, 0, leaf0);
    max = leaf0[EAX] = MIN(leaf0[EAX], BASIC_LEAVES - 1);
    basic_features(p);
    if (max >= 2)
        host(2, 0, p->basic[2]);
    if (max >= 4)
        caches(p);
    if (max >= 6)
        p->basic[6][EAX] = cpu_features.arat ? BIT(2) : 0;
    if (max >= 7)
        features7(p);
    if (max >= 0xd)
        xstate(p);
    if (max >= 0x15)
        host(0x15, 0, p->basic[0x15]);
    if (max >= 0x16)
        host(0x16, 0, p->basic[0x16]);
}

static void ext_leaves(struct cpu_policy *p)
{
    uint32_t max, *r = p->ext[0];
    bool amd;

    host(0x80000000, 0, r);
    if (r[EAX] < 0x80000000) {
        memset(r, 0, sizeof(p->ext[0]));
        return;
    }
    max = MIN(r[EAX] & 0x7fffffff, EXT_LEAVES - 1);
    r[EAX] = 0x80000000 | max;
    amd = r[EBX]; /* Intel says nothing here, AMD its name again */
    r = p->ext[1];
    host(0x80000001, 0, r);
    r[ECX] &= EXT1_ECX;
    if (!(cpu_features.xcr0_mask & 4))
        r[ECX] &= ~(BIT(11) | BIT(16));
    r[EDX] &= EXT1_EDX | (cpu_features.rdtscp ? EXT1_EDX_RDTSCP : 0) | (amd ? EXT1_EDX_SHARED : 0);
    for (unsigned n = 2; n <= MIN(max, 6); n++)
        host(0x80000000 + n, 0, p->ext[n]); /* brand, caches */
    p->ext[7][EDX] = cpu_features.invariant_tsc ? BIT(8) : 0;
    if (max >= 8) {
        r = p->ext[8];
        host(0x80000008, 0, r);
        r[EBX] &= EXT8_EBX;
        r[ECX] = r[EDX] = 0;
    }
}

int cpu_policy_create(struct domain *d)
{
    struct cpu_policy *p = heap_alloc(sizeof(*p));

    if (!p)
        return fail(-ENOMEM);
    basic_leaves(p);
    ext_leaves(p);
    pv_domain_of(d)->policy = p;
    return 0;
}

void cpu_policy_destroy(struct domain *d)
{
    heap_free(pv_domain_of(d)->policy);
    pv_domain_of(d)->policy = NULL;
}

static void put4(uint32_t out[4], uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    out[EAX] = a;
    out[EBX] = b;
    out[ECX] = c;
    out[EDX] = d;
}

/* Time: the TSC runs natively in every guest. Sub-leaf 1's factors: ns = (tsc << shift) * mul >> 32, with mul of full width. */
static void xen_time_leaf(uint32_t sub, uint32_t out[4])
{
    uint64_t khz = tsc_khz(), mul = khz ? ((uint64_t)USEC * 1000 << 32) / khz : 0;
    int8_t shift = 0;

    switch (sub) {
    case 0:
        put4(out, (cpu_features.invariant_tsc ? 2 : 0) | (cpu_features.rdtscp ? 4 : 0), 0, (uint32_t)khz, 0);
        break;
    case 1:
        for (; mul > UINT32_MAX; shift++)
            mul >>= 1;
        put4(out, 0, 0, (uint32_t)mul, (uint32_t)(int32_t)shift);
        break;
    case 2:
        put4(out, (uint32_t)khz, 0, 0, 0);
        break;
    }
}

static void xen_leaf(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    switch (leaf) {
    case 0:
        put4(out, XEN_LEAF + XEN_CPUID_MAX_NUM_LEAVES, XEN_CPUID_SIGNATURE_EBX, XEN_CPUID_SIGNATURE_ECX,
             XEN_CPUID_SIGNATURE_EDX);
        break;
    case 1:
        put4(out, XEN_VERSION_EAX, 0, 0, 0);
        break;
    case 2:
        put4(out, 1, 0x40000000, XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD, 0);
        break;
    case 3:
        xen_time_leaf(sub, out);
        break;
    case 5:
        /* The width of frame numbers that grants must hold; version 1 entries hold 44 bits of address. */
        if (!sub)
            put4(out, 0, MIN(cpu_features.phys_bits, 44), 0, 0);
        break;
    }
}

/* Sizes depend on the XCR0 that the guest has set, which is in the processor while it runs. */
static void xstate_leaf(struct vcpu *v, const struct cpu_policy *p, uint32_t sub, uint32_t out[4])
{
    uint32_t now[4];

    if (sub >= XSTATE_SUBLEAVES)
        return;
    memcpy(out, p->xstate[sub], sizeof(p->xstate[sub]));
    if (sub < 2 && v == current_vcpu() && cpu_features.xsave) {
        host(0xd, sub, now);
        out[EBX] = now[EBX];
    }
}

static void basic_leaf(struct vcpu *v, const struct cpu_policy *p, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    if (leaf >= BASIC_LEAVES || leaf > p->basic[0][EAX])
        return;
    switch (leaf) {
    case 4:
        if (sub < CACHE_SUBLEAVES)
            memcpy(out, p->cache[sub], sizeof(p->cache[sub]));
        break;
    case 7:
        if (sub < ARRAY_SIZE(p->features7))
            memcpy(out, p->features7[sub], sizeof(p->features7[sub]));
        break;
    case 0xb:
        put4(out, 0, 0, sub & 0xff, v->id);
        break;
    case 0xd:
        xstate_leaf(v, p, sub, out);
        break;
    case 1:
        memcpy(out, p->basic[1], sizeof(p->basic[1]));
        out[EBX] |= v->id << 24;
        /* Linux looks at OSXSAVE before it sets CR4.OSXSAVE, and gives up XSAVE when it is clear. */
        if (cpu_features.xsave)
            out[ECX] |= LEAF1_ECX_OSXSAVE;
        break;
    default:
        memcpy(out, p->basic[leaf], sizeof(p->basic[leaf]));
    }
}

void pv_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const struct cpu_policy *p = pv_domain_of(v->domain)->policy;

    memset(out, 0, 4 * sizeof(out[0]));
    if (leaf < 0x40000000)
        basic_leaf(v, p, leaf, subleaf, out);
    else if (leaf < 0x40000100)
        xen_leaf(leaf - XEN_LEAF, subleaf, out);
    else if (leaf >= 0x80000000 && leaf < 0x80000000 + EXT_LEAVES)
        memcpy(out, p->ext[leaf - 0x80000000], sizeof(p->ext[0]));
}
