/* SPDX-License-Identifier: MIT */
/*
 * Guests: built by hand from the image that is part of this kernel, started, waited for, destroyed.
 *
 * Layout by PFN, all mapped at VIRT_BASE + PFN * PAGE: image, board, start_info, frame list (2), page tables L4 L3 L2 L1 L1, and
 * pages that hold nothing. A guest's memory is filled through one page of ours that is mapped over each of its frames in turn.
 */
#include "dom0/dom0.h"

#define EXTENT_ORDER 9
#define EXTENT       (1u << EXTENT_ORDER)
#define P2M_PAGES    (GUEST_PAGES * 8 / PAGE)
#define TABLES       5
#define POLL_STEP_NS 2000000
#define ESRCH        3
#define GOING_NS     20000000000UL

struct guest guests[GUESTS_MAX];
extern const uint8_t guest_image[], guest_image_end[];
static uint8_t window[PAGE] __attribute__((aligned(4096)));
static uint8_t boards[GUESTS_MAX][PAGE] __attribute__((aligned(4096)));

void guests_init(void)
{
    for (unsigned i = 0; i < GUESTS_MAX; i++)
        guests[i].board = (struct board *)boards[i];
}

/* ---- The image ---- */

const struct image_header *guest_image_header(void)
{
    return (const struct image_header *)(guest_image + IMAGE_HEADER);
}

const char *guest_text(const char *guest_address)
{
    return (const char *)guest_image + (ADDRESS(guest_address) - VIRT_BASE);
}

unsigned guest_attacks_count(void)
{
    return (unsigned)(guest_image_header()->attacks_end - guest_image_header()->attacks);
}

const struct attack *guest_attack(unsigned index)
{
    const struct attack *const *table =
        (const struct attack *const *)guest_text((const char *)guest_image_header()->attacks);

    return (const struct attack *)guest_text((const char *)table[index]);
}

/* ---- Memory ---- */

static void *open_page(const struct guest *g, uint64_t pfn)
{
    return map_foreign(window, g->mfns[pfn] * PAGE | PLAIN, g->domain) ? NULL : window;
}

static bool copy_image(struct guest *g)
{
    uint64_t size = (uint64_t)(guest_image_end - guest_image);

    for (uint64_t at = 0; at < size; at += PAGE) {
        void *page = open_page(g, at / PAGE);

        if (!page)
            return false;
        memcpy(page, guest_image + at, size - at < PAGE ? size - at : PAGE);
    }
    g->pages_used = (guest_image_header()->end - VIRT_BASE) / PAGE;
    return true;
}

static bool populate(struct guest *g)
{
    uint64_t extents[GUEST_PAGES / EXTENT];
    struct xen_memory_reservation r = {
        .nr_extents = COUNT_OF(extents), .extent_order = EXTENT_ORDER, .domid = g->domain};
    struct xen_domctl op = {0};

    op.u.max_mem.max_memkb = GUEST_PAGES * PAGE / 1024;
    if (domctl(XEN_DOMCTL_max_mem, g->domain, &op))
        return false;
    for (unsigned i = 0; i < COUNT_OF(extents); i++)
        extents[i] = i * EXTENT;
    set_xen_guest_handle(r.extent_start, extents);
    if (memory_op(XENMEM_populate_physmap, &r) != COUNT_OF(extents))
        return false;
    for (unsigned i = 0; i < GUEST_PAGES; i++)
        g->mfns[i] = extents[i / EXTENT] + i % EXTENT;
    return true;
}

/* ---- What the guest finds ---- */

static bool write_start_info(struct guest *g, uint64_t pfn, uint64_t p2m_pfn, uint64_t tables_pfn)
{
    struct xen_domctl_getdomaininfo info;
    struct start_info *s = open_page(g, pfn);

    if (!s || domain_info(g->domain, &info))
        return false;
    memcpy(s->magic, "xen-3.0-x86_64", 15);
    s->nr_pages = GUEST_PAGES;
    s->shared_info = info.shared_info_frame * PAGE;
    s->pt_base = VIRT_BASE + tables_pfn * PAGE;
    s->nr_pt_frames = TABLES;
    s->mfn_list = VIRT_BASE + p2m_pfn * PAGE;
    return true;
}

static bool write_p2m(struct guest *g, uint64_t pfn)
{
    for (unsigned i = 0; i < P2M_PAGES; i++) {
        uint64_t *page = open_page(g, pfn + i);

        if (!page)
            return false;
        memcpy(page, &g->mfns[i * EXTENT], PAGE);
    }
    return true;
}

static bool write_table_entry(struct guest *g, uint64_t table, unsigned index, uint64_t target)
{
    uint64_t *page = open_page(g, table);

    if (page)
        page[index] = g->mfns[target] * PAGE | PLAIN;
    return page;
}

/* The window at VIRT_BASE is slot 511 of level 4, 510 of level 3. */
static bool write_tables(struct guest *g, uint64_t first)
{
    if (!write_table_entry(g, first, 511, first + 1) || !write_table_entry(g, first + 1, 510, first + 2) ||
        !write_table_entry(g, first + 2, 0, first + 3) || !write_table_entry(g, first + 2, 1, first + 4))
        return false;
    for (unsigned t = 0; t < 2; t++) {
        uint64_t *page = open_page(g, first + 3 + t);

        for (unsigned i = 0; page && i < EXTENT; i++) {
            uint64_t pfn = t * EXTENT + i;

            page[i] = g->mfns[pfn] * PAGE | (pfn >= first && pfn < first + TABLES ? READONLY : PLAIN);
        }
        if (!page)
            return false;
    }
    return true;
}

