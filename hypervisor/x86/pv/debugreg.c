/* SPDX-License-Identifier: MIT */
/*
 * A guest's debug registers. What it sees is in pv_vcpu.dr; the processor has them while the vCPU runs and has a breakpoint
 * enabled. Breakpoints in the hypervisor's address range are refused, so none of the guest's can stop the hypervisor.
 */
#include "core/lib/fail.h"
#include "core/mem/pte.h"
#include "hypercall/hypercall.h"
#include "hw/nospec.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/pv.h"

#define DR6_FIXED   0xffff0ff0UL
#define DR6_GUEST   0xe00fUL
#define DR7_FIXED   0x400UL
#define DR7_ENABLES 0xffUL
#define DR7_GD      (1UL << 13)
#define DR7_GUEST   0xffff03ffUL /* enables, LE, GE, types and lengths */
#define CR4_DE      (1UL << 3)

/* I/O breakpoints (type 2) exist only with CR4.DE. */
static bool dr7_types_ok(const struct pv_vcpu *pv, uint64_t value)
{
    for (unsigned n = 0; n < 4; n++)
        if ((value >> (2 * n) & 3) && (value >> (16 + 4 * n) & 3) == 2 && !(pv->cr4 & CR4_DE))
            return false;
    return true;
}

void pv_load_debugregs(struct vcpu *v)
{
    struct pv_vcpu *pv = pv_of(v);

    if (!(pv->dr[7] & DR7_ENABLES))
        return;
    write_dr(0, pv->dr[0]);
    write_dr(1, pv->dr[1]);
    write_dr(2, pv->dr[2]);
    write_dr(3, pv->dr[3]);
    write_dr(6, DR6_FIXED);
    write_dr(7, pv->dr[7] | DR7_FIXED);
    pv->dr_loaded = true;
}

void pv_unload_debugregs(struct vcpu *v)
{
    if (!pv_of(v)->dr_loaded)
        return;
    write_dr(7, DR7_FIXED);
    pv_of(v)->dr_loaded = false;
}

static int set_dr7(struct vcpu *v, uint64_t value)
{
    struct pv_vcpu *pv = pv_of(v);

    if (value >> 32 || (value & DR7_GD))
        return fail(-EINVAL);
    value &= DR7_GUEST;
    if (!dr7_types_ok(pv, value))
        return fail(-EINVAL);
    pv->dr[7] = value | DR7_FIXED;
    if (v == current_vcpu()) {
        pv_unload_debugregs(v);
        pv_load_debugregs(v);
    }
    return 0;
}

int pv_set_debugreg(struct vcpu *v, unsigned reg, uint64_t value)
{
    struct pv_vcpu *pv = pv_of(v);

    switch (reg) {
    case 0:
    case 1:
    case 2:
    case 3:
        if (!va_canonical(value))
            return fail(-EINVAL);
        /* a breakpoint covers up to eight bytes */
        if (value >= HYPERVISOR_START - 7 && value < HYPERVISOR_END)
            return fail(-EPERM);
        pv->dr[reg] = value;
        if (pv->dr_loaded && v == current_vcpu())
            pv_load_debugregs(v);
        return 0;
    case 4:
    case 5:
        return pv->cr4 & CR4_DE ? fail(-ENODEV) : pv_set_debugreg(v, reg + 2, value);
    case 6:
        if (value >> 32)
            return fail(-EINVAL);
        pv->dr[6] = (value & DR6_GUEST) | DR6_FIXED;
        return 0;
    case 7:
        return set_dr7(v, value);
    default:
        return fail(-ENODEV);
    }
}

HYPERCALL_HANDLER(set_debugreg)
{
    return pv_set_debugreg(current_vcpu(), (unsigned)args[0], args[1]);
}

HYPERCALL_HANDLER(get_debugreg)
{
    struct pv_vcpu *pv = pv_of(current_vcpu());
    unsigned reg = (unsigned)args[0];

    if (reg > 7)
        return fail(-ENODEV);
    if (reg == 4 || reg == 5) {
        if (pv->cr4 & CR4_DE)
            return fail(-ENODEV);
        reg += 2;
    }
    return (int64_t)pv->dr[index_nospec(reg, ARRAY_SIZE(pv->dr))];
}
