/* SPDX-License-Identifier: MIT */
/* sysctl: the CPU policies of the machine, their features, and what of CPUID can be hidden from PV guests' plain CPUID. */
#include "hypercall/cpu_policy.h"
#include "hypercall/sysctl/sysctl.h"
#include "core/mem/alloc.h"

static int leaves_out(const struct cpu_policy *p, uint32_t *room, uint64_t at)
{
    struct xen_cpuid_leaf *list = heap_alloc_array(CPU_POLICY_LEAVES, sizeof(*list));
    unsigned count;
    int rc = 0;

    if (!list)
        return fail(-ENOMEM);
    count = cpu_policy_write_leaves(p, list);
    if (*room < count)
        rc = fail(-ENOBUFS);
    else if (hw_copy_to_guest(at, list, count * sizeof(*list)))
        rc = fail(-EFAULT);
    *room = count;
    heap_free(list);
    return rc;
}

static int msrs_out(const struct cpu_policy *p, uint32_t *room, uint64_t at)
{
    struct xen_msr_entry list[CPU_POLICY_MSRS];
    unsigned count = cpu_policy_write_msrs(p, list);

    if (*room < count)
        return fail(-ENOBUFS);
    *room = count;
    return hw_copy_to_guest(at, list, count * sizeof(list[0])) ? fail(-EFAULT) : 0;
}

int policy_list_out(const struct cpu_policy *p, uint32_t *leaves, uint64_t leaves_at, uint32_t *msrs, uint64_t msrs_at)
{
    int rc = 0;

    if (leaves_at)
        rc = leaves_out(p, leaves, leaves_at);
    else
        *leaves = CPU_POLICY_LEAVES;
    if (rc)
        return rc;
    if (msrs_at)
        return msrs_out(p, msrs, msrs_at);
    *msrs = CPU_POLICY_MSRS;
    return 0;
}

/* Translated guests are not offered: there is nothing to say of theirs. */
int sysctl_get_cpu_policy(struct xen_sysctl *op)
{
    static const struct {
        bool known;
        enum cpu_policy_kind kind;
    } kinds[] = {
        [XEN_SYSCTL_cpu_policy_raw] = {true, CPU_POLICY_HOST},
        [XEN_SYSCTL_cpu_policy_host] = {true, CPU_POLICY_HOST},
        [XEN_SYSCTL_cpu_policy_pv_max] = {true, CPU_POLICY_PV_MAX},
        [XEN_SYSCTL_cpu_policy_pv_default] = {true, CPU_POLICY_PV_DEFAULT},
        [XEN_SYSCTL_cpu_policy_hvm_default] = {false, 0},
    };
    struct xen_sysctl_cpu_policy *c = &op->u.cpu_policy;

    if (c->_rsvd || c->index >= ARRAY_SIZE(kinds))
        return fail(-EINVAL);
    if (!kinds[c->index].known)
        return fail(-EOPNOTSUPP);
    return policy_list_out(hw_cpu_policy(kinds[c->index].kind), &c->nr_leaves, (uint64_t)c->leaves.p, &c->nr_msrs,
                           (uint64_t)c->msrs.p);
}

static int features_of(uint32_t index, uint32_t words[CPU_FEATURE_WORDS])
{
    switch (index) {
    case XEN_SYSCTL_cpu_featureset_raw:
    case XEN_SYSCTL_cpu_featureset_host:
        cpu_policy_features(hw_cpu_policy(CPU_POLICY_HOST), words);
        return 0;
    case XEN_SYSCTL_cpu_featureset_pv:
        cpu_policy_features(hw_cpu_policy(CPU_POLICY_PV_DEFAULT), words);
        return 0;
    case XEN_SYSCTL_cpu_featureset_pv_max:
        cpu_policy_features(hw_cpu_policy(CPU_POLICY_PV_MAX), words);
        return 0;
    case XEN_SYSCTL_cpu_featureset_hvm:
    case XEN_SYSCTL_cpu_featureset_hvm_max:
        return fail(-EOPNOTSUPP);
    default:
        return fail(-EINVAL);
    }
}

/* As many words as fit; too little room is told by the error, with the number that there are. */
int sysctl_get_cpu_featureset(struct xen_sysctl *op)
{
    struct xen_sysctl_cpu_featureset *f = &op->u.cpu_featureset;
    uint32_t words[CPU_FEATURE_WORDS], room = f->nr_features;
    int rc = features_of(f->index, words);

    if (rc)
        return rc;
    f->nr_features = CPU_FEATURE_WORDS;
    if (!f->features.p)
        return 0;
    if (hw_copy_to_guest((uint64_t)f->features.p, words, MIN(room, CPU_FEATURE_WORDS) * sizeof(words[0])))
        return fail(-EFAULT);
    return room < CPU_FEATURE_WORDS ? fail(-ENOBUFS) : 0;
}

/* Plain CPUID is the processor's own answer: nothing can be masked or made to fault. */
int sysctl_get_cpu_levelling_caps(struct xen_sysctl *op)
{
    op->u.cpu_levelling_caps.caps = 0;
    return 0;
}
