/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's life: down -> initialised -> up -> down, pausing, waking, and where its vcpu_info lives.
 *
 *   created: VPF_DOWN, not initialised
 *   vcpu_initialise: takes a context; still VPF_DOWN unless VGCF_online
 *   vcpu_up / vcpu_down: clears / sets VPF_DOWN
 *
 * A vCPU runs only with pause_flags == 0 and pause_count == 0. Whoever makes that true calls
 * sched_wake, whoever makes it false calls sched_sleep; both are idempotent.
 */
#include "core/domain/domain.h"
#include <xen/sched.h>
#include "core/event/event.h"
#include "core/lib/fail.h"
#include "core/lib/string.h"
#include "core/mem/alloc.h"
#include "core/mem/mmu.h"
#include "core/mem/type.h"
#include "core/time/vcpu_timer.h"
#include "core/trace/trace.h"
#include "hw/nospec.h"

struct vcpu *vcpu_of(struct domain *d, unsigned id)
{
    return id < d->max_vcpus ? d->vcpus[index_nospec(id, d->max_vcpus)] : NULL;
}

void vcpu_pause_nosync(struct vcpu *v)
{
    __atomic_fetch_add(&v->pause_count, 1, __ATOMIC_SEQ_CST);
    sched_sleep(v);
}

void vcpu_pause(struct vcpu *v)
{
    ASSERT(v != current_vcpu());
    vcpu_pause_nosync(v);
    while (__atomic_load_n(&v->running, __ATOMIC_ACQUIRE))
        hw_relax();
}

void vcpu_unpause(struct vcpu *v)
{
    uint32_t before = __atomic_fetch_sub(&v->pause_count, 1, __ATOMIC_SEQ_CST);
    ASSERT(before);
    if (before == 1)
        sched_wake(v);
}

void vcpu_unblock(struct vcpu *v)
{
    if (__atomic_fetch_and(&v->pause_flags, ~VPF_BLOCKED, __ATOMIC_SEQ_CST) & VPF_BLOCKED)
        sched_wake(v);
}

void vcpu_kick(struct vcpu *v)
{
    if (__atomic_load_n(&v->pause_flags, __ATOMIC_SEQ_CST) & VPF_BLOCKED)
        vcpu_unblock(v);
    else if (v != current_vcpu() && __atomic_load_n(&v->running, __ATOMIC_ACQUIRE))
        hw_kick(v->pcpu);
}

bool vcpu_has_events(const struct vcpu *v)
{
    return __atomic_load_n(&v->info->evtchn_upcall_pending, __ATOMIC_SEQ_CST) &&
           !__atomic_load_n(&v->info->evtchn_upcall_mask, __ATOMIC_SEQ_CST);
}

static int take_root(struct vcpu *v, mfn_t *root, mfn_t wanted)
{
    struct frame *f;
    int rc;

    if (mfn_eq(*root, wanted))
        return 0;
    f = frame_get_owned(wanted, v->domain->id);
    if (!f)
        return fail(-EINVAL);
    rc = type_get(v->domain, f, FT_L4);
    frame_put(f);
    if (!rc)
        *root = wanted;
    return rc;
}

/* What an earlier call took before it was cut short or failed stays in the vCPU: it is used when it
 * is what is wanted, dropped first when it is not. */
static int take_roots(struct vcpu *v, const struct vcpu_guest_context *ctxt)
{
    mfn_t kernel = MFN(ctxt->ctrlreg[3] >> PAGE_SHIFT);
    mfn_t user = ctxt->ctrlreg[1] ? MFN(ctxt->ctrlreg[1] >> PAGE_SHIFT) : INVALID_MFN;
    bool none = mfn_eq(v->kernel_l4, INVALID_MFN) && mfn_eq(v->user_l4, INVALID_MFN);
    int rc;

    if (!none && (!mfn_eq(v->kernel_l4, kernel) || (!mfn_eq(v->user_l4, INVALID_MFN) && !mfn_eq(v->user_l4, user)))) {
        rc = mmu_drop_roots(v);
        if (rc)
            return rc;
    }
    rc = take_root(v, &v->kernel_l4, kernel);
    if (!rc)
        rc = take_root(v, &v->user_l4, user);
    return rc;
}

/* Who has the claim is alone in giving the vCPU a context; teardown waits for it. */
static int claim_initialising(struct vcpu *v, bool anew)
{
    int rc = 0;

    spin_lock(&v->domain->domctl_lock);
    if (v->initialised != anew)
        rc = -EEXIST;
    else if (v->initialising || __atomic_load_n(&v->domain->dying, __ATOMIC_SEQ_CST))
        rc = -EBUSY;
    else
        v->initialising = true;
    spin_unlock(&v->domain->domctl_lock);
    return rc ? fail(rc) : 0;
}

