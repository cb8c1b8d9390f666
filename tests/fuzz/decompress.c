/* SPDX-License-Identifier: MIT */
/*
 * The two sets of decoders, the hypervisor's and the tools', on the same payload: neither goes beyond its room, both agree on
 * what is whole and on what comes out. An input is the format, the unpacked size, then the packed bytes.
 */
#include <stdbool.h>
#include "fuzz.h"
#include "core/lib/fail.h"
#include "x86/boot/decompress/arena.h"

#define ROOM  65536
#define SPARE 64 /* bytes behind the room that must stay as they are */

/* ---- The arena of the hypervisor's decoders: what is left is released at the end, as decompress() there does ---- */
#define PIECES 64
static void *pieces[PIECES];

void *arena_alloc(uint64_t size)
{
    for (unsigned i = 0; i < PIECES; i++)
        if (!pieces[i])
            return pieces[i] = malloc(size);
    return NULL;
}

void arena_release(void *p)
{
    for (unsigned i = 0; p && i < PIECES; i++)
        if (pieces[i] == p) {
            free(p);
            pieces[i] = NULL;
            return;
        }
    MUST(!p, "released twice");
}

void arena_release_all(void)
{
    for (unsigned i = 0; i < PIECES; i++)
        arena_release(pieces[i]);
}

void boot_breathe(void)
{
}

typedef int decoder_t(const struct image_payload *p, uint8_t *out, const char **why);

static int run(decoder_t *decode, const struct image_payload *p, uint8_t **out)
{
    const char *why = NULL;
    int rc;

    *out = malloc(p->unpacked_size + SPARE);
    memset(*out, 0xe5, p->unpacked_size + SPARE);
    rc = decode(p, *out, &why);
    MUST(!rc || why, "no reason");
    for (unsigned i = 0; i < SPARE; i++)
        MUST((*out)[p->unpacked_size + i] == 0xe5, "written behind the end");
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        enum image_format format;
        decoder_t *decode;
    } formats[4] = {
        {IMAGE_GZIP, gzip_decode}, {IMAGE_XZ, xz_decode}, {IMAGE_ZSTD, zstd_decode}, {IMAGE_LZ4, lz4_decode}};
    struct input in = {data, data + size};
    unsigned which = input_u8(&in) & 3;
    struct image_payload p = {.format = formats[which].format, .unpacked_size = 1 + input_u16(&in) % ROOM};
    uint8_t *hypervisors, *tools;
    int rc, rc_tools;

    p.packed = (struct image_span){in.at, input_left(&in)};
    rc = run(formats[which].decode, &p, &hypervisors);
    arena_release_all();
    rc_tools = run(decompress, &p, &tools);
    /* The hypervisor has no CRC64 for XZ. */
    MUST(!rc == !rc_tools || (rc == -EOPNOTSUPP && p.format == IMAGE_XZ), "%d, but %d in the tools", rc, rc_tools);
    if (!rc)
        MUST(!memcmp(hypervisors, tools, p.unpacked_size), "other contents");
    free(hypervisors);
    free(tools);
    return 0;
}
