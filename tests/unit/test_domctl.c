/* SPDX-License-Identifier: MIT */
/* domctl: who may, what is refused, lives of domains, contexts, policies, masks; each with the errors that the tools expect. */
#include "mem_guest.h"
#include "core/domain/cpu_policy.h"
#include "core/sched/task.h"
#include "hypercall/domctl/domctl.h"
#include "hypercall/sysctl/sysctl.h"
#include <xen/sched.h>
#include <xen/sysctl.h>

static struct xen_domctl op;

static void start_as(bool privileged)
{
    struct domain *d;

    host_machine_init(2, 0);
    domain0 = guest_create(0, true);
    d = privileged ? domain0 : guest_create(7, false);
    host_set_current(0, d->vcpus[0]);
}

static int64_t call(uint32_t cmd, domid_t id)
{
    const uint64_t args[6] = {(uint64_t)&op};

    op.cmd = cmd;
    op.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op.domain = id;
    return host_hypercall_run(do_domctl, args, NULL);
}

static void plain_config(void)
{
    memset(&op, 0, sizeof(op));
    op.u.createdomain = (struct xen_domctl_createdomain){.handle = {1, 2, 3},
                                                         .max_vcpus = 2,
                                                         .max_evtchn_port = 1023,
                                                         .max_grant_frames = -1,
                                                         .max_maptrack_frames = -1,
                                                         .grant_opts = 1};
}

static struct domain *make(void)
{
    struct domain *d;

    plain_config();
    assert_int_equal(call(XEN_DOMCTL_createdomain, 0), 0);
    d = domain_get(op.domain);
    assert_non_null(d);
    domain_put(d);
    return d;
}

/* ---- Who and what ---- */

static void only_privileged(void **state)
{
    const uint64_t args[6] = {(uint64_t)&op};

    (void)state;
    start_as(false);
    plain_config();
    op.cmd = XEN_DOMCTL_createdomain;
    op.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    assert_int_equal(hypercall_dispatch(args, __HYPERVISOR_domctl), -EPERM);
    /* And were the table to let it through: */
    assert_int_equal(call(XEN_DOMCTL_createdomain, 0), -EPERM);
    assert_int_equal(call(XEN_DOMCTL_pausedomain, 0), -EPERM);
    assert_int_equal(call(XEN_DOMCTL_getdomaininfo, 0), -EPERM);
    assert_int_equal(call(XEN_DOMCTL_max_mem, DOMID_SELF), -EPERM);
}

static void bad_structs(void **state)
{
    const uint64_t args[6] = {(uint64_t)&op}, none[6] = {0};

    (void)state;
    start_as(true);
    plain_config();
    op.cmd = XEN_DOMCTL_createdomain;
    op.interface_version = XEN_DOMCTL_INTERFACE_VERSION - 1;
    assert_int_equal(hypercall_dispatch(args, __HYPERVISOR_domctl), -EACCES);
    assert_int_equal(hypercall_dispatch(none, __HYPERVISOR_domctl), -EFAULT);
    assert_int_equal(call(0, 0), -ENOSYS);
    assert_int_equal(call(XEN_DOMCTL_vm_event_op, 0), -ENOSYS);
    assert_int_equal(call(XEN_DOMCTL_gdbsx_guestmemio, 0), -ENOSYS);
    assert_int_equal(call(~0u, 0), -ENOSYS);
    assert_int_equal(call(XEN_DOMCTL_max_mem, 99), -ESRCH);
    assert_int_equal(call(XEN_DOMCTL_max_mem, DOMID_IO), -ESRCH);
}

static void refuse_config(int64_t why)
{
    unsigned live = host_domains_live;

    assert_int_equal(call(XEN_DOMCTL_createdomain, 0), why);
    assert_int_equal(host_domains_live, live);
    plain_config();
}

static void creating(void **state)
{
    struct xen_domctl_createdomain *c = &op.u.createdomain;
    uint16_t id;

    (void)state;
    start_as(true);
    plain_config();
    c->max_vcpus = 0, refuse_config(-EINVAL);
    c->max_vcpus = VCPU_MAX + 1, refuse_config(-EINVAL);
    c->flags = XEN_DOMCTL_CDF_MAX << 1, refuse_config(-EINVAL);
    c->flags = XEN_DOMCTL_CDF_hvm, refuse_config(-EOPNOTSUPP);
    c->flags = XEN_DOMCTL_CDF_iommu, refuse_config(-EOPNOTSUPP);
    c->iommu_opts = 1, refuse_config(-EINVAL);
    c->grant_opts = 2, refuse_config(-EOPNOTSUPP);
    c->grant_opts = 0x11, refuse_config(-EINVAL);
    c->max_grant_frames = 0, refuse_config(-EINVAL);
    c->vmtrace_size = 4096, refuse_config(-EOPNOTSUPP);
    c->cpupool_id = 1, refuse_config(-EINVAL);
    c->arch.emulation_flags = XEN_X86_EMU_LAPIC, refuse_config(-EOPNOTSUPP);
    host_domain_init_result = -ENOMEM;
    refuse_config(-ENOMEM);
    host_domain_init_result = 0;

    assert_int_equal(call(XEN_DOMCTL_createdomain, 20), 0);
    assert_int_equal(op.domain, 20);
    plain_config();
    assert_int_equal(call(XEN_DOMCTL_createdomain, 20), -EEXIST);
    c->flags = XEN_DOMCTL_CDF_xs_domain;
    assert_int_equal(call(XEN_DOMCTL_createdomain, DOMID_INVALID), 0);
    id = op.domain;
    assert_true(id && id != 20);
    assert_int_equal(call(XEN_DOMCTL_getdomaininfo, id), 0);
    assert_true(op.u.getdomaininfo.flags & XEN_DOMINF_xs_domain);
    assert_false(domain_get(id)->is_privileged);
    op.u.max_vcpus.max = 3;
    assert_int_equal(call(XEN_DOMCTL_max_vcpus, id), -EINVAL);
    op.u.max_vcpus.max = 2;
    assert_int_equal(call(XEN_DOMCTL_max_vcpus, id), 0);
}

