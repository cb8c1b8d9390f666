/* SPDX-License-Identifier: MIT */
/*
 * What every frame's record should say, found from above: from the roots, pins and drops down through the tables, and from
 * everything else that may hold a frame. (The audit of core goes the other way: from each frame that says it is a table.)
 * And what each mapping may reach.
 */
#include "model.h"
#include "core/event/event.h"
#include "core/grant/internal.h"
#include "core/mem/alloc.h"
#include "core/mem/refs.h"

#define FOREIGN_MAX 4096

static struct expect {
    uint32_t plain, typed;
    uint8_t kinds; /* a bit for each type that somebody holds it by */
    bool walked;   /* as a table */
} expect[MODEL_FRAMES];

/* Entries that map another domain's frame, and grants in use. */
static struct foreign {
    const struct domain *d;
    uint64_t frame;
    bool write;
} entries[FOREIGN_MAX], grants[FOREIGN_MAX];
static unsigned entries_count, grants_count;

static uint64_t number(const struct frame *f)
{
    return (uint64_t)(f - hw_frames);
}

static void add_foreign(struct foreign *list, unsigned *count, const struct domain *d, uint64_t frame, bool write)
{
    if (*count == FOREIGN_MAX)
        violation("the model's list is too short");
    list[(*count)++] = (struct foreign){d, frame, write};
}

/* ---- Tables, from above ---- */

static struct domain *by_id[0x10000 / 64]; /* small numbers only */

static struct domain *owner_of(const struct frame *f)
{
    uint16_t id = frame_owner(f);

    return id < ARRAY_SIZE(by_id) ? by_id[id] : NULL;
}

static void expect_entry(struct domain *d, uint64_t table, unsigned i, pte_t e)
{
    uint64_t m = pte_mfn(e).n;
    const struct frame *f = &hw_frames[m];
    uint16_t owner;

    if (!(e & PTE_US) || (e & PTE_G))
        violation("table %lx entry %u holds %lx", table, i, e);
    if (m >= MODEL_FRAMES || (owner = frame_owner(f)) == FRAME_OWNER_IO) {
        if (d && !d->is_privileged && m < MODEL_FRAMES - HOST_IO_FRAMES)
            violation("domain %u maps %lx, which is no memory of anybody", d->id, m);
        return;
    }
    if (e & PTE_RW) {
        expect[m].typed++;
        expect[m].kinds |= 1u << FT_WRITABLE;
    } else {
        expect[m].plain++;
    }
    if (!d || owner == d->id)
        return;
    if (owner == FRAME_OWNER_NONE || (owner == FRAME_OWNER_HYPERVISOR && !(f->refs & FR_SHARED)))
        violation("domain %u maps frame %lx of %x", d->id, m, owner);
    if (!d->is_privileged && !d->dying) /* a table that another domain's vCPU is about to drop may outlive the grants */
        add_foreign(entries, &entries_count, d, m, e & PTE_RW);
}

static void expect_table(uint64_t m, unsigned level);

static void expect_entries(uint64_t m, unsigned level, unsigned count)
{
    struct domain *d = owner_of(&hw_frames[m]);
    const uint64_t *e = hw_frame_va(MFN(m));

    for (unsigned i = 0; i < count; i++) {
        if (!(i & 7) && !(e[i] | e[i + 1] | e[i + 2] | e[i + 3] | e[i + 4] | e[i + 5] | e[i + 6] | e[i + 7])) {
            i += 7;
            continue;
        }
        if (!(e[i] & PTE_P) || (level == 4 && i >= L4_RESERVED_FIRST && i <= L4_RESERVED_LAST))
            continue;
        if (level == 1)
            expect_entry(d, m, i, e[i]);
        else if (pte_mfn(e[i]).n >= MODEL_FRAMES || (e[i] & (PTE_PS | PTE_G)))
            violation("table %lx of level %u, entry %u holds %lx", m, level, i, e[i]);
        else if (d && frame_owner(&hw_frames[pte_mfn(e[i]).n]) != d->id)
            violation("table %lx of domain %u links table %lx of another", m, d->id, pte_mfn(e[i]).n);
        else
            expect_table(pte_mfn(e[i]).n, level - 1);
    }
}

