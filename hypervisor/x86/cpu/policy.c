/* SPDX-License-Identifier: MIT */
/*
 * The machine's CPU policies, computed once from the processor's answers: what it is, and of that what PV guests may use.
 * Features are an allow list.
 *
 * Taken out for PV guests: superpages and global pages, SMEP, SMAP, UMIP, PCID, FSGSBASE (all of them belong to ring 0's real
 * page tables or CR4), machine checks, MTRRs, performance and debug monitors, virtualization, XSAVES, keys and shadow stacks.
 * Topology: each vCPU is a package of its own. The tools may tell a guest that there is hyper-threading: it sees so anyway
 * where it asks the processor itself.
 */
#include "core/domain/cpu_policy.h"
#include "core/lib/string.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/pv.h"
#include <xen/arch-x86/cpuid.h>

enum { EAX = CPUID_EAX, EBX = CPUID_EBX, ECX = CPUID_ECX, EDX = CPUID_EDX };
#define BIT(n)   (1u << (n))
#define XEN_LEAF 0x40000000u

/* Leaf 1: FPU DE TSC MSR PAE CX8 APIC SEP CMOV PAT CLFSH MMX FXSR SSE SSE2 */
#define LEAF1_EDX                                                                                                      \
    (BIT(0) | BIT(2) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(9) | BIT(11) | BIT(15) | BIT(16) | BIT(19) | BIT(23) |  \
     BIT(24) | BIT(25) | BIT(26))
/* SSE3 PCLMULQDQ SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND */
#define LEAF1_ECX                                                                                                      \
    (BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | BIT(25) | BIT(26) |        \
     BIT(28) | BIT(29) | BIT(30))
#define LEAF1_ECX_HYPERVISOR BIT(31)
#define LEAF1_EDX_HTT        BIT(28)
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
#define EXT1_EDX            (BIT(11) | BIT(20) | BIT(22) | BIT(25) | BIT(29) | BIT(30) | BIT(31))
#define EXT1_EDX_RDTSCP     BIT(27)
#define EXT1_EDX_SHARED     (LEAF1_EDX & 0x0183f3ffu & ~BIT(11))
#define EXT1_ECX_CMP_LEGACY BIT(1)
#define EXT8_EBX            (BIT(0) | BIT(2))          /* CLZERO, no FPU pointer leak */
#define XSTATE1_EAX         (BIT(0) | BIT(1) | BIT(2)) /* XSAVEOPT, XSAVEC, XGETBV(1) */

static struct cpu_policy policies[4];

const struct cpu_policy *hw_cpu_policy(enum cpu_policy_kind kind)
{
    return &policies[kind];
}

static uint32_t *at(struct cpu_policy *p, uint32_t leaf, uint32_t subleaf)
{
    return cpu_policy_leaf(p, leaf, subleaf);
}

/* All that the processor says in the leaves that policies hold. */
static void fill_host(struct cpu_policy *p)
{
    uint32_t basic[4], extended[4];

    cpuid_count(0, 0, basic);
    cpuid_count(0x80000000, 0, extended);
    for (unsigned n = 0; n < CPU_POLICY_LEAVES; n++) {
        uint32_t leaf, subleaf;

        cpu_policy_place(n, &leaf, &subleaf);
        if (leaf <= basic[EAX] || (leaf >= 0x80000000 && leaf <= extended[EAX]))
            cpuid_count(leaf, subleaf == XEN_CPUID_NO_SUBLEAF ? 0 : subleaf, p->leaves[n]);
    }
    at(p, 0, 0)[EAX] = MIN(basic[EAX], CPU_POLICY_BASIC_MAX);
    at(p, 0x80000000, 0)[EAX] = MIN(at(p, 0x80000000, 0)[EAX], CPU_POLICY_EXTENDED_MAX);
    at(p, XEN_LEAF, 0)[EAX] = XEN_LEAF + XEN_CPUID_MAX_NUM_LEAVES;
    for (unsigned n = 0; n < 8; n++)
        if (!(at(p, 4, n)[EAX] & 0x1f))
            memset(at(p, 4, n), 0, 16);
}

