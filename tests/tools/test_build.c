/* SPDX-License-Identifier: MIT */
/*
 * The domain builder against a hypervisor of paper: what it builds is looked at as the guest will see it, by walking its page tables from
 * its first CR3; and bad kernels, bad ramdisks, bad files, too little memory, failures at each step.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/image/decompress.h"
#include "core/mem/pte.h"
#include "build_files.h"
#include "fake_hv.h"
#include "kernel_maker.h"
#include "lib/build/build.h"
#include "lib/fault.h"

#define VIRT_BASE 0xffffffff80000000ul
#define INIT_P2M  0x8000000000ul

static struct kernel_cache *cache;
static struct report report;
static struct build_result result;

/* ---- Building ---- */

static int build(const char *kernel, const char *ramdisk, uint64_t memory_kib)
{
    struct build_request rq = {
        .domid = FAKE_DOMID,
        .kernel = kernel,
        .ramdisk = ramdisk,
        .cmdline = "root=/dev/xvda1 ro",
        .memory_kib = memory_kib,
        .max_memory_kib = memory_kib + 4096,
        .vcpus = 2,
        .store_port = 3,
        .console_port = 4,
    };
    memset(&report, 0, sizeof(report));
    return build_pv(NULL, cache, &rq, &result, &report);
}

static void expect_failure(const char *kernel, const char *ramdisk, uint64_t memory_kib, enum report_kind kind,
                           const char *text)
{
    assert_int_equal(build(kernel, ramdisk, memory_kib), -1);
    if (!strstr(report.text, text) || report.kind != kind)
        fail_msg("'%s' (%s), wanted '%s'", report.text, report_kind_name(report.kind), text);
    assert_int_equal(fake.mapped, 0);
}

/* ---- Looking at what was built ---- */

static uint64_t entry_of(uint64_t va)
{
    uint64_t mfn = fake.context.ctrlreg[3] >> PAGE_SHIFT, e = 0;

    for (unsigned level = 4; level; level--) {
        const uint64_t *table = fake_frame(mfn);

        assert_non_null(table);
        e = table[pt_index(va, level)];
        if (!(e & PTE_P))
            return 0;
        assert_true(level == 1 || ((e & PTE_RW) && (e & PTE_US)));
        mfn = (e & PTE_ADDR) >> PAGE_SHIFT;
    }
    return e;
}

static const uint8_t *at(uint64_t va)
{
    uint64_t e = entry_of(va);
    uint8_t *page;

    assert_true(e & PTE_P);
    page = fake_frame((e & PTE_ADDR) >> PAGE_SHIFT);
    assert_non_null(page);
    return page + va % PAGE_SIZE;
}

static uint64_t pfn_at(uint64_t va)
{
    return fake.m2p[((entry_of(va) & PTE_ADDR) >> PAGE_SHIFT) - FAKE_FIRST];
}

/* Marks all tables below `mfn`; counts leaves. */
static void mark_tables(uint8_t *is_table, uint64_t mfn, unsigned level, uint64_t *leaves)
{
    const uint64_t *table = fake_frame(mfn);

    is_table[mfn - FAKE_FIRST] = 1;
    for (unsigned i = 0; i < 512; i++) {
        if (!(table[i] & PTE_P))
            continue;
        if (level > 1)
            mark_tables(is_table, (table[i] & PTE_ADDR) >> PAGE_SHIFT, level - 1, leaves);
        else
            ++*leaves;
    }
}

static void check_leaves(const uint8_t *is_table, uint64_t mfn, unsigned level)
{
    const uint64_t *table = fake_frame(mfn);

    for (unsigned i = 0; i < 512; i++) {
        uint64_t to = (table[i] & PTE_ADDR) >> PAGE_SHIFT;

        if (!(table[i] & PTE_P))
            continue;
        if (level > 1)
            check_leaves(is_table, to, level - 1);
        else if (is_table[to - FAKE_FIRST])
            assert_false(table[i] & PTE_RW);
        else if (table[i] & ~(PTE_ADDR | PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D))
            fail_msg("entry %lx", table[i]);
    }
}