/* One more reference as a table of that level; its entries count once. */
static void expect_table(uint64_t m, unsigned level)
{
    struct frame *f = &hw_frames[m];
    enum type_state s = refs_state(f->refs);

    expect[m].typed++;
    expect[m].kinds |= (uint8_t)(1u << level);
    if (expect[m].walked)
        return;
    expect[m].walked = true;
    if (s == TS_NONE || s == TS_BUSY)
        violation("table %lx of level %u is in state %d", m, level, s);
    expect_entries(m, level, s == TS_VALID ? 512 : (unsigned)f->stamp);
}

static void expect_typed(struct frame *f, enum frame_type type)
{
    if (type_is_table(type)) {
        expect_table(number(f), type);
        return;
    }
    expect[number(f)].typed++;
    expect[number(f)].kinds |= (uint8_t)(1u << type);
}

static void expect_ref(struct frame *f, enum frame_type type, void *unused)
{
    expect_typed(f, type);
}

static void expect_writable(struct frame *f, void *unused)
{
    expect_typed(f, FT_WRITABLE);
}

/* ---- What holds frames ---- */

static void expect_drops(const struct vcpu *v)
{
    for (unsigned i = 0; i < ARRAY_SIZE(v->dropping); i++)
        if (v->dropping[i])
            expect_typed(v->dropping[i], refs_type(v->dropping[i]->refs));
}

static void expect_vcpu(struct vcpu *v)
{
    if (v->kernel_l4.n < MODEL_FRAMES)
        expect_table(v->kernel_l4.n, 4);
    if (v->user_l4.n < MODEL_FRAMES)
        expect_table(v->user_l4.n, 4);
    if (v->info_frame)
        expect_typed(v->info_frame, FT_WRITABLE);
    expect_drops(v);
    hw_vcpu_for_each_ref(v, expect_ref, NULL);
}

static void expect_shared(mfn_t m)
{
    if (m.n >= MODEL_FRAMES)
        return;
    expect[m.n].plain++;
    expect_typed(frame_of(m), FT_WRITABLE);
    if (!(frame_of(m)->refs & FR_SHARED))
        violation("shared frame %lx is not marked", m.n);
}

static void expect_mappings(struct domain *d)
{
    const struct grant_table *t = d->grants;

    for (unsigned c = 0; c < t->chunks_count; c++)
        for (unsigned i = 0; i < MAPPINGS_PER_CHUNK; i++) {
            const struct grant_mapping *m = &t->maptrack[c][i];

            if (!m->flags != !m->use.frame || (m->flags & MAPPING_BUSY))
                violation("handle %u of domain %u has flags %x and frame %p", m->handle, d->id, m->flags,
                          (void *)m->use.frame);
            if (!m->flags)
                continue;
            if (m->use.write)
                expect_typed(m->use.frame, FT_WRITABLE);
            else
                expect[number(m->use.frame)].plain++;
            add_foreign(grants, &grants_count, d, number(m->use.frame), m->use.write);
        }
}

static void expect_domain(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu (d, v, i)
        expect_vcpu(v);
    if (d->shared_info)
        expect_shared(d->shared_info_mfn);
    for (unsigned i = 0; i < grant_frames_count(d); i++)
        expect_shared(grant_frame_mfn(d, i));
    expect_mappings(d);
    evtchn_for_each_frame(d, expect_writable, NULL);
}

/* What a frame's own record says that it holds: allocation, pin, a count that is nobody's. */
static void expect_own(uint64_t m)
{
    struct frame *f = &hw_frames[m];
    enum type_state s = refs_state(f->refs);

    if (!owner_is_domain(frame_owner(f)))
        return;
    if (f->refs & FR_ALLOC)
        expect[m].plain++;
    else if ((f->refs & FR_PINNED) || s == TS_PARKED_UP || s == TS_PARKED_UNDO)
        violation("frame %lx of %u is on no list, but pinned or parked: refs %lx", m, frame_owner(f), f->refs);
    if (f->refs & FR_PINNED)
        expect_table(m, refs_type(f->refs));
    if (type_is_table(refs_type(f->refs)) && (s == TS_PARKED_UP || s == TS_PARKED_UNDO))
        expect_table(m, refs_type(f->refs));
}

