/* SPDX-License-Identifier: MIT */
/*
 * Frames that change hands: for each way to take a reference, another CPU gives the frame to another domain at each place where
 * it may, one place after the other; and once more so that the frame is again just what it was, but for its owner. Whoever then
 * has a reference has it on a frame of the domain that it asked for.
 */
#include "model.h"
#include "core/domain/domain.h"
#include "core/mem/alloc.h"
#include "core/mem/entry.h"
#include "core/mem/mmu.h"
#include "core/mem/refs.h"
#include "core/mem/reservation.h"
#include "core/mem/type.h"

#define POINTS_MAX 200
#define TRIES      16 /* allocations until the frame comes back */

static struct domain *here, *there;
static mfn_t frame, table;
static int result;

/* ---- Ways to take a reference on `frame` as a frame of `here`, and to give it back ---- */

static int take_plain(void)
{
    return frame_get_owned(frame, here->id) ? 0 : -EINVAL;
}

static void give_plain(void)
{
    frame_put(frame_of(frame));
}

static int take_writable(void)
{
    return writable_get(frame, here->id);
}

static void give_writable(void)
{
    writable_put(frame_of(frame));
}

static int take_table(void)
{
    return type_get(here, frame_of(frame), FT_L1);
}

static void give_table(void)
{
    type_put(frame_of(frame), false);
}

static int take_held(void)
{
    return table_hold(frame_of(frame), here->id, true);
}

static int take_entry(pte_t e)
{
    return l1_entry_get(here, &e, here->id);
}

static int take_readonly_entry(void)
{
    return take_entry(pte_make(frame, PTE_P | PTE_US));
}

static void give_readonly_entry(void)
{
    l1_entry_put(pte_make(frame, PTE_P | PTE_US));
}

static int take_writable_entry(void)
{
    return take_entry(pte_make(frame, PTE_P | PTE_US | PTE_RW));
}

static void give_writable_entry(void)
{
    l1_entry_put(pte_make(frame, PTE_P | PTE_US | PTE_RW));
}

/* In a live table, the short way. */
static int map(uint64_t flags)
{
    return mmu_cmpxchg_l1(here, table, 5, 0, pte_make(frame, PTE_P | PTE_US | flags));
}

static int map_readonly(void)
{
    return map(0);
}

static int map_writable(void)
{
    return map(PTE_RW);
}

static void unmap(void)
{
    pte_t e = ((pte_t *)hw_frame_va(table))[5];

    if (mmu_cmpxchg_l1(here, table, 5, e, 0))
        violation("an entry of a live table cannot be cleared");
}

/* `frame` is a table whose entry is changed. */
static int change_entry(void)
{
    return mmu_cmpxchg_l1(here, frame, 7, 0, 2);
}

enum kind { PAGE_OF_DATA, FORMER_TABLE, TABLE };
static const struct way {
    const char *name;
    enum kind kind;
    int (*take)(void);
    void (*give)(void); /* NULL: nothing is kept */
} ways[] = {
    {"a plain reference", PAGE_OF_DATA, take_plain, give_plain},
    {"a writable reference", PAGE_OF_DATA, take_writable, give_writable},
    {"a writable reference on a former table", FORMER_TABLE, take_writable, give_writable},
    {"a page becomes a table", PAGE_OF_DATA, take_table, give_table},
    {"a table once more", TABLE, take_table, give_table},
    {"a table is held", TABLE, take_held, give_table},
    {"an entry, read-only", PAGE_OF_DATA, take_readonly_entry, give_readonly_entry},
    {"an entry, writable", PAGE_OF_DATA, take_writable_entry, give_writable_entry},
    {"a mapping, read-only", PAGE_OF_DATA, map_readonly, unmap},
    {"a mapping, writable", PAGE_OF_DATA, map_writable, unmap},
    {"an entry of the table", TABLE, change_entry, NULL},
};

/* ---- Handing over ---- */

static void must(bool ok, const char *what)
{
    if (!ok)
        violation("hands: %s", what);
}

static struct domain *new_domain(uint16_t id)
{
    struct domain_config cfg = {
        .id = id, .max_vcpus = 1, .max_grant_frames = 1, .max_maptrack_frames = 1, .pages_max = 32};
    struct domain *d;

    must(!domain_create(&cfg, &d), "a domain cannot be made");
    return d;
}

/* A frame is given the kind that a way wants, by its owner. */
static void become(struct domain *d, enum kind kind)
{
    if (kind == PAGE_OF_DATA)
        return;
    memset(hw_frame_va(frame), 0, PAGE_SIZE);
    must(!mmu_pin(d, frame, 1), "a table cannot be pinned");
    if (kind == FORMER_TABLE)
        must(!mmu_unpin(d, frame), "a table cannot be unpinned");
}

static const struct way *way;
static bool alike; /* the new owner makes of the frame what it was */

/* The frame goes from `here` to `there`, if its owner can give it up. */
static void hand_over(void)
{
    if (way->kind == TABLE && mmu_unpin(here, frame))
        return;
    if (reservation_drop(here, frame))
        return;
    for (unsigned i = 0; i < TRIES && frame_owner(frame_of(frame)) != there->id; i++)
        (void)reservation_add(there, 0, 0, false);
    if (alike && frame_owner(frame_of(frame)) == there->id)
        become(there, way->kind);
}

static void take(void)
{
    result = way->take();
}

/* Whether what was taken is another's. */
static bool is_wrong(void)
{
    uint16_t owner = frame_owner(frame_of(frame));

    if (result || owner == here->id)
        return false;
    return way->give || (owner == there->id && ((pte_t *)hw_frame_va(frame))[7]); /* which began empty */
}

/* All but the live table goes back to the allocator. */
static void clean_up(void)
{
    if (!result && way->give)
        way->give();
    (void)mmu_unpin(here, frame);
    (void)mmu_unpin(there, frame);
    (void)reservation_drop(here, frame);
    while (reservation_drop_run(there, 64))
        continue;
    must(frame_owner(frame_of(frame)) == FRAME_OWNER_NONE, "the frame is not free");
    check_frames();
}

/* One order. False: there are no more places. */
static bool try_place(unsigned place)
{
    frame = reservation_add(here, 0, 0, false);
    must(!mfn_eq(frame, INVALID_MFN), "no frame");
    become(here, way->kind);
    cpus_two(take, hand_over, place);
    if (is_wrong())
        violation("%s on frame %lx of domain %u, which is %u's by then (place %u%s)", way->name, frame.n, here->id,
                  frame_owner(frame_of(frame)), place, alike ? ", alike" : "");
    clean_up();
    return cpus_points >= place;
}

void hands_try_all(void)
{
    here = new_domain(1);
    there = new_domain(2);
    table = reservation_add(here, 0, 0, false);
    memset(hw_frame_va(table), 0, PAGE_SIZE);
    must(!mmu_pin(here, table, 1), "no table");
    for (unsigned w = 0; w < ARRAY_SIZE(ways); w++) {
        way = &ways[w];
        for (unsigned i = 0; i < 2; i++) {
            alike = i;
            for (unsigned place = 1; place < POINTS_MAX && try_place(place); place++)
                stats->hands++;
        }
    }
}
