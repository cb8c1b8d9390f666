/* SPDX-License-Identifier: MIT */
/*
 * Privileged instructions that a PV guest, running in ring 3, cannot execute: those that have a meaning for it are done here,
 * on its own view of the processor. All but port I/O, CLI, STI, CPUID and RDTSC ask for guest kernel mode. Everything else
 * stays the general protection fault that it was.
 *
 * Port I/O: guest kernel mode counts as privilege level 1, user mode as 3, against the vCPU's I/O privilege level; or the
 * task's bitmap permits the port. Whether the domain may have the port at all is asked in io.c.
 */
#include "core/lib/fail.h"
#include "core/lib/string.h"
#include "core/mem/mmu.h"
#include "core/mem/pte.h"
#include "core/trace/trace.h"
#include "x86/cpu/cpu.h"
#include "x86/emulate/decode.h"
#include "x86/pv/pv.h"
#include "x86/trap/guest_word.h"

#define STRING_CHUNK 32           /* string I/O iterations of one trap: some 330 instructions each */
#define CR0_GUEST    0x80050033UL /* PG AM WP NE ET MP PE */
#define CR4_TSD      (1UL << 2)
#define CR4_DE       (1UL << 3)
#define CR4_FIXED    0x660UL /* PAE MCE OSFXSR OSXMMEXCPT */

struct emulation {
    struct vcpu *v;
    struct regs *r;
    struct insn i;
    enum insn_size mode;
    bool keep_rip; /* a fault other than #GP was injected, or the guest makes the instruction again */
};

/* Flat 64-bit code that does not come near the end of its page. */
static inline bool fetch_words(struct pv_code *c, uint64_t rip)
{
    const uint64_t *from = (const uint64_t *)rip;
    unsigned failed = 0;

    if (!guest_range_ok(rip, sizeof(c->words)))
        return false;
    GUEST_LOAD(failed, c->words[0], from);
    GUEST_LOAD(failed, c->words[1], from + 1);
    c->count = sizeof(c->words);
    c->mode = CODE_64;
    return !failed;
}

static __attribute__((noinline)) bool fetch_any(struct vcpu *v, const struct regs *r, struct pv_code *c)
{
    uint64_t rip = r->rip;
    unsigned first;

    c->mode = CODE_64;
    if (r->cs != FLAT_CS64) {
        struct pv_segment s;

        if (!pv_read_segment(v, r->cs, &s) || !(s.code64 || s.code32))
            return false;
        if (s.code32) {
            c->mode = CODE_32;
            rip = (uint32_t)(s.base + rip);
        }
    }
    /* The second page may not be there: what is before it may be enough. */
    first = MIN(16, (unsigned)(PAGE_SIZE - (rip & ~PAGE_MASK)));
    c->count = 0;
    if (hw_copy_from_guest(c->bytes, rip, first))
        return false;
    c->count = first;
    if (first < 16 && !hw_copy_from_guest(c->bytes + first, rip + first, 16 - first))
        c->count = 16;
    return true;
}

bool pv_fetch(struct vcpu *v, const struct regs *r, struct pv_code *c)
{
    if (likely(r->cs == FLAT_CS64 && (r->rip & ~PAGE_MASK) <= PAGE_SIZE - sizeof(c->words)))
        return fetch_words(c, r->rip);
    return fetch_any(v, r, c);
}

static bool iopl_allows(struct vcpu *v)
{
    return pv_of(v)->iopl >= (v->in_kernel ? 1 : 3);
}

/* The bitmap is in kernel memory, and the ports are used in user mode. */
static uint8_t bitmap_byte(struct vcpu *v, uint64_t va)
{
    mfn_t m = guest_range_ok(va, 1) ? pv_kernel_va_frame(v, va) : INVALID_MFN;
    struct frame *f = frame_get_owned(m, v->domain->id);
    uint8_t b;

    if (!f)
        return 0xff;
    b = __atomic_load_n((const uint8_t *)hw_frame_va(frame_mfn(f)) + (va & ~PAGE_MASK), __ATOMIC_RELAXED);
    frame_put(f);
    return b;
}

