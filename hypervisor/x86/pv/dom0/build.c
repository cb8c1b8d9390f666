/* SPDX-License-Identifier: MIT */
/*
 * Domain 0 from its boot modules: module 0 is the kernel, module 1 (if there is one) its initrd. Steps in order in
 * dom0_build(); every reason why it cannot be ends in one line that names the module and what to do.
 */
#include "core/lib/print.h"
#include "core/lib/string.h"
#include "core/image/decompress.h"
#include "core/mem/alloc.h"
#include "core/mem/reservation.h"
#include "x86/boot/decompress/arena.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/dom0/dom0.h"
#include "x86/pv/pv.h"

#define GRANT_FRAMES    64
#define MAPTRACK_FRAMES 1024

/* The kernel's file, unpacked: in the module itself, or in a buffer of its own */
struct kernel_file {
    struct image_span elf;
    void *buffer; /* NULL: none */
};

static const void *module_data(const struct boot_module *m)
{
    return (const uint8_t *)hw_frame_va(MFN(m->start >> PAGE_SHIFT)) + m->start % PAGE_SIZE;
}

static uint64_t module_pages(const struct boot_module *m)
{
    return DIV_ROUND_UP(m->start % PAGE_SIZE + m->size, PAGE_SIZE);
}

static void __noreturn kernel_unusable(const struct boot_module *m, const char *why)
{
    char name[64];
    size_t n = 0;

    while (n < sizeof(name) - 1 && m->args[n] && m->args[n] != ' ')
        n++;
    memcpy(name, m->args, n);
    name[n] = 0;
    boot_fail("module 0 ('%s', %lu KiB): the kernel module %s. Give a Linux kernel with Xen PV support "
              "(Debian's vmlinuz) as the first module",
              name, m->size / KIB, why);
}

static struct kernel_file unpack_kernel(const struct boot_module *m)
{
    struct kernel_file file = {{NULL, 0}, NULL};
    struct image_payload p;
    const char *why = "";

    if (image_unwrap((struct image_span){module_data(m), m->size}, &p, &why))
        kernel_unusable(m, why);
    if (p.format == IMAGE_ELF) {
        file.elf = p.packed;
        return file;
    }
    file.buffer = boot_alloc(p.unpacked_size);
    if (!file.buffer)
        boot_fail("too little memory to unpack Domain 0's kernel: %lu MiB in one piece are missing",
                  p.unpacked_size / MIB + 1);
    if (decompress(&p, file.buffer, &why))
        kernel_unusable(m, why);
    file.elf = (struct image_span){file.buffer, p.unpacked_size};
    return file;
}

/* ---- Memory ---- */

/* An initrd that starts on a page boundary, in frames that nobody else has anything in, is taken over where it lies. */
static bool can_adopt_initrd(const struct dom0_build *b)
{
    mfn_t first;

    if (!b->initrd || !b->notes.mod_start_pfn || b->initrd->start % PAGE_SIZE)
        return false;
    first = MFN(b->initrd->start >> PAGE_SHIFT);
    for (uint64_t i = 0; i < module_pages(b->initrd); i++) {
        mfn_t m = mfn_add(first, i);
        if (!mfn_valid(m) || frame_of(m)->owner != FRAME_OWNER_HYPERVISOR || frame_of(m)->refs != 1)
            return false;
    }
    return true;
}

static void plan(struct dom0_build *b, const struct kernel_file *file)
{
    uint64_t coming =
        file->buffer ? DIV_ROUND_UP(file->elf.size, PAGE_SIZE) : 0; /* frames free by then, or Domain 0's */
    struct pv_plan_input in = {
        .paddr_first = b->elf.paddr_first,
        .paddr_end = b->elf.paddr_end,
        .notes = &b->notes,
        .initrd_size = b->initrd ? b->initrd->size : 0,
    };
    const char *why = "";
    int rc;

    b->adopt_initrd = can_adopt_initrd(b);
    coming += module_pages(b->kernel) + (b->initrd ? module_pages(b->initrd) : 0);
    in.nr_pages = dom0_choose_pages(coming);
    rc = pv_plan(&in, &b->layout, &why);
    if (rc == -ENOMEM)
        boot_fail(
            "too little memory: Domain 0 would get %lu MiB, its kernel and initrd need %lu MiB to start: %lu MiB are "
            "missing. Give the machine more, or Domain 0 by dom0_mem=",
            in.nr_pages * PAGE_SIZE / MIB, b->layout.rest_pfn * PAGE_SIZE / MIB + 1,
            (b->layout.rest_pfn - in.nr_pages) * PAGE_SIZE / MIB + 1);
    if (rc)
        kernel_unusable(b->kernel, why);
}

static void create(struct dom0_build *b, const struct boot_info *boot)
{
    struct domain_config cfg = {
        .id = 0,
        .max_vcpus = dom0_choose_vcpus(),
        .max_evtchn_port = ~0u,
        .max_grant_frames = GRANT_FRAMES,
        .max_maptrack_frames = MAPTRACK_FRAMES,
        .pages_max = ~0UL, /* for the time of building */
        .privileged = true,
        .hardware = true,
    };
    int rc = domain_create(&cfg, &domain0);

    if (rc)
        boot_fail("Domain 0 with %u virtual CPUs could not be created (%d): is there too little memory?", cfg.max_vcpus,
                  rc);
    b->d = domain0;
    dom0_grant_rights(b->d, boot);
}

