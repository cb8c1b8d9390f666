/* SPDX-License-Identifier: MIT */
/*
 * The static ACPI tables: which processors, interrupt controllers, timers and registers there are. Tables come from
 * firmware: lengths are bounded and checksums checked before anything is believed, and what is wrong is left out with a
 * warning. Runs once while booting; acpi_info is read-only afterwards.
 */
#include "core/lib/print.h"
#include "core/lib/string.h"
#include "x86/acpi/acpi.h"
#include "x86/acpi/power.h"
#include "x86/boot/boot.h"
#include "x86/cpu/cpu.h"
#include "x86/mmu/mmu.h"

struct acpi_info acpi_info;

#define TABLE_SIZE_MAX MIB
#define TABLES_MAX     256
enum { SLOT_ROOT = 0, SLOT_TABLE = 1 }; /* of boot_map */

struct rsdp {
    char signature[8];
    uint8_t checksum;
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length;
    uint64_t xsdt;
    uint8_t checksum_all, reserved[3];
} __packed;
struct table {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem[6], oem_table[8];
    uint32_t oem_revision, creator, creator_revision;
} __packed;
struct address { /* generic address structure */
    uint8_t space, bits, offset, access;
    uint64_t address;
} __packed;
struct fadt {
    struct table header;
    uint32_t facs, dsdt;
    uint8_t reserved0, profile;
    uint16_t sci_irq;
    uint32_t smi_cmd;
    uint8_t acpi_enable, acpi_disable, s4bios, pstate;
    uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_timer, gpe0, gpe1;
    uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_timer_len, gpe0_len, gpe1_len, gpe1_base, cst;
    uint16_t c2_latency, c3_latency, flush_size, flush_stride;
    uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
    uint16_t boot_arch;
    uint8_t reserved1;
    uint32_t flags;
    struct address reset;
    uint8_t reset_value;
} __packed;
#define FADT_TIMER_32BIT (1u << 8)
#define FADT_RESET       (1u << 10)
struct madt {
    struct table header;
    uint32_t lapic;
    uint32_t flags; /* bit 0: there are 8259s */
} __packed;
struct madt_entry {
    uint8_t type, length;
} __packed;
struct hpet {
    struct table header;
    uint32_t id;
    struct address base;
} __packed;
struct mcfg_entry {
    uint64_t addr;
    uint16_t segment;
    uint8_t first_bus, last_bus;
    uint32_t reserved;
} __packed;

static bool checksum_ok(const void *p, size_t n)
{
    const uint8_t *b = p;
    uint8_t sum = 0;

    while (n--)
        sum += *b++;
    return sum == 0;
}

/* ---- The root pointer ---- */

static bool rsdp_ok(const struct rsdp *r)
{
    return memcmp(r->signature, "RSD PTR ", 8) == 0 && checksum_ok(r, 20);
}

static uint64_t scan(uint64_t phys, uint64_t size)
{
    const char *p = boot_map(SLOT_ROOT, phys, size);

    for (uint64_t at = 0; at + sizeof(struct rsdp) <= size; at += 16)
        if (rsdp_ok((const void *)(p + at)))
            return phys + at;
    return 0;
}

/* The extended BIOS data area's first KiB, then the BIOS's read-only memory. */
static uint64_t find_rsdp(void)
{
    uint64_t ebda = (uint64_t)(*(const uint16_t *)boot_map(SLOT_ROOT, 0x40e, 2)) << 4, found = 0;

    if (ebda >= 0x80000 && ebda < 0xa0000)
        found = scan(ebda, KIB);
    return found ? found : scan(0xe0000, 0x20000);
}

/* ---- Tables ---- */

/* A whole, checked table in SLOT (valid to the slot's next use); NULL. */
static const struct table *get_table(unsigned slot, uint64_t phys)
{
    const struct table *t = boot_map(slot, phys, sizeof(*t));
    uint32_t length = t->length;

    if (length < sizeof(*t) || length > TABLE_SIZE_MAX) {
        log_warn("ACPI: table at %lx has length %u: left out", phys, length);
        return NULL;
    }
    t = boot_map(slot, phys, length);
    if (!checksum_ok(t, length)) {
        log_warn("ACPI: table %.4s at %lx has a wrong checksum: left out", t->signature, phys);
        return NULL;
    }
    return t;
}