static bool prepare_board(struct guest *g, uint64_t pfn, uint32_t role)
{
    if (map_foreign(g->board, g->mfns[pfn] * PAGE | PLAIN, g->domain))
        return false;
    *g->board = (struct board){.role = role,
                               .domain = g->domain,
                               .free_pfn = g->pages_used,
                               .free_end = GUEST_PAGES,
                               .secret = canary_word + g->domain,
                               .domain0_mfn = secret_mfn(),
                               .domain0_table_mfn = mfn_of((void *)start_info->pt_base),
                               .self_mfn = g->mfns[0]};
    return true;
}

/* ---- Life ---- */

static bool create(struct guest *g)
{
    struct xen_domctl op = {0};

    op.u.createdomain.max_vcpus = VCPUS_MAX;
    op.u.createdomain.max_evtchn_port = 1023;
    op.u.createdomain.max_grant_frames = 4;
    op.u.createdomain.max_maptrack_frames = 4;
    op.u.createdomain.grant_opts = XEN_DOMCTL_GRANT_version(1);
    if (domctl(XEN_DOMCTL_createdomain, 0, &op))
        return false;
    g->domain = (uint16_t)op.domain;
    g->exists = true;
    return true;
}

bool guest_create(struct guest *g, uint32_t role)
{
    uint64_t board, tables;

    if (!create(g) || !populate(g) || !copy_image(g)) {
        print("hostile: a guest cannot be created\n");
        return false;
    }
    board = g->pages_used;
    tables = board + 2 + P2M_PAGES;
    g->pages_used = tables + TABLES;
    if (!write_start_info(g, board + 1, board + 2, tables) || !write_p2m(g, board + 2) || !write_tables(g, tables) ||
        !prepare_board(g, board, role)) {
        print("hostile: a guest's memory cannot be written\n");
        return false;
    }
    map_entry(window, 0);
    return true;
}

bool guest_start(struct guest *g)
{
    static struct vcpu_guest_context c;
    uint64_t board = VIRT_BASE + (g->board->free_pfn - TABLES - P2M_PAGES - 2) * PAGE,
             l4 = g->mfns[g->pages_used - TABLES];
    struct xen_domctl op = {0};

    memset(&c, 0, sizeof(c));
    c.flags = VGCF_in_kernel | VGCF_online;
    c.user_regs.rip = VIRT_BASE;
    c.user_regs.rdi = board;
    c.user_regs.rsi = board + PAGE;
    c.user_regs.rflags = 0x200;
    c.user_regs.cs = FLAT_KERNEL_CS;
    c.user_regs.ss = FLAT_KERNEL_SS;
    c.ctrlreg[3] = l4 * PAGE;
    set_xen_guest_handle(op.u.vcpucontext.ctxt, &c);
    if (mmuext_for(MMUEXT_PIN_L4_TABLE, l4, 0, g->domain) || domctl(XEN_DOMCTL_setvcpucontext, g->domain, &op) ||
        domctl(XEN_DOMCTL_unpausedomain, g->domain, &op)) {
        print("hostile: a guest cannot be started\n");
        return false;
    }
    return true;
}

int guest_wait(struct guest *g, uint64_t timeout_ns)
{
    uint64_t end = now_ns() + timeout_ns, step = POLL_STEP_NS / 16;
    struct xen_domctl_getdomaininfo info;

    while (!domain_info(g->domain, &info) && !(info.flags & XEN_DOMINF_shutdown)) {
        if (now_ns() > end)
            return -1;
        sleep_ns(step);
        step = step < POLL_STEP_NS ? step * 2 : step;
    }
    return (int)(info.flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask);
}

static bool is_gone(uint16_t domain, uint64_t end)
{
    struct xen_domctl_getdomaininfo info;

    while (!domain_info(domain, &info)) {
        if (now_ns() > end) {
            print("hostile: domain %u does not go: flags %x, %lu pages\n", domain, info.flags, info.tot_pages);
            return false;
        }
        sleep_ns(100000);
    }
    return true;
}

/* First all, then the wait: they may hold pages of each other. */
bool guests_destroy(void)
{
    uint64_t end = now_ns() + GOING_NS;
    bool good = true;

    for (unsigned i = 0; i < GUESTS_MAX; i++) {
        struct xen_domctl op = {0};
        long rc;

        if (!guests[i].exists)
            continue;
        map_entry(guests[i].board, 0);
        rc = domctl(XEN_DOMCTL_destroydomain, guests[i].domain, &op);
        if (rc && rc != -ESRCH) { /* the fuzzer may have been quicker */
            print("hostile: domain %u cannot be destroyed\n", guests[i].domain);
            good = false;
        }
    }
    for (unsigned i = 0; i < GUESTS_MAX; i++) {
        if (guests[i].exists)
            good &= is_gone(guests[i].domain, end);
        guests[i].exists = false;
    }
    return good;
}
