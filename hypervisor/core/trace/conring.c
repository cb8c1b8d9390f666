/* SPDX-License-Identifier: MIT */
/*
 * The console ring: console text as it was written, the newest RING_SIZE bytes of it.
 *
 * `produced` counts every byte ever written (mod 2^32), so a reader's index stays meaningful when
 * it falls behind. `consumed` is where a clearing reader left off. Lock: LOCK_CONSOLE guards the
 * ring and the order of writes to the devices.
 */
#include "core/trace/conring.h"
#include "core/lib/lock.h"
#include "core/lib/string.h"
#include "core/domain/domain.h"
#include "core/event/event.h"

#define RING_SIZE (32u * 1024)
static char ring[RING_SIZE];
static uint32_t produced, consumed;
static struct spinlock console_lock = SPINLOCK_INIT(LOCK_CONSOLE);
static bool lock_broken;

static bool console_enter(void)
{
    if (lock_broken)
        return false;
    spin_lock(&console_lock);
    return true;
}

static void store(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ring[produced++ % RING_SIZE] = s[i];
    if (produced - consumed > RING_SIZE)
        consumed = produced - RING_SIZE;
}

void conring_write(const char *s, size_t n)
{
    bool locked = console_enter();
    store(s, n);
    hw_console_write(s, n);
    if (locked)
        spin_unlock(&console_lock);
    if (domain0) /* told where no lock is held: whoever prints may hold any */
        pcpu_raise(this_cpu()->id, PCPU_WORK_TEXT);
}

bool conring_is_locked(void)
{
    return spin_is_locked(&console_lock);
}

void conring_force_unlock(void)
{
    lock_broken = true;
}

size_t conring_read(char *buf, size_t size, bool clear, bool incremental, uint32_t *index)
{
    bool locked = console_enter();
    uint32_t from = consumed;
    size_t n;

    if (incremental && produced - *index <= produced - consumed)
        from = *index;
    n = MIN((size_t)(produced - from), size);
    for (size_t i = 0; i < n; i++)
        buf[i] = ring[(from + i) % RING_SIZE];
    *index = from + (uint32_t)n;
    if (clear)
        consumed = *index;
    if (locked)
        spin_unlock(&console_lock);
    return n;
}

void conring_print_again(void)
{
    char part[256];
    bool locked = console_enter();
    uint32_t end = produced;

    for (uint32_t i = produced - MIN(produced, RING_SIZE); i != end;) {
        size_t n = 0;
        while (n < sizeof(part) && i != end)
            part[n++] = ring[i++ % RING_SIZE];
        hw_console_write(part, n);
    }
    if (locked)
        spin_unlock(&console_lock);
}
