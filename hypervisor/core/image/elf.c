/* SPDX-License-Identifier: MIT */
/*
 * ELF files of kernels: 64-bit, x86-64, executable. Finds what is loaded and where (by physical address) and the notes.
 * Hostile input: see image.h. The file need not be aligned: headers are copied out.
 */
#include "core/image/image.h"
#include "core/lib/fail.h"
#include "core/lib/string.h"

struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, program_offset, section_offset;
    uint32_t flags;
    uint16_t header_size, program_size, program_count, section_size, section_count, strings;
};
struct elf_program {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, file_size, memory_size, align;
};
_Static_assert(sizeof(struct elf_header) == 64, "ELF64 header");
_Static_assert(sizeof(struct elf_program) == 56, "ELF64 program header");

#define ELF_CLASS64    2
#define ELF_LITTLE     1
#define ELF_EXECUTABLE 2
#define ELF_SHARED     3 /* position-independent kernels */
#define ELF_X86_64     62
#define PROGRAM_LOAD   1
#define PROGRAM_NOTE   4
#define PROGRAMS_MAX   64

static int bad(const char **why, const char *text)
{
    *why = text;
    return fail(-ENOEXEC);
}

static int check_header(struct image_span file, struct elf_header *h, const char **why)
{
    if (file.size < sizeof(*h))
        return bad(why, "is a truncated ELF file");
    memcpy(h, file.data, sizeof(*h));
    if (memcmp(h->ident, "\177ELF", 4))
        return bad(why, "is damaged: no ELF file came out of it");
    if (h->ident[4] != ELF_CLASS64 || h->ident[5] != ELF_LITTLE || h->machine != ELF_X86_64)
        return bad(why, "is not a 64-bit x86 kernel");
    if (h->type != ELF_EXECUTABLE && h->type != ELF_SHARED)
        return bad(why, "is an ELF file that is no executable");
    if (h->program_size != sizeof(struct elf_program) || !h->program_count || h->program_count > PROGRAMS_MAX)
        return bad(why, "is an ELF file with a bad program header table");
    if (h->program_offset > file.size || (uint64_t)h->program_count * h->program_size > file.size - h->program_offset)
        return bad(why, "is a truncated ELF file (program headers)");
    return 0;
}

static bool in_file(struct image_span file, const struct elf_program *p)
{
    return p->offset <= file.size && p->file_size <= file.size - p->offset;
}

static int add_segment(struct image_span file, const struct elf_program *p, struct elf_image *out, const char **why)
{
    uint64_t end;

    if (!p->memory_size)
        return 0;
    if (!in_file(file, p))
        return bad(why, "is a truncated ELF file (a segment)");
    if (p->file_size > p->memory_size || p->memory_size > IMAGE_UNPACKED_MAX ||
        __builtin_add_overflow(p->paddr, p->memory_size, &end))
        return bad(why, "is an ELF file with a segment of impossible size");
    if (out->segments_count == ELF_SEGMENTS_MAX)
        return bad(why, "is an ELF file with too many segments");
    for (unsigned i = 0; i < out->segments_count; i++) {
        const struct elf_segment *s = &out->segments[i];
        if (p->paddr < s->paddr + s->memory_size && s->paddr < end)
            return bad(why, "is an ELF file whose segments overlap");
    }
    out->segments[out->segments_count++] =
        (struct elf_segment){p->paddr, {file.data + p->offset, p->file_size}, p->memory_size};
    out->paddr_first = MIN(out->paddr_first, p->paddr);
    out->paddr_end = MAX(out->paddr_end, end);
    return 0;
}

static int add_notes(struct image_span file, const struct elf_program *p, struct elf_image *out, const char **why)
{
    if (!in_file(file, p))
        return bad(why, "is a truncated ELF file (notes)");
    if (out->notes_count == ELF_NOTES_MAX)
        return bad(why, "is an ELF file with too many note segments");
    out->notes[out->notes_count++] = (struct image_span){file.data + p->offset, p->file_size};
    return 0;
}

int elf_parse(struct image_span file, struct elf_image *out, const char **why)
{
    struct elf_header h;
    int rc = check_header(file, &h, why);

    if (rc)
        return rc;
    memset(out, 0, sizeof(*out));
    out->paddr_first = ~0UL;
    for (unsigned i = 0; i < h.program_count && !rc; i++) {
        struct elf_program p;

        memcpy(&p, file.data + h.program_offset + i * sizeof(p), sizeof(p));
        if (p.type == PROGRAM_LOAD)
            rc = add_segment(file, &p, out, why);
        else if (p.type == PROGRAM_NOTE)
            rc = add_notes(file, &p, out, why);
    }
    if (rc)
        return rc;
    if (!out->segments_count)
        return bad(why, "is an ELF file with nothing to load");
    if (out->paddr_end - out->paddr_first > IMAGE_UNPACKED_MAX)
        return bad(why, "is an ELF file that spans more than 1 GiB");
    return 0;
}
