/* SPDX-License-Identifier: MIT */
/*
 * The emulation of privileged instructions. An input is registers, the vCPU's mode, its I/O privilege, two pages of guest
 * memory (code, string I/O, I/O bitmap; the page behind them is not there) and an instruction. What must hold:
 *   - what is refused changes nothing; what is done moves RIP by the length that Zydis sees
 *   - ports are reached only by who may, in bounded numbers, and strings as the processor would have moved them
 *   - all but ports, CPUID and the TSC asks for kernel mode
 */
#include <Zydis/Zydis.h>
#include "fuzz.h"
#include "host/machine.h"
#include "core/mem/reservation.h"
#include "x86/cpu/cpu.h"
#include "x86/pv/pv.h"
#include "x86/trap/guest_word.h"

#define GUEST_PAGES  2
#define GUEST_MEMORY 0x555500000000UL
#define GUEST_END    (GUEST_MEMORY + GUEST_PAGES * PAGE_SIZE)
#define CHUNK        32 /* accesses of one trap, at most */

static mfn_t frames[GUEST_PAGES];
static struct pv_vcpu guest;
static uint64_t processor_cr4;
static struct did { /* what the emulation asked for */
    unsigned ports, kernel_only, faults;
    uint16_t port;
    unsigned bytes;
} did;

static int copy(void *buf, uint64_t va, size_t size, bool write)
{
    for (size_t n = 0; n < size; n++) {
        uint8_t *at;

        if (va + n < GUEST_MEMORY || va + n >= GUEST_END)
            return -EFAULT;
        at = (uint8_t *)hw_frame_va(frames[(va + n - GUEST_MEMORY) / PAGE_SIZE]) + ((va + n) & ~PAGE_MASK);
        if (write)
            *at = ((const uint8_t *)buf)[n];
        else
            ((uint8_t *)buf)[n] = *at;
    }
    return 0;
}

static int load(void *to, uint64_t from, size_t size)
{
    return copy(to, from, size, false);
}

static int store(uint64_t to, const void *from, size_t size)
{
    return copy((void *)(uintptr_t)from, to, size, true);
}

static uint64_t base_of(uint32_t msr)
{
    return msr == MSR_FS_BASE ? GUEST_MEMORY : 0x10;
}

static int set_kernel_root(struct vcpu *v, mfn_t root)
{
    did.kernel_only++;
    return root.n & 1 ? -EINVAL : root.n & 2 ? -ERESTART : 0;
}

#define hw_copy_from_guest  load
#define hw_copy_to_guest    store
#define mmu_set_kernel_root set_kernel_root
#define rdmsr               base_of
#define rdtsc()             0x123456789abcUL
#undef read_cr
#define read_cr(n) processor_cr4
#undef write_cr
#define write_cr(n, value) (did.kernel_only++, processor_cr4 = (value))
#undef GUEST_LOAD
#define GUEST_LOAD(failed, value, from) ((failed) |= !!load(&(value), (uint64_t)(from), sizeof(value)))
#include "../../hypervisor/x86/emulate/decode.c"
#include "../../hypervisor/x86/pv/privop.c"

struct cpu_features cpu_features = {.xsave = true, .rdtscp = true};

mfn_t pv_kernel_va_frame(struct vcpu *v, uint64_t va)
{
    return va >= GUEST_MEMORY && va < GUEST_END ? frames[(va - GUEST_MEMORY) / PAGE_SIZE] : INVALID_MFN;
}

bool pv_read_segment(struct vcpu *v, uint16_t selector, struct pv_segment *s)
{
    *s = (struct pv_segment){.base = selector & 8 ? 0x1000 : 0, .limit = ~0u, .code32 = selector & 16};
    return selector & 32;
}

uint16_t pv_read_selector(unsigned segment)
{
    return (uint16_t)(guest.core.id * 8 + segment * 16 + 32);
}

/* Asked again, without the code under test: may the vCPU use these ports? Once: a string may change the bitmap. */
static void check_port(unsigned port, unsigned bytes)
{
    bool may = guest.iopl >= (guest.core.in_kernel ? 1 : 3);

    if (!may && guest.io_bitmap && port + bytes <= guest.io_bitmap_ports) {
        may = true;
        for (unsigned n = port; n < port + bytes; n++) {
            uint8_t b;

            may = may && !load(&b, guest.io_bitmap + n / 8, 1) && !(b >> (n & 7) & 1);
        }
    }
    MUST(may || did.ports, "port %x, %u bytes", port, bytes);
    MUST(bytes == 1 || bytes == 2 || bytes == 4, "%u bytes", bytes);
    MUST(++did.ports <= CHUNK, "too many accesses in one trap");
    MUST(did.ports == 1 || (did.port == port && did.bytes == bytes), "another port");
    did.port = (uint16_t)port;
    did.bytes = bytes;
}

uint32_t pv_port_in(struct domain *d, uint16_t port, unsigned bytes)
{
    check_port(port, bytes);
    return 0xa1b2c3d4u & (uint32_t)insn_mask(bytes);
}

void pv_port_out(struct domain *d, uint16_t port, unsigned bytes, uint32_t value)
{
    check_port(port, bytes);
    MUST(!(value & ~insn_mask(bytes)), "%x to a port of %u bytes", value, bytes);
}

