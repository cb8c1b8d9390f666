/* SPDX-License-Identifier: MIT */
/* Changes of live entries, roots, and the hypercalls mmu_update, update_va_mapping, update_descriptor and mmuext_op. */
#include "mem_guest.h"
#include "core/mem/entry.h"

static struct tree t;
static struct domain *d;
static uint64_t ops_va; /* a page of the guest for its arguments: t.page[7][0] */

static void start(unsigned l1s, unsigned pages)
{
    host_machine_init(2, 0);
    d = guest_create(1, false);
    host_set_current(0, d->vcpus[0]);
    tree_build(d, &t, l1s, pages);
    assert_int_equal(mmu_pin(d, t.l4, 4), 0);
    assert_int_equal(mmu_set_kernel_root(d->vcpus[0], t.l4), 0);
    ops_va = tree_va(l1s - 1, 0);
    assert_audit();
}

static void *ops(void)
{
    return hw_frame_va(t.page[t.l1s - 1][0]);
}

static void l1_entries(void **state)
{
    struct frame *l1;
    mfn_t a, fresh;

    start(2, 8);
    l1 = frame_of(t.l1[0]);
    a = t.page[0][0];
    fresh = guest_frame(d);
    assert_int_equal(mmu_update_entry(d, l1, 20, pte_make(fresh, PTE_P | PTE_RW | PTE_G), PT_SET, 1), 0);
    assert_int_equal(*entry(t.l1[0], 20), pte_make(fresh, KERNEL_FLAGS));
    assert_type(fresh, FT_WRITABLE, 1);
    assert_audit();
    /* flags only, then less, then more */
    assert_int_equal(mmu_update_entry(d, l1, 20, pte_make(fresh, KERNEL_FLAGS | PTE_NX | PTE_A), PT_SET, 1), 0);
    *entry(t.l1[0], 20) |= PTE_D;
    assert_int_equal(mmu_update_entry(d, l1, 20, pte_make(fresh, RO_FLAGS), PT_PRESERVE_AD, 1), 0);
    assert_int_equal(*entry(t.l1[0], 20), pte_make(fresh, RO_FLAGS | PTE_A | PTE_D));
    assert_type(fresh, 0, 0);
    assert_audit();
    assert_int_equal(mmu_pin(d, fresh, 1), 0); /* read-only it may be a table */
    assert_int_equal(mmu_update_entry(d, l1, 20, pte_make(fresh, KERNEL_FLAGS), PT_SET, 1), -EBUSY);
    assert_int_equal(mmu_unpin(d, fresh), 0);
    assert_int_equal(mmu_update_entry(d, l1, 20, pte_make(fresh, KERNEL_FLAGS), PT_SET, 1), 0);
    assert_int_equal(mmu_pin(d, fresh, 1), -EINVAL);
    /* another frame, then none, then what is not present */
    assert_int_equal(mmu_update_entry(d, l1, 20, pte_make(a, RO_FLAGS), PT_SET, 1), 0);
    assert_type(fresh, 0, 0);
    assert_int_equal(mmu_update_entry(d, l1, 20, 0, PT_SET, 1), 0);
    assert_int_equal(mmu_update_entry(d, l1, 20, ~1UL, PT_SET, 1), 0);
    assert_int_equal(*entry(t.l1[0], 20), ~1UL);
    assert_audit();
    /* refusals */
    assert_int_equal(mmu_update_entry(d, l1, 20, pte_make(a, RO_FLAGS) | 1UL << 50, PT_SET, 1), -EINVAL);
    assert_int_equal(mmu_update_entry(d, l1, 20, pte_make(t.l2, KERNEL_FLAGS), PT_SET, 1), -EBUSY);
    assert_int_equal(mmu_update_entry(d, l1, 20, pte_make(a, RO_FLAGS | PTE_PCD), PT_SET, 1), -EPERM);
    assert_int_equal(mmu_update_entry(d, frame_of(a), 20, 0, PT_SET, 1), -EINVAL);
    assert_int_equal(mmu_update_entry(d, l1, 20, pte_make(alloc_frames(0, 0), RO_FLAGS), PT_SET, 1), -EPERM);
    /* the hypervisor's that may be seen: only read, only by who names them or is privileged */
    struct frame *seen = frame_of(alloc_frames(0, 0));
    mfn_t m2p = frame_mfn(seen);
    seen->refs |= FR_SHARED;
    assert_int_equal(mmu_update_entry(d, l1, 20, pte_make(m2p, RO_FLAGS), PT_SET, 1), -EPERM);
    assert_int_equal(mmu_update_entry(d, l1, 20, pte_make(m2p, KERNEL_FLAGS), PT_SET, FRAME_OWNER_HYPERVISOR), -EPERM);
    assert_int_equal(
        mmu_update_entry(d, l1, 20, pte_make(alloc_frames(0, 0), RO_FLAGS), PT_SET, FRAME_OWNER_HYPERVISOR), -EPERM);
    assert_int_equal(mmu_update_entry(d, l1, 20, pte_make(m2p, RO_FLAGS), PT_SET, FRAME_OWNER_HYPERVISOR), 0);
    assert_int_equal(frame_pcount(seen->refs), 2);
    assert_audit();
    assert_int_equal(mmu_update_entry(d, l1, 20, 0, PT_SET, 1), 0);
    d->is_privileged = true;
    assert_int_equal(mmu_update_entry(d, l1, 20, pte_make(m2p, RO_FLAGS), PT_SET, 1), 0);
    assert_int_equal(mmu_update_entry(d, l1, 20, 0, PT_SET, 1), 0);
    d->is_privileged = false;
    assert_int_equal(frame_pcount(seen->refs), 1);
    /* shared_info */
    assert_int_equal(mmu_update_entry(d, l1, 21, pte_make(d->shared_info_mfn, KERNEL_FLAGS), PT_SET, 1), 0);
    assert_int_equal(mmu_update_entry(d, l1, 22, pte_make(d->shared_info_mfn, RO_FLAGS | PTE_PWT), PT_SET, 1), -EACCES);
    assert_audit();
    guest_destroy(d);
    assert_audit();
}

