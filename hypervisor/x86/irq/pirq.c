/* SPDX-License-Identifier: MIT */
/*
 * PIRQs: a domain's numbers for interrupt lines and messages. A line's number is the GSI where it is free, messages get
 * numbers above the lines.
 *
 *   nobody's --map--> mapped, masked --bind (event channel)--> unmasked <--fires / EOI--> masked, waiting (lines only)
 *   bound --unbind--> mapped, masked --unmap--> nobody's
 *
 * pv_domain.pirq_irq[pirq] is irq + 1, 0 none; it changes with irq_map_lock held and is read without. Locks: desc.h.
 */
#include "core/domain/domain.h"
#include "core/lib/fail.h"
#include "core/lib/print.h"
#include "core/lib/string.h"
#include "core/mem/alloc.h"
#include "core/mem/type.h"
#include "core/trace/trace.h"
#include "hw/nospec.h"
#include "x86/apic/apic.h"
#include "x86/irq/desc.h"
#include "x86/irq/pci.h"
#include "x86/pv/pv.h"

unsigned hw_pirq_max(void)
{
    return IRQS_MAX;
}

bool hw_gsi_valid(unsigned gsi)
{
    return ioapic_gsi_valid(gsi);
}

/* ---- Numbers --------------------------------------------------------------------------------------------- */

static struct irq_desc *pirq_find(struct domain *d, unsigned pirq)
{
    const uint16_t *map = __atomic_load_n(&pv_domain_of(d)->pirq_irq, __ATOMIC_ACQUIRE);
    unsigned n;

    if (pirq >= IRQS_MAX || !map)
        return NULL;
    n = __atomic_load_n(&map[index_nospec(pirq, IRQS_MAX)], __ATOMIC_RELAXED);
    return n ? &irqs[n - 1] : NULL;
}

/* With the descriptor's lock held: whether it still is what pirq_find() found. */
static bool pirq_is(const struct irq_desc *desc, const struct domain *d, unsigned pirq)
{
    return desc->owner == d && desc->pirq == pirq;
}

static int pirq_make_map(struct domain *d)
{
    struct pv_domain *pd = pv_domain_of(d);

    if (__atomic_load_n(&d->dying, __ATOMIC_ACQUIRE)) /* it has given back all, or is about to */
        return fail(-EINVAL);
    if (!pd->pirq_irq)
        __atomic_store_n(&pd->pirq_irq, heap_alloc_array(IRQS_MAX, sizeof(uint16_t)), __ATOMIC_RELEASE);
    return pd->pirq_irq ? 0 : fail(-ENOMEM);
}

static bool pirqs_free(struct domain *d, unsigned first, unsigned count)
{
    const uint16_t *map = pv_domain_of(d)->pirq_irq;

    for (unsigned i = 0; i < count; i++)
        if (first + i >= IRQS_MAX || map[first + i])
            return false;
    return true;
}

/* `count` free numbers in a row, `wanted` when it is not negative, else from `from` on. Negative: -EINVAL, -EEXIST, -ENOSPC. */
static int pirqs_choose(struct domain *d, int wanted, unsigned from, unsigned count)
{
    if (wanted >= (int)IRQS_MAX)
        return fail(-EINVAL);
    if (wanted >= 0)
        return pirqs_free(d, (unsigned)wanted, count) ? wanted : fail(-EEXIST);
    for (unsigned i = from; i + count <= IRQS_MAX; i++)
        if (pirqs_free(d, i, count))
            return (int)i;
    return fail(-ENOSPC);
}

/* ---- The shared page that says which numbers need an EOI call ----------------------------------------------- */

static void eoi_map_update(struct domain *d, unsigned pirq, bool needs_eoi)
{
    struct frame *f = pv_domain_of(d)->pirq_eoi_map;
    uint64_t *bits;

    if (!f)
        return;
    bits = hw_frame_va(frame_mfn(f));
    if (needs_eoi)
        bit_test_set_atomic(bits, pirq);
    else
        bit_test_clear_atomic(bits, pirq);
}

