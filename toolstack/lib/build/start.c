/* SPDX-License-Identifier: MIT */
/* How a guest starts: its start_info page, its shared page and the registers of its first virtual CPU. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/build/guest.h"

#define FCW_DEFAULT   0x37f
#define MXCSR_DEFAULT 0x1f80
#define MXCSR_OFFSET  24 /* of the FXSAVE image */
#define RFLAGS_IF     0x200
#define DR6_DEFAULT   0xffff0ff0
#define DR7_DEFAULT   0x400

void guest_write_start_info(const struct guest *g, const struct input_file *ramdisk, struct start_info *si)
{
    const struct pv_layout *l = &g->layout;

    memcpy(si->magic, "xen-3.0-x86_64", sizeof("xen-3.0-x86_64"));
    si->nr_pages = l->nr_pages;
    si->shared_info = g->shared_info_mfn << PAGE_SHIFT;
    si->store_mfn = guest_store_mfn(g);
    si->store_evtchn = g->rq->store_port;
    si->console.domU.mfn = guest_console_mfn(g);
    si->console.domU.evtchn = g->rq->console_port;
    si->pt_base = l->tables_va;
    si->nr_pt_frames = l->tables;
    si->mfn_list = l->p2m_va;
    if (l->p2m_apart) {
        si->first_p2m_pfn = l->first_p2m_pfn;
        si->nr_p2m_frames = l->p2m_frames;
    }
    if (ramdisk) {
        si->mod_start = l->initrd_va ? l->initrd_va : l->initrd_pfn;
        si->mod_len = ramdisk->key.size;
        if (!l->initrd_va)
            si->flags |= SIF_MOD_START_PFN;
    }
    snprintf((char *)si->cmd_line, sizeof(si->cmd_line), "%s", g->rq->cmdline);
}

/* No virtual CPU takes events before it says so. What else is in the page is the hypervisor's or is zero. */
int guest_init_shared_info(const struct guest *g, struct report *r)
{
    xen_pfn_t mfn = g->shared_info_mfn;
    struct shared_info *si;
    void *p;
    int rc = hv_map(g->hv, g->rq->domid, 1, &mfn, &p);

    if (rc)
        return report_set(r, REPORT_FAILED, "the domain's shared page cannot be written: %s", strerror(-rc));
    si = p;
    for (unsigned i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
        si->vcpu_info[i].evtchn_upcall_mask = 1;
    hv_unmap(g->hv, p, 1);
    return 0;
}

static void set_fpu(struct vcpu_guest_context *c)
{
    const uint16_t fcw = FCW_DEFAULT;
    const uint32_t mxcsr = MXCSR_DEFAULT;

    memcpy(c->fpu_ctxt.x, &fcw, sizeof(fcw));
    memcpy(c->fpu_ctxt.x + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
}

int guest_start_vcpu(const struct guest *g, struct report *r)
{
    struct vcpu_guest_context *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        return report_set(r, REPORT_FAILED, "no memory for the registers of the domain's first virtual CPU");
    c->flags = VGCF_in_kernel | VGCF_online;
    c->user_regs.rip = g->kernel->head->notes.entry;
    c->user_regs.rsi = g->layout.start_info_va;
    c->user_regs.rsp = g->layout.stack_va + PAGE_SIZE;
    c->user_regs.rflags = RFLAGS_IF;
    c->user_regs.cs = FLAT_KERNEL_CS;
    c->user_regs.ss = FLAT_KERNEL_SS;
    c->kernel_ss = FLAT_KERNEL_SS;
    c->kernel_sp = c->user_regs.rsp;
    c->ctrlreg[3] = xen_pfn_to_cr3(g->p2m[guest_pfn_of(g, g->layout.tables_va)]);
    c->debugreg[6] = DR6_DEFAULT;
    c->debugreg[7] = DR7_DEFAULT;
    set_fpu(c);
    rc = hv_vcpu_set_context(g->hv, g->rq->domid, 0, c);
    free(c);
    if (rc)
        return report_set(r, REPORT_FAILED, "the registers of the domain's first virtual CPU were refused: %s",
                          strerror(-rc));
    return 0;
}
