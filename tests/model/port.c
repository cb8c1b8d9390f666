/* SPDX-License-Identifier: MIT */
/*
 * What stands between core and the fake machine, by the linker's --wrap: allocations and copies that fail, preemption, guests
 * that change their arguments while they are read, and a look at all that goes out.
 */
#include "model.h"
#include "core/mem/alloc.h"
#include "core/mem/reservation.h"
#include "core/mem/tlb.h"

#define POISON     0xb5
#define POISON_RUN 3 /* so many bytes of it in a row are no accident */

static unsigned fail_in;        /* so many allocations until one fails; 0: none does */
static unsigned preempt_one_in; /* 0: never */
static bool scramble;           /* arguments change when they have been read once */

/* ---- What a step is to suffer ---- */

void port_step_begin(void)
{
    static const uint8_t preempt[] = {0, 0, 1, 2, 4, 16};

    fail_in = chance(12) ? 1 + rnd(6) : 0;
    host_copy_fail_after = chance(16) ? 1 + rnd(4) : 0;
    preempt_one_in = ONE_OF(preempt);
    scramble = chance(24);
}

void port_step_end(void)
{
    fail_in = host_copy_fail_after = preempt_one_in = 0;
    scramble = false;
}

bool port_scrambles(void)
{
    return scramble;
}

static bool fails(void)
{
    if (!fail_in || --fail_in)
        return false;
    stats->faults++;
    return true;
}

bool __real_hw_preempt_check(void);
bool __wrap_hw_preempt_check(void)
{
    bool other_work = __real_hw_preempt_check();

    return other_work || (preempt_one_in && chance(preempt_one_in));
}

/* ---- Allocations ---- */

static void must_be_zero(const void *p, size_t size, const char *what)
{
    const uint8_t *b = p;

    if (size && (b[0] || memcmp(b, b + 1, size - 1)))
        violation("%s is not clear", what);
}

void *__real_heap_alloc(size_t size);
void *__wrap_heap_alloc(size_t size)
{
    void *p = fails() ? NULL : __real_heap_alloc(size);

    if (p)
        must_be_zero(p, size, "an object from the heap");
    return p;
}

void *__real_heap_alloc_array(size_t count, size_t size);
void *__wrap_heap_alloc_array(size_t count, size_t size)
{
    void *p = fails() ? NULL : __real_heap_alloc_array(count, size);

    if (p)
        must_be_zero(p, count * size, "an array from the heap");
    return p;
}

mfn_t __real_alloc_frames(unsigned order, unsigned bits);
mfn_t __wrap_alloc_frames(unsigned order, unsigned bits)
{
    return fails() ? INVALID_MFN : __real_alloc_frames(order, bits);
}

mfn_t __real_alloc_block(unsigned order, unsigned bits, uint64_t *claim, bool *dirty);
mfn_t __wrap_alloc_block(unsigned order, unsigned bits, uint64_t *claim, bool *dirty)
{
    return fails() ? INVALID_MFN : __real_alloc_block(order, bits, claim, dirty);
}

/* The hypervisor's own memory has a sign too, when it goes back. */
void __real_free_frames(mfn_t mfn, unsigned order);
void __wrap_free_frames(mfn_t mfn, unsigned order)
{
    for (uint64_t m = mfn.n; m < mfn.n + (1UL << order); m++)
        for (unsigned i = 0; i < SLOTS; i++)
            ((uint64_t *)hw_frame_va(MFN(m)))[slots[i]] = TAG_WORD(TAG_HV);
    __real_free_frames(mfn, order);
}

mfn_t __real_reservation_add(struct domain *d, unsigned order, unsigned bits, bool keep);
mfn_t __wrap_reservation_add(struct domain *d, unsigned order, unsigned bits, bool keep)
{
    mfn_t m = __real_reservation_add(d, order, bits, keep);

    if (!mfn_eq(m, INVALID_MFN) && !model_points_on) /* else its new owner may have written already */
        must_be_zero(hw_frame_va(m), PAGE_SIZE << order, "memory for a domain");
    return m;
}

struct domain *__real_hw_domain_alloc(void);
struct domain *__wrap_hw_domain_alloc(void)
{
    struct domain *d = fails() ? NULL : __real_hw_domain_alloc();

    stats->created += d != NULL;
    return d;
}

void __real_hw_domain_free(struct domain *d);
void __wrap_hw_domain_free(struct domain *d)
{
    stats->destroyed++;
    __real_hw_domain_free(d);
}

struct vcpu *__real_hw_vcpu_alloc(struct domain *d, unsigned id);
struct vcpu *__wrap_hw_vcpu_alloc(struct domain *d, unsigned id)
{
    struct vcpu *v = fails() ? NULL : __real_hw_vcpu_alloc(d, id);

    if (v) {
        v->domain = d;
        v->id = id;
        model_vcpu(v)->has_pending = false;
    }
    return v;
}

/* ---- Copies ---- */

static struct vcpu *arena_owner(uint64_t va, size_t size)
{
    return va >= host_direct_start && va + size <= host_direct_start + host_direct_size ? current_vcpu() : NULL;
}

int __real_hw_copy_from_guest(void *dst, uint64_t src, size_t size);
int __wrap_hw_copy_from_guest(void *dst, uint64_t src, size_t size)
{
    int rc = __real_hw_copy_from_guest(dst, src, size);

    if (!rc && scramble && size && arena_owner(src, size))
        ((uint8_t *)src)[rnd((unsigned)size)] ^= (uint8_t)(1u << rnd(8));
    return rc;
}

static void look_for_poison(const uint8_t *b, size_t size)
{
    for (size_t i = 0; i + POISON_RUN <= size; i++)
        if (b[i] == POISON && b[i + 1] == POISON && b[i + 2] == POISON)
            violation("%zu bytes go out, and at %zu what lay on the stack", size, i);
}

/* Others' bytes may come from what they granted or told; a hermit's and the hypervisor's may not. */
static void look_for_secrets(const uint8_t *b, size_t size)
{
    const struct domain *d = current_vcpu()->domain;

    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t word;

        memcpy(&word, b + i, sizeof(word));
        if (is_tag(word) && d && (TAG_OF(word) == TAG_HV || is_hermit((uint16_t)TAG_OF(word))) && TAG_OF(word) != d->id)
            violation("%zu bytes go out to domain %u, and at %zu what is %d's", size, d->id, i, TAG_OF(word));
        if (word - (uint64_t)host_ram < MODEL_FRAMES * PAGE_SIZE)
            violation("%zu bytes go out, and at %zu an address of the hypervisor's", size, i);
    }
}

int __real_hw_copy_to_guest(uint64_t dst, const void *src, size_t size);
int __wrap_hw_copy_to_guest(uint64_t dst, const void *src, size_t size)
{
    look_for_poison(src, size);
    look_for_secrets(src, size);
    return __real_hw_copy_to_guest(dst, src, size);
}

void __attribute__((noinline)) port_poison_stack(void)
{
    uint8_t room[12288];

    memset(room, POISON, sizeof(room));
    __asm__ volatile("" ::"r"(room) : "memory");
}

/* ---- The machine's end ---- */

/* Domain 0 may want it: an end like any other, of the whole sequence. */
void __wrap_hw_machine_restart(void);
void __noreturn __wrap_hw_machine_restart(void)
{
    _Exit(0);
}
void __wrap_hw_machine_poweroff(void);
void __noreturn __wrap_hw_machine_poweroff(void)
{
    _Exit(0);
}