int hw_pirq_set_eoi_map(struct domain *d, mfn_t mfn)
{
    struct pv_domain *pd = pv_domain_of(d);
    int rc = writable_get(mfn, d->id);

    if (rc)
        return fail(-EINVAL);
    spin_lock(&irq_map_lock);
    if (pd->pirq_eoi_map) {
        rc = -EBUSY;
    } else {
        memset(hw_frame_va(mfn), 0, IRQS_MAX / 8);
        pd->pirq_eoi_map = frame_of(mfn);
        for (unsigned pirq = 0; pd->pirq_irq && pirq < IRQS_MAX; pirq++)
            if (pd->pirq_irq[pirq] && pirq_find(d, pirq)->level)
                eoi_map_update(d, pirq, true);
    }
    spin_unlock(&irq_map_lock);
    if (rc) {
        writable_put(frame_of(mfn));
        return fail(rc);
    }
    return 0;
}

/* ---- Mapping --------------------------------------------------------------------------------------------- */

static void desc_give(struct irq_desc *desc, struct domain *d, unsigned pirq)
{
    spin_lock_nested(&desc->lock);
    desc->owner = d;
    desc->pirq = pirq;
    desc->bound = desc->waiting = desc->shared = false;
    spin_unlock(&desc->lock);
    __atomic_store_n(&pv_domain_of(d)->pirq_irq[pirq], irq_number(desc) + 1, __ATOMIC_RELEASE);
    eoi_map_update(d, pirq, desc->level);
}

static int map_gsi_locked(struct domain *d, unsigned gsi, int *pirq)
{
    struct irq_desc *desc = &irqs[gsi];
    int n, rc = pirq_make_map(d);

    if (rc)
        return rc;
    if (desc->owner == d) { /* again: Linux does so for each device on the line */
        if (*pirq >= 0 && desc->pirq != (unsigned)*pirq)
            return fail(-EEXIST);
        *pirq = (int)desc->pirq;
        return 0;
    }
    if (desc->owner)
        return fail(-EEXIST);
    if (*pirq < 0 && pirqs_free(d, gsi, 1))
        *pirq = (int)gsi;
    n = pirqs_choose(d, *pirq, ioapic_gsi_count(), 1);
    if (n < 0)
        return n;
    desc_give(desc, d, (unsigned)n);
    *pirq = n;
    return 0;
}

int hw_pirq_map_gsi(struct domain *d, unsigned gsi, int *pirq)
{
    int rc;

    if (gsi >= IRQS_MAX || !ioapic_gsi_valid(gsi))
        return fail(-EINVAL);
    spin_lock(&irq_map_lock);
    rc = map_gsi_locked(d, gsi, pirq);
    spin_unlock(&irq_map_lock);
    trace(TRACE_IRQ, "irq: dom%u maps GSI %u as pirq %d: %d", d->id, gsi, *pirq, rc);
    return rc;
}

int hw_gsi_setup(unsigned gsi, bool level, bool active_low)
{
    struct irq_desc *desc;
    bool done;

    if (gsi >= IRQS_MAX || !ioapic_gsi_valid(gsi))
        return fail(-EINVAL);
    desc = &irqs[gsi];
    spin_lock(&irq_map_lock);
    spin_lock_nested(&desc->lock);
    done = desc->set_up || desc->handler;
    if (!done) {
        desc->set_up = true;
        desc->level = level;
        desc->active_low = active_low;
        desc->waiting = desc->waiting && level;
        if (desc->vector)
            irq_route_gsi(desc, !desc->bound || desc->waiting);
        if (desc->owner)
            eoi_map_update(desc->owner, desc->pirq, level);
    }
    spin_unlock(&desc->lock);
    spin_unlock(&irq_map_lock);
    return done ? fail(-EEXIST) : 0;
}