/* ---- Contents ---- */

static void load_kernel(const struct dom0_build *b)
{
    const struct pv_layout *l = &b->layout;

    dom0_clear(b, l->v_start, l->kernel_start - l->v_start);
    for (unsigned i = 0; i < b->elf.segments_count; i++) {
        const struct elf_segment *s = &b->elf.segments[i];
        uint64_t va = s->paddr - b->elf.paddr_first + l->kernel_start;

        dom0_copy_in(b, va, s->file.data, s->file.size);
        dom0_clear(b, va + s->file.size, s->memory_size - s->file.size);
        boot_breathe();
    }
    dom0_clear(b, l->kernel_end, l->v_end - l->kernel_end);
}

static void write_hypercall_page(const struct dom0_build *b)
{
    static uint8_t page[PAGE_SIZE];

    if (!b->notes.has_hypercall_page)
        return;
    hw_fill_hypercall_page(page);
    dom0_copy_in(b, b->notes.hypercall_page, page, sizeof(page));
}

static void place_initrd(struct dom0_build *b)
{
    const struct pv_layout *l = &b->layout;
    const uint8_t *data;
    uint64_t run;

    if (!b->initrd)
        return;
    if (l->initrd_va) {
        dom0_copy_in(b, l->initrd_va, module_data(b->initrd), b->initrd->size);
        return;
    }
    if (b->adopt_initrd) {
        dom0_adopt_pfns(b, l->initrd_pfn, MFN(b->initrd->start >> PAGE_SHIFT), l->initrd_pages);
        return;
    }
    dom0_alloc_pfns(b, l->initrd_pfn, l->initrd_pages);
    data = module_data(b->initrd);
    for (uint64_t done = 0; done < b->initrd->size; done += run) {
        void *to = dom0_pfn_va(b, l->initrd_pfn + done / PAGE_SIZE, &run);
        memcpy(to, data + done, MIN(run, b->initrd->size - done));
    }
}

static void start_vcpu(const struct dom0_build *b, mfn_t l4)
{
    struct vcpu_guest_context *c = heap_alloc(sizeof(*c));
    int rc;

    if (!c)
        panic("no memory for Domain 0's first virtual CPU");
    c->flags = VGCF_in_kernel | VGCF_online;
    c->user_regs.rip = b->notes.entry;
    c->user_regs.rsi = b->layout.start_info_va;
    c->user_regs.rsp = b->layout.stack_va + PAGE_SIZE;
    c->user_regs.rflags = RFLAGS_IF;
    c->user_regs.cs = FLAT_CS64;
    c->user_regs.ss = FLAT_DS;
    c->kernel_ss = FLAT_DS;
    c->kernel_sp = c->user_regs.rsp;
    c->ctrlreg[3] = l4.n << PAGE_SHIFT;
    c->debugreg[6] = 0xffff0ff0;
    c->debugreg[7] = 0x400;
    while ((rc = vcpu_initialise(b->d->vcpus[0], c)) == -ERESTART)
        boot_breathe();
    heap_free(c);
    if (rc)
        panic("Domain 0's first virtual CPU was refused (%d)", rc);
}

static void find_modules(const struct boot_info *boot, struct dom0_build *b)
{
    if (!boot->modules_count)
        boot_fail(
            "no Domain 0: the boot loader gave no module. Give Domain 0's kernel as the first and its initrd as the "
            "second one (GRUB: module2; QEMU: -initrd \"vmlinuz args,initrd\")");
    b->kernel = &boot->modules[0];
    if (boot->modules_count > 1 && boot->modules[1].size)
        b->initrd = &boot->modules[1];
}

void dom0_build(const struct boot_info *boot)
{
    static struct dom0_build b;
    uint64_t start = rdtsc(), unpacked;
    struct kernel_file file;
    const char *why = "";

    find_modules(boot, &b);
    file = unpack_kernel(b.kernel);
    unpacked = rdtsc();
    if (elf_parse(file.elf, &b.elf, &why) || notes_parse(&b.elf, &b.notes, &why) || notes_check_dom0(&b.notes, &why))
        kernel_unusable(b.kernel, why);
    create(&b, boot);
    plan(&b, &file);

    dom0_alloc_pfns(&b, 0, b.layout.window_pages);
    load_kernel(&b);
    write_hypercall_page(&b);
    place_initrd(&b);
    boot_free(file.buffer, file.elf.size);
    modules_release(); /* all is taken out of them */
    dom0_alloc_pfns(&b, b.layout.first_p2m_pfn, b.layout.p2m_frames);
    dom0_fill_p2m(&b);
    b.d->pages_max = MAX(dom0_choose_max_pages(), b.d->pages_count);
    dom0_write_start_info(&b, boot);
    start_vcpu(&b, dom0_build_tables(&b));
    log_info("Domain 0: %s %s kernel, %lu KiB, initrd %lu KiB, %lu MiB of memory, %u vCPUs; built in %lu million "
             "cycles, %lu of them unpacking",
             b.notes.guest_os, b.notes.guest_version, (b.layout.kernel_end - b.layout.kernel_start) / KIB,
             b.initrd ? b.initrd->size / KIB : 0, b.layout.nr_pages * PAGE_SIZE / MIB, b.d->max_vcpus,
             (rdtsc() - start) / 1000000, (unpacked - start) / 1000000);
}
