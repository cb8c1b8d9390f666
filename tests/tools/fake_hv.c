/* SPDX-License-Identifier: MIT */
/* A hypervisor of paper: see fake_hv.h. */
#include "fake_hv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE        4096ul
#define LARGE       512
#define MEMORY_SIZE ((FAKE_FRAMES + 1) * PAGE)

struct fake_hv fake;

void fake_start(void)
{
    memset(&fake, 0, sizeof(fake));
    fake.memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    fake.m2p = malloc(FAKE_FRAMES * sizeof(*fake.m2p));
    memset(fake.m2p, 0xff, FAKE_FRAMES * sizeof(*fake.m2p));
    fake.free_frames = FAKE_FRAMES;
    fake.large_left = FAKE_FRAMES / LARGE;
}

void fake_end(void)
{
    munmap(fake.memory, MEMORY_SIZE);
    free(fake.m2p);
}

void *fake_frame(uint64_t mfn)
{
    return mfn >= FAKE_FIRST && mfn <= FAKE_SHARED ? fake.memory + (mfn - FAKE_FIRST) * PAGE : NULL;
}

/* ---- Memory ---- */

int hv_domain_set_max_memory(struct hv *hv, uint32_t domid, uint64_t kib)
{
    fake.max_kib = kib;
    return 0;
}

int hv_domain_set_memory_map(struct hv *hv, uint32_t domid, uint64_t kib)
{
    fake.map_kib = kib;
    return 0;
}

int hv_claim_pages(struct hv *hv, uint32_t domid, uint64_t pages)
{
    if (fake.no_claims)
        return -EOPNOTSUPP;
    if (pages > fake.free_frames)
        return -ENOMEM;
    fake.claimed = pages;
    return 0;
}

/* Free frames of that order, at a place that follows from nothing the domain could guess; ~0: none */
static uint64_t find(unsigned order)
{
    static uint64_t at;
    uint64_t size = 1ul << order, slots = FAKE_FRAMES >> order;

    for (uint64_t tries = 0; tries < slots; tries++) {
        bool taken = false;

        at = (at + 101) % slots;
        for (uint64_t i = 0; i < size && !taken; i++)
            taken = fake.m2p[at * size + i] != ~0ul;
        if (!taken)
            return at * size;
    }
    return ~0ul;
}

int64_t hv_populate(struct hv *hv, uint32_t domid, unsigned order, uint64_t count, xen_pfn_t *gfns)
{
    uint64_t done;

    for (done = 0; done < count; done++) {
        uint64_t at = order && !fake.large_left ? ~0ul : find(order);

        if (at == ~0ul || (order && !fake.large_left--))
            break;
        for (uint64_t i = 0; i < 1ul << order; i++)
            fake.m2p[at + i] = gfns[done] + i;
        fake.free_frames -= 1ul << order;
        gfns[done] = FAKE_FIRST + at;
    }
    return (int64_t)done;
}

/* What is known of each mapping stands in the page before it. */
struct mapping {
    size_t count;
    xen_pfn_t *mfns;
};

int hv_map(struct hv *hv, uint32_t domid, size_t count, const xen_pfn_t *mfns, void **out)
{
    uint8_t *p = aligned_alloc(PAGE, (count + 1) * PAGE);
    struct mapping *m = (struct mapping *)p;

    m->count = count;
    m->mfns = malloc(count * sizeof(*mfns));
    memcpy(m->mfns, mfns, count * sizeof(*mfns));
    for (size_t i = 0; i < count; i++) {
        if (!fake_frame(mfns[i]))
            abort();
        memcpy(p + (i + 1) * PAGE, fake_frame(mfns[i]), PAGE);
    }
    fake.mapped++;
    fake.pages_mapped += count;
    *out = p + PAGE;
    return 0;
}

void hv_unmap(struct hv *hv, void *p, size_t count)
{
    struct mapping *m = (struct mapping *)((uint8_t *)p - PAGE);

    if (m->count != count)
        abort();
    for (size_t i = 0; i < count; i++)
        memcpy(fake_frame(m->mfns[i]), (uint8_t *)p + i * PAGE, PAGE);
    free(m->mfns);
    free(m);
    fake.mapped--;
}

/* ---- The rest ---- */

int hv_pin_l4(struct hv *hv, uint32_t domid, uint64_t mfn)
{
    if (fake.mapped)
        return -EBUSY; /* a table may be writable through a mapping */
    fake.pinned = mfn;
    return 0;
}

int hv_grant_seed(struct hv *hv, uint32_t domid, const struct hv_grant *grants, unsigned count)
{
    memcpy(fake.grants, grants, count * sizeof(*grants));
    fake.grants_count = count;
    return 0;
}

int hv_domain_info(struct hv *hv, uint32_t domid, struct xen_domctl_getdomaininfo *info)
{
    memset(info, 0, sizeof(*info));
    info->domain = FAKE_DOMID;
    info->shared_info_frame = FAKE_SHARED;
    return domid == FAKE_DOMID ? 0 : -ESRCH;
}

int hv_hypercall_page(struct hv *hv, uint32_t domid, uint64_t mfn)
{
    memset(fake_frame(mfn), 0xcc, PAGE);
    return 0;
}

int hv_vcpu_set_context(struct hv *hv, uint32_t domid, unsigned vcpu, const vcpu_guest_context_t *ctxt)
{
    fake.context = *ctxt;
    fake.started = true;
    return 0;
}

uint64_t hv_free_kib(struct hv *hv)
{
    return fake.free_frames * 4;
}
