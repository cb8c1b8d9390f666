/* SPDX-License-Identifier: MIT */
/*
 * What must hold of domains between two steps: counts of memory, of references, of pauses; both ends of channels; uses of
 * grants; who runs where; and whose bytes lie in whose memory.
 */
#include "model.h"
#include "core/event/internal.h"
#include "core/grant/internal.h"
#include "core/mem/alloc.h"
#include "core/mem/refs.h"

#define IDS 64

static uint32_t references[IDS]; /* on each domain, found */
static uint64_t owned[IDS], allocated[IDS];

/* ---- Channels ---- */

static void check_port(struct domain *d, const struct evtchn *c)
{
    const struct evtchn *far;

    if (c->busy)
        violation("port %u of domain %u is busy", c->port, d->id);
    if (!!bit_test(d->events->used, c->port) != (c->state != EVTCHNSTAT_closed))
        violation("port %u of domain %u: state %u", c->port, d->id, c->state);
    if (c->vcpu >= d->max_vcpus)
        violation("port %u of domain %u tells vcpu %u", c->port, d->id, c->vcpu);
    if (c->state == EVTCHNSTAT_virq && !c->number && d->vcpus[c->vcpu]->virq_port[0] != c->port)
        violation("port %u of domain %u is not the timer's", c->port, d->id);
    if (c->state != EVTCHNSTAT_interdomain)
        return;
    far = evtchn_of(c->remote, c->number);
    if (!far || far->state != EVTCHNSTAT_interdomain || far->remote != d || far->number != c->port)
        violation("port %u of domain %u leads to port %u of domain %u, which does not lead back", c->port, d->id,
                  c->number, c->remote->id);
    references[c->remote->id % IDS]++;
}

static void check_channels(struct domain *d)
{
    const struct evtchn_table *t = d->events;

    for (uint32_t b = 0; b <= t->buckets_mask; b++)
        for (uint32_t i = 0; t->buckets[b] && i < BUCKET_PORTS; i++)
            if (b || i)
                check_port(d, &t->buckets[b][i]);
    if (d->dying == DOMAIN_DEAD && (bitmap_next_set(t->used, t->ports_max, 1) < t->ports_max || t->fifo))
        violation("dead domain %u has ports", d->id);
}

/* ---- Grants ---- */

/* Of the grants that guests here use: how often they are found in anybody's list. */
#define FIRST_REF 8
#define REFS      16
static uint32_t readers[IDS][REFS], writers[IDS][REFS];

static void count_uses(const struct domain *user)
{
    for (unsigned c = 0; c < user->grants->chunks_count; c++)
        for (unsigned i = 0; i < MAPPINGS_PER_CHUNK; i++) {
            const struct grant_use *use = &user->grants->maptrack[c][i].use;
            unsigned id, ref = use->ref - FIRST_REF;

            if (!use->frame)
                continue;
            id = use->granter->id % IDS;
            references[id]++;
            if (ref < REFS)
                (use->write ? writers : readers)[id][ref]++;
        }
}

static void check_uses(const struct domain *d)
{
    const struct grant_active *a = d->grants->frames_count ? d->grants->frames[0].active : NULL;
    const uint32_t *r = readers[d->id % IDS], *w = writers[d->id % IDS];

    for (unsigned i = 0; a && i < REFS; i++)
        if (a[FIRST_REF + i].readers != r[i] || a[FIRST_REF + i].writers != w[i])
            violation("grant %u of domain %u: %u readers and %u writers counted, %u and %u found", FIRST_REF + i, d->id,
                      a[FIRST_REF + i].readers, a[FIRST_REF + i].writers, r[i], w[i]);
}

/* ---- Domains, vCPUs ---- */

static void check_vcpu(struct domain *d, const struct vcpu *v)
{
    unsigned on = 0;

    for (unsigned cpu = 0; cpu < MODEL_CPUS; cpu++)
        on += pcpus[cpu]->current == v;
    if (on != v->running || (on && pcpus[v->pcpu]->current != v))
        violation("d%uv%u runs on %u CPUs, and says %d", d->id, v->id, on, v->running);
    if (v->pause_count != d->pause_count + d->shutdown)
        violation("d%uv%u is paused %u times, its domain %u times", d->id, v->id, v->pause_count, d->pause_count);
    if (d->dying == DOMAIN_DEAD &&
        (v->kernel_l4.n < MODEL_FRAMES || v->user_l4.n < MODEL_FRAMES || v->info_frame || on))
        violation("d%uv%u of a dead domain is not empty", d->id, v->id);
    if (!v->pause_flags && !v->pause_count && !v->sched.queued && !v->sched.on_cpu && !v->sched.parked)
        violation("d%uv%u could run but is in no queue", d->id, v->id);
    if (v->mc_cont || v->initialising)
        violation("d%uv%u is in the middle of something", d->id, v->id);
}

