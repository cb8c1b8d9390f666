/* SPDX-License-Identifier: MIT */
/* Grant tables: mapping, unmapping, copying, their errors, and what is left of references afterwards: nothing. */
#include "host/test.h"
#include <pthread.h>
#include "core/grant/grant.h"
#include "core/lib/string.h"
#include "core/mem/audit.h"
#include "core/mem/mmu.h"
#include "core/mem/reservation.h"
#include "core/mem/type.h"
#include "hypercall/hypercall.h"

#define VA        0xffffffff80000000UL
#define FLAGS     (PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D)
#define GRANTED   4 /* frames that the granter has to grant */
#define GRANTER   1
#define MAPPER    2
#define HOST      GNTMAP_host_map
#define HOST_RO   (GNTMAP_host_map | GNTMAP_readonly)
#define MAPPER_L1 (frame_of(l1))

static struct domain *granter, *mapper;
static struct vcpu *v;
static mfn_t l1, l4, granted[GRANTED], own;
static struct grant_entry_v1 *entries;

static struct domain *make(uint16_t id, unsigned maptrack)
{
    struct domain_config cfg = {.id = id, .max_vcpus = 1, .max_grant_frames = 4, .pages_max = 100};
    struct domain *d = NULL;

    cfg.max_maptrack_frames = maptrack;
    assert_int_equal(domain_create(&cfg, &d), 0);
    return d;
}

static mfn_t frame_for(struct domain *d)
{
    mfn_t m = reservation_add(d, 0, 0, false);

    assert_false(mfn_eq(m, INVALID_MFN));
    return m;
}

/* The mapper's tables: an L4 pinned, with one empty L1 at VA. */
static void make_tables(void)
{
    mfn_t table[5];

    for (unsigned level = 1; level <= 4; level++)
        table[level] = frame_for(mapper);
    for (unsigned level = 4; level > 1; level--)
        ((pte_t *)hw_frame_va(table[level]))[pt_index(VA, level)] = pte_make(table[level - 1], FLAGS);
    l1 = table[1];
    l4 = table[4];
    assert_int_equal(mmu_pin(mapper, l4, 4), 0);
    v = mapper->vcpus[0];
    host_set_current(0, v);
    assert_int_equal(mmu_set_kernel_root(v, l4), 0);
    v->in_kernel = true;
}

static void set_up(void)
{
    host_machine_init(2, 0);
    domain0 = make(0, 1);
    granter = make(GRANTER, 1);
    mapper = make(MAPPER, 1);
    make_tables();
    own = frame_for(mapper);
    entries = hw_frame_va(grant_frame_mfn(granter, 0));
    for (unsigned i = 0; i < GRANTED; i++) {
        granted[i] = frame_for(granter);
        entries[i] = (struct grant_entry_v1){GTF_permit_access, MAPPER, (uint32_t)granted[i].n};
    }
}

/* Hypercalls then take host pointers; entries of the L1 are still there by machine address. */
static void without_tables(void)
{
    host_set_current(0, granter->vcpus[0]);
    host_set_current(0, v);
    assert_int_equal(mmu_drop_roots(v), 0);
    assert_true(mfn_eq(v->kernel_l4, INVALID_MFN));
}

static pte_t entry(unsigned i)
{
    return ((pte_t *)hw_frame_va(l1))[i];
}

static uint64_t entry_address(unsigned i)
{
    return (l1.n << PAGE_SHIFT) + i * sizeof(pte_t);
}

static struct gnttab_map_grant_ref map(uint64_t addr, uint32_t flags, uint32_t ref)
{
    struct gnttab_map_grant_ref op = {.host_addr = addr, .flags = flags, .ref = ref, .dom = GRANTER};

    grant_map(mapper, &op);
    return op;
}

static int unmap_kinds(uint32_t handle, uint64_t addr, uint64_t dev)
{
    struct gnttab_unmap_grant_ref op = {.host_addr = addr, .dev_bus_addr = dev, .handle = handle};
    struct grant_use ended;

    grant_unmap(mapper, &op, &ended);
    grant_use_end(&ended);
    return op.status;
}

static int unmap(uint32_t handle, uint64_t addr)
{
    return unmap_kinds(handle, addr, 0);
}

static uint64_t writers(mfn_t m)
{
    return frame_tcount(frame_of(m)->refs);
}

