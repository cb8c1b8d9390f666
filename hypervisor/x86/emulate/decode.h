/* SPDX-License-Identifier: MIT */
/*
 * The instruction decoder: prefixes, opcode, ModRM, displacement and immediate of the one- and two-byte opcodes that
 * guests may make us emulate. It executes nothing, knows nothing of guests, and reads only the bytes it is given.
 */
#pragma once
#include "x86/trap/regs.h"

#define INSN_MAX 15

enum insn_seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_NONE };
enum insn_size { CODE_32, CODE_64 };

struct insn {
    uint8_t length;
    uint8_t opcode;                                  /* second byte when two_byte */
    bool two_byte;                                   /* 0f .. */
    bool lock, rep, repne, operand16, address_small; /* f0 f3 f2 66 67 */
    uint8_t rex;                                     /* 0x40..0x4f, or 0 */
    uint8_t seg;                                     /* enum insn_seg: the override */
    bool has_modrm;
    uint8_t mod, reg, rm; /* with REX.R and REX.B (rm as a register) */
    bool rip_relative, has_base, has_index;
    uint8_t base, index, scale; /* scale: shift */
    uint8_t bytes;              /* operand size: 1, 2, 4 or 8 */
    int64_t displacement;
    int64_t immediate; /* sign-extended */
};

/* False: more bytes than `available`, or an opcode that is not in the tables. */
bool insn_decode(struct insn *i, const uint8_t *code, unsigned available, enum insn_size mode);
/* Offset of a memory operand in its segment; rip still points to the instruction. */
uint64_t insn_address(const struct insn *i, const struct regs *r, enum insn_size mode);
/* General register n (0..15) in the saved registers. */
extern const uint8_t insn_reg_offset[16];
static inline uint64_t *insn_reg(struct regs *r, unsigned n)
{
    return (uint64_t *)((char *)r + insn_reg_offset[n & 15]);
}
/* A register operand of the instruction's size: zero-extended; knows AH..BH. Writing 4 bytes clears the upper half. */
uint64_t insn_reg_read(const struct insn *i, struct regs *r, unsigned n);
void insn_reg_write(const struct insn *i, struct regs *r, unsigned n, uint64_t value);
static inline uint64_t insn_mask(unsigned bytes)
{
    return bytes == 8 ? ~0UL : (1UL << (bytes * 8)) - 1;
}
