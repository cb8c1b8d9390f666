/* SPDX-License-Identifier: MIT */
/*
 * Mapping granted frames, and the maptrack: a domain's list of what it has mapped of others, by handle.
 *
 *  M1 A mapping holds one grant_use (granter, pin, reference to the frame) until its handle is given up. The page-table
 *     entry that was made for it holds a reference of its own, which goes with the entry however that ends.
 *  M2 Whoever works on a mapping has set MAPPING_BUSY in it; for everybody else its handle is bad meanwhile.
 *  M3 Unmapping clears the entry by compare-and-swap with the value that was found to map the frame as granted. The use
 *     ends only after the TLB flush that the caller makes for its whole batch.
 *
 * Mapping for devices is accounted, no more: there is no IOMMU, and the address to use is always the machine's.
 * Locks: LOCK_MAPTRACK of the mapper for handles and flags.
 */
#include "core/grant/internal.h"
#include "core/mem/alloc.h"
#include "core/mem/mmu.h"
#include "core/mem/type.h"
#include "core/trace/trace.h"

/* ---- Handles ------------------------------------------------------------------------------------------------ */

int maptrack_create(struct grant_table *t, unsigned max_frames)
{
    unsigned slots = 1;

    while (slots < max_frames)
        slots *= 2;
    spin_init(&t->maptrack_lock, LOCK_MAPTRACK);
    t->chunks_max = max_frames;
    t->chunks_mask = slots - 1;
    t->maptrack = heap_alloc_array(slots, sizeof(t->maptrack[0]));
    return t->maptrack ? 0 : fail(-ENOMEM);
}

void maptrack_destroy(struct grant_table *t)
{
    for (unsigned i = 0; i < t->chunks_count; i++)
        heap_free(t->maptrack[i]);
    heap_free(t->maptrack);
}

/* NULL: there never was such a handle. */
static struct grant_mapping *mapping_of(struct grant_table *t, uint32_t handle)
{
    uint32_t chunk = handle / MAPPINGS_PER_CHUNK;

    if (chunk >= __atomic_load_n(&t->chunks_count, __ATOMIC_ACQUIRE))
        return NULL;
    return &t->maptrack[chunk & t->chunks_mask][handle % MAPPINGS_PER_CHUNK];
}

static void push_free(struct grant_table *t, struct grant_mapping *m)
{
    m->flags = 0;
    m->next = t->free_first;
    t->free_first = m->handle + 1;
}

/* Maptrack lock held. */
static bool add_chunk(struct grant_table *t)
{
    unsigned n = t->chunks_count;
    struct grant_mapping *chunk;

    if (n == t->chunks_max)
        return false;
    chunk = heap_alloc_array(MAPPINGS_PER_CHUNK, sizeof(*chunk));
    if (!chunk)
        return false;
    for (unsigned i = MAPPINGS_PER_CHUNK; i--;) {
        chunk[i].handle = n * MAPPINGS_PER_CHUNK + i;
        push_free(t, &chunk[i]);
    }
    t->maptrack[n] = chunk;
    __atomic_store_n(&t->chunks_count, n + 1, __ATOMIC_RELEASE);
    return true;
}

/* A free mapping, busy; NULL: no room. */
static struct grant_mapping *mapping_new(struct grant_table *t)
{
    struct grant_mapping *m = NULL;

    spin_lock(&t->maptrack_lock);
    if (t->free_first || add_chunk(t)) {
        m = mapping_of(t, t->free_first - 1);
        t->free_first = m->next;
        m->flags = MAPPING_BUSY;
    }
    spin_unlock(&t->maptrack_lock);
    return m;
}

/* Makes the mapping of a handle busy; NULL: not in use, or busy already. */
static struct grant_mapping *mapping_claim(struct grant_table *t, uint32_t handle)
{
    struct grant_mapping *m = mapping_of(t, handle);

    if (!m)
        return NULL;
    spin_lock(&t->maptrack_lock);
    if (m->flags && !(m->flags & MAPPING_BUSY))
        m->flags |= MAPPING_BUSY;
    else
        m = NULL;
    spin_unlock(&t->maptrack_lock);
    return m;
}

