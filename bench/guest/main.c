/* SPDX-License-Identifier: MIT */
/*
 * What the PV interface costs: a kernel that runs as Domain 0, times the operations that a guest makes all the time,
 * prints one line `bench: NAME VALUE` for each, and resets the machine, which ends QEMU under -no-reboot. Under -icount shift=0 the time stamp
 * counter counts instructions, so the figures repeat to the digit. Each operation is made ROUNDS times; the cost of
 * the empty loop is taken off.
 */
#include "hypercall.h"

#define ROUNDS    1000
#define VIRT_BASE 0xffffffff80000000UL
#define PAGE      4096UL
#define P         1UL
#define RW        2UL
#define US        4UL
#define ACCESSED  0x20UL
#define DIRTY     0x40UL
#define M2P       ((const uint64_t *)0xffff800000000000UL)

extern char fault_iretq[], fault_hypercall[], touched[];
void touch(const volatile void *address);
void main(const struct start_info *info, uint64_t began);

uint64_t resume_at;

static const uint64_t *p2m;
static uint64_t data[512][PAGE / 8] __attribute__((aligned(4096))); /* plain pages to map */
static uint64_t table[PAGE / 8] __attribute__((aligned(4096)));     /* becomes an L1 table */
static struct mmu_update updates[512];
static char line[128];

/* ---- Printing ---- */
static char *put_text(char *p, const char *s)
{
    while (*s)
        *p++ = *s++;
    return p;
}

static char *put_number(char *p, uint64_t n)
{
    char digits[20];
    int count = 0;
    do
        digits[count++] = '0' + n % 10;
    while (n /= 10);
    while (count)
        *p++ = digits[--count];
    return p;
}

static void report(const char *name, uint64_t value)
{
    char *p = put_text(put_text(line, "bench: "), name);
    *p++ = ' ';
    p = put_number(p, value);
    *p++ = '\n';
    hypercall(__HYPERVISOR_console_io, 0, p - line, (unsigned long)line, 0);
}

static void __attribute__((noreturn)) reset(void)
{
    struct sched_shutdown how = {.reason = SHUTDOWN_reboot};
    for (;;)
        hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, (unsigned long)&how, 0, 0);
}

/* An operation that must succeed did not: says which, and ends the machine. */
static void must(long result, const char *what)
{
    if (result >= 0)
        return;
    hypercall(__HYPERVISOR_console_io, 0, put_text(put_text(line, "bench: failed: "), what) - line, (unsigned long)line,
              0);
    report(" with minus", -result);
    reset();
}

/* ---- Page tables ---- */
static uint64_t mfn_of(const volatile void *va)
{
    return p2m[((uintptr_t)va - VIRT_BASE) / PAGE];
}

static uint64_t entry_for(const volatile void *va, uint64_t flags)
{
    return mfn_of(va) * PAGE | flags;
}

static uint64_t *table_at(uint64_t entry)
{
    return (uint64_t *)(VIRT_BASE + M2P[(entry & 0x000ffffffffff000) / PAGE] * PAGE);
}

/* The L1 entry that maps `va`, in the tables that the domain was built with. */
static uint64_t *l1_entry(const struct start_info *info, const volatile void *va)
{
    uintptr_t a = (uintptr_t)va;
    uint64_t *t = (uint64_t *)info->pt_base;
    for (int shift = 39; shift > 12; shift -= 9)
        t = table_at(t[a >> shift & 511]);
    return &t[a >> 12 & 511];
}

static void map(volatile void *va, uint64_t entry, unsigned long flags)
{
    must(hypercall(__HYPERVISOR_update_va_mapping, (unsigned long)va, entry, flags, 0), "update_va_mapping");
}

static void mmuext(unsigned cmd, uint64_t mfn, const char *what)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.mfn = mfn};
    must(hypercall(__HYPERVISOR_mmuext_op, (unsigned long)&op, 1, 0, DOMID_SELF), what);
}

/* ---- Measuring ---- */
static uint64_t empty_loop;

#define TIMED(rounds, statement)                                                                                       \
    ({                                                                                                                 \
        uint64_t begin_ = rdtsc();                                                                                     \
        for (unsigned i = 0; i < (rounds); i++) {                                                                      \
            __asm__ volatile("" ::: "memory");                                                                         \
            statement;                                                                                                 \
        }                                                                                                              \
        rdtsc() - begin_;                                                                                              \
    })
#define PER_ROUND(statement)                                                                                           \
    ({                                                                                                                 \
        TIMED(2, statement);                                                                                           \
        (TIMED(ROUNDS, statement) - empty_loop) / ROUNDS;                                                              \
    })

static void null_hypercall(void)
{
    report("null_hypercall", PER_ROUND(hypercall(__HYPERVISOR_xen_version, XENVER_version, 0, 0, 0)));
}

static void va_mapping(void)
{
    uint64_t *page = data[0];
    uint64_t readonly = entry_for(page, P | US | ACCESSED), writable = readonly | RW | DIRTY;
    report("update_va_mapping", PER_ROUND(map(page, i & 1 ? readonly : writable, UVMF_NONE)));
    report("update_va_mapping_invlpg", PER_ROUND(map(page, i & 1 ? readonly : writable, UVMF_INVLPG)));
    map(page, writable, UVMF_INVLPG);
    report("update_va_mapping_clear_set", PER_ROUND(map(page, i & 1 ? 0 : writable, UVMF_NONE)));
    map(page, writable, UVMF_INVLPG);
}

