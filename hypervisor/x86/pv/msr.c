/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers as a PV guest kernel sees them: its segment bases, which are really the processor's; a few fixed
 * answers; for the domain that drives the hardware a few of the machine's, read-only. Everything else does not exist.
 */
#include "core/mem/pte.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/pv.h"

#define MSR_TSC         0x10
#define MSR_UCODE_REV   0x8b
#define MSR_PLATFORM    0xce
#define MSR_MISC_ENABLE 0x1a0
#define MSR_PERF_STATUS 0x198
#define MSR_SYSCFG      0xc0010010
#define MSR_HWCR        0xc0010015
#define MSR_TOP_MEM     0xc001001a
#define MSR_TOP_MEM2    0xc001001d
#define MSR_NB_CFG      0xc001001f
#define MSR_DE_CFG      0xc0011029
#define MSR_MMIO_CONF   0xc0010058
#define APIC_BASE_BSP   (1UL << 8)
#define APIC_BASE_VALUE 0xfee00800UL
#define DE_CFG_LFENCE   (1UL << 1) /* LFENCE waits for all before it */
#define VENDOR_INTEL    0x756e6547u
#define EFER_GUEST      (EFER_SCE | EFER_LME | EFER_LMA | EFER_NX)
#define MISC_ENABLE_HIDE                                                                                               \
    ((1UL << 7) | (1UL << 11) | (1UL << 12) | (1UL << 16) | (1UL << 18)) /* PMU, BTS, PEBS, EIST, MWAIT */

/* The inactive GS base is the other mode's: KERNEL_GS_BASE by the SWAPGS between the modes. */
static bool base_msr(uint32_t msr)
{
    return msr == MSR_FS_BASE || msr == MSR_GS_BASE || msr == MSR_KERNEL_GS_BASE;
}

static bool read_amd(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    if (cpu_features.vendor == VENDOR_INTEL)
        return false;
    switch (msr) {
    case MSR_HWCR:
        *value = 0;
        return true;
    case MSR_DE_CFG:
        *value = DE_CFG_LFENCE;
        return true;
    case MSR_SYSCFG:
    case MSR_TOP_MEM:
    case MSR_TOP_MEM2:
    case MSR_NB_CFG:
    case MSR_MMIO_CONF:
        return v->domain->is_hardware && rdmsr_safe(msr, value);
    default:
        return false;
    }
}

static bool read_intel(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    if (cpu_features.vendor != VENDOR_INTEL)
        return false;
    switch (msr) {
    case MSR_MISC_ENABLE:
        if (!rdmsr_safe(msr, value))
            return false;
        *value = (*value & ~MISC_ENABLE_HIDE) | (1UL << 11) | (1UL << 12); /* no BTS, no PEBS */
        return true;
    case MSR_PLATFORM:
        *value = 0;
        return true;
    default:
        return false;
    }
}

bool pv_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    if (base_msr(msr)) {
        *value = rdmsr(msr);
        return true;
    }
    switch (msr) {
    case MSR_EFER:
        *value = EFER_GUEST;
        return true;
    case MSR_PAT:
        *value = PAT_VALUE;
        return true;
    case MSR_APIC_BASE:
        *value = APIC_BASE_VALUE | (v->id ? 0 : APIC_BASE_BSP);
        return true;
    case MSR_TSC:
        *value = rdtsc();
        return true;
    case MSR_UCODE_REV:
        return rdmsr_safe(msr, value);
    case MSR_PERF_STATUS:
        *value = 0;
        return true;
    case MSR_TSC_AUX:
        *value = pv_of(v)->msr_tsc_aux;
        return cpu_features.rdtscp;
    default:
        return read_amd(v, msr, value) || read_intel(v, msr, value);
    }
}

bool pv_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value)
{
    if (base_msr(msr)) {
        if (!va_canonical(value))
            return false;
        wrmsr(msr, value);
        return true;
    }
    switch (msr) {
    case MSR_EFER:
        return value == EFER_GUEST;
    case MSR_UCODE_REV: /* a write of 0 before the revision is read */
        return !value;
    case MSR_TSC_AUX:
        if (!cpu_features.rdtscp || value >> 32)
            return false;
        pv_of(v)->msr_tsc_aux = (uint32_t)value;
        wrmsr(MSR_TSC_AUX, value);
        return true;
    case MSR_HWCR:
        return cpu_features.vendor != VENDOR_INTEL;
    case MSR_MISC_ENABLE:
        return cpu_features.vendor == VENDOR_INTEL;
    default:
        return false;
    }
}