/* Returns the end of the window. */
static uint64_t check_window(uint64_t virt_base, const struct start_info *si)
{
    uint8_t *is_table = calloc(1, FAKE_FRAMES);
    uint64_t va, leaves = 0, l4 = fake.context.ctrlreg[3] >> PAGE_SHIFT, list = 0;

    mark_tables(is_table, l4, 4, &leaves);
    check_leaves(is_table, l4, 4);
    for (va = virt_base; entry_of(va) & PTE_P; va += PAGE_SIZE) {
        uint64_t mfn = (entry_of(va) & PTE_ADDR) >> PAGE_SHIFT;

        assert_int_equal(pfn_at(va), (va - virt_base) / PAGE_SIZE);
        if (is_table[mfn - FAKE_FIRST])
            assert_true((va >= si->pt_base && va < si->pt_base + si->nr_pt_frames * PAGE_SIZE) ||
                        (pfn_at(va) >= si->first_p2m_pfn && pfn_at(va) < si->first_p2m_pfn + si->nr_p2m_frames));
        else if (va < si->pt_base || va >= si->pt_base + si->nr_pt_frames * PAGE_SIZE)
            assert_true(entry_of(va) & PTE_RW);
        else
            assert_false(entry_of(va) & PTE_RW);
    }
    assert_int_equal((va - virt_base) % (4 * MIB), 0);
    assert_true(fake.context.user_regs.rsp + 512 * KIB <= va);
    assert_int_equal(fake.context.user_regs.rsp, si->pt_base + si->nr_pt_frames * PAGE_SIZE + PAGE_SIZE);
    assert_int_equal((entry_of(si->pt_base) & PTE_ADDR) >> PAGE_SHIFT, l4);
    if (si->mfn_list < virt_base || si->mfn_list >= va)
        list = DIV_ROUND_UP(si->nr_pages * 8, PAGE_SIZE);
    assert_int_equal(leaves, (va - virt_base) / PAGE_SIZE + list);
    for (uint64_t i = 0; i < list; i++)
        assert_int_equal(pfn_at(si->mfn_list + i * PAGE_SIZE), si->first_p2m_pfn + i);
    if (list)
        for (uint64_t i = 0; i < FAKE_FRAMES; i++) { /* the others are the list's, in its range of PFNs */
            if (is_table[i] && fake.m2p[i] >= (va - virt_base) / PAGE_SIZE)
                assert_true(fake.m2p[i] >= si->first_p2m_pfn + list &&
                            fake.m2p[i] < si->first_p2m_pfn + si->nr_p2m_frames);
        }
    free(is_table);
    return va;
}

static void check_list(const struct start_info *si)
{
    for (uint64_t pfn = 0; pfn < si->nr_pages; pfn++) {
        uint64_t mfn;

        memcpy(&mfn, at(si->mfn_list + pfn * 8), 8);
        assert_true(mfn >= FAKE_FIRST && mfn < FAKE_FIRST + FAKE_FRAMES);
        assert_int_equal(fake.m2p[mfn - FAKE_FIRST], pfn);
    }
    for (uint64_t pfn = si->nr_pages; pfn % 512; pfn++)
        assert_int_equal(*(const uint64_t *)at(si->mfn_list + pfn * 8), ~0ul);
}