/* ---- Lives ---- */

static void lives_give_all_back(void **state)
{
    uint64_t frames, heap;

    (void)state;
    start_as(true);
    assert_int_equal(domain_destroy(make()), 0);
    tasks_run();
    frames = alloc_free_count();
    heap = heap_used_bytes();
    for (unsigned i = 0; i < 20; i++) {
        struct domain *d = make();
        uint16_t id = d->id;

        op.u.max_mem.max_memkb = 400;
        assert_int_equal(call(XEN_DOMCTL_max_mem, id), 0);
        for (unsigned p = 0; p < 100; p++)
            guest_frame(d);
        assert_true(mfn_eq(reservation_add(d, 0, 0, false), INVALID_MFN));
        host_preempt_after(1);
        host_continuations = 0;
        assert_int_equal(call(XEN_DOMCTL_destroydomain, id), 0);
        host_preempt_after(0);
        assert_true(host_continuations > 0);
        tasks_run();
        assert_int_equal(call(XEN_DOMCTL_destroydomain, id), -ESRCH);
        assert_audit();
    }
    assert_true(alloc_free_count() + 4 >= frames);
    assert_int_equal(heap_used_bytes(), heap);
}

static void not_on_oneself(void **state)
{
    (void)state;
    start_as(true);
    memset(&op, 0, sizeof(op));
    assert_int_equal(call(XEN_DOMCTL_destroydomain, 0), -EINVAL);
    assert_int_equal(call(XEN_DOMCTL_pausedomain, DOMID_SELF), -EINVAL);
    assert_int_equal(call(XEN_DOMCTL_setvcpucontext, 0), -EINVAL);
    assert_int_equal(call(XEN_DOMCTL_ioport_permission, 0), -EINVAL);
    assert_int_equal(call(XEN_DOMCTL_set_cpu_policy, 0), -EINVAL);
    assert_int_equal(call(XEN_DOMCTL_getdomaininfo, DOMID_SELF), 0);
    assert_int_equal(op.domain, 0);
}

static void pauses_are_counted(void **state)
{
    struct domain *d;

    (void)state;
    start_as(true);
    d = make();
    for (unsigned i = 1; i < 255; i++)
        assert_int_equal(call(XEN_DOMCTL_pausedomain, d->id), 0);
    assert_int_equal(call(XEN_DOMCTL_pausedomain, d->id), -EOVERFLOW);
    assert_int_equal(d->vcpus[0]->pause_count, 255);
    for (unsigned i = 0; i < 255; i++)
        assert_int_equal(call(XEN_DOMCTL_unpausedomain, d->id), 0);
    assert_int_equal(d->vcpus[0]->pause_count, 0);
    assert_int_equal(call(XEN_DOMCTL_unpausedomain, d->id), -EINVAL);
    assert_int_equal(call(XEN_DOMCTL_getdomaininfo, d->id), 0);
    assert_false(op.u.getdomaininfo.flags & XEN_DOMINF_paused);
}