/* Firmware may name a processor in both kinds of entry. */
static void add_cpu(uint32_t apic_id, uint32_t acpi_id, uint32_t flags)
{
    for (unsigned i = 0; i < acpi_info.cpus_count; i++)
        if (acpi_info.cpus[i].apic_id == apic_id && acpi_info.cpus[i].enabled)
            return;
    if (acpi_info.cpus_count == ACPI_CPUS_MAX) {
        if (flags & 1)
            log_warn("ACPI: more than %u processors: APIC id %u is not used", ACPI_CPUS_MAX, apic_id);
        return;
    }
    acpi_info.cpus[acpi_info.cpus_count].apic_id = apic_id;
    acpi_info.cpus[acpi_info.cpus_count].acpi_id = acpi_id;
    acpi_info.cpus[acpi_info.cpus_count++].enabled = flags & 1;
}

static uint32_t u32_at(const void *p, unsigned offset)
{
    uint32_t v;
    memcpy(&v, (const char *)p + offset, sizeof(v));
    return v;
}

static void add_override(const uint8_t *e)
{
    uint16_t flags = (uint16_t)(e[8] | e[9] << 8);

    if (e[2] != 0 || acpi_info.overrides_count == ACPI_OVERRIDES_MAX) /* bus 0: ISA */
        return;
    unsigned n = acpi_info.overrides_count++;
    acpi_info.overrides[n].irq = e[3];
    acpi_info.overrides[n].gsi = u32_at(e, 4);
    acpi_info.overrides[n].active_low = (flags & 3) == 3;
    acpi_info.overrides[n].level = ((flags >> 2) & 3) == 3;
}

static void add_ioapic(const uint8_t *e)
{
    if (acpi_info.ioapics_count == ACPI_IOAPICS_MAX)
        return;
    unsigned n = acpi_info.ioapics_count++;
    acpi_info.ioapics[n].id = e[2];
    acpi_info.ioapics[n].addr = u32_at(e, 4);
    acpi_info.ioapics[n].gsi_base = u32_at(e, 8);
}

static void parse_madt(const struct table *t)
{
    const struct madt *m = (const void *)t;

    if (t->length < sizeof(*m))
        return;
    acpi_info.lapic_addr = m->lapic;
    acpi_info.has_8259 = m->flags & 1;
    for (uint32_t at = sizeof(*m); at + sizeof(struct madt_entry) <= t->length;) {
        const uint8_t *e = (const uint8_t *)t + at;
        uint8_t type = e[0], length = e[1];

        if (length < sizeof(struct madt_entry) || at + length > t->length)
            break;
        if (type == 0 && length >= 8)
            add_cpu(e[3], e[2], u32_at(e, 4));
        else if (type == 1 && length >= 12)
            add_ioapic(e);
        else if (type == 2 && length >= 10)
            add_override(e);
        else if (type == 5 && length >= 12)
            memcpy(&acpi_info.lapic_addr, e + 4, 8);
        else if (type == 9 && length >= 16)
            add_cpu(u32_at(e, 4), u32_at(e, 12), u32_at(e, 8));
        at += length;
    }
}

static void parse_fadt(const struct table *t)
{
    struct fadt f = {0}; /* shorter in old revisions: the rest is zero */

    memcpy(&f, t, MIN((size_t)t->length, sizeof(f)));
    acpi_info.sci_irq = f.sci_irq;
    acpi_info.pm1a_cnt = (uint16_t)f.pm1a_cnt;
    acpi_info.pm1b_cnt = (uint16_t)f.pm1b_cnt;
    acpi_info.pm1a_evt = (uint16_t)f.pm1a_evt;
    acpi_info.pm1b_evt = (uint16_t)f.pm1b_evt;
    acpi_info.pm1_evt_len = f.pm1_evt_len;
    if (f.pm_timer_len == 4)
        acpi_info.pm_timer_port = (uint16_t)f.pm_timer;
    acpi_info.pm_timer_32bit = f.flags & FADT_TIMER_32BIT;
    if (f.flags & FADT_RESET) {
        acpi_info.reset_supported = true;
        acpi_info.reset_space = f.reset.space;
        acpi_info.reset_addr = f.reset.address;
        acpi_info.reset_value = f.reset_value;
    }
}

