/* SPDX-License-Identifier: MIT */
/* Where a guest wants to be entered: its trap table, callbacks and kernel stack; and the segment bases, which it sets by
 * hypercall. All of the current vCPU. */
#include "core/lib/fail.h"
#include "core/mem/pte.h"
#include "hypercall/hypercall.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/pv.h"
#include <xen/callback.h>

/* A list ends with address 0; one with 256 vectors and an end is the longest that makes sense. */
#define TRAP_LIST_MAX 257

HYPERCALL_HANDLER(set_trap_table)
{
    struct pv_vcpu *pv = pv_of(current_vcpu());
    uint64_t list = args[0];

    if (!list) {
        memset(pv->traps, 0, sizeof(pv->traps));
        return 0;
    }
    for (unsigned n = 0; n < TRAP_LIST_MAX; n++) {
        struct trap_info t;

        if (copy_in(&t, list + n * sizeof(t)))
            return fail(-EFAULT);
        if (!t.address)
            return 0;
        if (!va_canonical(t.address))
            return fail(-EINVAL);
        pv->traps[t.vector] = t;
    }
    return fail(-EINVAL);
}

static struct pv_callback *callback_slot(struct pv_vcpu *pv, uint16_t type)
{
    switch (type) {
    case CALLBACKTYPE_event:
        return &pv->event;
    case CALLBACKTYPE_failsafe:
        return &pv->failsafe;
    case CALLBACKTYPE_syscall:
        return &pv->syscall;
    case CALLBACKTYPE_syscall32:
        return &pv->syscall32;
    case CALLBACKTYPE_sysenter:
        return &pv->sysenter;
    case CALLBACKTYPE_nmi:
        return &pv->nmi;
    default:
        return NULL;
    }
}

static int64_t callback_register(struct pv_vcpu *pv, uint64_t arg)
{
    struct callback_register reg;
    struct pv_callback *slot;

    if (copy_in(&reg, arg))
        return fail(-EFAULT);
    slot = callback_slot(pv, reg.type);
    if (!slot)
        return fail(-ENOSYS);
    if (!va_canonical(reg.address))
        return fail(-EINVAL);
    slot->entry = reg.address;
    slot->mask_events = reg.flags & CALLBACKF_mask_events;
    pv_find_syscall_frame(pv);
    return 0;
}

/* Only the NMI callback may go. */
static int64_t callback_unregister(struct pv_vcpu *pv, uint64_t arg)
{
    struct callback_unregister unreg;

    if (copy_in(&unreg, arg))
        return fail(-EFAULT);
    if (!callback_slot(pv, unreg.type))
        return fail(-ENOSYS);
    if (unreg.type != CALLBACKTYPE_nmi)
        return fail(-EINVAL);
    pv->nmi = (struct pv_callback){0};
    return 0;
}

HYPERCALL_HANDLER(callback_op)
{
    struct pv_vcpu *pv = pv_of(current_vcpu());

    switch ((int)args[0]) {
    case CALLBACKOP_register:
        return callback_register(pv, args[1]);
    case CALLBACKOP_unregister:
        return callback_unregister(pv, args[1]);
    default:
        return fail(-ENOSYS);
    }
}

HYPERCALL_HANDLER(stack_switch)
{
    struct pv_vcpu *pv = pv_of(current_vcpu());

    pv->kernel_ss = (uint16_t)args[0] | 3;
    pv->kernel_sp = args[1];
    pv_find_syscall_frame(pv);
    return 0;
}

/* Loads a selector into the user GS, which in kernel mode is the inactive one. A bad one becomes null. */
static void load_user_gs(uint16_t selector)
{
    __asm__ volatile("swapgs" ::: "memory");
    pv_load_gs(selector);
    __asm__ volatile("swapgs" ::: "memory");
}

HYPERCALL_HANDLER(set_segment_base)
{
    uint64_t base = args[1];

    if ((unsigned)args[0] == SEGBASE_GS_USER_SEL) {
        load_user_gs((uint16_t)base);
        return 0;
    }
    if (!va_canonical(base))
        return fail(-EINVAL);
    switch ((unsigned)args[0]) {
    case SEGBASE_FS:
        wrmsr(MSR_FS_BASE, base);
        return 0;
    case SEGBASE_GS_USER:
        wrmsr(MSR_KERNEL_GS_BASE, base);
        return 0;
    case SEGBASE_GS_KERNEL:
        wrmsr(MSR_GS_BASE, base);
        return 0;
    default:
        return fail(-EINVAL);
    }
}