static void information(void **state)
{
    const struct xen_domctl_getdomaininfo *i = &op.u.getdomaininfo;
    struct domain *d;

    (void)state;
    start_as(true);
    d = make();
    op.u.setdomainhandle.handle[0] = 99;
    assert_int_equal(call(XEN_DOMCTL_setdomainhandle, d->id), 0);
    memset(&op, 0xff, sizeof(op));
    assert_int_equal(call(XEN_DOMCTL_getdomaininfo, d->id), 0);
    assert_int_equal(i->domain, d->id);
    assert_int_equal(i->flags, XEN_DOMINF_paused | 0xffu << XEN_DOMINF_shutdownshift);
    assert_int_equal(i->max_vcpu_id, 1);
    assert_int_equal(i->nr_online_vcpus, 0);
    assert_int_equal(i->shared_info_frame, d->shared_info_mfn.n);
    assert_int_equal(i->handle[0], 99);
    assert_int_equal(i->pad1, 0);
    assert_int_equal(i->arch_config.misc_flags, 0);
    assert_int_equal(op.u.pad[127], 0); /* nothing of what was there, either */

    domain_shutdown(d, SHUTDOWN_suspend);
    assert_int_equal(call(XEN_DOMCTL_getdomaininfo, d->id), 0);
    assert_int_equal(i->flags, XEN_DOMINF_paused | XEN_DOMINF_shutdown | SHUTDOWN_suspend << XEN_DOMINF_shutdownshift);
    assert_int_equal(d->vcpus[0]->pause_count, 2);
    assert_int_equal(call(XEN_DOMCTL_resumedomain, d->id), 0);
    assert_int_equal(call(XEN_DOMCTL_resumedomain, d->id), 0);
    assert_int_equal(d->vcpus[0]->pause_count, 1);
    domain_shutdown(d, SHUTDOWN_reboot); /* it can end again */
    assert_int_equal(d->shutdown_code, SHUTDOWN_reboot);

    /* A number without a domain finds the next one. */
    assert_int_equal(call(XEN_DOMCTL_createdomain, 40), -EINVAL);
    plain_config();
    assert_int_equal(call(XEN_DOMCTL_createdomain, 40), 0);
    assert_int_equal(call(XEN_DOMCTL_getdomaininfo, d->id + 1u), 0);
    assert_int_equal(op.domain, 40);
    assert_int_equal(call(XEN_DOMCTL_getdomaininfo, 41), -ESRCH);
}

static void vcpu_information(void **state)
{
    struct domain *d;

    (void)state;
    start_as(true);
    d = make();
    op.u.getvcpuinfo.vcpu = 2;
    assert_int_equal(call(XEN_DOMCTL_getvcpuinfo, d->id), -EINVAL);
    op.u.getvcpuinfo.vcpu = 1;
    assert_int_equal(call(XEN_DOMCTL_getvcpuinfo, d->id), 0);
    assert_false(op.u.getvcpuinfo.online || op.u.getvcpuinfo.running || op.u.getvcpuinfo.cpu_time);
    d->vcpus[1]->runstate = RUNSTATE_running;
    d->vcpus[1]->runstate_entry_ns = host_now_ns;
    host_now_ns += 5 * MSEC;
    assert_int_equal(call(XEN_DOMCTL_getvcpuinfo, d->id), 0);
    assert_int_equal(op.u.getvcpuinfo.cpu_time, 5 * MSEC);
}

/* ---- Contexts ---- */

static struct vcpu_guest_context context;

static int64_t set_context(struct domain *d, unsigned vcpu)
{
    memset(&op, 0, sizeof(op));
    op.u.vcpucontext.vcpu = vcpu;
    op.u.vcpucontext.ctxt.p = &context;
    return call(XEN_DOMCTL_setvcpucontext, d->id);
}

static void contexts(void **state)
{
    static struct tree t;
    struct domain *d;

    (void)state;
    start_as(true);
    d = make();
    d->pages_max = 2000;
    tree_build(d, &t, 4, 8);
    assert_int_equal(set_context(d, 2), -EINVAL);
    context.ctrlreg[3] = xen_pfn_to_cr3(t.page[0][0].n); /* no table of the fourth level */
    *entry(t.page[0][0], 0) = ~0UL;
    assert_int_equal(set_context(d, 0), -EINVAL);
    context.ctrlreg[3] = xen_pfn_to_cr3(domain0->shared_info_mfn.n);
    assert_int_equal(set_context(d, 0), -EINVAL);
    op.u.vcpucontext.ctxt.p = NULL;
    assert_int_equal(call(XEN_DOMCTL_setvcpucontext, d->id), -EFAULT);
    op.u.vcpucontext.ctxt.p = &context;
    assert_int_equal(call(XEN_DOMCTL_getvcpucontext, d->id), -ENODATA);

    context = (struct vcpu_guest_context){.flags = VGCF_in_kernel | VGCF_online};
    context.ctrlreg[3] = xen_pfn_to_cr3(t.l4.n);
    host_preempt_after(2); /* its tables are long */
    host_continuations = 0;
    assert_int_equal(set_context(d, 0), 0);
    host_preempt_after(0);
    assert_true(host_continuations > 0);
    assert_type(t.l4, FT_L4, 1);
    assert_false(d->vcpus[0]->pause_flags & VPF_DOWN);
    assert_int_equal(d->vcpus[0]->pause_count, 1);
    assert_audit();

    /* Again: with the same tables only. */
    context.user_regs.rax = 5;
    assert_int_equal(set_context(d, 0), 0);
    assert_int_equal(host_vcpu_of(d->vcpus[0])->context->user_regs.rax, 5);
    context.gdt_ents = 1;
    assert_int_equal(set_context(d, 0), -EOPNOTSUPP);
    context.gdt_ents = 0;
    context.ctrlreg[1] = context.ctrlreg[3];
    assert_int_equal(set_context(d, 0), -EOPNOTSUPP);
    context.ctrlreg[1] = 0;
    context.flags = VGCF_in_kernel;
    assert_int_equal(set_context(d, 0), 0);
    assert_true(d->vcpus[0]->pause_flags & VPF_DOWN);
    memset(&context, 0xee, sizeof(context));
    assert_int_equal(call(XEN_DOMCTL_getvcpucontext, d->id), 0);
    assert_int_equal(context.user_regs.rax, 5);
    assert_int_equal(call(XEN_DOMCTL_destroydomain, d->id), 0);
    tasks_run();
    assert_audit();
}