static void messages_init(struct irq_desc *first, struct pci_device *dev, const struct hw_msi_request *rq)
{
    for (unsigned i = 0; i < rq->count; i++) {
        struct irq_desc *desc = first + i;

        spin_lock_nested(&desc->lock);
        desc->kind = rq->msix ? IRQ_MSIX : IRQ_MSI;
        desc->dev = dev;
        desc->entry = (uint16_t)(rq->msix ? rq->entry : i);
        desc->group = (uint16_t)(i ? 0 : rq->count);
        desc->level = desc->active_low = false;
        desc->count = desc->dropped = 0;
        spin_unlock(&desc->lock);
    }
    dev->messages += rq->count;
}

/* table_phys: the MSI-X table that the domain has lost the right to write. */
static int map_msi_locked(struct domain *d, const struct hw_msi_request *rq, uint64_t table_phys, int *pirq)
{
    struct pci_device *dev;
    struct irq_desc *first;
    int n, rc = msi_check(rq, &dev);

    if (!rc)
        rc = pirq_make_map(d);
    if (!rc && rq->msix)
        rc = msi_map_table(dev, rq);
    if (rc)
        return rc;
    if (rq->msix && dev->msix_phys != table_phys)
        return fail(-EBUSY); /* moved meanwhile */
    first = irq_alloc_messages(rq->count);
    if (!first)
        return fail(-ENOSPC);
    n = pirqs_choose(d, *pirq, ioapic_gsi_count(), rq->count);
    if (n < 0)
        return n;
    rc = irq_assign_vectors(first, rq->count, d);
    if (rc)
        return rc;
    messages_init(first, dev, rq);
    msi_program(first);
    for (unsigned i = 0; i < rq->count; i++)
        desc_give(first + i, d, (unsigned)n + i);
    *pirq = n;
    return 0;
}

int hw_pirq_map_msi(struct domain *d, const struct hw_msi_request *rq, int *pirq)
{
    uint64_t table_phys = 0;
    int rc;

    if (!rq->count || rq->count > MSI_COUNT_MAX || (rq->count & (rq->count - 1)))
        return fail(-EINVAL);
    if (rq->msix) {
        rc = msi_protect_table(d, rq, &table_phys);
        if (rc)
            return rc;
    }
    spin_lock(&irq_map_lock);
    rc = map_msi_locked(d, rq, table_phys, pirq);
    spin_unlock(&irq_map_lock);
    trace(TRACE_IRQ, "irq: dom%u maps %s %04x:%02x:%02x.%u entry %u count %u as pirq %d: %d", d->id,
          rq->msix ? "MSI-X" : "MSI", rq->segment, rq->bus, rq->devfn >> 3, rq->devfn & 7, rq->entry, rq->count, *pirq,
          rc);
    return rc;
}

/* Takes the descriptor away from its owner, masked; a message's is free then. All under its lock: another CPU may have just
 * taken the interrupt. Map lock held. */
static void desc_take(struct irq_desc *desc)
{
    struct domain *d = desc->owner;

    spin_lock_nested(&desc->lock);
    if (!desc->handler)
        irq_mask(desc);
    desc->owner = NULL;
    desc->bound = desc->waiting = desc->shared = false;
    if (desc->kind != IRQ_GSI) {
        desc->dev->messages--;
        desc->kind = IRQ_FREE;
        desc->dev = NULL;
    }
    spin_unlock(&desc->lock);
    __atomic_store_n(&pv_domain_of(d)->pirq_irq[desc->pirq], 0, __ATOMIC_RELEASE);
    eoi_map_update(d, desc->pirq, false);
    if (!desc->handler)
        irq_release_vector(desc);
    if (desc->kind == IRQ_GSI)
        desc->set_up = false;
}

/* A line, or a whole group of messages by its first. Map lock held. */
static void release_group(struct irq_desc *first)
{
    unsigned count = first->kind == IRQ_GSI ? 1 : first->group;

    if (first->kind != IRQ_GSI)
        msi_disable(first);
    for (unsigned i = 0; i < count; i++)
        desc_take(first + i);
}