void pv_inject_page_fault(struct vcpu *v, uint64_t cr2, uint32_t error_code)
{
    did.faults++;
    MUST(cr2 < GUEST_MEMORY || cr2 >= GUEST_END, "a fault at %lx, which is there", cr2);
}

void pv_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0, 16);
}

bool pv_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    did.kernel_only++;
    return msr & 1;
}

bool pv_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value)
{
    did.kernel_only++;
    return msr & 1;
}

int pv_set_debugreg(struct vcpu *v, unsigned reg, uint64_t value)
{
    did.kernel_only++;
    MUST(reg < 8 && reg != 4 && reg != 5, "debug register %u", reg);
    return value & 1 ? -EINVAL : 0;
}

void fpu_set_ts(struct vcpu *v, bool ts)
{
    did.kernel_only++;
}

bool fpu_set_xcr0(struct vcpu *v, uint64_t value)
{
    did.kernel_only++;
    return value & 1;
}

static void setup(void)
{
    static struct vcpu_info info;
    struct domain_config cfg = {.id = 1, .max_vcpus = 1, .max_evtchn_port = 1023, .pages_max = 100};
    struct domain *d;

    host_machine_init(1, 1024);
    MUST(!domain_create(&cfg, &d), "no domain");
    for (unsigned n = 0; n < GUEST_PAGES; n++)
        frames[n] = reservation_add(d, 0, 0, false);
    guest.core.domain = d;
    guest.core.info = &info;
}

static void take_state(struct input *in, struct regs *r)
{
    unsigned choices = input_u16(in);

    guest.core.in_kernel = choices & 1;
    guest.iopl = choices >> 1 & 3;
    guest.cr4 = choices & 8 ? CR4_TSD : 0;
    guest.io_bitmap = choices & 16 ? GUEST_MEMORY + PAGE_SIZE - (choices >> 12) : choices & 32 ? GUEST_END - 3 : 0;
    guest.io_bitmap_ports = choices & 64 ? 0x10000 : 100;
    r->cs = choices & 128 ? FLAT_CS64 : choices & 256 ? 0x33 : 8;
    r->rflags = 0x202 | (choices & 512 ? RFLAGS_DF : 0);
    for (unsigned n = 0; n < 16; n++) {
        *insn_reg(r, n) = (uint64_t)(int8_t)input_u8(in);
        if (choices & 1024)
            *insn_reg(r, n) += GUEST_MEMORY + PAGE_SIZE;
    }
    r->rcx = input_u16(in) & 0x3ff;
    memset(hw_frame_va(frames[0]), choices & 2048 ? 0 : 0x5a, PAGE_SIZE);
    memset(hw_frame_va(frames[1]), input_u8(in), PAGE_SIZE);
}

/* Strings moved as the processor would have done it. */
static void check_string(const struct regs *before, const struct regs *after, const struct insn *i)
{
    bool in = i->opcode < 0x6e, repeat = i->rep || i->repne;
    uint64_t step = (before->rflags & RFLAGS_DF ? -(uint64_t)did.bytes : did.bytes), mask;
    uint64_t moved = in ? after->rdi - before->rdi : after->rsi - before->rsi;

    if (did.faults) /* one that failed to store has read its port */
        return;
    mask = i->address_small || before->cs != FLAT_CS64 ? 0xffffffffUL : ~0UL;
    MUST(!((moved - step * did.ports) & mask), "moved by %lx in %u accesses of %u", moved, did.ports, did.bytes);
    MUST(!repeat || before->rcx - after->rcx == did.ports, "rcx %lx, %u accesses", after->rcx, did.ports);
    MUST(repeat || did.ports == 1, "%u accesses", did.ports);
}

static void check(const struct regs *before, const struct regs *after, bool done)
{
    ZydisDecodedInstruction z;
    ZydisDecoder decoder;
    struct pv_code code;
    struct insn i;
    uint64_t moved = after->rip - before->rip;

    MUST(done || !memcmp(before, after, sizeof(*before)), "refused, but changed");
    MUST(guest.core.in_kernel || !did.kernel_only, "done in user mode");
    if (!done)
        return;
    MUST(pv_fetch(&guest.core, before, &code) && insn_decode(&i, code.bytes, code.count, code.mode), "done unread");
    if (!i.two_byte && i.opcode >= 0x6c && i.opcode <= 0x6f)
        check_string(before, after, &i);
    ZydisDecoderInit(&decoder, code.mode == CODE_64 ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
                     code.mode == CODE_64 ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32);
    if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, code.bytes, code.count, &z)))
        MUST(moved == z.length || !moved || code.mode == CODE_32, "rip moved by %lx, not %u", moved, z.length);
    MUST(moved || did.faults || did.ports == CHUNK || (i.two_byte && i.opcode == 0x22), "not moved on");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct regs before = {0}, after;
    uint8_t code[16];

    if (!guest.core.domain)
        setup();
    memset(&did, 0, sizeof(did));
    take_state(&in, &before);
    before.rip = GUEST_END - 1 - input_u8(&in) % 20;
    input_bytes(&in, code, sizeof(code));
    for (unsigned n = 0; n < sizeof(code); n++)
        (void)!store(before.rip + n, &code[n], 1);
    after = before;
    check(&before, &after, pv_emulate_privileged(&guest.core, &after));
    return 0;
}