/* Teardown waits for whoever gives a vCPU a context, and afterwards nobody can. */
static void context_against_destroy(void **state)
{
    struct domain *d;

    (void)state;
    start_as(true);
    d = make();
    d->vcpus[1]->initialising = true;
    assert_int_equal(domain_destroy(d), -ERESTART);
    assert_int_equal(set_context(d, 1), -EBUSY);
    assert_int_equal(set_context(d, 0), -EBUSY);
    d->vcpus[1]->initialising = false;
    assert_int_equal(domain_destroy(d), 0);
}

static void further_state(void **state)
{
    static uint8_t buf[1024];
    struct domain *d;

    (void)state;
    start_as(true);
    d = make();
    memset(&op, 0, sizeof(op));
    assert_int_equal(call(XEN_DOMCTL_getvcpuextstate, d->id), 0);
    assert_int_equal(op.u.vcpuextstate.size, 832);
    op.u.vcpuextstate.buffer.p = (void *)buf;
    op.u.vcpuextstate.size = 831;
    assert_int_equal(call(XEN_DOMCTL_getvcpuextstate, d->id), -ENOBUFS);
    op.u.vcpuextstate.size = 833;
    assert_int_equal(call(XEN_DOMCTL_setvcpuextstate, d->id), -EINVAL);
    op.u.vcpuextstate.size = 0;
    assert_int_equal(call(XEN_DOMCTL_setvcpuextstate, d->id), -EINVAL);
    op.u.vcpuextstate.size = 832;
    buf[831] = 9;
    assert_int_equal(call(XEN_DOMCTL_setvcpuextstate, d->id), 0);
    buf[831] = 0;
    assert_int_equal(call(XEN_DOMCTL_getvcpuextstate, d->id), 0);
    assert_int_equal(buf[831], 9);

    memset(&op.u, 0, sizeof(op.u));
    op.u.ext_vcpucontext.size = 8;
    assert_int_equal(call(XEN_DOMCTL_set_ext_vcpucontext, d->id), -EINVAL);
    op.u.ext_vcpucontext.size = sizeof(op.u.ext_vcpucontext);
    op.u.ext_vcpucontext.sysenter_callback_eip = 0x1234;
    assert_int_equal(call(XEN_DOMCTL_set_ext_vcpucontext, d->id), 0);
    memset(&op.u, 0xff, sizeof(op.u));
    op.u.ext_vcpucontext.vcpu = 0;
    assert_int_equal(call(XEN_DOMCTL_get_ext_vcpucontext, d->id), 0);
    assert_int_equal(op.u.ext_vcpucontext.sysenter_callback_eip, 0x1234);
    assert_int_equal(op.u.pad[127], 0);

    memset(&op.u, 0, sizeof(op.u));
    assert_int_equal(call(XEN_DOMCTL_get_vcpu_msrs, d->id), 0);
    assert_int_equal(op.u.vcpu_msrs.msr_count, 0);
    op.u.vcpu_msrs.msr_count = 3;
    assert_int_equal(call(XEN_DOMCTL_set_vcpu_msrs, d->id), -EINVAL);
    assert_int_equal(op.u.vcpu_msrs.msr_count, 0);
    op.u.sendtrigger = (struct xen_domctl_sendtrigger){.trigger = XEN_DOMCTL_SENDTRIGGER_NMI};
    assert_int_equal(call(XEN_DOMCTL_sendtrigger, d->id), 0);
    assert_true(d->vcpus[0]->nmi_pending);
    op.u.sendtrigger.trigger = XEN_DOMCTL_SENDTRIGGER_POWER;
    assert_int_equal(call(XEN_DOMCTL_sendtrigger, d->id), -EOPNOTSUPP);
}

/* ---- Memory, rights, settings ---- */

