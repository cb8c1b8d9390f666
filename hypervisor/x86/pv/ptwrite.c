/* SPDX-License-Identifier: MIT */
/*
 * Stores of a guest kernel into its own level-1 page tables (VMASST writable_pagetables). The tables are mapped read-only, so
 * the store faults; it is decoded, and done as a checked compare-and-swap of the whole entry: as atomic as the LOCK prefix
 * asks for, against other CPUs and the processor's accessed and dirty bits. The guest flushes its translations itself.
 *
 * False means: not such a store, or an entry that the guest may not have; the guest then gets its page fault.
 */
#include "core/mem/mmu.h"
#include "core/mem/pte.h"
#include "core/trace/trace.h"
#include "x86/cpu/cpu.h"
#include "x86/emulate/decode.h"
#include "x86/pv/pv.h"

#define CF               (1u << 0)
#define PF               (1u << 2)
#define AF               (1u << 4)
#define ZF               (1u << 6)
#define SF               (1u << 7)
#define OF               (1u << 11)
#define ARITHMETIC_FLAGS (CF | PF | AF | ZF | SF | OF)
#define SWAP_TRIES       16 /* then the guest makes its instruction again */

/* The first two leave the flags alone. */
enum store_op { OP_MOV, OP_XCHG, OP_ADD, OP_OR, OP_AND, OP_SUB, OP_XOR, OP_BTS, OP_BTR, OP_BTC, OP_XADD, OP_CMPXCHG };

struct store {
    enum store_op op;
    uint64_t operand; /* a value, perhaps with more bits than the store has; for bit operations the bit's mask */
    uint64_t address;
};

/* ADD OR ADC SBB AND SUB XOR CMP, by the group number or opcode bits 5..3; -1: not offered. */
static const int8_t alu_ops[8] = {OP_ADD, OP_OR, -1, -1, OP_AND, OP_SUB, OP_XOR, -1};

/* The bit string of a register bit number goes beyond the operand in both directions. */
static bool decode_bit_op(const struct insn *i, struct regs *r, struct store *s)
{
    unsigned bits = i->bytes * 8;
    int64_t bit;

    if (i->opcode == 0xba) {
        if ((i->reg & 7) < 5)
            return false;
        s->op = OP_BTS + ((i->reg & 7) - 5);
        bit = i->immediate & (bits - 1);
    } else {
        s->op = i->opcode == 0xab ? OP_BTS : i->opcode == 0xb3 ? OP_BTR : OP_BTC;
        bit = (int64_t)insn_reg_read(i, r, i->reg);
        if (i->bytes == 4)
            bit = (int32_t)bit;
        else if (i->bytes == 2)
            bit = (int16_t)bit;
        s->address += (uint64_t)(bit >> (i->bytes == 8 ? 6 : i->bytes == 4 ? 5 : 4)) * i->bytes;
        bit &= bits - 1;
    }
    s->operand = 1UL << bit;
    return true;
}

static bool decode_two_byte(const struct insn *i, struct regs *r, struct store *s)
{
    switch (i->opcode) {
    case 0xab:
    case 0xb3:
    case 0xbb:
    case 0xba:
        return decode_bit_op(i, r, s);
    case 0xb0:
    case 0xb1:
        s->op = OP_CMPXCHG;
        break;
    case 0xc0:
    case 0xc1:
        s->op = OP_XADD;
        break;
    case 0xc3:
        s->op = OP_MOV;
        break;
    default:
        return false;
    }
    s->operand = insn_reg_read(i, r, i->reg);
    return true;
}

static bool decode_one_byte(const struct insn *i, struct regs *r, struct store *s)
{
    int op;

    s->operand = (uint64_t)i->immediate;
    switch (i->opcode) {
    case 0x88:
    case 0x89:
        s->operand = insn_reg_read(i, r, i->reg);
        s->op = OP_MOV;
        return true;
    case 0x86:
    case 0x87:
        s->operand = insn_reg_read(i, r, i->reg);
        s->op = OP_XCHG;
        return true;
    case 0xc6:
    case 0xc7:
        s->op = OP_MOV;
        return !(i->reg & 7);
    case 0x80:
    case 0x81:
    case 0x83:
        op = alu_ops[i->reg & 7];
        break;
    default:
        if (i->opcode >= 0x40 || (i->opcode & 7) > 1)
            return false;
        s->operand = insn_reg_read(i, r, i->reg);
        op = alu_ops[i->opcode >> 3];
    }
    s->op = (enum store_op)op;
    return op >= 0;
}

/* Only FS and GS have bases in 64-bit mode, and the running guest's are in the processor. */
static uint64_t segment_base(const struct insn *i)
{
    return i->seg == SEG_FS ? rdmsr(MSR_FS_BASE) : i->seg == SEG_GS ? rdmsr(MSR_GS_BASE) : 0;
}

static __attribute__((noinline)) bool decode_any(const struct pv_code *c, struct regs *r, struct insn *i,
                                                 struct store *s)
{
    if (c->mode != CODE_64 || !insn_decode(i, c->bytes, c->count, CODE_64) || !i->has_modrm || i->mod == 3)
        return false;
    s->address = insn_address(i, r, CODE_64) + segment_base(i);
    return i->two_byte ? decode_two_byte(i, r, s) : decode_one_byte(i, r, s);
}

