/* SPDX-License-Identifier: MIT */
/*
 * domctl: the state of vCPUs, for starting, saving and restoring guests. The vCPU is stopped while its state is looked at or
 * changed; none of these is for the caller's own domain.
 */
#include "hypercall/domctl/domctl.h"
#include "core/mem/alloc.h"

int domctl_setvcpucontext(struct domain *d, struct xen_domctl *op)
{
    struct vcpu *v = vcpu_of(d, op->u.vcpucontext.vcpu);
    struct vcpu_guest_context *ctxt;
    int rc;

    if (!v)
        return fail(-EINVAL);
    ctxt = heap_alloc(sizeof(*ctxt));
    if (!ctxt)
        return fail(-ENOMEM);
    rc = copy_in(ctxt, (uint64_t)op->u.vcpucontext.ctxt.p) ? fail(-EFAULT) : 0;
    if (!rc) {
        domain_pause(d);
        rc = vcpu_set_context(v, ctxt);
        domain_unpause(d);
    }
    heap_free(ctxt);
    return rc;
}

int domctl_getvcpucontext(struct domain *d, struct xen_domctl *op)
{
    struct vcpu *v = vcpu_of(d, op->u.vcpucontext.vcpu);
    struct vcpu_guest_context *ctxt;
    int rc;

    if (!v)
        return fail(-EINVAL);
    if (!__atomic_load_n(&v->initialised, __ATOMIC_ACQUIRE))
        return fail(-ENODATA);
    ctxt = heap_alloc(sizeof(*ctxt));
    if (!ctxt)
        return fail(-ENOMEM);
    vcpu_pause(v);
    hw_vcpu_get_context(v, ctxt);
    vcpu_unpause(v);
    rc = copy_out((uint64_t)op->u.vcpucontext.ctxt.p, ctxt) ? fail(-EFAULT) : 0;
    heap_free(ctxt);
    return rc;
}

int domctl_set_ext_vcpucontext(struct domain *d, struct xen_domctl *op)
{
    struct vcpu *v = vcpu_of(d, op->u.ext_vcpucontext.vcpu);
    int rc;

    if (!v || op->u.ext_vcpucontext.size < offsetof(struct xen_domctl_ext_vcpucontext, mcg_cap))
        return fail(-EINVAL);
    vcpu_pause(v);
    rc = hw_vcpu_set_ext_context(v, &op->u.ext_vcpucontext);
    vcpu_unpause(v);
    return rc;
}

int domctl_get_ext_vcpucontext(struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_ext_vcpucontext *ctxt = &op->u.ext_vcpucontext;
    struct vcpu *v = vcpu_of(d, ctxt->vcpu);

    if (!v)
        return fail(-EINVAL);
    memset(&op->u, 0, sizeof(op->u));
    ctxt->vcpu = v->id;
    ctxt->size = sizeof(*ctxt);
    vcpu_pause(v);
    hw_vcpu_get_ext_context(v, ctxt);
    vcpu_unpause(v);
    return 0;
}

/* With no buffer: how large it must be. A machine without XSAVE says 0, and the registers of the context are all there is. */
int domctl_getvcpuextstate(struct domain *d, struct xen_domctl *op)
{
    struct xen_domctl_vcpuextstate *ext = &op->u.vcpuextstate;
    struct vcpu *v = vcpu_of(d, ext->vcpu);
    uint64_t room = ext->size, mask;
    size_t size = hw_xstate_size(&mask);
    void *buf;
    int rc;

    if (!v)
        return fail(-EINVAL);
    ext->xfeature_mask = mask;
    ext->size = size;
    if (!ext->buffer.p || !size)
        return 0;
    if (room < size)
        return fail(-ENOBUFS);
    buf = heap_alloc(size);
    if (!buf)
        return fail(-ENOMEM);
    vcpu_pause(v);
    hw_vcpu_get_xstate(v, buf);
    vcpu_unpause(v);
    rc = hw_copy_to_guest((uint64_t)ext->buffer.p, buf, size) ? fail(-EFAULT) : 0;
    heap_free(buf);
    return rc;
}

int domctl_setvcpuextstate(struct domain *d, struct xen_domctl *op)
{
    const struct xen_domctl_vcpuextstate *ext = &op->u.vcpuextstate;
    struct vcpu *v = vcpu_of(d, ext->vcpu);
    uint64_t mask;
    void *buf;
    int rc;

    if (!v || !ext->size || ext->size > hw_xstate_size(&mask))
        return fail(-EINVAL);
    buf = heap_alloc(ext->size);
    if (!buf)
        return fail(-ENOMEM);
    rc = hw_copy_from_guest(buf, (uint64_t)ext->buffer.p, ext->size) ? fail(-EFAULT) : 0;
    if (!rc) {
        vcpu_pause(v);
        rc = hw_vcpu_set_xstate(v, buf, ext->size);
        vcpu_unpause(v);
    }
    heap_free(buf);
    return rc;
}

/* A PV guest has no model-specific registers of its own that would have to move with it. */
int domctl_get_vcpu_msrs(struct domain *d, struct xen_domctl *op)
{
    if (!vcpu_of(d, op->u.vcpu_msrs.vcpu))
        return fail(-EINVAL);
    op->u.vcpu_msrs.msr_count = 0;
    return 0;
}

int domctl_set_vcpu_msrs(struct domain *d, struct xen_domctl *op)
{
    uint32_t count = op->u.vcpu_msrs.msr_count;

    op->u.vcpu_msrs.msr_count = 0; /* of the first that is refused */
    return vcpu_of(d, op->u.vcpu_msrs.vcpu) && !count ? 0 : fail(-EINVAL);
}

/* A PV guest has no buttons; the rest is for guests with virtual hardware. */
int domctl_sendtrigger(struct domain *d, struct xen_domctl *op)
{
    struct vcpu *v = vcpu_of(d, op->u.sendtrigger.vcpu);

    if (op->u.sendtrigger.trigger != XEN_DOMCTL_SENDTRIGGER_NMI)
        return fail(-EOPNOTSUPP);
    if (!v)
        return fail(-EINVAL);
    __atomic_store_n(&v->nmi_pending, true, __ATOMIC_SEQ_CST);
    vcpu_kick(v);
    return 0;
}
