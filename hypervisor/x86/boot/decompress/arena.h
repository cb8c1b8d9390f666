/* SPDX-License-Identifier: MIT */
/*
 * Large memory while booting, from the frame allocator: pieces of any number of pages, contiguous; and the arena of the
 * decompression libraries. Boot CPU only, before Domain 0 runs; all of it is given back.
 */
#pragma once
#include "core/image/decompress.h"

/* Contents are unspecified. NULL: no such piece. */
void *boot_alloc(uint64_t size);
void boot_free(void *p, uint64_t size);
/* Takes waiting interrupts and does raised work: to be called now and then in what takes long while booting. */
void boot_breathe(void);

/* For the libraries' allocator hooks, between decompress()'s beginning and end. */
void *arena_alloc(uint64_t size);
void arena_release(void *p);
void arena_release_all(void);

/* How much is unpacked between two breaths */
#define UNPACK_SLICE (4UL * MIB)

/* One for each library; as decompress() */
int xz_decode(const struct image_payload *p, uint8_t *out, const char **why);
int gzip_decode(const struct image_payload *p, uint8_t *out, const char **why);
int zstd_decode(const struct image_payload *p, uint8_t *out, const char **why);
int lz4_decode(const struct image_payload *p, uint8_t *out, const char **why);
