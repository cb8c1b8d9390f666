/* SPDX-License-Identifier: MIT */
/* CPU policies as data: where a leaf is, lists for the tools, what may be promised. No locks: whoever has a policy owns it. */
#include "core/domain/cpu_policy.h"
#include "core/lib/fail.h"

#define HYPERVISOR_LEAVES  0x40000000u
#define HYPERVISOR_LEAVES2 0x40000100u /* of a second interface: there is none */
#define EXTENDED_LEAVES    0x80000000u

/* Runs of leaves, or of one leaf's subleaves, in ascending order. */
static const struct run {
    uint32_t leaf;
    uint8_t count;
    bool subleaves;
} runs[] = {
    {0, 4, false},
    {4, 8, true},
    {5, 2, false},
    {7, 3, true},
    {8, 3, false},
    {0xb, 2, true},
    {0xc, 1, false},
    {0xd, CPU_POLICY_XSTATES, true},
    {HYPERVISOR_LEAVES, 1, false},
    {HYPERVISOR_LEAVES2, 1, false},
    {EXTENDED_LEAVES, CPU_POLICY_EXTENDED_MAX - EXTENDED_LEAVES + 1, false},
};

void cpu_policy_place(unsigned n, uint32_t *leaf, uint32_t *subleaf)
{
    const struct run *r = runs;

    for (; n >= r->count; r++)
        n -= r->count;
    *leaf = r->subleaves ? r->leaf : r->leaf + n;
    *subleaf = r->subleaves ? n : XEN_CPUID_NO_SUBLEAF;
}

/* CPU_POLICY_LEAVES: not held. */
static unsigned index_of(uint32_t leaf, uint32_t subleaf, bool *subleaves)
{
    unsigned at = 0;

    for (const struct run *r = runs; r < runs + ARRAY_SIZE(runs) && leaf >= r->leaf; at += r++->count) {
        uint32_t n = r->subleaves ? subleaf : leaf - r->leaf;

        if (n >= r->count || (r->subleaves && leaf != r->leaf))
            continue;
        *subleaves = r->subleaves;
        return at + n;
    }
    return CPU_POLICY_LEAVES;
}

uint32_t *cpu_policy_leaf(struct cpu_policy *p, uint32_t leaf, uint32_t subleaf)
{
    bool subleaves;
    unsigned n = index_of(leaf, subleaf, &subleaves);

    return n < CPU_POLICY_LEAVES ? p->leaves[n] : NULL;
}

static bool is_named(const struct cpu_policy *p, uint32_t leaf)
{
    uint32_t base = leaf >= EXTENDED_LEAVES ? EXTENDED_LEAVES : 0;
    bool ignored;

    return (leaf >= HYPERVISOR_LEAVES && leaf < EXTENDED_LEAVES) ||
           leaf <= MAX(p->leaves[index_of(base, 0, &ignored)][CPUID_EAX], base);
}

const uint32_t *cpu_policy_read(const struct cpu_policy *p, uint32_t leaf, uint32_t subleaf)
{
    bool subleaves;
    unsigned n = index_of(leaf, subleaf, &subleaves);

    return n < CPU_POLICY_LEAVES && is_named(p, leaf) ? p->leaves[n] : NULL;
}

/* ---- Lists ---- */

static const uint32_t msr_numbers[CPU_POLICY_MSRS] = {0xce, 0x10a};

static bool all_zero(const uint32_t r[4])
{
    return !(r[0] | r[1] | r[2] | r[3]);
}

unsigned cpu_policy_write_leaves(const struct cpu_policy *p, struct xen_cpuid_leaf *list)
{
    unsigned count = 0;

    for (unsigned n = 0; n < CPU_POLICY_LEAVES; n++) {
        const uint32_t *r = p->leaves[n];
        struct xen_cpuid_leaf l = {.a = r[0], .b = r[1], .c = r[2], .d = r[3]};

        cpu_policy_place(n, &l.leaf, &l.subleaf);
        if (is_named(p, l.leaf) && (l.subleaf == XEN_CPUID_NO_SUBLEAF || !l.subleaf || !all_zero(r)))
            list[count++] = l;
    }
    return count;
}

unsigned cpu_policy_write_msrs(const struct cpu_policy *p, struct xen_msr_entry *list)
{
    for (unsigned n = 0; n < CPU_POLICY_MSRS; n++)
        list[n] = (struct xen_msr_entry){.idx = msr_numbers[n], .val = p->msrs[n]};
    return CPU_POLICY_MSRS;
}

