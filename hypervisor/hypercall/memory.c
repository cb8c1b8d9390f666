/* SPDX-License-Identifier: MIT */
/*
 * memory_op: reservations, memory maps, the machine-to-physical table.
 *
 * The calls that change a reservation return how many extents they did, never an error number; they and exchange are cut at
 * preemption points. The number of extents done goes into the upper bits of the command (exchange: into nr_exchanged), where
 * the guest can see and forge it: it is checked like the rest.
 *
 * Not offered, each with its errno: populate on demand, paging, sharing, access, vNUMA, and add_to_physmap and its relatives,
 * which are for translated guests.
 */
#include "hypercall/hypercall.h"
#include <xen/memory.h>
#include <xen/arch-x86/xen-x86_64.h>
#include "core/grant/grant.h"
#include "core/mem/alloc.h"
#include "core/mem/reservation.h"

#define OP_BITS 6
#define OP_MASK ((1u << OP_BITS) - 1)
/* Largest extents: a guest's superpages; what Domain 0's drivers may want contiguous */
#define ORDER_MAX_GUEST 9
#define ORDER_MAX_DOM0  12
/* An extent is exchanged in one piece. Only who drives devices needs large ones. */
#define EXCHANGE_ORDER_MAX_GUEST 4

static unsigned order_limit(const struct domain *caller)
{
    return caller->is_privileged || caller->is_hardware ? ORDER_MAX_DOM0 : ORDER_MAX_GUEST;
}

static int64_t continue_at(unsigned op, uint64_t done, uint64_t arg)
{
    return hw_hypercall_continue(__HYPERVISOR_memory_op, 2, (uint64_t[]){op | done << OP_BITS, arg});
}

/* Address of entry `index` in a guest's array of frame numbers; false: it wraps. */
static bool entry_at(uint64_t base, uint64_t index, uint64_t *va)
{
    uint64_t offset;
    return !__builtin_mul_overflow(index, sizeof(xen_pfn_t), &offset) && !__builtin_add_overflow(base, offset, va);
}

/* The domain that a call names, with a reference; NULL: none, or not the caller's business. */
static struct domain *target_of(uint16_t domid, int *rc)
{
    struct domain *self = current_vcpu()->domain, *d = domain_get_ref(domid, self);

    *rc = d ? 0 : -ESRCH;
    if (d && d != self && policy_check(self, MAY_CONTROL_DOMAIN, d)) {
        domain_put(d);
        *rc = -EPERM;
        return NULL;
    }
    return d;
}

/* ---- Changing a reservation ---- */

struct extents {
    struct domain *d;
    uint64_t list; /* guest address */
    unsigned order, address_bits;
};

static bool increase_one(const struct extents *x, uint64_t index)
{
    uint64_t va = 0, value;
    mfn_t m;

    if (x->list && !entry_at(x->list, index, &va))
        return false;
    m = reservation_add(x->d, x->order, x->address_bits, false);
    if (mfn_eq(m, INVALID_MFN))
        return false;
    value = m.n;
    return !x->list || !copy_out(va, &value);
}

static bool populate_one(const struct extents *x, uint64_t index)
{
    uint64_t va, pfn, value;
    mfn_t m;

    if (!entry_at(x->list, index, &va) || copy_in(&pfn, va))
        return false;
    m = reservation_add(x->d, x->order, x->address_bits, false);
    if (mfn_eq(m, INVALID_MFN))
        return false;
    for (uint64_t i = 0, frames = 1UL << x->order; i < frames; i++)
        hw_m2p_set(mfn_add(m, i), pfn + i);
    value = m.n;
    return !copy_out(va, &value);
}

static bool decrease_one(const struct extents *x, uint64_t index)
{
    uint64_t va, mfn;

    if (!entry_at(x->list, index, &va) || copy_in(&mfn, va))
        return false;
    for (uint64_t i = 0; i < 1UL << x->order; i++)
        if (mfn + i < mfn || reservation_drop(x->d, MFN(mfn + i)))
            return false;
    return true;
}