static void cmpxchg(void **state)
{
    pte_t was;

    start(2, 8);
    was = *entry(t.l1[0], 1);
    assert_int_equal(mmu_cmpxchg_l1(d, t.l1[0], 1, was ^ PTE_A, 0), -EAGAIN);
    assert_int_equal(mmu_cmpxchg_l1(d, t.l1[0], 1, was, was & ~PTE_RW), 0);
    assert_type(t.page[0][1], 0, 0);
    assert_int_equal(mmu_cmpxchg_l1(d, t.l1[0], 1, was & ~PTE_RW, was), 0);
    assert_int_equal(mmu_cmpxchg_l1(d, t.l1[0], 1, was, 0), 0);
    assert_int_equal(mmu_cmpxchg_l1(d, t.l1[0], 1, 0, 0x5550), 0);
    assert_int_equal(mmu_cmpxchg_l1(d, t.l2, 1, *entry(t.l2, 1), 0), -EINVAL);
    assert_int_equal(mmu_cmpxchg_l1(d, t.page[0][0], 1, 0, 0), -EINVAL);
    assert_int_equal(mmu_cmpxchg_l1(d, t.l1[0], 512, 0, 0), -EINVAL);
    assert_int_equal(mmu_cmpxchg_l1(d, MFN(hw_frames_max), 1, 0, 0), -EINVAL);
    assert_audit();
}

static void find(void **state)
{
    struct vcpu *v;
    struct frame *l1;
    unsigned index;

    start(2, 8);
    v = d->vcpus[0];
    assert_int_equal(mmu_find_l1(v, tree_va(1, 3) + 17, &l1, &index), 0);
    assert_ptr_equal(l1, frame_of(t.l1[1]));
    assert_int_equal(index, 3);
    assert_type(t.l1[1], FT_L1, 2);
    mmu_put_l1(l1);
    assert_int_equal(mmu_find_l1(v, tree_va(2, 0), &l1, &index), -EINVAL);
    assert_int_equal(mmu_find_l1(v, HYPERVISOR_START, &l1, &index), -EINVAL);
    assert_int_equal(mmu_find_l1(v, 1UL << 47, &l1, &index), -EINVAL);
    v->in_kernel = false;
    assert_int_equal(mmu_find_l1(v, tree_va(1, 3), &l1, &index), -EINVAL); /* no user root */
    v->in_kernel = true;
    assert_audit();
}

