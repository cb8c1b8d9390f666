/* SPDX-License-Identifier: MIT */
/* The fake machine's interrupt lines (recorded), console (a buffer) and its end; panic; tests in
 * their own process. */
#include "host/test.h"
#include <sys/wait.h>
#include <unistd.h>
#include "core/lib/print.h"
#include "core/mem/type.h"

struct host_pirq host_pirqs[HOST_PIRQS];
bool host_console_to_stderr;
char host_console[65536];
size_t host_console_len;
jmp_buf host_panic_jump;
bool host_panic_expected;
char host_panic_text[512];

struct frame *host_eoi_map;
bool host_pci_present[HOST_PCI_DEVFNS], host_pci_known[HOST_PCI_DEVFNS];
unsigned host_pci_restores;
bool option_noreboot;

/* ---- Interrupt lines ---- */
unsigned hw_pirq_max(void)
{
    return HOST_PIRQS;
}

bool hw_gsi_valid(unsigned gsi)
{
    return gsi < HOST_GSIS;
}

int hw_pirq_map_gsi(struct domain *d, unsigned gsi, int *pirq)
{
    if (!hw_gsi_valid(gsi) || (*pirq >= 0 && (unsigned)*pirq != gsi))
        return -EINVAL;
    if (host_pirqs[gsi].mapped && host_pirqs[gsi].mapped != d)
        return -EEXIST;
    host_pirqs[gsi].mapped = d;
    *pirq = (int)gsi;
    return 0;
}

int hw_gsi_setup(unsigned gsi, bool level, bool active_low)
{
    if (!hw_gsi_valid(gsi))
        return -EINVAL;
    if (host_pirqs[gsi].set_up)
        return -EEXIST;
    host_pirqs[gsi].set_up = true;
    host_pirqs[gsi].level = level;
    host_pirqs[gsi].active_low = active_low;
    return 0;
}

static bool pirqs_free(unsigned first, unsigned count)
{
    if (first + count > HOST_PIRQS)
        return false;
    for (unsigned i = first; i < first + count; i++)
        if (host_pirqs[i].mapped)
            return false;
    return true;
}

int hw_pirq_map_msi(struct domain *d, const struct hw_msi_request *rq, int *pirq)
{
    unsigned first = *pirq >= 0 ? (unsigned)*pirq : HOST_GSIS;

    if (rq->segment || rq->bus || !host_pci_known[rq->devfn])
        return -ENODEV;
    if (!rq->count || rq->count > 32)
        return -EINVAL;
    while (*pirq < 0 && first < HOST_PIRQS && !pirqs_free(first, rq->count))
        first++;
    if (!pirqs_free(first, rq->count))
        return *pirq < 0 ? -ENOSPC : -EEXIST;
    for (unsigned i = first; i < first + rq->count; i++) {
        host_pirqs[i].mapped = d;
        host_pirqs[i].msi = *rq;
    }
    *pirq = (int)first;
    return 0;
}

int hw_pirq_unmap(struct domain *d, unsigned pirq)
{
    if (pirq >= HOST_PIRQS || host_pirqs[pirq].mapped != d)
        return -EINVAL;
    if (host_pirqs[pirq].bound)
        return -EBUSY;
    host_pirqs[pirq].mapped = NULL;
    return 0;
}

int hw_pirq_status(struct domain *d, unsigned pirq, bool *needs_eoi, bool *shared)
{
    if (pirq >= HOST_PIRQS || host_pirqs[pirq].mapped != d)
        return -EINVAL;
    *needs_eoi = true;
    *shared = host_pirqs[pirq].will_share;
    return 0;
}

int hw_pirq_set_eoi_map(struct domain *d, mfn_t mfn)
{
    int rc = writable_get(mfn, d->id);

    if (rc)
        return rc;
    if (host_eoi_map) { /* looked at last: other CPUs may have their turn in between */
        writable_put(frame_of(mfn));
        return -EBUSY;
    }
    host_eoi_map = frame_of(mfn);
    return 0;
}