static void parse_hpet(const struct table *t)
{
    const struct hpet *h = (const void *)t;

    if (t->length >= sizeof(*h) && h->base.space == 0)
        acpi_info.hpet_addr = h->base.address;
}

static void parse_mcfg(const struct table *t)
{
    for (uint32_t at = sizeof(*t) + 8; at + sizeof(struct mcfg_entry) <= t->length; at += sizeof(struct mcfg_entry)) {
        struct mcfg_entry e;

        memcpy(&e, (const char *)t + at, sizeof(e));
        if (acpi_info.mcfg_count == ACPI_MCFG_MAX || e.first_bus > e.last_bus)
            continue;
        acpi_info.mcfg[acpi_info.mcfg_count].addr = e.addr;
        acpi_info.mcfg[acpi_info.mcfg_count].segment = e.segment;
        acpi_info.mcfg[acpi_info.mcfg_count].first_bus = e.first_bus;
        acpi_info.mcfg[acpi_info.mcfg_count++].last_bus = e.last_bus;
    }
}

static void parse_table(uint64_t phys)
{
    static const struct {
        char signature[5];
        void (*parse)(const struct table *);
    } parsers[] = {{"APIC", parse_madt}, {"FACP", parse_fadt}, {"HPET", parse_hpet}, {"MCFG", parse_mcfg}};
    const struct table *t = boot_map(SLOT_TABLE, phys, sizeof(*t));

    for (unsigned i = 0; i < ARRAY_SIZE(parsers); i++)
        if (memcmp(t->signature, parsers[i].signature, 4) == 0) {
            t = get_table(SLOT_TABLE, phys);
            if (t)
                parsers[i].parse(t);
            return;
        }
}

/* The list of tables: 64-bit addresses when there is an XSDT. */
static bool parse_root(const struct rsdp *rsdp)
{
    bool wide = rsdp->revision >= 2 && rsdp->xsdt;
    uint64_t phys = wide ? rsdp->xsdt : rsdp->rsdt;
    const struct table *root = get_table(SLOT_ROOT, phys);

    if (!root && wide) {
        wide = false;
        root = rsdp->rsdt ? get_table(SLOT_ROOT, rsdp->rsdt) : NULL;
    }
    if (!root)
        return false;
    unsigned count = (root->length - sizeof(*root)) / (wide ? 8 : 4);

    for (unsigned i = 0; i < MIN(count, (unsigned)TABLES_MAX); i++) {
        uint64_t entry = 0;
        memcpy(&entry, (const char *)(root + 1) + i * (wide ? 8 : 4), wide ? 8 : 4);
        if (entry)
            parse_table(entry);
    }
    return true;
}

void acpi_init(uint64_t rsdp_phys)
{
    struct rsdp rsdp;

    acpi_info.lapic_addr = rdmsr(MSR_APIC_BASE) & 0x000ffffffffff000UL;
    acpi_info.has_8259 = true;
    if (!rsdp_phys || !rsdp_ok(boot_map(SLOT_ROOT, rsdp_phys, sizeof(rsdp))))
        rsdp_phys = find_rsdp();
    boot_info.rsdp = rsdp_phys;
    if (rsdp_phys) {
        memcpy(&rsdp, boot_map(SLOT_ROOT, rsdp_phys, sizeof(rsdp)), sizeof(rsdp));
        acpi_info.present = parse_root(&rsdp);
    }
    if (!acpi_info.present) {
        log_warn("No ACPI tables: only one CPU, no I/O APIC routing (most devices have no interrupts), no power off");
        return;
    }
    power_init();
    log_info("ACPI: %u CPUs, %u I/O APICs, %s%s%u MCFG windows", acpi_info.cpus_count, acpi_info.ioapics_count,
             acpi_info.hpet_addr ? "HPET, " : "", acpi_info.pm_timer_port ? "PM timer, " : "", acpi_info.mcfg_count);
    if (acpi_info.cpus_count == 0)
        log_warn("ACPI has no MADT: only one CPU, no I/O APIC routing");
}