static void upper_entries(void **state)
{
    struct frame *l2;
    mfn_t big;

    start(4, 8);
    l2 = frame_of(t.l2);
    big = guest_frame(d);
    for (unsigned i = 0; i < 4; i++)
        *entry(big, i) = pte_make(t.page[1][i], RO_FLAGS);
    assert_int_equal(mmu_update_entry(d, l2, 9, pte_make(big, KERNEL_FLAGS & ~PTE_US), PT_SET, 1), 0);
    assert_int_equal(*entry(t.l2, 9), pte_make(big, KERNEL_FLAGS));
    assert_type(big, FT_L1, 1);
    assert_audit();
    assert_int_equal(mmu_update_entry(d, l2, 9, pte_make(big, KERNEL_FLAGS | PTE_NX | PTE_A), PT_SET, 1), 0);
    assert_type(big, FT_L1, 1);
    assert_int_equal(mmu_update_entry(d, l2, 9, pte_make(t.l1[0], KERNEL_FLAGS), PT_SET, 1), 0);
    assert_type(big, FT_L1, 0);
    assert_type(t.l1[0], FT_L1, 2);
    assert_int_equal(mmu_update_entry(d, l2, 9, pte_make(t.l1[0], KERNEL_FLAGS) | PTE_PS, PT_SET, 1), -EINVAL);
    assert_int_equal(mmu_update_entry(d, l2, 9, pte_make(t.l2, KERNEL_FLAGS), PT_SET, 1), -EBUSY);
    assert_int_equal(mmu_update_entry(d, l2, 9, pte_make(t.page[0][0], KERNEL_FLAGS), PT_SET, 1), -EBUSY);
    assert_int_equal(mmu_update_entry(d, l2, 9, pte_make(host_io_frame(0), KERNEL_FLAGS), PT_SET, 1), -EBUSY);
    assert_int_equal(mmu_update_entry(d, frame_of(t.l4), 256, 0, PT_SET, 1), -EINVAL);
    assert_int_equal(mmu_update_entry(d, frame_of(t.l4), 271, 0, PT_SET, 1), -EINVAL);
    assert_int_equal(mmu_update_entry(d, frame_of(t.l4), 272, 0, PT_SET, 1), 0);
    assert_audit();
    /* a whole subtree goes, cut */
    host_preempt_after(1);
    assert_int_equal(mmu_update_entry(d, frame_of(t.l4), 0, 0, PT_SET, 1), 0);
    assert_non_null(d->vcpus[0]->dropping[0]);
    assert_audit();
    assert_int_equal(UNTIL_DONE(mmu_finish_drops(d->vcpus[0])), 0);
    host_preempt_after(0);
    assert_type(t.l3, FT_L3, 0);
    assert_type(t.page[3][3], FT_WRITABLE, 0);
    assert_audit();
}

static void roots(void **state)
{
    struct vcpu *v;
    mfn_t second, user;
    unsigned loads;

    start(2, 2);
    v = d->vcpus[0];
    second = guest_frame(d);
    user = guest_frame(d);
    *entry(second, 0) = *entry(t.l4, 0);
    assert_int_equal(mmu_set_user_root(v, user), 0);
    loads = host_cpus[0]->l4_loads;
    assert_int_equal(mmu_set_kernel_root(v, second), 0);
    assert_int_equal(host_cpus[0]->l4_loads, loads + 1);
    assert_int_equal(host_cpus[0]->l4.n, second.n);
    assert_int_equal(mmu_set_kernel_root(v, second), 0); /* the same: a flush */
    assert_int_equal(host_cpus[0]->l4_loads, loads + 2);
    assert_int_equal(mmu_set_kernel_root(v, t.l3), -EINVAL);
    assert_int_equal(mmu_set_kernel_root(v, INVALID_MFN), -EINVAL);
    assert_type(second, FT_L4, 1);
    assert_type(t.l4, FT_L4, 1);
    assert_audit();
    assert_int_equal(mmu_unpin(d, t.l4), 0);
    assert_type(t.l3, FT_L3, 1);
    assert_int_equal(mmu_set_user_root(v, INVALID_MFN), 0);
    assert_type(user, FT_L4, 0);
    /* the last root of a tree, cut */
    host_preempt_after(1);
    assert_int_equal(mmu_set_kernel_root(v, user), -ERESTART);
    assert_int_equal(v->kernel_l4.n, user.n);
    assert_int_equal(UNTIL_DONE(mmu_set_kernel_root(v, user)), 0);
    host_preempt_after(0);
    assert_type(t.l3, FT_L3, 0);
    assert_audit();
    guest_destroy(d);
    assert_audit();
}

