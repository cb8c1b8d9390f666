/* SPDX-License-Identifier: MIT */
/* LZ4 payloads in Linux's legacy frame (core/image/lz4frame.c), each block by Debian's liblz4. */
#include "core/lib/fail.h"
#include "x86/boot/decompress/arena.h"
#include <lz4.h>

int lz4_decode(const struct image_payload *p, uint8_t *out, const char **why)
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
            break;
        out += n;
        left -= (uint64_t)n;
        boot_breathe();
    }
    if (!rc && !left)
        return 0;
    *why = rc > 0 ? "has a damaged LZ4 payload" : "has a truncated LZ4 payload";
    return fail(-ENOEXEC);
}
