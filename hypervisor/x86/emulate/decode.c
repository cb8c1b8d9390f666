/* SPDX-License-Identifier: MIT */
/* The instruction decoder (decode.h). Two tables say for each opcode what follows it. */
#include "core/lib/string.h"
#include "x86/emulate/decode.h"

/* What follows an opcode; 0: not known here. */
#define K      0x80 /* known */
#define MODRM  0x01
#define IMM8   0x02
#define IMMZ   0x04 /* 2 or 4 bytes, sign-extended */
#define BYTE   0x08 /* byte operands; the others take the operand size */
#define PREFIX 0x10
#define REGS   0x20 /* with MODRM: both are registers, whatever its mode bits say */

#define ALU(base)                                                                                                      \
    [(base) + 0] = K | MODRM | BYTE, [(base) + 1] = K | MODRM, [(base) + 2] = K | MODRM | BYTE, [(base) + 3] = K | MODRM

static const uint8_t one_byte[256] = {
    ALU(0x00),
    ALU(0x08),
    ALU(0x20),
    ALU(0x28),
    ALU(0x30),
    [0x26] = PREFIX,
    [0x2e] = PREFIX,
    [0x36] = PREFIX,
    [0x3e] = PREFIX,
    [0x40 ... 0x4f] = PREFIX,
    [0x64 ... 0x67] = PREFIX,
    [0x6c] = K | BYTE,
    [0x6d] = K,
    [0x6e] = K | BYTE,
    [0x6f] = K, /* ins outs */
    [0x80] = K | MODRM | IMM8 | BYTE,
    [0x81] = K | MODRM | IMMZ,
    [0x83] = K | MODRM | IMM8, /* group 1 */
    [0x86] = K | MODRM | BYTE,
    [0x87] = K | MODRM, /* xchg */
    [0x88] = K | MODRM | BYTE,
    [0x89] = K | MODRM, /* mov */
    [0xc6] = K | MODRM | IMM8 | BYTE,
    [0xc7] = K | MODRM | IMMZ,
    [0xe4] = K | IMM8 | BYTE,
    [0xe5] = K | IMM8,
    [0xe6] = K | IMM8 | BYTE,
    [0xe7] = K | IMM8, /* in out */
    [0xec] = K | BYTE,
    [0xed] = K,
    [0xee] = K | BYTE,
    [0xef] = K,
    [0xf0] = PREFIX,
    [0xf2] = PREFIX,
    [0xf3] = PREFIX,
    [0xfa] = K,
    [0xfb] = K, /* cli sti */
};
static const uint8_t two_byte[256] = {
    [0x01] = K | MODRM, /* xsetbv, rdtscp */
    [0x06] = K,
    [0x08] = K,
    [0x09] = K, /* clts invd wbinvd */
    [0x20] = K | MODRM | REGS,
    [0x21] = K | MODRM | REGS,
    [0x22] = K | MODRM | REGS,
    [0x23] = K | MODRM | REGS, /* mov cr, dr */
    [0x30] = K,
    [0x31] = K,
    [0x32] = K,
    [0xa2] = K, /* wrmsr rdtsc rdmsr cpuid */
    [0xab] = K | MODRM,
    [0xb3] = K | MODRM,
    [0xbb] = K | MODRM,
    [0xba] = K | MODRM | IMM8, /* bts btr btc */
    [0xb0] = K | MODRM | BYTE,
    [0xb1] = K | MODRM, /* cmpxchg */
    [0xc0] = K | MODRM | BYTE,
    [0xc1] = K | MODRM,
    [0xc3] = K | MODRM, /* xadd movnti */
};

struct cursor {
    const uint8_t *at, *end;
    bool failed;
};

static inline uint8_t next_byte(struct cursor *c)
{
    if (unlikely(c->at >= c->end)) {
        c->failed = true;
        return 0;
    }
    return *c->at++;
}

