/* SPDX-License-Identifier: MIT */
/*
 * What the boot loader says, taken from Multiboot 1 or 2 into boot_info. Runs first of all, on the boot page tables, whose
 * direct map covers the low 4 GiB: the loader's data may lie anywhere there, and all that is needed of it is copied.
 * Nothing can be printed yet. No locks.
 */
#include "core/lib/fail.h"
#include "core/lib/string.h"
#include "hw/hw.h"
#include "x86/boot/boot.h"
#include "x86/boot/e820.h"

struct boot_info boot_info;

#define MB1_BOOT_MAGIC   0x2badb002
#define MB1_FLAG_MEMORY  (1u << 0)
#define MB1_FLAG_CMDLINE (1u << 2)
#define MB1_FLAG_MODULES (1u << 3)
#define MB1_FLAG_MMAP    (1u << 6)
#define MB1_FLAG_LOADER  (1u << 9)
#define MB1_FLAG_FB      (1u << 12)
struct mb1_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
    uint32_t mmap_length, mmap_addr, drives_length, drives_addr, config_table, loader, apm_table;
    uint32_t vbe_control, vbe_mode_info;
    uint16_t vbe_mode, vbe_segment, vbe_offset, vbe_length;
    uint64_t fb_addr;
    uint32_t fb_pitch, fb_width, fb_height;
    uint8_t fb_bpp, fb_type, fb_colours[6];
} __packed;
struct mb1_module {
    uint32_t start, end, string, reserved;
};
struct mb1_mmap {
    uint32_t size; /* of what follows */
    uint64_t addr, length;
    uint32_t type;
} __packed;

#define MB2_BOOT_MAGIC 0x36d76289
enum mb2_tag_type {
    MB2_END = 0,
    MB2_CMDLINE = 1,
    MB2_LOADER = 2,
    MB2_MODULE = 3,
    MB2_BASIC_MEMORY = 4,
    MB2_MMAP = 6,
    MB2_FRAMEBUFFER = 8,
    MB2_EFI32 = 11,
    MB2_EFI64 = 12,
    MB2_ACPI_OLD = 14,
    MB2_ACPI_NEW = 15,
    MB2_EFI_MMAP = 17,
};
struct mb2_tag {
    uint32_t type, size;
};
struct mb2_module {
    struct mb2_tag tag;
    uint32_t start, end;
    char string[];
};
struct mb2_mmap {
    struct mb2_tag tag;
    uint32_t entry_size, entry_version;
};
struct mb2_mmap_entry {
    uint64_t addr, length;
    uint32_t type, reserved;
};
struct mb2_framebuffer {
    struct mb2_tag tag;
    uint64_t addr;
    uint32_t pitch, width, height;
    uint8_t bpp, type;
    uint16_t reserved;
    uint8_t colours[6];
};
struct mb2_efi_mmap {
    struct mb2_tag tag;
    uint32_t descriptor_size, descriptor_version;
};
struct efi_memory {
    uint32_t type, pad;
    uint64_t phys, virt, pages, attributes;
};

/* A physical address as the loader gave it, with `size` bytes; NULL when the boot tables do not reach it. */
static const void *low(uint64_t phys, uint64_t size)
{
    if (phys >= 4 * GIB || size > 4 * GIB - phys)
        return NULL;
    return (const void *)(DIRECTMAP_START + phys);
}

static void copy_text(char *dst, size_t size, uint64_t phys)
{
    const char *s = low(phys, size);

    if (s && phys)
        text_copy(dst, s, size);
}

/* The command line's first word is the hypervisor's file name when the loader puts one there. QEMU does and Multiboot 1 says
 * so; GRUB with Multiboot 2 does not. */
static void strip_file_name(char *s)
{
    char *p = s;

    while (*p == ' ')
        p++;
    while (*p && *p != ' ')
        p++;
    while (*p == ' ')
        p++;
    memmove(s, p, strlen(p) + 1);
}

static void add_module(uint64_t start, uint64_t end, const char *args, size_t args_size)
{
    if (boot_info.modules_count == BOOT_MODULES_MAX || end <= start)
        return;
    struct boot_module *m = &boot_info.modules[boot_info.modules_count++];
    m->start = start;
    m->size = end - start;
    if (args)
        text_copy(m->args, args, MIN(sizeof(m->args), args_size));
}

