/* SPDX-License-Identifier: MIT */
/*
 * XZ payloads, by Debian's liblzma: one stream, any filters that it knows (Linux: x86 BCJ and LZMA2 with a 32 MiB
 * dictionary). The CRC64 check is refused: liblzma chooses its implementation in a constructor, and nobody runs those here.
 */
#include "core/lib/fail.h"
#include "x86/boot/decompress/arena.h"
#include <lzma.h>

#define MEMORY_MAX    (256 * MIB)
#define CHECK_BYTE    7 /* of the stream's header */
#define STREAM_HEADER 12

static void *xz_alloc(void *opaque, size_t count, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : arena_alloc(bytes);
}

static void xz_free(void *opaque, void *p)
{
    arena_release(p);
}

static const lzma_allocator allocator = {xz_alloc, xz_free, NULL};

static int result(lzma_ret rc, uint64_t missing, const char **why)
{
    if (rc == LZMA_STREAM_END && !missing)
        return 0;
    if (rc == LZMA_MEM_ERROR || rc == LZMA_MEMLIMIT_ERROR) {
        *why = "cannot be unpacked: too little memory for the XZ decoder";
        return fail(-ENOMEM);
    }
    if (rc == LZMA_OPTIONS_ERROR || rc == LZMA_UNSUPPORTED_CHECK) {
        *why = "has an XZ payload with options that are not supported";
        return fail(-EOPNOTSUPP);
    }
    *why = rc == LZMA_BUF_ERROR || rc == LZMA_OK ? "has a truncated XZ payload" : "has a damaged XZ payload";
    return fail(-ENOEXEC);
}

int xz_decode(const struct image_payload *p, uint8_t *out, const char **why)
{
    lzma_stream s = LZMA_STREAM_INIT;
    uint64_t left = p->unpacked_size;
    lzma_ret rc;

    if (p->packed.size >= STREAM_HEADER && p->packed.data[CHECK_BYTE] == LZMA_CHECK_CRC64)
        return result(LZMA_UNSUPPORTED_CHECK, 0, why);
    s.allocator = &allocator;
    rc = lzma_stream_decoder(&s, MEMORY_MAX, LZMA_TELL_UNSUPPORTED_CHECK);
    s.next_in = p->packed.data;
    s.avail_in = p->packed.size;
    s.next_out = out;
    while (rc == LZMA_OK) {
        uint64_t slice = MIN(left, UNPACK_SLICE);

        s.avail_out = slice;
        rc = lzma_code(&s, left == slice ? LZMA_FINISH : LZMA_RUN);
        left -= slice - s.avail_out;
        boot_breathe();
    }
    lzma_end(&s);
    return result(rc, left, why);
}
