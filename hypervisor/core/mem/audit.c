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
 * It is done in steps of some thousand instructions. The expected counts are kept for as many frames as there is memory for at a
 * time (a pass); each pass walks all page tables:
 *
 *   CLEAR -> SETTLE -> FRAMES -> DOMAINS -> LISTS -> COMPARE <-> JUDGE ... -> the next pass, or FINISH -> over
 *
 * While domains run (`live`), a frame whose references change is marked before they do (audit_note() in refs.h):
 *  A1 Once all CPUs have been seen between two operations after marking began (SETTLE), nobody changes a frame without marking it.
 *  A2 So for a frame without a mark since then, all that holds references to it has stayed as it is, and when each holder was
 *     looked at does not matter. Marked frames are not judged, but counted.
 *  A3 A table stays valid while it is read, and its entries count, unless its type or state turns; that has a mark of its own, made
 *     before. Then it decides nothing: what it seems to name is marked. What it held and no longer names was given back, and
 *     marked by that.
 *  A4 A difference is a suspicion until all CPUs have been between two operations once more: who was about to change a frame has
 *     marked it by then.
 *
 * Locks: memory and event locks for a few thousand instructions. One audit at a time (audit_machine.c sees to that; tests have
 * one thread).
 */
#include "core/mem/audit.h"
#include "core/mem/alloc.h"
#include "core/mem/entry.h"
#include "core/mem/ordinary.h"
#include "core/mem/refs.h"
#include "core/domain/domain.h"
#include "core/event/event.h"
#include "core/grant/grant.h"
#include "core/lib/print.h"
#include "core/lib/string.h"

#define BLOCK_ORDER_MAX 9 /* 2 MiB: 262,144 frames */
#define BLOCKS_MAX      8
#define MARKS_ORDER     7 /* two times 256 KiB: 2^21 frames; with more, some share a mark */
#define MARKS_BITS      (((PAGE_SIZE << MARKS_ORDER) / 2) * 8)
#define STEP_FRAMES     192
#define STEP_PAGES      8  /* cleared */
#define TABLE_PART      96 /* entries of a table */
#define SUSPECTS_MAX    32
#define PRINT_MAX       10
#define KIND_SHIFT      24 /* in expected.typed: count below, a bit per type above */

struct expected {
    uint32_t plain, typed;
};

enum phase { CLEAR, SETTLE, FRAMES, DOMAINS, LISTS, COMPARE, JUDGE, FINISH, OVER };

bool audit_marking;

static struct {
    enum phase phase;
    bool live, print, first_pass;
    struct expected *blocks[BLOCKS_MAX];
    unsigned blocks_count, order;
    uint64_t *marks;           /* live only; MARKS_BITS changed, as many turned */
    uint64_t first, count;     /* frames of the pass */
    uint64_t at;               /* how far the phase has come: a frame, a page, a domain */
    uint64_t part, listed_now; /* how far within the domain */
    uint32_t list_changes;
    struct frame *suspects[SUSPECTS_MAX];
    unsigned suspects_count;
    uint64_t allocated, listed;
    pte_t table[512]; /* the entries of the one that is looked at */
    struct audit_result result;
} audit;

static unsigned mark_of(const struct frame *f)
{
    return frame_mfn(f).n & (MARKS_BITS - 1);
}

void audit_mark(struct frame *f, bool turns)
{
    if (turns)
        bit_test_set_atomic(audit.marks, (unsigned)MARKS_BITS + mark_of(f));
    bit_test_set_atomic(audit.marks, mark_of(f));
}

static bool marked(const struct frame *f)
{
    return audit.live && bit_test(audit.marks, mark_of(f));
}

static bool has_turned(const struct frame *f)
{
    return audit.live && bit_test(audit.marks, (unsigned)MARKS_BITS + mark_of(f));
}

static bool report(void)
{
    return ++audit.result.violations <= PRINT_MAX && audit.print;
}

/* ---- Collecting what is expected ---- */

/* NULL: not in this pass. */
static struct expected *expected_of(const struct frame *f)
{
    uint64_t i = frame_mfn(f).n - audit.first, per_block = PAGE_SIZE / sizeof(struct expected) << audit.order;

