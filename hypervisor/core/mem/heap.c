/* SPDX-License-Identifier: MIT */
/*
 * The small-object heap. Objects up to 2 KiB come from slabs: one frame with objects of one size class behind a header, and a
 * list of free ones. Larger ones are whole frames, the tail of the power of two given back.
 *
 * A heap frame is the hypervisor's; which kind it is stands in its record's `prev`, the number of frames of a large object
 * in `next` (free for that use: it is on no list).
 *
 * Lock: LOCK_HEAP class, one for all slabs. The allocator's lock has the same class, so frames are got and given back outside.
 */
#include "core/mem/alloc.h"
#include "core/lib/lock.h"
#include "core/lib/list.h"
#include "core/lib/string.h"
#include "hw/hw.h"

#define KIND_SLAB  0x51ab0000u
#define KIND_LARGE 0x1a49e000u
#define LARGE_MAX  MIB
#define SLAB_MAX   2032 /* two in a frame */

struct slab {
    struct list link; /* in its class's list while it has a free object */
    void *free;
    uint32_t used;
    uint32_t class;
};
#define SLAB_HEADER 32
_Static_assert(sizeof(struct slab) <= SLAB_HEADER, "objects begin behind the header");

static const uint16_t class_size[] = {16, 32, 48, 64, 96, 128, 192, 256, 336, 448, 576, 800, 1008, 1344, SLAB_MAX};
#define CLASSES ARRAY_SIZE(class_size)

static struct spinlock lock = SPINLOCK_INIT(LOCK_HEAP);
static struct list partial[CLASSES];
static uint64_t used_bytes;

static unsigned class_of(size_t size)
{
    unsigned c = 0;

    while (class_size[c] < size)
        c++;
    return c;
}

static struct slab *slab_of(const void *p)
{
    return (struct slab *)((uintptr_t)p & PAGE_MASK);
}

static struct slab *slab_create(unsigned class)
{
    mfn_t mfn = alloc_frames(0, 0);
    struct slab *s;

    if (mfn_eq(mfn, INVALID_MFN))
        return NULL;
    frame_of(mfn)->prev = KIND_SLAB;
    s = hw_frame_va(mfn);
    *s = (struct slab){.class = class};
    for (size_t at = SLAB_HEADER; at + class_size[class] <= PAGE_SIZE; at += class_size[class]) {
        void **object = (void **)((char *)s + at);
        *object = s->free;
        s->free = object;
    }
    return s;
}

static void slab_destroy(struct slab *s)
{
    mfn_t mfn = hw_va_frame(s);

    frame_of(mfn)->prev = 0;
    free_frames(mfn, 0);
}

/* Under the lock; NULL: no slab of the class has a free object. */
static void *slab_take(unsigned class)
{
    struct slab *s;
    void **object;

    if (!partial[class].next)
        list_init(&partial[class]);
    s = list_first(&partial[class], struct slab, link);
    if (!s)
        return NULL;
    object = s->free;
    s->free = *object;
    s->used++;
    if (!s->free)
        list_del(&s->link);
    __atomic_fetch_add(&used_bytes, class_size[class], __ATOMIC_RELAXED);
    return object;
}

static void *small_alloc(size_t size)
{
    unsigned class = class_of(size);
    void *p;

    spin_lock(&lock);
    p = slab_take(class);
    spin_unlock(&lock);
    if (!p) {
        struct slab *s = slab_create(class);
        if (!s)
            return NULL;
        spin_lock(&lock);
        list_add(&s->link, &partial[class]);
        p = slab_take(class);
        spin_unlock(&lock);
    }
    memset(p, 0, class_size[class]);
    return p;
}

static void small_free(void *p)
{
    struct slab *s = slab_of(p);
    bool last;

    spin_lock(&lock);
    ASSERT(s->used && s->class < CLASSES && ((uintptr_t)p - (uintptr_t)s - SLAB_HEADER) % class_size[s->class] == 0);
    __atomic_fetch_sub(&used_bytes, class_size[s->class], __ATOMIC_RELAXED);
    if (!s->free)
        list_add(&s->link, &partial[s->class]);
    *(void **)p = s->free;
    s->free = p;
    /* One empty slab a class is kept. */
    last = --s->used == 0 && partial[s->class].next->next != &partial[s->class];
    if (last)
        list_del(&s->link);
    spin_unlock(&lock);
    if (last)
        slab_destroy(s);
}

static void free_run(uint64_t mfn, uint64_t end)
{
    while (mfn < end) {
        unsigned order = (unsigned)__builtin_ctzl(mfn);
        while (mfn + (1UL << order) > end)
            order--;
        free_frames(MFN(mfn), order);
        mfn += 1UL << order;
    }
}

static void *large_alloc(size_t size)
{
    uint64_t frames = DIV_ROUND_UP(size, PAGE_SIZE);
    unsigned order = 0;
    mfn_t mfn;

    while ((1UL << order) < frames)
        order++;
    mfn = alloc_frames(order, 0);
    if (mfn_eq(mfn, INVALID_MFN))
        return NULL;
    free_run(mfn.n + frames, mfn.n + (1UL << order));
    for (uint64_t i = 0; i < frames; i++)
        hw_clear_frame(mfn_add(mfn, i));
    frame_of(mfn)->prev = KIND_LARGE;
    frame_of(mfn)->next = (uint32_t)frames;
    __atomic_fetch_add(&used_bytes, frames * PAGE_SIZE, __ATOMIC_RELAXED);
    return hw_frame_va(mfn);
}

static void large_free(void *p, struct frame *f)
{
    mfn_t mfn = frame_mfn(f);
    uint64_t frames = f->next;

    ASSERT(p == hw_frame_va(mfn));
    f->next = f->prev = 0;
    __atomic_fetch_sub(&used_bytes, frames * PAGE_SIZE, __ATOMIC_RELAXED);
    free_run(mfn.n, mfn.n + frames);
}

void *heap_alloc(size_t size)
{
    if (!size || size > LARGE_MAX)
        return NULL;
    return size <= SLAB_MAX ? small_alloc(size) : large_alloc(size);
}

void *heap_alloc_array(size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return heap_alloc(total);
}

void heap_free(void *p)
{
    struct frame *f;

    if (!p)
        return;
    f = frame_of(hw_va_frame(p));
    if (f->prev == KIND_SLAB)
        small_free(p);
    else if (f->prev == KIND_LARGE)
        large_free(p, f);
    else
        panic("heap_free(%p): not a heap object", p);
}

uint64_t heap_used_bytes(void)
{
    return __atomic_load_n(&used_bytes, __ATOMIC_RELAXED);
}
