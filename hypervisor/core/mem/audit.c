/* SPDX-License-Identifier: MIT */
/*
 * The audit (audit.h): what every frame's counts and type should be is computed anew from all that may hold a reference, and
 * compared with its refs word.
 *
 *   plain      FR_ALLOC; read-only L1 entries; read-only grant mappings; the own one of shared_info and grant frames
 *   writable   RW L1 entries; writable grant mappings; vcpu_info frames; event FIFO frames; shared_info and grant frames
 *   L1..L4     entries of the level above; pins; roots and pending drops of vCPUs; a table parked with nobody's count
 *   DESC       the machine's part of a vCPU (GDT, LDT)
 *
 * Also checked: entries of tables have the form that we give them; page lists hold exactly the allocated frames.
 *
 * The expected counts are computed for a slice of frames at a time, for a table of all would be a third of the frame
 * table; each slice walks all page tables. Locks: the memory lock while a page list is walked. One audit at a time
 * (audit_machine() sees to that; tests have one thread).
 */
#include "core/mem/audit.h"
#include "core/mem/alloc.h"
#include "core/mem/entry.h"
#include "core/mem/refs.h"
#include "core/domain/domain.h"
#include "core/event/event.h"
#include "core/grant/grant.h"
#include "core/lib/print.h"
#include "core/lib/string.h"

#define SLICE_ORDER_MAX 9 /* 2 MiB: 262,144 frames at once */
#define PRINT_MAX       10
#define KIND_SHIFT      24 /* in expected.typed: count below, a bit per type above */

struct expected {
    uint32_t plain, typed;
};

static struct {
    struct expected *slice;
    uint64_t first, count; /* frames of the slice */
    bool print, first_pass;
    uint64_t allocated, listed;
    struct audit_result result;
} audit;

static bool report(void)
{
    return ++audit.result.violations <= PRINT_MAX && audit.print;
}

/* ---- Collecting what is expected ---- */

static struct expected *expected_of(const struct frame *f)
{
    uint64_t i = frame_mfn(f).n - audit.first;

    return i < audit.count ? &audit.slice[i] : NULL;
}

static void expect_plain(struct frame *f)
{
    struct expected *e = expected_of(f);

    if (e)
        e->plain++;
}

static void expect_type(struct frame *f, enum frame_type type, void *unused)
{
    struct expected *e = expected_of(f);

    if (e) {
        e->typed++;
        e->typed |= 1u << (KIND_SHIFT + type);
    }
}

static void expect_grant(struct frame *f, bool writable, void *unused)
{
    if (writable)
        expect_type(f, FT_WRITABLE, NULL);
    else
        expect_plain(f);
}

static void expect_event_frame(struct frame *f, void *unused)
{
    expect_type(f, FT_WRITABLE, NULL);
}

static void bad_entry(struct frame *table, unsigned index, pte_t e)
{
    if (audit.first_pass && report())
        print_raw("(HV) audit: table %lx entry %u holds %016lx\n", frame_mfn(table).n, index, e);
}

static void expect_l1_entry(struct frame *table, unsigned index, pte_t e)
{
    mfn_t mfn = pte_mfn(e);

    if (!(e & PTE_US) || (e & PTE_G))
        bad_entry(table, index, e);
    if (!mfn_valid(mfn) || frame_owner(frame_of(mfn)) == FRAME_OWNER_IO)
        return;
    if (e & PTE_RW)
        expect_type(frame_of(mfn), FT_WRITABLE, NULL);
    else
        expect_plain(frame_of(mfn));
}

static void expect_upper_entry(struct frame *table, unsigned level, unsigned index, pte_t e)
{
    if (!(e & PTE_US) || !upper_entry_bits_ok(e) || !mfn_valid(pte_mfn(e)))
        bad_entry(table, index, e);
    else
        expect_type(frame_of(pte_mfn(e)), (enum frame_type)(level - 1), NULL);
}

/* Most tables are sparse. */
static bool eight_empty(const pte_t *p)
{
    return !(p[0] | p[1] | p[2] | p[3] | p[4] | p[5] | p[6] | p[7]);
}

static void expect_table(struct frame *f, unsigned level, unsigned entries)
{
    const pte_t *table = hw_frame_va(frame_mfn(f));

    for (unsigned i = 0; i < entries; i++) {
        pte_t e = __atomic_load_n(&table[i], __ATOMIC_RELAXED);
        if (!(i % 8) && eight_empty(&table[i])) {
            i += 7;
            continue;
        }
        if (!(e & PTE_P) || l4_reserved(level, i))
            continue;
        if (level == 1)
            expect_l1_entry(f, i, e);
        else
            expect_upper_entry(f, level, i, e);
    }
    if (audit.first_pass)
        audit.result.tables++;
}

/* What a frame expects of itself and, as a table, of others. */
static void expect_from_frame(struct frame *f)
{
    uint64_t refs = refs_load(f);
    enum frame_type type = refs_type(refs);
    enum type_state state = refs_state(refs);

    if (!owner_is_domain(frame_owner(f)) || !(refs & FR_COUNTS_MASK))
        return;
    if (refs & FR_ALLOC)
        expect_plain(f);
    if (refs & FR_PINNED)
        expect_type(f, type, NULL);
    if (!type_is_table(type) || state == TS_NONE)
        return;
    if (state == TS_PARKED_UP || state == TS_PARKED_UNDO)
        expect_type(f, type, NULL); /* the count that is nobody's */
    expect_table(f, type, state == TS_VALID ? 512 : (unsigned)f->stamp);
}

