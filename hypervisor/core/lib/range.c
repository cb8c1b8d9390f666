/* SPDX-License-Identifier: MIT */
/* Sets of numbers as sorted disjoint ranges. The array grows by doubling; a change that needs
 * memory which is not to be had leaves the set as it was. */
#include "core/lib/range.h"
#include "core/lib/fail.h"
#include "core/lib/string.h"
#include "core/mem/alloc.h"

void rangeset_init(struct rangeset *s)
{
    *s = (struct rangeset){0};
}

void rangeset_free(struct rangeset *s)
{
    heap_free(s->ranges);
    rangeset_init(s);
}

/* Index of the first range that ends at or after n. */
static unsigned find_from(const struct rangeset *s, uint64_t n)
{
    unsigned lo = 0, hi = s->count;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (s->ranges[mid].last < n)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int make_room(struct rangeset *s)
{
    unsigned room = s->room ? s->room * 2 : 8;
    struct range *bigger;

    if (s->count < s->room)
        return 0;
    bigger = heap_alloc_array(room, sizeof(*bigger));
    if (!bigger)
        return fail(-ENOMEM);
    if (s->count)
        memcpy(bigger, s->ranges, s->count * sizeof(*bigger));
    heap_free(s->ranges);
    s->ranges = bigger;
    s->room = room;
    return 0;
}

static void remove_at(struct rangeset *s, unsigned first, unsigned count)
{
    memmove(&s->ranges[first], &s->ranges[first + count], (s->count - first - count) * sizeof(*s->ranges));
    s->count -= count;
}

static void insert_at(struct rangeset *s, unsigned i, struct range r)
{
    memmove(&s->ranges[i + 1], &s->ranges[i], (s->count - i) * sizeof(r));
    s->ranges[i] = r;
    s->count++;
}

int rangeset_add(struct rangeset *s, uint64_t first, uint64_t last)
{
    struct range r = {first, last};
    unsigned i, n = 0;

    if (first > last)
        return fail(-EINVAL);
    if (make_room(s))
        return -ENOMEM;
    i = find_from(s, first ? first - 1 : 0); /* one that touches counts as overlapping */
    for (; i + n < s->count; n++) {
        const struct range *o = &s->ranges[i + n];
        if (last != ~0UL && o->first > last + 1)
            break;
        r.first = MIN(r.first, o->first);
        r.last = MAX(r.last, o->last);
    }
    remove_at(s, i, n);
    insert_at(s, i, r);
    return 0;
}

int rangeset_remove(struct rangeset *s, uint64_t first, uint64_t last)
{
    unsigned i;

    if (first > last)
        return fail(-EINVAL);
    if (make_room(s)) /* a hole in the middle of a range makes one more */
        return -ENOMEM;
    for (i = find_from(s, first); i < s->count && s->ranges[i].first <= last;) {
        struct range *o = &s->ranges[i];
        struct range tail = {last + 1, o->last};
        bool keep_tail = o->last > last, keep_head = o->first < first;

        if (keep_head) {
            o->last = first - 1;
            i++;
        } else {
            remove_at(s, i, 1);
        }
        if (keep_tail) {
            insert_at(s, i, tail);
            break;
        }
    }
    return 0;
}

bool rangeset_contains(const struct rangeset *s, uint64_t first, uint64_t last)
{
    unsigned i = find_from(s, first);
    return first <= last && i < s->count && s->ranges[i].first <= first && s->ranges[i].last >= last;
}

bool rangeset_overlaps(const struct rangeset *s, uint64_t first, uint64_t last)
{
    unsigned i = find_from(s, first);
    return first <= last && i < s->count && s->ranges[i].first <= last;
}
