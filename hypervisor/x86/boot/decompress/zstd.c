/* SPDX-License-Identifier: MIT */
/* Zstandard payloads, by Debian's libzstd. In one call: the window is then the output itself and nothing is copied. */
#include "core/lib/fail.h"
#include "x86/boot/decompress/arena.h"
#define ZSTD_STATIC_LINKING_ONLY /* for the custom allocator */
#include <zstd.h>

static void *zstd_alloc(void *opaque, size_t size)
{
    return arena_alloc(size);
}

static void zstd_free(void *opaque, void *p)
{
    arena_release(p);
}

int zstd_decode(const struct image_payload *p, uint8_t *out, const char **why)
{
    ZSTD_customMem memory = {zstd_alloc, zstd_free, NULL};
    ZSTD_DCtx *ctx = ZSTD_createDCtx_advanced(memory);
    size_t n;

    if (!ctx) {
        *why = "cannot be unpacked: too little memory for the zstd decoder";
        return fail(-ENOMEM);
    }
    n = ZSTD_decompressDCtx(ctx, out, p->unpacked_size, p->packed.data, p->packed.size);
    ZSTD_freeDCtx(ctx);
    if (!ZSTD_isError(n) && n == p->unpacked_size)
        return 0;
    *why = "has a truncated or damaged zstd payload";
    return fail(-ENOEXEC);
}
