/* SPDX-License-Identifier: MIT */
/*
 * GDT and LDT of PV vCPUs: which frames are in use, each held by a descriptor-type reference, and the windows of each CPU
 * through which the processor sees those of the vCPU that it runs. LDT pages are mapped when first used, since most vCPUs
 * have no LDT and those that have use little of it. The windows belong to their CPU alone: no lock. A frame's window entry
 * goes before its reference does.
 *
 * The windows are writable (for the processor's accessed bit) and the hypervisor's alone (no user bit).
 */
#include "core/lib/fail.h"
#include "core/mem/alloc.h"
#include "core/mem/pte.h"
#include "core/mem/type.h"
#include "hypercall/hypercall.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/pv.h"
#include "x86/trap/trap.h"

#define DESCS_PER_PAGE 512
#define GDT_MAX        (FIRST_RESERVED_GDT_SEL / 8)
#define LDT_MAX        8192
#define WINDOW_FLAGS   (PTE_P | PTE_RW | PTE_A | PTE_D | PTE_NX)
#define LDT_DESC_TYPE  0x82UL /* present, DPL 0, LDT */

/* Entries of the LDT that this CPU's LDTR covers. */
static unsigned ldtr_entries[MAX_CPUS];

/* What the GDT window shows where the guest has no frames: LAR and the like look at any selector, and must not fault. */
static pte_t blank_page;

static pte_t window_pte(const struct frame *f)
{
    return pte_make(frame_mfn(f), WINDOW_FLAGS);
}

static void set_window(uint64_t *ptes, unsigned page, uint64_t window_va, pte_t want)
{
    if (ptes[page] == want)
        return;
    ptes[page] = want;
    __asm__ volatile("invlpg %0" ::"m"(*(char *)(window_va + page * PAGE_SIZE)) : "memory");
}

static unsigned gdt_pages(const struct pv_vcpu *pv)
{
    return DIV_ROUND_UP(pv->gdt_entries, DESCS_PER_PAGE);
}

static void load_gdt(struct x86_cpu *c, struct pv_vcpu *pv)
{
    unsigned pages = gdt_pages(pv);

    for (unsigned i = 0; i < MAX(pages, c->gdt_pages_mapped); i++)
        set_window(c->gdt_ptes, i, c->percpu_va + PERCPU_GDT, i < pages ? window_pte(pv->gdt_frames[i]) : blank_page);
    c->gdt_pages_mapped = pages;
}

void pv_descriptor_cpu_init(struct x86_cpu *c)
{
    if (!blank_page) {
        mfn_t m = alloc_zeroed_frame();

        if (mfn_eq(m, INVALID_MFN))
            panic("no memory for a page of descriptors");
        blank_page = pte_make(m, PTE_P | PTE_A | PTE_NX);
    }
    for (unsigned i = 0; i < GDT_MAX / DESCS_PER_PAGE; i++)
        set_window(c->gdt_ptes, i, c->percpu_va + PERCPU_GDT, blank_page);
}

/* Clears the LDT window; the LDTR gets the new limit. LLDT reads the descriptor, so it comes after that is written. */
static void load_ldt(struct x86_cpu *c, unsigned entries)
{
    uint64_t base = c->percpu_va + PERCPU_LDT, limit = (uint64_t)entries * 8 - 1;
    uint64_t *desc = &c->gdt_own[(HV_LDT - FIRST_RESERVED_GDT_SEL) / 8];

    for (unsigned i = 0; i < c->ldt_pages_mapped; i++)
        set_window(c->ldt_ptes, i, base, 0);
    c->ldt_pages_mapped = 0;
    if (!entries && !ldtr_entries[c->core.id])
        return;
    ldtr_entries[c->core.id] = entries;
    if (entries) {
        desc[0] = (limit & 0xffff) | (base & 0xffffff) << 16 | LDT_DESC_TYPE << 40 | (limit >> 16) << 48 |
                  (base >> 24 & 0xff) << 56;
        desc[1] = base >> 32;
    }
    __asm__ volatile("lldt %w0" ::"r"(entries ? HV_LDT : 0) : "memory");
}

void pv_load_descriptor_tables(struct vcpu *v)
{
    struct x86_cpu *c = this_x86_cpu();

    load_gdt(c, pv_of(v));
    load_ldt(c, pv_of(v)->ldt_entries);
}

static void put_frames(struct frame **frames, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (frames[i] && type_put(frames[i], false))
            BUG(); /* descriptor pages never park */
        frames[i] = NULL;
    }
}

