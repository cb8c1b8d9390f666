/* SPDX-License-Identifier: MIT */
/*
 * Large contiguous memory while booting; see arena.h. A piece is cut from a power of two of frames, whose rest goes back at
 * once. The libraries' small objects share one chunk and live until the end; large ones are pieces of their own.
 */
#include "x86/boot/decompress/arena.h"
#include "core/domain/domain.h"
#include "core/lib/fail.h"
#include "core/mem/alloc.h"

#define CHUNK_SIZE   (512 * KIB)
#define SMALL_MAX    (64 * KIB)
#define LARGE_PIECES 16

static struct {
    uint8_t *chunk;
    uint64_t used;
    struct {
        void *p;
        uint64_t size;
    } large[LARGE_PIECES];
} arena;

/* Gives back frames [from, to) of a piece whose first frame is aligned to the piece's power of two. */
static void free_range(mfn_t base, uint64_t from, uint64_t to)
{
    while (from < to) {
        unsigned order = from ? (unsigned)__builtin_ctzl(from) : ORDER_MAX;

        while (from + (1UL << order) > to || order > ORDER_MAX)
            order--;
        free_frames(mfn_add(base, from), order);
        from += 1UL << order;
    }
}

void *boot_alloc(uint64_t size)
{
    uint64_t frames = DIV_ROUND_UP(size, PAGE_SIZE);
    unsigned order = 0;
    mfn_t m;

    if (!size || size > (PAGE_SIZE << ORDER_MAX))
        return NULL;
    while (1UL << order < frames)
        order++;
    m = alloc_frames(order, 0);
    if (mfn_eq(m, INVALID_MFN))
        return NULL;
    free_range(m, frames, 1UL << order);
    return hw_frame_va(m);
}

void boot_free(void *p, uint64_t size)
{
    if (p)
        free_range(hw_va_frame(p), 0, DIV_ROUND_UP(size, PAGE_SIZE));
}

void boot_breathe(void)
{
    (void)hw_preempt_check();
    pcpu_do_work();
}

static void *large_alloc(uint64_t size)
{
    for (unsigned i = 0; i < LARGE_PIECES; i++) {
        if (arena.large[i].p)
            continue;
        arena.large[i].p = boot_alloc(size);
        arena.large[i].size = size;
        return arena.large[i].p;
    }
    return NULL;
}

void *arena_alloc(uint64_t size)
{
    uint8_t *p;

    if (size > SMALL_MAX)
        return large_alloc(size);
    size = ROUND_UP(MAX(size, 1UL), 64);
    if (!arena.chunk) {
        arena.chunk = boot_alloc(CHUNK_SIZE);
        arena.used = 0;
    }
    if (!arena.chunk || size > CHUNK_SIZE - arena.used)
        return NULL;
    p = arena.chunk + arena.used;
    arena.used += size;
    return p;
}

void arena_release(void *p)
{
    for (unsigned i = 0; p && i < LARGE_PIECES; i++)
        if (arena.large[i].p == p) {
            boot_free(p, arena.large[i].size);
            arena.large[i].p = NULL;
        }
}

void arena_release_all(void)
{
    for (unsigned i = 0; i < LARGE_PIECES; i++)
        arena_release(arena.large[i].p);
    boot_free(arena.chunk, CHUNK_SIZE);
    arena.chunk = NULL;
}
