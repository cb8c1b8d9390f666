/* SPDX-License-Identifier: MIT */
/* Arguments: frames, entries, addresses, domains. Mostly such that something comes of it, sometimes anything. */
#include "model.h"
#include "core/grant/grant.h"
#include "core/mem/refs.h"

/* The entries of tables that are used; few, so that everything meets everything. */
const uint16_t slots[SLOTS] = {0, 1, 2, 3, 4, 7, 255, 256, 258, 271, 272, 511};

/* ---- Domains ---- */

struct domain *pick_domain(void)
{
    struct domain *d = NULL, *found = NULL;
    unsigned n = 0;

    while ((d = domain_next(d)))
        if (!rnd(++n))
            found = d;
    return found;
}

uint16_t pick_domid(struct domain *self)
{
    static const uint16_t odd[] = {DOMID_IO, DOMID_XEN, DOMID_INVALID, DOMID_COW, DOMID_IDLE, 9, 0x7fef};

    switch (rnd(16)) {
    case 0:
        return ONE_OF(odd);
    case 1:
    case 2:
    case 3:
    case 4:
        return (uint16_t)rnd(MODEL_DOMAINS);
    case 5:
        return self->id;
    default:
        return DOMID_SELF;
    }
}

/* ---- Frames ---- */

/* The first frame from a random one on that is wanted; INVALID_MFN. */
static mfn_t find_frame(const struct domain *d, bool (*wanted)(const struct frame *f, unsigned arg), unsigned arg)
{
    uint64_t at = rnd(MODEL_FRAMES);

    for (unsigned i = 0; i < MODEL_FRAMES; i++, at = (at + 1) % MODEL_FRAMES)
        if (frame_owner(&hw_frames[at]) == d->id && wanted(&hw_frames[at], arg))
            return MFN(at);
    return INVALID_MFN;
}

static bool any(const struct frame *f, unsigned unused)
{
    return true;
}

static bool is_table(const struct frame *f, unsigned level)
{
    uint64_t refs = f->refs;

    return type_is_table(refs_type(refs)) && frame_tcount(refs) && (!level || refs_type(refs) == level);
}

static bool is_unused(const struct frame *f, unsigned unused)
{
    return (f->refs & ~REFS_TYPE_MASK) == (FR_ALLOC | FR_DIRTY | 1);
}

mfn_t pick_own(struct domain *d)
{
    return find_frame(d, any, 0);
}

mfn_t pick_table(struct domain *d, unsigned level)
{
    return find_frame(d, is_table, level);
}

mfn_t pick_unused(struct domain *d)
{
    mfn_t m = find_frame(d, is_unused, 0);

    return mfn_eq(m, INVALID_MFN) ? pick_own(d) : m;
}

static mfn_t pick_odd(struct domain *d)
{
    static const uint64_t odd[] = {0, MODEL_FRAMES, MODEL_FRAMES - 1, ~0UL, 1UL << 40, (1UL << 40) - 1, 1UL << 36};

    switch (rnd(9)) {
    case 8:
        return world_m2p;
    case 0:
        return MFN(ONE_OF(odd));
    case 1:
        return d->shared_info_mfn;
    case 2:
        return d->grants ? grant_frame_mfn(d, rnd(3)) : INVALID_MFN;
    case 3:
        return host_io_frame(rnd(HOST_IO_FRAMES));
    case 4:
    case 5:
        return pick_own(pick_domain());
    default:
        return MFN(rnd(MODEL_FRAMES));
    }
}

mfn_t pick_frame(struct domain *d)
{
    switch (rnd(16)) {
    case 0:
    case 1:
        return pick_odd(d);
    case 2:
    case 3:
    case 4:
        return pick_table(d, rnd(5));
    case 5:
    case 6:
    case 7:
    case 8:
        return pick_unused(d);
    default:
        return pick_own(d);
    }
}

/* ---- Entries and addresses ---- */

pte_t pick_pte(struct domain *d, unsigned level)
{
    mfn_t m = level > 1 && !chance(4) ? (chance(2) ? pick_table(d, level - 1) : pick_unused(d)) : pick_frame(d);
    pte_t e;

    if (chance(4))
        return chance(4) ? TAG_WORD(current_vcpu()->domain->id) : 0;
    e = pte_make(mfn_eq(m, INVALID_MFN) ? pick_own(d) : m, PTE_P | PTE_US);
    if (level != 1 || chance(2))
        e |= PTE_RW;
    if (chance(8))
        e |= PTE_A | (chance(2) ? PTE_D : 0);
    if (chance(16))
        e |= PTE_NX | (chance(2) ? PTE_AVAIL : 0);
    if (chance(24))
        e ^= 1UL << rnd(64);
    return e;
}

uint64_t pick_va(void)
{
    uint64_t va = 0;

    if (chance(64))
        return ONE_OF(((uint64_t[]){HYPERVISOR_START, HYPERVISOR_END - 8, 1UL << 47, ~0UL, ~0xfffUL, (1UL << 47) - 4}));
    for (unsigned level = 0; level < 4; level++)
        va = va << 9 | slots[rnd(chance(8) ? SLOTS : 3)];
    va <<= PAGE_SHIFT;
    return (uint64_t)((int64_t)(va << 16) >> 16);
}

/* ---- Arguments of hypercalls ---- */

void *arg_room(struct vcpu *v, size_t size)
{
    struct model_vcpu *m = model_vcpu(v);
    size_t room = ROUND_UP(size, 16UL);
    uint8_t *p;

    if (m->used + room > sizeof(m->arena))
        m->used = 0; /* overlaps what was there */
    p = m->arena + m->used;
    m->used += room;
    return p;
}

/* Bounds: the hypervisor may read more than was meant, but not beyond the arena. */
uint64_t arg_address(struct vcpu *v, void *arg, size_t size)
{
    uint64_t va;
    void *p;

    if (!chance(16))
        return (uint64_t)arg;
    va = pick_va() + (chance(2) ? 0 : rnd(512) * 8UL);
    if (host_translate(v, va, true, &p) && (va & ~PAGE_MASK) + size <= PAGE_SIZE &&
        frame_type(frame_of(hw_va_frame(p))) == FT_WRITABLE)
        memcpy(p, arg, size);
    return va;
}