/* Colour fields: position and size of red, green, blue, in both versions. */
static void set_framebuffer(uint64_t addr, uint32_t pitch, uint32_t width, uint32_t height, uint8_t bpp, uint8_t type,
                            const uint8_t *colours)
{
    if (type == 2) {
        boot_info.video.text = true;
        return;
    }
    if (type != 1)
        return;
    boot_info.video.text = false;
    boot_info.video.lfb_addr = addr;
    boot_info.video.pitch = pitch;
    boot_info.video.width = width;
    boot_info.video.height = height;
    boot_info.video.bpp = bpp;
    boot_info.video.red_pos = colours[0];
    boot_info.video.red_size = colours[1];
    boot_info.video.green_pos = colours[2];
    boot_info.video.green_size = colours[3];
    boot_info.video.blue_pos = colours[4];
    boot_info.video.blue_size = colours[5];
}

static void mb1_memory(const struct mb1_info *info)
{
    if (info->flags & MB1_FLAG_MMAP) {
        const char *p = low(info->mmap_addr, info->mmap_length), *end = p + info->mmap_length;

        while (p && (size_t)(end - p) >= sizeof(struct mb1_mmap)) {
            const struct mb1_mmap *m = (const void *)p;
            e820_add(m->addr, m->length, m->type);
            p += (uint64_t)m->size + 4;
            if (p > end)
                break;
        }
    } else if (info->flags & MB1_FLAG_MEMORY) {
        e820_add(0, info->mem_lower * KIB, E820_RAM);
        e820_add(MIB, info->mem_upper * KIB, E820_RAM);
    }
}

static void mb1_parse(uint64_t phys)
{
    const struct mb1_info *info = low(phys, sizeof(*info));

    if (!info)
        return;
    text_copy(boot_info.loader, "Multiboot 1", sizeof(boot_info.loader));
    boot_info.video.text = true;
    if (info->flags & MB1_FLAG_LOADER)
        copy_text(boot_info.loader, sizeof(boot_info.loader), info->loader);
    if (info->flags & MB1_FLAG_CMDLINE) {
        copy_text(boot_info.command_line, sizeof(boot_info.command_line), info->cmdline);
        strip_file_name(boot_info.command_line);
    }
    if (info->flags & MB1_FLAG_MODULES) {
        uint32_t count = MIN(info->mods_count, (uint32_t)BOOT_MODULES_MAX);
        const struct mb1_module *m = low(info->mods_addr, count * sizeof(*m));

        for (uint32_t i = 0; m && i < count; i++)
            add_module(m[i].start, m[i].end, low(m[i].string, sizeof(boot_info.modules[0].args)),
                       sizeof(boot_info.modules[0].args));
    }
    mb1_memory(info);
    if (info->flags & MB1_FLAG_FB)
        set_framebuffer(info->fb_addr, info->fb_pitch, info->fb_width, info->fb_height, info->fb_bpp, info->fb_type,
                        info->fb_colours);
}

static void mb2_mmap(const struct mb2_mmap *t)
{
    if (t->entry_size < 20)
        return;
    for (uint64_t at = sizeof(*t); at + t->entry_size <= t->tag.size; at += t->entry_size) {
        const struct mb2_mmap_entry *e = (const void *)((const char *)t + at);
        e820_add(e->addr, e->length, e->type);
    }
}

/* EFI's own map, when the loader gave no other. */
static void mb2_efi_mmap(const struct mb2_efi_mmap *t)
{
    if (t->descriptor_size < sizeof(struct efi_memory))
        return;
    for (uint64_t at = sizeof(*t); at + t->descriptor_size <= t->tag.size; at += t->descriptor_size) {
        const struct efi_memory *e = (const void *)((const char *)t + at);
        uint32_t type = E820_RESERVED;

        if (e->type >= 1 && e->type <= 7 && e->type != 5 && e->type != 6)
            type = E820_RAM; /* loader, boot services, conventional; 5 and 6 are run-time services */
        else if (e->type == 8)
            type = E820_UNUSABLE;
        else if (e->type == 9)
            type = E820_ACPI;
        else if (e->type == 10)
            type = E820_NVS;
        e820_add(e->phys, e->pages * PAGE_SIZE, type);
    }
}