static void frame_kinds(void **state)
{
    static uint64_t list[PAGE_SIZE];
    static struct tree t;
    struct domain *d;

    (void)state;
    start_as(true);
    d = make();
    d->pages_max = 2000;
    tree_build(d, &t, 1, 1);
    host_set_current(0, domain0->vcpus[0]);
    assert_int_equal(mmu_pin(d, t.l4, 4), 0);
    list[0] = t.l4.n, list[1] = t.l1[0].n, list[2] = t.page[0][0].n;
    list[3] = d->shared_info_mfn.n, list[4] = ~0UL, list[5] = host_io_frame(0).n;
    memset(&op, 0, sizeof(op));
    op.u.getpageframeinfo3.num = 6;
    op.u.getpageframeinfo3.array.p = list;
    assert_int_equal(call(XEN_DOMCTL_getpageframeinfo3, d->id), 0);
    assert_int_equal(list[0], XEN_DOMCTL_PFINFO_L4TAB | XEN_DOMCTL_PFINFO_LPINTAB);
    assert_int_equal(list[1], XEN_DOMCTL_PFINFO_L1TAB);
    assert_int_equal(list[2], XEN_DOMCTL_PFINFO_NOTAB);
    for (unsigned i = 3; i < 6; i++)
        assert_int_equal(list[i], XEN_DOMCTL_PFINFO_XTAB);
    op.u.getpageframeinfo3.num = 1025;
    assert_int_equal(call(XEN_DOMCTL_getpageframeinfo3, d->id), -E2BIG);
    op.u.getpageframeinfo3.num = ~0UL;
    assert_int_equal(call(XEN_DOMCTL_getpageframeinfo3, d->id), -E2BIG);

    op.u.hypercall_init.gmfn = t.page[0][0].n;
    assert_int_equal(call(XEN_DOMCTL_hypercall_init, d->id), 0);
    assert_int_equal(*(uint8_t *)hw_frame_va(t.page[0][0]), 0xcc);
    op.u.hypercall_init.gmfn = t.l1[0].n;
    assert_int_equal(call(XEN_DOMCTL_hypercall_init, d->id), -EACCES);
    op.u.hypercall_init.gmfn = ~0UL;
    assert_int_equal(call(XEN_DOMCTL_hypercall_init, d->id), -EACCES);
    memset(&op.u, 0, sizeof(op.u));
    assert_int_equal(call(XEN_DOMCTL_shadow_op, d->id), 0);
    op.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY;
    assert_int_equal(call(XEN_DOMCTL_shadow_op, d->id), -EOPNOTSUPP);
    op.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_CLEAN;
    assert_int_equal(call(XEN_DOMCTL_shadow_op, d->id), -EINVAL);
    assert_audit();
}

static void rights(void **state)
{
    struct domain *d;

    (void)state;
    start_as(true);
    d = make();
    assert_int_equal(rangeset_add(&domain0->io_ports, 0x100, 0x1ff), 0);
    assert_int_equal(rangeset_add(&domain0->io_irqs, 5, 5), 0);
    assert_int_equal(rangeset_add(&domain0->io_frames, host_io_frame(0).n, host_io_frame(3).n), 0);
    op.u.ioport_permission = (struct xen_domctl_ioport_permission){0x180, 16, 1};
    assert_int_equal(call(XEN_DOMCTL_ioport_permission, d->id), 0);
    assert_true(rangeset_contains(&d->io_ports, 0x180, 0x18f));
    op.u.ioport_permission.allow_access = 0;
    assert_int_equal(call(XEN_DOMCTL_ioport_permission, d->id), 0);
    assert_false(rangeset_overlaps(&d->io_ports, 0, 0xffff));
    op.u.ioport_permission = (struct xen_domctl_ioport_permission){0x1f8, 16, 1};
    assert_int_equal(call(XEN_DOMCTL_ioport_permission, d->id), -EPERM);
    op.u.ioport_permission = (struct xen_domctl_ioport_permission){0, 0, 1};
    assert_int_equal(call(XEN_DOMCTL_ioport_permission, d->id), -EINVAL);
    op.u.ioport_permission = (struct xen_domctl_ioport_permission){~0u, 2, 1};
    assert_int_equal(call(XEN_DOMCTL_ioport_permission, d->id), -EINVAL);
    assert_int_equal(d->vcpus[0]->pause_count, 1);

    op.u.irq_permission = (struct xen_domctl_irq_permission){.pirq = 5, .allow_access = 1};
    assert_int_equal(call(XEN_DOMCTL_irq_permission, d->id), 0);
    assert_true(rangeset_contains(&d->io_irqs, 5, 5));
    op.u.irq_permission.pirq = 6;
    assert_int_equal(call(XEN_DOMCTL_irq_permission, d->id), -EPERM);
    op.u.irq_permission.pirq = ~0u;
    assert_int_equal(call(XEN_DOMCTL_irq_permission, d->id), -EINVAL);

    op.u.iomem_permission = (struct xen_domctl_iomem_permission){host_io_frame(1).n, 2, 1};
    assert_int_equal(call(XEN_DOMCTL_iomem_permission, d->id), 0);
    assert_true(rangeset_contains(&d->io_frames, host_io_frame(1).n, host_io_frame(2).n));
    assert_int_equal(io_frames_readonly(domain0, host_io_frame(2).n, host_io_frame(2).n, true), 0);
    assert_int_equal(call(XEN_DOMCTL_iomem_permission, d->id), -EPERM); /* what the giver cannot write itself */
    op.u.iomem_permission.allow_access = 0;
    assert_int_equal(call(XEN_DOMCTL_iomem_permission, d->id), 0);
    assert_false(rangeset_overlaps(&d->io_frames, host_io_frame(1).n, host_io_frame(2).n));
    op.u.iomem_permission.nr_mfns = ~0UL;
    assert_int_equal(call(XEN_DOMCTL_iomem_permission, d->id), -EINVAL);
    op.u.iomem_permission = (struct xen_domctl_iomem_permission){0, 0, 1};
    assert_int_equal(call(XEN_DOMCTL_iomem_permission, d->id), -EINVAL);
    op.u.iomem_permission = (struct xen_domctl_iomem_permission){100, 1, 1}; /* RAM */
    assert_int_equal(call(XEN_DOMCTL_iomem_permission, d->id), -EPERM);
}