/* Whether the caller may ask for memory below an address: such memory is scarce. */
static bool flags_allowed(const struct xen_memory_reservation *r)
{
    if (r->mem_flags & XENMEMF_populate_on_demand)
        return false;
    return !XENMEMF_get_address_bits(r->mem_flags) ||
           !policy_check(current_vcpu()->domain, MAY_ALLOC_ADDRESS_BITS, NULL);
}

static int64_t change_reservation(unsigned op, uint64_t start, uint64_t arg)
{
    bool (*one)(const struct extents *, uint64_t) = op == XENMEM_increase_reservation ? increase_one
                                                    : op == XENMEM_populate_physmap   ? populate_one
                                                                                      : decrease_one;
    struct xen_memory_reservation r;
    struct extents x;
    uint64_t i = start;
    int rc;

    if (copy_in(&r, arg) || start > r.nr_extents || r.nr_extents > ~0UL >> OP_BITS ||
        r.extent_order > order_limit(current_vcpu()->domain) ||
        (op != XENMEM_decrease_reservation && !flags_allowed(&r)))
        return (int64_t)start;
    x = (struct extents){.list = (uint64_t)r.extent_start.p,
                         .order = r.extent_order,
                         .address_bits = XENMEMF_get_address_bits(r.mem_flags)};
    x.d = target_of(r.domid, &rc);
    if (!x.d)
        return (int64_t)start;
    while (i < r.nr_extents && one(&x, i)) {
        i++;
        if (i < r.nr_extents && hw_preempt_check()) {
            domain_put(x.d);
            return continue_at(op, i, arg);
        }
    }
    domain_put(x.d);
    return (int64_t)i;
}

/* ---- Exchange ---- */

/* A piece of an exchange that happens as a whole: the larger of the two extents, as single frames. */
struct piece {
    unsigned frames, in_count, out_count;
    uint64_t *in, *out; /* single frames going; first frames of blocks coming */
};

static int check_exchange(struct domain *self, const struct xen_memory_exchange *e, struct piece *p)
{
    unsigned larger = MAX(e->in.extent_order, e->out.extent_order);
    bool drives = self->is_privileged || self->is_hardware;

    if (larger > (drives ? ORDER_MAX_DOM0 : EXCHANGE_ORDER_MAX_GUEST))
        return fail(-EPERM);
    if (e->in.domid != e->out.domid)
        return fail(-EINVAL);
    if (e->in.nr_extents > ~0UL >> (OP_BITS + ORDER_MAX_DOM0) ||
        e->out.nr_extents > ~0UL >> (OP_BITS + ORDER_MAX_DOM0) ||
        e->in.nr_extents << e->in.extent_order != e->out.nr_extents << e->out.extent_order)
        return fail(-EINVAL);
    if ((XENMEMF_get_address_bits(e->out.mem_flags) || e->out.extent_order) &&
        policy_check(self, MAY_ALLOC_ADDRESS_BITS, NULL))
        return fail(-EPERM);
    p->frames = 1u << larger;
    p->in_count = p->frames >> e->in.extent_order;
    p->out_count = p->frames >> e->out.extent_order;
    if (e->nr_exchanged > e->in.nr_extents || e->nr_exchanged % p->in_count || e->in.nr_extents % p->in_count)
        return fail(-EINVAL);
    return 0;
}

/* Reads the frames to give, each extent spread out. */
static int read_in_frames(const struct xen_memory_exchange *e, const struct piece *p)
{
    uint64_t per = 1UL << e->in.extent_order, n = 0;

    for (unsigned i = 0; i < p->in_count; i++) {
        uint64_t va, first;

        if (!entry_at((uint64_t)e->in.extent_start.p, e->nr_exchanged + i, &va) || copy_in(&first, va))
            return fail(-EFAULT);
        for (uint64_t j = 0; j < per; j++)
            p->in[n++] = first + j;
    }
    return 0;
}

