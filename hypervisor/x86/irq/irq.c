/* SPDX-License-Identifier: MIT */
/*
 * Interrupt descriptors, the vectors of each CPU, and what happens when a vector fires.
 *
 * An interrupt is only taken in guest mode, in the idle loop and in the preemption window, so its handler interrupts no
 * critical section. A line (level) is masked at the I/O APIC until its domain says that it has served the device; an edge or
 * a message is acknowledged at once. Locks: see desc.h.
 */
#include "core/domain/domain.h"
#include "core/event/event.h"
#include "core/lib/fail.h"
#include "core/lib/print.h"
#include "core/lib/string.h"
#include "core/trace/conring.h"
#include "x86/acpi/acpi.h"
#include "x86/apic/apic.h"
#include "x86/cpu/cpu.h"
#include "x86/irq/desc.h"
#include "x86/irq/pci.h"
#include "x86/trap/trap.h"

#define ISA_IRQS      16
#define APIC_ID_REACH 255 /* highest that lines and messages can name without remapping */

struct irq_desc irqs[IRQS_MAX];
struct spinlock irq_map_lock = SPINLOCK_INIT(LOCK_PIRQ);
static uint64_t stray_vectors; /* fired without a descriptor */

unsigned irq_number(const struct irq_desc *desc)
{
    return (unsigned)(desc - irqs);
}

static void irqs_print(void);

/* Lines of the ISA bus are edges, high; others level, low; the MADT knows better. */
void __init_only irq_init(void)
{
    for (unsigned i = 0; i < IRQS_MAX; i++) {
        struct irq_desc *desc = &irqs[i];

        spin_init(&desc->lock, LOCK_PIRQ);
        if (!ioapic_gsi_valid(i))
            continue;
        desc->kind = IRQ_GSI;
        desc->level = desc->active_low = i >= ISA_IRQS;
    }
    for (unsigned i = 0; i < acpi_info.overrides_count; i++) {
        uint32_t gsi = acpi_info.overrides[i].gsi;

        if (gsi >= IRQS_MAX)
            continue;
        irqs[gsi].level = acpi_info.overrides[i].level;
        irqs[gsi].active_low = acpi_info.overrides[i].active_low;
    }
    key_register('i', "interrupts of devices", irqs_print);
}

/* ---- Vectors --------------------------------------------------------------------------------------------- */

static uint16_t *vector_slot(unsigned cpu, unsigned vector)
{
    return &x86_cpu_of(pcpus[cpu])->vector_irq[vector];
}

static bool vector_free(unsigned cpu, unsigned vector)
{
    return vector != VECTOR_INT80 && !*vector_slot(cpu, vector);
}

static unsigned vectors_free(unsigned cpu)
{
    unsigned n = 0;

    for (unsigned v = VECTOR_FIRST_IRQ; v <= VECTOR_LAST_IRQ; v++)
        n += vector_free(cpu, v);
    return n;
}

/* First of `count` free vectors, aligned to count; 0: none. */
static unsigned vectors_find(unsigned cpu, unsigned count)
{
    for (unsigned v = ROUND_UP(VECTOR_FIRST_IRQ, count); v + count - 1 <= VECTOR_LAST_IRQ; v += count) {
        unsigned n = 0;

        while (n < count && vector_free(cpu, v + n))
            n++;
        if (n == count)
            return v;
    }
    return 0;
}

/* The CPU with most free vectors among those where the domain's vCPU 0 may run; with `anywhere`, of all. MAX_CPUS: none. */
static unsigned choose_cpu(const struct domain *d, bool anywhere, unsigned count)
{
    unsigned best = MAX_CPUS, most = 0, cpu;
    const struct vcpu *v = d && d->vcpus ? d->vcpus[0] : NULL;

    for_each_cpu (cpu, &cpus_online) {
        unsigned free;

        if (x86_cpu_of(pcpus[cpu])->apic_id >= APIC_ID_REACH)
            continue;
        if (!anywhere && v && !cpumask_test(&v->sched.affinity_hard, cpu))
            continue;
        free = vectors_free(cpu);
        if (free > most && vectors_find(cpu, count)) {
            most = free;
            best = cpu;
        }
    }
    return best;
}

int irq_assign_vectors(struct irq_desc *first, unsigned count, const struct domain *d)
{
    unsigned cpu = choose_cpu(d, false, count);
    unsigned vector;

    if (cpu == MAX_CPUS)
        cpu = choose_cpu(d, true, count);
    if (cpu == MAX_CPUS)
        return fail(-ENOSPC);
    vector = vectors_find(cpu, count);
    for (unsigned i = 0; i < count; i++) {
        first[i].cpu = (uint16_t)cpu;
        first[i].vector = (uint8_t)(vector + i);
        __atomic_store_n(vector_slot(cpu, vector + i), irq_number(first) + i + 1, __ATOMIC_RELEASE);
    }
    return 0;
}

void irq_release_vector(struct irq_desc *desc)
{
    if (!desc->vector)
        return;
    __atomic_store_n(vector_slot(desc->cpu, desc->vector), 0, __ATOMIC_RELEASE);
    desc->vector = 0;
}

/* ---- Descriptors ----------------------------------------------------------------------------------------- */

struct irq_desc *irq_alloc_messages(unsigned count)
{
    unsigned run = 0;

    for (unsigned i = ioapic_gsi_count(); i < IRQS_MAX; i++) {
        run = irqs[i].kind == IRQ_FREE ? run + 1 : 0;
        if (run == count)
            return &irqs[i + 1 - count];
    }
    return NULL;
}

