/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls of a guest and of Domain 0 on the host's machine, with an audit after each. An input is how often calls are
 * preempted, then calls: who, which, the words that the caller puts into one of its pages, and the arguments. A word is a
 * number, or stands for what the fuzzer could not guess: an address in the caller's memory, a frame, a page-table entry and
 * what to put there. At the end every domain is destroyed, and all memory must be free.
 */
#include "fuzz.h"
#include "../unit/mem_guest.h"
#include "core/sched/task.h"
#include "core/time/timer.h"

#define CALLS_MAX   40
#define WORDS_MAX   24
#define GUEST_PAGES 12
#define FRAMES      (4 + GUEST_PAGES)
#define DOMAINS     2
#define ROUNDS_MAX  1000
#define SLABS_KEPT  16 /* frames that the heap may keep for later */

static struct tree trees[DOMAINS];
static uint64_t free_at_start, heap_at_start;

/* ---- Words ---- */

static mfn_t frame_named(unsigned who, unsigned n)
{
    const struct tree *t = &trees[who];
    const mfn_t tables[4] = {t->l4, t->l3, t->l2, t->l1[0]};

    n %= FRAMES;
    return n < 4 ? tables[n] : t->page[0][n - 4];
}

static uint64_t domain_named(unsigned n)
{
    static const uint16_t ids[] = {0, 1, 2, 3, DOMID_SELF, DOMID_IO, DOMID_XEN, DOMID_INVALID};

    return ids[n % ARRAY_SIZE(ids)];
}

static uint64_t remembered(struct input *in)
{
    uint64_t at = input_u16(in) % (GUEST_PAGES * PAGE_SIZE), value = 0;

    (void)!hw_copy_from_guest(&value, at, sizeof(value));
    return value;
}

static uint64_t word(struct input *in, unsigned who)
{
    uint64_t low;

    switch (input_u8(in) % 14) {
    case 0:
        return input_u16(in);
    case 1:
        return input_u64(in);
    case 2: /* two of 32 bits */
        low = input_u16(in);
        return low | (uint64_t)input_u16(in) << 32;
    case 3: /* four of 16 bits */
        low = input_u8(in) | (uint64_t)input_u8(in) << 16;
        return low | (uint64_t)input_u8(in) << 32 | (uint64_t)input_u8(in) << 48;
    case 4:
        return input_u16(in) % (GUEST_PAGES * PAGE_SIZE);
    case 5:
        return frame_named(who, input_u8(in)).n;
    case 6:
        return frame_named(!who, input_u8(in)).n;
    case 7: /* an entry of a table, as mmu_update names it */
        low = frame_named(who, input_u8(in) % 4).n << PAGE_SHIFT;
        return low | (input_u16(in) % 512u) * 8 | (input_u8(in) & 3);
    case 8: /* what to put there */
        return frame_named(who, input_u8(in)).n << PAGE_SHIFT | (input_u16(in) & 0xfff);
    case 9:
        return frame_named(!who, input_u8(in)).n << PAGE_SHIFT | (input_u16(in) & 0xfff);
    case 10: /* a domain and a number behind it */
        low = domain_named(input_u8(in));
        return low | (uint64_t)input_u16(in) << 32;
    case 11: /* what an earlier call has left in memory: a handle, a port, a frame */
        return remembered(in);
    case 12:
        low = remembered(in) << PAGE_SHIFT;
        return low | (input_u16(in) & 0xfff);
    default:
        return input_u8(in);
    }
}

/* ---- Domains ---- */

static bool enter(struct domain *d)
{
    struct vcpu *v = d->vcpus[0];

    if (d->dying || d->shutdown_code != ~0u || !v->initialised)
        return false;
    host_set_current(0, v);
    v->in_kernel = true;
    return true;
}

static void leave(void)
{
    struct pcpu *c = this_cpu();

    c->current->running = c->current == c->idle;
    c->current = c->idle;
    tasks_run();
    timers_run();
    c->work = 0;
}

static void make_domain(unsigned who)
{
    struct domain *d = guest_create((uint16_t)who, who == 0);

    d->is_hardware = false;
    if (who == 0)
        domain0 = d;
    tree_build(d, &trees[who], 1, GUEST_PAGES);
    d->vcpus[0]->initialised = true;
    MUST(enter(d), "a new domain does not run");
    MUST(!mmu_set_kernel_root(d->vcpus[0], trees[who].l4), "its page tables are refused");
    leave();
}

static void destroy_all(void)
{
    struct domain *d;
    unsigned rounds = 0;

    host_preempt_after(0);
    domain0 = NULL; /* so that it can go as well */
    while ((d = domain_next(NULL))) {
        for (; d; d = domain_next(d))
            while (domain_destroy(d) == -ERESTART)
                continue;
        leave();
        MUST(++rounds < ROUNDS_MAX, "a domain does not go");
    }
}

/* ---- Calls ---- */

static uint64_t number;

static int64_t dispatch(const uint64_t args[6])
{
    return hypercall_dispatch(args, number);
}

static void audit(void)
{
    struct audit_result r = audit_run(true);

    MUST(!r.violations, "audit: %s", host_console);
}

/* Domain 0 drives the hardware only where that lets it do more: otherwise its end would be the machine's, and the input's. */
static bool as_hardware_domain(unsigned who)
{
    return who == 0 && (number == __HYPERVISOR_physdev_op || number == __HYPERVISOR_mmuext_op ||
                        number == __HYPERVISOR_mmu_update || number == __HYPERVISOR_xen_version);
}

static void one_call(struct input *in)
{
    unsigned who = input_u8(in) % DOMAINS, words;
    uint64_t args[6] = {0}, memory[WORDS_MAX], base;
    struct domain *d = domain_get((uint16_t)who);

    if (d)
        domain_put(d); /* the list's reference remains */
    if (!d || !enter(d))
        return;
    number = input_u8(in) % HYPERCALLS_COUNT;
    base = input_u8(in) % GUEST_PAGES * PAGE_SIZE;
    words = input_u8(in) % (WORDS_MAX + 1);
    for (unsigned n = 0; n < words; n++)
        memory[n] = word(in, who);
    for (unsigned n = 0; n < 4; n++)
        args[n] = word(in, who);
    (void)!hw_copy_to_guest(base, memory, words * sizeof(memory[0]));
    d->is_hardware = as_hardware_domain(who);
    host_hypercall_run(dispatch, args, audit);
    d->is_hardware = false;
    leave();
    audit();
    host_now_ns += 1000000;
}

static void setup(void)
{
    host_machine_init(1, 1024);
    domain_subsystem_init();
    free_at_start = alloc_free_count();
    heap_at_start = heap_used_bytes();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};

    if (!host_ram)
        setup();
    host_console_len = 0;
    make_domain(0);
    make_domain(1);
    host_preempt_after(input_u8(&in) % 8);
    for (unsigned n = 0; n < CALLS_MAX && input_left(&in); n++)
        one_call(&in);
    leave();
    destroy_all();
    MUST(heap_used_bytes() == heap_at_start, "the heap has %lu bytes, not %lu", heap_used_bytes(), heap_at_start);
    MUST(alloc_free_count() + SLABS_KEPT >= free_at_start, "%lu frames are not free again",
         free_at_start - alloc_free_count());
    memset(host_pirqs, 0, sizeof(host_pirqs));
    memset(host_pci_known, 0, sizeof(host_pci_known));
    return 0;
}