/* Eight bytes of code, of which the lowest is next. */
struct code_word {
    uint64_t w;
    unsigned taken;
};

static inline uint8_t take_byte(struct code_word *c)
{
    uint8_t b = (uint8_t)c->w;

    c->w >>= 8;
    c->taken++;
    return b;
}

static inline int32_t take_long(struct code_word *c)
{
    int32_t n = (int32_t)c->w;

    c->w >>= 32;
    c->taken += 4;
    return n;
}

/* ModRM with an operand in memory by a base register or rip; behind it there are `more` bytes. */
static inline __attribute__((always_inline)) bool usual_operands(struct code_word *c, struct regs *r, unsigned more,
                                                                 struct insn *i, struct store *s)
{
    uint8_t modrm = take_byte(c);
    unsigned mod = modrm >> 6, rm = modrm & 7;

    i->reg = (modrm >> 3 & 7) | (i->rex & 4) << 1;
    if (unlikely(rm == 4 || mod == 3))
        return false;
    if (mod == 0 && unlikely(rm == 5)) {
        int64_t displacement = take_long(c);

        s->address = r->rip + c->taken + more + (uint64_t)displacement;
        return true;
    }
    s->address = *insn_reg(r, rm | (i->rex & 1) << 3);
    if (mod)
        s->address += (uint64_t)(int64_t)(mod == 1 ? (int8_t)take_byte(c) : take_long(c));
    return true;
}

/* In eight bytes, what Linux changes live entries with: MOV and XCHG of a register (set_pte, ptep_get_and_clear), AND and
 * the like of a byte with an immediate (ptep_set_wrprotect), BTR (ptep_test_and_clear_young). Sets what finish() needs of
 * *i. False: something else, which decode_any() may know. */
static inline bool decode_usual(const struct pv_code *code, struct regs *r, struct insn *i, struct store *s)
{
    struct code_word c = {code->words[0], 0};
    uint8_t b = take_byte(&c);
    int op;

    if (b == 0xf0) /* all is done atomically */
        b = take_byte(&c);
    i->rex = 0;
    if ((b & 0xf0) == 0x40) {
        i->rex = b;
        b = take_byte(&c);
    }
    if ((b == 0x89 || b == 0x87) && (i->rex & 8)) {
        if (!usual_operands(&c, r, 0, i, s))
            return false;
        i->bytes = 8;
        op = b == 0x89 ? OP_MOV : OP_XCHG;
        s->operand = *insn_reg(r, i->reg);
    } else if (b == 0x80) {
        if (!usual_operands(&c, r, 1, i, s))
            return false;
        i->bytes = 1;
        op = alu_ops[i->reg & 7];
        s->operand = take_byte(&c);
    } else if (b == 0x0f && take_byte(&c) == 0xba) {
        if (!usual_operands(&c, r, 1, i, s) || (i->reg & 7) < 5)
            return false;
        i->bytes = (i->rex & 8) ? 8 : 4;
        op = OP_BTS + (i->reg & 7) - 5;
        s->operand = 1UL << (take_byte(&c) & (i->bytes * 8 - 1));
    } else {
        return false;
    }
    s->op = (enum store_op)op;
    i->length = (uint8_t)c.taken;
    return op >= 0 && c.taken <= sizeof(c.w);
}

/* New value of the operand; `old` and the result are of its size. *write false: the comparison failed. */
static inline uint64_t compute(const struct store *s, uint64_t old, uint64_t accumulator, bool *write)
{
    switch (s->op) {
    case OP_ADD:
    case OP_XADD:
        return old + s->operand;
    case OP_OR:
    case OP_BTS:
        return old | s->operand;
    case OP_AND:
        return old & s->operand;
    case OP_BTR:
        return old & ~s->operand;
    case OP_SUB:
        return old - s->operand;
    case OP_XOR:
    case OP_BTC:
        return old ^ s->operand;
    case OP_CMPXCHG:
        *write = old == accumulator;
        break;
    case OP_MOV:
    case OP_XCHG:
        break;
    }
    return s->operand;
}

static uint64_t add_sub_flags(uint64_t a, uint64_t b, uint64_t result, uint64_t sign, bool subtract)
{
    uint64_t carries = subtract ? (~a & b) | (~(a ^ b) & result) : (a & b) | ((a | b) & ~result);
    uint64_t overflow = subtract ? (a ^ b) & (a ^ result) : ~(a ^ b) & (a ^ result);

    return (carries & sign ? CF : 0) | (carries & 8 ? AF : 0) | (overflow & sign ? OF : 0);
}

