/* SPDX-License-Identifier: MIT */
#pragma once
#include "core/image/image.h"
#include "lib/build/file.h"

/* A guest's ramdisk: any file, for most kernels; Linux takes only what it can unpack, and what is none of that is refused here, before
 * the guest panics over it. 0; -1. */
int ramdisk_open(const char *path, const struct xen_notes *kernel, struct input_file *out, struct report *r);