/* Domain 0 was about to drop a table of the guest's when that was destroyed: it is the one that must go on. */
static void destroyed_under_a_drop(void **state)
{
    struct domain *other;

    start(4, 8);
    other = guest_create(2, true);
    host_set_current(0, other->vcpus[0]);
    host_preempt_after(1);
    assert_int_equal(mmu_update_entry(d, frame_of(t.l4), 0, 0, PT_SET, 1), 0);
    assert_non_null(other->vcpus[0]->dropping[0]);
    guest_destroy(d);
    host_preempt_after(0);
    assert_int_equal(frames_owned(1), 0);
    assert_audit();
}

static void io_frames(void **state)
{
    struct frame *l1;
    mfn_t io;
    pte_t e;

    start(2, 2);
    l1 = frame_of(t.l1[0]);
    io = host_io_frame(1);
    e = pte_make(io, KERNEL_FLAGS | PTE_PCD);
    assert_int_equal(mmu_update_entry(d, l1, 9, e, PT_SET, 1), -EPERM);
    assert_int_equal(io_frames_permit(d, io.n, io.n + 1, true), 0);
    assert_int_equal(io_frames_permit(d, hw_frames_max + 5, hw_frames_max + 5, true), 0);
    assert_int_equal(mmu_update_entry(d, l1, 9, e, PT_SET, 1), 0);
    assert_int_equal(mmu_update_entry(d, l1, 10, e, PT_SET, DOMID_IO), 0);
    assert_int_equal(mmu_update_entry(d, l1, 11, e, PT_SET, 2), -EPERM);
    assert_int_equal(mmu_update_entry(d, l1, 11, pte_make(MFN(hw_frames_max + 5), KERNEL_FLAGS), PT_SET, DOMID_IO), 0);
    assert_int_equal(mmu_update_entry(d, l1, 12, pte_make(MFN(hw_frames_max + 6), RO_FLAGS), PT_SET, DOMID_IO), -EPERM);
    assert_int_equal(mmu_update_entry(d, l1, 12, pte_make(t.page[0][0], RO_FLAGS), PT_SET, DOMID_IO), -EPERM);
    assert_int_equal(refs_of(io), 1);
    assert_int_equal(io_frames_readonly(d, io.n + 1, io.n + 1, true), 0);
    assert_int_equal(mmu_update_entry(d, l1, 13, pte_make(host_io_frame(2), KERNEL_FLAGS), PT_SET, 1), 0);
    assert_int_equal(*entry(t.l1[0], 13), pte_make(host_io_frame(2), RO_FLAGS));
    assert_audit();
    assert_int_equal(mmu_unpin(d, t.l4), 0);
    guest_destroy(d);
    assert_int_equal(refs_of(io), 1);
    assert_audit();
}

/* A frame of another domain, mapped because somebody allowed it: its entry's flags change without naming the owner, but
 * not to more rights. */
