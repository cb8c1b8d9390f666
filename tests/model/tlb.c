/* SPDX-License-Identifier: MIT */
/*
 * The translations that a CPU may still hold: all that its root has reached at any time since it last flushed everything.
 * Processors cache entries of every level, so tables that were walked count too.
 *
 * A frame that may still be written through such a translation must be no table and no descriptor page; one that may be reached
 * must have the owner that it had; one that may be walked must not be written by its guest.
 */
#include "model.h"
#include "core/mem/refs.h"
#include "core/mem/tlb.h"

enum { READ = 1, WRITE = 2, WALK = 4 };

static struct {
    const struct domain *domain; /* whose translations they are */
    uint8_t how[MODEL_FRAMES];
    uint16_t owner[MODEL_FRAMES];
    uint32_t seen[MODEL_FRAMES][2]; /* the last walk that went through this table, read-only or not */
    bool any;
} held[MODEL_CPUS];
static uint32_t walks;

static void hold(unsigned cpu, uint64_t frame, uint8_t how)
{
    if (!(held[cpu].how[frame] & how) && !held[cpu].how[frame])
        held[cpu].owner[frame] = frame_owner(&hw_frames[frame]);
    held[cpu].how[frame] |= how;
    held[cpu].any = true;
}

static void walk(unsigned cpu, uint64_t table, unsigned level, bool writable)
{
    const pte_t *e = hw_frame_va(MFN(table));

    if (held[cpu].seen[table][writable] == walks)
        return;
    held[cpu].seen[table][writable] = walks;
    hold(cpu, table, WALK);
    for (unsigned i = 0; i < SLOTS; i++) {
        pte_t entry = e[slots[i]];
        uint64_t below = pte_mfn(entry).n;
        bool write = writable && (entry & PTE_RW);

        if (!(entry & PTE_P) || below >= MODEL_FRAMES || frame_owner(&hw_frames[below]) == FRAME_OWNER_IO)
            continue;
        if (level > 1)
            walk(cpu, below, level - 1, write);
        else
            hold(cpu, below, READ | (write ? WRITE : 0));
    }
}

void tlb_model_fill(void)
{
    for (unsigned cpu = 0; cpu < MODEL_CPUS; cpu++) {
        const struct vcpu *v = pcpus[cpu]->current;

        if (!v->domain || host_cpus[cpu]->l4.n >= MODEL_FRAMES)
            continue;
        held[cpu].domain = v->domain;
        walks++;
        walk(cpu, host_cpus[cpu]->l4.n, 4, true);
    }
}

void __real_tlb_note_flush(void);
void __wrap_tlb_note_flush(void)
{
    unsigned cpu = this_cpu()->id;

    __real_tlb_note_flush();
    if (held[cpu].any)
        memset(held[cpu].how, 0, sizeof(held[cpu].how));
    held[cpu].any = false;
}

static void check_held(unsigned cpu, uint64_t m)
{
    const struct frame *f = &hw_frames[m];
    uint8_t how = held[cpu].how[m];
    uint64_t refs = refs_load(f);
    enum frame_type type = frame_tcount(refs) ? refs_type(refs) : FT_NONE;
    uint16_t owner = frame_owner(f);

    if ((how & WRITE) && (type_is_table(type) || type == FT_DESC))
        violation("CPU %u may still write to frame %lx, which has become a table (%d)", cpu, m, type);
    if ((how & WALK) && type == FT_WRITABLE)
        violation("CPU %u may still walk frame %lx, which is written to", cpu, m);
    if (owner == FRAME_OWNER_NONE)
        return; /* flushed before it is given away */
    if (owner != held[cpu].owner[m])
        violation("CPU %u may still reach frame %lx, which was domain %u's and is %u's", cpu, m, held[cpu].owner[m],
                  owner);
    if (!(how & (READ | WRITE)) || owner == held[cpu].domain->id || held[cpu].domain->is_privileged)
        return;
    if (!check_granted(held[cpu].domain, MFN(m), how & WRITE))
        violation("CPU %u may still reach frame %lx of domain %u, no longer granted to %u", cpu, m, owner,
                  held[cpu].domain->id);
}

void tlb_model_check(void)
{
    for (unsigned cpu = 0; cpu < MODEL_CPUS; cpu++)
        for (uint64_t m = 0; held[cpu].any && m < MODEL_FRAMES; m++)
            if (held[cpu].how[m])
                check_held(cpu, m);
}
