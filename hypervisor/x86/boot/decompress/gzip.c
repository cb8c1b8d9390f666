/* SPDX-License-Identifier: MIT */
/* Gzip payloads, by Debian's zlib. */
#include "core/lib/fail.h"
#include "x86/boot/decompress/arena.h"
#include <zlib.h>

static void *gzip_alloc(void *opaque, unsigned count, unsigned size)
{
    return arena_alloc((uint64_t)count * size);
}

static void gzip_free(void *opaque, void *p)
{
    arena_release(p);
}

int gzip_decode(const struct image_payload *p, uint8_t *out, const char **why)
{
    z_stream s = {.zalloc = gzip_alloc, .zfree = gzip_free};
    uint64_t left = p->unpacked_size;
    int rc;

    if (p->packed.size > UINT32_MAX) {
        *why = "has a gzip payload of more than 4 GiB";
        return fail(-ENOEXEC);
    }
    s.next_in = (Bytef *)(uintptr_t)p->packed.data;
    s.avail_in = (uInt)p->packed.size;
    s.next_out = out;
    rc = inflateInit2(&s, 16 + MAX_WBITS); /* 16: a gzip header and trailer */
    while (rc == Z_OK) {
        uInt slice = (uInt)MIN(left, UNPACK_SLICE);

        s.avail_out = slice;
        rc = inflate(&s, Z_NO_FLUSH);
        left -= slice - s.avail_out;
        boot_breathe();
    }
    inflateEnd(&s);
    if (rc == Z_STREAM_END && !left)
        return 0;
    if (rc == Z_MEM_ERROR) {
        *why = "cannot be unpacked: too little memory for the gzip decoder";
        return fail(-ENOMEM);
    }
    *why = rc == Z_BUF_ERROR ? "has a truncated gzip payload" : "has a damaged gzip payload";
    return fail(-ENOEXEC);
}