static int unmap_locked(struct domain *d, unsigned pirq, struct irq_desc **out, unsigned *count)
{
    struct irq_desc *desc = pirq_find(d, pirq);

    if (!desc || (desc->kind != IRQ_GSI && !desc->group))
        return fail(-EINVAL);
    *count = desc->kind == IRQ_GSI ? 1 : desc->group;
    *out = desc;
    for (unsigned i = 0; i < *count; i++)
        if (desc[i].bound)
            return fail(-EBUSY);
    release_group(desc);
    return 0;
}

int hw_pirq_unmap(struct domain *d, unsigned pirq)
{
    struct irq_desc *desc = NULL;
    unsigned count = 0;
    int rc;

    spin_lock(&irq_map_lock);
    rc = unmap_locked(d, pirq, &desc, &count);
    spin_unlock(&irq_map_lock);
    trace(TRACE_IRQ, "irq: dom%u unmaps pirq %u: %d", d->id, pirq, rc);
    for (unsigned i = 0; i < count && !rc; i++)
        irq_synchronise(&desc[i]);
    return rc;
}

void hw_pirq_release_all(struct domain *d)
{
    struct pv_domain *pd = pv_domain_of(d);
    struct frame *f;
    uint16_t *map;

    spin_lock(&irq_map_lock);
    for (unsigned i = 0; pd->pirq_irq && i < IRQS_MAX; i++)
        if (irqs[i].owner == d)
            release_group(&irqs[i]);
    f = pd->pirq_eoi_map;
    map = pd->pirq_irq;
    pd->pirq_eoi_map = NULL;
    pd->pirq_irq = NULL;
    spin_unlock(&irq_map_lock);
    /* A CPU that took one of them before may be about to tell the domain. */
    for (unsigned i = 0; map && i < IRQS_MAX; i++)
        irq_synchronise(&irqs[i]);
    if (f)
        writable_put(f);
    heap_free(map);
}

/* ---- Use ------------------------------------------------------------------------------------------------- */

int hw_pirq_status(struct domain *d, unsigned pirq, bool *needs_eoi, bool *shared)
{
    const struct irq_desc *desc = pirq_find(d, pirq);

    if (!desc)
        return fail(-EINVAL);
    /* A line may be set up as level after Linux has asked, so for lines the answer is always yes. */
    *needs_eoi = desc->kind == IRQ_GSI;
    *shared = desc->shared;
    return 0;
}

int hw_pirq_bind(struct domain *d, unsigned pirq, bool will_share)
{
    struct irq_desc *desc;
    int rc = -EINVAL;

    spin_lock(&irq_map_lock);
    desc = pirq_find(d, pirq);
    if (!desc)
        goto out;
    rc = desc->handler || desc->bound ? -EBUSY : 0;
    if (!rc && !desc->vector)
        rc = irq_assign_vectors(desc, 1, d);
    if (rc)
        goto out;
    spin_lock_nested(&desc->lock);
    desc->shared = will_share;
    desc->waiting = false;
    desc->bound = true;
    if (desc->kind == IRQ_GSI)
        irq_route_gsi(desc, false);
    else
        irq_unmask(desc);
    spin_unlock(&desc->lock);
out:
    spin_unlock(&irq_map_lock);
    trace(TRACE_IRQ, "irq: dom%u binds pirq %u: %d", d->id, pirq, rc);
    return rc ? fail(rc) : 0;
}

void hw_pirq_unbind(struct domain *d, unsigned pirq)
{
    struct irq_desc *desc = pirq_find(d, pirq);

    if (!desc)
        return;
    spin_lock(&desc->lock);
    if (pirq_is(desc, d, pirq) && desc->bound) {
        desc->bound = desc->waiting = false;
        irq_mask(desc);
    }
    spin_unlock(&desc->lock);
}

void hw_pirq_eoi(struct domain *d, unsigned pirq)
{
    struct irq_desc *desc = pirq_find(d, pirq);

    if (!desc)
        return;
    spin_lock(&desc->lock);
    if (pirq_is(desc, d, pirq) && desc->waiting) {
        desc->waiting = false;
        irq_unmask(desc);
    }
    spin_unlock(&desc->lock);
}
