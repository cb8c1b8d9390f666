/* SPDX-License-Identifier: MIT */
/*
 * Ticket spin locks. In DEBUG builds each CPU's record has a bit for every class that it holds, and
 * taking a lock of a class that is not above all held ones stops the machine with both names.
 */
#include "core/lib/lock.h"
#include "core/lib/fail.h"
#include "core/domain/domain.h"

#ifdef DEBUG
static void check_order(const struct spinlock *l, bool nested)
{
    unsigned held = this_cpu()->locks_held;
    unsigned limit = nested ? l->class + 1u : l->class;
    if (held >> limit)
        panic("lock order: class %u wanted while classes %x are held", l->class, held);
}
static void note_held(struct spinlock *l)
{
    this_cpu()->locks_held |= 1u << l->class;
    l->holder = (uint16_t)(this_cpu()->id + 1);
}
static void note_released(struct spinlock *l, bool still_one)
{
    l->holder = 0;
    if (!still_one)
        this_cpu()->locks_held &= ~(1u << l->class);
}
#else
static inline void check_order(const struct spinlock *l, bool nested)
{
}
static inline void note_held(struct spinlock *l)
{
}
static inline void note_released(struct spinlock *l, bool still_one)
{
}
#endif

void spin_init(struct spinlock *l, enum lock_class class)
{
    *l = (struct spinlock)SPINLOCK_INIT((uint8_t) class);
}

static void take(struct spinlock *l)
{
    uint16_t ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&l->serving, __ATOMIC_ACQUIRE) != ticket)
        hw_relax();
}

void spin_lock(struct spinlock *l)
{
    check_order(l, false);
    take(l);
    note_held(l);
}

void spin_lock_nested(struct spinlock *l)
{
    check_order(l, true);
    take(l);
    note_held(l);
    l->nested = true; /* its release leaves the class held by the first */
}

void spin_unlock(struct spinlock *l)
{
    note_released(l, l->nested);
    l->nested = false;
    __atomic_store_n(&l->serving, (uint16_t)(l->serving + 1), __ATOMIC_RELEASE);
}

bool spin_is_locked(const struct spinlock *l)
{
    return __atomic_load_n(&l->serving, __ATOMIC_RELAXED) != __atomic_load_n(&l->next, __ATOMIC_RELAXED);
}

void lock_assert_none_held(void)
{
#ifdef DEBUG
    if (this_cpu()->locks_held)
        panic("locks of classes %x held where none may be", this_cpu()->locks_held);
#endif
}
