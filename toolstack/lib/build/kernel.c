/* SPDX-License-Identifier: MIT */
/* Kernels unpacked into image files, and mapped from them: see kernel.h. */
#include "lib/build/kernel.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/image/decompress.h"

#define MAGIC      "HOSPKRN"
#define HEAD_ROOM  PAGE_SIZE
#define BATCH      256 /* pages written at once */
#define FNV_OFFSET 0xcbf29ce484222325ull
#define FNV_PRIME  0x100000001b3ull
_Static_assert(sizeof(struct kernel_head) <= HEAD_ROOM, "the head has one page");
_Static_assert(sizeof(struct kernel_head) % 8 == 0 && sizeof(struct kernel_run) % 8 == 0, "the checksum goes by words");

static uint64_t checksum(uint64_t sum, const void *data, size_t size)
{
    const uint8_t *p = data;
    uint64_t word;

    for (size_t i = 0; i < size; i += sizeof(word)) {
        memcpy(&word, p + i, sizeof(word));
        sum = (sum ^ word) * FNV_PRIME;
    }
    return sum;
}

static uint64_t image_checksum(const struct kernel_head *head, const struct kernel_run *runs)
{
    struct kernel_head h;

    memcpy(&h, head, sizeof(h)); /* with its padding */
    h.checksum = 0;
    return checksum(checksum(FNV_OFFSET, &h, sizeof(h)), runs, head->runs * sizeof(*runs));
}

/* ---- Writing ---- */

struct image_writer {
    int fd;
    bool failed; /* errno says why */
    uint64_t offset;
    uint8_t *batch;
    unsigned batched;
    struct kernel_run *runs;
    size_t runs_room;
    struct kernel_head *head;
};

static void write_all(struct image_writer *w, const void *data, size_t size)
{
    const uint8_t *p = data;

    while (size && !w->failed) {
        ssize_t n = pwrite(w->fd, p, size, (off_t)w->offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            w->failed = true;
            return;
        }
        p += n;
        size -= (size_t)n;
        w->offset += (uint64_t)n;
    }
}

static void flush(struct image_writer *w)
{
    write_all(w, w->batch, w->batched * PAGE_SIZE);
    w->batched = 0;
}

/* One more page in the last run, or in a new one */
static void note_run(struct image_writer *w, uint64_t pfn)
{
    uint64_t n = w->head->runs;

    if (n && w->runs[n - 1].pfn + w->runs[n - 1].count == pfn) {
        w->runs[n - 1].count++;
        return;
    }
    if (n == w->runs_room) {
        size_t room = w->runs_room ? w->runs_room * 2 : 256;
        struct kernel_run *more = realloc(w->runs, room * sizeof(*more));

        if (!more) {
            w->failed = true;
            return;
        }
        w->runs = more;
        w->runs_room = room;
    }
    w->runs[n] = (struct kernel_run){pfn, 1};
    w->head->runs++;
}

static bool is_zero(const uint8_t *page)
{
    return !page[0] && !memcmp(page, page + 1, PAGE_SIZE - 1);
}

/* Physical page `page` as the segments make it; kept when it is not zero. */
static void take_page(struct image_writer *w, const struct elf_image *elf, uint64_t page)
{
    uint8_t *to = w->batch + w->batched * PAGE_SIZE;
    uint64_t start = page * PAGE_SIZE, offset = w->head->notes.paddr_offset;

    memset(to, 0, PAGE_SIZE);
    for (unsigned i = 0; i < elf->segments_count; i++) {
        const struct elf_segment *s = &elf->segments[i];
        uint64_t at = s->paddr - offset;
        uint64_t from = MAX(at, start), end = MIN(at + s->file.size, start + PAGE_SIZE);

        if (from < end)
            memcpy(to + (from - start), s->file.data + (from - at), end - from);
    }
    if (is_zero(to))
        return;
    note_run(w, page);
    w->head->pages++;
    if (++w->batched == BATCH)
        flush(w);
}

static int by_address(const void *a, const void *b)
{
    const struct elf_segment *x = a, *y = b;
    return x->paddr < y->paddr ? -1 : x->paddr > y->paddr;
}

/* All pages that the file has something for, ascending; two segments may share one. */
static void take_pages(struct image_writer *w, struct elf_image *elf)
{
    uint64_t next = 0, offset = w->head->notes.paddr_offset;

    qsort(elf->segments, elf->segments_count, sizeof(elf->segments[0]), by_address);
    for (unsigned i = 0; i < elf->segments_count && !w->failed; i++) {
        const struct elf_segment *s = &elf->segments[i];
        uint64_t first = (s->paddr - offset) / PAGE_SIZE,
                 end = DIV_ROUND_UP(s->paddr - offset + s->file.size, PAGE_SIZE);

        if (!s->file.size)
            continue;
        for (uint64_t page = MAX(first, next); page < end && !w->failed; page++)
            take_page(w, elf, page);
        next = MAX(next, end);
    }
    flush(w);
}

static int unusable(const struct input_file *f, const char *why, struct report *r)
{
    return report_set(r, REPORT_BAD_IMAGE, "kernel '%s' %s", f->path, why);
}

static int write_image(const struct input_file *f, struct elf_image *elf, const struct xen_notes *notes, int fd,
                       struct report *r)
{
    struct kernel_head head;
    struct image_writer w = {.fd = fd, .offset = HEAD_ROOM, .head = &head};
    bool failed;

