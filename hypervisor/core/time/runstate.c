/* SPDX-License-Identifier: MIT */
/*
 * Run states: how long each vCPU has been running, runnable, blocked and offline, and the copy of that in guest memory.
 * The counters are guarded by the run-queue lock. The guest's area is written through its own page tables, by the vCPU
 * itself, in kernel mode: the machine calls vcpu_runstate_copy after each switch to a vCPU, once it is in kernel mode.
 */
#include "core/domain/domain.h"
#include "core/lib/fail.h"
#include "core/lib/string.h"

void vcpu_runstate_change(struct vcpu *v, uint8_t state, uint64_t now_ns)
{
    if (v->runstate == state)
        return;
    if (now_ns > v->runstate_entry_ns) {
        v->runstate_ns[v->runstate] += now_ns - v->runstate_entry_ns;
        v->runstate_entry_ns = now_ns;
    }
    v->runstate = state;
}

/* The order that VMASST_TYPE_runstate_update_flag promises: the flag is up before, and down after the contents. */
static void write_area(struct vcpu *v, struct vcpu_runstate_info *info)
{
    uint64_t entry = v->runstate_area + offsetof(struct vcpu_runstate_info, state_entry_time);
    bool flagged = __atomic_load_n(&v->domain->vm_assist, __ATOMIC_RELAXED) & (1u << VMASST_TYPE_runstate_update_flag);

    if (!flagged) {
        (void)!hw_copy_to_guest(v->runstate_area, info, sizeof(*info));
        return;
    }
    info->state_entry_time |= XEN_RUNSTATE_UPDATE;
    if (hw_copy_to_guest(entry, &info->state_entry_time, sizeof(uint64_t)))
        return; /* not mapped: the guest's loss */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    if (hw_copy_to_guest(v->runstate_area, info, sizeof(*info)))
        return;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    info->state_entry_time &= ~XEN_RUNSTATE_UPDATE;
    (void)!hw_copy_to_guest(entry, &info->state_entry_time, sizeof(uint64_t));
}

void vcpu_runstate_copy(struct vcpu *v)
{
    struct vcpu_runstate_info info;

    if (!v->runstate_area)
        return;
    sched_get_runstate(v, &info, false);
    write_area(v, &info);
}
