/* SPDX-License-Identifier: MIT */
/* What stands against starting a guest, found without making anything. Blocks. */
#pragma once
#include <jansson.h>
#include "lib/config/guest.h"

/* Things of a configuration that this toolstack does not do: bootloader=, builder='hvm'. */
int check_offered(const struct guest_config *c, struct report *r);
/* Kernel and ramdisk are there and can be read. */
int check_files(const struct guest_config *c, struct report *r);
/* All that is wrong, a sentence each, and what would be done; for VM.check. */
void check_all(const struct guest_config *c, json_t *problems, json_t *plan);