static int64_t affinity(struct domain *d, uint32_t cmd, unsigned flags, uint8_t *map, unsigned bits)
{
    memset(&op, 0, sizeof(op));
    op.u.vcpuaffinity.flags = flags;
    op.u.vcpuaffinity.cpumap_hard.nr_bits = op.u.vcpuaffinity.cpumap_soft.nr_bits = bits;
    op.u.vcpuaffinity.cpumap_hard.bitmap.p = op.u.vcpuaffinity.cpumap_soft.bitmap.p = map;
    return call(cmd, d->id);
}

static void affinities(void **state)
{
    uint8_t map[64];
    struct domain *d;

    (void)state;
    start_as(true);
    d = make();
    memset(map, 0, sizeof(map));
    assert_int_equal(affinity(d, XEN_DOMCTL_setvcpuaffinity, XEN_VCPUAFFINITY_HARD, map, 512), -EINVAL);
    map[0] = 0x80; /* a CPU that there is not */
    assert_int_equal(affinity(d, XEN_DOMCTL_setvcpuaffinity, XEN_VCPUAFFINITY_HARD, map, 512), -EINVAL);
    map[0] = 0x82;
    assert_int_equal(affinity(d, XEN_DOMCTL_setvcpuaffinity, XEN_VCPUAFFINITY_HARD, map, 512), 0);
    assert_int_equal(map[0], 2); /* what it comes to */
    memset(map, 0xff, sizeof(map));
    assert_int_equal(affinity(d, XEN_DOMCTL_getvcpuaffinity, XEN_VCPUAFFINITY_HARD, map, 500), 0);
    assert_int_equal(map[0], 0x82); /* what was asked */
    assert_int_equal(map[1] | map[40] | map[62], 0);
    assert_int_equal(map[63], 0xff); /* behind their map */
    map[0] = 0xff;
    assert_int_equal(affinity(d, XEN_DOMCTL_setvcpuaffinity, XEN_VCPUAFFINITY_SOFT, map, 3), 0);
    assert_int_equal(map[0], 2);
    assert_int_equal(d->vcpus[0]->sched.affinity_soft.w[0], 7);
    assert_int_equal(affinity(d, XEN_DOMCTL_getvcpuaffinity, XEN_VCPUAFFINITY_SOFT, NULL, 8), -EFAULT);
    assert_int_equal(affinity(d, XEN_DOMCTL_setvcpuaffinity, 0, map, 8), -EINVAL);
    assert_int_equal(affinity(d, XEN_DOMCTL_setvcpuaffinity, 8 | XEN_VCPUAFFINITY_HARD, map, 8), -EINVAL);
    assert_int_equal(affinity(d, XEN_DOMCTL_getvcpuaffinity, XEN_VCPUAFFINITY_HARD, map, ~0u), -EINVAL);

    memset(&op.u, 0, sizeof(op.u));
    op.u.nodeaffinity.nodemap.nr_bits = 8;
    op.u.nodeaffinity.nodemap.bitmap.p = map;
    assert_int_equal(call(XEN_DOMCTL_getnodeaffinity, d->id), 0);
    assert_int_equal(map[0], 1);
    assert_int_equal(call(XEN_DOMCTL_setnodeaffinity, d->id), 0);
    map[0] = 2;
    assert_int_equal(call(XEN_DOMCTL_setnodeaffinity, d->id), -EINVAL);
}