static void foreign_flags(void **state)
{
    struct domain *other;
    struct frame *l1;
    mfn_t theirs;

    start(2, 2);
    other = guest_create(2, false);
    theirs = guest_frame(other);
    l1 = frame_of(t.l1[0]);
    assert_int_equal(mmu_update_entry(d, l1, 9, pte_make(theirs, KERNEL_FLAGS), PT_SET, 1), -EBUSY);
    assert_int_equal(mmu_update_entry(d, l1, 9, pte_make(theirs, KERNEL_FLAGS), PT_SET, 2), 0);
    assert_audit();
    assert_int_equal(mmu_update_entry(d, l1, 9, pte_make(theirs, RO_FLAGS), PT_SET, 1), 0);
    assert_int_equal(mmu_update_entry(d, l1, 9, pte_make(theirs, RO_FLAGS | PTE_A), PT_SET, 1), 0);
    assert_int_equal(mmu_update_entry(d, l1, 9, pte_make(theirs, KERNEL_FLAGS), PT_SET, 1), -EBUSY);
    assert_int_equal(mmu_update_entry(d, l1, 10, pte_make(theirs, RO_FLAGS), PT_SET, 1), -EBUSY);
    assert_int_equal(mmu_update_entry(d, frame_of(t.l2), 9, pte_make(theirs, KERNEL_FLAGS), PT_SET, 2), -EINVAL);
    assert_audit();
    guest_destroy(other);
    assert_audit();
    assert_int_equal(frames_owned(2), 1);
    assert_int_equal(mmu_update_entry(d, l1, 9, 0, PT_SET, 1), 0);
    assert_int_equal(frames_owned(2), 0);
    assert_audit();
}

/* ---- Hypercalls ---- */

static void call_mmu_update(void **state)
{
    struct mmu_update *u;
    uint32_t *done;
    uint64_t done_va;
    unsigned n = 0;
    mfn_t table;

    start(4, 64);
    u = ops();
    done = (uint32_t *)((char *)ops() + 4000);
    done_va = ops_va + 4000;
    table = guest_frame(d);
    u[n++] = (struct mmu_update){t.l1[0].n << 12 | 8 * 100, pte_make(t.page[0][0], RO_FLAGS)};
    u[n++] = (struct mmu_update){t.l1[0].n << 12 | 8 * 101 | 3, pte_make(t.page[0][1], RO_FLAGS)};
    u[n++] = (struct mmu_update){table.n << 12 | 8 * 5, pte_make(t.page[0][2], RO_FLAGS)}; /* a plain store */
    u[n++] = (struct mmu_update){t.page[0][7].n << 12 | MMU_MACHPHYS_UPDATE, 1234};
    u[n++] = (struct mmu_update){t.l1[0].n << 12 | 8 * 100 | MMU_PT_UPDATE_PRESERVE_AD, 0};
    assert_int_equal(host_hypercall(mmu_update, ops_va, n, done_va, DOMID_SELF), 0);
    assert_int_equal(*done, n);
    assert_int_equal(*entry(table, 5), pte_make(t.page[0][2], RO_FLAGS));
    assert_int_equal(hw_m2p[t.page[0][7].n], 1234);
    assert_type(table, 0, 0);
    assert_audit();
    u[n] = (struct mmu_update){t.l2.n << 12 | 8 * 7, pte_make(table, KERNEL_FLAGS)};
    u[n + 1] = (struct mmu_update){t.l1[0].n << 12 | 4, 0}; /* misaligned */
    assert_int_equal(host_hypercall(mmu_update, ops_va, n + 2, done_va, DOMID_SELF), -EINVAL);
    assert_int_equal(*done, n + 1);
    assert_type(table, FT_L1, 1);
    assert_int_equal(host_hypercall(mmu_update, ops_va, 0, done_va, DOMID_SELF), 0);
    assert_int_equal(*done, 0);
    assert_int_equal(host_hypercall(mmu_update, 0x123456789000, 1, done_va, DOMID_SELF), -EFAULT);
    assert_int_equal(host_hypercall(mmu_update, ops_va, 1, done_va, 55), -ESRCH);
    assert_int_equal(host_hypercall(mmu_update, ops_va, 1, done_va, DOMID_XEN), -EPERM);
    assert_audit();
    /* a long batch, cut everywhere, that takes the tree down in the end */
    for (n = 0; n < 200; n++)
        u[n] = (struct mmu_update){t.l1[n % 3].n << 12 | 8 * (200 + n), pte_make(t.page[1][n % 64], KERNEL_FLAGS)};
    mfn_t high = guest_frame(d), l2 = guest_frame(d);
    *entry(high, 0) = pte_make(l2, KERNEL_FLAGS);
    for (unsigned i = 0; i < 20; i++)
        *entry(l2, i) = pte_make(t.l1[0], KERNEL_FLAGS);
    u[n++] = (struct mmu_update){t.l4.n << 12 | 8 * 300, pte_make(high, KERNEL_FLAGS)};
    u[n++] = (struct mmu_update){t.l4.n << 12 | 8 * 300, 0};
    host_preempt_after(1);
    assert_int_equal(host_hypercall_run(do_mmu_update, (uint64_t[6]){ops_va, n, done_va, DOMID_SELF}, assert_audit), 0);
    host_preempt_after(0);
    assert_int_equal(*done, n);
    assert_true(host_continuations > 20);
    assert_type(high, FT_L3, 0);
    assert_audit();
    guest_destroy(d);
    assert_audit();
}