static uint64_t readers(mfn_t m)
{
    return frame_pcount(frame_of(m)->refs) - 1; /* but the allocation */
}

static void audit_is_clean(void)
{
    assert_int_equal(audit_run(true).violations, 0);
}

static void nothing_held(void)
{
    for (unsigned i = 0; i < GRANTED; i++) {
        assert_int_equal(writers(granted[i]), 0);
        assert_int_equal(readers(granted[i]), 0);
        assert_int_equal(entries[i].flags & (GTF_reading | GTF_writing), 0);
    }
    assert_int_equal(granter->refcount, 1);
    audit_is_clean();
}

/* ---- The table ---- */

static void tables(void **state)
{
    uint64_t mfns[8] = {0};
    struct gnttab_query_size qs = {.dom = DOMID_SELF};
    struct gnttab_setup_table st = {.dom = DOMID_SELF, .nr_frames = 3, .frame_list = {(void *)mfns}};
    struct gnttab_set_version sv = {.version = 1};
    struct gnttab_get_version gv = {.dom = DOMID_SELF, .pad = 7};

    set_up();
    without_tables();
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_query_size, (uint64_t)&qs, 1), 0);
    assert_int_equal(qs.status, 0);
    assert_int_equal(qs.nr_frames, 1);
    assert_int_equal(qs.max_nr_frames, 4);
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_setup_table, (uint64_t)&st, 1), 0);
    assert_int_equal(st.status, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(mfns[i], grant_frame_mfn(mapper, i).n);
    assert_int_equal(mfns[3], 0);
    assert_int_equal(grant_frame_mfn(mapper, 3).n, INVALID_MFN.n);
    assert_int_equal(grant_frames_count(mapper), 3);
    st.nr_frames = 5;
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_setup_table, (uint64_t)&st, 1), 0);
    assert_int_equal(st.status, GNTST_general_error);
    st.dom = GRANTER;
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_setup_table, (uint64_t)&st, 1), 0);
    assert_int_equal(st.status, GNTST_permission_denied);
    qs.dom = 99;
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_query_size, (uint64_t)&qs, 1), 0);
    assert_int_equal(qs.status, GNTST_bad_domain);
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_query_size, (uint64_t)&qs, 2), -EINVAL);
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_query_size, (uint64_t)&qs, ~0u), -EINVAL);
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_set_version, (uint64_t)&sv, 1), 0);
    sv.version = 2;
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_set_version, (uint64_t)&sv, 1), -ENOSYS);
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_get_version, (uint64_t)&gv, 1), 0);
    assert_int_equal(gv.version, 1);
    assert_int_equal(gv.pad, 0);
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_transfer, (uint64_t)&gv, 1), -ENOSYS);
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_query_size, 0, 1), -EFAULT);
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_map_grant_ref, 0, 0), 0);
    audit_is_clean();
}

/* ---- Mapping ---- */

static void map_and_unmap(void **state)
{
    struct gnttab_map_grant_ref a, b;

    set_up();
    a = map(VA, HOST, 0);
    assert_int_equal(a.status, GNTST_okay);
    assert_int_equal(a.dev_bus_addr, granted[0].n << PAGE_SHIFT);
    assert_int_equal(pte_mfn(entry(0)).n, granted[0].n);
    assert_int_equal(entry(0) & (PTE_P | PTE_RW | PTE_US), PTE_P | PTE_RW | PTE_US);
    assert_int_equal(writers(granted[0]), 2); /* the entry's and the mapping's */
    assert_int_equal(entries[0].flags & (GTF_reading | GTF_writing), GTF_reading | GTF_writing);
    audit_is_clean();

    b = map(entry_address(1), HOST_RO | GNTMAP_contains_pte | 1u << 16, 0);
    assert_int_equal(b.status, GNTST_okay);
    assert_int_equal(entry(1) & (PTE_RW | PTE_AVAIL), 1UL << 9);
    assert_int_equal(readers(granted[0]), 2);
    assert_int_not_equal(a.handle, b.handle);
    assert_int_equal(granter->refcount, 3);
    audit_is_clean();

    /* who writes reads, too */
    assert_int_equal(unmap(b.handle, entry_address(1)), GNTST_okay);
    assert_int_equal(entries[0].flags & (GTF_reading | GTF_writing), GTF_reading | GTF_writing);
    b = map(entry_address(1), HOST_RO | GNTMAP_contains_pte, 0);
    assert_int_equal(b.status, GNTST_okay);

    assert_int_equal(unmap(99, VA), GNTST_bad_handle);
    assert_int_equal(unmap(~0u, VA), GNTST_bad_handle);
    assert_int_equal(unmap(a.handle, VA + PAGE_SIZE), GNTST_general_error); /* maps it, but read-only */
    assert_int_equal(unmap(a.handle, VA + 2 * PAGE_SIZE), GNTST_general_error);
    assert_int_equal(unmap(a.handle, VA), GNTST_okay);
    assert_int_equal(entry(0), 0);
    assert_int_equal(entries[0].flags & (GTF_reading | GTF_writing), GTF_reading);
    assert_int_equal(unmap(a.handle, VA), GNTST_bad_handle);
    assert_int_equal(unmap(b.handle, entry_address(1)), GNTST_okay);
    nothing_held();
}

