/* SPDX-License-Identifier: MIT */
/* Kernel images: bzImage, LZ4 frame, ELF, Xen notes; good ones, and bad ones of each kind. */
#include "host/test.h"
#include "core/image/image.h"
#include <xen/elfnote.h>
#include <xen/features.h>
#include "../../hypervisor/core/image/layout.c"

#define FILE_SIZE 8192
static uint8_t file[FILE_SIZE];
static const char *why;

static void put(size_t at, uint64_t value, unsigned bytes)
{
    memcpy(file + at, &value, bytes);
}

static struct image_span span(uint64_t size)
{
    /* A heap copy of exactly that size, so that reading behind it is seen */
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, file, size);
    return (struct image_span){copy, size};
}
#define WITH_SPAN(s, size, expr)                                                                                       \
    ({                                                                                                                 \
        struct image_span s = span(size);                                                                              \
        int rc_ = (expr);                                                                                              \
        free((void *)(uintptr_t)s.data);                                                                               \
        rc_;                                                                                                           \
    })

/* ---- bzImage ---- */

static void make_bzimage(void)
{
    memset(file, 0, sizeof(file));
    put(0x1f1, 1, 1);
    memcpy(file + 0x202, "HdrS", 4);
    put(0x206, 0x20f, 2);
    put(0x248, 0x10, 4);  /* payload offset, from sector 2 */
    put(0x24c, 0x100, 4); /* and length */
    memcpy(file + 1024 + 0x10,
           "\xfd"
           "7zXZ",
           6);
    put(1024 + 0x10 + 0x100 - 4, 123456, 4);
}

static int unwrap(uint64_t size, struct image_payload *p)
{
    return WITH_SPAN(s, size, image_unwrap(s, p, &why));
}

static void bzimages(void **state)
{
    struct image_payload p;

    (void)state;
    make_bzimage();
    assert_int_equal(unwrap(FILE_SIZE, &p), 0);
    assert_true(p.in_bzimage);
    assert_int_equal(p.format, IMAGE_XZ);
    assert_int_equal(p.packed.size, 0xfc);
    assert_int_equal(p.unpacked_size, 123456);
    assert_int_equal(unwrap(1024 + 0x10 + 0x100, &p), 0);
    assert_int_equal(unwrap(1024 + 0x10 + 0xff, &p), -ENOEXEC); /* truncated */
    assert_int_equal(unwrap(0x24f, &p), -ENOEXEC);
    assert_int_equal(unwrap(0, &p), -ENOEXEC);
    put(0x206, 0x207, 2);
    assert_int_equal(unwrap(FILE_SIZE, &p), -ENOEXEC);
    make_bzimage();
    put(0x248, 0xffffffff, 4);
    put(0x24c, 0xffffffff, 4);
    assert_int_equal(unwrap(FILE_SIZE, &p), -ENOEXEC);
    make_bzimage();
    put(0x24c, 3, 4);
    assert_int_equal(unwrap(FILE_SIZE, &p), -ENOEXEC);
    make_bzimage();
    put(1024 + 0x10 + 0x100 - 4, 0x80000000, 4); /* too large */
    assert_int_equal(unwrap(FILE_SIZE, &p), -ENOEXEC);
    put(1024 + 0x10 + 0x100 - 4, 0, 4);
    assert_int_equal(unwrap(FILE_SIZE, &p), -ENOEXEC);
    make_bzimage();
    put(1024 + 0x10, 0x12345678, 4);
    assert_int_equal(unwrap(FILE_SIZE, &p), -ENOEXEC);
    assert_non_null(strstr(why, "unknown way"));
}

static void modules_that_are_no_bzimage(void **state)
{
    struct image_payload p;

    (void)state;
    memset(file, 0, sizeof(file));
    assert_int_equal(unwrap(FILE_SIZE, &p), -ENOEXEC);
    assert_non_null(strstr(why, "not a kernel"));
    memcpy(file, "\177ELF", 4);
    assert_int_equal(unwrap(FILE_SIZE, &p), 0);
    assert_int_equal(p.format, IMAGE_ELF);
    assert_int_equal(p.unpacked_size, FILE_SIZE);
    memcpy(file, "\x1f\x8b", 2);
    put(996, 5000, 4);
    assert_int_equal(unwrap(1000, &p), 0);
    assert_int_equal(p.format, IMAGE_GZIP);
    assert_int_equal(p.packed.size, 1000); /* the trailer is gzip's own */
    assert_int_equal(p.unpacked_size, 5000);
    assert_int_equal(unwrap(4, &p), -ENOEXEC);
}