static bool bitmap_allows(struct pv_vcpu *pv, unsigned port, unsigned bytes)
{
    uint16_t bits = 0xffff;

    if (!pv->io_bitmap || port + bytes > pv->io_bitmap_ports)
        return false;
    for (unsigned n = 0; n < 2; n++) { /* the range may reach into a second byte; unreadable ones refuse */
        uint8_t b = bitmap_byte(&pv->core, pv->io_bitmap + port / 8 + n);

        bits = (uint16_t)((bits & ~(0xff << (8 * n))) | b << (8 * n));
    }
    return !((bits >> (port & 7)) & ((1u << bytes) - 1));
}

static bool port_allowed(struct vcpu *v, unsigned port, unsigned bytes)
{
    return iopl_allows(v) || bitmap_allows(pv_of(v), port, bytes);
}

static bool do_port(struct emulation *e, uint16_t port, bool in)
{
    unsigned bytes = MIN(e->i.bytes, 4);

    if (!port_allowed(e->v, port, bytes))
        return false;
    e->i.bytes = (uint8_t)bytes;
    if (in)
        insn_reg_write(&e->i, e->r, 0, pv_port_in(e->v->domain, port, bytes));
    else
        pv_port_out(e->v->domain, port, bytes, (uint32_t)insn_reg_read(&e->i, e->r, 0));
    return true;
}

/* Base of the data segment of string I/O; ES for INS, DS or an override for OUTS. */
static bool string_base(struct emulation *e, bool in, uint64_t *base)
{
    unsigned seg = in ? SEG_ES : e->i.seg == SEG_NONE ? SEG_DS : e->i.seg;
    struct pv_segment s;

    *base = 0;
    if (e->mode == CODE_64) {
        if (seg == SEG_FS)
            *base = rdmsr(MSR_FS_BASE);
        else if (seg == SEG_GS)
            *base = rdmsr(MSR_GS_BASE);
        return true;
    }
    if (!pv_read_segment(e->v, seg == SEG_CS ? e->r->cs : seg == SEG_SS ? e->r->ss : pv_read_selector(seg), &s))
        return false;
    *base = s.base;
    return true;
}

/* One element. False: the guest got a page fault. */
static bool string_element(struct emulation *e, uint64_t address, uint16_t port, bool in)
{
    unsigned bytes = e->i.bytes, first = MIN(bytes, (unsigned)(PAGE_SIZE - (address & ~PAGE_MASK)));
    uint64_t failed = address;
    uint32_t value = 0;
    int rc;

    if (in) {
        value = pv_port_in(e->v->domain, port, bytes);
        rc = hw_copy_to_guest(address, &value, first);
        if (!rc && first < bytes)
            rc = hw_copy_to_guest(failed = address + first, (char *)&value + first, bytes - first);
    } else {
        rc = hw_copy_from_guest(&value, address, first);
        if (!rc && first < bytes)
            rc = hw_copy_from_guest((char *)&value + first, failed = address + first, bytes - first);
        if (!rc)
            pv_port_out(e->v->domain, port, bytes, value);
    }
    if (!rc)
        return true;
    e->keep_rip = true;
    pv_inject_page_fault(e->v, failed, in ? 2 : 0);
    return false;
}

/* INS, OUTS: a bounded number of iterations; then the guest makes the instruction again with what is left in rcx. */
static bool string_io(struct emulation *e, bool in)
{
    struct regs *r = e->r;
    uint64_t mask = e->mode == CODE_32 || e->i.address_small ? 0xffffffffUL : ~0UL;
    uint64_t *index = in ? &r->rdi : &r->rsi, count = 1, base;
    uint16_t port = (uint16_t)r->rdx;
    bool repeat = e->i.rep || e->i.repne;

    e->i.bytes = MIN(e->i.bytes, 4);
    if (!port_allowed(e->v, port, e->i.bytes) || !string_base(e, in, &base))
        return false;
    if (repeat)
        count = r->rcx & mask;
    for (unsigned done = 0; count; done++) {
        uint64_t step = r->rflags & RFLAGS_DF ? -(uint64_t)e->i.bytes : e->i.bytes;
        uint64_t address = base + (*index & mask);

        if (done == STRING_CHUNK) {
            e->i.length = 0;
            break;
        }
        if (!string_element(e, e->mode == CODE_32 ? (uint32_t)address : address, port, in))
            break;
        *index = (*index & ~mask) | ((*index + step) & mask);
        count--;
        if (repeat)
            r->rcx = (r->rcx & ~mask) | count;
    }
    return true;
}

