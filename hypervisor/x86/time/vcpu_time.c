/* SPDX-License-Identifier: MIT */
/*
 * A guest's view of the clock: struct vcpu_time_info in its vcpu_info, and a second copy at a guest address (Linux shows that
 * one to user space).
 *
 * What is published is the clock's own base, with the offset of this CPU's TSC: all vCPUs thus compute the very same
 * function, and no rounding can make time go back between them. Both copies follow the ABI's version protocol. The second
 * one can only be written while the vCPU's kernel page tables are loaded; until then areas_stale makes pv_toggle_mode() call
 * again, and the area stays right but for the last change of the rate.
 */
#include "core/domain/domain.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/pv.h"
#include "x86/time/clock.h"
#include "x86/time/time.h"

static void fill(struct vcpu_time_info *t)
{
    const struct clock c = clock_snapshot();

    t->tsc_timestamp = c.tsc_base + (uint64_t)this_x86_cpu()->tsc_offset;
    t->system_time = c.ns_base;
    t->tsc_to_system_mul = c.mul;
    t->tsc_shift = c.shift;
    t->flags = c.stable ? XEN_PVCLOCK_TSC_STABLE_BIT : 0;
}

static void write_primary(struct vcpu_time_info *t, const struct vcpu_time_info *now)
{
    uint32_t version = __atomic_load_n(&t->version, __ATOMIC_RELAXED) | 1;

    __atomic_store_n(&t->version, version, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    t->tsc_timestamp = now->tsc_timestamp;
    t->system_time = now->system_time;
    t->tsc_to_system_mul = now->tsc_to_system_mul;
    t->tsc_shift = now->tsc_shift;
    t->flags = now->flags;
    __atomic_store_n(&t->version, version + 1, __ATOMIC_RELEASE);
}

/* An area that cannot be written is the guest's own loss. */
static void write_area(uint64_t at, struct vcpu_time_info *now)
{
    now->version |= 1;
    if (hw_copy_to_guest(at, &now->version, sizeof(now->version)))
        return;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    if (hw_copy_to_guest(at, now, sizeof(*now)))
        return;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    now->version++;
    if (hw_copy_to_guest(at, &now->version, sizeof(now->version)))
        return;
}

void hw_update_vcpu_time(struct vcpu *v)
{
    struct vcpu_time_info now = {0};

    fill(&now);
    write_primary(&v->info->time, &now);
    if (!v->time_area)
        return;
    if (v != current_vcpu() || !v->in_kernel) {
        pv_of(v)->areas_stale = true;
        return;
    }
    now.version = __atomic_load_n(&v->info->time.version, __ATOMIC_RELAXED);
    write_area(v->time_area, &now);
}