static void check_start(const struct start_info *si, uint64_t memory_kib, uint64_t entry)
{
    const struct shared_info *shared = fake_frame(FAKE_SHARED);
    const vcpu_guest_context_t *c = &fake.context;

    assert_string_equal(si->magic, "xen-3.0-x86_64");
    assert_string_equal((const char *)si->cmd_line, "root=/dev/xvda1 ro");
    assert_int_equal(si->nr_pages, memory_kib / 4);
    assert_int_equal(si->shared_info, FAKE_SHARED * PAGE_SIZE);
    assert_int_equal(si->store_evtchn, 3);
    assert_int_equal(si->console.domU.evtchn, 4);
    assert_int_equal(si->store_mfn, result.store_mfn);
    assert_int_equal(si->console.domU.mfn, result.console_mfn);
    assert_int_not_equal(result.store_mfn, result.console_mfn);
    assert_int_equal(fake.pinned, c->ctrlreg[3] >> PAGE_SHIFT);
    assert_true(fake.started);
    assert_int_equal(fake.mapped, 0);
    assert_int_equal(fake.claimed, 0);
    assert_int_equal(fake.max_kib, memory_kib + 4096);
    assert_int_equal(fake.map_kib, memory_kib + 4096);
    assert_int_equal(fake.grants_count, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(fake.grants[i].to, 0);
        assert_int_equal(fake.grants[i].mfn, fake.grants[i].ref == 0 ? result.console_mfn : result.store_mfn);
    }
    assert_int_equal(c->user_regs.rip, entry);
    assert_int_equal(result.kernel_entry, entry);
    assert_int_equal(c->user_regs.cs, 0xe033);
    assert_int_equal(c->user_regs.ss, 0xe02b);
    assert_int_equal(c->flags, VGCF_in_kernel | VGCF_online);
    for (unsigned i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
        assert_int_equal(shared->vcpu_info[i].evtchn_upcall_mask, 1);
}

/* The window byte by byte: the kernel's segments, and zeros where nothing is said to be. */
static void check_contents(const uint8_t *elf, uint64_t virt_base, uint64_t end, const struct start_info *si,
                           const uint8_t *ramdisk)
{
    uint8_t *want = calloc(1, end - virt_base);
    uint64_t phoff;
    uint16_t count;

    memcpy(&phoff, elf + 32, 8);
    memcpy(&count, elf + 56, 2);
    for (unsigned i = 0; i < count; i++) {
        struct made_program p;

        memcpy(&p, elf + phoff + i * sizeof(p), sizeof(p));
        if (p.type == 1)
            memcpy(want + p.paddr, elf + p.offset, p.file_size);
    }
    if (ramdisk && !(si->flags & SIF_MOD_START_PFN))
        memcpy(want + (si->mod_start - virt_base), ramdisk, si->mod_len);
    else if (ramdisk && si->mod_start < (end - virt_base) / PAGE_SIZE) /* squeezed */
        memcpy(want + si->mod_start * PAGE_SIZE, ramdisk, si->mod_len);
    for (uint64_t va = virt_base; va < end; va += PAGE_SIZE) {
        if (va == fake.context.user_regs.rsi ||
            (va >= si->pt_base && va < si->pt_base + si->nr_pt_frames * PAGE_SIZE) ||
            (va >= si->mfn_list && va < si->mfn_list + si->nr_pages * 8) ||
            (pfn_at(va) >= si->first_p2m_pfn && pfn_at(va) < si->first_p2m_pfn + si->nr_p2m_frames))
            continue;
        if (memcmp(at(va), want + (va - virt_base), PAGE_SIZE))
            fail_msg("wrong bytes at %lx", va);
    }
    free(want);
    for (uint64_t i = 0; ramdisk && (si->flags & SIF_MOD_START_PFN) && i < si->mod_len; i++) {
        uint64_t mfn;

        memcpy(&mfn, at(si->mfn_list + (si->mod_start + i / PAGE_SIZE) * 8), 8);
        if (((const uint8_t *)fake_frame(mfn))[i % PAGE_SIZE] != ramdisk[i])
            fail_msg("wrong byte %lu of the ramdisk", i);
    }
}

static void check_domain(const uint8_t *elf, uint64_t virt_base, uint64_t entry, uint64_t memory_kib,
                         const uint8_t *ramdisk, uint64_t ramdisk_size)
{
    const struct start_info *si = (const void *)at(fake.context.user_regs.rsi);
    uint64_t end;

    check_start(si, memory_kib, entry);
    end = check_window(virt_base, si);
    check_list(si);
    assert_int_equal(si->mod_len, ramdisk ? ramdisk_size : 0);
    check_contents(elf, virt_base, end, si, ramdisk);
}

/* ---- Kernels made to measure ---- */

static uint8_t *make_ramdisk(size_t size)
{
    uint8_t *p = malloc(size);

    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)(i * 13 + i / 4096);
    memcpy(p, "070701", 6);
    return p;
}

static void build_made(uint64_t virt_base, uint64_t paddr, bool linux_like, uint64_t memory_kib, uint64_t pages_extra)
{
    struct made_kernel k = make_kernel(virt_base, paddr, 100000);
    size_t size = 1234567;
    uint8_t *ramdisk = make_ramdisk(size);

    if (linux_like) {
        made_number(&k, XEN_ELFNOTE_INIT_P2M, INIT_P2M + 5 * PAGE_SIZE);
        made_number(&k, XEN_ELFNOTE_MOD_START_PFN, 1);
    }
    fake_start();
    fake.large_left -= pages_extra;
    assert_int_equal(build(put_file("made", k.file, k.size), put_file("ramdisk", ramdisk, size), memory_kib), 0);
    check_domain(k.file, virt_base, virt_base + paddr + 16, memory_kib, ramdisk, size);
    fake_end();
    free(ramdisk);
    drop_kernel(&k);
}

