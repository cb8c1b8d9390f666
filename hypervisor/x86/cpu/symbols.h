/* SPDX-License-Identifier: MIT */
/* Names of our own functions. */
#pragma once
#include "core/lib/types.h"
bool address_is_text(uint64_t address);
const char *symbol_find(uint64_t address, uint64_t *offset); /* the function it is in; NULL: no text of ours */
