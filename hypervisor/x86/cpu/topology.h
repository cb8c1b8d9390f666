/* SPDX-License-Identifier: MIT */
/* Which core of which socket a processor is. */
#pragma once
#include "core/lib/types.h"
void cpu_place(uint32_t apic_id, uint32_t *core, uint32_t *socket);