/* Ends being busy: what is left has these flags; with no kind of mapping left the handle is free. */
static void mapping_settle(struct grant_table *t, struct grant_mapping *m, uint32_t flags)
{
    spin_lock(&t->maptrack_lock);
    if (flags & MAPPING_KINDS)
        m->flags = flags & ~MAPPING_BUSY;
    else
        push_free(t, m);
    spin_unlock(&t->maptrack_lock);
}

/* ---- Page-table entries --------------------------------------------------------------------------------------- */

/* An entry of an L1 table of the current domain, held valid by a type reference. */
struct slot {
    struct frame *l1;
    unsigned index;
};

static int find_slot_by_pte(struct domain *d, uint64_t machine, struct slot *s)
{
    struct frame *f = machine % sizeof(pte_t) ? NULL : frame_get_owned(MFN(machine >> PAGE_SHIFT), d->id);
    int rc;

    if (!f)
        return -EINVAL;
    /* Only what is an L1 table already: asking for the type must not make one of some other page. */
    rc = frame_type(f) == FT_L1 ? type_get(d, f, FT_L1) : -EINVAL;
    frame_put(f);
    s->l1 = f;
    s->index = (machine & ~PAGE_MASK) / sizeof(pte_t);
    return rc;
}

#define TRANSITION_WAIT 100000 /* rounds of hw_relax() */

/* Another CPU may have the table between two states for a moment, or this one may have to go on with what was cut. */
static int find_slot(struct domain *d, uint64_t host_addr, bool by_pte, struct slot *s)
{
    int rc = -ERESTART;

    for (unsigned i = 0; rc == -ERESTART && i < TRANSITION_WAIT; i++) {
        if (i)
            hw_relax();
        rc = by_pte ? find_slot_by_pte(d, host_addr, s) : mmu_find_l1(current_vcpu(), host_addr, &s->l1, &s->index);
    }
    return rc;
}

static pte_t grant_pte(const struct grant_use *u, uint32_t map_flags)
{
    uint64_t avail = ((uint64_t)(map_flags & GNTMAP_guest_avail_mask) >> _GNTMAP_guest_avail0 << 9) & PTE_AVAIL;

    /* Guest kernels run in ring 3 too, so an entry for "the kernel only" is no different. */
    return pte_make(frame_mfn(u->frame), PTE_P | PTE_US | PTE_A | PTE_D | (u->write ? PTE_RW : 0) | avail);
}

static int16_t make_entry(struct domain *d, const struct gnttab_map_grant_ref *op, const struct grant_use *u)
{
    struct slot s;
    int rc;

    if (find_slot(d, op->host_addr, op->flags & GNTMAP_contains_pte, &s))
        return GNTST_bad_virt_addr;
    rc = mmu_update_entry(d, s.l1, s.index, grant_pte(u, op->flags), PT_SET, u->granter->id);
    mmu_put_l1(s.l1);
    if (rc == -ERESTART)
        return GNTST_eagain;
    return rc ? GNTST_general_error : GNTST_okay;
}

#define ENTRY_TRIES 16 /* the processor or the guest may change the entry while we look at it */

/* Clears the entry at host_addr, if it maps the frame just as the grant was mapped. */
static int16_t clear_entry(struct domain *d, const struct grant_use *u, uint64_t host_addr, bool by_pte)
{
    int rc = -EAGAIN;
    struct slot s;

    if (find_slot(d, host_addr, by_pte, &s))
        return GNTST_bad_virt_addr;
    for (unsigned i = 0; i < ENTRY_TRIES && rc == -EAGAIN; i++) {
        pte_t *table = hw_frame_va(frame_mfn(s.l1));
        pte_t e = __atomic_load_n(&table[s.index], __ATOMIC_RELAXED);

        if (!(e & PTE_P) || !mfn_eq(pte_mfn(e), frame_mfn(u->frame)) || !!(e & PTE_RW) != u->write)
            break;
        rc = mmu_cmpxchg_l1(d, frame_mfn(s.l1), s.index, e, 0);
    }
    mmu_put_l1(s.l1);
    return rc ? GNTST_general_error : GNTST_okay;
}

/* ---- Mapping and unmapping ------------------------------------------------------------------------------------- */