static void call_foreign(void **state)
{
    struct domain *dom0, *other;
    struct mmu_update *u;
    uint32_t *done;
    mfn_t theirs, tables;

    host_machine_init(2, 0);
    dom0 = guest_create(0, true);
    other = guest_create(5, false);
    d = dom0;
    host_set_current(0, d->vcpus[0]);
    tree_build(d, &t, 2, 4);
    assert_int_equal(mmu_pin(d, t.l4, 4), 0);
    assert_int_equal(mmu_set_kernel_root(d->vcpus[0], t.l4), 0);
    ops_va = tree_va(1, 0);
    u = ops();
    done = (uint32_t *)((char *)ops() + 4000);
    theirs = guest_frame(other);
    tables = guest_frame(other);
    u[0] = (struct mmu_update){t.l1[0].n << 12 | 8 * 9, pte_make(theirs, KERNEL_FLAGS)};
    u[1] = (struct mmu_update){t.l1[0].n << 12 | 8 * 10, pte_make(t.page[0][0], KERNEL_FLAGS)}; /* not theirs */
    assert_int_equal(host_hypercall(mmu_update, ops_va, 2, ops_va + 4000, 5), -EBUSY);
    assert_int_equal(*done, 1);
    assert_int_equal(*entry(t.l1[0], 9), pte_make(theirs, KERNEL_FLAGS));
    assert_audit();
    /* Domain 0 pins the table with the foreign entry again, and raises the rights */
    assert_int_equal(host_hypercall(update_va_mapping, tree_va(0, 9), pte_make(theirs, RO_FLAGS), 0), 0);
    assert_int_equal(host_hypercall(update_va_mapping, tree_va(0, 9), pte_make(theirs, KERNEL_FLAGS), 0), 0);
    assert_int_equal(mmu_unpin(d, t.l4), 0);
    assert_audit();
    /* their tables, in the name of them */
    struct mmuext_op *op = ops();
    op[0] = (struct mmuext_op){.cmd = MMUEXT_PIN_L1_TABLE, .arg1.mfn = tables.n};
    assert_int_equal(host_hypercall(mmuext_op, ops_va, 1, 0, 5), 0);
    u[0] = (struct mmu_update){tables.n << 12 | 8 * 3, pte_make(theirs, RO_FLAGS)};
    assert_int_equal(host_hypercall(mmu_update, ops_va, 1, 0, 6u << 16 | 5), 0);
    u[0] = (struct mmu_update){theirs.n << 12 | MMU_MACHPHYS_UPDATE, 77};
    assert_int_equal(host_hypercall(mmu_update, ops_va, 1, 0, 5), 0);
    assert_int_equal(hw_m2p[theirs.n], 77);
    assert_audit();
    op[0] = (struct mmuext_op){.cmd = MMUEXT_CLEAR_PAGE, .arg1.mfn = theirs.n};
    op[1] = (struct mmuext_op){.cmd = MMUEXT_TLB_FLUSH_LOCAL};
    memset(hw_frame_va(theirs), 1, PAGE_SIZE);
    assert_int_equal(host_hypercall(mmuext_op, ops_va, 2, ops_va + 4000, 5), -EPERM);
    assert_int_equal(*done, 1);
    assert_int_equal(*entry(theirs, 511), 0);
    /* others may not */
    host_set_current(0, other->vcpus[0]);
    assert_int_equal(host_hypercall(mmu_update, (uint64_t)u, 1, 0, 0), -EPERM);
    assert_int_equal(host_hypercall(mmu_update, (uint64_t)u, 1, 0, 1u << 16 | 5), -EPERM);
    assert_audit();
}

