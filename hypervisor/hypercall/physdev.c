/* SPDX-License-Identifier: MIT */
/*
 * physdev_op: interrupt lines and messages, PCI functions, and a PV kernel's own I/O privilege level and port bitmap.
 *
 * Not offered, -ENOSYS: apic_write (routes are ours), get_free_pirq (HVM only), prepare_msix and release_msix (passing
 * devices through), dbgp_op, and version 1 of pirq_eoi_gmfn (it unmasks by itself).
 */
#include "hypercall/hypercall.h"
#include "core/mem/pte.h"
#include <xen/physdev.h>

#define IO_PORTS 65536u

/* The domain that lines are given to or taken from, with a reference. Only who controls the machine may. */
static int target(uint16_t id, struct domain **out)
{
    struct domain *self = current_vcpu()->domain;
    struct domain *d;
    int rc = policy_check(self, MAY_CONTROL_MACHINE, NULL);

    if (rc)
        return rc;
    d = domain_get_ref(id, self);
    if (!d)
        return fail(-ESRCH);
    rc = d != self ? policy_check(self, MAY_CONTROL_DOMAIN, d) : 0;
    if (rc) {
        domain_put(d);
        return rc;
    }
    *out = d;
    return 0;
}

/* ---- A domain's own pirqs ---------------------------------------------------------------------------------- */

static int64_t eoi(struct domain *d, uint64_t arg)
{
    struct physdev_eoi op;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    if (op.irq >= hw_pirq_max())
        return fail(-EINVAL);
    hw_pirq_eoi(d, op.irq);
    return 0;
}

static int64_t set_eoi_map(struct domain *d, uint64_t arg)
{
    struct physdev_pirq_eoi_gmfn op;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    return hw_pirq_set_eoi_map(d, MFN(op.gmfn));
}

static int64_t irq_status_query(struct domain *d, uint64_t arg)
{
    struct physdev_irq_status_query op;
    bool needs_eoi, shared;
    int rc;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    rc = hw_pirq_status(d, op.irq, &needs_eoi, &shared);
    if (rc)
        return rc;
    op.flags = (needs_eoi ? XENIRQSTAT_needs_eoi : 0) | (shared ? XENIRQSTAT_shared : 0);
    return copy_out(arg, &op) ? fail(-EFAULT) : 0;
}

/* ---- Giving lines and messages ------------------------------------------------------------------------------- */

static int map_gsi(struct domain *d, struct physdev_map_pirq *op)
{
    bool may = d->is_hardware;

    if (op->index < 0 || !hw_gsi_valid((unsigned)op->index))
        return fail(-EINVAL);
    if (!may) {
        spin_lock(&d->domctl_lock);
        may = rangeset_contains(&d->io_irqs, (unsigned)op->index, (unsigned)op->index);
        spin_unlock(&d->domctl_lock);
    }
    return may ? hw_pirq_map_gsi(d, (unsigned)op->index, &op->pirq) : fail(-EPERM);
}

static int map_msi(struct domain *d, struct physdev_map_pirq *op)
{
    struct hw_msi_request rq = {.bus = (uint8_t)op->bus, .count = 1, .table_base = op->table_base};

    if (op->devfn < 0 || op->devfn > 255 || op->entry_nr < 0 || op->entry_nr > 0xffff)
        return fail(-EINVAL);
    rq.devfn = (uint8_t)op->devfn;
    if (op->type != MAP_PIRQ_TYPE_MSI) {
        if (op->bus & 0xff00)
            return fail(-EINVAL);
        rq.segment = (uint16_t)((uint32_t)op->bus >> 16);
    } else if (op->bus < 0 || op->bus > 255) {
        return fail(-EINVAL);
    }
    if (op->type == MAP_PIRQ_TYPE_MULTI_MSI) {
        if (op->table_base || !op->entry_nr)
            return fail(-EINVAL);
        rq.count = (unsigned)op->entry_nr;
    } else if (op->table_base) {
        rq.msix = true;
        rq.entry = (uint16_t)op->entry_nr;
    }
    return hw_pirq_map_msi(d, &rq, &op->pirq);
}

static int64_t map_pirq(uint64_t arg)
{
    struct physdev_map_pirq op;
    struct domain *d;
    int rc;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    rc = target(op.domid, &d);
    if (rc)
        return rc;
    switch (op.type) {
    case MAP_PIRQ_TYPE_GSI:
        rc = map_gsi(d, &op);
        break;
    case MAP_PIRQ_TYPE_MSI:
    case MAP_PIRQ_TYPE_MSI_SEG:
    case MAP_PIRQ_TYPE_MULTI_MSI:
        rc = map_msi(d, &op);
        break;
    default:
        rc = fail(-EINVAL);
    }
    if (!rc && copy_out(arg, &op))
        rc = fail(-EFAULT);
    domain_put(d);
    return rc;
}

static int64_t unmap_pirq(uint64_t arg)
{
    struct physdev_unmap_pirq op;
    struct domain *d;
    int rc;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    rc = target(op.domid, &d);
    if (rc)
        return rc;
    rc = op.pirq < 0 ? fail(-EINVAL) : hw_pirq_unmap(d, (unsigned)op.pirq);
    domain_put(d);
    return rc;
}

/* A line needs no vector of the guest's choosing: the answer only has to be yes. */
static int64_t alloc_irq_vector(uint64_t arg)
{
    struct physdev_irq op;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    if (!hw_gsi_valid(op.irq))
        return fail(-EINVAL);
    op.vector = op.irq;
    return copy_out(arg, &op) ? fail(-EFAULT) : 0;
}