static void made_kernels(void **state)
{
    build_made(VIRT_BASE, 16 * MIB, true, 64 * KIB, 0);
    build_made(VIRT_BASE, 16 * MIB, true, 64 * KIB + 44, 0);                     /* not whole large extents */
    build_made(VIRT_BASE, 16 * MIB, true, 128 * KIB + 4, FAKE_FRAMES / 512 - 5); /* few large extents */
    build_made(VIRT_BASE, 2 * MIB, false, 32 * KIB, 0);                          /* list and ramdisk in the window */
    build_made(0, 0, false, 16 * KIB, FAKE_FRAMES / 512);                        /* at address 0; only single frames */
    build_made(0x7fffc00000, 1 * MIB + 64, true, 64 * KIB, 0);                   /* across tables of all levels */
    build_made(0x7fffc00000, 1 * MIB + 64, false, 300 * KIB, 0);
    build_made(VIRT_BASE, 16 * MIB, true, 21 * KIB, 0); /* ramdisk below the kernel */
    build_made(VIRT_BASE, 16 * MIB, true, 20 * KIB, 0); /* list at the window's end as well */
}

static void hypercall_page(void **state)
{
    struct made_kernel k = make_kernel(VIRT_BASE, 2 * MIB, 100000);

    made_number(&k, XEN_ELFNOTE_HYPERCALL_PAGE, VIRT_BASE + 2 * MIB + 4096);
    fake_start();
    fake.no_claims = true;
    assert_int_equal(build(put_file("made", k.file, k.size), NULL, 32 * KIB), 0);
    assert_int_equal(*at(VIRT_BASE + 2 * MIB + 4096), 0xcc);
    assert_int_equal(*at(VIRT_BASE + 2 * MIB + 8191), 0xcc);
    fake_end();
    drop_kernel(&k);
}

/* ---- Debian's kernels ---- */

static void *get_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "r");
    void *data;

    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    data = malloc(*size);
    assert_int_equal(fread(data, 1, *size, f), *size);
    fclose(f);
    return data;
}

static void build_debian(const char *name, uint64_t memory_kib)
{
    char path[512];
    struct image_payload p;
    size_t size, ramdisk_size = 9 * MIB + 5;
    uint8_t *file, *elf, *ramdisk;
    const char *why;

    snprintf(path, sizeof(path), TEST_KERNELS "/%s/vmlinuz", name);
    file = get_file(path, &size);
    if (!file)
        return; /* the kernels are made by `make kernels`; the system tests insist on them */
    ramdisk = make_ramdisk(ramdisk_size);
    assert_int_equal(image_unwrap((struct image_span){file, size}, &p, &why), 0);
    elf = malloc(p.unpacked_size);
    assert_int_equal(decompress(&p, elf, &why), 0);
    for (int again = 0; again < 2; again++) {
        fake_start();
        assert_int_equal(build(path, put_file("ramdisk", ramdisk, ramdisk_size), memory_kib), 0);
        assert_int_equal(result.from_cache, again);
        check_domain(elf, VIRT_BASE, result.kernel_entry, memory_kib, ramdisk, ramdisk_size);
        print_message("%s: %lu pages mapped\n", name, fake.pages_mapped);
        fake_end();
    }
    free(ramdisk);
    free(elf);
    free(file);
}

static void debian_kernels(void **state)
{
    build_debian("newest", 192 * KIB);
    build_debian("rt", 300 * KIB + 12);
}

/* ---- Bad kernels ---- */

typedef void spoil_fn(struct made_kernel *k);

