/* SPDX-License-Identifier: MIT */
/*
 * What is put into a guest's memory from files: the kernel's pages, copied from its mapped image; the ramdisk, read straight to where it
 * goes. Only frames that are written are mapped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/build/guest.h"
#include "lib/fault.h"

static int not_mapped(int rc, struct report *r)
{
    return report_set(r, REPORT_FAILED, "the domain's memory cannot be written: %s", strerror(-rc));
}

typedef uint64_t chunk __attribute__((vector_size(32), may_alias));

/* Whole pages, both sides aligned. For copies of this size the C library chooses `rep movsb`, which moves a byte at a time where the
 * processor only interprets it. */
__attribute__((target_clones("avx", "default"))) static void copy_pages(void *to, const void *from, size_t pages)
{
    const chunk *s = from;
    chunk *d = to;

    for (const chunk *end = s + pages * (PAGE_SIZE / sizeof(chunk)); s != end; s += 4, d += 4) {
        chunk a = s[0], b = s[1], c = s[2], e = s[3];

        d[0] = a;
        d[1] = b;
        d[2] = c;
        d[3] = e;
        __asm__ volatile("" ::: "memory"); /* or else the compiler makes it a memcpy */
    }
}

int guest_load_kernel(const struct guest *g, struct report *r)
{
    const struct kernel_image *k = g->kernel;
    uint64_t pages = k->head->pages, n = 0;
    xen_pfn_t *mfns;
    void *to;
    int rc;

    if (fault_at("kernel", r))
        return -1;
    if (!pages)
        return 0;
    mfns = malloc(pages * sizeof(*mfns));
    if (!mfns)
        return not_mapped(-ENOMEM, r);
    for (uint64_t i = 0; i < k->head->runs; i++)
        for (uint64_t j = 0; j < k->runs[i].count; j++)
            mfns[n++] = g->p2m[k->runs[i].pfn + j];
    rc = hv_map(g->hv, g->rq->domid, pages, mfns, &to);
    free(mfns);
    if (rc)
        return not_mapped(rc, r);
    copy_pages(to, k->pages, pages);
    hv_unmap(g->hv, to, pages);
    return 0;
}

int guest_load_ramdisk(const struct guest *g, const struct input_file *ramdisk, struct report *r)
{
    const struct pv_layout *l = &g->layout;
    uint64_t pfn = l->initrd_va ? guest_pfn_of(g, l->initrd_va) : l->initrd_pfn;
    void *to;
    int rc;

    if (fault_at("ramdisk", r))
        return -1;
    if (!ramdisk)
        return 0;
    rc = hv_map(g->hv, g->rq->domid, l->initrd_pages, g->p2m + pfn, &to);
    if (rc)
        return not_mapped(rc, r);
    rc = input_read(ramdisk, to, r);
    hv_unmap(g->hv, to, l->initrd_pages);
    return rc;
}