    return i < audit.count ? &audit.blocks[i / per_block][i % per_block] : NULL;
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

static void expect_grant(struct frame *f, bool writable)
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

static void expect_entry(struct frame *table, unsigned level, unsigned index, pte_t e)
{
    if (has_turned(table)) { /* A3 */
        if (mfn_valid(pte_mfn(e)))
            audit_mark(frame_of(pte_mfn(e)), false);
    } else if (level == 1) {
        expect_l1_entry(table, index, e);
    } else {
        expect_upper_entry(table, level, index, e);
    }
}

/* Entries [first, end) of a table. */
static void expect_table(struct frame *f, unsigned level, unsigned first, unsigned end)
{
    const pte_t *table = hw_frame_va(frame_mfn(f));

    for (unsigned i = first; i < end; i++)
        audit.table[i] = __atomic_load_n(&table[i], __ATOMIC_ACQUIRE);
    /* Whether there is a mark is asked after the entries were read. */
    for (unsigned i = first; i < end; i++) {
        pte_t e = audit.table[i];
        if (!(i % 8) && eight_empty(&audit.table[i])) {
            i += 7;
            continue;
        }
        if ((e & PTE_P) && !l4_reserved(level, i))
            expect_entry(f, level, i, e);
    }
}

/* What a frame expects of itself. */
static void expect_own(struct frame *f, uint64_t refs)
{
    enum type_state state = refs_state(refs);
    enum frame_type type = refs_type(refs);

    if (refs & FR_ALLOC)
        expect_plain(f);
    if (refs & FR_PINNED)
        expect_type(f, type, NULL);
    if (!type_is_table(type) || state == TS_NONE)
        return;
    if (state == TS_PARKED_UP || state == TS_PARKED_UNDO)
        expect_type(f, type, NULL); /* the count that is nobody's */
    if (audit.first_pass)
        audit.result.tables++;
}

/* The frame and some of its entries, from audit.part on; 0 there: that was all. Whether it is a table. A table may turn between
 * two parts, as it may within one: A3. */
static bool expect_from_frame(struct frame *f)
{
    uint64_t refs = refs_load(f), first = audit.part, entries;
    enum type_state state = refs_state(refs);

    audit.part = 0;
    if (!owner_is_domain(frame_owner(f)) || !(refs & FR_COUNTS_MASK))
        return false;
    if (!first)
        expect_own(f, refs);
    if (!type_is_table(refs_type(refs)) || state == TS_NONE)
        return false;
    entries = state == TS_VALID ? 512 : MIN((uint64_t)f->stamp, 512UL);
    expect_table(f, refs_type(refs), (unsigned)first, (unsigned)MIN(entries, first + TABLE_PART));
    if (first + TABLE_PART < entries)
        audit.part = first + TABLE_PART;
    return true;
}

static void expect_vcpu(struct vcpu *v)
{
    mfn_t roots[] = {MFN(__atomic_load_n(&v->kernel_l4.n, __ATOMIC_RELAXED)),
                     MFN(__atomic_load_n(&v->user_l4.n, __ATOMIC_RELAXED))};
    struct frame *info = __atomic_load_n(&v->info_frame, __ATOMIC_RELAXED);

    for (unsigned i = 0; i < ARRAY_SIZE(roots); i++)
        if (!mfn_eq(roots[i], INVALID_MFN))
            expect_type(frame_of(roots[i]), FT_L4, NULL);
    if (info)
        expect_type(info, FT_WRITABLE, NULL);
    hw_vcpu_for_each_ref(v, expect_type, NULL);
}

static void expect_drops(struct vcpu *v)
{
    for (unsigned i = 0; i < ARRAY_SIZE(v->dropping); i++) {
        struct frame *f = __atomic_load_n(&v->dropping[i], __ATOMIC_RELAXED);

        if (f)
            expect_type(f, frame_type(f), NULL);
    }
}

static void expect_shared(mfn_t mfn)
{
    if (!mfn_valid(mfn))
        return;
    expect_plain(frame_of(mfn));
    expect_type(frame_of(mfn), FT_WRITABLE, NULL);
}

#define VCPUS_PART 16 /* vCPUs looked at in one step */

/* Some of what a domain holds; where to go on in audit.part. False: that was all. */
static bool expect_from_domain(struct domain *d)
{
    uint64_t part = audit.part++, first = part * VCPUS_PART;

    if (first < d->max_vcpus) {
        for (uint64_t i = first; i < MIN(first + VCPUS_PART, (uint64_t)d->max_vcpus); i++) {
            struct vcpu *v = __atomic_load_n(&d->vcpus[i], __ATOMIC_ACQUIRE);
            if (v) {
                expect_vcpu(v);
                expect_drops(v);
            }
        }
        return true;
    }
    if (part < VCPU_MAX) {
        if (__atomic_load_n(&d->shared_info, __ATOMIC_RELAXED))
            expect_shared(d->shared_info_mfn);
        for (unsigned i = 0; d->grants && i < grant_frames_count(d); i++)
            expect_shared(grant_frame_mfn(d, i));
        if (d->events)
            evtchn_for_each_frame(d, expect_event_frame, NULL);
        audit.part = VCPU_MAX;
        return d->grants;
    }
    audit.part = VCPU_MAX + grant_for_some_mappings(d, (uint32_t)(part - VCPU_MAX), expect_grant);
    return audit.part != VCPU_MAX;
}

/* ---- Comparing ---- */

static bool matches(struct frame *f, const struct expected *e)
{
    uint64_t refs = refs_load(f);
    uint32_t typed = e->typed & ((1u << KIND_SHIFT) - 1), kinds = e->typed >> KIND_SHIFT;
    uint16_t owner = frame_owner(f);
    uint64_t plain = owner == FRAME_OWNER_HYPERVISOR ? e->plain + 1 : e->plain;

    if (owner == FRAME_OWNER_IO)
        return true;
    if (frame_pcount(refs) != plain || frame_tcount(refs) != typed)
        return false;
    if ((refs & FR_FELL) && !(refs_type(refs) == FT_WRITABLE && frame_tcount(refs)))
        return false;
    if (refs & FR_COUNTS_MASK)
        return !(kinds & ~(1u << refs_type(refs))) && refs_state(refs) != TS_BUSY;
    return owner == FRAME_OWNER_NONE;
}

static void violation(struct frame *f)
{
    const struct expected *e = expected_of(f);
    uint64_t refs = refs_load(f);

    if (report())
        print_raw("(HV) audit: frame %lx of domain %u: refs %016lx (plain %lu, typed %lu), "
                  "expected plain %u, typed %u of kinds %x\n",
                  frame_mfn(f).n, frame_owner(f), refs, frame_pcount(refs), frame_tcount(refs), e->plain,
                  e->typed & ((1u << KIND_SHIFT) - 1), e->typed >> KIND_SHIFT);
}

static void compare(struct frame *f)
{
    audit.result.frames++;
    if (owner_is_domain(frame_owner(f)) && (refs_load(f) & FR_ALLOC))
        audit.allocated++;
    if (marked(f))
        audit.result.unjudged++;
    else if (!matches(f, expected_of(f)))
        audit.suspects[audit.suspects_count++] = f;
}

/* A part of the domain's page list. False: that was all of it, or it has changed since the beginning. */
static bool look_at_list(struct domain *d)
{
    uint32_t m;

    spin_lock(&d->memory_lock);
    if (!audit.part) {
        audit.part = d->page_list;
        audit.list_changes = d->page_list_changes;
        audit.listed_now = 0;
    }
    m = (uint32_t)audit.part;
    if (d->page_list_changes != audit.list_changes) {
        spin_unlock(&d->memory_lock);
        audit.result.unjudged++;
        return false;
    }
    for (unsigned n = 0; m && n < STEP_FRAMES && audit.listed_now <= d->pages_count; n++) {
        struct frame *f = frame_of(MFN(m));
        if ((frame_owner(f) != d->id || !(refs_load(f) & FR_ALLOC)) && report())
            print_raw("(HV) audit: frame %x on the page list of domain %u is not its\n", m, d->id);
        audit.listed_now++;
        m = f->next;
    }
    audit.part = audit.listed_now <= d->pages_count ? m : 0;
    if (!audit.part && audit.listed_now != d->pages_count && report())
        print_raw("(HV) audit: domain %u has %lu pages but %lu listed\n", d->id, d->pages_count, audit.listed_now);
    spin_unlock(&d->memory_lock);
    if (!audit.part)
        audit.listed += audit.listed_now;
    return audit.part;
}

/* ---- The steps ---- */

static void go_on(enum phase phase)
{
    audit.phase = phase;
    audit.at = phase == COMPARE ? audit.first : 0;
    audit.part = 0;
}

/* Frames that a pass may have at most. */
static uint64_t capacity(void)
{
    return (uint64_t)audit.blocks_count * (PAGE_SIZE / sizeof(struct expected) << audit.order);
}

static void step_clear(void)
{
    uint64_t pages = 1UL << audit.order, all = audit.blocks_count * pages, marks = audit.live ? 1UL << MARKS_ORDER : 0;

    for (unsigned n = 0; n < STEP_PAGES && audit.at < all + marks; n++, audit.at++) {
        uint64_t at = audit.at;
        char *block = at < all ? (char *)audit.blocks[at / pages] + at % pages * PAGE_SIZE
                               : (char *)audit.marks + (at - all) * PAGE_SIZE;
        memset(block, 0, PAGE_SIZE);
    }
    if (audit.at < all + marks)
        return;
    if (audit.live) {
        __atomic_store_n(&audit_marking, true, __ATOMIC_SEQ_CST);
        ordinary_window_open(false);
        pcpus_settle();
    }
    go_on(SETTLE);
}

static void step_frames(void)
{
    bool table = false;

    for (unsigned n = 0; n < STEP_FRAMES && !table && audit.at < hw_frames_max; n++) {
        if (mfn_valid(MFN(audit.at)))
            table = expect_from_frame(frame_of(MFN(audit.at)));
        audit.at += !audit.part;
    }
    if (audit.at >= hw_frames_max)
        go_on(DOMAINS);
}

/* Calls fn for the domain at hand until it says that it is done with it. False: there is no domain any more. */
static bool for_the_domain(bool (*fn)(struct domain *d))
{
    struct domain *d = audit.at < DOMID_FIRST_RESERVED ? domain_get_from((uint16_t)audit.at) : NULL;

    if (!d)
        return false;
    if (d->id != audit.at)
        audit.part = 0;
    audit.at = d->id;
    if (!fn(d)) {
        audit.at++;
        audit.part = 0;
    }
    domain_put(d);
    return true;
}

static void step_domains(void)
{
    unsigned cpu;

    if (for_the_domain(expect_from_domain))
        return;
    for_each_cpu (cpu, &cpus_online)
        expect_drops(pcpus[cpu]->idle);
    go_on(audit.first_pass ? LISTS : COMPARE);
}

static void step_compare(void)
{
    uint64_t end = audit.first + audit.count;

    for (unsigned n = 0; n < STEP_FRAMES && audit.at < end && audit.suspects_count < SUSPECTS_MAX; n++, audit.at++)
        if (mfn_valid(MFN(audit.at)))
            compare(frame_of(MFN(audit.at)));
    if (audit.at < end && audit.suspects_count < SUSPECTS_MAX)
        return;
    if (audit.live)
        pcpus_settle();
    audit.phase = JUDGE;
}

/* A4. Then on with what is left, of this pass or of the frames. */
static void step_judge(void)
{
    for (unsigned i = 0; i < audit.suspects_count; i++) {
        if (marked(audit.suspects[i]))
            audit.result.unjudged++;
        else
            violation(audit.suspects[i]);
    }
    audit.suspects_count = 0;
    if (audit.at < audit.first + audit.count) {
        audit.phase = COMPARE;
        return;
    }
    audit.first_pass = false;
    audit.first += audit.count;
    audit.count = MIN(capacity(), hw_frames_max - audit.first);
    if (audit.count) {
        go_on(CLEAR);
        return;
    }
    if (audit.allocated != audit.listed && !audit.result.unjudged && report())
        print_raw("(HV) audit: %lu frames allocated, %lu on page lists\n", audit.allocated, audit.listed);
    if (audit.live) {
        ordinary_window_open(true);
        __atomic_store_n(&audit_marking, false, __ATOMIC_SEQ_CST);
        pcpus_settle(); /* somebody may be about to make a mark */
    }
    go_on(FINISH);
}

/* One piece of memory is given back. */
static void step_finish(void)
{
    if (audit.blocks_count) {
        free_frames(hw_va_frame(audit.blocks[--audit.blocks_count]), audit.order);
        return;
    }
    if (audit.live)
        free_frames(hw_va_frame(audit.marks), MARKS_ORDER);
    audit.phase = OVER;
}

bool audit_step(void)
{
    if (audit.live && !pcpus_settled())
        return true;
    switch (audit.phase) {
    case CLEAR:
        step_clear();
        break;
    case SETTLE:
        go_on(FRAMES);
        break;
    case FRAMES:
        step_frames();
        break;
    case DOMAINS:
        step_domains();
        break;
    case LISTS:
        if (!for_the_domain(look_at_list))
            go_on(COMPARE);
        break;
    case COMPARE:
        step_compare();
        break;
    case JUDGE:
        step_judge();
        break;
    case FINISH:
        step_finish();
        break;
    case OVER:
        return false;
    }
    return true;
}

bool audit_begin(bool print, bool live)
{
    mfn_t m = live ? alloc_frames(MARKS_ORDER, 0) : INVALID_MFN;

    memset(&audit, 0, sizeof(audit));
    audit.phase = OVER;
    if (live && mfn_eq(m, INVALID_MFN))
        return false;
    audit.live = live;
    audit.print = print;
    audit.first_pass = true;
    audit.marks = live ? hw_frame_va(m) : NULL;
    for (audit.order = BLOCK_ORDER_MAX; mfn_eq(m = alloc_frames(audit.order, 0), INVALID_MFN); audit.order--)
        if (!audit.order) {
            step_finish();
            return false;
        }
    do {
        audit.blocks[audit.blocks_count++] = hw_frame_va(m);
    } while (capacity() < hw_frames_max && audit.blocks_count < BLOCKS_MAX &&
             !mfn_eq(m = alloc_frames(audit.order, 0), INVALID_MFN));
    audit.count = MIN(capacity(), hw_frames_max);
    go_on(CLEAR);
    return true;
}

struct audit_result audit_end(void)
{
    return audit.result;
}

struct audit_result audit_run(bool print)
{
    if (audit_begin(print, false))
        while (audit_step())
            ;
    else if (print)
        print_raw("(HV) audit: no memory for it\n");
    return audit_end();
}