static void spoil_magic(struct made_kernel *k)
{
    k->file[0] = 'x';
}
static void spoil_class(struct made_kernel *k)
{
    k->file[4] = 1;
}
static void spoil_offset(struct made_kernel *k)
{
    k->programs[0].offset = ~0ul - 100;
}
static void spoil_size(struct made_kernel *k)
{
    k->programs[1].file_size = k->programs[1].memory_size = ~0ul - 100;
}
static void spoil_memory_size(struct made_kernel *k)
{
    k->programs[1].memory_size = 1;
}
static void spoil_paddr(struct made_kernel *k)
{
    k->programs[1].paddr = ~0ul - 10;
}
static void spoil_overlap(struct made_kernel *k)
{
    k->programs[1].paddr = k->programs[0].paddr + 5000;
}
static void spoil_count(struct made_kernel *k)
{
    k->file[56] = 255;
}
static void spoil_notes(struct made_kernel *k)
{
    k->programs[2].file_size = 0;
}
static void spoil_entry(struct made_kernel *k)
{
    made_number(k, XEN_ELFNOTE_ENTRY, VIRT_BASE);
}
static void spoil_version(struct made_kernel *k)
{
    made_note(k, XEN_ELFNOTE_XEN_VERSION, "xen-9.9", 8);
}
static void spoil_base(struct made_kernel *k)
{
    made_number(k, XEN_ELFNOTE_VIRT_BASE, 0xffff800000000000ul);
}
static void spoil_p2m(struct made_kernel *k)
{
    made_number(k, XEN_ELFNOTE_INIT_P2M, VIRT_BASE + 4096);
}
static void spoil_offset_note(struct made_kernel *k)
{
    made_number(k, XEN_ELFNOTE_PADDR_OFFSET, 12);
}
static void spoil_features(struct made_kernel *k)
{
    made_note(k, XEN_ELFNOTE_FEATURES, "!wings", 7);
}
static void spoil_hypercall_page(struct made_kernel *k)
{
    made_number(k, XEN_ELFNOTE_HYPERCALL_PAGE, VIRT_BASE + 64 * MIB);
}

static void bad_kernels(void **state)
{
    static const struct {
        spoil_fn *spoil;
        const char *text;
    } cases[] = {
        {spoil_magic, "made' is not a kernel (neither bzImage nor ELF)"},
        {spoil_class, "made' is not a 64-bit x86 kernel"},
        {spoil_offset, "truncated ELF"},
        {spoil_size, "truncated ELF"},
        {spoil_memory_size, "impossible size"},
        {spoil_paddr, "impossible size"},
        {spoil_overlap, "segments overlap"},
        {spoil_count, "program header"},
        {spoil_notes, "without PV support"},
        {spoil_entry, "entry point outside"},
        {spoil_version, "another version"},
        {spoil_base, "addresses that it cannot have"},
        {spoil_p2m, "frame list at an address"},
        {spoil_offset_note, "addresses that it cannot have"},
        {spoil_features, "requires a feature"},
        {spoil_hypercall_page, "hypercall page outside"},
    };
    fake_start();
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct made_kernel k = make_kernel(VIRT_BASE, 16 * MIB, 20000);

        cases[i].spoil(&k);
        expect_failure(put_file("made", k.file, k.size), NULL, 64 * KIB, REPORT_BAD_IMAGE, cases[i].text);
        drop_kernel(&k);
    }
    assert_int_equal(fake.free_frames, FAKE_FRAMES); /* all was seen before the domain got any memory */
    fake_end();
}

/* Random damage: only to be survived, with nothing left mapped. */
static void damaged_kernels(void **state)
{
    srand(3);
    for (unsigned round = 0; round < 300; round++) {
        struct made_kernel k = make_kernel(VIRT_BASE, 2 * MIB, 20000);

        for (unsigned i = 0; i < 3; i++)
            k.file[(unsigned)rand() % 0x500] = (uint8_t)rand();
        fake_start();
        build(put_file("made", k.file, k.size - (size_t)rand() % 3000), NULL, 64 * KIB);
        assert_int_equal(fake.mapped, 0);
        fake_end();
        drop_kernel(&k);
    }
}

/* ---- Bad files ---- */