/* A descriptor-type reference on a frame of the domain's. */
static int get_frame(struct domain *d, mfn_t mfn, struct frame **out)
{
    struct frame *f = frame_get_owned(mfn, d->id);
    int rc;

    if (!f)
        return fail(-EINVAL);
    rc = type_get(d, f, FT_DESC);
    frame_put(f);
    if (!rc)
        *out = f;
    return rc == -ERESTART || !rc ? rc : fail(-EINVAL);
}

/* Takes all frames of the coming GDT. What a call that was cut has taken is there still, if it is what is wanted. */
static int take_coming(struct vcpu *v, const uint64_t *mfns, unsigned pages)
{
    struct frame **coming = pv_of(v)->gdt_coming;

    for (unsigned i = 0; i < pages; i++) {
        int rc;

        if (coming[i] && mfn_eq(frame_mfn(coming[i]), MFN(mfns[i])))
            continue;
        put_frames(&coming[i], 1);
        rc = get_frame(v->domain, MFN(mfns[i]), &coming[i]);
        if (rc)
            return rc;
        if (i + 1 < pages && hw_preempt_check())
            return -ERESTART;
    }
    return 0;
}

int pv_set_gdt(struct vcpu *v, const uint64_t *mfns, unsigned entries)
{
    struct pv_vcpu *pv = pv_of(v);
    unsigned pages = DIV_ROUND_UP(entries, DESCS_PER_PAGE);
    struct frame *old[ARRAY_SIZE(pv->gdt_frames)];
    int rc;

    if (entries > GDT_MAX)
        return fail(-EINVAL);
    rc = take_coming(v, mfns, pages);
    if (!rc) {
        put_frames(pv->gdt_coming + pages, ARRAY_SIZE(old) - pages);
        memcpy(old, pv->gdt_frames, sizeof(old));
        memcpy(pv->gdt_frames, pv->gdt_coming, sizeof(old));
        memcpy(pv->gdt_coming, old, sizeof(old));
        pv->gdt_entries = entries;
        if (v == current_vcpu())
            load_gdt(this_x86_cpu(), pv);
    }
    if (rc != -ERESTART)
        put_frames(pv->gdt_coming, ARRAY_SIZE(pv->gdt_coming));
    return rc;
}

int pv_set_ldt(struct vcpu *v, uint64_t base, unsigned entries)
{
    struct pv_vcpu *pv = pv_of(v);

    if (!entries && !pv->ldt_entries)
        return 0;
    if (entries > LDT_MAX || (entries && ((base & ~PAGE_MASK) || !guest_range_ok(base, entries * 8UL))))
        return fail(-EINVAL);
    pv->ldt_base = entries ? base : 0;
    pv->ldt_entries = entries;
    if (v == current_vcpu())
        load_ldt(this_x86_cpu(), entries);
    put_frames(pv->ldt_frames, ARRAY_SIZE(pv->ldt_frames));
    return 0;
}

int hw_set_ldt(struct vcpu *v, uint64_t base, unsigned entries)
{
    return pv_set_ldt(v, base, entries);
}

bool pv_map_ldt_page(struct vcpu *v, unsigned page)
{
    struct x86_cpu *c = this_x86_cpu();
    struct pv_vcpu *pv = pv_of(v);
    struct frame **f = &pv->ldt_frames[page];

    if (page * DESCS_PER_PAGE >= pv->ldt_entries)
        return false;
    if (!*f) {
        mfn_t mfn = pv_kernel_va_frame(v, pv->ldt_base + page * PAGE_SIZE);

        if (mfn_eq(mfn, INVALID_MFN) || get_frame(v->domain, mfn, f))
            return false;
    }
    if (c->ldt_ptes[page] == window_pte(*f))
        return false; /* it is there: the fault was about something else */
    set_window(c->ldt_ptes, page, c->percpu_va + PERCPU_LDT, window_pte(*f));
    c->ldt_pages_mapped = MAX(c->ldt_pages_mapped, page + 1);
    return true;
}

void pv_release_descriptor_tables(struct vcpu *v)
{
    struct pv_vcpu *pv = pv_of(v);

    put_frames(pv->gdt_frames, ARRAY_SIZE(pv->gdt_frames));
    put_frames(pv->gdt_coming, ARRAY_SIZE(pv->gdt_coming));
    put_frames(pv->ldt_frames, ARRAY_SIZE(pv->ldt_frames));
    pv->gdt_entries = pv->ldt_entries = 0;
}

