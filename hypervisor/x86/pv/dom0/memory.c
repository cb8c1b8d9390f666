/* SPDX-License-Identifier: MIT */
/*
 * Domain 0's memory: how much (options dom0_mem and dom0_max_vcpus), getting it from the reservation, and which machine frame
 * is which PFN while building.
 *
 * Without dom0_mem Domain 0 gets all but a reserve, which serves the hypervisor's later needs and the exchanges for contiguous
 * memory that Domain 0's drivers ask for. The allocator gives high addresses first, so the reserve is low memory, which is
 * what those ask for.
 */
#include "core/lib/options.h"
#include "core/lib/print.h"
#include "core/lib/string.h"
#include "core/mem/alloc.h"
#include "core/mem/reservation.h"
#include "x86/pv/dom0/dom0.h"

#define RESERVE_PART 16 /* of all memory */
#define RESERVE_MAX  (128 * MIB)

static struct {
    uint64_t size, min, max; /* bytes; 0: not given */
} dom0_mem;
static unsigned dom0_max_vcpus;
OPTION_UINT(dom0_max_vcpus, dom0_max_vcpus, "Domain 0's virtual CPUs; absent: as many as CPUs");

/* size, min:size and max:size, separated by commas, each at most once in effect */
static int parse_dom0_mem(const char *value)
{
    __typeof__(dom0_mem) m = {0, 0, 0};

    for (;; value++) {
        uint64_t *to = &m.size;

        if (!strncmp(value, "min:", 4))
            to = &m.min;
        else if (!strncmp(value, "max:", 4))
            to = &m.max;
        if (to != &m.size)
            value += 4;
        if (parse_size(value, &value, KIB, to) || !*to)
            return -EINVAL;
        if (!*value)
            break;
        if (*value != ',')
            return -EINVAL;
    }
    dom0_mem = m;
    return 0;
}
OPTION_ENTRY(dom0_mem, "dom0_mem", OPT_FUNC, (void *)parse_dom0_mem, 0,
             "Domain 0's memory: SIZE[,min:SIZE][,max:SIZE], a bare number in KiB; absent: nearly all");

uint64_t dom0_choose_pages(uint64_t coming)
{
    uint64_t reserve = MIN(alloc_total_count() / RESERVE_PART, RESERVE_MAX / PAGE_SIZE);
    uint64_t free = alloc_free_count() + coming, all = free > reserve ? free - reserve : 0;
    uint64_t pages = dom0_mem.size ? dom0_mem.size / PAGE_SIZE : all;

    pages = MAX(pages, dom0_mem.min / PAGE_SIZE);
    if (dom0_mem.max)
        pages = MIN(pages, dom0_mem.max / PAGE_SIZE);
    if (pages > all) {
        log_warn("dom0_mem: %lu MiB are not there: Domain 0 gets %lu MiB", pages * PAGE_SIZE / MIB,
                 all * PAGE_SIZE / MIB);
        pages = all;
    }
    return pages;
}

uint64_t dom0_choose_max_pages(void)
{
    return dom0_mem.max ? dom0_mem.max / PAGE_SIZE : alloc_total_count();
}

unsigned dom0_choose_vcpus(void)
{
    unsigned cpus = 0, cpu;

    for_each_cpu (cpu, &cpus_online)
        cpus++;
    if (dom0_max_vcpus > VCPU_MAX)
        log_warn("dom0_max_vcpus: at most %u", VCPU_MAX);
    return MIN(dom0_max_vcpus ? dom0_max_vcpus : cpus, VCPU_MAX);
}

/* ---- PFNs ---- */

static void add_chunk(struct dom0_build *b, uint64_t pfn, mfn_t mfn, uint64_t count)
{
    struct dom0_chunk *last = b->chunks_count ? &b->chunks[b->chunks_count - 1] : NULL;

    for (uint64_t i = 0; i < count; i++)
        hw_m2p_set(mfn_add(mfn, i), pfn + i);
    if (last && last->pfn + last->count == pfn && last->mfn.n + last->count == mfn.n) {
        last->count += count;
        return;
    }
    if (b->chunks_count == DOM0_CHUNKS_MAX)
        boot_fail("Domain 0: memory is too fragmented to start its kernel");
    b->chunks[b->chunks_count++] = (struct dom0_chunk){pfn, count, mfn};
}

/* The largest pieces that fit. Contents stay: what must be clear is cleared when it is placed. */
void dom0_alloc_pfns(struct dom0_build *b, uint64_t pfn, uint64_t count)
{
    unsigned order = ORDER_MAX;

    while (count) {
        mfn_t m = INVALID_MFN;

        while (1UL << order > count)
            order--;
        while (mfn_eq(m = reservation_add(b->d, order, 0, true), INVALID_MFN))
            if (!order--)
                boot_fail("Domain 0: too little memory: %lu KiB are missing for its kernel, initrd and "
                          "tables",
                          count * PAGE_SIZE / KIB);
        add_chunk(b, pfn, m, 1UL << order);
        pfn += 1UL << order;
        count -= 1UL << order;
    }
}

void dom0_adopt_pfns(struct dom0_build *b, uint64_t pfn, mfn_t mfn, uint64_t count)
{
    reservation_adopt(b->d, mfn, count);
    add_chunk(b, pfn, mfn, count);
}

static const struct dom0_chunk *chunk_of(const struct dom0_build *b, uint64_t pfn)
{
    for (unsigned i = 0; i < b->chunks_count; i++)
        if (pfn - b->chunks[i].pfn < b->chunks[i].count)
            return &b->chunks[i];
    panic("Domain 0: PFN %lx has no frame", pfn);
}

mfn_t dom0_mfn_of(const struct dom0_build *b, uint64_t pfn)
{
    const struct dom0_chunk *c = chunk_of(b, pfn);
    return mfn_add(c->mfn, pfn - c->pfn);
}

void *dom0_pfn_va(const struct dom0_build *b, uint64_t pfn, uint64_t *run)
{
    const struct dom0_chunk *c = chunk_of(b, pfn);

    if (run)
        *run = (c->count - (pfn - c->pfn)) * PAGE_SIZE;
    return hw_frame_va(mfn_add(c->mfn, pfn - c->pfn));
}

/* ---- Contents of the boot window ---- */

static uint8_t *window_at(const struct dom0_build *b, uint64_t va, uint64_t *run)
{
    uint64_t offset = va - b->layout.v_start;
    uint8_t *page = dom0_pfn_va(b, offset / PAGE_SIZE, run);

    *run -= offset % PAGE_SIZE;
    return page + offset % PAGE_SIZE;
}

void dom0_copy_in(const struct dom0_build *b, uint64_t va, const void *data, uint64_t size)
{
    for (uint64_t n; size; size -= n, va += n, data = (const uint8_t *)data + n) {
        uint64_t run;
        uint8_t *to = window_at(b, va, &run);

        n = MIN(run, size);
        memcpy(to, data, n);
    }
}

void dom0_clear(const struct dom0_build *b, uint64_t va, uint64_t size)
{
    for (uint64_t n; size; size -= n, va += n) {
        uint64_t run;
        uint8_t *to = window_at(b, va, &run);

        n = MIN(run, size);
        memset(to, 0, n);
    }
}
