/* SPDX-License-Identifier: MIT */
/* Arguments in memory that another vCPU changes while the hypervisor reads them: each must be read once, or checked again. */
#include "guest/attack.h"

#define RACE_NS 150000000UL

static uint64_t *arguments;
static uint64_t good[64], bad[64];
static unsigned words;
static uint32_t over;

static void turn(void *arg)
{
    uint64_t state = board->seed;

    while (!READ_ONCE(over)) {
        unsigned i = (unsigned)(random_next(&state) % words);

        WRITE_ONCE(arguments[i], bad[i]);
        relax();
        WRITE_ONCE(arguments[i], good[i]);
    }
}

/* `good` is filled in; `bad` is that with some words changed. Calls over and over while others turn one into the other. */
static void race(unsigned count, unsigned long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t end;

    words = count;
    memcpy(arguments, good, count * 8);
    for (unsigned id = 1; id < 3; id++)
        ALLOWED(cpu_start(id, turn, NULL));
    for (end = now_ns() + RACE_NS; now_ns() < end;)
        hypercall(nr, a, b, c, d);
    WRITE_ONCE(over, 1);
    for (unsigned id = 1; id < 3; id++)
        cpu_wait(id);
}

static bool maps_another(const void *page)
{
    uint64_t mfn = (*l1_entry(page) & ADDR) / PAGE;

    return (*l1_entry(page) & P) && (mfn < board->self_mfn || mfn >= board->self_mfn + 1024);
}

ATTACK(updates_that_turn, SURVIVES, "XSA-155 for hypercalls: mmu_update requests between a good and a forbidden entry")
{
    uint64_t *page = new_page(), *table = table_of(page, 1);

    arguments = new_page();
    for (unsigned i = 0; i < 16; i += 2) {
        good[i] = bad[i] = machine_of(l1_entry(page));
        good[i + 1] = entry_of(page, i & 2 ? READONLY : PLAIN);
        bad[i + 1] = i & 4 ? entry_of(table, PLAIN) : board->domain0_mfn * PAGE | PLAIN;
    }
    bad[6] = machine_of(table_of(page, 2));
    bad[10] = board->domain0_table_mfn * PAGE;
    race(16, __HYPERVISOR_mmu_update, ADDRESS(arguments), 8, 0, DOMID_SELF);
    CHECK(!maps_another(page));
    REFUSED(map_entry(new_page(), entry_of(table, PLAIN)));
}

ATTACK(pins_that_turn, SURVIVES, "mmuext operations between an own table and another's, between commands")
{
    uint64_t *table = new_table();

    arguments = new_page();
    for (unsigned i = 0; i < 12; i += 3) {
        good[i] = bad[i] = i & 1 ? MMUEXT_UNPIN_TABLE : MMUEXT_PIN_L1_TABLE;
        bad[i] = MMUEXT_PIN_L4_TABLE;
        good[i + 1] = mfn_of(table);
        bad[i + 1] = board->domain0_table_mfn;
    }
    race(12, __HYPERVISOR_mmuext_op, ADDRESS(arguments), 4, 0, DOMID_SELF);
    unpin(table);
    make_writable(table);
}

ATTACK(batches_that_turn, SURVIVES, "multicall entries that change their call and arguments while they are run")
{
    uint64_t *page = new_page();

    arguments = new_page();
    for (unsigned i = 0; i < 32; i += 8) {
        good[i] = __HYPERVISOR_update_va_mapping;
        good[i + 2] = ADDRESS(page);
        good[i + 3] = entry_of(page, PLAIN);
        memcpy(&bad[i], &good[i], 64);
        bad[i] = i & 8 ? __HYPERVISOR_multicall : __HYPERVISOR_mmuext_op;
        bad[i + 2] = HV_START;
        bad[i + 3] = board->domain0_mfn * PAGE | PLAIN;
    }
    race(32, __HYPERVISOR_multicall, ADDRESS(arguments), 4, 0, 0);
    CHECK(!maps_another(page));
}

