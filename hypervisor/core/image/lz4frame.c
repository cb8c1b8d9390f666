/* SPDX-License-Identifier: MIT */
/*
 * The legacy LZ4 frame that Linux's build uses: a magic word, then blocks of a 32-bit packed size and that many bytes, each
 * of up to 8 MiB unpacked. A new magic word may stand in place of a size (frames one behind the other). Hostile input: see
 * image.h.
 */
#include "core/image/image.h"
#include "core/lib/fail.h"

#define LEGACY_MAGIC 0x184c2102u
/* The worst case of a block that could not be packed */
#define BLOCK_PACKED_MAX (LZ4_BLOCK_UNPACKED + LZ4_BLOCK_UNPACKED / 255 + 16)

static uint32_t take_le32(struct image_span *s)
{
    uint32_t v = s->data[0] | (uint32_t)s->data[1] << 8 | (uint32_t)s->data[2] << 16 | (uint32_t)s->data[3] << 24;
    s->data += 4;
    s->size -= 4;
    return v;
}

int lz4_blocks_start(struct image_span packed, struct lz4_blocks *it, const char **why)
{
    if (packed.size < 4 || take_le32(&packed) != LEGACY_MAGIC) {
        *why = "has an LZ4 payload without the legacy frame's magic";
        return fail(-ENOEXEC);
    }
    it->rest = packed;
    return 0;
}

int lz4_blocks_next(struct lz4_blocks *it, struct image_span *block, const char **why)
{
    uint32_t size = LEGACY_MAGIC;

    while (size == LEGACY_MAGIC) {
        if (!it->rest.size)
            return 0;
        if (it->rest.size < 4)
            goto truncated;
        size = take_le32(&it->rest);
    }
    if (!size || size > BLOCK_PACKED_MAX || size > it->rest.size)
        goto truncated;
    *block = (struct image_span){it->rest.data, size};
    it->rest.data += size;
    it->rest.size -= size;
    return 1;
truncated:
    *why = "has a truncated or damaged LZ4 payload";
    return fail(-ENOEXEC);
}
