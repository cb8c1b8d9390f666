/* SPDX-License-Identifier: MIT */
/*
 * The emulation of stores into page tables against the processor itself: an input is flags, registers, memory and an
 * instruction. What the emulator takes, and Zydis reads in the same way, is executed natively on a copy of the memory; memory,
 * registers, flags and length must agree. Zydis also guards this process: nothing but the known stores is executed.
 */
#include <Zydis/Zydis.h>
#include <asm/prctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "fuzz.h"
#include "host/machine.h"
#include "host/native.h"
#include "core/mem/alloc.h"
#include "core/mem/mmu.h"
#include "x86/cpu/cpu.h"

#define GS_BASE 0x12340000UL

static struct frame *table_frame; /* stands for the page table */
static uint8_t *page;             /* the same for the native instruction */
static unsigned interfere;        /* how often another CPU changes the entry under the emulation */
static unsigned swaps;

static int cmpxchg_l1(struct domain *d, mfn_t l1, unsigned index, pte_t expected, pte_t value)
{
    pte_t *entry = (pte_t *)hw_frame_va(l1) + index;

    MUST(d && mfn_eq(l1, frame_mfn(table_frame)) && index < PAGE_SIZE / sizeof(pte_t), "index %u", index);
    if (interfere) {
        interfere--;
        return -EAGAIN;
    }
    MUST(*entry == expected, "%lx was expected, not %lx", expected, *entry);
    *entry = value;
    swaps++;
    return 0;
}

static uint64_t base_of(uint32_t msr)
{
    return msr == MSR_GS_BASE ? GS_BASE : 0;
}
#define mmu_cmpxchg_l1 cmpxchg_l1
#define rdmsr          base_of
#include "../../hypervisor/x86/emulate/decode.c"
#include "../../hypervisor/x86/pv/ptwrite.c"

static struct pv_code code_now;
static struct domain a_domain;
static struct vcpu a_vcpu = {.domain = &a_domain, .in_kernel = true};
static ZydisDecoder decoder;

bool pv_fetch(struct vcpu *v, const struct regs *r, struct pv_code *c)
{
    *c = code_now;
    return true;
}

mfn_t pv_kernel_va_frame(struct vcpu *v, uint64_t va)
{
    return frame_mfn(table_frame);
}

void pv_single_step(struct vcpu *v)
{
    MUST(false, "TF was not set");
}

static void setup(void)
{
    page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    host_machine_init(1, 256);
    table_frame = frame_of(alloc_frames(0, 0));
    table_frame->refs |= (uint64_t)FT_L1 << FR_TYPE_SHIFT;
    table_frame->owner = a_domain.id;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    MUST(page != MAP_FAILED && !syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE), "no page, no GS");
}

/* Flags that the processor leaves undefined. */
static bool defined_flags(const ZydisDecodedInstruction *z, uint64_t *flags)
{
    *flags = ARITHMETIC_FLAGS;
    switch (z->mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_MOVNTI:
    case ZYDIS_MNEMONIC_XCHG:
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_XADD:
    case ZYDIS_MNEMONIC_CMPXCHG:
        return true;
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_XOR:
        *flags &= ~(uint64_t)AF;
        return true;
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTC:
        *flags = CF;
        return true;
    default:
        return false;
    }
}

/* May this process execute it: a known store, as our decoder reads it, not to or from the stack pointer, no FS. */
static bool is_safe(const struct insn *i, const ZydisDecodedInstruction *z, const ZydisDecodedOperand *o)
{
    for (unsigned n = 0; n < z->operand_count; n++) {
        if (o[n].type == ZYDIS_OPERAND_TYPE_REGISTER && o[n].reg.value != ZYDIS_REGISTER_RFLAGS &&
            ZydisRegisterGetId(ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, o[n].reg.value)) == 4)
            return false;
        if (o[n].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            (o[n].mem.segment == ZYDIS_REGISTER_FS || o[n].mem.base == ZYDIS_REGISTER_RSP ||
             o[n].mem.base == ZYDIS_REGISTER_ESP))
            return false;
    }
    return i->length == z->length;
}

/* Moves the base register so that the store goes to `target`. */
static bool aim(struct regs *r, struct insn *i, struct store *s, uint64_t target)
{
    if (!decode_any(&code_now, r, i, s) || !i->has_base)
        return false;
    *insn_reg(r, i->base) += target - s->address;
    return decode_any(&code_now, r, i, s) && s->address == target;
}

static void compare(const struct regs *native, const struct regs *mine, const struct regs *before, uint64_t flags,
                    unsigned length)
{
    const uint8_t *table = hw_frame_va(frame_mfn(table_frame));

    MUST(swaps == 1, "%u swaps", swaps);
    for (unsigned n = 0; memcmp(table, page, PAGE_SIZE) && n < PAGE_SIZE; n += 8)
        MUST(!memcmp(table + n, page + n, 8), "memory at %x: %lx, not %lx", n, *(const uint64_t *)(table + n),
             *(const uint64_t *)(page + n));
    MUST(!((native->rflags ^ mine->rflags) & flags), "flags %lx, not %lx", mine->rflags, native->rflags);
    for (unsigned n = 0; n < 16; n++) {
        uint64_t is = *insn_reg((struct regs *)mine, n), should = *insn_reg((struct regs *)native, n);
        MUST(n == 4 || is == should, "register %u is %lx, not %lx", n, is, should);
    }
    MUST(mine->rip == before->rip + length, "rip moved by %lx", mine->rip - before->rip);
}

static void one(struct input *in)
{
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    uint8_t *table = hw_frame_va(frame_mfn(table_frame));
    struct regs before = {0}, native, mine;
    ZydisDecodedInstruction z;
    unsigned offset, choices;
    struct store s;
    struct insn i;
    uint64_t flags;

    input_bytes(in, code_now.bytes, sizeof(code_now.bytes));
    code_now.count = sizeof(code_now.bytes);
    code_now.mode = CODE_64;
    choices = input_u8(in);
    offset = input_u16(in) % PAGE_SIZE;
    before.rflags = (input_u8(in) & (CF | PF | AF | ZF | SF)) | (choices & 1 ? OF : 0) | 0x202;
    for (unsigned n = 0; n < 16; n++)
        if (n != 4)
            *insn_reg(&before, n) = (uint64_t)(int8_t)input_u8(in) * 0x0101010101010101UL ^ input_u8(in);
    memset(page, input_u8(in), PAGE_SIZE);
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, code_now.bytes, sizeof(code_now.bytes), &z, operands)) ||
        !defined_flags(&z, &flags) || !insn_decode(&i, code_now.bytes, code_now.count, CODE_64) ||
        !is_safe(&i, &z, operands) || !aim(&before, &i, &s, (uint64_t)page + (offset & ~(i.bytes - 1u))))
        return;
    if (choices & 2) /* give CMPXCHG a chance to be equal, if it may have this register */
        before.rax = i.base ? (before.rax & ~insn_mask(i.bytes)) | (page[0] * 0x0101010101010101UL & insn_mask(i.bytes))
                            : before.rax;
    if (!decode_any(&code_now, &before, &i, &s) || s.address != (uint64_t)page + (offset & ~(i.bytes - 1u)))
        return;
    memcpy(table, page, PAGE_SIZE);
    native = mine = before;
    interfere = choices >> 6;
    swaps = 0;
    host_run_native(&native, code_now.bytes, i.length);
    MUST(pv_emulate_pt_write(&a_vcpu, &mine, s.address), "not taken");
    compare(&native, &mine, &before, flags, i.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};

    if (!page)
        setup();
    one(&in);
    return 0;
}