/* The root pointer's address in the EFI system table's list of configuration tables; 0: not there. */
static uint64_t efi_find_rsdp(uint64_t system_table, bool is_64bit)
{
    static const uint8_t acpi20[16] = {0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4, 0xd3, 0x11,
                                       0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81};
    static const uint8_t acpi10[16] = {0x30, 0x2d, 0x9d, 0xeb, 0x88, 0x2d, 0xd3, 0x11,
                                       0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d};
    const char *table = low(system_table, 120);
    uint64_t count, list, found = 0;

    if (!table || memcmp(table, "IBI SYST", 8) != 0)
        return 0;
    count = is_64bit ? *(const uint64_t *)(table + 104) : *(const uint32_t *)(table + 64);
    list = is_64bit ? *(const uint64_t *)(table + 112) : *(const uint32_t *)(table + 68);
    size_t stride = is_64bit ? 24 : 20;
    const char *p = low(list, MIN(count, 1024UL) * stride);

    for (uint64_t i = 0; p && i < MIN(count, 1024UL); i++, p += stride) {
        uint64_t at = is_64bit ? *(const uint64_t *)(p + 16) : *(const uint32_t *)(p + 16);
        if (memcmp(p, acpi20, 16) == 0)
            return at;
        if (memcmp(p, acpi10, 16) == 0)
            found = at;
    }
    return found;
}

static void mb2_tag(const struct mb2_tag *t)
{
    const char *text = (const char *)(t + 1);
    size_t text_size = t->size - sizeof(*t);

    switch (t->type) {
    case MB2_CMDLINE:
        text_copy(boot_info.command_line, text, MIN(sizeof(boot_info.command_line), text_size));
        break;
    case MB2_LOADER:
        text_copy(boot_info.loader, text, MIN(sizeof(boot_info.loader), text_size));
        break;
    case MB2_MODULE: {
        const struct mb2_module *m = (const void *)t;
        if (t->size > sizeof(*m))
            add_module(m->start, m->end, m->string, t->size - sizeof(*m));
        break;
    }
    case MB2_MMAP:
        if (t->size >= sizeof(struct mb2_mmap))
            mb2_mmap((const void *)t);
        break;
    case MB2_FRAMEBUFFER: {
        const struct mb2_framebuffer *f = (const void *)t;
        if (t->size >= sizeof(*f) - sizeof(f->colours))
            set_framebuffer(f->addr, f->pitch, f->width, f->height, f->bpp, f->type, f->colours);
        break;
    }
    case MB2_EFI32:
    case MB2_EFI64:
        boot_info.efi = true;
        boot_info.rsdp = efi_find_rsdp(t->type == MB2_EFI64 ? *(const uint64_t *)text : *(const uint32_t *)text,
                                       t->type == MB2_EFI64);
        break;
    }
}

static void mb2_parse(uint64_t phys)
{
    const char *info = low(phys, 8);
    const struct mb2_tag *efi_map = NULL;
    uint64_t total = info ? *(const uint32_t *)info : 0;

    if (total < 8 || total > 16 * MIB || !low(phys, total))
        return;
    boot_info.video.text = true; /* a frame-buffer tag or EFI says otherwise */
    for (uint64_t at = 8; at + sizeof(struct mb2_tag) <= total;) {
        const struct mb2_tag *t = (const void *)(info + at);

        if (t->type == MB2_END || t->size < sizeof(*t) || at + t->size > total)
            break;
        if (t->type == MB2_EFI_MMAP && t->size >= sizeof(struct mb2_efi_mmap))
            efi_map = t;
        mb2_tag(t);
        at += ROUND_UP((uint64_t)t->size, 8UL);
    }
    if (boot_info.efi && !boot_info.video.lfb_addr)
        boot_info.video.text = false;
    if (e820_collected() == 0 && efi_map)
        mb2_efi_mmap((const void *)efi_map);
}

void multiboot_parse(uint32_t magic, uint64_t info_phys)
{
    if (magic == MB1_BOOT_MAGIC)
        mb1_parse(info_phys);
    else if (magic == MB2_BOOT_MAGIC)
        mb2_parse(info_phys);
    else
        boot_fail("not started by a Multiboot loader: magic %#x", magic);
    boot_info.e820_count = e820_finish(boot_info.e820);
}

const char *hw_command_line(void)
{
    return boot_info.command_line;
}
