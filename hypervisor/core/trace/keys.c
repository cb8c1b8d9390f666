/* SPDX-License-Identifier: MIT */
/*
 * Console input: three Ctrl-a in a row switch between Domain 0 and the hypervisor's keys.
 *
 * What is typed to Domain 0 waits in a small ring for CONSOLEIO_read and is announced by
 * VIRQ_CONSOLE. A key's function runs as a task of the CPU that took the interrupt, with no lock
 * held. Lock: LOCK_CONSOLE's order is respected by input_lock, which is never held while printing.
 */
#include "core/trace/conring.h"
#include "core/lib/lock.h"
#include "core/lib/print.h"
#include "core/sched/task.h"
#include "core/domain/domain.h"
#include "core/event/event.h"
#include "core/domain/audit_machine.h"
#include "core/mem/alloc.h"
#include "core/trace/trace.h"

#define SWITCH_CHAR  0x01 /* Ctrl-a */
#define SWITCH_COUNT 3
#define INPUT_SIZE   1024u

static struct {
    const char *help;
    void (*fn)(void);
} keys[128];

static char input[INPUT_SIZE];
static uint32_t input_head, input_tail; /* head: next to write; tail: next to read */
static struct spinlock input_lock = SPINLOCK_INIT(LOCK_IO);
static unsigned switch_seen;
static bool to_hypervisor;
static char key_wanted;
static struct task key_task;

void key_register(char key, const char *help, void (*fn)(void))
{
    keys[(unsigned char)key & 127].help = help;
    keys[(unsigned char)key & 127].fn = fn;
}

void key_run(char c)
{
    unsigned k = (unsigned char)c & 127;

    if (keys[k].fn) {
        print_raw("(HV) key '%c': %s\n", c, keys[k].help);
        keys[k].fn();
    } else {
        print_raw("(HV) key %u does nothing; 'h' lists the keys\n", k);
    }
}

static bool run_key_wanted(void *arg)
{
    key_run(key_wanted);
    return false;
}

static void tell_direction(void)
{
    print_raw("(HV) input goes to %s (Ctrl-a three times switches)\n",
              to_hypervisor ? "the hypervisor: 'h' lists the keys" : "Domain 0");
}

static void input_store(char c)
{
    spin_lock(&input_lock);
    if (input_head - input_tail < INPUT_SIZE)
        input[input_head++ % INPUT_SIZE] = c;
    spin_unlock(&input_lock);
    evtchn_raise_global_virq(VIRQ_CONSOLE);
}

void console_input(char c)
{
    if (c == SWITCH_CHAR && ++switch_seen >= SWITCH_COUNT) {
        switch_seen = 0;
        to_hypervisor = !to_hypervisor;
        tell_direction();
        return;
    }
    if (c != SWITCH_CHAR) {
        /* Ctrl-a that did not become a switch belong to Domain 0 (screen, tmux, readline use them).
         */
        unsigned held = switch_seen;

        switch_seen = 0;
        while (held-- && !to_hypervisor)
            input_store(SWITCH_CHAR);
        if (to_hypervisor) {
            key_wanted = c;
            task_raise(&key_task);
        } else {
            input_store(c);
        }
    }
}

/* Room for one more character and the held-back Ctrl-a before it. Without the lock: the answer may be old, and then it is
 * too small, for only the asker adds. */
bool console_input_room(void)
{
    return to_hypervisor || input_head - __atomic_load_n(&input_tail, __ATOMIC_RELAXED) <= INPUT_SIZE - SWITCH_COUNT;
}

size_t console_read(char *buf, size_t size)
{
    size_t n = 0;

    spin_lock(&input_lock);
    while (n < size && input_tail != input_head)
        buf[n++] = input[input_tail++ % INPUT_SIZE];
    spin_unlock(&input_lock);
    hw_console_input_resume();
    return n;
}

static void key_help(void)
{
    for (unsigned k = 0; k < ARRAY_SIZE(keys); k++)
        if (keys[k].fn)
            print_raw("  %c  %s\n", k, keys[k].help);
}

static void key_domains(void)
{
    static const char *const runstates[] = {"running", "runnable", "blocked", "offline"};
    struct vcpu *v;

    print_raw("free memory: %lu of %lu KiB\n", alloc_free_count() * 4, alloc_total_count() * 4);
    for (struct domain *d = domain_next(NULL); d; d = domain_next(d)) {
        print_raw("domain %u: %lu pages of at most %lu, %lu shared, %s%s%s, references %u\n", d->id, d->pages_count,
                  d->pages_max, d->pages_shared, d->dying ? "dying " : "", d->shutdown ? "shut down" : "alive",
                  d->pause_count ? " paused" : "", d->refcount);
        for_each_vcpu (d, v, i) {
            print_raw("  vcpu %u: cpu %u %s%s flags %x pauses %u, upcall pending %u mask %u, "
                      "run %lu ms, l4 %lx user %lx\n",
                      i, v->pcpu, runstates[v->runstate & 3], v->running ? "*" : "", v->pause_flags, v->pause_count,
                      v->info->evtchn_upcall_pending, v->info->evtchn_upcall_mask, v->runstate_ns[0] / MSEC,
                      v->kernel_l4.n, v->user_l4.n);
        }
    }
}

static void key_events(void)
{
    for (struct domain *d = domain_next(NULL); d; d = domain_next(d))
        evtchn_print(d);
}

static void key_types(void)
{
    static const char *const names[8] = {"none", "L1", "L2", "L3", "L4", "descriptor", "writable", "?"};
    uint64_t count[8] = {0}, pinned = 0, parked = 0;

    for (uint64_t n = 0; n < hw_frames_max; n++) {
        if (!mfn_valid(MFN(n)) || frame_of(MFN(n))->owner >= 0x7ff0)
            continue;
        uint64_t refs = __atomic_load_n(&frame_of(MFN(n))->refs, __ATOMIC_RELAXED);
        count[refs >> FR_TYPE_SHIFT]++;
        pinned += !!(refs & FR_PINNED);
        parked += ((refs & FR_STATE_MASK) >> FR_STATE_SHIFT) >= 3;
    }
    for (unsigned i = 0; i < 7; i++)
        print_raw("  %-10s %lu\n", names[i], count[i]);
    print_raw("  pinned %lu, parked %lu\n", pinned, parked);
}

static void key_reboot(void)
{
    hw_machine_restart();
}

void keys_init(void)
{
    task_init(&key_task, run_key_wanted, NULL);
    key_register('h', "list the keys", key_help);
    key_register('d', "domains and vCPUs", key_domains);
    key_register('e', "event channels", key_events);
    key_register('q', "run queues", sched_print_queues);
    key_register('t', "timers", timers_print);
    key_register('m', "page type statistics", key_types);
    key_register('A', "audit references and types of all frames", audit_start);
    key_register('c', "the console ring again", conring_print_again);
    key_register('R', "reboot the machine at once", key_reboot);
}
