/* SPDX-License-Identifier: MIT */
/*
 * What every kernel of the hostile tests has: text, page tables, traps that come back to who expected them, further vCPUs,
 * grants. Shared by the guests (guest/) and by the Domain 0 that starts and judges them (dom0/).
 *
 * All runs in guest kernel mode on the tables that the domain was built with, where every frame of the window that begins at
 * VIRT_BASE is mapped at its PFN. Events stay masked: nothing here waits for an upcall.
 */
#pragma once
#include "runtime/hypercall.h"

#define PAGE      4096UL
#define VIRT_BASE 0xffffffff80000000UL
#define HV_START  0xffff800000000000UL /* the hypervisor's own range of linear addresses */
#define HV_END    0xffff880000000000UL
#define M2P       ((const uint64_t *)HV_START)
#define VCPUS_MAX 4

/* Page-table entries */
#define P        0x1UL
#define RW       0x2UL
#define US       0x4UL
#define PWT      0x8UL
#define PCD      0x10UL
#define ACCESSED 0x20UL
#define DIRTY    0x40UL
#define PSE      0x80UL /* PAT in the last level */
#define GLOBAL   0x100UL
#define NX       (1UL << 63)
#define ADDR     0x000ffffffffff000UL
#define READONLY (P | US | ACCESSED)
#define PLAIN    (READONLY | RW | DIRTY)

/* ---- text.c ---- */
/* Where text goes: each kind of kernel has its own. */
void put_text(const char *text, size_t length);
/* %s, %d, %u, %x, %c with l for 64 bits; anything else is copied. Cut at the size; always ends with 0. Length without it. */
size_t format_list(char *to, size_t size, const char *format, __builtin_va_list list);
size_t format(char *to, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The next of the sequence that *state is in. */
uint64_t random_next(uint64_t *state);
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool text_equal(const char *a, const char *b);
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* ---- paging.c ---- */
extern const struct start_info *start_info;
extern const uint64_t *p2m;
extern struct shared_info *shared_info; /* mapped by paging_init() */
void paging_init(const struct start_info *info);
uint64_t mfn_of(const volatile void *va); /* of an address in the window */
uint64_t entry_of(const volatile void *va, uint64_t flags);
uint64_t machine_of(const volatile void *va); /* with the offset in the page */
uint64_t *l1_entry(const volatile void *va);  /* readable; in the tables as they were built */
uint64_t *table_of(const volatile void *va,
                   unsigned level);                      /* the table of that level on the way to va, in the window */
long map_entry(const volatile void *va, uint64_t entry); /* update_va_mapping with a flush of the address */
long map_foreign(const volatile void *va, uint64_t entry, uint16_t domain);
long mmu_update(uint64_t machine, uint64_t value); /* one request on own tables and frames */
long mmu_update_for(uint64_t machine, uint64_t value, uint32_t domain);
long mmuext(unsigned cmd, uint64_t arg1, uint64_t arg2);
long mmuext_for(unsigned cmd, uint64_t arg1, uint64_t arg2, uint16_t domain);
long pin(unsigned level, const volatile void *table); /* 1..4 */
long unpin(const volatile void *table);

/* ---- trap.c ---- */
/* Pseudo vectors behind the processor's */
enum { TRAP_EVENT = 256, TRAP_FAILSAFE, TRAP_SYSCALL, TRAP_SYSENTER, TRAP_SYSCALL32, TRAP_NMI };
struct trap {
    unsigned vector;
    uint64_t error, rip, cr2;
};
/* Of one vCPU; lies at the lower end of its stack, which is how it is found. */
struct cpu {
    uint64_t guard_sp; /* where guarded() goes on; 0: nobody expects a trap. entry.S knows the offset */
    unsigned id;
    struct trap trap; /* the last */
    void (*work)(void *arg);
    void *arg;
    bool done;
};
#define STACK_SIZE 16384UL
struct cpu *this_cpu(void);
void traps_init(void); /* trap table and callbacks of this vCPU */
extern const struct trap_info trap_table[];
/* Runs fn(arg). 0, or 1 + the vector of the trap that ended it: then all its frames are gone. */
int guarded(void (*fn)(void *arg), void *arg);
/* Single accesses that may fault: false and the trap is in this_cpu()->trap. */
bool try_read(const volatile void *address, uint64_t *value);
bool try_write(volatile void *address, uint64_t value);
/* Runs code at `rip` in guest user mode with the user root that is set, until it traps or calls. The vector. */
int run_user(uint64_t rip, uint64_t rsp);
/* An iret hypercall with this frame; does not come back but by a trap. */
struct iret_frame {
    uint64_t rax, r11, rcx, flags, rip, cs, rflags, rsp, ss;
};
void __attribute__((noreturn)) iret_with(const struct iret_frame *frame);
/* What to do about a trap that nobody expected. */
void __attribute__((noreturn)) unexpected_trap(const struct trap *trap);

/* ---- vcpu.c ---- */
uint64_t now_ns(void);
void sleep_ns(uint64_t ns);
void fill_context(struct vcpu_guest_context *c, struct cpu *cpu); /* of a further vCPU that will run cpu->work */
/* Further vCPU `id` runs work(arg), then goes down. 0 or the hypervisor's error. */
long cpu_start(unsigned id, void (*work)(void *arg), void *arg);
void cpu_wait(unsigned id); /* until its work is done */

/* ---- grant.c ---- */
#define GRANT_ENTRIES (PAGE / sizeof(struct grant_entry_v1))
extern struct grant_entry_v1 *grants; /* the first frame of the own table, mapped by grants_init() */
void grants_init(void);
void grant(unsigned ref, uint16_t domain, const volatile void *page, uint16_t flags);
