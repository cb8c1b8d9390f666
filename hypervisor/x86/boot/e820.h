/* SPDX-License-Identifier: MIT */
/* Collects the loader's memory map and makes it fit for use. */
#pragma once
#include "x86/boot/boot.h"
void e820_add(uint64_t addr, uint64_t size, uint32_t type);
unsigned e820_collected(void);
/* Sorted, not overlapping, RAM in whole pages; at most E820_MAX entries into `out`; returns how many. */
unsigned e820_finish(struct e820_entry *out);