static void limit_basic(struct cpu_policy *p)
{
    uint32_t *r = at(p, 1, 0);

    r[EBX] = (r[EBX] & 0xff00) | 1u << 16; /* CLFLUSH size; one logical processor; the vCPU's number comes later */
    r[ECX] = (r[ECX] & LEAF1_ECX) | LEAF1_ECX_HYPERVISOR;
    if (!cpu_features.xsave)
        r[ECX] &= ~LEAF1_ECX_XSAVE;
    r[EDX] &= LEAF1_EDX;
    for (unsigned n = 0; n < 8; n++)
        at(p, 4, n)[EAX] &= 0x3ff; /* shared with nobody: one core, one thread */
    static const uint8_t hidden[] = {3, 5, 6, 8, 9, 0xa, 0xc};
    for (unsigned i = 0; i < sizeof(hidden); i++)
        memset(at(p, hidden[i], 0), 0, 16);
    memset(at(p, 0xb, 0), 0, 16);
    memset(at(p, 0xb, 1), 0, 16);
    at(p, 6, 0)[EAX] = cpu_features.arat ? BIT(2) : 0;
}

static void limit_features7(struct cpu_policy *p)
{
    bool avx512 = (cpu_features.xcr0_mask & 0xe0) == 0xe0;
    bool avx = cpu_features.xcr0_mask & 4;
    uint32_t *r = at(p, 7, 0), *r1 = at(p, 7, 1);

    r[EAX] = MIN(r[EAX], 1u);
    r[EBX] &= LEAF7_EBX | (avx512 ? LEAF7_EBX_AVX512 : 0);
    r[ECX] &= LEAF7_ECX | (avx512 ? LEAF7_ECX_AVX512 : 0);
    r[EDX] &= LEAF7_EDX;
    if (!avx) {
        r[EBX] &= ~BIT(5);
        r[ECX] &= ~(BIT(9) | BIT(10));
    }
    if (!cpu_features.rdtscp)
        r[ECX] &= ~BIT(22);
    r1[EAX] &= avx && r[EAX] ? LEAF7_1_EAX : 0;
    r1[EBX] = r1[ECX] = r1[EDX] = 0;
    memset(at(p, 7, 2), 0, 16);
}

static void limit_xstate(struct cpu_policy *p)
{
    uint64_t mask = cpu_features.xsave ? cpu_features.xcr0_mask : 0;
    uint32_t *r = at(p, 0xd, 0), *r1 = at(p, 0xd, 1);

    r[EAX] = (uint32_t)mask;
    r[EBX] = mask ? r[EBX] : 0;
    r[ECX] = mask ? (uint32_t)cpu_features.xsave_size : 0;
    r[EDX] = (uint32_t)(mask >> 32);
    r1[EAX] &= mask ? XSTATE1_EAX : 0;
    r1[EBX] = mask ? r1[EBX] : 0;
    r1[ECX] = r1[EDX] = 0;
    for (unsigned n = 2; n < CPU_POLICY_XSTATES; n++)
        if (!(mask >> n & 1))
            memset(at(p, 0xd, n), 0, 16);
}

static void limit_extended(struct cpu_policy *p)
{
    uint32_t *r = at(p, 0x80000001, 0);
    bool amd = at(p, 0x80000000, 0)[EBX]; /* Intel says nothing there, AMD its name again */

    r[ECX] &= EXT1_ECX;
    if (!(cpu_features.xcr0_mask & 4))
        r[ECX] &= ~(BIT(11) | BIT(16));
    r[EDX] &= EXT1_EDX | (cpu_features.rdtscp ? EXT1_EDX_RDTSCP : 0) | (amd ? EXT1_EDX_SHARED : 0);
    r = at(p, 0x80000007, 0);
    r[EAX] = r[EBX] = r[ECX] = 0;
    r[EDX] = cpu_features.invariant_tsc ? BIT(8) : 0;
    r = at(p, 0x80000008, 0);
    r[EBX] &= EXT8_EBX;
    r[ECX] = r[EDX] = 0;
}

void __init_only cpu_policies_init(void)
{
    struct cpu_policy *pv = &policies[CPU_POLICY_PV_DEFAULT], *max = &policies[CPU_POLICY_PV_MAX];
    struct cpu_policy *host = &policies[CPU_POLICY_HOST];

    fill_host(host);
    *pv = *host;
    limit_basic(pv);
    limit_features7(pv);
    limit_xstate(pv);
    limit_extended(pv);
    *max = policies[CPU_POLICY_DOMAIN0] = *pv;
    at(max, 1, 0)[EDX] |= at(host, 1, 0)[EDX] & LEAF1_EDX_HTT;
    at(max, 0x80000001, 0)[ECX] |= at(host, 0x80000001, 0)[ECX] & EXT1_ECX_CMP_LEGACY;
}
