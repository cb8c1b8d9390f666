/* SPDX-License-Identifier: MIT */
/* A CPU's record and its area of tables and stacks: made by x86/cpu/cpu.c for the boot CPU and for x86/cpu/smp.c. */
#pragma once
#include "x86/cpu/cpu.h"
void cpu_record_init(struct x86_cpu *c, unsigned id, uint32_t apic_id);
uint32_t cpu_initial_apic_id(void);              /* of the CPU that runs this */
uint64_t cpu_stack_top(const struct x86_cpu *c); /* what RSP starts with on its main stack */
/* Its stacks, the main one first and then those of its gates, by the lowest address in use. The page below is not mapped. */
#define STACKS_COUNT 5
uint64_t cpu_stack_lowest(const struct x86_cpu *c, unsigned stack);
/* Whether the address lies in the guard page below one of this CPU's stacks. */
bool cpu_stack_guard(uint64_t address);
