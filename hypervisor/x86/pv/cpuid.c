/* SPDX-License-Identifier: MIT */
/*
 * What CPUID tells a PV guest: its domain's policy, with what depends on the vCPU and the moment put in, and the ABI's own
 * leaves at 0x40000000. Unknown leaves read 0.
 */
#include "core/domain/cpu_policy.h"
#include "core/lib/string.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/pv.h"
#include "x86/time/time.h"
#include <xen/arch-x86/cpuid.h>

enum { EAX = CPUID_EAX, EBX = CPUID_EBX, ECX = CPUID_ECX, EDX = CPUID_EDX };
#define XEN_LEAF          0x40000000u
#define XEN_VERSION_EAX   0x00040011u /* 4.17 */
#define LEAF1_ECX_XSAVE   (1u << 26)
#define LEAF1_ECX_OSXSAVE (1u << 27)

static void put4(uint32_t out[4], uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    out[EAX] = a;
    out[EBX] = b;
    out[ECX] = c;
    out[EDX] = d;
}

/* Time: the TSC runs natively in every guest. Sub-leaf 1's factors: ns = (tsc << shift) * mul >> 32, with mul of full width. */
static void xen_time_leaf(const struct domain *d, uint32_t sub, uint32_t out[4])
{
    uint64_t khz = tsc_khz(), mul = khz ? ((uint64_t)USEC * 1000 << 32) / khz : 0;
    int8_t shift = 0;

    switch (sub) {
    case 0:
        put4(out, (cpu_features.invariant_tsc ? 2 : 0) | (cpu_features.rdtscp ? 4 : 0), d->tsc_mode, (uint32_t)khz,
             d->tsc_incarnation);
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

static void xen_leaf(const struct domain *d, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    switch (leaf) {
    case 0:
        put4(out, cpu_policy_read(d->cpu_policy, XEN_LEAF, 0)[EAX], XEN_CPUID_SIGNATURE_EBX, XEN_CPUID_SIGNATURE_ECX,
             XEN_CPUID_SIGNATURE_EDX);
        break;
    case 1:
        put4(out, XEN_VERSION_EAX, 0, 0, 0);
        break;
    case 2:
        put4(out, 1, 0x40000000, XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD, 0);
        break;
    case 3:
        xen_time_leaf(d, sub, out);
        break;
    case 5:
        /* The width of frame numbers that grants must hold; version 1 entries hold 44 bits of address. */
        if (!sub)
            put4(out, 0, MIN(cpu_features.phys_bits, 44), 0, 0);
        break;
    }
}

/* Each vCPU is a package of its own. Sizes of XSAVE areas depend on the XCR0 that the guest has set, which is in the processor
 * while it runs. */
static void put_moment(struct vcpu *v, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    uint32_t now[4];

    switch (leaf) {
    case 1:
        out[EBX] = (out[EBX] & 0xffffff) | v->id << 24;
        /* Linux looks at OSXSAVE before it sets CR4.OSXSAVE, and gives up XSAVE when it is clear. */
        if (out[ECX] & LEAF1_ECX_XSAVE)
            out[ECX] |= LEAF1_ECX_OSXSAVE;
        break;
    case 0xb:
        put4(out, 0, 0, sub & 0xff, v->id);
        break;
    case 0xd:
        if (sub < 2 && v == current_vcpu() && cpu_features.xsave) {
            cpuid_count(0xd, sub, now);
            out[EBX] = now[EBX];
        }
        break;
    }
}

void pv_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const struct cpu_policy *p = v->domain->cpu_policy;
    const uint32_t *known;

    memset(out, 0, 4 * sizeof(out[0]));
    if (leaf >= XEN_LEAF && leaf < XEN_LEAF + 0x100) {
        uint32_t max = cpu_policy_read(p, XEN_LEAF, 0)[EAX];

        if (leaf <= MAX(max, XEN_LEAF))
            xen_leaf(v->domain, leaf - XEN_LEAF, subleaf, out);
        return;
    }
    known = cpu_policy_read(p, leaf, leaf == 0xb ? 0 : subleaf);
    if (!known)
        return;
    memcpy(out, known, 4 * sizeof(out[0]));
    put_moment(v, leaf, subleaf, out);
}
