/* SPDX-License-Identifier: MIT */
/*
 * Kernel images: what is in a boot module, and what a kernel says about itself. Parsing only: nothing is allocated, loaded
 * or trusted here. Every byte comes from outside: all sizes and offsets are checked before use, all loops bounded.
 *
 *   module --image_unwrap--> payload, format --decompress()--> ELF --elf_parse--> segments --notes_parse--> struct xen_notes
 *
 * Functions return 0 or -ENOEXEC and set *why to a phrase that completes "the kernel module ..." for people to read.
 */
#pragma once
#include "core/lib/types.h"

#define IMAGE_UNPACKED_MAX (1UL * GIB)

struct image_span {
    const uint8_t *data;
    uint64_t size;
};

enum image_format { /* of a payload */
                    IMAGE_UNKNOWN,
                    IMAGE_ELF,
                    IMAGE_GZIP,
                    IMAGE_XZ,
                    IMAGE_ZSTD,
                    IMAGE_LZ4, /* the legacy frame that Linux uses */
                    IMAGE_BZIP2,
                    IMAGE_LZMA,
                    IMAGE_LZO,
};

struct image_payload {
    enum image_format format;
    bool in_bzimage;
    struct image_span packed; /* without the trailing size; for IMAGE_ELF the file itself */
    uint64_t unpacked_size;   /* 1..IMAGE_UNPACKED_MAX */
};
/* bzimage.c: the payload of a bzImage, or the module itself when it is an ELF file or packed with a known packer. Packed ones
 * end in four bytes that hold the unpacked size, as Linux's build makes them. */
int image_unwrap(struct image_span module, struct image_payload *out, const char **why);

/* lz4frame.c: the legacy LZ4 frame: magic, then blocks, each with its packed size. */
#define LZ4_BLOCK_UNPACKED (8UL * MIB)
struct lz4_blocks {
    struct image_span rest;
};
int lz4_blocks_start(struct image_span packed, struct lz4_blocks *it, const char **why);
/* 1: *block is the next one; 0: that was all; -ENOEXEC */
int lz4_blocks_next(struct lz4_blocks *it, struct image_span *block, const char **why);

/* elf.c */
#define ELF_SEGMENTS_MAX 16
#define ELF_NOTES_MAX    8
struct elf_segment { /* a PT_LOAD */
    uint64_t paddr;
    struct image_span file;
    uint64_t memory_size; /* >= file.size; the rest is zero */
};
struct elf_image {
    struct elf_segment segments[ELF_SEGMENTS_MAX]; /* in file order, not overlapping */
    unsigned segments_count;
    struct image_span notes[ELF_NOTES_MAX]; /* PT_NOTEs */
    unsigned notes_count;
    uint64_t paddr_first, paddr_end; /* of all segments */
};
int elf_parse(struct image_span file, struct elf_image *out, const char **why);

/* notes.c: what a Xen kernel says about itself */
struct xen_notes {
    bool has_entry, has_virt_base, has_hypercall_page, has_init_p2m, has_supported_features;
    uint64_t entry, virt_base, hypercall_page, init_p2m;
    uint64_t paddr_offset;
    uint64_t supported_features;
    bool mod_start_pfn; /* takes the initrd as a PFN range, not mapped */
    bool pae;
    char guest_os[32], guest_version[32], xen_version[32];
};
int notes_parse(const struct elf_image *elf, struct xen_notes *out, const char **why);
/* A kernel that tells what it supports must support being Domain 0, to become it. */
int notes_check_dom0(const struct xen_notes *x, const char **why);
