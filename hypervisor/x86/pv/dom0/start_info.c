/* SPDX-License-Identifier: MIT */
/* The start_info page: what Domain 0's kernel is told when it starts. */
#include "core/lib/print.h"
#include "core/lib/string.h"
#include "x86/pv/dom0/dom0.h"

#define LFB_UNIT (64 * KIB)

static uint32_t video_info(const struct boot_info *boot, struct dom0_vga_console_info *v)
{
    if (boot->video.text) {
        v->video_type = XEN_VGATYPE_TEXT_MODE_3;
        v->u.text_mode_3.font_height = 16;
        v->u.text_mode_3.cursor_y = 24;
        v->u.text_mode_3.rows = 25;
        v->u.text_mode_3.columns = 80;
        return sizeof(*v);
    }
    if (!boot->video.lfb_addr)
        return 0;
    v->video_type = boot->efi ? XEN_VGATYPE_EFI_LFB : XEN_VGATYPE_VESA_LFB;
    v->u.vesa_lfb.width = (uint16_t)boot->video.width;
    v->u.vesa_lfb.height = (uint16_t)boot->video.height;
    v->u.vesa_lfb.bytes_per_line = (uint16_t)boot->video.pitch;
    v->u.vesa_lfb.bits_per_pixel = (uint16_t)boot->video.bpp;
    v->u.vesa_lfb.lfb_base = (uint32_t)boot->video.lfb_addr;
    v->u.vesa_lfb.ext_lfb_base = (uint32_t)(boot->video.lfb_addr >> 32);
    v->u.vesa_lfb.lfb_size = (uint32_t)DIV_ROUND_UP((uint64_t)boot->video.pitch * boot->video.height, LFB_UNIT);
    v->u.vesa_lfb.red_pos = boot->video.red_pos;
    v->u.vesa_lfb.red_size = boot->video.red_size;
    v->u.vesa_lfb.green_pos = boot->video.green_pos;
    v->u.vesa_lfb.green_size = boot->video.green_size;
    v->u.vesa_lfb.blue_pos = boot->video.blue_pos;
    v->u.vesa_lfb.blue_size = boot->video.blue_size;
    return sizeof(*v);
}

/* The module's arguments without its file name, and where the RSDP is when the kernel cannot find it by itself */
static void command_line(const struct dom0_build *b, const struct boot_info *boot, char *out, size_t size)
{
    const char *args = b->kernel->args;
    size_t n;

    while (*args == ' ')
        args++;
    while (*args && *args != ' ')
        args++;
    while (*args == ' ')
        args++;
    n = text_copy(out, args, size);
    if (boot->efi && boot->rsdp && n < size)
        n += (size_t)hv_snprintf(out + n, size - n, " acpi_rsdp=0x%lx", boot->rsdp);
    if (n >= size)
        log_warn("Domain 0: its command line is longer than %lu letters and was cut", size - 1);
}

void dom0_write_start_info(const struct dom0_build *b, const struct boot_info *boot)
{
    const struct pv_layout *l = &b->layout;
    struct start_info *si = dom0_pfn_va(b, (l->start_info_va - l->v_start) / PAGE_SIZE, NULL);

    memset(si, 0, PAGE_SIZE);
    hv_snprintf(si->magic, sizeof(si->magic), "xen-3.0-x86_64%s", b->notes.pae ? "p" : "");
    si->nr_pages = l->nr_pages;
    si->shared_info = b->d->shared_info_mfn.n << PAGE_SHIFT;
    si->flags = SIF_PRIVILEGED | SIF_INITDOMAIN;
    si->console.dom0.info_off = sizeof(*si);
    si->console.dom0.info_size = video_info(boot, (void *)(si + 1));
    si->pt_base = l->tables_va;
    si->nr_pt_frames = l->tables;
    si->mfn_list = l->p2m_va;
    if (l->p2m_apart) {
        si->first_p2m_pfn = l->first_p2m_pfn;
        si->nr_p2m_frames = l->p2m_frames;
    }
    if (b->initrd) {
        si->mod_start = l->initrd_va ? l->initrd_va : l->initrd_pfn;
        si->mod_len = b->initrd->size;
        if (!l->initrd_va)
            si->flags |= SIF_MOD_START_PFN;
    }
    command_line(b, boot, (char *)si->cmd_line, sizeof(si->cmd_line));
}
