/* SPDX-License-Identifier: MIT */
/*
 * Unpacking of kernels in the tools: decompress() of core/image/decompress.h with Debian's libraries; and the ground that the hypervisor's
 * image code stands on. Payloads are not trusted: each decoder gets exactly the room that there is, and a limit of memory.
 */
#include "core/image/decompress.h"
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include "core/lib/fail.h"

#define XZ_MEMORY_MAX (256 * MIB)

uint32_t trace_mask; /* no traced errors here */
int fail_report(int rc, const char *file, int line, const char *text)
{
    return rc;
}

static int damaged(const char **why, const char *text)
{
    *why = text;
    return fail(-ENOEXEC);
}

static int no_memory(const char **why)
{
    *why = "cannot be unpacked: too little memory for the decoder";
    return fail(-ENOMEM);
}

static int gzip_decode(const struct image_payload *p, uint8_t *out, const char **why)
{
    z_stream s = {.next_in = (Bytef *)(uintptr_t)p->packed.data, .avail_in = (uInt)p->packed.size};
    int rc;

    if (p->packed.size > UINT32_MAX)
        return damaged(why, "has a gzip payload of more than 4 GiB");
    s.next_out = out;
    s.avail_out = (uInt)p->unpacked_size;  /* at most IMAGE_UNPACKED_MAX */
    rc = inflateInit2(&s, 16 + MAX_WBITS); /* 16: a gzip header and trailer */
    if (rc == Z_OK) {
        rc = inflate(&s, Z_FINISH);
        inflateEnd(&s);
    }
    if (rc == Z_MEM_ERROR)
        return no_memory(why);
    if (rc == Z_STREAM_END && !s.avail_out)
        return 0;
    return damaged(why, rc == Z_BUF_ERROR ? "has a truncated gzip payload" : "has a damaged gzip payload");
}

static int xz_decode(const struct image_payload *p, uint8_t *out, const char **why)
{
    uint64_t memory = XZ_MEMORY_MAX;
    size_t in = 0, made = 0;
    lzma_ret rc =
        lzma_stream_buffer_decode(&memory, 0, NULL, p->packed.data, &in, p->packed.size, out, &made, p->unpacked_size);

    if (rc == LZMA_OK && made == p->unpacked_size)
        return 0;
    if (rc == LZMA_MEM_ERROR || rc == LZMA_MEMLIMIT_ERROR)
        return no_memory(why);
    if (rc == LZMA_OPTIONS_ERROR || rc == LZMA_UNSUPPORTED_CHECK) {
        *why = "has an XZ payload with options that are not supported";
        return fail(-EOPNOTSUPP);
    }
    return damaged(why, "has a truncated or damaged XZ payload");
}

static int zstd_decode(const struct image_payload *p, uint8_t *out, const char **why)
{
    size_t n = ZSTD_decompress(out, p->unpacked_size, p->packed.data, p->packed.size);

    if (!ZSTD_isError(n) && n == p->unpacked_size)
        return 0;
    return damaged(why, "has a truncated or damaged zstd payload");
}

static int lz4_decode(const struct image_payload *p, uint8_t *out, const char **why)
{
    uint64_t left = p->unpacked_size;
    struct image_span block;
    struct lz4_blocks it;
    int rc = lz4_blocks_start(p->packed, &it, why);

    if (rc)
        return rc;
    while ((rc = lz4_blocks_next(&it, &block, why)) > 0) {
        int n = LZ4_decompress_safe((const char *)block.data, (char *)out, (int)block.size,
                                    (int)MIN(left, LZ4_BLOCK_UNPACKED));
        if (n <= 0)
            return damaged(why, "has a damaged LZ4 payload");
        out += n;
        left -= (uint64_t)n;
    }
    if (rc)
        return rc;
    return left ? damaged(why, "has a truncated LZ4 payload") : 0;
}

int decompress(const struct image_payload *payload, uint8_t *out, const char **why)
{
    switch (payload->format) {
    case IMAGE_GZIP:
        return gzip_decode(payload, out, why);
    case IMAGE_XZ:
        return xz_decode(payload, out, why);
    case IMAGE_ZSTD:
        return zstd_decode(payload, out, why);
    case IMAGE_LZ4:
        return lz4_decode(payload, out, why);
    default:
        *why = "is packed in a way that is not supported (gzip, XZ, zstd, LZ4 are)";
        return fail(-EOPNOTSUPP);
    }
}
