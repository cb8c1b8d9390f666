/* SPDX-License-Identifier: MIT */
/*
 * Faults of our own made on purpose, by keys of DEBUG builds: so that a test sees the guards at work and reads the report.
 */
#include "core/lib/fail.h"
#include "core/trace/conring.h"
#include "x86/cpu/cpu.h"

static void overflow_stack(void)
{
    __asm__ volatile("1: pushq $0; jmp 1b" ::: "memory");
}

static __attribute__((noinline)) void fill(volatile char *at, unsigned count)
{
    while (count--)
        *at++ = 0;
}

static void overwrite_frame(void)
{
    char text[64];

    fill(text, sizeof(text) + 16);
}

static void write_to_code(void)
{
    *(volatile char *)(uint64_t)write_to_code = 0;
}

void provoke_init(void)
{
    if (!DEBUG_BUILD)
        return;
    key_register('1', "DEBUG: overflow the stack", overflow_stack);
    key_register('2', "DEBUG: write beyond a stack frame's array", overwrite_frame);
    key_register('3', "DEBUG: write to our own code", write_to_code);
}
