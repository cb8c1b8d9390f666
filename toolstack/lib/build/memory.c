/* SPDX-License-Identifier: MIT */
/*
 * A guest's memory: claimed first, so that two guests that start together do not both get half of what they need; then given in extents
 * of 2 MiB as long as there are such, page by page after that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/build/guest.h"
#include "lib/fault.h"

#define LARGE_ORDER 9
#define LARGE_PAGES (1ul << LARGE_ORDER)
#define PAGE_KIB    4

static int too_little(const struct guest *g, struct report *r)
{
    return report_set(r, REPORT_NO_MEMORY, "not enough memory: the guest needs %lu MiB, the machine has %lu MiB free",
                      DIV_ROUND_UP(g->layout.nr_pages * PAGE_KIB, KIB), hv_free_kib(g->hv) / KIB);
}

static int set_limits(const struct guest *g, struct report *r)
{
    uint64_t kib = MAX(g->rq->memory_kib, g->rq->max_memory_kib);
    int rc;

    if (fault_at("max_memory", r))
        return -1;
    rc = hv_domain_set_max_memory(g->hv, g->rq->domid, kib);
    if (!rc)
        rc = hv_domain_set_memory_map(g->hv, g->rq->domid, kib);
    if (rc)
        return report_set(r, REPORT_FAILED, "the domain's memory limit of %lu MiB was refused: %s", kib / KIB,
                          strerror(-rc));
    return 0;
}

static int claim(const struct guest *g, struct report *r)
{
    int rc;

    if (fault_at("claim", r))
        return -1;
    rc = hv_claim_pages(g->hv, g->rq->domid, g->layout.nr_pages);
    if (rc == -ENOMEM)
        return too_little(g, r);
    if (rc && rc != -ENOSYS && rc != -EOPNOTSUPP) /* claims are a courtesy: without them populating tells */
        return report_set(r, REPORT_FAILED, "claiming %lu MiB of memory was refused: %s",
                          g->layout.nr_pages * PAGE_KIB / KIB, strerror(-rc));
    return 0;
}

/* Returns the PFN up to which memory came in large extents; negative: -errno. */
static int64_t populate_large(const struct guest *g)
{
    uint64_t count = g->layout.nr_pages / LARGE_PAGES;
    xen_pfn_t *list;
    int64_t got;

    if (!count)
        return 0;
    list = malloc(count * sizeof(*list));
    if (!list)
        return -ENOMEM;
    for (uint64_t i = 0; i < count; i++)
        list[i] = i * LARGE_PAGES;
    got = hv_populate(g->hv, g->rq->domid, LARGE_ORDER, count, list);
    for (int64_t i = 0; i < got; i++)
        for (uint64_t j = 0; j < LARGE_PAGES; j++)
            g->p2m[(uint64_t)i * LARGE_PAGES + j] = list[i] + j;
    free(list);
    return got == -ENOMEM ? 0 : got < 0 ? got : got * (int64_t)LARGE_PAGES;
}

static int populate(const struct guest *g, struct report *r)
{
    int64_t done = populate_large(g), more = 0;
    uint64_t left = 0;

    if (done >= 0) {
        left = g->layout.nr_pages - (uint64_t)done;
        for (uint64_t pfn = (uint64_t)done; pfn < g->layout.nr_pages; pfn++)
            g->p2m[pfn] = pfn;
        if (left)
            more = hv_populate(g->hv, g->rq->domid, 0, left, g->p2m + done);
    }
    if (done < 0 || (more < 0 && more != -ENOMEM))
        return report_set(r, REPORT_FAILED, "giving the domain its memory was refused: %s",
                          strerror((int)-MIN(done, more)));
    return more < (int64_t)left ? too_little(g, r) : 0;
}

int guest_populate(struct guest *g, struct report *r)
{
    uint64_t entries = g->layout.p2m_pages * (PAGE_SIZE / sizeof(*g->p2m));

    g->p2m = malloc(entries * sizeof(*g->p2m));
    if (!g->p2m)
        return report_set(r, REPORT_FAILED, "no memory for the domain's frame list (%lu MiB)",
                          g->layout.p2m_pages * PAGE_KIB / KIB);
    memset(g->p2m + g->layout.nr_pages, 0xff, (entries - g->layout.nr_pages) * sizeof(*g->p2m));
    if (set_limits(g, r) || claim(g, r) || fault_at("populate", r) || populate(g, r))
        return -1;
    hv_claim_pages(g->hv, g->rq->domid, 0); /* all of it is there: nothing to keep back any more */
    return 0;
}