int cpu_policy_set_leaf(struct cpu_policy *p, const struct xen_cpuid_leaf *l)
{
    bool subleaves = false;
    unsigned n = index_of(l->leaf, l->subleaf, &subleaves);

    if (n == CPU_POLICY_LEAVES)
        return fail(-ERANGE);
    if (!subleaves && l->subleaf != XEN_CPUID_NO_SUBLEAF)
        return fail(-EINVAL);
    p->leaves[n][CPUID_EAX] = l->a;
    p->leaves[n][CPUID_EBX] = l->b;
    p->leaves[n][CPUID_ECX] = l->c;
    p->leaves[n][CPUID_EDX] = l->d;
    return 0;
}

int cpu_policy_set_msr(struct cpu_policy *p, const struct xen_msr_entry *m)
{
    for (unsigned n = 0; n < CPU_POLICY_MSRS; n++) {
        if (m->idx != msr_numbers[n])
            continue;
        if (m->flags)
            return fail(-EINVAL);
        p->msrs[n] = m->val;
        return 0;
    }
    return fail(-ERANGE);
}

/* ---- Features ---- */

struct cpuid_register {
    uint32_t leaf, subleaf;
    uint8_t reg;
};

/* In the order of the public numbering; then what else is made of bits that promise something */
static const struct cpuid_register features[] = {
    {1, 0, CPUID_EDX},          {1, 0, CPUID_ECX},   {0x80000001, 0, CPUID_EDX}, {0x80000001, 0, CPUID_ECX},
    {0xd, 1, CPUID_EAX},        {7, 0, CPUID_EBX},   {7, 0, CPUID_ECX},          {0x80000007, 0, CPUID_EDX},
    {0x80000008, 0, CPUID_EBX}, {7, 0, CPUID_EDX},   {7, 1, CPUID_EAX},          {0x80000021, 0, CPUID_EAX},
    {7, 1, CPUID_EBX},          {7, 2, CPUID_EDX},   {7, 1, CPUID_ECX},          {7, 1, CPUID_EDX},
    {6, 0, CPUID_EAX},          {6, 0, CPUID_ECX},   {0xa, 0, CPUID_EAX},        {0xd, 0, CPUID_EAX},
    {0xd, 0, CPUID_EDX},        {0xd, 1, CPUID_ECX}, {0xd, 1, CPUID_EDX},
};
static const struct cpuid_register limits[] = {
    {0, 0, CPUID_EAX},
    {7, 0, CPUID_EAX},
    {HYPERVISOR_LEAVES, 0, CPUID_EAX},
    {HYPERVISOR_LEAVES2, 0, CPUID_EAX},
    {EXTENDED_LEAVES, 0, CPUID_EAX},
};
_Static_assert(ARRAY_SIZE(features) >= CPU_FEATURE_WORDS, "every public word has its register");

static uint32_t value_of(const struct cpu_policy *p, const struct cpuid_register *r)
{
    bool subleaves;
    unsigned n = index_of(r->leaf, r->subleaf, &subleaves);

    return n < CPU_POLICY_LEAVES ? p->leaves[n][r->reg] : 0;
}

void cpu_policy_features(const struct cpu_policy *p, uint32_t words[CPU_FEATURE_WORDS])
{
    for (unsigned i = 0; i < CPU_FEATURE_WORDS; i++)
        words[i] = value_of(p, &features[i]);
}

static int refuse(const struct cpuid_register *r, struct cpu_policy_error *error)
{
    bool subleaves = false;

    index_of(r->leaf, r->subleaf, &subleaves);
    error->leaf = r->leaf;
    error->subleaf = subleaves ? r->subleaf : XEN_CPUID_NO_SUBLEAF;
    return fail(-EINVAL);
}

int cpu_policy_check(const struct cpu_policy *p, const struct cpu_policy *max, struct cpu_policy_error *error)
{
    for (unsigned i = 0; i < ARRAY_SIZE(limits); i++)
        if (value_of(p, &limits[i]) > value_of(max, &limits[i]))
            return refuse(&limits[i], error);
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
        if (value_of(p, &features[i]) & ~value_of(max, &features[i]))
            return refuse(&features[i], error);
    for (unsigned n = 0; n < CPU_POLICY_MSRS; n++)
        if (p->msrs[n] & ~max->msrs[n]) {
            error->msr = msr_numbers[n];
            return fail(-EINVAL);
        }
    return 0;
}
