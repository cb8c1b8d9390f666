/* SPDX-License-Identifier: MIT */
/*
 * CPU policies: what CPUID and a few read-only MSRs say. One describes the processor, one the most that a PV guest can be given,
 * one what it gets by default; and each domain has its own, which the toolstack may change before the domain starts.
 *
 * Leaves of known number are held in the order of the tools' lists. What depends on the moment (a vCPU's number, XCR0, OSXSAVE)
 * is not in a policy; the machine puts it in when a guest asks.
 */
#pragma once
#include "core/lib/types.h"
#include <xen/xen.h>

enum { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

#define CPU_POLICY_LEAVES 97
#define CPU_POLICY_MSRS   2
struct cpu_policy {
    uint32_t leaves[CPU_POLICY_LEAVES][4];
    uint64_t msrs[CPU_POLICY_MSRS]; /* 0xce platform information, 0x10a architectural capabilities */
};

/* The highest leaves held, of the processor's own ranges */
#define CPU_POLICY_BASIC_MAX    0xdu
#define CPU_POLICY_EXTENDED_MAX 0x80000008u
#define CPU_POLICY_XSTATES      63

enum cpu_policy_kind { CPU_POLICY_HOST, CPU_POLICY_PV_MAX, CPU_POLICY_PV_DEFAULT, CPU_POLICY_DOMAIN0 };
/* From the machine, fixed since boot. */
const struct cpu_policy *hw_cpu_policy(enum cpu_policy_kind kind);

/* The four registers of a leaf; subleaf is ignored where the leaf has none. NULL: policies do not hold this leaf. */
uint32_t *cpu_policy_leaf(struct cpu_policy *p, uint32_t leaf, uint32_t subleaf);
/* The same for reading, as CPUID does: NULL, for zeroes, also beyond the highest leaf that the policy itself names. */
const uint32_t *cpu_policy_read(const struct cpu_policy *p, uint32_t leaf, uint32_t subleaf);
/* Where the n-th (below CPU_POLICY_LEAVES) is in that order; subleaf XEN_CPUID_NO_SUBLEAF: the leaf has none. */
void cpu_policy_place(unsigned n, uint32_t *leaf, uint32_t *subleaf);

/* As lists for the tools. Room for CPU_POLICY_LEAVES, CPU_POLICY_MSRS entries; the number that there are. */
unsigned cpu_policy_write_leaves(const struct cpu_policy *p, struct xen_cpuid_leaf *list);
unsigned cpu_policy_write_msrs(const struct cpu_policy *p, struct xen_msr_entry *list);
/* Where a list is wrong; ~0 where it is not about that. */
struct cpu_policy_error {
    uint32_t leaf, subleaf, msr;
};
/* Puts entries of a list into the policy: 0; -ERANGE: it holds no such leaf or MSR; -EINVAL: bad subleaf or flags. */
int cpu_policy_set_leaf(struct cpu_policy *p, const struct xen_cpuid_leaf *l);
int cpu_policy_set_msr(struct cpu_policy *p, const struct xen_msr_entry *m);
/* 0; -EINVAL and *error: it promises what `max` has not. Descriptions (names, caches, topology) may be anything. */
int cpu_policy_check(const struct cpu_policy *p, const struct cpu_policy *max, struct cpu_policy_error *error);

/* The bits of features as words in the order of the public numbering (arch-x86/cpufeatureset.h). */
#define CPU_FEATURE_WORDS 16
void cpu_policy_features(const struct cpu_policy *p, uint32_t words[CPU_FEATURE_WORDS]);