void hw_pirq_release_all(struct domain *d)
{
    for (unsigned i = 0; i < HOST_PIRQS; i++)
        if (host_pirqs[i].mapped == d || host_pirqs[i].bound == d)
            host_pirqs[i].mapped = host_pirqs[i].bound = NULL;
    if (host_eoi_map && host_eoi_map->owner == d->id) {
        writable_put(host_eoi_map);
        host_eoi_map = NULL;
    }
}

void hw_pirq_eoi(struct domain *d, unsigned pirq)
{
    (void)d;
    if (pirq < HOST_PIRQS)
        host_pirqs[pirq].eois++;
}

/* Lenient: a pirq that nobody has mapped can be bound, so that tests of event channels need not map. */
int hw_pirq_bind(struct domain *d, unsigned pirq, bool will_share)
{
    if (pirq >= HOST_PIRQS || (host_pirqs[pirq].mapped && host_pirqs[pirq].mapped != d))
        return -EINVAL;
    if (host_pirqs[pirq].bound)
        return -EBUSY;
    host_pirqs[pirq].bound = d;
    host_pirqs[pirq].will_share = will_share;
    return 0;
}

void hw_pirq_unbind(struct domain *d, unsigned pirq)
{
    if (pirq < HOST_PIRQS && host_pirqs[pirq].bound == d)
        host_pirqs[pirq].bound = NULL;
}

int hw_ioapic_read(uint64_t address, uint32_t reg, uint32_t *value)
{
    if (address != 0xfec00000 || reg > 1)
        return -EINVAL;
    *value = reg ? ((HOST_GSIS - 1) << 16) | 0x20 : 0;
    return 0;
}

/* ---- PCI, ACPI ---- */
int hw_pci_device_add(uint16_t segment, uint8_t bus, uint8_t devfn)
{
    if (segment || bus || !host_pci_present[devfn])
        return -ENODEV;
    host_pci_known[devfn] = true;
    return 0;
}

int hw_pci_device_remove(uint16_t segment, uint8_t bus, uint8_t devfn)
{
    if (segment || bus || !host_pci_known[devfn])
        return -ENODEV;
    host_pci_known[devfn] = false;
    return 0;
}

int hw_pci_restore_msi(uint16_t segment, uint8_t bus, uint8_t devfn)
{
    if (segment || bus || !host_pci_known[devfn])
        return -ENODEV;
    host_pci_restores++;
    return 0;
}

int hw_acpi_sleep(uint16_t pm1a, uint16_t pm1b, unsigned state)
{
    (void)pm1a;
    (void)pm1b;
    if (state != 5)
        return -EINVAL;
    hw_machine_poweroff();
}

/* ---- Console, the end ---- */
const char *hw_command_line(void)
{
    return "placeholder";
}

void hw_console_input_resume(void)
{
}

void hw_console_write(const char *s, size_t n)
{
    size_t keep = MIN(n, sizeof(host_console) - 1 - host_console_len);

    memcpy(host_console + host_console_len, s, keep);
    host_console_len += keep;
    host_console[host_console_len] = 0;
    if (host_console_to_stderr)
        fwrite(s, 1, n, stderr);
}

static void __noreturn stop(void)
{
    if (host_panic_expected) {
        host_panic_expected = false;
        host_this_cpu->locks_held = 0;
        longjmp(host_panic_jump, 1);
    }
    fprintf(stderr, "the machine stopped: %s\n", host_panic_text);
    if (host_console_len && !host_console_to_stderr)
        fprintf(stderr, "its console:\n%s\n", host_console);
    abort();
}

void __noreturn panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(host_panic_text, sizeof(host_panic_text), fmt, ap);
    va_end(ap);
    stop();
}

void __noreturn hw_machine_halt(void)
{
    strcpy(host_panic_text, "halt");
    stop();
}

void __noreturn hw_machine_restart(void)
{
    strcpy(host_panic_text, "restart");
    stop();
}

void __noreturn hw_machine_poweroff(void)
{
    strcpy(host_panic_text, "poweroff");
    stop();
}

void host_run_isolated(void **state)
{
    const struct host_isolated *t = *state;
    int status;

    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        const struct CMUnitTest one[] = {{t->name, t->fn, NULL, NULL, NULL}};
        if (!freopen("/dev/null", "w", stdout))
            abort();
        exit(cmocka_run_group_tests_name(t->name, one, NULL, NULL) ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}
