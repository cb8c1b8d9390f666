/* SPDX-License-Identifier: MIT */
/* Descriptor tables: gates, system descriptors, tables over frames in other use, selectors of the hypervisor's. */
#include "guest/attack.h"

#define PRESENT      (1UL << 47)
#define SYSTEM(type) (PRESENT | (uint64_t)(type) << 40)
#define SEGMENT(type, dpl)                                                                                             \
    (PRESENT | 1UL << 44 | (uint64_t)(type) << 40 | (uint64_t)(dpl) << 45 | 0x00a0000000000000 | 0xffff | 0xfUL << 48)
#define CODE64              SEGMENT(0xa, 0)
#define RESERVED_SELECTOR   0xe000
#define LDT_SELECTOR(index) ((index) << 3 | 7)

static long set_gdt(const void *page, unsigned entries)
{
    uint64_t frame = mfn_of(page);

    return hypercall(__HYPERVISOR_set_gdt, ADDRESS(&frame), entries, 0, 0);
}

static long set_ldt(uint64_t base, uint64_t entries)
{
    return mmuext(MMUEXT_SET_LDT, base, entries);
}

ATTACK(system_descriptors, SURVIVES,
       "call gates, interrupt gates, TSS and LDT descriptors in GDT, LDT and by update_descriptor")
{
    uint64_t *page = new_page();

    for (unsigned type = 1; type < 16; type++) {
        for (unsigned dpl = 0; dpl < 4; dpl++) {
            uint64_t gate = SYSTEM(type) | (uint64_t)dpl << 45 | 0xe008UL << 16 | 0x1000;

            make_writable(page);
            page[16] = gate;
            make_readonly(page);
            REFUSED(set_gdt(page, 512));
            REFUSED(hypercall(__HYPERVISOR_update_descriptor, machine_of(&page[0]), gate, 0, 0));
        }
    }
    make_writable(page);
    page[16] = 0;
    make_readonly(page);
    ALLOWED(set_gdt(page, 512));
    for (unsigned type = 1; type < 16; type++)
        REFUSED(hypercall(__HYPERVISOR_update_descriptor, machine_of(&page[1]), SYSTEM(type) | 3UL << 45, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_update_descriptor, machine_of(&page[1]) + 4, 0, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_update_descriptor, board->domain0_mfn * PAGE, 0, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_update_descriptor, board->frames_max * PAGE, 0, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_update_descriptor, 0x200 * PAGE, 0, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_update_descriptor, ~7UL, 0, 0, 0));
}

ATTACK(privileged_segments, SURVIVES, "segments of privilege 0 to 2, conforming code, code of no sort")
{
    uint64_t *page = new_page();

    for (unsigned type = 0; type < 16; type++)
        for (unsigned dpl = 0; dpl < 3; dpl++)
            page[1 + type * 3 + dpl] = SEGMENT(type, dpl) & ~(type < 8 ? 1UL << 53 : 0);
    make_readonly(page);
    ALLOWED(set_gdt(page, 512));
    for (unsigned i = 1; i < 49; i++)
        CHECK((page[i] >> 45 & 3) == 3);
    ALLOWED(hypercall(__HYPERVISOR_update_descriptor, machine_of(&page[60]), CODE64, 0, 0));
    CHECK((page[60] >> 45 & 3) == 3);
    REFUSED(hypercall(__HYPERVISOR_update_descriptor, machine_of(&page[60]), CODE64 | 1UL << 54, 0, 0));
}

ATTACK(descriptor_page_stays_readonly, SURVIVES, "type confusion: writing a GDT in use")
{
    uint64_t *page = new_page(), *alias = new_page();

    REFUSED(set_gdt(page, 16)); /* it is writable */
    make_readonly(page);
    ALLOWED(set_gdt(page, 16));
    REFUSED(map_entry(page, entry_of(page, PLAIN)));
    REFUSED(map_entry(alias, entry_of(page, PLAIN)));
    for (unsigned level = 1; level <= 4; level++)
        REFUSED(pin(level, page));
    REFUSED(mmuext(MMUEXT_CLEAR_PAGE, mfn_of(page), 0));
    REFUSED(mmu_update(machine_of(&page[2]), SYSTEM(0xc)));
    CHECK(page[2] == 0 && !try_write(&page[2], SYSTEM(0xc)));
    ALLOWED(hypercall(__HYPERVISOR_set_gdt, 0, 0, 0, 0));
    make_writable(page);
}