/* ---- LZ4 ---- */

static int count_blocks(uint64_t size)
{
    struct lz4_blocks it;
    struct image_span block;
    int n = 0, rc = 0;
    struct image_span s = span(size);

    rc = lz4_blocks_start(s, &it, &why);
    if (!rc)
        while ((rc = lz4_blocks_next(&it, &block, &why)) > 0) {
            assert_true(block.data >= s.data && block.data + block.size <= s.data + s.size);
            n++;
        }
    free((void *)(uintptr_t)s.data);
    return rc ? rc : n;
}

static void lz4_frames(void **state)
{
    (void)state;
    memset(file, 0, sizeof(file));
    put(0, 0x184c2102, 4);
    put(4, 100, 4);
    put(108, 50, 4);
    assert_int_equal(count_blocks(4), 0);
    assert_int_equal(count_blocks(108), 1);
    assert_int_equal(count_blocks(162), 2);
    assert_int_equal(count_blocks(161), -ENOEXEC);
    assert_int_equal(count_blocks(110), -ENOEXEC);
    assert_int_equal(count_blocks(3), -ENOEXEC);
    put(108, 0x184c2102, 4); /* another frame */
    put(112, 8, 4);
    assert_int_equal(count_blocks(124), 2);
    put(112, 0, 4);
    assert_int_equal(count_blocks(124), -ENOEXEC);
    put(0, 0x184d2204, 4);
    assert_int_equal(count_blocks(124), -ENOEXEC);
}

/* ---- ELF and notes ---- */

#define PH(n)     (64 + 56 * (n))
#define NOTES_AT  1024
#define PADDR     0x1000000UL
#define VIRT_BASE 0xffffffff80000000UL
static size_t notes_end;

static void put_program(unsigned n, uint32_t type, uint64_t offset, uint64_t paddr, uint64_t filesz, uint64_t memsz)
{
    put(PH(n), type, 4);
    put(PH(n) + 8, offset, 8);
    put(PH(n) + 16, 0, 8);
    put(PH(n) + 24, paddr, 8);
    put(PH(n) + 32, filesz, 8);
    put(PH(n) + 40, memsz, 8);
}

static void add_note(uint32_t type, const void *desc, uint32_t size)
{
    put(notes_end, 4, 4);
    put(notes_end + 4, size, 4);
    put(notes_end + 8, type, 4);
    memcpy(file + notes_end + 12, "Xen", 4);
    memcpy(file + notes_end + 16, desc, size);
    notes_end += 16 + ROUND_UP(size, 4);
    put_program(2, 4, NOTES_AT, 0, notes_end - NOTES_AT, 0);
}

static void add_number(uint32_t type, uint64_t value)
{
    add_note(type, &value, 8);
}

static void make_elf(void)
{
    memset(file, 0, sizeof(file));
    memcpy(file, "\177ELF\2\1\1", 7);
    put(16, 2, 2);
    put(18, 62, 2);
    put(32, 64, 8);
    put(54, 56, 2);
    put(56, 3, 2);
    put_program(0, 1, 4096, PADDR, 1000, 2000);
    put_program(1, 1, 6000, PADDR + 0x2000, 100, 0x1000);
    notes_end = NOTES_AT;
    add_number(XEN_ELFNOTE_VIRT_BASE, VIRT_BASE);
    add_number(XEN_ELFNOTE_ENTRY, VIRT_BASE + PADDR + 0x10);
    add_note(XEN_ELFNOTE_XEN_VERSION, "xen-3.0", 8);
    add_note(XEN_ELFNOTE_GUEST_OS, "linux", 6);
}

static int parse(uint64_t size, struct elf_image *e, struct xen_notes *n)
{
    return WITH_SPAN(s, size, ({
                         int rc = elf_parse(s, e, &why);
                         rc ? rc : n ? notes_parse(e, n, &why) : 0;
                     }));
}

static void elf_files(void **state)
{
    struct elf_image e;

    (void)state;
    make_elf();
    assert_int_equal(parse(FILE_SIZE, &e, NULL), 0);
    assert_int_equal(e.segments_count, 2);
    assert_int_equal(e.paddr_first, PADDR);
    assert_int_equal(e.paddr_end, PADDR + 0x3000);
    assert_int_equal(e.segments[0].memory_size, 2000);
    for (unsigned size = 0; size < 6100; size += 37)
        assert_int_equal(parse(size, &e, NULL), -ENOEXEC);
    put(18, 3, 2);
    assert_int_equal(parse(FILE_SIZE, &e, NULL), -ENOEXEC);
    make_elf();
    put(56, 0xffff, 2);
    assert_int_equal(parse(FILE_SIZE, &e, NULL), -ENOEXEC);
    make_elf();
    put(32, ~0UL - 8, 8);
    assert_int_equal(parse(FILE_SIZE, &e, NULL), -ENOEXEC);
}