/* Exchanges one piece and tells the guest its new frames. */
static int exchange_piece(struct domain *d, const struct xen_memory_exchange *e, const struct piece *p, uint64_t *pfns)
{
    uint64_t first_out = e->nr_exchanged / p->in_count * p->out_count, base;
    size_t bytes = p->out_count * sizeof(uint64_t);
    unsigned order = e->out.extent_order;
    int rc = read_in_frames(e, p);

    if (rc)
        return rc;
    if (!entry_at((uint64_t)e->out.extent_start.p, first_out, &base) || hw_copy_from_guest(pfns, base, bytes))
        return fail(-EFAULT);
    rc = reservation_exchange(d, p->in, p->frames, p->out, order, XENMEMF_get_address_bits(e->out.mem_flags));
    if (rc)
        return rc;
    for (unsigned i = 0; i < p->out_count; i++)
        for (uint64_t j = 0; j < 1UL << order; j++)
            hw_m2p_set(MFN(p->out[i] + j), pfns[i] + j);
    return hw_copy_to_guest(base, p->out, bytes) ? fail(-EFAULT) : 0;
}

static int64_t exchange_all(struct domain *d, struct xen_memory_exchange *e, const struct piece *p, uint64_t *pfns,
                            uint64_t arg)
{
    while (e->nr_exchanged < e->in.nr_extents) {
        int rc = exchange_piece(d, e, p, pfns);

        if (rc)
            return rc;
        e->nr_exchanged += p->in_count;
        if (hw_copy_to_guest(arg + offsetof(struct xen_memory_exchange, nr_exchanged), &e->nr_exchanged,
                             sizeof(e->nr_exchanged)))
            return fail(-EFAULT);
        if (e->nr_exchanged < e->in.nr_extents && hw_preempt_check())
            return -ERESTART;
    }
    return 0;
}

static int64_t exchange(unsigned op, uint64_t arg)
{
    struct xen_memory_exchange e;
    struct piece p = {0};
    uint64_t *memory;
    struct domain *d;
    int64_t result;
    int rc;

    if (copy_in(&e, arg))
        return fail(-EFAULT);
    rc = check_exchange(current_vcpu()->domain, &e, &p);
    if (rc)
        return rc;
    d = target_of(e.in.domid, &rc);
    if (!d)
        return fail(rc);
    memory = heap_alloc_array(p.frames + 2UL * p.out_count, sizeof(uint64_t));
    if (memory) {
        p.in = memory;
        p.out = memory + p.frames;
        result = exchange_all(d, &e, &p, p.out + p.out_count, arg);
    } else {
        result = fail(-ENOMEM);
    }
    heap_free(memory);
    domain_put(d);
    return result == -ERESTART ? continue_at(op, 0, arg) : result;
}

/* ---- Asking ---- */

/* As the guest says itself. */
static uint64_t highest_pfn(const struct domain *d)
{
    const struct shared_info *s = __atomic_load_n(&d->shared_info, __ATOMIC_RELAXED);

    return s ? __atomic_load_n(&s->arch.max_pfn, __ATOMIC_RELAXED) - 1 : 0;
}

static int64_t reservation_size(unsigned op, uint64_t arg)
{
    struct xen_memory_domain who;
    struct domain *d;
    uint64_t n;
    int rc;

    if (copy_in(&who, arg))
        return fail(-EFAULT);
    d = target_of(who.domid, &rc);
    if (!d)
        return fail(rc);
    if (op == XENMEM_current_reservation)
        n = __atomic_load_n(&d->pages_count, __ATOMIC_RELAXED);
    else if (op == XENMEM_maximum_reservation)
        n = __atomic_load_n(&d->pages_max, __ATOMIC_RELAXED);
    else
        n = highest_pfn(d);
    domain_put(d);
    return (int64_t)MIN(n, (uint64_t)INT64_MAX);
}

static int64_t maximum_ram_page(unsigned op, uint64_t arg)
{
    return (int64_t)hw_frames_max;
}

static int64_t machphys_mapping(unsigned op, uint64_t arg)
{
    struct xen_machphys_mapping m = {
        .v_start = MACH2PHYS_VIRT_START, .v_end = MACH2PHYS_VIRT_END, .max_mfn = MACH2PHYS_NR_ENTRIES - 1};

    return copy_out(arg, &m) ? fail(-EFAULT) : 0;
}