ATTACK(exchange_that_turns, SURVIVES, "XSA-212: counts, lists and progress of an exchange")
{
    struct xen_memory_exchange *e = (struct xen_memory_exchange *)good, *wrong = (struct xen_memory_exchange *)bad;

    arguments = new_page();
    *e = (struct xen_memory_exchange){.in = {.nr_extents = 2, .domid = DOMID_SELF},
                                      .out = {.nr_extents = 2, .domid = DOMID_SELF}};
    set_xen_guest_handle(e->in.extent_start, arguments + 32);
    set_xen_guest_handle(e->out.extent_start, arguments + 40);
    *wrong = *e;
    wrong->in.nr_extents = wrong->out.nr_extents = ~0UL >> 20;
    wrong->nr_exchanged = 1UL << 40;
    set_xen_guest_handle(wrong->out.extent_start, (uint64_t *)HV_START);
    good[32] = mfn_of(new_page());
    good[33] = mfn_of(new_page());
    bad[32] = board->domain0_mfn;
    bad[33] = good[32];
    map_entry((void *)(VIRT_BASE + M2P[good[32]] * PAGE), 0);
    map_entry((void *)(VIRT_BASE + M2P[good[33]] * PAGE), 0);
    race(48, __HYPERVISOR_memory_op, XENMEM_exchange, ADDRESS(arguments), 0, 0);
}

ATTACK(gdt_that_turns, SURVIVES, "the list of a GDT's frames between an own page and a page table")
{
    uint64_t *page = new_table();

    arguments = new_page();
    for (unsigned i = 0; i < 14; i++) {
        good[i] = mfn_of(page);
        bad[i] = i & 1 ? mfn_of(table_of(page, 1)) : board->domain0_mfn;
    }
    race(14, __HYPERVISOR_set_gdt, ADDRESS(arguments), 7168, 0, 0);
    ALLOWED(hypercall(__HYPERVISOR_set_gdt, 0, 0, 0, 0));
    make_writable(page);
}

ATTACK(copies_that_turn, SURVIVES, "offsets, lengths and frames of a grant copy")
{
    struct gnttab_copy *c = (struct gnttab_copy *)good, *wrong = (struct gnttab_copy *)bad;
    uint64_t *page = new_page();

    arguments = new_page();
    *c = (struct gnttab_copy){.source = {.u.gmfn = mfn_of(page), .domid = DOMID_SELF},
                              .dest = {.u.gmfn = mfn_of(page), .domid = DOMID_SELF},
                              .len = 4096};
    *wrong = *c;
    wrong->source.u.gmfn = board->domain0_mfn;
    wrong->dest.u.gmfn = board->domain0_mfn;
    wrong->source.offset = wrong->dest.offset = 4095;
    wrong->flags = GNTCOPY_source_gref;
    race(sizeof(*c) / 8, __HYPERVISOR_grant_table_op, GNTTABOP_copy, ADDRESS(arguments), 1, 0);
    for (unsigned i = 0; i < 512; i++)
        CHECK(page[i] == 0);
}

ATTACK(contexts_that_turn, SURVIVES, "a vCPU's context while it is taken")
{
    struct vcpu_guest_context *c = (struct vcpu_guest_context *)new_pages(2);
    uint64_t end;

    arguments = (uint64_t *)c->ctrlreg;
    fill_context(c, this_cpu());
    c->gdt_ents = 7169; /* never accepted, so that it can be tried again and again */
    words = 8;
    memcpy(good, arguments, 64);
    memset(bad, 0x5a, 64);
    bad[3] = board->domain0_table_mfn * PAGE;
    ALLOWED(cpu_start(1, turn, NULL));
    for (end = now_ns() + RACE_NS; now_ns() < end;)
        REFUSED(vcpu_op(VCPUOP_initialise, 2, c));
    WRITE_ONCE(over, 1);
    cpu_wait(1);
}

static uint64_t *tree[3];

static void change_tree(void *arg)
{
    uint64_t state = board->seed + ADDRESS(arg), end = now_ns() + RACE_NS;

    while (now_ns() < end) {
        uint64_t r = random_next(&state);
        unsigned level = r % 3; /* 0: l1 */

        if (r & 8)
            mmu_update(machine_of(&tree[level][r >> 8 & 511]), r & 16  ? 0
                                                               : level ? entry_of(tree[level - 1], PLAIN)
                                                                       : entry_of(arguments, PLAIN));
        else if (r & 32)
            pin(level + 1, tree[level]);
        else
            unpin(tree[level]);
    }
}

ATTACK(trees_that_change, SURVIVES,
       "XSA-299 XSA-310 XSA-309: a tree is linked, unlinked, pinned and unpinned by four vCPUs")
{
    arguments = new_page();
    for (unsigned i = 0; i < 3; i++)
        tree[i] = new_table();
    for (unsigned id = 1; id < VCPUS_MAX; id++)
        ALLOWED(cpu_start(id, change_tree, (void *)(uint64_t)id));
    change_tree(NULL);
    for (unsigned id = 1; id < VCPUS_MAX; id++)
        cpu_wait(id);
}
