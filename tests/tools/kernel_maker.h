/* SPDX-License-Identifier: MIT */
/* Kernels made to measure for tests: an ELF file in memory whose every part a test can spoil. */
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xen/elfnote.h>

#define MADE_SEGMENTS 2
#define MADE_NOTES_AT 0x400
#define MADE_DATA_AT  0x1000

struct made_program {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, file_size, memory_size, align;
};
struct made_kernel {
    uint8_t *file;
    size_t size, notes_end;
    struct made_program *programs; /* MADE_SEGMENTS of PT_LOAD, then the notes */
};

static inline void made_note(struct made_kernel *k, uint32_t type, const void *desc, uint32_t size)
{
    uint32_t head[] = {4, size, type};
    uint8_t *p = k->file + k->notes_end;

    memcpy(p, head, sizeof(head));
    memcpy(p + sizeof(head), "Xen", 4);
    memcpy(p + sizeof(head) + 4, desc, size);
    k->notes_end += sizeof(head) + 4 + ((size + 3) & ~3u);
    k->programs[MADE_SEGMENTS].file_size = k->notes_end - MADE_NOTES_AT;
}

static inline void made_number(struct made_kernel *k, uint32_t type, uint64_t value)
{
    made_note(k, type, &value, sizeof(value));
}

/* Segments at paddr (size bytes of data, half as much zero behind) and right behind that, within the same page. */
static inline struct made_kernel make_kernel(uint64_t virt_base, uint64_t paddr, size_t size)
{
    struct made_kernel k = {.size = MADE_DATA_AT + 2 * size, .notes_end = MADE_NOTES_AT};
    uint64_t second = paddr + size + size / 2 + 24;
    const uint64_t phoff = 64;
    const uint16_t phsize = sizeof(struct made_program), phcount = MADE_SEGMENTS + 1, type = 2, machine = 62;

    k.file = calloc(1, k.size);
    memcpy(k.file, "\177ELF\2\1\1", 7);
    memcpy(k.file + 16, &type, 2);
    memcpy(k.file + 18, &machine, 2);
    memcpy(k.file + 32, &phoff, 8);
    memcpy(k.file + 54, &phsize, 2);
    memcpy(k.file + 56, &phcount, 2);
    k.programs = (struct made_program *)(k.file + phoff);
    k.programs[0] = (struct made_program){1, 7, MADE_DATA_AT, 0, paddr, size, size + size / 2, 1};
    k.programs[1] = (struct made_program){1, 7, MADE_DATA_AT + size, 0, second, size, size, 1};
    k.programs[2] = (struct made_program){4, 4, MADE_NOTES_AT, 0, 0, 0, 0, 4};
    for (size_t i = 0; i < 2 * size; i++) /* some pages of zeros within */
        k.file[MADE_DATA_AT + i] = i % 20480 < 8192 ? 0 : (uint8_t)(i * 7 + i / 4096 + 1);
    made_note(&k, XEN_ELFNOTE_XEN_VERSION, "xen-3.0", 8);
    made_number(&k, XEN_ELFNOTE_VIRT_BASE, virt_base);
    made_number(&k, XEN_ELFNOTE_ENTRY, virt_base + paddr + 16);
    return k;
}

static inline void drop_kernel(struct made_kernel *k)
{
    free(k->file);
}