static void elf_segments(void **state)
{
    static const struct {
        uint64_t offset, paddr, filesz, memsz;
    } bad[] = {
        {6000, PADDR + 500, 100, 0x1000},     /* overlaps */
        {6000, PADDR - 0x800, 100, 0x1000},   /* overlaps */
        {6000, PADDR + 0x2000, 200, 100},     /* more file than memory */
        {~0UL, PADDR + 0x2000, 100, 0x1000},  /* outside of the file */
        {6000, PADDR + 0x2000, ~0UL, ~0UL},   /* the same, and wraps */
        {6000, ~0UL - 0x10, 100, 0x1000},     /* wraps */
        {6000, PADDR + 0x2000, 100, 2 * GIB}, /* too large */
        {6000, PADDR + 4 * GIB, 100, 0x1000}, /* too far apart */
    };
    struct elf_image e;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        make_elf();
        put_program(1, 1, bad[i].offset, bad[i].paddr, bad[i].filesz, bad[i].memsz);
        assert_int_equal(parse(FILE_SIZE, &e, NULL), -ENOEXEC);
    }
    make_elf();
    put_program(0, 0, 0, 0, 0, 0);
    put_program(1, 0, 0, 0, 0, 0);
    assert_int_equal(parse(FILE_SIZE, &e, NULL), -ENOEXEC); /* nothing to load */
}

static void notes(void **state)
{
    uint32_t narrow = 1;
    struct elf_image e;
    struct xen_notes n;

    (void)state;
    make_elf();
    add_number(XEN_ELFNOTE_INIT_P2M, 0x8000000000);
    add_note(XEN_ELFNOTE_MOD_START_PFN, &narrow, 4);
    add_note(XEN_ELFNOTE_PAE_MODE, "yes", 4);
    add_note(XEN_ELFNOTE_FEATURES, "!writable_page_tables|pae_pgdir_above_4gb", 42);
    add_number(XEN_ELFNOTE_SUPPORTED_FEATURES, 0x8801);
    add_number(XEN_ELFNOTE_HYPERCALL_PAGE, VIRT_BASE + PADDR + 0x1000);
    assert_int_equal(parse(FILE_SIZE, &e, &n), 0);
    assert_true(n.has_init_p2m && n.mod_start_pfn && n.pae && n.has_hypercall_page);
    assert_int_equal(n.virt_base, VIRT_BASE);
    assert_int_equal(n.entry, VIRT_BASE + PADDR + 0x10);
    assert_string_equal(n.guest_os, "linux");
}

/* One more note makes it bad. */
static void bad_notes(void **state)
{
    static const struct {
        uint32_t type;
        uint64_t value;
    } bad[] = {
        {XEN_ELFNOTE_VIRT_BASE, VIRT_BASE + 1},
        {XEN_ELFNOTE_VIRT_BASE, 0xffff800000000000},
        {XEN_ELFNOTE_VIRT_BASE, 0xfffffffffffff000},
        {XEN_ELFNOTE_VIRT_BASE, 0x7fffff000000},
        {XEN_ELFNOTE_PADDR_OFFSET, PADDR + 1},
        {XEN_ELFNOTE_ENTRY, VIRT_BASE},
        {XEN_ELFNOTE_ENTRY, VIRT_BASE + PADDR + 0x3000},
        {XEN_ELFNOTE_HYPERCALL_PAGE, VIRT_BASE + PADDR + 0x2001},
        {XEN_ELFNOTE_HYPERCALL_PAGE, VIRT_BASE + PADDR + 0x3000},
        {XEN_ELFNOTE_INIT_P2M, 0xffff800000000000},
        {XEN_ELFNOTE_INIT_P2M, 0x123},
    };
    struct elf_image e;
    struct xen_notes n;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        make_elf();
        assert_int_equal(parse(FILE_SIZE, &e, &n), 0);
        add_number(bad[i].type, bad[i].value);
        assert_int_equal(parse(FILE_SIZE, &e, &n), -ENOEXEC);
    }
    make_elf();
    add_note(XEN_ELFNOTE_FEATURES, "a|!auto_translated_physmap", 27);
    assert_int_equal(parse(FILE_SIZE, &e, &n), -ENOEXEC);
    make_elf();
    add_note(XEN_ELFNOTE_FEATURES, "!of_the_future", 14);
    assert_int_equal(parse(FILE_SIZE, &e, &n), -ENOEXEC);
    make_elf();
    add_note(XEN_ELFNOTE_XEN_VERSION, "xen-9.0", 8);
    assert_int_equal(parse(FILE_SIZE, &e, &n), -ENOEXEC);
    make_elf();
    add_note(XEN_ELFNOTE_ENTRY, "abc", 3);
    assert_int_equal(parse(FILE_SIZE, &e, &n), -ENOEXEC);
    make_elf();
    put(NOTES_AT, 0xffffffff, 4); /* name size */
    assert_int_equal(parse(FILE_SIZE, &e, &n), -ENOEXEC);
    make_elf();
    put(NOTES_AT + 4, 0xfffffffd, 4); /* description size: rounding up wraps 32 bits */
    assert_int_equal(parse(FILE_SIZE, &e, &n), -ENOEXEC);
    make_elf();
    put_program(2, 0, 0, 0, 0, 0);
    assert_int_equal(parse(FILE_SIZE, &e, &n), -ENOEXEC); /* none at all */
    assert_non_null(strstr(why, "no Xen ELF notes"));
}

