/* SPDX-License-Identifier: MIT */
/* Unpacking: implemented for the machine by x86/boot/decompress/ with Debian's libraries, while booting only. */
#pragma once
#include "core/image/image.h"

/* Unpacks `payload` (any format but IMAGE_ELF) into out[0..payload->unpacked_size): all of it, exactly. 0; -ENOEXEC: damaged;
 * -ENOMEM; -EOPNOTSUPP: a format without a decoder. *why as in image.h. */
int decompress(const struct image_payload *payload, uint8_t *out, const char **why);
