/* SPDX-License-Identifier: MIT */
/*
 * FPU, SSE and AVX state: saved and restored whole at context switches, never lazily, so that nothing of one vCPU can be
 * seen or guessed by another. XSAVE with the mask of what the hypervisor enables (cpu_features.xcr0_mask), or FXSAVE.
 *
 * The real XCR0 is the running guest's; it is the full mask while state is saved and restored, since a guest may have
 * used a feature and disabled it again. The real CR0.TS is the running guest's, and clear in between.
 */
#include "core/lib/fail.h"
#include "core/lib/string.h"
#include "core/mem/alloc.h"
#include "hypercall/hypercall.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/pv.h"

#define FX_SIZE         512
#define FX_FCW          0
#define FX_FSW          2
#define FX_MXCSR        24
#define FX_MXCSR_MASK   28
#define XSAVE_HEADER    512 /* XSTATE_BV, XCOMP_BV */
#define XSAVE_MIN       576
#define FCW_INIT        0x37f
#define MXCSR_INIT      0x1f80
#define MXCSR_MASK_BASE 0xffbf /* of a processor that says 0 */
#define XCR0_X87        1UL
#define XCR0_SSE        2UL
#define XCR0_AVX        4UL
#define XCR0_AVX512     0xe0UL
#define VENDOR_AMD      0x68747541u /* "Auth" */
#define VENDOR_HYGON    0x6f677948u /* "Hygo" */

static uint32_t mxcsr_mask;
static bool
    leaks_fpu_pointers; /* FXRSTOR and XRSTOR leave FIP, FDP, FOP of the last user when no exception is pending */