/* A vCPU without a table for user mode can only be in its kernel, whatever the flag says. */
static void end_initialising(struct vcpu *v, const struct vcpu_guest_context *ctxt, int rc)
{
    spin_lock(&v->domain->domctl_lock);
    v->initialising = false;
    if (!rc) {
        v->in_kernel = (ctxt->flags & VGCF_in_kernel) || mfn_eq(v->user_l4, INVALID_MFN);
        v->initialised = true;
    }
    spin_unlock(&v->domain->domctl_lock);
}

bool vcpu_is_initialising(struct vcpu *v)
{
    bool is;

    spin_lock(&v->domain->domctl_lock);
    is = v->initialising;
    spin_unlock(&v->domain->domctl_lock);
    return is;
}

int vcpu_initialise(struct vcpu *v, const struct vcpu_guest_context *ctxt)
{
    int rc = claim_initialising(v, false);

    if (rc)
        return rc;
    rc = take_roots(v, ctxt);
    if (!rc)
        rc = hw_vcpu_set_context(v, ctxt);
    end_initialising(v, ctxt, rc);
    if (!rc && (ctxt->flags & VGCF_online))
        rc = vcpu_up(v);
    return rc;
}

static bool same_tables(const struct vcpu_guest_context *a, const struct vcpu_guest_context *b)
{
    return a->ctrlreg[3] == b->ctrlreg[3] && a->ctrlreg[1] == b->ctrlreg[1] && a->ldt_base == b->ldt_base &&
           a->ldt_ents == b->ldt_ents && a->gdt_ents == b->gdt_ents &&
           !memcmp(a->gdt_frames, b->gdt_frames, DIV_ROUND_UP(a->gdt_ents, 512) * sizeof(a->gdt_frames[0]));
}

static int replace_context(struct vcpu *v, const struct vcpu_guest_context *ctxt)
{
    struct vcpu_guest_context *now = heap_alloc(sizeof(*now));
    int rc = now ? claim_initialising(v, true) : fail(-ENOMEM);

    if (!rc) {
        hw_vcpu_get_context(v, now);
        rc = same_tables(now, ctxt) ? hw_vcpu_set_context(v, ctxt) : fail(-EOPNOTSUPP);
        end_initialising(v, ctxt, rc);
    }
    heap_free(now);
    if (rc)
        return rc;
    if (ctxt->flags & VGCF_online)
        return vcpu_up(v);
    __atomic_fetch_or(&v->pause_flags, VPF_DOWN, __ATOMIC_SEQ_CST); /* the domain is paused: it runs nowhere */
    return 0;
}

int vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *ctxt)
{
    return __atomic_load_n(&v->initialised, __ATOMIC_ACQUIRE) ? replace_context(v, ctxt) : vcpu_initialise(v, ctxt);
}

int vcpu_up(struct vcpu *v)
{
    if (!__atomic_load_n(&v->initialised, __ATOMIC_ACQUIRE))
        return fail(-EINVAL);
    if (__atomic_fetch_and(&v->pause_flags, ~VPF_DOWN, __ATOMIC_SEQ_CST) & VPF_DOWN)
        sched_wake(v);
    return 0;
}

/* The last vCPU of a domain that goes down ends the domain: nobody would be left to wake it. */
int vcpu_down(struct vcpu *v)
{
    struct domain *d = v->domain;
    struct vcpu *other;
    bool last = true;

    for_each_vcpu (d, other, i)
        if (other != v && !(__atomic_load_n(&other->pause_flags, __ATOMIC_SEQ_CST) & VPF_DOWN))
            last = false;
    if (last) {
        domain_shutdown(d, SHUTDOWN_poweroff);
        return 0;
    }
    if (!(__atomic_fetch_or(&v->pause_flags, VPF_DOWN, __ATOMIC_SEQ_CST) & VPF_DOWN))
        sched_sleep(v);
    return 0;
}

int vcpu_register_info(struct vcpu *v, mfn_t mfn, unsigned offset)
{
    struct vcpu_info *old = v->info, *new;
    struct frame *none = NULL;
    int rc;

    if (offset > PAGE_SIZE - sizeof(struct vcpu_info) || offset % sizeof(uint64_t))
        return fail(-ENXIO);
    if (v->info_frame)
        return fail(-EINVAL);
    if (v != current_vcpu() && !(__atomic_load_n(&v->pause_flags, __ATOMIC_SEQ_CST) & VPF_DOWN))
        return fail(-EINVAL);
    rc = writable_get(mfn, v->domain->id);
    if (rc)
        return rc;
    if (!__atomic_compare_exchange_n(&v->info_frame, &none, frame_of(mfn), false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
        writable_put(frame_of(mfn)); /* another vCPU has been quicker */
        return fail(-EINVAL);
    }

    new = (struct vcpu_info *)((char *)hw_frame_va(mfn) + offset);
    if (old == &v->no_info) {
        memset(new, 0, sizeof(*new));
        new->evtchn_upcall_mask = 1;
    } else {
        memcpy(new, old, sizeof(*new));
    }
    __atomic_store_n(&v->info, new, __ATOMIC_SEQ_CST);
    evtchn_vcpu_info_moved(v);
    hw_update_vcpu_time(v);
    return 0;
}