static inline __attribute__((always_inline)) int64_t next_signed(struct cursor *c, unsigned bytes)
{
    const uint8_t *at = c->at;
    uint16_t low;

    if (unlikely((size_t)(c->end - at) < bytes)) {
        c->failed = true;
        return 0;
    }
    c->at += bytes;
    if (bytes == 1)
        return (int8_t)at[0];
    low = (uint16_t)(at[0] | at[1] << 8);
    return bytes == 2 ? (int16_t)low : (int32_t)(low | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
}

/* ES, CS, SS and DS mean nothing in 64-bit mode: they do not even take back an FS or GS before them. */
static void legacy_prefix(struct insn *i, uint8_t b, enum insn_size mode)
{
    if (b == 0xf0)
        i->lock = true;
    else if (b == 0x66)
        i->operand16 = true;
    else if (b == 0x67)
        i->address_small = true;
    else if (b == 0xf2)
        i->repne = true;
    else if (b == 0xf3)
        i->rep = true;
    else if (b >= 0x64)
        i->seg = b & 7;
    else if (mode == CODE_32)
        i->seg = (b >> 3) & 3;
}

/* Takes prefixes in, then the first byte behind them; returns what follows that. A REX prefix counts only right before the
 * opcode. */
static inline uint8_t prefixes_and_opcode(struct insn *i, struct cursor *c, enum insn_size mode)
{
    uint8_t what, rex = 0;

    for (;;) {
        uint8_t b = i->opcode = next_byte(c);

        what = one_byte[b];
        if (likely(!(what & PREFIX)))
            break;
        rex = b & 0x4f;
        if (unlikely((b & 0xf0) != 0x40)) {
            legacy_prefix(i, b, mode);
            rex = 0;
        } else if (mode != CODE_64) {
            return 0;
        }
    }
    i->rex = rex;
    return what;
}

static inline void sib(struct insn *i, struct cursor *c, unsigned *disp_bytes)
{
    uint8_t b = next_byte(c);

    i->scale = b >> 6;
    i->index = ((b >> 3) & 7) | ((i->rex & 2) << 2);
    i->has_index = i->index != 4;
    i->base = (b & 7) | ((i->rex & 1) << 3);
    i->has_base = true;
    if ((b & 7) == 5 && i->mod == 0) {
        i->has_base = false;
        *disp_bytes = 4;
    }
}

static inline void modrm(struct insn *i, struct cursor *c, enum insn_size mode, bool registers)
{
    uint8_t b = next_byte(c);
    unsigned disp_bytes;

    i->has_modrm = true;
    i->mod = registers ? 3 : b >> 6;
    i->reg = ((b >> 3) & 7) | ((i->rex & 4) << 1);
    i->rm = (b & 7) | ((i->rex & 1) << 3);
    if (i->mod == 3)
        return;
    disp_bytes = i->mod == 1 ? 1 : i->mod == 2 ? 4 : 0;
    if ((b & 7) == 4) {
        sib(i, c, &disp_bytes);
    } else if ((b & 7) == 5 && i->mod == 0) {
        disp_bytes = 4;
        i->rip_relative = mode == CODE_64;
    } else {
        i->has_base = true;
        i->base = i->rm;
    }
    if (disp_bytes == 1)
        i->displacement = next_signed(c, 1);
    else if (disp_bytes)
        i->displacement = next_signed(c, 4);
}

bool insn_decode(struct insn *i, const uint8_t *code, unsigned available, enum insn_size mode)
{
    struct cursor c = {code, code + MIN(available, INSN_MAX), false};
    uint8_t what;

    *i = (struct insn){.seg = SEG_NONE};
    what = prefixes_and_opcode(i, &c, mode);
    if (i->opcode == 0x0f) {
        i->two_byte = true;
        i->opcode = next_byte(&c);
        what = two_byte[i->opcode];
    }
    if (c.failed || !what)
        return false;
    i->bytes = (what & BYTE) ? 1 : (i->rex & 8) ? 8 : i->operand16 ? 2 : 4;
    if (what & MODRM) {
        modrm(i, &c, mode, what & REGS);
        if (mode == CODE_32 && i->address_small && i->mod != 3)
            return false; /* 16-bit addressing */
    }
    if (what & IMM8)
        i->immediate = next_signed(&c, 1);
    else if (what & IMMZ)
        i->immediate = next_signed(&c, i->bytes == 2 ? 2 : 4);
    i->length = (uint8_t)(c.at - code);
    return !c.failed;
}

const uint8_t insn_reg_offset[16] = {
    offsetof(struct regs, rax), offsetof(struct regs, rcx), offsetof(struct regs, rdx), offsetof(struct regs, rbx),
    offsetof(struct regs, rsp), offsetof(struct regs, rbp), offsetof(struct regs, rsi), offsetof(struct regs, rdi),
    offsetof(struct regs, r8),  offsetof(struct regs, r9),  offsetof(struct regs, r10), offsetof(struct regs, r11),
    offsetof(struct regs, r12), offsetof(struct regs, r13), offsetof(struct regs, r14), offsetof(struct regs, r15),
};

uint64_t insn_address(const struct insn *i, const struct regs *r, enum insn_size mode)
{
    struct regs *regs = (struct regs *)r;
    uint64_t a = (uint64_t)i->displacement;

    if (i->rip_relative)
        a += r->rip + i->length;
    if (i->has_base)
        a += *insn_reg(regs, i->base);
    if (i->has_index)
        a += *insn_reg(regs, i->index) << i->scale;
    return mode == CODE_32 || i->address_small ? (uint32_t)a : a;
}

static inline bool is_high_byte(const struct insn *i, unsigned n)
{
    return i->bytes == 1 && !i->rex && n >= 4 && n < 8;
}

uint64_t insn_reg_read(const struct insn *i, struct regs *r, unsigned n)
{
    if (is_high_byte(i, n))
        return (*insn_reg(r, n - 4) >> 8) & 0xff;
    return *insn_reg(r, n) & insn_mask(i->bytes);
}

void insn_reg_write(const struct insn *i, struct regs *r, unsigned n, uint64_t value)
{
    uint64_t *reg = insn_reg(r, is_high_byte(i, n) ? n - 4 : n), mask = insn_mask(i->bytes);

    if (is_high_byte(i, n))
        *reg = (*reg & ~0xff00UL) | (value & 0xff) << 8;
    else if (i->bytes == 4)
        *reg = (uint32_t)value;
    else
        *reg = (*reg & ~mask) | (value & mask);
}
