/* SPDX-License-Identifier: MIT */
/*
 * The fuzzing of guests and of this Domain 0: rounds with two guests on all their vCPUs and a vCPU of ours, each round with a
 * seed of its own; after each everything is destroyed and looked at.
 */
#include "dom0/dom0.h"
#include "fuzz/fuzz.h"

#define ROUND_NS 2000000000UL

static uint8_t pages[FUZZ_PAGES * PAGE] __attribute__((aligned(4096)));
static uint8_t call_page[PAGE] __attribute__((aligned(4096)));
static struct fuzz own;
static uint32_t stop, own_running;
static uint64_t made;
static unsigned missing_in_a_row;

static void fuzz_as_domain0(void *arg)
{
    for (;;) {
        while (!READ_ONCE(own_running))
            sched_op(SCHEDOP_yield, NULL);
        while (!READ_ONCE(stop))
            fuzz_step(&own);
        WRITE_ONCE(own_running, 0);
    }
}

/* The pages are data again, whatever they were made. */
static void recover_pages(void)
{
    for (unsigned i = 0; i < FUZZ_PAGES; i++) {
        map_entry(pages + i * PAGE, 0);
        unpin(pages + i * PAGE);
    }
    hypercall(__HYPERVISOR_set_gdt, 0, 0, 0, 0);
    mmuext(MMUEXT_SET_LDT, 0, 0);
}

static void start_own(uint64_t seed)
{
    own = (struct fuzz){.state = seed,
                        .privileged = true,
                        .pages = pages,
                        .call = call_page,
                        .count = own.count,
                        .frames = {guests[0].mfns[0], guests[1].mfns[0], guests[0].mfns[400], guests[1].mfns[1000],
                                   0x200, guests[0].mfns[guests[0].pages_used - 5], 0xfee00,
                                   (uint64_t)memory_op(XENMEM_maximum_ram_page, NULL)},
                        .domains = {guests[0].domain, guests[1].domain, guests[0].domain, 0}};
    WRITE_ONCE(stop, 0);
    WRITE_ONCE(own_running, 1);
}

static void stop_own(void)
{
    WRITE_ONCE(stop, 1);
    while (READ_ONCE(own_running))
        sched_op(SCHEDOP_yield, NULL);
}

/* Those that the fuzzing has created too. */
static void destroy_others(void)
{
    struct xen_domctl op = {0};

    for (uint32_t id = 1; !domctl(XEN_DOMCTL_getdomaininfo, (uint16_t)id, &op); id = op.domain + 1u) {
        struct xen_domctl destroy = {0};

        if (!op.domain)
            break;
        domctl(XEN_DOMCTL_destroydomain, op.domain, &destroy);
    }
}

static bool start_guests(uint64_t seed)
{
    for (unsigned i = 0; i < GUESTS_MAX; i++)
        if (!guest_create(&guests[i], ROLE_FUZZER))
            return false;
    for (unsigned i = 0; i < GUESTS_MAX; i++) {
        guests[i].board->seed = seed * GUESTS_MAX + i;
        guests[i].board->peer = guests[!i].domain;
        guests[i].board->peer_mfn = guests[!i].mfns[0];
        guests[i].board->frames_max = (uint64_t)memory_op(XENMEM_maximum_ram_page, NULL);
    }
    return guest_start(&guests[0]) && guest_start(&guests[1]);
}

static uint64_t count_calls(void)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < GUESTS_MAX; i++)
        for (unsigned v = 0; v < VCPUS_MAX; v++)
            n += guests[i].board->hypercalls[v] & 0xffffffff;
    return n;
}

static bool fuzz_round(uint64_t seed, uint64_t round, bool with_own)
{
    uint64_t calls, end;
    int reasons[GUESTS_MAX] = {0};
    bool good = start_guests(seed);

    end = now_ns() + ROUND_NS;
    if (good && with_own)
        start_own(seed);
    for (unsigned i = 0; good && i < GUESTS_MAX; i++)
        reasons[i] = guest_wait(&guests[i], now_ns() < end ? end - now_ns() : 0);
    stop_own();
    calls = good ? count_calls() : 0;
    made += calls;
    if (with_own)
        recover_pages();
    good &= guests_destroy();
    if (with_own)
        destroy_others();
    good &= all_is_well();
    if (!with_own) /* Domain 0 gets and gives up memory of its own */
        missing_in_a_row = memory_is_missing() ? missing_in_a_row + 1 : 0;
    if (missing_in_a_row > 4) /* a first use keeps a page of the hypervisor's; not each round's */
        good = false;
    if (!good || round % 10 == 0)
        print("fuzz: round %lu, seed %lu: %lu hypercalls by guests, which ended %d and %d%s\n", round, seed, calls,
              reasons[0], reasons[1], good ? "" : ": FAILED");
    return good;
}

unsigned fuzz_for(uint64_t seconds, uint64_t seed)
{
    uint64_t end = now_ns() + seconds * 1000000000, round = 0;
    unsigned failed = 0;

    if (!seconds)
        return 0;
    if (cpu_start(1, fuzz_as_domain0, NULL))
        print("fuzz: Domain 0 has no second vCPU: guests only\n");
    for (; now_ns() < end; round++)
        failed += !fuzz_round(seed + round, round, round & 1);
    print("fuzz: %lu rounds, %lu hypercalls: %lu by guests, %lu by Domain 0; %u rounds failed\n", round,
          made + own.count, made, own.count, failed);
    return failed;
}
