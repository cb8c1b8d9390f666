/* SPDX-License-Identifier: MIT */
/*
 * Boot modules that may hold a kernel: Linux's bzImage with its packed payload, a packed ELF file, or an ELF file.
 * Hostile input: see image.h.
 */
#include "core/image/image.h"
#include "core/lib/fail.h"
#include "core/lib/string.h"

/* The setup header of Linux's boot protocol */
#define SETUP_SECTS          0x1f1
#define SETUP_MAGIC          0x202 /* "HdrS" */
#define SETUP_VERSION        0x206
#define SETUP_PAYLOAD_OFFSET 0x248
#define SETUP_PAYLOAD_LENGTH 0x24c
#define SETUP_END            0x250
#define VERSION_WITH_PAYLOAD 0x208
#define SECTOR               512
#define DEFAULT_SETUP_SECTS  4
#define TRAILING_SIZE        4 /* bytes */

static uint32_t le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static const struct format {
    enum image_format format;
    const char *name;
    uint8_t length;
    uint8_t magic[6];
} formats[] = {
    {IMAGE_ELF, "ELF", 4, {0x7f, 'E', 'L', 'F'}},
    {IMAGE_GZIP, "gzip", 2, {0x1f, 0x8b}},
    {IMAGE_XZ, "XZ", 6, {0xfd, '7', 'z', 'X', 'Z', 0}},
    {IMAGE_ZSTD, "zstd", 4, {0x28, 0xb5, 0x2f, 0xfd}},
    {IMAGE_LZ4, "LZ4", 4, {0x02, 0x21, 0x4c, 0x18}},
    {IMAGE_BZIP2, "bzip2", 3, {'B', 'Z', 'h'}},
    {IMAGE_LZMA, "LZMA", 3, {0x5d, 0, 0}},
    {IMAGE_LZO, "LZO", 4, {0x89, 'L', 'Z', 'O'}},
};

static enum image_format format_of(struct image_span s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
        if (s.size >= formats[i].length && !memcmp(s.data, formats[i].magic, formats[i].length))
            return formats[i].format;
    return IMAGE_UNKNOWN;
}

/* Whether it is a bzImage; *payload is then what its header points to. */
static int bzimage_payload(struct image_span m, struct image_span *payload, const char **why)
{
    uint64_t sectors, start, length;

    sectors = m.data[SETUP_SECTS] ? m.data[SETUP_SECTS] : DEFAULT_SETUP_SECTS;
    if ((m.data[SETUP_VERSION] | m.data[SETUP_VERSION + 1] << 8) < VERSION_WITH_PAYLOAD) {
        *why = "is a bzImage of a boot protocol before 2.08 (Linux 2.6.26)";
        return fail(-ENOEXEC);
    }
    start = (sectors + 1) * SECTOR + le32(m.data + SETUP_PAYLOAD_OFFSET);
    length = le32(m.data + SETUP_PAYLOAD_LENGTH);
    if (start > m.size || length > m.size - start) {
        *why = "is a truncated bzImage: its header tells of more bytes than the file has";
        return fail(-ENOEXEC);
    }
    *payload = (struct image_span){m.data + start, length};
    return 0;
}

static bool is_bzimage(struct image_span m)
{
    return m.size >= SETUP_END && !memcmp(m.data + SETUP_MAGIC, "HdrS", 4);
}

static int split_trailing_size(struct image_payload *out, const char **why)
{
    if (out->packed.size <= TRAILING_SIZE) {
        *why = "has an empty payload";
        return fail(-ENOEXEC);
    }
    out->packed.size -= TRAILING_SIZE;
    out->unpacked_size = le32(out->packed.data + out->packed.size);
    /* gzip's own trailer holds the size: the stream is not whole without it */
    if (out->format == IMAGE_GZIP)
        out->packed.size += TRAILING_SIZE;
    if (!out->unpacked_size || out->unpacked_size > IMAGE_UNPACKED_MAX) {
        *why = "tells of an impossible unpacked size: it is truncated or damaged";
        return fail(-ENOEXEC);
    }
    return 0;
}

int image_unwrap(struct image_span module, struct image_payload *out, const char **why)
{
    memset(out, 0, sizeof(*out));
    out->packed = module;
    if (is_bzimage(module)) {
        int rc = bzimage_payload(module, &out->packed, why);
        if (rc)
            return rc;
        out->in_bzimage = true;
    }
    out->format = format_of(out->packed);
    if (out->format == IMAGE_UNKNOWN) {
        *why = out->in_bzimage ? "is a bzImage whose payload is packed in an unknown way"
                               : "is not a kernel (neither bzImage nor ELF)";
        return fail(-ENOEXEC);
    }
    if (out->format != IMAGE_ELF)
        return split_trailing_size(out, why);
    out->unpacked_size = out->packed.size;
    return 0;
}