static void call_update_va(void **state)
{
    uint64_t va, *bits;
    unsigned flushes;

    start(2, 4);
    va = tree_va(0, 50);
    assert_int_equal(host_hypercall(update_va_mapping, va, pte_make(t.page[0][0], RO_FLAGS), UVMF_NONE), 0);
    assert_int_equal(host_hypercall(update_va_mapping, tree_va(3, 0), 0, UVMF_NONE), -EINVAL);
    flushes = host_cpus[0]->flushes;
    assert_int_equal(host_hypercall(update_va_mapping, va, 0, UVMF_INVLPG | UVMF_LOCAL), 0);
    assert_int_equal(host_cpus[0]->flushes, flushes + 1);
    assert_int_equal(host_hypercall(update_va_mapping, tree_va(3, 0), 0, UVMF_TLB_FLUSH), -EINVAL);
    assert_int_equal(host_cpus[0]->flushes, flushes + 1);
    d->vcpus[1]->pcpu = 1;
    assert_int_equal(host_hypercall(update_va_mapping, va, 0, UVMF_TLB_FLUSH | UVMF_ALL), 0);
    assert_int_equal(host_cpus[0]->flushes, flushes + 2);
    assert_int_equal(host_cpus[1]->flushes, 0); /* that vCPU does not run */
    d->vcpus[1]->running = true;
    bits = ops();
    *bits = 2;
    assert_int_equal(host_hypercall(update_va_mapping, va, 0, UVMF_TLB_FLUSH | ops_va), 0);
    assert_int_equal(host_cpus[0]->flushes, flushes + 2);
    assert_int_equal(host_cpus[1]->flushes, 1);
    assert_int_equal(host_hypercall(update_va_mapping, va, 0, UVMF_TLB_FLUSH | 0x7ff000000000), -EFAULT);
    d->vcpus[1]->running = false;
    assert_int_equal(host_hypercall(update_va_mapping_otherdomain, va, 0, 0, 9), -ESRCH);
    assert_audit();
}

static void call_descriptor(void **state)
{
    const uint64_t code = 0x00af9b000000ffff, data = 0x00cf93000000ffff, tss = 0x0000890000000067,
                   gate = 0x00008c0000080000;
    uint64_t desc = code;
    mfn_t gdt;

    start(2, 4);
    gdt = guest_frame(d);
    assert_true(descriptor_ok(&desc));
    assert_int_equal(desc, 0x00affb000000ffff); /* ring 3 */
    desc = tss;
    assert_false(descriptor_ok(&desc));
    desc = gate;
    assert_false(descriptor_ok(&desc));
    desc = code | 1UL << 54;
    assert_false(descriptor_ok(&desc));
    assert_int_equal(host_hypercall(update_descriptor, gdt.n << 12 | 16, code), 0);
    assert_int_equal(*entry(gdt, 2), code | 3UL << 45);
    *entry(gdt, 3) = gate;
    assert_int_equal(type_get(d, frame_of(gdt), FT_DESC), -EINVAL);
    *entry(gdt, 3) = gate & ~(1UL << 47);
    *entry(gdt, 4) = data & ~(1UL << 40);
    assert_int_equal(type_get(d, frame_of(gdt), FT_DESC), 0);
    assert_int_equal(*entry(gdt, 4), data | 3UL << 45);
    assert_int_equal(host_hypercall(update_descriptor, gdt.n << 12 | 24, data), 0);
    assert_int_equal(host_hypercall(update_descriptor, gdt.n << 12 | 24, tss), -EINVAL);
    assert_int_equal(host_hypercall(update_descriptor, gdt.n << 12 | 25, data), -EINVAL);
    assert_int_equal(host_hypercall(update_descriptor, t.l1[0].n << 12, data), -EINVAL);
    assert_int_equal(host_hypercall(update_descriptor, host_io_frame(0).n << 12, data), -EINVAL);
    assert_int_equal(type_put(frame_of(gdt), false), 0);
    assert_audit();
}