static void check_domain(struct domain *d)
{
    struct vcpu *v;
    unsigned i = d->id % IDS;

    for_each_vcpu (d, v, n)
        check_vcpu(d, v);
    if (d->pages_count != allocated[i])
        violation("domain %u has %lu pages, but %lu are found", d->id, d->pages_count, allocated[i]);
    if (frames_owned(d->id) != owned[i])
        violation("domain %u owns %u frames, but %lu are found", d->id, frames_owned(d->id), owned[i]);
    if (d->control_pauses > d->pause_count || d->teardown_active)
        violation("domain %u: %u pauses of the tools, %u in all", d->id, d->control_pauses, d->pause_count);
    if (d->dying == DOMAIN_DEAD && (d->pages_count || d->pages_claimed))
        violation("dead domain %u has %lu pages", d->id, d->pages_count);
    if (d->dying == DOMAIN_DEAD && !frames_owned(d->id) && references[i] + !d->reaped == 0)
        violation("dead domain %u stays", d->id);
}

static void count_frames(void)
{
    memset(owned, 0, sizeof(owned));
    memset(allocated, 0, sizeof(allocated));
    for (uint64_t m = 0; m < MODEL_FRAMES; m++) {
        uint16_t owner = frame_owner(&hw_frames[m]);

        if (owner_is_domain(owner)) {
            owned[owner % IDS]++;
            allocated[owner % IDS] += !!(hw_frames[m].refs & FR_ALLOC);
        }
    }
}

void check_domains(void)
{
    uint64_t claimed = 0;

    memset(references, 0, sizeof(references));
    memset(readers, 0, sizeof(readers));
    memset(writers, 0, sizeof(writers));
    count_frames();
    for (struct domain *d = domain_next(NULL); d; d = domain_next(d)) {
        check_channels(d);
        count_uses(d);
        claimed += d->pages_claimed;
    }
    for (struct domain *d = domain_next(NULL); d; d = domain_next(d)) {
        check_domain(d);
        check_uses(d);
        /* The list's, and the one by which we look at it. */
        if (d->refcount != references[d->id % IDS] + !d->reaped + 1)
            violation("domain %u has %u references, %u found", d->id, d->refcount - 1,
                      references[d->id % IDS] + !d->reaped);
    }
    if (claimed != alloc_claimed_count())
        violation("%lu frames are claimed, but %lu counted", claimed, alloc_claimed_count());
}

/* ---- Whose bytes ---- */

/* A domain that grants nothing to anybody is not read by anybody; and nobody finds the hypervisor's sign. */
void check_tags(void)
{
    for (uint64_t m = 0; m < MODEL_FRAMES; m++) {
        uint16_t owner = frame_owner(&hw_frames[m]);
        const uint64_t *words = hw_frame_va(MFN(m));

        for (unsigned i = 0; owner_is_domain(owner) && i < SLOTS; i++) {
            int tag = TAG_OF(words[slots[i]]);

            if (tag == TAG_HV || (tag >= 0 && is_hermit((uint16_t)tag) && tag != owner))
                violation("frame %lx of domain %u holds what was %d's", m, owner, tag);
        }
    }
}

void check_all(void)
{
    check_frames();
    tlb_model_check();
    check_domains();
    if (chance(8))
        check_tags();
}

#define SLABS_KEPT 16 /* one empty one of each size, and the M2P */

void check_nothing_left(void)
{
    unsigned kept = 0;

    for (uint64_t m = 0; m < MODEL_FRAMES; m++) {
        uint16_t owner = frame_owner(&hw_frames[m]);

        if (owner_is_domain(owner))
            violation("frame %lx still is domain %u's", m, owner);
        kept += owner == FRAME_OWNER_HYPERVISOR;
    }
    if (kept > SLABS_KEPT)
        violation("%u frames stay with the hypervisor", kept);
    if (host_domains_live || host_vcpus_live)
        violation("%u domains and %u vCPUs are not freed", host_domains_live, host_vcpus_live);
}
