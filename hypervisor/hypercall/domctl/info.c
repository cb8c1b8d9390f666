/* SPDX-License-Identifier: MIT */
/* domctl: what a domain and its vCPUs are and do. Values are read one by one while they change: each is right, not the sum. */
#include "hypercall/domctl/domctl.h"
#include "core/mem/alloc.h"

#define ADDRESS_BITS_MIN 32

static uint64_t cpu_time_ns(struct vcpu *v)
{
    struct vcpu_runstate_info info;

    sched_get_runstate(v, &info, true);
    return info.time[RUNSTATE_running];
}

/* Running: some vCPU is; blocked: all that are up wait for events. */
static void add_vcpus(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
    unsigned blocked = 0;
    struct vcpu *v;

    for_each_vcpu (d, v, i) {
        uint32_t flags = __atomic_load_n(&v->pause_flags, __ATOMIC_RELAXED);

        info->cpu_time += cpu_time_ns(v);
        if (flags & VPF_DOWN)
            continue;
        info->nr_online_vcpus++;
        blocked += (flags & VPF_BLOCKED) != 0;
        if (__atomic_load_n(&v->running, __ATOMIC_RELAXED))
            info->flags |= XEN_DOMINF_running;
    }
    if (info->nr_online_vcpus && blocked == info->nr_online_vcpus && !(info->flags & XEN_DOMINF_running))
        info->flags |= XEN_DOMINF_blocked;
}

static uint32_t state_flags(struct domain *d)
{
    uint32_t flags = d->is_xenstore ? XEN_DOMINF_xs_domain : 0;

    if (__atomic_load_n(&d->dying, __ATOMIC_RELAXED) != DOMAIN_ALIVE)
        flags |= XEN_DOMINF_dying;
    if (__atomic_load_n(&d->control_pauses, __ATOMIC_RELAXED))
        flags |= XEN_DOMINF_paused;
    if (__atomic_load_n(&d->shutdown, __ATOMIC_SEQ_CST))
        flags |= XEN_DOMINF_shutdown;
    return flags | (__atomic_load_n(&d->shutdown_code, __ATOMIC_SEQ_CST) & XEN_DOMINF_shutdownmask)
                       << XEN_DOMINF_shutdownshift;
}

/* Bits of a physical address that all of the machine's memory lies below. */
static uint8_t address_bits(void)
{
    uint64_t last = hw_frames_max - 1;
    uint8_t bits = last ? (uint8_t)(64 - __builtin_clzl(last) + PAGE_SHIFT) : 0;

    return MAX(bits, ADDRESS_BITS_MIN);
}

void domctl_fill_domaininfo(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
    memset(info, 0, sizeof(*info));
    info->domain = d->id;
    info->flags = state_flags(d);
    info->tot_pages = __atomic_load_n(&d->pages_count, __ATOMIC_RELAXED);
    info->max_pages = __atomic_load_n(&d->pages_max, __ATOMIC_RELAXED);
    info->outstanding_pages = __atomic_load_n(&d->pages_claimed, __ATOMIC_RELAXED);
    info->shared_info_frame = d->shared_info_mfn.n;
    info->max_vcpu_id = d->max_vcpus - 1;
    info->gpaddr_bits = address_bits();
    spin_lock(&d->domctl_lock);
    memcpy(info->handle, d->handle, sizeof(info->handle));
    spin_unlock(&d->domctl_lock);
    add_vcpus(d, info);
}

/* Of the domain with this number or else the next one: that is how the tools walk through all. */
int domctl_getdomaininfo(struct domain *none, struct xen_domctl *op)
{
    struct domain *self = current_vcpu()->domain;
    struct domain *d = op->domain == DOMID_SELF ? domain_get_ref(DOMID_SELF, self) : domain_get_from(op->domain);
    int rc;

    if (!d)
        return fail(-ESRCH);
    rc = policy_check(self, MAY_CONTROL_DOMAIN, d);
    if (!rc) {
        memset(&op->u, 0, sizeof(op->u));
        domctl_fill_domaininfo(d, &op->u.getdomaininfo);
        op->domain = d->id;
    }
    domain_put(d);
    return rc;
}

int domctl_getvcpuinfo(struct domain *d, struct xen_domctl *op)
{
    struct vcpu *v = vcpu_of(d, op->u.getvcpuinfo.vcpu);
    struct xen_domctl_getvcpuinfo *info = &op->u.getvcpuinfo;
    uint32_t flags;

    if (!v)
        return fail(-EINVAL);
    flags = __atomic_load_n(&v->pause_flags, __ATOMIC_RELAXED);
    memset(&op->u, 0, sizeof(op->u));
    info->vcpu = v->id;
    info->online = !(flags & VPF_DOWN);
    info->blocked = (flags & VPF_BLOCKED) != 0;
    info->running = __atomic_load_n(&v->running, __ATOMIC_RELAXED);
    info->cpu_time = cpu_time_ns(v);
    info->cpu = __atomic_load_n(&v->pcpu, __ATOMIC_RELAXED);
    return 0;
}