static void devices(void **state)
{
    struct gnttab_map_grant_ref a;

    set_up();
    a = map(0, GNTMAP_device_map, 1);
    assert_int_equal(a.status, GNTST_okay);
    assert_int_equal(unmap_kinds(a.handle, VA, a.dev_bus_addr + PAGE_SIZE), GNTST_bad_dev_addr);
    assert_int_equal(unmap_kinds(a.handle, VA, 0), GNTST_okay); /* nothing of that kind */
    assert_int_equal(writers(granted[1]), 1);
    assert_int_equal(unmap_kinds(a.handle, 0, a.dev_bus_addr), GNTST_okay);
    nothing_held();
    a = map(VA, GNTMAP_device_map | HOST, 1);
    assert_int_equal(unmap(a.handle, VA), GNTST_okay); /* one kind, then the other */
    assert_int_equal(writers(granted[1]), 1);
    assert_int_equal(unmap(a.handle, VA), GNTST_okay);
    assert_int_equal(unmap_kinds(a.handle, VA, a.dev_bus_addr), GNTST_okay);
    assert_int_equal(unmap_kinds(a.handle, VA, a.dev_bus_addr), GNTST_bad_handle);
    nothing_held();
}

static void refused(void **state)
{
    mfn_t upper;

    set_up();
    assert_int_equal(map(VA, GNTMAP_readonly, 0).status, GNTST_bad_gntref);
    assert_int_equal(map(VA, HOST, 512).status, GNTST_bad_gntref);
    assert_int_equal(map(VA, HOST, ~0u).status, GNTST_bad_gntref);
    assert_int_equal(map(VA, HOST, 17).status, GNTST_bad_gntref);
    entries[0].domid = GRANTER;
    assert_int_equal(map(VA, HOST, 0).status, GNTST_bad_gntref);
    entries[0].domid = MAPPER;
    entries[0].flags = GTF_permit_access | GTF_readonly;
    assert_int_equal(map(VA, HOST, 0).status, GNTST_permission_denied);
    assert_int_equal(map(VA, HOST_RO, 0).status, GNTST_okay);
    assert_int_equal(unmap(0, VA), GNTST_okay);
    entries[1].flags = GTF_accept_transfer;
    assert_int_equal(map(VA, HOST, 1).status, GNTST_bad_gntref);
    entries[1].flags = GTF_permit_access;

    entries[1].frame = (uint32_t)own.n; /* not the granter's to give */
    assert_int_equal(map(VA, HOST, 1).status, GNTST_bad_page);
    assert_int_equal(map(VA, HOST_RO, 1).status, GNTST_bad_page);
    entries[1].frame = ~0u;
    assert_int_equal(map(VA, HOST_RO, 1).status, GNTST_bad_page);
    entries[1].frame = (uint32_t)host_io_frame(0).n;
    assert_int_equal(map(VA, HOST_RO, 1).status, GNTST_bad_page);
    entries[1].frame = (uint32_t)granted[1].n;
    assert_int_equal(mmu_pin(granter, granted[1], 1), 0);
    assert_int_equal(map(VA, HOST, 1).status, GNTST_bad_page); /* a page table */
    assert_int_equal(mmu_unpin(granter, granted[1]), 0);

    assert_int_equal(map(VA - 512 * PAGE_SIZE, HOST, 0).status, GNTST_permission_denied);
    assert_int_equal(map(VA - 512 * PAGE_SIZE, HOST, 2).status, GNTST_bad_virt_addr);
    assert_int_equal(map(HYPERVISOR_START, HOST, 2).status, GNTST_bad_virt_addr);
    assert_int_equal(map(entry_address(0) + 4, HOST | GNTMAP_contains_pte, 2).status, GNTST_bad_virt_addr);
    assert_int_equal(map(own.n << PAGE_SHIFT, HOST | GNTMAP_contains_pte, 2).status, GNTST_bad_virt_addr);
    assert_int_equal(frame_type(frame_of(own)), FT_NONE);
    assert_int_equal(map(granted[2].n << PAGE_SHIFT, HOST | GNTMAP_contains_pte, 2).status, GNTST_bad_virt_addr);
    assert_int_equal(map(~7UL, HOST | GNTMAP_contains_pte, 2).status, GNTST_bad_virt_addr);
    upper = pte_mfn(((pte_t *)hw_frame_va(l4))[511]);
    assert_int_equal(map(upper.n << PAGE_SHIFT, HOST | GNTMAP_contains_pte, 2).status, GNTST_bad_virt_addr);

    struct gnttab_map_grant_ref op = {.host_addr = VA, .flags = HOST, .ref = 0, .dom = 77};
    grant_map(mapper, &op);
    assert_int_equal(op.status, GNTST_bad_domain);
    granter->dying = DOMAIN_DYING;
    assert_int_equal(map(VA, HOST, 2).status, GNTST_bad_domain);
    granter->dying = DOMAIN_ALIVE;
    nothing_held();
}