static void bad_files(void **state)
{
    struct made_kernel k = make_kernel(VIRT_BASE, 16 * MIB, 20000);
    const char *kernel;

    made_note(&k, XEN_ELFNOTE_GUEST_OS, "linux", 6);
    kernel = put_file("kernel", k.file, k.size);
    fake_start();
    mkfifo(path_of("fifo"), 0600);
    expect_failure(path_of("nothing"), NULL, 65536, REPORT_NOT_FOUND, "/nothing' does not exist");
    expect_failure(path_of("fifo"), NULL, 65536, REPORT_BAD_IMAGE, "is a FIFO, not a file");
    expect_failure(root, NULL, 65536, REPORT_BAD_IMAGE, "is a directory, not a file");
    expect_failure("/dev/zero", NULL, 65536, REPORT_BAD_IMAGE, "kernel '/dev/zero' is a device");
    expect_failure(put_file("empty", "", 0), NULL, 65536, REPORT_BAD_IMAGE, "is empty");
    expect_failure(kernel, path_of("nothing"), 65536, REPORT_NOT_FOUND, "ramdisk '");
    expect_failure(kernel, path_of("fifo"), 65536, REPORT_BAD_IMAGE, "is a FIFO");
    expect_failure(kernel, put_file("junk", "junk", 4), 65536, REPORT_BAD_IMAGE, "no ramdisk that Linux knows");
    assert_int_equal(truncate(path_of("junk"), 600l << 20), 0);
    expect_failure(path_of("junk"), NULL, 65536, REPORT_BAD_IMAGE, "more than 512 MiB is no kernel");
    assert_int_equal(fake.free_frames, FAKE_FRAMES);
    fake_end();
    drop_kernel(&k);
}

/* ---- Memory ---- */

static void too_little_memory(void **state)
{
    struct made_kernel k = make_kernel(VIRT_BASE, 16 * MIB, 20000);
    const char *kernel = put_file("kernel", k.file, k.size);
    uint8_t *ramdisk = make_ramdisk(20 * MIB);
    const char *initrd = put_file("ramdisk", ramdisk, 20 * MIB);

    fake_start();
    expect_failure(kernel, NULL, 16 * KIB, REPORT_NO_MEMORY, "need 21 MiB to start, it has 16 MiB");
    expect_failure(kernel, initrd, 32 * KIB, REPORT_NO_MEMORY, "and its ramdisk need");
    expect_failure(kernel, NULL, 0, REPORT_CONFIG, "cannot have 0 MiB");
    expect_failure(kernel, NULL, ~0ul, REPORT_CONFIG, "cannot have");
    assert_int_equal(build_check(cache, kernel, initrd, 32 * KIB, &report), -1);
    assert_int_equal(build_check(cache, kernel, initrd, 64 * KIB, &report), 0);
    assert_int_equal(fake.free_frames, FAKE_FRAMES);
    expect_failure(kernel, NULL, 400 * KIB, REPORT_NO_MEMORY, "needs 400 MiB, the machine has 384 MiB free");
    fake.no_claims = true;
    expect_failure(kernel, NULL, 400 * KIB, REPORT_NO_MEMORY, "not enough memory");
    fake_end();
    free(ramdisk);
    drop_kernel(&k);
}

static void long_command_line(void **state)
{
    char text[1100];
    struct build_request rq = {.kernel = "x", .cmdline = text, .memory_kib = 65536};

    memset(text, 'a', sizeof(text));
    text[1024] = 0;
    assert_int_equal(build_pv(NULL, cache, &rq, &result, &report), -1);
    assert_int_equal(report.kind, REPORT_CONFIG);
    assert_non_null(strstr(report.text, "1024 letters, there is room for 1023"));
}

/* ---- Faults on purpose ---- */

static void faults(void **state)
{
    static const char *const steps[] = {"max_memory",  "claim",      "populate", "kernel", "ramdisk",
                                        "page_tables", "start_info", "grants",   "pin",    "context"};
    struct made_kernel k = make_kernel(VIRT_BASE, 16 * MIB, 20000);
    const char *kernel = put_file("kernel", k.file, k.size);

    for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
        char text[64];

        fake_start();
        snprintf(text, sizeof(text), "step '%s' was made to fail", steps[i]);
        assert_int_equal(fault_arm(steps[i]), 0);
        expect_failure(kernel, NULL, 64 * KIB, REPORT_FAILED, text);
        assert_false(fake.started);
        fake_end();
    }
    drop_kernel(&k);
}

/* ---- */

static int start(void **state)
{
    if (!mkdtemp(root))
        return -1;
    cache = open_cache("kernels");
    return cache ? 0 : -1;
}

static int end(void **state)
{
    kernel_cache_close(cache);
    return remove_files();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_kernels),      cmocka_unit_test(hypercall_page),    cmocka_unit_test(debian_kernels),
        cmocka_unit_test(bad_kernels),       cmocka_unit_test(damaged_kernels),   cmocka_unit_test(bad_files),
        cmocka_unit_test(too_little_memory), cmocka_unit_test(long_command_line), cmocka_unit_test(faults),
    };
    return cmocka_run_group_tests(tests, start, end);
}
