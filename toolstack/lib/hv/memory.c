/* SPDX-License-Identifier: MIT */
/* A domain's memory: giving it frames, its memory map, its frames in our address space, its grant table (memory_op, mmuext_op, privcmd). */
#include "lib/hv/call.h" /* first: it says that these are tools */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <xen/grant_table.h>
#include <xen/memory.h>

#define E820_RAM      1
#define GRANTS_A_PAGE 512u

struct e820_entry {
    uint64_t addr, size;
    uint32_t type;
} __attribute__((packed));

int hv_domain_set_memory_map(struct hv *hv, uint32_t domid, uint64_t kib)
{
    struct hv_buffer *b = hv_buffer_get(hv);
    struct xen_foreign_memory_map *map;
    struct e820_entry *entry;
    int rc;

    if (!b)
        return -ENOMEM;
    map = hv_buffer_take(b, sizeof(*map));
    entry = hv_buffer_take(b, sizeof(*entry));
    *entry = (struct e820_entry){0, kib * 1024, E820_RAM};
    map->domid = (domid_t)domid;
    map->map.nr_entries = 1;
    set_xen_guest_handle(map->map.buffer, (void *)entry);
    rc = xencall2(hv->call, __HYPERVISOR_memory_op, XENMEM_set_memory_map, (uintptr_t)map) < 0 ? -errno : 0;
    hv_buffer_put(hv, b);
    return rc;
}

int hv_claim_pages(struct hv *hv, uint32_t domid, uint64_t pages)
{
    struct xen_memory_reservation claim = {.nr_extents = pages, .domid = (domid_t)domid};

    return (int)hv_call_copy(hv, __HYPERVISOR_memory_op, XENMEM_claim_pages, &claim, sizeof(claim));
}

/* As many as a buffer holds, in one call */
static long populate_some(struct hv *hv, struct hv_buffer *b, uint32_t domid, unsigned order, uint64_t count,
                          xen_pfn_t *gfns)
{
    struct xen_memory_reservation *op = hv_buffer_take(b, sizeof(*op));
    xen_pfn_t *list = hv_buffer_take(b, count * sizeof(*list));
    long done;

    memcpy(list, gfns, count * sizeof(*list));
    op->nr_extents = count;
    op->extent_order = order;
    op->domid = (domid_t)domid;
    set_xen_guest_handle(op->extent_start, list);
    done = xencall2L(hv->call, __HYPERVISOR_memory_op, XENMEM_populate_physmap, (uintptr_t)op);
    if (done < 0)
        return -errno;
    if ((uint64_t)done > count)
        return -EIO;
    memcpy(gfns, list, (uint64_t)done * sizeof(*list));
    return done;
}

int64_t hv_populate(struct hv *hv, uint32_t domid, unsigned order, uint64_t count, xen_pfn_t *gfns)
{
    const uint64_t most = (HV_BUFFER_SIZE - sizeof(struct xen_memory_reservation) - 16) / sizeof(*gfns);
    struct hv_buffer *b = hv_buffer_get(hv);
    uint64_t done = 0;
    long n = 0;

    if (!b)
        return -ENOMEM;
    while (done < count) {
        uint64_t want = count - done < most ? count - done : most;

        b->used = 0;
        n = populate_some(hv, b, domid, order, want, gfns + done);
        if (n > 0)
            done += (uint64_t)n;
        if (n < 0 || (uint64_t)n < want)
            break;
    }
    hv_buffer_put(hv, b);
    return done || n >= 0 ? (int64_t)done : n;
}

int hv_pin_l4(struct hv *hv, uint32_t domid, uint64_t mfn)
{
    struct hv_buffer *b = hv_buffer_get(hv);
    struct mmuext_op *op;
    int rc;

    if (!b)
        return -ENOMEM;
    op = hv_buffer_take(b, sizeof(*op));
    op->cmd = MMUEXT_PIN_L4_TABLE;
    op->arg1.mfn = mfn;
    rc = xencall4(hv->call, __HYPERVISOR_mmuext_op, (uintptr_t)op, 1, 0, (domid_t)domid) < 0 ? -errno : 0;
    hv_buffer_put(hv, b);
    return rc;
}

/* ---- In our address space ---- */

int hv_map(struct hv *hv, uint32_t domid, size_t count, const xen_pfn_t *mfns, void **out)
{
    *out = xenforeignmemory_map(hv->memory, domid, PROT_READ | PROT_WRITE, count, mfns, NULL);
    return *out ? 0 : errno ? -errno : -EIO;
}

void hv_unmap(struct hv *hv, void *p, size_t count)
{
    xenforeignmemory_unmap(hv->memory, p, count);
}

static void write_grants(grant_entry_v1_t *table, const struct hv_grant *grants, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        grant_entry_v1_t *e = &table[grants[i].ref];

        e->frame = (uint32_t)grants[i].mfn;
        e->domid = (domid_t)grants[i].to;
        __atomic_store_n(&e->flags, GTF_permit_access, __ATOMIC_RELEASE); /* last: it makes the entry count */
    }
}

/* For a kernel or hypervisor without mappable resources: has the table made, and maps its frame. */
static int seed_by_frame(struct hv *hv, uint32_t domid, const struct hv_grant *grants, unsigned count)
{
    struct hv_buffer *b = hv_buffer_get(hv);
    struct gnttab_setup_table *op;
    xen_pfn_t *frame;
    void *table;
    int rc;

    if (!b)
        return -ENOMEM;
    op = hv_buffer_take(b, sizeof(*op));
    frame = hv_buffer_take(b, sizeof(*frame));
    op->dom = (domid_t)domid;
    op->nr_frames = 1;
    set_xen_guest_handle(op->frame_list, frame);
    rc = xencall3(hv->call, __HYPERVISOR_grant_table_op, GNTTABOP_setup_table, (uintptr_t)op, 1) < 0 ? -errno : 0;
    if (!rc && op->status != GNTST_okay)
        rc = -EIO;
    if (!rc)
        rc = hv_map(hv, domid, 1, frame, &table);
    hv_buffer_put(hv, b);
    if (rc)
        return rc;
    write_grants(table, grants, count);
    hv_unmap(hv, table, 1);
    return 0;
}

int hv_grant_seed(struct hv *hv, uint32_t domid, const struct hv_grant *grants, unsigned count)
{
    xenforeignmemory_resource_handle *resource;
    void *table = NULL;

    for (unsigned i = 0; i < count; i++)
        if (grants[i].ref >= GRANTS_A_PAGE || grants[i].mfn > UINT32_MAX)
            return -EINVAL;
    resource =
        xenforeignmemory_map_resource(hv->memory, (domid_t)domid, XENMEM_resource_grant_table,
                                      XENMEM_resource_grant_table_id_shared, 0, 1, &table, PROT_READ | PROT_WRITE, 0);
    if (!resource && (errno == EOPNOTSUPP || errno == ENOSYS || errno == ENOTTY))
        return seed_by_frame(hv, domid, grants, count);
    if (!resource)
        return -errno;
    write_grants(table, grants, count);
    xenforeignmemory_unmap_resource(hv->memory, resource);
    return 0;
}