/* A kernel that tells what it supports may be a guest, but not Domain 0, without that feature. */
static void rights_of_notes(void **state)
{
    struct elf_image e;
    struct xen_notes n;

    (void)state;
    make_elf();
    assert_int_equal(parse(FILE_SIZE, &e, &n), 0);
    assert_int_equal(notes_check_dom0(&n, &why), 0);
    add_number(XEN_ELFNOTE_SUPPORTED_FEATURES, 1);
    assert_int_equal(parse(FILE_SIZE, &e, &n), 0);
    assert_int_equal(notes_check_dom0(&n, &why), -ENOEXEC);
    add_number(XEN_ELFNOTE_SUPPORTED_FEATURES, 1UL << XENFEAT_dom0);
    assert_int_equal(parse(FILE_SIZE, &e, &n), 0);
    assert_int_equal(notes_check_dom0(&n, &why), 0);
}

/* Where a domain and its tables lie, as a Linux kernel wants it; and a kernel so near the end that no room is left for them. */
static void layouts(void **state)
{
    struct xen_notes n = {.virt_base = 0xffffffff80000000UL, .mod_start_pfn = true};
    struct pv_plan_input in = {16 * MIB, 48 * MIB, &n, 5 * MIB, 65536, 2, false};
    struct pv_layout l;

    (void)state;
    assert_int_equal(pv_plan(&in, &l, &why), 0);
    assert_int_equal(l.kernel_start, n.virt_base + 16 * MIB);
    assert_true(l.tables >= 1 + tables_below_l4(l.v_start, l.v_end));
    assert_true(l.stack_va + PAGE_SIZE + SPARE_MIN <= l.v_end);
    assert_int_equal(l.special_va, l.start_info_va + PAGE_SIZE);
    assert_int_equal(l.tables_va, l.special_va + 2 * PAGE_SIZE);
    n.virt_base = 0UL - 48 * MIB - 64 * KIB;
    assert_int_equal(pv_plan(&in, &l, &why), -ENOEXEC);
    n.virt_base = 0UL - 48 * MIB - 700 * KIB; /* ends at the very end */
    assert_int_equal(pv_plan(&in, &l, &why), -ENOEXEC);
}

/* Random damage anywhere: only to be survived. */
static void damage(void **state)
{
    struct image_payload p;
    struct elf_image e;
    struct xen_notes n;

    (void)state;
    srand(1);
    for (unsigned round = 0; round < 20000; round++) {
        if (round % 2)
            make_elf();
        else
            make_bzimage();
        for (unsigned i = 0; i < 4; i++)
            file[(unsigned)rand() % 1300] = (uint8_t)rand();
        unwrap(FILE_SIZE, &p);
        parse(FILE_SIZE - (unsigned)rand() % 4200, &e, &n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bzimages),     cmocka_unit_test(modules_that_are_no_bzimage),
        cmocka_unit_test(lz4_frames),   cmocka_unit_test(elf_files),
        cmocka_unit_test(elf_segments), cmocka_unit_test(notes),
        cmocka_unit_test(bad_notes),    cmocka_unit_test(rights_of_notes),
        cmocka_unit_test(layouts),      cmocka_unit_test(damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
