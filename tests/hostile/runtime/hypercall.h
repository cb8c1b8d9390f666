/* SPDX-License-Identifier: MIT */
/* Hypercalls and instructions, as a 64-bit PV kernel makes them: no hypercall page, no library. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#define __XEN_INTERFACE_VERSION__ 0x00040e00
#define __XEN_TOOLS__             1 /* the fuzzer asks what only tools may */
#include <xen/xen.h>
#include <xen/callback.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

static inline long hypercall5(unsigned long nr, unsigned long a, unsigned long b, unsigned long c, unsigned long d,
                              unsigned long e)
{
    long result;
    register unsigned long r10 __asm__("r10") = d;
    register unsigned long r8 __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "=a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
                     : "0"(nr)
                     : "rcx", "r11", "memory");
    return result;
}

static inline long hypercall(unsigned long nr, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    return hypercall5(nr, a, b, c, d, 0);
}

#define ADDRESS(p) ((unsigned long)(p))

static inline long memory_op(unsigned long cmd, void *arg)
{
    return hypercall(__HYPERVISOR_memory_op, cmd, ADDRESS(arg), 0, 0);
}

static inline long event_op(unsigned cmd, void *arg)
{
    return hypercall(__HYPERVISOR_event_channel_op, cmd, ADDRESS(arg), 0, 0);
}

static inline long grant_op(unsigned cmd, void *ops, unsigned count)
{
    return hypercall(__HYPERVISOR_grant_table_op, cmd, ADDRESS(ops), count, 0);
}

static inline long sched_op(unsigned cmd, void *arg)
{
    return hypercall(__HYPERVISOR_sched_op, cmd, ADDRESS(arg), 0, 0);
}

static inline long vcpu_op(unsigned cmd, unsigned vcpu, void *arg)
{
    return hypercall(__HYPERVISOR_vcpu_op, cmd, vcpu, ADDRESS(arg), 0);
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

static inline void relax(void)
{
    __asm__ volatile("pause" ::: "memory");
}

#define READ_ONCE(x)     __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELEASE)
#define COUNT_OF(a)      (sizeof(a) / sizeof((a)[0]))