static void xsetbv(uint64_t v)
{
    __asm__ volatile("xsetbv" ::"c"(0), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static void clts(void)
{
    __asm__ volatile("clts" ::: "memory");
}

void __init_only fpu_boot_init(void)
{
    static uint8_t area[FX_SIZE] __aligned_to(64);
    uint32_t r[4];

    clts();
    __asm__ volatile("fxsave64 %0" : "=m"(area));
    memcpy(&mxcsr_mask, area + FX_MXCSR_MASK, sizeof(mxcsr_mask));
    if (!mxcsr_mask)
        mxcsr_mask = MXCSR_MASK_BASE;
    cpuid_count(0x80000000, 0, r);
    if ((cpu_features.vendor == VENDOR_AMD || cpu_features.vendor == VENDOR_HYGON) && r[0] >= 0x80000008) {
        cpuid_count(0x80000008, 0, r);
        leaks_fpu_pointers = !(r[1] & (1u << 2));
    }
    fpu_cpu_init();
}

void fpu_cpu_init(void)
{
    clts();
    if (cpu_features.xsave)
        xsetbv(cpu_features.xcr0_mask);
}

static size_t area_size(void)
{
    return cpu_features.xsave ? MAX(cpu_features.xsave_size, XSAVE_MIN) : FX_SIZE;
}

static void set_initial(uint8_t *area)
{
    memset(area, 0, area_size());
    *(uint16_t *)(area + FX_FCW) = FCW_INIT;
    *(uint32_t *)(area + FX_MXCSR) = MXCSR_INIT;
}

int fpu_vcpu_init(struct vcpu *v)
{
    struct pv_vcpu *pv = pv_of(v);

    /* Objects of a page are page aligned; XSAVE asks for 64 bytes. */
    pv->xsave = heap_alloc(MAX(area_size(), PAGE_SIZE));
    if (!pv->xsave)
        return fail(-ENOMEM);
    set_initial(pv->xsave);
    pv->xcr0 = cpu_features.xsave ? XCR0_X87 : 0;
    return 0;
}

void fpu_vcpu_free(struct vcpu *v)
{
    heap_free(pv_of(v)->xsave);
    pv_of(v)->xsave = NULL;
}

static void open_fpu(struct pv_vcpu *pv)
{
    clts();
    if (cpu_features.xsave && pv->xcr0 != cpu_features.xcr0_mask)
        xsetbv(cpu_features.xcr0_mask);
}

void fpu_save(struct vcpu *v)
{
    struct pv_vcpu *pv = pv_of(v);

    open_fpu(pv);
    if (!cpu_features.xsave)
        __asm__ volatile("fxsave64 (%0)" ::"r"(pv->xsave) : "memory");
    else if (cpu_features.xsaveopt)
        __asm__ volatile("xsaveopt64 (%0)" ::"r"(pv->xsave), "a"(~0u), "d"(~0u) : "memory");
    else
        __asm__ volatile("xsave64 (%0)" ::"r"(pv->xsave), "a"(~0u), "d"(~0u) : "memory");
}

/* Overwrites the last instruction's pointers with our own. */
static void forget_fpu_pointers(const uint8_t *area)
{
    static const uint32_t dummy;

    if (!(*(const uint16_t *)(area + FX_FSW) & 0x80))
        __asm__ volatile("fnclex; emms; fildl %0" ::"m"(dummy));
}

/* The real XCR0 is the full mask here: fpu_save() or hw_context_switch() of an idle vCPU left it so. */
void fpu_restore(struct vcpu *v)
{
    struct pv_vcpu *pv = pv_of(v);

    clts();
    if (leaks_fpu_pointers)
        forget_fpu_pointers(pv->xsave);
    if (cpu_features.xsave)
        __asm__ volatile("xrstor64 (%0)" ::"r"(pv->xsave), "a"(~0u), "d"(~0u) : "memory");
    else
        __asm__ volatile("fxrstor64 (%0)" ::"r"(pv->xsave) : "memory");
    if (cpu_features.xsave && pv->xcr0 != cpu_features.xcr0_mask)
        xsetbv(pv->xcr0);
    if (pv->ts)
        fpu_set_ts(v, true);
}

void fpu_set_ts(struct vcpu *v, bool ts)
{
    pv_of(v)->ts = ts;
    if (ts)
        write_cr(0, read_cr(0) | CR0_TS);
    else
        clts();
}

static bool xcr0_ok(uint64_t value)
{
    if (!(value & XCR0_X87) || (value & ~cpu_features.xcr0_mask))
        return false;
    if ((value & XCR0_AVX) && !(value & XCR0_SSE))
        return false;
    return !(value & XCR0_AVX512) || ((value & XCR0_AVX512) == XCR0_AVX512 && (value & XCR0_AVX));
}

bool fpu_set_xcr0(struct vcpu *v, uint64_t value)
{
    if (!cpu_features.xsave || !xcr0_ok(value))
        return false;
    pv_of(v)->xcr0 = value;
    xsetbv(value);
    return true;
}

/* From and to the legacy area of a guest context; what cannot be in it starts clean. The area must never make XRSTOR
 * fault: MXCSR's reserved bits are cleared, the header is ours. */
void fpu_set_context(struct vcpu *v, const struct vcpu_guest_context *ctxt)
{
    uint8_t *area = pv_of(v)->xsave;

    set_initial(area);
    if (!(ctxt->flags & VGCF_I387_VALID))
        return;
    memcpy(area, ctxt->fpu_ctxt.x, FX_SIZE);
    *(uint32_t *)(area + FX_MXCSR) &= mxcsr_mask;
    if (cpu_features.xsave)
        *(uint64_t *)(area + XSAVE_HEADER) = XCR0_X87 | XCR0_SSE;
}

void fpu_get_context(struct vcpu *v, struct vcpu_guest_context *ctxt)
{
    const uint8_t *area = pv_of(v)->xsave;
    uint64_t present = cpu_features.xsave ? *(const uint64_t *)(area + XSAVE_HEADER) : XCR0_X87 | XCR0_SSE;

    memcpy(ctxt->fpu_ctxt.x, area, FX_SIZE);
    if (!(present & XCR0_X87)) { /* in its initial state, and not written by XSAVE */
        memset(ctxt->fpu_ctxt.x, 0, FX_MXCSR);
        memset(ctxt->fpu_ctxt.x + 32, 0, 128);
        *(uint16_t *)(ctxt->fpu_ctxt.x + FX_FCW) = FCW_INIT;
    }
    if (!(present & XCR0_SSE))
        memset(ctxt->fpu_ctxt.x + 160, 0, 256);
    ctxt->flags |= VGCF_I387_VALID;
}

/* ---- The state as the tools keep it: two words of features, then the area ---- */

struct xstate_head {
    uint64_t xcr0, xcr0_ever;
};

size_t hw_xstate_size(uint64_t *mask)
{
    *mask = cpu_features.xsave ? cpu_features.xcr0_mask : 0;
    return cpu_features.xsave ? sizeof(struct xstate_head) + area_size() : 0;
}

void hw_vcpu_get_xstate(struct vcpu *v, void *buf)
{
    const struct pv_vcpu *pv = pv_of(v);
    struct xstate_head head = {pv->xcr0, cpu_features.xcr0_mask};

    memcpy(buf, &head, sizeof(head));
    memcpy((uint8_t *)buf + sizeof(head), pv->xsave, area_size());
}

/* XRSTOR faults on features that are not there, the compacted form, and anything else in the header. */
static bool area_ok(const uint8_t *area)
{
    static const uint64_t none[6];
    uint64_t header[8];

    memcpy(header, area + XSAVE_HEADER, sizeof(header));
    return !(header[0] & ~cpu_features.xcr0_mask) && !header[1] && !memcmp(header + 2, none, sizeof(none));
}

int hw_vcpu_set_xstate(struct vcpu *v, const void *buf, size_t size)
{
    const uint8_t *from = (const uint8_t *)buf + sizeof(struct xstate_head);
    struct pv_vcpu *pv = pv_of(v);
    struct xstate_head head;
    uint8_t *area = pv->xsave;

    if (!cpu_features.xsave || size < sizeof(head) + XSAVE_MIN || size > sizeof(head) + area_size())
        return fail(-EINVAL);
    memcpy(&head, buf, sizeof(head));
    if (!xcr0_ok(head.xcr0) || (head.xcr0_ever & ~cpu_features.xcr0_mask) || !area_ok(from))
        return fail(-EINVAL);
    memset(area, 0, area_size());
    memcpy(area, from, size - sizeof(head));
    *(uint32_t *)(area + FX_MXCSR) &= mxcsr_mask;
    pv->xcr0 = head.xcr0;
    return 0;
}

HYPERCALL_HANDLER(fpu_taskswitch)
{
    fpu_set_ts(current_vcpu(), (int)args[0] != 0);
    return 0;
}