ATTACK(gdt_frames, SURVIVES, "GDTs of too many entries, of frames that are another's, of tables")
{
    uint64_t frames[17] = {board->domain0_mfn}, *page = new_page();

    REFUSED(hypercall(__HYPERVISOR_set_gdt, ADDRESS(frames), 512, 0, 0));
    frames[0] = 0x200;
    REFUSED(hypercall(__HYPERVISOR_set_gdt, ADDRESS(frames), 512, 0, 0));
    frames[0] = board->frames_max;
    REFUSED(hypercall(__HYPERVISOR_set_gdt, ADDRESS(frames), 1, 0, 0));
    frames[0] = start_info->shared_info / PAGE;
    REFUSED(hypercall(__HYPERVISOR_set_gdt, ADDRESS(frames), 1, 0, 0));
    frames[0] = mfn_of(table_of((void *)VIRT_BASE, 1));
    REFUSED(hypercall(__HYPERVISOR_set_gdt, ADDRESS(frames), 1, 0, 0));
    make_readonly(page);
    for (unsigned i = 0; i < COUNT_OF(frames); i++)
        frames[i] = mfn_of(page);
    REFUSED(hypercall(__HYPERVISOR_set_gdt, ADDRESS(frames), 7169, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_set_gdt, ADDRESS(frames), ~0UL, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_set_gdt, ADDRESS(frames), 1UL << 32, 0, 0));
    REFUSED(hypercall(__HYPERVISOR_set_gdt, HV_START, 512, 0, 0));
    ALLOWED(hypercall(__HYPERVISOR_set_gdt, ADDRESS(frames), 7168, 0, 0));
    frames[13] = board->domain0_mfn; /* the thirteen before go back */
    REFUSED(hypercall(__HYPERVISOR_set_gdt, ADDRESS(frames), 7168, 0, 0));
    ALLOWED(hypercall(__HYPERVISOR_set_gdt, 0, 0, 0, 0));
    make_writable(page);
}

static void load_ds(void *arg)
{
    __asm__ volatile("mov %w0, %%ds" ::"r"(arg));
}

static void load_ss(void *arg)
{
    __asm__ volatile("mov %w0, %%ss" ::"r"(arg));
}

static void load_gs(void *arg)
{
    __asm__ volatile("mov %w0, %%gs" ::"r"(arg));
}

static struct {
    uint64_t offset;
    uint16_t selector;
} __attribute__((packed)) far_pointer;

static void far_jump(void *arg)
{
    far_pointer.offset = ADDRESS(arg);
    __asm__ volatile("rex64 ljmp *%0" ::"m"(far_pointer));
}

static void far_call(void *arg)
{
    far_pointer.offset = ADDRESS(arg);
    __asm__ volatile("rex64 lcall *%0" ::"m"(far_pointer) : "memory");
}

static bool is_flat(unsigned selector)
{
    return selector == FLAT_RING3_CS32 || selector == FLAT_RING3_SS32 || selector == FLAT_RING3_CS64;
}

ATTACK(hypervisors_selectors, SURVIVES,
       "every selector from the hypervisor's part of the GDT on is loaded, jumped to, called")
{
    for (unsigned selector = RESERVED_SELECTOR; selector < 0x10000; selector++) {
        if (is_flat(selector | 3))
            continue;
        CHECK(guarded(load_ss, (void *)(uint64_t)selector));
        far_pointer.selector = (uint16_t)selector;
        CHECK(guarded(far_jump, (void *)VIRT_BASE));
        CHECK(guarded(far_call, (void *)VIRT_BASE));
        CHECK(guarded(load_ds, (void *)(uint64_t)selector));
    }
}

ATTACK(any_selector_without_tables, SURVIVES,
       "all selectors with neither GDT nor LDT; those of GS by hypercall, which must not fail")
{
    for (unsigned selector = 4; selector < RESERVED_SELECTOR; selector += selector & 1 ? 5 : 1)
        CHECK(guarded(load_gs, (void *)(uint64_t)selector));
    for (unsigned selector = 0; selector < 0x10000; selector++)
        ALLOWED(hypercall(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER_SEL, selector, 0, 0));
}

