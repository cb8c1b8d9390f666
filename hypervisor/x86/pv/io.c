/* SPDX-License-Identifier: MIT */
/*
 * I/O ports of PV domains: which a domain may use is in its io_ports set; the rest read all ones and swallow writes. A few
 * that the hypervisor shares with the domain that drives the hardware are done here:
 *   42, 43, 61  the PIT's channel 2 and the speaker: the other channels are the hypervisor's
 *   70, 71      CMOS: the index is kept per domain, the pair of accesses is made under the RTC's lock
 *   cf8..cff    PCI configuration: the address is kept per domain, checked and done by x86/irq
 *   the console's UART reads all ones, so that the domain finds none
 * The set of the hardware domain is complete before it runs and read here without the domctl lock.
 */
#include "core/lib/range.h"
#include "core/trace/trace.h"
#include "x86/console/console.h"
#include "x86/cpu/cpu.h"
#include "x86/irq/pci.h"
#include "x86/pv/pv.h"
#include "x86/time/time.h"

#define ALL_ONES(bytes) ((uint32_t)insn_mask(bytes))
enum {
    PIT_CH2 = 0x42,
    PIT_MODE = 0x43,
    PORT_B = 0x61,
    RTC_INDEX = 0x70,
    RTC_DATA = 0x71,
    PCI_ADDRESS = 0xcf8,
    PCI_DATA = 0xcfc
};
#define PORT_B_WRITABLE 0x03 /* channel 2's gate, speaker */

static bool is_special(unsigned port, unsigned bytes)
{
    unsigned last = port + bytes - 1;

    return (last >= PIT_CH2 && port <= PIT_MODE) || (last >= PORT_B && port <= PORT_B) ||
           (last >= RTC_INDEX && port <= RTC_DATA) || (last >= PCI_DATA && port < PCI_DATA + 4) ||
           (port == PCI_ADDRESS && bytes == 4);
}

static bool console_has(unsigned port, unsigned bytes)
{
    for (unsigned n = 0; n < bytes; n++)
        if (console_owns_port((uint16_t)(port + n)))
            return true;
    return false;
}

static uint32_t special_in(struct pv_domain *d, unsigned port, unsigned bytes)
{
    uint8_t value;

    if (port == PCI_ADDRESS)
        return d->pci_cf8;
    if (port >= PCI_DATA)
        return port + bytes <= PCI_DATA + 4 ? pci_config_read_guest(&d->core, d->pci_cf8, (uint16_t)port, bytes)
                                            : ALL_ONES(bytes);
    if (bytes != 1 || port == PIT_MODE || port == RTC_INDEX)
        return ALL_ONES(bytes);
    if (port != RTC_DATA)
        return inb((uint16_t)port);
    rtc_lock();
    outb(RTC_INDEX, d->rtc_index & 0x7f);
    value = inb(RTC_DATA);
    rtc_unlock();
    return value;
}

/* Channel 2 is named in bits 7..6, or alone in the mask of a read-back. */
static bool pit_mode_ok(uint8_t value)
{
    return value >> 6 == 2 || (value >> 6 == 3 && (value & 0x0e) == 0x08);
}

static void special_out(struct pv_domain *d, unsigned port, unsigned bytes, uint32_t value)
{
    if (port == PCI_ADDRESS) {
        d->pci_cf8 = value;
        return;
    }
    if (port >= PCI_DATA) {
        if (port + bytes <= PCI_DATA + 4)
            pci_config_write_guest(&d->core, d->pci_cf8, (uint16_t)port, bytes, value);
        return;
    }
    if (bytes != 1)
        return;
    switch (port) {
    case PIT_CH2:
        outb(PIT_CH2, (uint8_t)value);
        break;
    case PIT_MODE:
        if (pit_mode_ok((uint8_t)value))
            outb(PIT_MODE, (uint8_t)value);
        break;
    case PORT_B:
        outb(PORT_B, (uint8_t)((inb(PORT_B) & 0x0c) | (value & PORT_B_WRITABLE)));
        break;
    case RTC_INDEX:
        d->rtc_index = value & 0x7f;
        break;
    case RTC_DATA:
        rtc_lock();
        outb(RTC_INDEX, d->rtc_index & 0x7f);
        outb(RTC_DATA, (uint8_t)value);
        rtc_unlock();
        break;
    }
}

static bool may_use(struct domain *d, unsigned port, unsigned bytes)
{
    return port + bytes <= 0x10000 && rangeset_contains(&d->io_ports, port, port + bytes - 1) &&
           !console_has(port, bytes);
}

uint32_t pv_port_in(struct domain *d, uint16_t port, unsigned bytes)
{
    uint32_t value = ALL_ONES(bytes);

    if (d->is_hardware && is_special(port, bytes))
        value = special_in(pv_domain_of(d), port, bytes);
    else if (may_use(d, port, bytes))
        value = bytes == 1 ? inb(port) : bytes == 2 ? inw(port) : inl(port);
    trace(TRACE_EMUL, "d%u in %x/%u: %x", d->id, port, bytes, value);
    return value;
}

void pv_port_out(struct domain *d, uint16_t port, unsigned bytes, uint32_t value)
{
    trace(TRACE_EMUL, "d%u out %x/%u: %x", d->id, port, bytes, value);
    if (d->is_hardware && is_special(port, bytes)) {
        special_out(pv_domain_of(d), port, bytes, value);
        return;
    }
    if (!may_use(d, port, bytes))
        return;
    if (bytes == 1)
        outb(port, (uint8_t)value);
    else if (bytes == 2)
        outw(port, (uint16_t)value);
    else
        outl(port, value);
}

void hw_set_iopl(struct vcpu *v, unsigned iopl)
{
    pv_of(v)->iopl = iopl & 3;
}

void hw_set_iobitmap(struct vcpu *v, uint64_t gva, unsigned ports)
{
    pv_of(v)->io_bitmap = gva;
    pv_of(v)->io_bitmap_ports = gva ? ports : 0;
}