static void settings(void **state)
{
    struct domain *d;

    (void)state;
    start_as(true);
    d = make();
    op.u.scheduler_op =
        (struct xen_domctl_scheduler_op){.sched_id = XEN_SCHEDULER_CREDIT2, .cmd = XEN_DOMCTL_SCHEDOP_getinfo};
    assert_int_equal(call(XEN_DOMCTL_scheduler_op, d->id), -EINVAL);
    op.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT;
    op.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_putinfo;
    op.u.scheduler_op.u.credit = (struct xen_domctl_sched_credit){.weight = 512, .cap = 0xffff};
    assert_int_equal(call(XEN_DOMCTL_scheduler_op, d->id), 0);
    op.u.scheduler_op.u.credit = (struct xen_domctl_sched_credit){.weight = 0, .cap = 50};
    assert_int_equal(call(XEN_DOMCTL_scheduler_op, d->id), 0);
    memset(&op.u.scheduler_op.u, 0xff, sizeof(op.u.scheduler_op.u));
    op.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    assert_int_equal(call(XEN_DOMCTL_scheduler_op, d->id), 0);
    assert_int_equal(op.u.scheduler_op.u.credit.weight, 512);
    assert_int_equal(op.u.scheduler_op.u.credit.cap, 50);
    op.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_putvcpuinfo;
    assert_int_equal(call(XEN_DOMCTL_scheduler_op, d->id), -EINVAL);

    op.u.settimeoffset.time_offset_seconds = -3600;
    assert_int_equal(call(XEN_DOMCTL_settimeoffset, d->id), 0);
    assert_int_equal(d->shared_info->wc_sec, (uint32_t)-3600);
    op.u.tsc_info = (struct xen_domctl_tsc_info){.tsc_mode = 1};
    assert_int_equal(call(XEN_DOMCTL_settscinfo, d->id), -EOPNOTSUPP);
    op.u.tsc_info.tsc_mode = 7;
    assert_int_equal(call(XEN_DOMCTL_settscinfo, d->id), -EINVAL);
    op.u.tsc_info = (struct xen_domctl_tsc_info){.tsc_mode = 2, .incarnation = 4};
    assert_int_equal(call(XEN_DOMCTL_settscinfo, d->id), 0);
    memset(&op.u, 0xff, sizeof(op.u));
    assert_int_equal(call(XEN_DOMCTL_gettscinfo, d->id), 0);
    assert_int_equal(op.u.tsc_info.tsc_mode, 2);
    assert_int_equal(op.u.tsc_info.incarnation, 4);
    assert_int_equal(op.u.tsc_info.pad, 0);
    op.u.address_size.size = 32;
    assert_int_equal(call(XEN_DOMCTL_set_address_size, d->id), -EINVAL);
    op.u.setdebugging.enable = 1;
    assert_int_equal(call(XEN_DOMCTL_setdebugging, d->id), -EOPNOTSUPP);
}

/* ---- Policies ---- */

static struct xen_cpuid_leaf leaves[CPU_POLICY_LEAVES + 1];
static struct xen_msr_entry msrs[CPU_POLICY_MSRS + 1];

static int64_t policy(struct domain *d, uint32_t cmd, unsigned nr_leaves, unsigned nr_msrs)
{
    memset(&op, 0, sizeof(op));
    op.u.cpu_policy.nr_leaves = nr_leaves;
    op.u.cpu_policy.nr_msrs = nr_msrs;
    op.u.cpu_policy.leaves.p = leaves;
    op.u.cpu_policy.msrs.p = msrs;
    return call(cmd, d->id);
}

static int64_t set_leaf(struct domain *d, struct xen_cpuid_leaf leaf)
{
    leaves[0] = leaf;
    return policy(d, XEN_DOMCTL_set_cpu_policy, 1, 0);
}

static void cpu_policies(void **state)
{
    const struct xen_domctl_cpu_policy *p = &op.u.cpu_policy;
    const uint32_t none = XEN_CPUID_NO_SUBLEAF;
    unsigned count;
    struct domain *d;

    (void)state;
    start_as(true);
    d = make();
    assert_int_equal(policy(d, XEN_DOMCTL_get_cpu_policy, 3, 2), -ENOBUFS);
    assert_int_equal(policy(d, XEN_DOMCTL_get_cpu_policy, CPU_POLICY_LEAVES, 1), -ENOBUFS);
    assert_int_equal(policy(d, XEN_DOMCTL_get_cpu_policy, CPU_POLICY_LEAVES, 2), 0);
    count = p->nr_leaves;
    for (unsigned i = 1; i < count; i++)
        assert_true(leaves[i].leaf > leaves[i - 1].leaf ||
                    (leaves[i].leaf == leaves[i - 1].leaf && leaves[i].subleaf > leaves[i - 1].subleaf));
    assert_int_equal(leaves[count - 1].leaf, 0x80000008);
    assert_int_equal(policy(d, XEN_DOMCTL_set_cpu_policy, count, 2), 0); /* itself */
    assert_int_equal(p->err_leaf & p->err_subleaf & p->err_msr, ~0u);
    assert_int_equal(policy(d, XEN_DOMCTL_set_cpu_policy, CPU_POLICY_LEAVES + 1, 0), -E2BIG);

    assert_int_equal(set_leaf(d, (struct xen_cpuid_leaf){1, none, 0, 0, 1u << 20, 1u << 28}),
                     0); /* what the most has */
    assert_int_equal(cpu_policy_read(d->cpu_policy, 1, 0)[CPUID_EDX], 1u << 28);
    assert_int_equal(cpu_policy_read(d->cpu_policy, 1, 0)[CPUID_ECX], 1u << 20);
    assert_int_equal(set_leaf(d, (struct xen_cpuid_leaf){1, none, 0, 0, 1u << 5, 0}), -EINVAL);
    assert_true(p->err_leaf == 1 && p->err_subleaf == none && p->err_msr == ~0u);
    assert_int_equal(cpu_policy_read(d->cpu_policy, 1, 0)[CPUID_ECX], 1u << 20); /* as it was */
    assert_int_equal(set_leaf(d, (struct xen_cpuid_leaf){0xd, 0, 7, 0, 0, 0}), -EINVAL);
    assert_true(p->err_leaf == 0xd && p->err_subleaf == 0);
    assert_int_equal(set_leaf(d, (struct xen_cpuid_leaf){0, none, 0xe, 0, 0, 0}), -EINVAL);
    assert_int_equal(set_leaf(d, (struct xen_cpuid_leaf){0x1f, 0, 0, 0, 0, 0}), -ERANGE);
    assert_int_equal(p->err_leaf, 0x1f);
    assert_int_equal(set_leaf(d, (struct xen_cpuid_leaf){7, 3, 0, 0, 0, 0}), -ERANGE);
    assert_int_equal(set_leaf(d, (struct xen_cpuid_leaf){2, 0, 0, 0, 0, 0}), -EINVAL);
    assert_int_equal(set_leaf(d, (struct xen_cpuid_leaf){0x80000002, none, 'a', 'b', 'c', 'd'}), 0); /* any name */
    msrs[0] = (struct xen_msr_entry){.idx = 0x10a, .val = 1};
    assert_int_equal(policy(d, XEN_DOMCTL_set_cpu_policy, 0, 1), -EINVAL);
    assert_true(p->err_msr == 0x10a && p->err_leaf == ~0u);
    msrs[0] = (struct xen_msr_entry){.idx = 0x10b};
    assert_int_equal(policy(d, XEN_DOMCTL_set_cpu_policy, 0, 1), -ERANGE);
    msrs[0] = (struct xen_msr_entry){.idx = 0xce, .flags = 1};
    assert_int_equal(policy(d, XEN_DOMCTL_set_cpu_policy, 0, 1), -EINVAL);
    d->vcpus[0]->initialised = true;
    assert_int_equal(policy(d, XEN_DOMCTL_set_cpu_policy, 0, 0), -EBUSY);
}

