/* SPDX-License-Identifier: MIT */
/* Hypercalls as a 64-bit PV kernel makes them: by the instruction, without a hypercall page. */
#pragma once
#include <stdint.h>
#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include <xen/xen.h>
#include <xen/sched.h>
#include <xen/version.h>

static inline long hypercall(unsigned nr, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    long result;
    register unsigned long r10 __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(r10)
                     : "0"((unsigned long)nr)
                     : "rcx", "r11", "memory");
    return result;
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}
