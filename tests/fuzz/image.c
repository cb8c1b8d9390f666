/* SPDX-License-Identifier: MIT */
/*
 * Kernel images as Domain 0's loader and the tools read them: bzImage, ELF, Xen's notes, and the plan of the domain that is made
 * of them. An input is how much memory and ramdisk there is, then the file. What is accepted lies within the file, does not
 * overlap, and is planned in order and within the memory.
 */
#include "fuzz.h"
#include "core/image/layout.h"
#include "core/mem/pte.h"

static void check_within(struct image_span s, struct image_span file)
{
    uintptr_t at = (uintptr_t)s.data, begin = (uintptr_t)file.data;

    MUST(at >= begin && at - begin <= file.size && s.size <= file.size - (at - begin), "outside of the file");
}

static void check_elf(const struct elf_image *e, struct image_span file)
{
    MUST(e->segments_count && e->segments_count <= ELF_SEGMENTS_MAX && e->notes_count <= ELF_NOTES_MAX, "counts");
    for (unsigned i = 0; i < e->segments_count; i++) {
        const struct elf_segment *s = &e->segments[i];

        check_within(s->file, file);
        MUST(s->file.size <= s->memory_size, "segment %u", i);
        MUST(s->paddr >= e->paddr_first && s->paddr + s->memory_size <= e->paddr_end, "segment %u", i);
        for (unsigned j = 0; j < i; j++)
            MUST(s->paddr + s->memory_size <= e->segments[j].paddr ||
                     e->segments[j].paddr + e->segments[j].memory_size <= s->paddr,
                 "segments %u and %u overlap", j, i);
    }
    for (unsigned i = 0; i < e->notes_count; i++)
        check_within(e->notes[i], file);
    MUST(e->paddr_end - e->paddr_first <= IMAGE_UNPACKED_MAX, "span");
}

static void check_notes(const struct elf_image *e, const struct xen_notes *n)
{
    uint64_t first = e->paddr_first - n->paddr_offset + n->virt_base, size = e->paddr_end - e->paddr_first;

    MUST(guest_range_ok(first, size), "the kernel's addresses");
    MUST(n->entry >= first && n->entry - first < size, "entry %lx", n->entry);
    MUST(!n->has_hypercall_page || (n->hypercall_page >= first && n->hypercall_page + PAGE_SIZE <= first + size),
         "hypercall page %lx", n->hypercall_page);
    MUST(memchr(n->guest_os, 0, sizeof(n->guest_os)) && memchr(n->xen_version, 0, sizeof(n->xen_version)), "strings");
}

static void check_plan(const struct pv_layout *l, const struct pv_plan_input *in)
{
    uint64_t tables = 1;

    for (unsigned level = 1; level <= 3; level++)
        tables += pv_tables_at(l->v_start, l->v_end, level);
    MUST(guest_range_ok(l->v_start, l->v_end - l->v_start), "window %lx..%lx", l->v_start, l->v_end);
    MUST(l->v_start <= l->kernel_start && l->kernel_start <= l->kernel_end, "kernel");
    MUST(!l->initrd_va || (l->initrd_va >= l->kernel_end && l->initrd_va + in->initrd_size <= l->start_info_va),
         "initrd");
    MUST(l->p2m_apart || (l->p2m_va >= l->kernel_end && l->p2m_va + l->nr_pages * 8 <= l->start_info_va), "p2m");
    MUST(l->start_info_va >= l->kernel_end && l->special_va >= l->start_info_va + PAGE_SIZE, "start_info");
    MUST(l->tables_va >= l->special_va + in->special_pages * PAGE_SIZE, "special pages");
    MUST(l->tables >= tables && l->stack_va >= l->tables_va + l->tables * PAGE_SIZE, "tables");
    MUST(l->stack_va + PAGE_SIZE + 512 * KIB <= l->v_end, "stack");
    MUST(l->rest_pfn <= l->nr_pages && l->window_pages * PAGE_SIZE == l->v_end - l->v_start, "frames");
    MUST(l->window_pages <= l->nr_pages, "the window is larger than the memory");
    if (l->initrd_pages && !l->initrd_va)
        MUST(l->initrd_pfn + l->initrd_pages <= l->nr_pages, "initrd's frames");
    if (l->p2m_apart)
        MUST(l->first_p2m_pfn + l->p2m_frames <= l->nr_pages && l->p2m_frames >= l->p2m_pages, "p2m's frames");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct pv_plan_input plan = {.nr_pages = (uint64_t)input_u16(&in) << (input_u8(&in) & 15)};
    struct image_payload payload;
    struct xen_notes notes;
    struct elf_image elf;
    struct pv_layout l;
    struct image_span file;
    const char *why = NULL;
    int rc;

    plan.initrd_size = (uint64_t)input_u16(&in) << (input_u8(&in) & 15);
    plan.special_pages = input_u8(&in) & 2;
    plan.squeeze = input_u8(&in) & 1;
    file = (struct image_span){in.at, input_left(&in)};
    rc = image_unwrap(file, &payload, &why);
    MUST(!rc || why, "no reason");
    if (rc)
        return 0;
    check_within(payload.packed, file);
    MUST(payload.unpacked_size && payload.unpacked_size <= IMAGE_UNPACKED_MAX, "unpacked size");
    if (payload.format != IMAGE_ELF || elf_parse(payload.packed, &elf, &why))
        return 0;
    check_elf(&elf, payload.packed);
    if (notes_parse(&elf, &notes, &why))
        return 0;
    check_notes(&elf, &notes);
    plan.paddr_first = elf.paddr_first;
    plan.paddr_end = elf.paddr_end;
    plan.notes = &notes;
    if (!pv_plan(&plan, &l, &why))
        check_plan(&l, &plan);
    return 0;
}
