/* SPDX-License-Identifier: MIT */
/* A crash to find in a core dump: a global of a known value, registers of known values, SIGSEGV. */
#include <stdint.h>

volatile uint64_t crash_mark = 0x686f73706573;

__attribute__((noinline)) static void crash_here(uint64_t a)
{
    crash_mark += a;
    __asm__ volatile("mov $0x1234567, %%r15\n\tmovl $1, (%0)" ::"r"(0UL) : "r15", "memory");
}

int main(void)
{
    crash_here(1);
    return 0;
}
