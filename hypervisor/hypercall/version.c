/* SPDX-License-Identifier: MIT */
/* xen_version: what the hypervisor says it is; and vm_assist. Structures are zero-filled before
 * they go out. */
#include "hypercall/hypercall.h"
#include "core/mem/pte.h"
#include <xen/features.h>
#include <xen/version.h>

#define ABI_MAJOR 4
#define ABI_MINOR 17

static uint32_t features_of(struct domain *d)
{
    uint32_t f = (1u << XENFEAT_mmu_pt_update_preserve_ad) | (1u << XENFEAT_highmem_assist) |
                 (1u << XENFEAT_gnttab_map_avail_bits) | (1u << XENFEAT_memory_op_vnode_supported) |
                 (1u << XENFEAT_direct_mapped);

    if (d->vm_assist & (1u << VMASST_TYPE_pae_extended_cr3))
        f |= 1u << XENFEAT_pae_pgdir_above_4gb;
    if (d->is_hardware)
        f |= 1u << XENFEAT_dom0;
    return f;
}

static int64_t get_features(struct domain *d, uint64_t arg)
{
    xen_feature_info_t fi;

    if (copy_in(&fi, arg))
        return fail(-EFAULT);
    if (fi.submap_idx)
        return fail(-EINVAL);
    fi.submap = features_of(d);
    return copy_out(arg, &fi) ? fail(-EFAULT) : 0;
}

static int64_t put_text(uint64_t arg, const char *text, size_t size)
{
    char buf[1024] = {0};

    ASSERT(size <= sizeof(buf));
    text_copy(buf, text, size);
    return hw_copy_to_guest(arg, buf, size) ? fail(-EFAULT) : 0;
}

static int64_t compile_info(uint64_t arg)
{
    xen_compile_info_t ci = {0};

    text_copy(ci.compiler, "gcc " __VERSION__, sizeof(ci.compiler));
    text_copy(ci.compile_by, "hospes", sizeof(ci.compile_by));
    text_copy(ci.compile_domain, "localhost", sizeof(ci.compile_domain));
    text_copy(ci.compile_date, "", sizeof(ci.compile_date));
    return copy_out(arg, &ci) ? fail(-EFAULT) : 0;
}

static int64_t platform_parameters(uint64_t arg)
{
    xen_platform_parameters_t p = {.virt_start = HYPERVISOR_START};

    return copy_out(arg, &p) ? fail(-EFAULT) : 0;
}

static __attribute__((noinline)) int64_t version_call(const uint64_t args[6])
{
    struct domain *d = current_vcpu()->domain;
    uint64_t arg = args[1];

    switch (args[0]) {
    case XENVER_extraversion:
        return put_text(arg, ".hospes", sizeof(xen_extraversion_t));
    case XENVER_compile_info:
        return compile_info(arg);
    case XENVER_capabilities:
        return put_text(arg, "xen-3.0-x86_64 ", sizeof(xen_capabilities_info_t));
    case XENVER_changeset:
        return put_text(arg, "", sizeof(xen_changeset_info_t));
    case XENVER_platform_parameters:
        return platform_parameters(arg);
    case XENVER_get_features:
        return get_features(d, arg);
    case XENVER_pagesize:
        return PAGE_SIZE;
    case XENVER_guest_handle:
        return hw_copy_to_guest(arg, d->handle, sizeof(d->handle)) ? fail(-EFAULT) : 0;
    case XENVER_commandline:
        return put_text(arg, d->is_privileged ? hw_command_line() : "<denied>", sizeof(xen_commandline_t));
    case XENVER_build_id:
        return fail(-ENODATA);
    }
    return fail(-ENOSYS);
}

/* The version is what guests ask for when they only want a call of the hypervisor: an event is delivered on the way out. */
HYPERCALL_HANDLER(xen_version)
{
    if (likely(args[0] == XENVER_version))
        return (ABI_MAJOR << 16) | ABI_MINOR;
    return version_call(args);
}

#define ASSISTS                                                                                                        \
    ((1u << VMASST_TYPE_4gb_segments) | (1u << VMASST_TYPE_writable_pagetables) |                                      \
     (1u << VMASST_TYPE_pae_extended_cr3) | (1u << VMASST_TYPE_architectural_iopl) |                                   \
     (1u << VMASST_TYPE_runstate_update_flag))

HYPERCALL_HANDLER(vm_assist)
{
    struct domain *d = current_vcpu()->domain;

    trace(TRACE_DOMAIN, "vm_assist %lu type %lu", args[0], args[1]);
    if (args[1] >= 32 || !((ASSISTS >> args[1]) & 1))
        return fail(-EINVAL);
    if (args[0] == VMASST_CMD_enable)
        __atomic_fetch_or(&d->vm_assist, 1u << args[1], __ATOMIC_RELAXED);
    else if (args[0] == VMASST_CMD_disable)
        __atomic_fetch_and(&d->vm_assist, ~(1u << args[1]), __ATOMIC_RELAXED);
    else
        return fail(-ENOSYS);
    return 0;
}
