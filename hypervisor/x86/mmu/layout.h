/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's linear address space (docs/memory-map.md): level-4 slots 256..271, the same in every page table.
 *
 *   ffff8000'00000000  slot 256  machine-to-physical table, read-only to guests (the ABI's address), 256 GiB
 *   ffff8080'00000000  slot 257  the same, writable to the hypervisor
 *   ffff8100'00000000  slot 258  per-CPU areas: each CPU's descriptor tables, TSS, stacks with guard pages
 *   ffff8180'00000000  slot 259  mappings of devices and other I/O memory
 *   ffff82d0'80000000  slot 261  hypervisor text, read-only data, data
 *   ffff82e0'00000000  slot 261  frame table
 *   ffff8300'00000000  slot 262..271  direct map of all RAM, writable, never executable
 */
#pragma once
#ifdef __ASSEMBLY__
#define UL(x) x
#else
#define UL(x) x##UL
#endif
#define M2P_RO_START     UL(0xffff800000000000)
#define M2P_RW_START     UL(0xffff808000000000)
#define PERCPU_START     UL(0xffff810000000000)
#define PERCPU_SIZE      UL(0x100000) /* a CPU's part */
#define IOMAP_START      UL(0xffff818000000000)
#define HV_START         UL(0xffff82d080000000)
#define FRAMETABLE_START UL(0xffff82e000000000)
#define DIRECTMAP_START  UL(0xffff830000000000)
#define DIRECTMAP_END    UL(0xffff880000000000)

/* Inside a CPU's part of the per-CPU area. The GDT: 14 frames of the guest, then the hypervisor's own frame, at the
 * selectors that the ABI reserves (0xe000...). Guest frames are mapped here at each context switch. */
#define PERCPU_GDT     UL(0x00000) /* 16 pages: 0..13 guest, 14 the hypervisor's, 15 none */
#define PERCPU_LDT     UL(0x10000) /* 16 pages: guest LDT, mapped when used */
#define PERCPU_TSS     UL(0x20000) /* TSS, no I/O bitmap */
#define PERCPU_IST_NMI UL(0x30000) /* each stack: one guard page below, then its pages; top at +0x8000 */
#define PERCPU_IST_MCE UL(0x38000)
#define PERCPU_IST_DF  UL(0x40000)
#define PERCPU_IST_DB  UL(0x48000)
#define PERCPU_STACK   UL(0x80000) /* STACK_SIZE aligned, lowest page is the guard */
#define STACK_SIZE     UL(0x8000)
#define STACK_TOP_SIZE 16 /* sizeof(struct stack_top) */
