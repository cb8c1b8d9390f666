/* SPDX-License-Identifier: MIT */
/* What the boot loader told us, the same for Multiboot 1 and 2; filled by x86/boot/multiboot.c, read-only afterwards. */
#pragma once
#include "core/lib/types.h"

struct e820_entry { /* the ABI's layout too */
    uint64_t addr, size;
    uint32_t type;
} __packed;
enum { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4, E820_UNUSABLE = 5 };
#define E820_MAX         128
#define BOOT_MODULES_MAX 8
struct boot_module {
    uint64_t start, size; /* physical, bytes */
    char args[1024];      /* the loader's string for it */
};
struct boot_info {
    char loader[64];
    char command_line[2048];          /* of the hypervisor, without its own file name */
    struct e820_entry e820[E820_MAX]; /* sorted, not overlapping */
    unsigned e820_count;
    struct boot_module modules[BOOT_MODULES_MAX];
    unsigned modules_count;
    uint64_t rsdp; /* physical address of the root pointer; 0: not given and not found */
    bool efi;      /* booted through UEFI: tell Domain 0 where the RSDP is */
    struct {       /* VGA text or a linear frame buffer */
        bool text;
        uint64_t lfb_addr;
        uint32_t width, height, pitch, bpp;
        uint8_t red_pos, red_size, green_pos, green_size, blue_pos, blue_size;
    } video;
};
extern struct boot_info boot_info;
void multiboot_parse(uint32_t magic, uint64_t info_phys); /* panics when the magic is wrong */
/* Memory setup (x86/boot/memory.c): reserves the hypervisor's image and the modules, builds the final page tables,
 * the direct map, the frame table and M2P, gives the rest to the frame allocator. */
void memory_init(void);
void modules_release(void); /* once, when Domain 0 has what it needs of them: their frames become free RAM */
/* Bad input (no Domain 0, too little memory...): one line "Hospes cannot start: ...", then the machine halts. */
void __noreturn boot_fail(const char *fmt, ...) __printf(1, 2);
extern uint64_t boot_tsc; /* TSC at entry of the hypervisor */