/* One hypercall for `size` entries that go to and fro between two values; `spent` on filling the list is taken off. */
static void batch(const char *name, unsigned size, uint64_t odd, uint64_t even)
{
    unsigned rounds = 32768 / size;
    uint64_t spent;

    spent = TIMED(rounds, {
        for (unsigned k = 0; k < size; k++)
            updates[k].val = i & 1 ? (odd ? entry_for(data[k], odd) : 0) : entry_for(data[k], even);
    });
    spent =
        TIMED(rounds,
              {
                  for (unsigned k = 0; k < size; k++)
                      updates[k].val = i & 1 ? (odd ? entry_for(data[k], odd) : 0) : entry_for(data[k], even);
                  must(hypercall(__HYPERVISOR_mmu_update, (unsigned long)updates, size, 0, DOMID_SELF), "mmu_update");
              }) -
        spent;
    report(name, spent / (rounds * size));
}

static void batches(const struct start_info *info)
{
    const uint64_t readonly = P | US | ACCESSED, writable = readonly | RW | DIRTY;
    for (unsigned i = 0; i < 512; i++) {
        uint64_t *entry = l1_entry(info, data[i]);
        updates[i].ptr = mfn_of(entry) * PAGE | ((uintptr_t)entry & (PAGE - 1)) | MMU_NORMAL_PT_UPDATE;
    }
    batch("mmu_update_32_protect", 32, readonly, writable);
    batch("mmu_update_32_map_readonly", 32, 0, readonly);
    batch("mmu_update_32_flags", 32, readonly, readonly | DIRTY);
    batch("mmu_update_32_map", 32, 0, writable);
    batch("mmu_update_512_protect", 512, readonly, writable);
    batch("mmu_update_512_map_readonly", 512, 0, readonly);
    batch("mmu_update_512_flags", 512, readonly, readonly | DIRTY);
    batch("mmu_update_512_map", 512, 0, writable);
}

static void set_fault_handler(const char *handler)
{
    struct trap_info traps[] = {{.vector = 14, .cs = FLAT_KERNEL_CS, .address = (unsigned long)handler}, {0}};
    must(hypercall(__HYPERVISOR_set_trap_table, (unsigned long)traps, 0, 0, 0), "set_trap_table");
}

static void page_fault(void)
{
    resume_at = (uint64_t)touched;
    set_fault_handler(fault_iretq);
    report("page_fault_bounce", PER_ROUND(touch((void *)0x1000)));
    set_fault_handler(fault_hypercall);
    report("page_fault_bounce_iret_hypercall", PER_ROUND(touch((void *)0x1000)));
    map(data[0], 0, UVMF_INVLPG);
    report("page_fault_bounce_unmapped_l1", PER_ROUND(touch(data[0])));
    map(data[0], entry_for(data[0], P | US | ACCESSED | DIRTY | RW), UVMF_INVLPG);
}

/* `table` becomes an L1 with entries of the given flags; it stays mapped read-only until release_table(). */
static void make_table(unsigned present, uint64_t flags)
{
    for (unsigned i = 0; i < 512; i++)
        table[i] = i < present ? entry_for(data[i], flags) : 0;
    map(table, entry_for(table, P | US | ACCESSED), UVMF_INVLPG);
}

static void release_table(void)
{
    map(table, entry_for(table, P | US | ACCESSED | DIRTY | RW), UVMF_INVLPG);
}

static void pin_unpin(const char *name, unsigned present, uint64_t flags)
{
    make_table(present, flags);
    report(name, PER_ROUND({
               mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(table), "pin");
               mmuext(MMUEXT_UNPIN_TABLE, mfn_of(table), "unpin");
           }));
    release_table();
}

static void emulated_write(void)
{
    volatile uint64_t *entry = &table[0];
    uint64_t readonly = entry_for(data[0], P | US | ACCESSED);
    must(hypercall(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables, 0, 0), "vm_assist");
    make_table(1, P | US | ACCESSED);
    mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(table), "pin");
    report("emulated_pt_write", PER_ROUND(*entry = i & 1 ? readonly : readonly | RW));
    report("emulated_pt_write_flags", PER_ROUND(*entry = i & 1 ? readonly : readonly | DIRTY));
    report("emulated_pt_write_map_readonly", PER_ROUND(*entry = i & 1 ? readonly : 0));
    report("emulated_pt_write_clear_set", PER_ROUND(*entry = i & 1 ? readonly | RW : 0));
    mmuext(MMUEXT_UNPIN_TABLE, mfn_of(table), "unpin");
    release_table();
}

void main(const struct start_info *info, uint64_t began)
{
    p2m = (const uint64_t *)info->mfn_list;
    for (unsigned i = 0; i < 512; i++)
        data[i][0] = i;
    empty_loop = TIMED(ROUNDS, );
    report("first_instruction_tsc", began);
    report("rdtsc", PER_ROUND(rdtsc()));
    null_hypercall();
    va_mapping();
    batches(info);
    page_fault();
    emulated_write();
    pin_unpin("pin_unpin_readonly", 512, P | US | ACCESSED);
    pin_unpin("pin_unpin_writable", 512, P | US | ACCESSED | RW | DIRTY);
    pin_unpin("pin_unpin_32_writable", 32, P | US | ACCESSED | RW | DIRTY);
    pin_unpin("pin_unpin_empty", 0, 0);
    report("total", rdtsc() - began);
    reset();
}