/* One frame number for each 2 MiB of the table; 0 for a hole. */
static int64_t machphys_mfn_list(unsigned op, uint64_t arg)
{
    struct xen_machphys_mfn_list l;
    unsigned n;

    if (policy_check(current_vcpu()->domain, MAY_CONTROL_MACHINE, NULL))
        return fail(-EPERM);
    if (copy_in(&l, arg))
        return fail(-EFAULT);
    for (n = 0; n < l.max_extents; n++) {
        mfn_t m = hw_m2p_piece(n);
        uint64_t va;

        if (mfn_eq(m, INVALID_MFN))
            break;
        if (!entry_at((uint64_t)l.extent_start.p, n, &va) || copy_out(va, &m.n))
            return fail(-EFAULT);
    }
    l.nr_extents = n;
    return hw_copy_to_guest(arg + offsetof(struct xen_machphys_mfn_list, nr_extents), &l.nr_extents,
                            sizeof(l.nr_extents))
               ? fail(-EFAULT)
               : 0;
}

/* ---- Memory maps ---- */

static int64_t machine_memory_map(unsigned op, uint64_t arg)
{
    const struct hw_memory_range *map;
    unsigned count = hw_memory_map(&map);
    struct xen_memory_map m;

    if (policy_check(current_vcpu()->domain, MAY_SEE_MEMORY_MAP, NULL))
        return fail(-EPERM);
    if (copy_in(&m, arg))
        return fail(-EFAULT);
    if (m.nr_entries < count)
        return fail(-EINVAL);
    m.nr_entries = count;
    if (hw_copy_to_guest((uint64_t)m.buffer.p, map, count * sizeof(*map)) || copy_out(arg, &m))
        return fail(-EFAULT);
    return 0;
}

#define MAP_ENTRY_SIZE sizeof(((struct memory_map *)0)->entries[0])

static int64_t memory_map(unsigned op, uint64_t arg)
{
    struct domain *d = current_vcpu()->domain;
    uint8_t entries[MEMORY_MAP_MAX * MAP_ENTRY_SIZE];
    struct xen_memory_map m;
    bool set;

    if (copy_in(&m, arg))
        return fail(-EFAULT);
    spin_lock(&d->memory_lock);
    set = d->memory_map != NULL;
    if (set) {
        m.nr_entries = MIN(m.nr_entries, d->memory_map->count);
        memcpy(entries, d->memory_map->entries, m.nr_entries * MAP_ENTRY_SIZE);
    }
    spin_unlock(&d->memory_lock);
    if (!set)
        return fail(-ENOSYS);
    if (hw_copy_to_guest((uint64_t)m.buffer.p, entries, m.nr_entries * MAP_ENTRY_SIZE) || copy_out(arg, &m))
        return fail(-EFAULT);
    return 0;
}

static int64_t set_memory_map(unsigned op, uint64_t arg)
{
    struct xen_foreign_memory_map m;
    struct memory_map *map, *old;
    struct domain *d;
    int rc;

    if (copy_in(&m, arg))
        return fail(-EFAULT);
    if (m.map.nr_entries > MEMORY_MAP_MAX)
        return fail(-EINVAL);
    d = domain_get_ref(m.domid, current_vcpu()->domain);
    if (!d)
        return fail(-ESRCH);
    map = heap_alloc(sizeof(*map) + m.map.nr_entries * MAP_ENTRY_SIZE);
    rc = map ? policy_check(current_vcpu()->domain, MAY_CONTROL_DOMAIN, d) : -ENOMEM;
    if (!rc && hw_copy_from_guest(map->entries, (uint64_t)m.map.buffer.p, m.map.nr_entries * MAP_ENTRY_SIZE))
        rc = -EFAULT;
    old = map;
    if (!rc) {
        map->count = m.map.nr_entries;
        spin_lock(&d->memory_lock);
        old = d->memory_map;
        d->memory_map = map;
        spin_unlock(&d->memory_lock);
    }
    heap_free(old);
    domain_put(d);
    return rc ? fail(rc) : 0;
}

/* ---- For the toolstack ---- */