/* The vCPU may run. */
static void for_each_desc(struct frame *const *frames, unsigned count,
                          void (*fn)(struct frame *f, enum frame_type type, void *arg), void *arg)
{
    for (unsigned i = 0; i < count; i++) {
        struct frame *f = __atomic_load_n(&frames[i], __ATOMIC_RELAXED);

        if (f)
            fn(f, FT_DESC, arg);
    }
}

void hw_vcpu_for_each_ref(struct vcpu *v, void (*fn)(struct frame *f, enum frame_type type, void *arg), void *arg)
{
    struct pv_vcpu *pv = pv_of(v);
    struct frame *eoi_map = pv_domain_of(v->domain)->pirq_eoi_map;

    for_each_desc(pv->gdt_frames, ARRAY_SIZE(pv->gdt_frames), fn, arg);
    for_each_desc(pv->gdt_coming, ARRAY_SIZE(pv->gdt_coming), fn, arg);
    for_each_desc(pv->ldt_frames, ARRAY_SIZE(pv->ldt_frames), fn, arg);
    if (!v->id && eoi_map)
        fn(eoi_map, FT_WRITABLE, arg);
}

bool pv_window_fault(struct vcpu *v, uint64_t va, bool *ldt, unsigned *offset)
{
    uint64_t start = this_x86_cpu()->percpu_va + PERCPU_GDT;

    if (va < start || va >= start + (PERCPU_LDT - PERCPU_GDT) + 16 * PAGE_SIZE)
        return false;
    *ldt = va >= start + (PERCPU_LDT - PERCPU_GDT);
    *offset = (unsigned)(va - start) - (*ldt ? PERCPU_LDT - PERCPU_GDT : 0);
    return true;
}

bool pv_read_segment(struct vcpu *v, uint16_t selector, struct pv_segment *s)
{
    struct x86_cpu *c = this_x86_cpu();
    unsigned index = selector >> 3;
    uint64_t desc, table;

    if (selector == FLAT_CS64) {
        *s = (struct pv_segment){.limit = ~0UL, .code64 = true};
        return true;
    }
    if (selector & 4) {
        if (index >= pv_of(v)->ldt_entries)
            return false;
        table = c->percpu_va + PERCPU_LDT;
    } else {
        if (!index || index >= HV_GDT_END / 8)
            return false;
        table = c->percpu_va + PERCPU_GDT;
    }
    if (copy_unsafe(&desc, (const void *)(table + index * 8UL), sizeof(desc)))
        return false;
    if ((desc >> 44 & 9) != 9) /* present, not a system descriptor */
        return false;
    s->base = (desc >> 16 & 0xffffff) | (desc >> 56) << 24;
    s->limit = (desc & 0xffff) | (desc >> 32 & 0xf0000);
    if (desc >> 55 & 1)
        s->limit = s->limit << 12 | 0xfff;
    s->code64 = (desc >> 43 & 1) && (desc >> 53 & 1);
    s->code32 = (desc >> 43 & 1) && !s->code64 && (desc >> 54 & 1);
    return true;
}

uint16_t pv_read_selector(unsigned segment)
{
    uint16_t sel = 0;

    switch (segment) {
    case SEG_ES:
        __asm__ volatile("mov %%es, %0" : "=r"(sel));
        break;
    case SEG_DS:
        __asm__ volatile("mov %%ds, %0" : "=r"(sel));
        break;
    case SEG_FS:
        __asm__ volatile("mov %%fs, %0" : "=r"(sel));
        break;
    case SEG_GS:
        __asm__ volatile("mov %%gs, %0" : "=r"(sel));
        break;
    default:
        break;
    }
    return sel;
}

HYPERCALL_HANDLER(set_gdt)
{
    struct vcpu *v = current_vcpu();
    uint64_t frames = args[0], mfns[ARRAY_SIZE(pv_of(v)->gdt_frames)];
    unsigned entries = (unsigned)args[1], pages = DIV_ROUND_UP(entries, DESCS_PER_PAGE);
    int rc;

    trace(TRACE_MMU, "set_gdt: %u entries", entries);
    if (args[1] > GDT_MAX)
        return fail(-EINVAL);
    if (hw_copy_from_guest(mfns, frames, pages * sizeof(mfns[0])))
        return fail(-EFAULT);
    rc = pv_set_gdt(v, mfns, entries);
    return rc == -ERESTART ? hw_hypercall_continue(__HYPERVISOR_set_gdt, 2, args) : rc;
}