/* Every leaf has its place, in order, and is found there. */
static void policy_places(void **state)
{
    static struct cpu_policy p;
    uint32_t leaf = 0, subleaf = 0, last_leaf, last_subleaf;

    (void)state;
    for (unsigned n = 0; n < CPU_POLICY_LEAVES; n++) {
        last_leaf = leaf, last_subleaf = subleaf;
        cpu_policy_place(n, &leaf, &subleaf);
        assert_ptr_equal(cpu_policy_leaf(&p, leaf, subleaf), p.leaves[n]);
        assert_true(!n || leaf > last_leaf || (leaf == last_leaf && subleaf == last_subleaf + 1));
    }
    assert_int_equal(leaf, CPU_POLICY_EXTENDED_MAX);
    assert_null(cpu_policy_leaf(&p, 0xe, 0));
    assert_null(cpu_policy_leaf(&p, 7, 3));
    assert_null(cpu_policy_leaf(&p, ~0u, 0));
    assert_null(cpu_policy_read(&p, 1, 0)); /* it names no leaf but the first */
    assert_non_null(cpu_policy_read(&p, 0, 0));
}

static void machine_policies(void **state)
{
    uint32_t words[CPU_FEATURE_WORDS];
    struct xen_sysctl s = {.u.cpu_policy.index = XEN_SYSCTL_cpu_policy_pv_default};

    (void)state;
    start_as(true);
    assert_int_equal(sysctl_get_cpu_policy(&s), 0);
    assert_int_equal(s.u.cpu_policy.nr_leaves, CPU_POLICY_LEAVES);
    assert_int_equal(s.u.cpu_policy.nr_msrs, CPU_POLICY_MSRS);
    s.u.cpu_policy.index = XEN_SYSCTL_cpu_policy_hvm_max;
    assert_int_equal(sysctl_get_cpu_policy(&s), -EOPNOTSUPP);
    s.u.cpu_policy.index = 6;
    assert_int_equal(sysctl_get_cpu_policy(&s), -EINVAL);
    memset(&s, 0, sizeof(s));
    s.u.cpu_featureset.index = XEN_SYSCTL_cpu_featureset_host;
    assert_int_equal(sysctl_get_cpu_featureset(&s), 0);
    assert_int_equal(s.u.cpu_featureset.nr_features, CPU_FEATURE_WORDS);
    s.u.cpu_featureset.features.p = words;
    assert_int_equal(sysctl_get_cpu_featureset(&s), 0);
    assert_int_equal(words[0], 1u << 28);
    s.u.cpu_featureset.nr_features = 1;
    assert_int_equal(sysctl_get_cpu_featureset(&s), -ENOBUFS);
    s.u.cpu_featureset.index = 9;
    assert_int_equal(sysctl_get_cpu_featureset(&s), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(only_privileged), isolated_test(bad_structs),
        isolated_test(creating),        isolated_test(lives_give_all_back),
        isolated_test(not_on_oneself),  isolated_test(pauses_are_counted),
        isolated_test(information),     isolated_test(vcpu_information),
        isolated_test(contexts),        isolated_test(context_against_destroy),
        isolated_test(further_state),   isolated_test(frame_kinds),
        isolated_test(rights),          isolated_test(affinities),
        isolated_test(settings),        isolated_test(cpu_policies),
        isolated_test(policy_places),   isolated_test(machine_policies),
    };
    return cmocka_run_group_tests_name("domctl", tests, NULL, NULL);
}
