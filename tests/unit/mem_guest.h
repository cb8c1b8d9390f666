/* SPDX-License-Identifier: MIT */
/* A small guest with page tables of its own making, for the tests of core/mem. */
#pragma once
#include "host/test.h"
#include "core/mem/alloc.h"
#include "core/mem/audit.h"
#include "core/mem/mmu.h"
#include "core/mem/refs.h"
#include "core/mem/reservation.h"
#include "core/mem/tlb.h"
#include "core/mem/type.h"
#include "hypercall/hypercall.h"

#define KERNEL_FLAGS (PTE_P | PTE_RW | PTE_US)
#define RO_FLAGS     (PTE_P | PTE_US)

static inline struct domain *guest_create(uint16_t id, bool privileged)
{
    struct domain_config cfg = {.id = id,
                                .max_vcpus = 2,
                                .max_evtchn_port = 1023,
                                .max_grant_frames = 4,
                                .max_maptrack_frames = 4,
                                .pages_max = 4000,
                                .privileged = privileged,
                                .hardware = privileged};
    struct domain *d = NULL;

    assert_int_equal(domain_create(&cfg, &d), 0);
    return d;
}

static inline mfn_t guest_frame(struct domain *d)
{
    mfn_t m = reservation_add(d, 0, 0, false);

    assert_false(mfn_eq(m, INVALID_MFN));
    return m;
}

static inline pte_t *entry(mfn_t table, unsigned index)
{
    return (pte_t *)hw_frame_va(table) + index;
}

static inline uint64_t refs_of(mfn_t m)
{
    return refs_load(frame_of(m));
}

static inline void assert_audit(void)
{
    struct audit_result r = audit_run(true);

    if (r.violations)
        fprintf(stderr, "%s\n", host_console);
    assert_int_equal(r.violations, 0);
}

static inline void assert_type(mfn_t m, enum frame_type type, uint64_t tcount)
{
    assert_int_equal(frame_tcount(refs_of(m)), tcount);
    if (tcount)
        assert_int_equal(refs_type(refs_of(m)), type);
}

/* L4[0] -> L3[0] -> L2[0..l1s-1] -> L1s, each with `pages` entries of as many writable pages. Not typed yet. */
#define TREE_L1S   8
#define TREE_PAGES 64
struct tree {
    mfn_t l4, l3, l2, l1[TREE_L1S], page[TREE_L1S][TREE_PAGES];
    unsigned l1s, pages;
};
static inline void tree_build(struct domain *d, struct tree *t, unsigned l1s, unsigned pages)
{
    t->l1s = l1s;
    t->pages = pages;
    t->l4 = guest_frame(d);
    t->l3 = guest_frame(d);
    t->l2 = guest_frame(d);
    *entry(t->l4, 0) = pte_make(t->l3, KERNEL_FLAGS);
    *entry(t->l3, 0) = pte_make(t->l2, KERNEL_FLAGS);
    for (unsigned i = 0; i < l1s; i++) {
        t->l1[i] = guest_frame(d);
        *entry(t->l2, i) = pte_make(t->l1[i], KERNEL_FLAGS);
        for (unsigned j = 0; j < pages; j++) {
            t->page[i][j] = guest_frame(d);
            *entry(t->l1[i], j) = pte_make(t->page[i][j], KERNEL_FLAGS);
        }
    }
}
static inline uint64_t tree_va(unsigned l1, unsigned page)
{
    return (uint64_t)l1 << 21 | (uint64_t)page << PAGE_SHIFT;
}

/* Until done, with an audit at every cut. */
#define UNTIL_DONE(call)                                                                                               \
    ({                                                                                                                 \
        int rc_;                                                                                                       \
        unsigned cuts_ = 0;                                                                                            \
        while ((rc_ = (call)) == -ERESTART) {                                                                          \
            assert_audit();                                                                                            \
            assert_true(++cuts_ < 100000);                                                                             \
        }                                                                                                              \
        rc_;                                                                                                           \
    })

static inline void guest_destroy(struct domain *d)
{
    struct vcpu *idle = this_cpu()->idle;

    if (current_vcpu()->domain == d) {
        current_vcpu()->running = false;
        this_cpu()->current = idle;
    }
    assert_int_equal(UNTIL_DONE(domain_destroy(d)), 0);
}
