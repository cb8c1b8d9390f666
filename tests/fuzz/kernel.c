/* SPDX-License-Identifier: MIT */
/*
 * The tools' kernel cache: an input is a kernel's file, which is unpacked into an image; or, with its first bit, an image that
 * somebody has damaged. What comes back holds each segment's bytes at its place, and zeros elsewhere.
 */
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>
#include "fuzz.h"
#include "kernel_maker.h"
#include "lib/build/kernel.h"

static int memory_file(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC);

    MUST(fd >= 0, "no memory file");
    return fd;
}

static void fill(int fd, const void *data, size_t size, off_t at)
{
    MUST(pwrite(fd, data, size, at) == (ssize_t)size, "cannot write");
}

/* The page of the image that lies at `pfn`; NULL: it is zero. */
static const uint8_t *page_of(const struct kernel_image *k, uint64_t pfn)
{
    uint64_t before = 0;

    for (uint64_t i = 0; i < k->head->runs; before += k->runs[i++].count)
        if (pfn >= k->runs[i].pfn && pfn - k->runs[i].pfn < k->runs[i].count)
            return k->pages + (before + pfn - k->runs[i].pfn) * PAGE_SIZE;
    return NULL;
}

static void check_segment(const struct kernel_image *k, const struct elf_segment *s)
{
    for (uint64_t n = 0; n < s->file.size; n++) {
        uint64_t at = s->paddr - k->head->notes.paddr_offset + n;
        const uint8_t *page = page_of(k, at / PAGE_SIZE);

        MUST((page ? page[at % PAGE_SIZE] : 0) == s->file.data[n], "a byte of a segment is another");
    }
}

/* Reads every page that the image says it has. */
static void check_image(const struct kernel_image *k, struct image_span file)
{
    struct image_payload p;
    struct elf_image elf;
    const char *why;
    uint64_t sum = 0;

    for (uint64_t n = 0; n < k->head->pages * PAGE_SIZE; n++)
        sum += k->pages[n];
    MUST(sum || !k->head->pages, "pages of zeros are kept");
    if (!image_unwrap(file, &p, &why) && p.format == IMAGE_ELF && !elf_parse(p.packed, &elf, &why))
        for (unsigned i = 0; i < elf.segments_count; i++)
            check_segment(k, &elf.segments[i]);
}

static int unpack(struct image_span file, int image, struct file_key *key)
{
    struct report r = {0};
    struct input_file f;
    char path[64];
    int fd = memory_file("kernel"), rc;

    fill(fd, file.data, file.size, 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    rc = input_open("kernel", path, MIB, &f, &r);
    if (!rc) {
        *key = f.key;
        rc = kernel_unpack(&f, image, &r);
        input_close(&f);
    }
    MUST(!rc || ((r.kind == REPORT_BAD_IMAGE || r.kind == REPORT_FAILED) && r.text[0]), "no reason");
    close(fd);
    return rc;
}

static void undamaged(struct image_span file)
{
    int image = memory_file("image");
    struct kernel_image k;
    struct file_key key;

    if (!unpack(file, image, &key)) {
        MUST(!kernel_map(image, &key, &k), "an image that was just made is not one");
        check_image(&k, file);
        kernel_unmap(&k);
    }
    close(image);
}

/* What head and runs of an image are made of is told by its checksum: with one byte changed it is refused. */
static void damaged(struct input *in)
{
    struct made_kernel made = make_kernel(0xffffffff80000000UL, 0x100000, 3 * PAGE_SIZE);
    struct image_span file = {made.file, made.size};
    int image = memory_file("image");
    struct kernel_image k;
    struct file_key key;
    uint8_t byte, change = input_u8(in);
    uint64_t at = input_u16(in), pages;

    MUST(!unpack(file, image, &key) && !kernel_map(image, &key, &k), "the made kernel is not one");
    pages = k.head->pages;
    at = at % 2 ? at % sizeof(struct kernel_head)
                : PAGE_SIZE * (1 + pages) + at / 2 % (k.mapped - PAGE_SIZE * (1 + pages));
    byte = ((const uint8_t *)k.head)[at] ^ change;
    kernel_unmap(&k);
    fill(image, &byte, 1, (off_t)at);
    if (input_u8(in) & 1)
        MUST(!ftruncate(image, input_u16(in)), "cannot truncate");
    if (!kernel_map(image, &key, &k)) {
        MUST(!change && k.head->pages == pages, "a damaged image is taken");
        check_image(&k, file);
        kernel_unmap(&k);
    }
    close(image);
    drop_kernel(&made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};

    if (input_u8(&in) & 1)
        damaged(&in);
    else
        undamaged((struct image_span){in.at, input_left(&in)});
    return 0;
}