static void call_mmuext(void **state)
{
    struct mmuext_op *op;
    uint32_t *done;
    mfn_t second, user;

    start(TREE_L1S, 8);
    op = ops();
    done = (uint32_t *)((char *)ops() + 4000);
    second = guest_frame(d);
    user = guest_frame(d);
    *entry(second, 0) = *entry(t.l4, 0);
    op[0] = (struct mmuext_op){.cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = second.n};
    op[1] = (struct mmuext_op){.cmd = MMUEXT_NEW_BASEPTR, .arg1.mfn = second.n};
    op[2] = (struct mmuext_op){.cmd = MMUEXT_NEW_USER_BASEPTR, .arg1.mfn = user.n};
    op[3] = (struct mmuext_op){.cmd = MMUEXT_UNPIN_TABLE, .arg1.mfn = t.l4.n};
    op[4] = (struct mmuext_op){.cmd = MMUEXT_NEW_USER_BASEPTR, .arg1.mfn = 0};
    op[5] = (struct mmuext_op){.cmd = MMUEXT_INVLPG_ALL, .arg1.linear_addr = 1UL << 63};
    op[6] = (struct mmuext_op){.cmd = MMUEXT_TLB_FLUSH_MULTI, .arg2.vcpumask.p = (void *)ops_va};
    op[7] = (struct mmuext_op){.cmd = MMUEXT_FLUSH_CACHE};
    host_preempt_after(1);
    assert_int_equal(
        host_hypercall_run(do_mmuext_op, (uint64_t[6]){ops_va, 8, ops_va + 4000, DOMID_SELF}, assert_audit), -EACCES);
    host_preempt_after(0);
    assert_int_equal(*done, 7);
    assert_type(second, FT_L4, 2);
    assert_type(t.l4, FT_L4, 0);
    assert_type(user, FT_L4, 0);
    op[0] = (struct mmuext_op){.cmd = MMUEXT_MARK_SUPER};
    assert_int_equal(host_hypercall(mmuext_op, ops_va, 1, 0, DOMID_SELF), -EOPNOTSUPP);
    op[0] = (struct mmuext_op){.cmd = 99};
    assert_int_equal(host_hypercall(mmuext_op, ops_va, 1, 0, DOMID_SELF), -ENOSYS);
    op[0] = (struct mmuext_op){.cmd = MMUEXT_COPY_PAGE, .arg1.mfn = t.page[0][0].n, .arg2.src_mfn = t.l2.n};
    assert_int_equal(host_hypercall(mmuext_op, ops_va, 1, 0, DOMID_SELF), 0);
    assert_memory_equal(hw_frame_va(t.page[0][0]), hw_frame_va(t.l2), PAGE_SIZE);
    op[0] = (struct mmuext_op){.cmd = MMUEXT_CLEAR_PAGE, .arg1.mfn = t.l2.n};
    assert_int_equal(host_hypercall(mmuext_op, ops_va, 1, 0, DOMID_SELF), -EINVAL);
    assert_int_equal(host_hypercall(mmuext_op, ops_va, 1, 0, DOMID_IO), -EPERM);
    op[0] =
        (struct mmuext_op){.cmd = MMUEXT_NEW_USER_BASEPTR, .arg1.mfn = INVALID_MFN.n}; /* no frame, and not 'none' */
    assert_int_equal(host_hypercall(mmuext_op, ops_va, 1, 0, DOMID_SELF), -EINVAL);
    assert_audit();
    guest_destroy(d);
    assert_audit();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(l1_entries),
        isolated_test(cmpxchg),
        isolated_test(find),
        isolated_test(upper_entries),
        isolated_test(roots),
        isolated_test(io_frames),
        isolated_test(foreign_flags),
        isolated_test(call_mmu_update),
        isolated_test(call_foreign),
        isolated_test(call_update_va),
        isolated_test(call_descriptor),
        isolated_test(call_mmuext),
        isolated_test(destroyed_under_a_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
