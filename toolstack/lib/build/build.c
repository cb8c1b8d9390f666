/* SPDX-License-Identifier: MIT */
/*
 * Building a PV domain, step by step: build_pv() is the table of contents. What is opened here is closed here; what became of the domain
 * is the caller's business (build.h).
 */
#include "lib/build/build.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/build/cache.h"
#include "lib/build/guest.h"
#include "lib/build/ramdisk.h"
#include "lib/fault.h"

#define PAGE_KIB      4
#define GRANT_CONSOLE 0
#define GRANT_STORE   1
#define MEMORY_MAX    (1ul << 34) /* KiB: 16 TiB */

/* What a guest is made from */
struct sources {
    struct kernel_cache *cache;
    struct cached_kernel *kernel;
    struct input_file ramdisk_file;
    const struct input_file *ramdisk; /* NULL: none */
    bool from_cache;
};

static void close_sources(struct sources *s)
{
    if (s->ramdisk)
        input_close(&s->ramdisk_file);
    if (s->kernel)
        kernel_cache_put(s->cache, s->kernel);
}

static int open_sources(struct sources *s, const char *kernel, const char *ramdisk, struct report *r)
{
    if (kernel_cache_get(s->cache, kernel, &s->kernel, &s->from_cache, r))
        return -1;
    if (!ramdisk)
        return 0;
    if (ramdisk_open(ramdisk, &s->kernel->image.head->notes, &s->ramdisk_file, r)) {
        close_sources(s);
        return -1;
    }
    s->ramdisk = &s->ramdisk_file;
    return 0;
}

static int plan(const struct sources *s, const char *kernel, uint64_t memory_kib, struct pv_layout *l, struct report *r)
{
    const struct kernel_head *head = s->kernel->image.head;
    struct pv_plan_input in = {
        .paddr_first = head->paddr_first,
        .paddr_end = head->paddr_end,
        .notes = &head->notes,
        .initrd_size = s->ramdisk ? s->ramdisk->key.size : 0,
        .nr_pages = memory_kib / PAGE_KIB,
        .special_pages = GUEST_SPECIAL_PAGES,
        .squeeze = true,
    };
    const char *why = "";
    int rc;

    if (memory_kib < PAGE_KIB || memory_kib > MEMORY_MAX)
        return report_set(r, REPORT_CONFIG, "a guest cannot have %lu MiB of memory", memory_kib / KIB);
    rc = pv_plan(&in, l, &why);
    if (rc == -ENOMEM)
        return report_set(r, REPORT_NO_MEMORY,
                          "the guest's memory is too small: kernel '%s'%s need %lu MiB to start, it has %lu MiB",
                          kernel, s->ramdisk ? " and its ramdisk" : " and its tables", l->rest_pfn * PAGE_KIB / KIB + 1,
                          memory_kib / KIB);
    return rc ? report_set(r, REPORT_BAD_IMAGE, "kernel '%s' %s", kernel, why) : 0;
}

uint64_t guest_pfn_of(const struct guest *g, uint64_t va)
{
    return (va - g->layout.v_start) / PAGE_SIZE;
}

xen_pfn_t guest_store_mfn(const struct guest *g)
{
    return g->p2m[guest_pfn_of(g, g->layout.special_va)];
}

xen_pfn_t guest_console_mfn(const struct guest *g)
{
    return g->p2m[guest_pfn_of(g, g->layout.special_va) + 1];
}

/* ---- The steps ---- */

static int find_shared_info(struct guest *g, struct report *r)
{
    struct xen_domctl_getdomaininfo info;
    int rc = hv_domain_info(g->hv, g->rq->domid, &info);

    if (rc)
        return report_set(r, REPORT_FAILED, "domain %u cannot be built: %s", g->rq->domid, strerror(-rc));
    g->shared_info_mfn = info.shared_info_frame;
    return 0;
}