/* The granter dies first: it is seen as dying until the last mapping has gone, and its table is not touched again. */
static void a_dead_granter_stays_while_mapped(void **state)
{
    struct domain *d;
    mfn_t table;

    set_up();
    table = grant_frame_mfn(granter, 0);
    assert_int_equal(map(VA, HOST, 0).status, GNTST_okay);
    assert_int_equal(domain_destroy(granter), 0);
    d = domain_get(GRANTER);
    assert_ptr_equal(d, granter);
    assert_int_equal(d->dying, DOMAIN_DEAD);
    assert_int_equal(frames_owned(GRANTER), 1);
    assert_true(mfn_eq(grant_frame_mfn(granter, 0), INVALID_MFN));
    assert_int_equal(frame_of(table)->owner, FRAME_OWNER_NONE);
    assert_int_equal(grant_table_grow(granter, 2), -EINVAL);
    domain_put(d);
    audit_is_clean();
    memset(hw_frame_va(table), 0x5a, PAGE_SIZE); /* another's by now */
    assert_int_equal(unmap(0, VA), GNTST_okay);
    for (unsigned i = 0; i < PAGE_SIZE; i++)
        assert_int_equal(((uint8_t *)hw_frame_va(table))[i], 0x5a);
    assert_int_equal(frames_owned(GRANTER), 0);
    pcpu_do_work();
    assert_null(domain_get(GRANTER));
    audit_is_clean();
}

static void handles_run_out(void **state)
{
    unsigned n = 0;

    set_up();
    while (map(0, GNTMAP_device_map, 0).status == GNTST_okay)
        n++;
    assert_int_equal(n, 128);
    assert_int_equal(map(0, GNTMAP_device_map, 0).status, GNTST_no_space);
    assert_int_equal(unmap_kinds(77, 0, granted[0].n << PAGE_SHIFT), GNTST_okay);
    assert_int_equal(map(0, GNTMAP_device_map, 1).handle, 77);
    audit_is_clean();
    host_preempt_after(2);
    unsigned rounds = 1;
    while (grant_release_mappings(mapper) == -ERESTART)
        rounds++;
    assert_true(rounds > 1);
    nothing_held();
}

/* A guest can leave very many handles behind that are not in use. */
static void unused_handles_do_not_hold_up(void **state)
{
    unsigned before;

    set_up();
    assert_int_equal(unmap_kinds(map(0, GNTMAP_device_map, 0).handle, 0, granted[0].n << PAGE_SHIFT), GNTST_okay);
    before = host_preempt_checks;
    assert_int_equal(grant_release_mappings(mapper), 0);
    assert_true(host_preempt_checks > before);
}