void grant_map(struct domain *d, struct gnttab_map_grant_ref *op)
{
    struct grant_table *t = d->grants;
    struct grant_mapping *m;
    uint32_t flags;

    trace(TRACE_GRANT, "map domain %u ref %u at %lx flags %x", op->dom, op->ref, op->host_addr, op->flags);
    flags = (op->flags & GNTMAP_host_map ? MAPPING_HOST : 0) | (op->flags & GNTMAP_device_map ? MAPPING_DEVICE : 0) |
            (op->flags & GNTMAP_contains_pte ? MAPPING_BY_PTE : 0);
    if (!(flags & MAPPING_KINDS)) {
        op->status = GNTST_bad_gntref;
        return;
    }
    m = mapping_new(t);
    if (!m) {
        op->status = GNTST_no_space;
        return;
    }
    op->status = grant_use_begin(&m->use, d, op->dom, op->ref, !(op->flags & GNTMAP_readonly));
    if (op->status == GNTST_okay && (flags & MAPPING_HOST)) {
        op->status = make_entry(d, op, &m->use);
        if (op->status != GNTST_okay)
            grant_use_end(&m->use);
    }
    if (op->status == GNTST_okay) {
        op->handle = m->handle;
        op->dev_bus_addr = frame_mfn(m->use.frame).n << PAGE_SHIFT;
    }
    mapping_settle(t, m, op->status == GNTST_okay ? flags : 0);
}

/* Takes away the kinds of mapping that op names; what is left is in *flags. */
static int16_t unmap_kinds(struct domain *d, const struct gnttab_unmap_grant_ref *op, const struct grant_mapping *m,
                           uint32_t *flags)
{
    uint64_t machine = frame_mfn(m->use.frame).n << PAGE_SHIFT;
    int16_t status;

    if (op->dev_bus_addr && (*flags & MAPPING_DEVICE)) {
        if ((op->dev_bus_addr & PAGE_MASK) != machine)
            return GNTST_bad_dev_addr;
        *flags &= ~MAPPING_DEVICE;
    }
    if (op->host_addr && (*flags & MAPPING_HOST)) {
        status = clear_entry(d, &m->use, op->host_addr, *flags & MAPPING_BY_PTE);
        if (status != GNTST_okay)
            return status;
        *flags &= ~MAPPING_HOST;
    }
    return GNTST_okay;
}

void grant_unmap(struct domain *d, struct gnttab_unmap_grant_ref *op, struct grant_use *ended)
{
    struct grant_table *t = d->grants;
    struct grant_mapping *m = mapping_claim(t, op->handle);
    uint32_t flags;

    trace(TRACE_GRANT, "unmap handle %u at %lx", op->handle, op->host_addr);
    *ended = (struct grant_use){0};
    if (!m) {
        op->status = GNTST_bad_handle;
        return;
    }
    flags = m->flags;
    op->status = unmap_kinds(d, op, m, &flags);
    if (!(flags & MAPPING_KINDS)) {
        *ended = m->use;
        m->use = (struct grant_use){0};
    }
    mapping_settle(t, m, flags);
}

#define RELEASE_CHUNK 64 /* handles between two looks for other work; those not in use cost time too */

/* The entries went with the page tables; stale translations are nobody's, since no vCPU of the domain will run again. */
int grant_release_mappings(struct domain *d)
{
    struct grant_table *t = d->grants;
    uint32_t end = t->chunks_count * MAPPINGS_PER_CHUNK;
    unsigned count = 0;

    while (t->release_next < end) {
        struct grant_mapping *m = mapping_claim(t, t->release_next++);
        if (m) {
            grant_use_end(&m->use);
            mapping_settle(t, m, 0);
        }
        if (++count % RELEASE_CHUNK == 0 && hw_preempt_check())
            return -ERESTART;
    }
    return 0;
}

uint32_t grant_for_some_mappings(struct domain *d, uint32_t from, void (*fn)(struct frame *f, bool writable))
{
    struct grant_table *t = d->grants;

    for (uint32_t n = 0; n < 2 * MAPPINGS_PER_CHUNK; n++) {
        const struct grant_mapping *m = mapping_of(t, from + n);
        struct frame *f = m ? __atomic_load_n(&m->use.frame, __ATOMIC_RELAXED) : NULL;

        if (!m)
            return 0;
        if (f)
            fn(f, m->use.write);
    }
    return from + 2 * MAPPINGS_PER_CHUNK;
}