static bool read_control(struct emulation *e, unsigned cr, uint64_t *value)
{
    struct pv_vcpu *pv = pv_of(e->v);

    switch (cr) {
    case 0:
        *value = CR0_GUEST | (pv->ts ? CR0_TS : 0);
        return true;
    case 2:
        *value = __atomic_load_n(&e->v->info->arch.cr2, __ATOMIC_RELAXED);
        return true;
    case 3:
        *value = e->v->kernel_l4.n << PAGE_SHIFT;
        return true;
    case 4:
        *value = CR4_FIXED | pv->cr4;
        return true;
    default:
        return false;
    }
}

/* CR4: what the guest may decide is taken, the rest ignored: it is told nothing of the features behind it. */
static void write_cr4(struct pv_vcpu *pv, uint64_t value)
{
    uint64_t real = read_cr(4), wanted;

    pv->cr4 = value & (CR4_TSD | CR4_DE | (cpu_features.xsave ? CR4_OSXSAVE : 0));
    wanted = (real & ~(CR4_TSD | CR4_DE)) | (pv->cr4 & (CR4_TSD | CR4_DE));
    if (wanted != real)
        write_cr(4, wanted);
}

/* Cut short, it may have set the root already: making it again finishes it. */
static bool write_cr3(struct emulation *e, uint64_t value)
{
    int rc = mmu_set_kernel_root(e->v, MFN(value >> PAGE_SHIFT));

    e->keep_rip = rc == -ERESTART;
    return !rc || e->keep_rip;
}

static bool write_control(struct emulation *e, unsigned cr, uint64_t value)
{
    switch (cr) {
    case 0:
        if ((value ^ CR0_GUEST) & ~(uint64_t)CR0_TS)
            return false;
        fpu_set_ts(e->v, value & CR0_TS);
        return true;
    case 2:
        __atomic_store_n(&e->v->info->arch.cr2, value, __ATOMIC_RELAXED);
        return true;
    case 3:
        return write_cr3(e, value);
    case 4:
        write_cr4(pv_of(e->v), value);
        return true;
    default:
        return false;
    }
}

static bool move_control(struct emulation *e)
{
    uint64_t *reg = insn_reg(e->r, e->i.rm);

    return e->i.opcode == 0x20 ? read_control(e, e->i.reg, reg) : write_control(e, e->i.reg, *reg);
}

static bool move_debug(struct emulation *e)
{
    uint64_t *reg = insn_reg(e->r, e->i.rm);
    struct pv_vcpu *pv = pv_of(e->v);
    unsigned dr = e->i.reg;

    if (dr == 4 || dr == 5) {
        if (pv->cr4 & CR4_DE)
            return false;
        dr += 2;
    }
    if (dr > 7)
        return false;
    if (e->i.opcode == 0x23)
        return !pv_set_debugreg(e->v, dr, *reg);
    *reg = pv->dr[dr];
    return true;
}

static void set_edx_eax(struct regs *r, uint64_t value)
{
    r->rax = (uint32_t)value;
    r->rdx = value >> 32;
}

static bool read_tsc(struct emulation *e)
{
    if ((pv_of(e->v)->cr4 & CR4_TSD) && !e->v->in_kernel)
        return false;
    set_edx_eax(e->r, rdtsc());
    return true;
}

static void execute_cpuid(struct vcpu *v, struct regs *r)
{
    uint32_t out[4];

    pv_cpuid(v, (uint32_t)r->rax, (uint32_t)r->rcx, out);
    r->rax = out[0];
    r->rbx = out[1];
    r->rcx = out[2];
    r->rdx = out[3];
}

/* Guests without a handler for #GP yet are given 0, as the ABI promises. */
static bool read_msr(struct emulation *e)
{
    uint64_t value = 0;

    if (!pv_rdmsr(e->v, (uint32_t)e->r->rcx, &value) && pv_of(e->v)->traps[13].address) {
        trace(TRACE_EMUL, "d%u v%u rdmsr %x refused", e->v->domain->id, e->v->id, (uint32_t)e->r->rcx);
        return false;
    }
    set_edx_eax(e->r, value);
    return true;
}