/* The granter may pin the frame as a page table as soon as it sees the grant end, however the mapper ends. */
static void a_dying_mapper_lets_go_of_all_at_once(void **state)
{
    unsigned rounds = 0;
    int rc;

    set_up();
    assert_int_equal(map(VA, HOST, 0).status, GNTST_okay);
    v->running = false;
    this_cpu()->current = this_cpu()->idle;
    host_preempt_after(1);
    while ((rc = domain_destroy(mapper)) == -ERESTART) {
        rounds++;
        assert_true((entries[0].flags & GTF_writing) || !writers(granted[0]));
        audit_is_clean();
    }
    host_preempt_after(0);
    assert_int_equal(rc, 0);
    assert_true(rounds > 1);
    nothing_held();
}

/* What the guest does to its entries is no matter for the mapping. */
static void entry_changed_behind_us(void **state)
{
    struct gnttab_map_grant_ref a;

    set_up();
    a = map(VA, HOST, 0);
    assert_int_equal(mmu_update_entry(mapper, MAPPER_L1, 0, pte_make(own, FLAGS), PT_SET, MAPPER), 0);
    assert_int_equal(writers(granted[0]), 1);
    assert_int_equal(unmap(a.handle, VA), GNTST_general_error);
    audit_is_clean();
    assert_int_equal(mmu_update_entry(mapper, MAPPER_L1, 0, 0, PT_SET, MAPPER), 0);
    assert_int_equal(unmap(a.handle, VA), GNTST_general_error);
    assert_int_equal(mmu_update_entry(mapper, MAPPER_L1, 0, pte_make(granted[0], PTE_P), PT_SET, GRANTER), 0);
    assert_int_equal(unmap(a.handle, VA), GNTST_general_error); /* read-only now */
    assert_int_equal(mmu_update_entry(mapper, MAPPER_L1, 0, pte_make(granted[0], FLAGS), PT_SET, GRANTER), 0);
    assert_int_equal(unmap(a.handle, VA), GNTST_okay);
    nothing_held();
}

/* The granter takes its entry back although it is in use. */
static void granter_breaks_the_protocol(void **state)
{
    struct gnttab_map_grant_ref a, b;

    set_up();
    a = map(VA, HOST, 0);
    entries[0] = (struct grant_entry_v1){GTF_permit_access | GTF_readonly, MAPPER, (uint32_t)granted[1].n};
    b = map(VA + PAGE_SIZE, HOST_RO, 0);
    assert_int_equal(b.status, GNTST_okay);
    assert_int_equal(pte_mfn(entry(1)).n, granted[1].n);
    assert_int_equal(unmap(b.handle, VA + PAGE_SIZE), GNTST_okay);
    entries[0] = (struct grant_entry_v1){0};
    assert_int_equal(unmap(a.handle, VA), GNTST_okay);
    nothing_held();
}

/* ---- Copying ---- */

static int copy(bool from_ref, uint64_t from, unsigned from_off, bool to_ref, uint64_t to, unsigned to_off,
                unsigned len)
{
    struct gnttab_copy op = {.len = (uint16_t)len, .flags = (from_ref ? 1 : 0) | (to_ref ? 2 : 0)};

    op.source.offset = (uint16_t)from_off;
    op.dest.offset = (uint16_t)to_off;
    op.source.domid = from_ref ? GRANTER : DOMID_SELF;
    op.dest.domid = to_ref ? GRANTER : DOMID_SELF;
    if (from_ref)
        op.source.u.ref = (uint32_t)from;
    else
        op.source.u.gmfn = from;
    if (to_ref)
        op.dest.u.ref = (uint32_t)to;
    else
        op.dest.u.gmfn = to;
    grant_copy(mapper, &op);
    return op.status;
}

