/* SPDX-License-Identifier: MIT */
/*
 * A kernel ready to be loaded: what its file is unpacked to, once, and then kept.
 *
 *   kernel's file --kernel_unpack--> image file: head | the pages of its segments that are not zero | runs: where they go
 *   image file --kernel_map--> struct kernel_image, read-only
 *
 * Memory of a new domain is zero: pages of zeros are not kept, and never cost anything again. An image file is trusted only as far as it
 * was written whole by this program: head and runs carry a checksum, the sizes must agree with the file's.
 */
#pragma once
#include "core/image/image.h"
#include "lib/build/file.h"

struct kernel_run { /* pages that follow one another in the domain, and in the image */
    uint64_t pfn, count;
};
struct kernel_head {
    char magic[8];
    uint32_t head_size; /* another build's head may differ */
    uint32_t unused;
    uint64_t checksum; /* of head and runs, with this field zero */
    struct file_key key;
    uint64_t pages, runs;
    uint64_t paddr_first, paddr_end;
    struct xen_notes notes;
};
struct kernel_image {
    const struct kernel_head *head;
    const struct kernel_run *runs; /* ascending, not touching */
    const uint8_t *pages;
    size_t mapped; /* bytes from head on */
};

/* Unpacks `f` into `fd`, an empty file. 0; -1: it is no kernel that can be started, or there is no room. */
int kernel_unpack(const struct input_file *f, int fd, struct report *r);
/* 0; -1: not an image of the file with this key (a damaged or foreign one): no report, it is made again. */
int kernel_map(int fd, const struct file_key *key, struct kernel_image *out);
void kernel_unmap(struct kernel_image *k);
