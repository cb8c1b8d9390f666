/* SPDX-License-Identifier: MIT */
/* What the builder takes from the kernel cache. Opening and closing it: build.h. */
#pragma once
#include "lib/build/build.h"
#include "lib/build/kernel.h"

struct cached_kernel {
    struct cached_kernel *next;
    struct kernel_image image;
    unsigned users; /* those that have got it and not put it yet, and the list */
};
/* The kernel in the file `path`: from memory, from the directory, or unpacked now. It stays until it is put. *from_cache: it had been
 * unpacked before. 0; -1. */
int kernel_cache_get(struct kernel_cache *c, const char *path, struct cached_kernel **out, bool *from_cache,
                     struct report *r);
void kernel_cache_put(struct kernel_cache *c, struct cached_kernel *k);