static int write_hypercall_page(const struct guest *g, struct report *r)
{
    const struct xen_notes *n = &g->kernel->head->notes;
    int rc;

    if (!n->has_hypercall_page)
        return 0;
    rc = hv_hypercall_page(g->hv, g->rq->domid, g->p2m[guest_pfn_of(g, n->hypercall_page)]);
    return rc ? report_set(r, REPORT_FAILED, "filling the kernel's hypercall page was refused: %s", strerror(-rc)) : 0;
}

static int write_structures(const struct guest *g, const struct input_file *ramdisk, struct report *r)
{
    struct guest_structures s;
    int rc;

    if (fault_at("page_tables", r) || guest_map_structures(g, &s, r))
        return -1;
    guest_write_tables(g, &s);
    rc = fault_at("start_info", r) ? -1 : 0;
    if (!rc)
        guest_write_start_info(g, ramdisk, s.start_info);
    hv_unmap(g->hv, s.mapped, s.count);
    return rc;
}

static int seed_grants(const struct guest *g, struct report *r)
{
    struct hv_grant grants[] = {{GRANT_CONSOLE, 0, guest_console_mfn(g)}, {GRANT_STORE, 0, guest_store_mfn(g)}};
    int rc;

    if (fault_at("grants", r))
        return -1;
    rc = hv_grant_seed(g->hv, g->rq->domid, grants, ARRAY_SIZE(grants));
    return rc ? report_set(r, REPORT_FAILED, "the domain's grant table cannot be written: %s", strerror(-rc)) : 0;
}

static int pin(const struct guest *g, struct report *r)
{
    int rc;

    if (fault_at("pin", r))
        return -1;
    rc = hv_pin_l4(g->hv, g->rq->domid, g->p2m[guest_pfn_of(g, g->layout.tables_va)]);
    return rc ? report_set(r, REPORT_FAILED, "the domain's page tables were refused: %s", strerror(-rc)) : 0;
}

static int start(const struct guest *g, struct report *r)
{
    return fault_at("context", r) || guest_init_shared_info(g, r) || guest_start_vcpu(g, r) ? -1 : 0;
}

static int check_cmdline(const struct build_request *rq, struct report *r)
{
    size_t n = strlen(rq->cmdline), room = sizeof(((struct start_info *)0)->cmd_line) - 1;

    if (n <= room)
        return 0;
    return report_set(r, REPORT_CONFIG,
                      "the kernel's command line has %zu letters, there is room for %zu: shorten 'extra' or 'root'", n,
                      room);
}

int build_pv(struct hv *hv, struct kernel_cache *cache, const struct build_request *rq, struct build_result *out,
             struct report *r)
{
    struct sources s = {.cache = cache};
    struct guest g = {.hv = hv, .rq = rq};
    int rc;

    if (check_cmdline(rq, r) || open_sources(&s, rq->kernel, rq->ramdisk, r))
        return -1;
    g.kernel = &s.kernel->image;
    rc = plan(&s, rq->kernel, rq->memory_kib, &g.layout, r) || find_shared_info(&g, r) || guest_populate(&g, r) ||
                 guest_load_kernel(&g, r) || write_hypercall_page(&g, r) || guest_load_ramdisk(&g, s.ramdisk, r) ||
                 write_structures(&g, s.ramdisk, r) || seed_grants(&g, r) || pin(&g, r) || start(&g, r)
             ? -1
             : 0;
    if (!rc)
        *out = (struct build_result){
            .store_mfn = guest_store_mfn(&g),
            .console_mfn = guest_console_mfn(&g),
            .kernel_entry = g.kernel->head->notes.entry,
            .from_cache = s.from_cache,
        };
    free(g.p2m);
    close_sources(&s);
    return rc;
}

int build_check(struct kernel_cache *cache, const char *kernel, const char *ramdisk, uint64_t memory_kib,
                struct report *r)
{
    struct sources s = {.cache = cache};
    struct pv_layout layout;
    int rc;

    if (open_sources(&s, kernel, ramdisk, r))
        return -1;
    rc = plan(&s, kernel, memory_kib, &layout, r);
    close_sources(&s);
    return rc;
}