static bool write_msr(struct emulation *e)
{
    uint64_t value = e->r->rdx << 32 | (uint32_t)e->r->rax;

    trace(TRACE_EMUL, "d%u v%u wrmsr %x %lx", e->v->domain->id, e->v->id, (uint32_t)e->r->rcx, value);
    return pv_wrmsr(e->v, (uint32_t)e->r->rcx, value);
}

static bool group7(struct emulation *e)
{
    unsigned which = (e->i.reg & 7) << 3 | (e->i.rm & 7);

    if (which == (2 << 3 | 1)) /* XSETBV */
        return e->v->in_kernel && !(uint32_t)e->r->rcx && (pv_of(e->v)->cr4 & CR4_OSXSAVE) &&
               fpu_set_xcr0(e->v, e->r->rdx << 32 | (uint32_t)e->r->rax);
    if (which == (7 << 3 | 1) && cpu_features.rdtscp && read_tsc(e)) { /* RDTSCP */
        e->r->rcx = pv_of(e->v)->msr_tsc_aux;
        return true;
    }
    return false;
}

static bool emulate_two_byte(struct emulation *e)
{
    struct vcpu *v = e->v;

    switch (e->i.opcode) {
    case 0x01:
        return e->i.mod == 3 && group7(e);
    case 0x31:
        return read_tsc(e);
    case 0xa2:
        execute_cpuid(v, e->r);
        return true;
    }
    if (!v->in_kernel)
        return false;
    switch (e->i.opcode) {
    case 0x06:
        fpu_set_ts(v, false);
        return true;
    case 0x09: /* WBINVD: matters only to who drives hardware */
        if (v->domain->is_hardware)
            __asm__ volatile("wbinvd" ::: "memory");
        return true;
    case 0x20:
    case 0x22:
        return e->i.mod == 3 && move_control(e);
    case 0x21:
    case 0x23:
        return e->i.mod == 3 && move_debug(e);
    case 0x30:
        return write_msr(e);
    case 0x32:
        return read_msr(e);
    default:
        return false;
    }
}

static bool emulate_one_byte(struct emulation *e)
{
    uint8_t op = e->i.opcode;

    switch (op) {
    case 0x6c:
    case 0x6d:
        return string_io(e, true);
    case 0x6e:
    case 0x6f:
        return string_io(e, false);
    case 0xe4:
    case 0xe5:
        return do_port(e, (uint8_t)e->i.immediate, true);
    case 0xe6:
    case 0xe7:
        return do_port(e, (uint8_t)e->i.immediate, false);
    case 0xec:
    case 0xed:
        return do_port(e, (uint16_t)e->r->rdx, true);
    case 0xee:
    case 0xef:
        return do_port(e, (uint16_t)e->r->rdx, false);
    case 0xfa: /* CLI, STI: events have their own mask */
    case 0xfb:
        return iopl_allows(e->v);
    default:
        return false;
    }
}

bool pv_emulate_privileged(struct vcpu *v, struct regs *r)
{
    struct emulation e = {.v = v, .r = r};
    struct pv_code code;

    if (!pv_fetch(v, r, &code) || !insn_decode(&e.i, code.bytes, code.count, code.mode))
        return false;
    e.mode = code.mode;
    if (e.i.lock)
        return false;
    trace(TRACE_EMUL, "d%u v%u privileged %s%02x at %lx", v->domain->id, v->id, e.i.two_byte ? "0f " : "", e.i.opcode,
          r->rip);
    if (!(e.i.two_byte ? emulate_two_byte(&e) : emulate_one_byte(&e)))
        return false;
    if (!e.keep_rip) {
        r->rip += e.i.length;
        if (e.mode == CODE_32)
            r->rip = (uint32_t)r->rip;
        r->rflags &= ~(uint64_t)RFLAGS_RF;
    }
    return true;
}

/* UD2 'x' 'e' 'n' CPUID: the guest asks for its policy, from either mode. */
bool pv_emulate_forced(struct vcpu *v, struct regs *r)
{
    static const uint8_t wanted[7] = {0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2};
    struct pv_code code;

    if (!pv_fetch(v, r, &code) || code.count < sizeof(wanted) || memcmp(code.bytes, wanted, sizeof(wanted)))
        return false;
    execute_cpuid(v, r);
    r->rip += sizeof(wanted);
    r->rflags &= ~(uint64_t)RFLAGS_RF;
    return true;
}