static void set_flags(const struct insn *i, const struct store *s, struct regs *r, uint64_t old, uint64_t accumulator)
{
    uint64_t mask = insn_mask(i->bytes), sign = (mask >> 1) + 1, flags = 0, result;
    bool ignored;

    if (s->op == OP_BTS || s->op == OP_BTR || s->op == OP_BTC) {
        r->rflags = (r->rflags & ~(uint64_t)CF) | (old & s->operand ? CF : 0);
        return;
    }
    if (s->op == OP_CMPXCHG) {
        result = (accumulator - old) & mask;
        flags = add_sub_flags(accumulator, old, result, sign, true);
    } else {
        result = compute(s, old, accumulator, &ignored) & mask;
        if (s->op == OP_ADD || s->op == OP_XADD || s->op == OP_SUB)
            flags = add_sub_flags(old, s->operand & mask, result, sign, s->op == OP_SUB);
    }
    flags |= (result ? 0 : ZF) | (result & sign ? SF : 0) | (__builtin_parity((uint8_t)result) ? 0 : PF);
    r->rflags = (r->rflags & ~(uint64_t)ARITHMETIC_FLAGS) | flags;
}

static inline void finish(struct vcpu *v, const struct insn *i, const struct store *s, struct regs *r, uint64_t old,
                          uint64_t accumulator)
{
    if (s->op > OP_XCHG)
        set_flags(i, s, r, old, accumulator);
    if (s->op == OP_XCHG || s->op == OP_XADD)
        insn_reg_write(i, r, i->reg, old);
    else if (s->op == OP_CMPXCHG && old != accumulator)
        insn_reg_write(i, r, 0, old);
    r->rip += i->length;
    r->rflags &= ~(uint64_t)RFLAGS_RF;
    if (unlikely(r->rflags & RFLAGS_TF))
        pv_single_step(v);
}

/* The read, the operation and the swap, until the swap meets the value that was read. A comparison that fails swaps in the same
 * value: only the swap tells that the table still is one of this domain, and what was read its to know. */
static __attribute__((noinline)) bool store_to_entry(struct vcpu *v, struct regs *r, const struct insn *i,
                                                     const struct store *s, mfn_t table)
{
    unsigned index = (s->address & ~PAGE_MASK) / sizeof(pte_t), shift = (s->address & 7) * 8;
    const pte_t *entry = (const pte_t *)hw_frame_va(table) + index;
    uint64_t mask = insn_mask(i->bytes), accumulator = r->rax & mask;

    for (unsigned tries = 0; tries < SWAP_TRIES; tries++) {
        pte_t was = __atomic_load_n(entry, __ATOMIC_RELAXED);
        uint64_t old = (was >> shift) & mask;
        bool write = true;
        uint64_t new = compute(s, old, accumulator, &write) & mask;
        pte_t value = write ? (was & ~(mask << shift)) | new << shift : was;
        int rc = mmu_cmpxchg_l1(v->domain, table, index, was, value);

        if (likely(!rc)) {
            finish(v, i, s, r, old, accumulator);
            return true;
        }
        if (rc != -EAGAIN)
            return rc == -ERESTART;
    }
    return true;
}

/* The same for MOV and XCHG of all of an entry. */
static inline bool replace_entry(struct vcpu *v, struct regs *r, const struct insn *i, const struct store *s,
                                 mfn_t table)
{
    unsigned index = (s->address & ~PAGE_MASK) / sizeof(pte_t);
    const pte_t *entry = (const pte_t *)hw_frame_va(table) + index;

    for (unsigned tries = 0; tries < SWAP_TRIES; tries++) {
        pte_t was = __atomic_load_n(entry, __ATOMIC_RELAXED);
        int rc = mmu_cmpxchg_l1(v->domain, table, index, was, s->operand);

        if (likely(!rc)) {
            finish(v, i, s, r, was, 0);
            return true;
        }
        if (rc != -EAGAIN)
            return rc == -ERESTART;
    }
    return true;
}

/* The frame behind a linear address, if it is a level-1 table of this domain. It may cease to be one: the swap asks again. */
static mfn_t target_table(struct vcpu *v, uint64_t va)
{
    mfn_t m = pv_kernel_va_frame(v, va);

    if (!mfn_valid(m) || frame_type(frame_of(m)) != FT_L1 || frame_of(m)->owner != v->domain->id)
        return INVALID_MFN;
    return m;
}

bool pv_emulate_pt_write(struct vcpu *v, struct regs *r, uint64_t cr2)
{
    mfn_t table = target_table(v, cr2);
    struct pv_code code;
    struct store s;
    struct insn i;

    if (mfn_eq(table, INVALID_MFN) || !pv_fetch(v, r, &code))
        return false;
    if (!(code.count == sizeof(code.words) && code.mode == CODE_64 && decode_usual(&code, r, &i, &s)) &&
        !decode_any(&code, r, &i, &s))
        return false;
    trace(TRACE_EMUL, "d%u v%u page-table store, op %u, %u bytes at %lx", v->domain->id, v->id, s.op, i.bytes, cr2);
    if (s.address != cr2 || (cr2 & (i.bytes - 1u)))
        return false;
    if (i.bytes == sizeof(pte_t) && s.op <= OP_XCHG)
        return replace_entry(v, r, &i, &s, table);
    return store_to_entry(v, r, &i, &s, table);
}