ATTACK(ldt_ranges, SURVIVES, "LDTs in the hypervisor's range, unaligned, too large")
{
    uint64_t *page = new_page();

    REFUSED(set_ldt(HV_START, 512));
    REFUSED(set_ldt(HV_END - PAGE, 512));
    REFUSED(set_ldt(HV_START - PAGE, 8192));
    REFUSED(set_ldt(0x0000800000000000, 8));
    REFUSED(set_ldt(ADDRESS(page) + 8, 8));
    REFUSED(set_ldt(ADDRESS(page), 8193));
    REFUSED(set_ldt(ADDRESS(page), 1UL << 32 | 8193));
    REFUSED(set_ldt(-PAGE, 1024));
}

ATTACK(ldt_over_other_frames, SURVIVES,
       "an LDT over data, page tables, shared frames, nothing: no selector of it can be loaded")
{
    uint64_t *page = new_page();
    uint64_t bases[] = {ADDRESS(page), ADDRESS(table_of(page, 1)), ADDRESS(shared_info), ADDRESS(grants), 0x1000};

    page[1] = SEGMENT(2, 3) & ~(1UL << 53);
    for (unsigned i = 0; i < COUNT_OF(bases); i++) {
        if (set_ldt(bases[i], 512))
            continue;
        CHECK(guarded(load_ds, (void *)LDT_SELECTOR(1)));
        CHECK(guarded(load_ds, (void *)LDT_SELECTOR(511)));
        CHECK(guarded(load_ds, (void *)LDT_SELECTOR(512)));
    }
}

ATTACK(ldt_freed_while_used, SURVIVES,
       "the frame of an LDT in use is unmapped and given up, then its words are changed")
{
    uint64_t *page = new_page(), frame = mfn_of(page);
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};

    set_xen_guest_handle(r.extent_start, &frame);
    page[1] = SEGMENT(2, 3) & ~(1UL << 53);
    page[2] = SYSTEM(0xc) | 3UL << 45;
    make_readonly(page);
    ALLOWED(set_ldt(ADDRESS(page), 512));
    CHECK(guarded(load_ds, (void *)LDT_SELECTOR(1))); /* a gate is in it */
    make_writable(page);
    page[2] = 0;
    make_readonly(page);
    CHECK(!guarded(load_ds, (void *)LDT_SELECTOR(1)));
    REFUSED(map_entry(page, entry_of(page, PLAIN)));
    ALLOWED(map_entry(page, 0));
    memory_op(XENMEM_decrease_reservation, &r);
    REFUSED(map_entry(page, frame * PAGE | PLAIN));
    CHECK(!guarded(load_ds, (void *)LDT_SELECTOR(1)));
    frame = mfn_of(page);
    REFUSED(memory_op(XENMEM_exchange, &(struct xen_memory_exchange){.in = r, .out = r}));
    ALLOWED(set_ldt(0, 0));
    CHECK(guarded(load_ds, (void *)LDT_SELECTOR(1)));
}

ATTACK(ldt_remapped_while_used, SURVIVES,
       "other frames are put where the LDT is: the old stay in use, the new are checked")
{
    uint64_t *page = new_pages(2);

    for (unsigned i = 0; i < 1024; i++)
        page[i] = SEGMENT(2, 3) & ~(1UL << 53);
    make_readonly(page);
    make_readonly(page + 512);
    ALLOWED(set_ldt(ADDRESS(page), 1024));
    CHECK(!guarded(load_ds, (void *)LDT_SELECTOR(5)));
    ALLOWED(map_entry(page + 512, entry_of(table_of(page, 1), READONLY)));
    CHECK(guarded(load_ds, (void *)LDT_SELECTOR(600)));
    ALLOWED(map_entry(page, entry_of(table_of(page, 1), READONLY)));
    CHECK(!guarded(load_ds, (void *)LDT_SELECTOR(6)));
    for (unsigned i = 0; i < 50; i++) {
        ALLOWED(set_ldt(ADDRESS(page), i & 1 ? 512 : 1024));
        CHECK(guarded(load_ds, (void *)LDT_SELECTOR(5)));
    }
}