static void copies(void **state)
{
    char *g0, *g1, *o;

    set_up();
    g0 = hw_frame_va(granted[0]);
    g1 = hw_frame_va(granted[1]);
    o = hw_frame_va(own);
    strcpy(g0, "from the granter");
    assert_int_equal(copy(true, 0, 0, false, own.n, 100, 17), GNTST_okay);
    assert_string_equal(o + 100, "from the granter");
    assert_int_equal(copy(false, own.n, 100, true, 1, 4096 - 17, 17), GNTST_okay);
    assert_string_equal(g1 + 4096 - 17, "from the granter");
    assert_int_equal(copy(true, 1, 4096 - 17, true, 0, 5, 17), GNTST_okay);
    assert_string_equal(g0, "from from the granter");
    assert_int_equal(copy(true, 0, 5, true, 0, 0, 17), GNTST_okay); /* in one frame */
    assert_string_equal(g0, "from the granter");
    assert_int_equal(copy(true, 0, 0, false, own.n, 0, 4096), GNTST_okay);
    assert_int_equal(copy(true, 0, 1, false, own.n, 0, 4096), GNTST_bad_copy_arg);
    assert_int_equal(copy(true, 0, 0, false, own.n, 4095, 2), GNTST_bad_copy_arg);
    assert_int_equal(copy(true, 0, 4096, false, own.n, 0, 0), GNTST_bad_copy_arg);
    assert_int_equal(copy(true, 0, 65535, false, own.n, 0, 65535), GNTST_bad_copy_arg);
    entries[1].flags |= GTF_readonly;
    assert_int_equal(copy(false, own.n, 0, true, 1, 0, 1), GNTST_permission_denied);
    assert_int_equal(copy(true, 1, 0, false, own.n, 0, 1), GNTST_okay);
    assert_int_equal(copy(false, granted[0].n, 0, false, own.n, 0, 1), GNTST_bad_page);
    assert_int_equal(copy(false, own.n, 0, false, granted[0].n, 0, 1), GNTST_bad_page);
    assert_int_equal(copy(false, own.n, 0, false, l1.n, 0, 8), GNTST_bad_page); /* a page table */
    assert_int_equal(copy(false, l1.n, 0, false, own.n, 0, 8), GNTST_okay);
    assert_int_equal(copy(true, 300, 0, false, own.n, 0, 8), GNTST_bad_gntref);

    struct gnttab_copy op = {.source = {.u.gmfn = granted[0].n, .domid = GRANTER}, .dest = {.u.gmfn = own.n}};
    grant_copy(mapper, &op);
    assert_int_equal(op.status, GNTST_permission_denied);
    nothing_held();
    assert_int_equal(readers(own), 0);
    assert_int_equal(writers(own), 0);
}

/* ---- Batches ---- */

#define BATCH 100

static void batches(void **state)
{
    struct gnttab_map_grant_ref m[BATCH] = {0};
    struct gnttab_unmap_grant_ref u[BATCH] = {0};
    struct gnttab_copy c[BATCH] = {0};

    set_up();
    without_tables();
    for (unsigned i = 0; i < BATCH; i++)
        m[i] = (struct gnttab_map_grant_ref){
            .host_addr = entry_address(i), .flags = HOST | GNTMAP_contains_pte, .ref = i % GRANTED, .dom = GRANTER};
    host_preempt_after(3);
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_map_grant_ref, (uint64_t)m, BATCH), 0);
    assert_true(host_continuations > 20);
    for (unsigned i = 0; i < BATCH; i++) {
        assert_int_equal(m[i].status, GNTST_okay);
        u[i] = (struct gnttab_unmap_grant_ref){.host_addr = m[i].host_addr, .handle = m[i].handle};
    }
    audit_is_clean();
    u[50].handle = u[49].handle;
    unsigned flushes = host_flush_calls;
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_unmap_grant_ref, (uint64_t)u, BATCH), 0);
    assert_true(host_flush_calls - flushes <= 4);
    for (unsigned i = 0; i < BATCH; i++)
        assert_int_equal(u[i].status, i == 50 ? GNTST_bad_handle : GNTST_okay);
    u[50].handle = m[50].handle;
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_unmap_grant_ref, (uint64_t)&u[50], 1), 0);
    nothing_held();

    for (unsigned i = 0; i < BATCH; i++)
        c[i] = (struct gnttab_copy){.source = {.u.ref = i % GRANTED, .domid = GRANTER},
                                    .dest = {.u.gmfn = own.n, .domid = DOMID_SELF},
                                    .len = 8,
                                    .flags = GNTCOPY_source_gref,
                                    .status = 1};
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_copy, (uint64_t)c, BATCH), 0);
    for (unsigned i = 0; i < BATCH; i++)
        assert_int_equal(c[i].status, GNTST_okay);

    /* A mapping that the guest cannot be told of is taken back; what was done before stays. */
    host_preempt_after(0);
    host_copy_fail_after = 6;
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_map_grant_ref, (uint64_t)m, 10), -EFAULT);
    host_copy_fail_after = 0;
    assert_int_equal(entry(1) & PTE_P, PTE_P);
    assert_int_equal(entry(2), 0);
    audit_is_clean();
    for (unsigned i = 0; i < 2; i++)
        u[i].handle = m[i].handle;
    host_copy_fail_after = 4;
    assert_int_equal(host_hypercall(grant_table_op, GNTTABOP_unmap_grant_ref, (uint64_t)u, 2), -EFAULT);
    host_copy_fail_after = 0;
    nothing_held();
}