static int64_t setup_gsi(uint64_t arg)
{
    struct physdev_setup_gsi op;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    if (op.gsi < 0)
        return fail(-EINVAL);
    return hw_gsi_setup((unsigned)op.gsi, op.triggering != 0, op.polarity != 0);
}

static int64_t apic_read(uint64_t arg)
{
    struct physdev_apic op;
    int rc;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    rc = hw_ioapic_read(op.apic_physbase, op.reg, &op.value);
    if (rc)
        return rc;
    return copy_out(arg, &op) ? fail(-EFAULT) : 0;
}

/* ---- PCI --------------------------------------------------------------------------------------------------- */

static int64_t pci_device_add(uint64_t arg)
{
    struct physdev_pci_device_add op;

    if (hw_copy_from_guest(&op, arg, offsetof(struct physdev_pci_device_add, optarr)))
        return fail(-EFAULT);
    return hw_pci_device_add(op.seg, op.bus, op.devfn);
}

static int64_t pci_device_op(uint64_t arg, int (*fn)(uint16_t, uint8_t, uint8_t))
{
    struct physdev_pci_device op;

    return copy_in(&op, arg) ? fail(-EFAULT) : fn(op.seg, op.bus, op.devfn);
}

/* The older forms, without a segment; all begin with bus and devfn. */
static int64_t pci_device_op_old(uint64_t arg, int (*fn)(uint16_t, uint8_t, uint8_t))
{
    struct physdev_manage_pci op;

    return copy_in(&op, arg) ? fail(-EFAULT) : fn(0, op.bus, op.devfn);
}

static int64_t pci_op(unsigned cmd, uint64_t arg)
{
    int rc = policy_check(current_vcpu()->domain, MAY_CONTROL_PCI, NULL);

    if (rc)
        return rc;
    switch (cmd) {
    case PHYSDEVOP_pci_device_add:
        return pci_device_add(arg);
    case PHYSDEVOP_pci_device_remove:
        return pci_device_op(arg, hw_pci_device_remove);
    case PHYSDEVOP_restore_msi_ext:
        return pci_device_op(arg, hw_pci_restore_msi);
    case PHYSDEVOP_manage_pci_add:
    case PHYSDEVOP_manage_pci_add_ext:
        return pci_device_op_old(arg, hw_pci_device_add);
    case PHYSDEVOP_manage_pci_remove:
        return pci_device_op_old(arg, hw_pci_device_remove);
    case PHYSDEVOP_restore_msi:
        return pci_device_op_old(arg, hw_pci_restore_msi);
    case PHYSDEVOP_pci_mmcfg_reserved:
        return 0; /* we take the memory-mapped configuration space from the MCFG table */
    default:
        return fail(-ENOSYS);
    }
}

/* ---- I/O privilege of the calling vCPU ------------------------------------------------------------------------- */

static int64_t set_iopl(uint64_t arg)
{
    struct physdev_set_iopl op;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    if (op.iopl > 3)
        return fail(-EINVAL);
    hw_set_iopl(current_vcpu(), op.iopl);
    return 0;
}

static int64_t set_iobitmap(uint64_t arg)
{
    struct physdev_set_iobitmap op;
    uint64_t bitmap;

    if (copy_in(&op, arg))
        return fail(-EFAULT);
    bitmap = (uint64_t)op.bitmap.p;
    if (op.nr_ports > IO_PORTS)
        return fail(-EINVAL);
    if (bitmap && op.nr_ports && !guest_range_ok(bitmap, DIV_ROUND_UP(op.nr_ports, 8)))
        return fail(-EINVAL);
    hw_set_iobitmap(current_vcpu(), bitmap, op.nr_ports);
    return 0;
}

/* What only the driver of the real hardware asks. */
static int64_t machine_op(unsigned cmd, uint64_t arg)
{
    int rc = policy_check(current_vcpu()->domain, MAY_CONTROL_MACHINE, NULL);

    if (rc)
        return rc;
    switch (cmd) {
    case PHYSDEVOP_alloc_irq_vector:
        return alloc_irq_vector(arg);
    case PHYSDEVOP_free_irq_vector:
        return 0;
    case PHYSDEVOP_setup_gsi:
        return setup_gsi(arg);
    case PHYSDEVOP_apic_read:
        return apic_read(arg);
    default:
        return pci_op(cmd, arg);
    }
}

HYPERCALL_HANDLER(physdev_op)
{
    struct domain *d = current_vcpu()->domain;
    unsigned cmd = (unsigned)args[0];
    uint64_t arg = args[1];

    trace(TRACE_IRQ, "physdev_op %u", cmd);
    switch (cmd) {
    case PHYSDEVOP_eoi:
        return eoi(d, arg);
    case PHYSDEVOP_irq_status_query:
        return irq_status_query(d, arg);
    case PHYSDEVOP_pirq_eoi_gmfn_v2:
        return set_eoi_map(d, arg);
    case PHYSDEVOP_set_iopl:
        return set_iopl(arg);
    case PHYSDEVOP_set_iobitmap:
        return set_iobitmap(arg);
    case PHYSDEVOP_map_pirq:
        return map_pirq(arg);
    case PHYSDEVOP_unmap_pirq:
        return unmap_pirq(arg);
    case PHYSDEVOP_pirq_eoi_gmfn_v1:
    case PHYSDEVOP_IRQ_UNMASK_NOTIFY:
    case PHYSDEVOP_get_free_pirq:
        return fail(-ENOSYS);
    default:
        return machine_op(cmd, arg);
    }
}
