/* SPDX-License-Identifier: MIT */
/*
 * The instruction decoder against Zydis. Input: mode, then code. What both know has the same length, prefixes, operand size,
 * immediate and address; an opcode that our tables have is decoded whenever Zydis can.
 */
#include <Zydis/Zydis.h>
#include "fuzz.h"
#include "../../hypervisor/x86/emulate/decode.c"

static ZydisDecoder decoders[2];

static void setup(void)
{
    ZydisDecoderInit(&decoders[CODE_32], ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32);
    ZydisDecoderInit(&decoders[CODE_64], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

static bool in_tables(const ZydisDecodedInstruction *z)
{
    if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return false;
    if (z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
        return one_byte[z->opcode] & K;
    return z->opcode_map == ZYDIS_OPCODE_MAP_0F && two_byte[z->opcode];
}

/* The address that the instruction's memory operand has, by Zydis' reading of it. */
static uint64_t address_by(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *o, struct regs *r,
                           enum insn_size mode)
{
    uint64_t a = o->mem.disp.has_displacement ? (uint64_t)o->mem.disp.value : 0;

    if (o->mem.base == ZYDIS_REGISTER_RIP || o->mem.base == ZYDIS_REGISTER_EIP)
        a += r->rip + z->length;
    else if (o->mem.base != ZYDIS_REGISTER_NONE)
        a += *insn_reg(r, (unsigned)ZydisRegisterGetId(o->mem.base));
    if (o->mem.index != ZYDIS_REGISTER_NONE)
        a += *insn_reg(r, (unsigned)ZydisRegisterGetId(o->mem.index)) * o->mem.scale;
    return z->address_width == 32 ? (uint32_t)a : a;
}

static void compare_memory(const struct insn *i, const ZydisDecodedInstruction *z, const ZydisDecodedOperand *o,
                           enum insn_size mode)
{
    struct regs r = {.rip = 0x1234567890abUL};

    for (unsigned n = 0; n < 16; n++)
        *insn_reg(&r, n) = 0x9e3779b97f4a7c15UL * (n + 1);
    MUST(insn_address(i, &r, mode) == address_by(z, o, &r, mode), "%lx, not %lx", insn_address(i, &r, mode),
         address_by(z, o, &r, mode));
    if (o->mem.segment == ZYDIS_REGISTER_FS || o->mem.segment == ZYDIS_REGISTER_GS)
        MUST(i->seg == (o->mem.segment == ZYDIS_REGISTER_FS ? SEG_FS : SEG_GS), "segment %u", i->seg);
    else if (mode == CODE_64)
        MUST(i->seg != SEG_FS && i->seg != SEG_GS, "segment %u", i->seg);
    if (z->mnemonic != ZYDIS_MNEMONIC_XSAVEC && !(i->two_byte && i->opcode == 0x01))
        MUST(o->size == i->bytes * 8u, "operand of %u bits, not of %u bytes", o->size, i->bytes);
}

static void compare(const struct insn *i, const ZydisDecodedInstruction *z, const ZydisDecodedOperand *operands,
                    enum insn_size mode)
{
    MUST(i->length == z->length, "length %u, not %u (%s)", i->length, z->length, ZydisMnemonicGetString(z->mnemonic));
    MUST(i->opcode == z->opcode, "opcode %x, not %x", i->opcode, z->opcode);
    MUST(i->lock == !!(z->attributes & ZYDIS_ATTRIB_HAS_LOCK) || i->mod == 3, "lock");
    MUST(i->has_modrm == !!(z->attributes & ZYDIS_ATTRIB_HAS_MODRM), "modrm");
    if (i->has_modrm && i->mod != 3)
        for (unsigned n = 0; n < z->operand_count_visible; n++)
            if (operands[n].type == ZYDIS_OPERAND_TYPE_MEMORY)
                compare_memory(i, z, &operands[n], mode);
    if (z->raw.imm[0].size) /* ports and bit numbers have no sign: only the byte counts */
        MUST(!((uint64_t)(i->immediate ^ z->raw.imm[0].value.s) &
               insn_mask(z->raw.imm[0].is_signed ? i->bytes : z->raw.imm[0].size / 8u)),
             "immediate %lx, not %lx", i->immediate, z->raw.imm[0].value.s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZydisDecodedInstruction z;
    enum insn_size mode;
    struct insn i;
    bool known;

    if (!decoders[CODE_64].stack_width)
        setup();
    if (size < 2)
        return 0;
    mode = data[0] & 1 ? CODE_64 : CODE_32;
    known = insn_decode(&i, data + 1, (unsigned)size - 1, mode);
    if (known)
        MUST(i.length && i.length <= INSN_MAX && i.length < size, "%u bytes of %zu", i.length, size - 1);
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoders[mode], data + 1, size - 1, &z, operands)))
        return 0;
    if (known)
        compare(&i, &z, operands, mode);
    else
        MUST(!in_tables(&z) || z.address_width == 16, "%s is not decoded", ZydisMnemonicGetString(z.mnemonic));
    return 0;
}