/* ---- Random use ---- */

static uint64_t seed = 88172645463325252UL;
static uint64_t any(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

#define MAPPED_MAX 64
static struct {
    uint32_t handle;
    uint64_t addr;
} mapped[MAPPED_MAX];
static unsigned mapped_count;

static void random_map(void)
{
    unsigned i = (unsigned)any(512);
    bool by_pte = any(2);
    struct gnttab_map_grant_ref op;

    if (mapped_count == MAPPED_MAX || (entry(i) & PTE_P))
        return;
    op = map(by_pte ? entry_address(i) : VA + i * PAGE_SIZE,
             (any(2) ? HOST : HOST_RO) | (by_pte ? GNTMAP_contains_pte : 0), (uint32_t)any(GRANTED + 1));
    if (op.status == GNTST_okay) {
        mapped[mapped_count].handle = op.handle;
        mapped[mapped_count++].addr = op.host_addr;
    }
}

static void random_unmap(void)
{
    unsigned i;

    if (!mapped_count)
        return;
    i = (unsigned)any(mapped_count);
    assert_int_equal(unmap(mapped[i].handle, mapped[i].addr), GNTST_okay);
    mapped[i] = mapped[--mapped_count];
}

static void random_change(void)
{
    uint16_t flags = any(4) ? GTF_permit_access : (uint16_t)any(65536);

    entries[any(GRANTED)] = (struct grant_entry_v1){flags, any(8) ? MAPPER : (uint16_t)any(4),
                                                    any(16) ? (uint32_t)granted[any(GRANTED)].n : (uint32_t)any(20000)};
}

static void random_use(unsigned steps, void (*check)(void))
{
    for (unsigned n = 0; n < steps; n++) {
        switch (any(5)) {
        case 0:
        case 1:
            random_map();
            break;
        case 2:
            random_unmap();
            break;
        case 3:
            random_change();
            break;
        default:
            (void)copy(any(2), any(GRANTED), (unsigned)any(4096), any(2), own.n, (unsigned)any(4096),
                       (unsigned)any(64));
            break;
        }
        if (check && n % 64 == 0)
            check();
    }
    while (mapped_count)
        random_unmap();
}

static void random_use_is_balanced(void **state)
{
    set_up();
    random_use(20000, audit_is_clean);
    memset(entries, 0, PAGE_SIZE);
    nothing_held();
}

static bool stop;

static void *granter_cpu(void *arg)
{
    uint64_t x = 1;

    host_this_cpu = pcpus[1];
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        x = x * 6364136223846793005UL + 1442695040888963407UL;
        struct grant_entry_v1 e = {(x >> 33) & 7 ? GTF_permit_access : (uint16_t)(x >> 40), MAPPER,
                                   (uint32_t)granted[(x >> 50) % GRANTED].n};
        uint64_t word;
        memcpy(&word, &e, sizeof(word));
        __atomic_store_n((uint64_t *)(void *)&entries[(x >> 55) % GRANTED], word, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void hostile_granter(void **state)
{
    pthread_t thread;

    set_up();
    assert_int_equal(pthread_create(&thread, NULL, granter_cpu, NULL), 0);
    random_use(60000, NULL);
    stop = true;
    pthread_join(thread, NULL);
    memset(entries, 0, PAGE_SIZE);
    nothing_held();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(tables),
        isolated_test(map_and_unmap),
        isolated_test(devices),
        isolated_test(refused),
        isolated_test(handles_run_out),
        isolated_test(unused_handles_do_not_hold_up),
        isolated_test(a_dying_mapper_lets_go_of_all_at_once),
        isolated_test(a_dead_granter_stays_while_mapped),
        isolated_test(entry_changed_behind_us),
        isolated_test(granter_breaks_the_protocol),
        isolated_test(copies),
        isolated_test(batches),
        isolated_test(random_use_is_balanced),
        isolated_test(hostile_granter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