/* ---- Comparing ---- */

static void compare(uint64_t m)
{
    const struct frame *f = &hw_frames[m];
    const struct expect *x = &expect[m];
    uint64_t refs = f->refs;
    uint16_t owner = frame_owner(f);
    unsigned tables = x->kinds & (1u << FT_L1 | 1u << FT_L2 | 1u << FT_L3 | 1u << FT_L4 | 1u << FT_DESC);

    if (owner == FRAME_OWNER_IO)
        return;
    if (tables && (x->kinds & 1u << FT_WRITABLE))
        violation("frame %lx is written to and is a table: kinds %x", m, x->kinds);
    if (tables & (tables - 1))
        violation("frame %lx is a table of several levels: kinds %x", m, x->kinds);
    if (owner == FRAME_OWNER_HYPERVISOR) {
        if (frame_pcount(refs) != x->plain + 1 || x->typed)
            violation("frame %lx of the hypervisor: refs %lx, but %u and %u found", m, refs, x->plain, x->typed);
        return;
    }
    if (owner == FRAME_OWNER_NONE ? x->plain || x->typed
                                  : frame_pcount(refs) != x->plain || frame_tcount(refs) != x->typed)
        violation("frame %lx of %u: refs %lx (plain %lu, typed %lu), but %u plain and %u typed (%x) found", m, owner,
                  refs, frame_pcount(refs), frame_tcount(refs), x->plain, x->typed, x->kinds);
    if (x->kinds && owner != FRAME_OWNER_NONE && x->kinds != 1u << refs_type(refs))
        violation("frame %lx has type %d but is used as %x", m, refs_type(refs), x->kinds);
    if (owner_is_domain(owner) && !(refs & FR_DIRTY))
        violation("frame %lx of %u is not marked dirty: refs %lx", m, owner, refs);
}

/* ---- Rights ---- */

static unsigned count_of(const struct foreign *list, unsigned n, const struct foreign *like, bool writing)
{
    unsigned found = 0;

    for (unsigned i = 0; i < n; i++)
        found += list[i].d == like->d && list[i].frame == like->frame && (!writing || list[i].write);
    return found;
}

/* A domain has no more entries for a frame than mappings that were granted to it. */
static void check_rights(void)
{
    for (unsigned i = 0; i < entries_count; i++)
        for (unsigned writing = 0; writing < 2; writing++)
            if (count_of(entries, entries_count, &entries[i], writing) >
                count_of(grants, grants_count, &entries[i], writing))
                violation("domain %u maps frame %lx of %u%s without a grant", entries[i].d->id, entries[i].frame,
                          frame_owner(&hw_frames[entries[i].frame]), writing ? " for writing" : "");
}

bool check_granted(const struct domain *d, mfn_t m, bool write)
{
    struct foreign like = {d, m.n, write};

    return count_of(grants, grants_count, &like, write);
}

void check_frames(void)
{
    uint64_t free_frames = 0;

    memset(expect, 0, sizeof(expect));
    memset(by_id, 0, sizeof(by_id));
    entries_count = grants_count = 0;
    for (struct domain *d = domain_next(NULL); d; d = domain_next(d))
        if (d->id < ARRAY_SIZE(by_id))
            by_id[d->id] = d;
    for (struct domain *d = domain_next(NULL); d; d = domain_next(d))
        expect_domain(d);
    for (unsigned cpu = 0; cpu < MODEL_CPUS; cpu++)
        expect_drops(pcpus[cpu]->idle);
    for (uint64_t m = 0; m < MODEL_FRAMES; m++)
        expect_own(m);
    for (uint64_t m = 0; m < MODEL_FRAMES; m++) {
        compare(m);
        free_frames += frame_owner(&hw_frames[m]) == FRAME_OWNER_NONE;
    }
    check_rights();
    if (free_frames != alloc_free_count())
        violation("%lu frames are free, but %lu counted", free_frames, alloc_free_count());
}