    memset(&head, 0, sizeof(head));
    memcpy(head.magic, MAGIC, sizeof(MAGIC));
    head.head_size = sizeof(head);
    head.key = f->key;
    head.paddr_first = elf->paddr_first;
    head.paddr_end = elf->paddr_end;
    memcpy(&head.notes, notes, sizeof(*notes));
    w.batch = malloc(BATCH * PAGE_SIZE);
    if (w.batch)
        take_pages(&w, elf);
    failed = !w.batch || w.failed;
    if (!failed) {
        head.checksum = image_checksum(&head, w.runs);
        write_all(&w, w.runs, head.runs * sizeof(*w.runs));
        w.offset = 0;
        write_all(&w, &head, sizeof(head));
        failed = w.failed;
    }
    if (failed)
        report_set(r, REPORT_FAILED, "kernel '%s' cannot be unpacked: no room for its %lu MiB (%s)", f->path,
                   (elf->paddr_end - elf->paddr_first) / MIB + 1, strerror(errno));
    else if (!head.pages)
        failed = unusable(f, "has nothing in it: all that it would load is zero", r);
    free(w.batch);
    free(w.runs);
    return failed ? -1 : 0;
}

/* ---- Unpacking ---- */

static int take_elf(const struct input_file *f, struct image_span file, int fd, struct report *r)
{
    struct elf_image elf;
    struct xen_notes notes;
    const char *why = "";

    if (elf_parse(file, &elf, &why) || notes_parse(&elf, &notes, &why))
        return unusable(f, why, r);
    if (notes.paddr_offset % PAGE_SIZE)
        return unusable(f, "wants to be at addresses that it cannot have", r);
    return write_image(f, &elf, &notes, fd, r);
}

/* Large memory that costs nothing until it is touched: what a damaged file claims as its size may be anything. */
static void *memory_for(uint64_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static int take_file(const struct input_file *f, struct image_span file, int fd, struct report *r)
{
    struct image_payload p;
    const char *why = "";
    uint8_t *unpacked;
    int rc;

    if (image_unwrap(file, &p, &why))
        return unusable(f, why, r);
    if (p.format == IMAGE_ELF)
        return take_elf(f, p.packed, fd, r);
    unpacked = memory_for(p.unpacked_size);
    if (!unpacked)
        return report_set(r, REPORT_FAILED, "no memory to unpack kernel '%s' (%lu MiB)", f->path,
                          p.unpacked_size / MIB + 1);
    rc = decompress(&p, unpacked, &why);
    rc = rc ? unusable(f, why, r) : take_elf(f, (struct image_span){unpacked, p.unpacked_size}, fd, r);
    munmap(unpacked, p.unpacked_size);
    return rc;
}

int kernel_unpack(const struct input_file *f, int fd, struct report *r)
{
    uint8_t *data = memory_for(f->key.size);
    int rc;

    if (!data)
        return report_set(r, REPORT_FAILED, "no memory to read kernel '%s' (%lu MiB)", f->path, f->key.size / MIB + 1);
    rc = input_read(f, data, r);
    if (!rc)
        rc = take_file(f, (struct image_span){data, f->key.size}, fd, r);
    munmap(data, f->key.size);
    return rc;
}

/* ---- Mapping ---- */

static bool sizes_agree(const struct kernel_head *h, uint64_t size)
{
    uint64_t room = size - HEAD_ROOM;

    return h->pages <= room / PAGE_SIZE && h->runs <= h->pages &&
           h->runs * sizeof(struct kernel_run) == room - h->pages * PAGE_SIZE;
}

static bool runs_agree(const struct kernel_image *k)
{
    const struct kernel_head *h = k->head;
    uint64_t end = DIV_ROUND_UP(h->paddr_end - h->notes.paddr_offset, PAGE_SIZE), next = 0, pages = 0;

    for (uint64_t i = 0; i < h->runs; i++) {
        const struct kernel_run *run = &k->runs[i];

        if (run->pfn < next || !run->count || run->count > h->pages - pages || run->pfn > end ||
            run->count > end - run->pfn)
            return false;
        next = run->pfn + run->count;
        pages += run->count;
    }
    return pages == h->pages;
}

static bool is_image(const struct kernel_image *k, const struct file_key *key)
{
    const struct kernel_head *h = k->head;

    return !memcmp(h->magic, MAGIC, sizeof(MAGIC)) && h->head_size == sizeof(*h) &&
           !memcmp(&h->key, key, sizeof(*key)) && sizes_agree(h, k->mapped);
}

int kernel_map(int fd, const struct file_key *key, struct kernel_image *out)
{
    struct kernel_image k = {0};
    struct stat st;
    void *p;

    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size < (off_t)HEAD_ROOM)
        return -1;
    k.mapped = (size_t)st.st_size;
    p = mmap(NULL, k.mapped, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return -1;
    k.head = p;
    k.pages = (uint8_t *)p + HEAD_ROOM;
    if (is_image(&k, key)) {
        k.runs = (const struct kernel_run *)(k.pages + k.head->pages * PAGE_SIZE);
        if (image_checksum(k.head, k.runs) == k.head->checksum && runs_agree(&k)) {
            *out = k;
            return 0;
        }
    }
    munmap(p, k.mapped);
    return -1;
}

void kernel_unmap(struct kernel_image *k)
{
    munmap((void *)(uintptr_t)k->head, k->mapped);
}