void irq_route_gsi(struct irq_desc *desc, bool masked)
{
    const struct ioapic_route route = {
        .vector = desc->vector,
        .level = desc->level,
        .active_low = desc->active_low,
        .masked = masked,
        .dest_apic_id = x86_cpu_of(pcpus[desc->cpu])->apic_id,
    };
    ioapic_set_route(irq_number(desc), &route);
}

void irq_mask(struct irq_desc *desc)
{
    if (desc->kind == IRQ_GSI)
        ioapic_mask(irq_number(desc));
    else if (desc->kind != IRQ_FREE) /* a message may be on its way still when it is given up */
        msi_set_mask(desc, true);
}

void irq_unmask(struct irq_desc *desc)
{
    if (desc->kind == IRQ_GSI)
        ioapic_unmask(irq_number(desc));
    else
        msi_set_mask(desc, false);
}

void irq_synchronise(struct irq_desc *desc)
{
    while (__atomic_load_n(&desc->active, __ATOMIC_ACQUIRE))
        hw_relax();
}

int irq_request_gsi(unsigned gsi, void (*handler)(void *), void *arg)
{
    struct irq_desc *desc;
    int rc = -EBUSY;

    if (gsi >= IRQS_MAX || !ioapic_gsi_valid(gsi))
        return fail(-EINVAL);
    desc = &irqs[gsi];
    spin_lock(&irq_map_lock);
    spin_lock_nested(&desc->lock);
    if (!desc->handler && !desc->bound) {
        rc = desc->vector ? 0 : irq_assign_vectors(desc, 1, NULL);
        if (!rc) {
            desc->arg = arg;
            __atomic_store_n(&desc->handler, handler, __ATOMIC_RELEASE);
            irq_route_gsi(desc, false);
        }
    }
    spin_unlock(&desc->lock);
    spin_unlock(&irq_map_lock);
    return rc ? fail(rc) : 0;
}

/* ---- Interrupts ------------------------------------------------------------------------------------------ */

/* A line or message that a domain has: tells it by an event. The owner cannot go away while `active` is raised. */
static void tell_domain(struct irq_desc *desc)
{
    struct domain *d = NULL;
    uint32_t pirq;

    spin_lock(&desc->lock);
    pirq = desc->pirq;
    if (desc->bound)
        d = desc->owner;
    if (desc->level || !d)
        irq_mask(desc);
    if (d) {
        desc->waiting = desc->level;
        __atomic_fetch_add(&desc->active, 1, __ATOMIC_RELAXED);
    } else {
        desc->dropped++;
    }
    spin_unlock(&desc->lock);
    lapic_eoi();
    if (!d)
        return;
    evtchn_raise_pirq(d, pirq);
    __atomic_fetch_sub(&desc->active, 1, __ATOMIC_RELEASE);
}

static void device_interrupt(uint8_t vector)
{
    unsigned n = __atomic_load_n(&this_x86_cpu()->vector_irq[vector], __ATOMIC_ACQUIRE);
    struct irq_desc *desc;
    void (*handler)(void *);

    if (!n) {
        stray_vectors++;
        lapic_eoi();
        return;
    }
    desc = &irqs[n - 1];
    desc->count++;
    handler = __atomic_load_n(&desc->handler, __ATOMIC_ACQUIRE);
    if (!handler) {
        tell_domain(desc);
        return;
    }
    handler(desc->arg);
    lapic_eoi();
}

void irq_handler(uint8_t vector)
{
    switch (vector) {
    case VECTOR_APIC_TIMER:
        __atomic_fetch_or(&this_cpu()->work, PCPU_WORK_TIMER, __ATOMIC_RELAXED);
        lapic_eoi();
        break;
    case VECTOR_KICK:
        lapic_eoi();
        break;
    case VECTOR_REMOTE:
        lapic_eoi();
        remote_serve();
        break;
    case VECTOR_APIC_ERROR: {
        uint32_t errors = lapic_take_errors();
        lapic_eoi();
        guest_warn("CPU %u: APIC error %#x", this_cpu()->id, errors);
        break;
    }
    case VECTOR_SPURIOUS: /* takes no acknowledgement */
        stray_vectors++;
        break;
    default:
        if (vector >= VECTOR_FIRST_IRQ)
            device_interrupt(vector);
        else
            stray_vectors++; /* of an 8259: not the local APIC's */
    }
}

/* ---- Key handler ----------------------------------------------------------------------------------------- */

static void irq_print(const struct irq_desc *desc)
{
    static const char *const kinds[] = {"-", "line", "msi", "msi-x"};
    char owner[24];

    if (desc->handler)
        text_copy(owner, "hypervisor", sizeof(owner));
    else if (desc->owner)
        hv_snprintf(owner, sizeof(owner), "d%u pirq %u", desc->owner->id, desc->pirq);
    else
        text_copy(owner, "nobody", sizeof(owner));
    print_raw("%4u %-5s vector %02x cpu %u %s %s%s%s %s: %lu, dropped %lu\n", irq_number(desc), kinds[desc->kind],
              desc->vector, desc->cpu, desc->level ? "level" : "edge", desc->active_low ? "low" : "high",
              desc->bound ? " bound" : "", desc->waiting ? " waits for EOI" : "", owner, desc->count, desc->dropped);
}

static void irqs_print(void)
{
    for (unsigned i = 0; i < IRQS_MAX; i++)
        if (irqs[i].owner || irqs[i].handler || irqs[i].count)
            irq_print(&irqs[i]);
    print_raw("stray vectors: %lu; lines: %u\n", stray_vectors, ioapic_gsi_count());
}