static void expect_vcpu(struct vcpu *v)
{
    mfn_t roots[] = {v->kernel_l4, v->user_l4};

    for (unsigned i = 0; i < ARRAY_SIZE(roots); i++)
        if (!mfn_eq(roots[i], INVALID_MFN))
            expect_type(frame_of(roots[i]), FT_L4, NULL);
    if (v->info_frame)
        expect_type(v->info_frame, FT_WRITABLE, NULL);
    hw_vcpu_for_each_ref(v, expect_type, NULL);
}

static void expect_drops(struct vcpu *v)
{
    for (unsigned i = 0; i < ARRAY_SIZE(v->dropping); i++)
        if (v->dropping[i])
            expect_type(v->dropping[i], frame_type(v->dropping[i]), NULL);
}

static void expect_shared(mfn_t mfn)
{
    if (!mfn_valid(mfn))
        return;
    expect_plain(frame_of(mfn));
    expect_type(frame_of(mfn), FT_WRITABLE, NULL);
}

static void expect_from_domain(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu (d, v, i) {
        expect_vcpu(v);
        expect_drops(v);
    }
    if (d->shared_info)
        expect_shared(d->shared_info_mfn);
    for (unsigned i = 0; d->grants && i < grant_frames_count(d); i++)
        expect_shared(grant_frame_mfn(d, i));
    if (d->grants)
        grant_for_each_mapping(d, expect_grant, NULL);
    if (d->events)
        evtchn_for_each_frame(d, expect_event_frame, NULL);
}

/* ---- Comparing ---- */

static void compare(struct frame *f, const struct expected *e)
{
    uint64_t refs = refs_load(f);
    uint32_t typed = e->typed & ((1u << KIND_SHIFT) - 1), kinds = e->typed >> KIND_SHIFT;
    uint16_t owner = frame_owner(f);
    uint64_t plain = owner == FRAME_OWNER_HYPERVISOR ? e->plain + 1 : e->plain;
    bool ok;

    if (owner == FRAME_OWNER_IO)
        return;
    ok = frame_pcount(refs) == plain && frame_tcount(refs) == typed;
    if ((refs & FR_FELL) && !(refs_type(refs) == FT_WRITABLE && frame_tcount(refs)))
        ok = false;
    if (refs & FR_COUNTS_MASK)
        ok = ok && !(kinds & ~(1u << refs_type(refs))) && refs_state(refs) != TS_BUSY;
    else
        ok = ok && owner == FRAME_OWNER_NONE;
    if (owner_is_domain(owner) && (refs & FR_ALLOC))
        audit.allocated++;
    if (!ok && report())
        print_raw("(HV) audit: frame %lx of domain %u: refs %016lx (plain %lu, typed %lu), "
                  "expected plain %lu, typed %u of kinds %x\n",
                  frame_mfn(f).n, owner, refs, frame_pcount(refs), frame_tcount(refs), plain, typed, kinds);
}

static void audit_page_list(struct domain *d)
{
    uint64_t n = 0;

    spin_lock(&d->memory_lock);
    for (uint32_t m = d->page_list; m && n <= d->pages_count; m = frame_of(MFN(m))->next, n++) {
        struct frame *f = frame_of(MFN(m));
        if ((frame_owner(f) != d->id || !(refs_load(f) & FR_ALLOC)) && report())
            print_raw("(HV) audit: frame %x on the page list of domain %u is not its\n", m, d->id);
    }
    if (n != d->pages_count && report())
        print_raw("(HV) audit: domain %u has %lu pages but %lu listed\n", d->id, d->pages_count, n);
    spin_unlock(&d->memory_lock);
    audit.listed += n;
}

/* ---- Running ---- */

static void audit_slice(void)
{
    unsigned cpu;

    memset(audit.slice, 0, audit.count * sizeof(audit.slice[0]));
    for (uint64_t m = 0; m < hw_frames_max; m++)
        if (mfn_valid(MFN(m)))
            expect_from_frame(frame_of(MFN(m)));
    for (struct domain *d = domain_next(NULL); d; d = domain_next(d)) {
        expect_from_domain(d);
        if (audit.first_pass)
            audit_page_list(d);
    }
    for_each_cpu (cpu, &cpus_online)
        expect_drops(pcpus[cpu]->idle);
    for (uint64_t i = 0; i < audit.count; i++) {
        mfn_t mfn = MFN(audit.first + i);
        if (!mfn_valid(mfn))
            continue;
        audit.result.frames++;
        compare(frame_of(mfn), &audit.slice[i]);
    }
    audit.first_pass = false;
}

struct audit_result audit_run(bool print)
{
    unsigned order = SLICE_ORDER_MAX;
    mfn_t memory = INVALID_MFN;

    while (order && (PAGE_SIZE << (order - 1)) / sizeof(struct expected) >= hw_frames_max)
        order--; /* no more than one slice takes */
    while (mfn_eq(memory = alloc_frames(order, 0), INVALID_MFN) && order)
        order--;
    memset(&audit, 0, sizeof(audit));
    audit.print = print;
    audit.first_pass = true;
    if (mfn_eq(memory, INVALID_MFN)) {
        if (print)
            print_raw("(HV) audit: no memory for it\n");
        return audit.result;
    }
    audit.slice = hw_frame_va(memory);
    for (uint64_t step = (PAGE_SIZE << order) / sizeof(struct expected); audit.first < hw_frames_max;
         audit.first += step) {
        audit.count = MIN(step, hw_frames_max - audit.first);
        audit_slice();
    }
    free_frames(memory, order);
    if (audit.allocated != audit.listed && report())
        print_raw("(HV) audit: %lu frames allocated, %lu on page lists\n", audit.allocated, audit.listed);
    return audit.result;
}