static int64_t claim_pages(unsigned op, uint64_t arg)
{
    struct xen_memory_reservation r;
    struct domain *d;
    int rc;

    if (policy_check(current_vcpu()->domain, MAY_CONTROL_MACHINE, NULL))
        return fail(-EPERM);
    if (copy_in(&r, arg))
        return fail(-EFAULT);
    if (r.extent_start.p || r.extent_order || r.mem_flags)
        return fail(-EINVAL);
    d = target_of(r.domid, &rc);
    if (!d)
        return fail(rc);
    rc = reservation_claim(d, r.nr_extents);
    domain_put(d);
    return rc;
}

/* The frames of a domain's grant table, which grows to have them. */
static int64_t grant_frames_out(struct domain *d, const struct xen_mem_acquire_resource *r)
{
    uint64_t end, va;
    int rc;

    if (__builtin_add_overflow(r->frame, r->nr_frames, &end) || end > grant_frames_max(d))
        return fail(-EINVAL);
    rc = grant_table_grow(d, (unsigned)end);
    for (uint64_t i = 0; !rc && i < r->nr_frames; i++) {
        mfn_t m = grant_frame_mfn(d, (unsigned)(r->frame + i));

        if (mfn_eq(m, INVALID_MFN)) /* it is dying */
            rc = -EINVAL;
        else if (!entry_at((uint64_t)r->frame_list.p, i, &va) || copy_out(va, &m.n))
            rc = -EFAULT;
    }
    return rc ? fail(rc) : 0;
}

/* Memory of ours that belongs to a domain. The caller maps the frames as the domain's. */
static int64_t acquire_resource(unsigned op, uint64_t arg)
{
    struct domain *self = current_vcpu()->domain, *d;
    struct xen_mem_acquire_resource r;
    int64_t rc64;
    int rc;

    if (copy_in(&r, arg))
        return fail(-EFAULT);
    if (r.pad || (!r.frame_list.p && r.nr_frames))
        return fail(-EINVAL);
    if (r.type != XENMEM_resource_grant_table)
        return fail(-EOPNOTSUPP);
    if (r.id != XENMEM_resource_grant_table_id_shared)
        return fail(-EINVAL);
    d = target_of(r.domid, &rc);
    if (!d)
        return fail(rc);
    if (d == self) {
        rc64 = fail(-EPERM);
    } else if (!r.nr_frames) {
        r.nr_frames = grant_frames_max(d);
        rc64 = copy_out(arg, &r) ? fail(-EFAULT) : 0;
    } else {
        rc64 = grant_frames_out(d, &r);
    }
    domain_put(d);
    return rc64 == -ERESTART ? continue_at(op, 0, arg) : rc64;
}

static int64_t not_supported(unsigned op, uint64_t arg)
{
    return fail(-EOPNOTSUPP);
}

/* What is not here is -ENOSYS. */
static int64_t (*const plain_ops[1u << OP_BITS])(unsigned op, uint64_t arg) = {
    [XENMEM_exchange] = exchange,
    [XENMEM_maximum_ram_page] = maximum_ram_page,
    [XENMEM_current_reservation] = reservation_size,
    [XENMEM_maximum_reservation] = reservation_size,
    [XENMEM_maximum_gpfn] = reservation_size,
    [XENMEM_machphys_mfn_list] = machphys_mfn_list,
    [XENMEM_machphys_mapping] = machphys_mapping,
    [XENMEM_memory_map] = memory_map,
    [XENMEM_set_memory_map] = set_memory_map,
    [XENMEM_machine_memory_map] = machine_memory_map,
    [XENMEM_claim_pages] = claim_pages,
    [XENMEM_get_vnumainfo] = not_supported,
    [XENMEM_acquire_resource] = acquire_resource,
};

HYPERCALL_HANDLER(memory_op)
{
    unsigned op = args[0] & OP_MASK;
    uint64_t start = args[0] >> OP_BITS;

    trace(TRACE_MEMORY, "memory_op %u from extent %lu", op, start);
    switch (op) {
    case XENMEM_increase_reservation:
    case XENMEM_decrease_reservation:
    case XENMEM_populate_physmap:
        return change_reservation(op, start, args[1]);
    default:
        if (!plain_ops[op])
            return fail(-ENOSYS);
        return start ? fail(-EINVAL) : plain_ops[op](op, args[1]);
    }
}
