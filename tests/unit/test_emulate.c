/* SPDX-License-Identifier: MIT */
/*
 * The emulation of stores into page tables against the processor itself: each instruction is executed natively on a word of
 * memory and emulated on a copy; memory, registers, flags and length must agree.
 */
#include "host/test.h"
#include <sys/mman.h>
#include "host/native.h"
#include "core/mem/alloc.h"
#include "core/mem/mmu.h"

static struct frame *table_frame; /* stands for the page table */
static uint64_t *page;            /* the same for the native instruction */
static unsigned interfere;        /* how often another CPU changes the entry under the emulation */

static int cmpxchg_l1(struct domain *d, mfn_t l1, unsigned index, pte_t expected, pte_t value)
{
    pte_t *entry = (pte_t *)hw_frame_va(l1) + index;

    assert_true(mfn_eq(l1, frame_mfn(table_frame)));
    if (interfere) {
        interfere--;
        return -EAGAIN;
    }
    assert_int_equal(*entry, expected);
    *entry = value;
    return 0;
}
#define mmu_cmpxchg_l1 cmpxchg_l1
#include "../../hypervisor/x86/emulate/decode.c"
#include "../../hypervisor/x86/pv/ptwrite.c"

static struct pv_code code_now;
static struct domain a_domain;
static struct vcpu a_vcpu = {.domain = &a_domain, .in_kernel = true};

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
    fail_msg("no sample sets TF");
}

static uint64_t seed = 88172645463325252UL;
static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

struct sample {
    const char *text;
    uint8_t bytes[12]; /* [rbx + disp8]; the displacement's byte is given by `disp` */
    uint8_t length, disp;
    uint64_t undefined; /* flags */
};
#define S(text, disp, undef, ...)                                                                                      \
    {                                                                                                                  \
        text, {__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}), disp, undef                                             \
    }
static const struct sample samples[] = {
    S("mov %rdx,(m)", 3, 0, 0x48, 0x89, 0x53, 0),
    S("mov %r9d,(m)", 3, 0, 0x44, 0x89, 0x4b, 0),
    S("mov %dx,(m)", 3, 0, 0x66, 0x89, 0x53, 0),
    S("mov %dh,(m)", 2, 0, 0x88, 0x73, 0),
    S("mov %sil,(m)", 3, 0, 0x40, 0x88, 0x73, 0),
    S("movq $imm32,(m)", 3, 0, 0x48, 0xc7, 0x43, 0, 0x67, 0x01, 0x00, 0x80),
    S("movl $imm32,(m)", 2, 0, 0xc7, 0x43, 0, 0x67, 0x01, 0x00, 0x80),
    S("movb $imm8,(m)", 2, 0, 0xc6, 0x43, 0, 0x9c),
    S("xchg %rax,(m)", 3, 0, 0x48, 0x87, 0x43, 0),
    S("xchg %r12,(m)", 3, 0, 0x4c, 0x87, 0x63, 0),
    S("xchg %ecx,(m)", 2, 0, 0x87, 0x4b, 0),
    S("xchg %ch,(m)", 2, 0, 0x86, 0x6b, 0),
    S("lock andb $0xfd,(m)", 3, AF, 0xf0, 0x80, 0x63, 0, 0xfd),
    S("lock andq $0xfd,(m)", 4, AF, 0xf0, 0x48, 0x83, 0x63, 0, 0xfd),
    S("lock andq $imm32,(m)", 4, AF, 0xf0, 0x48, 0x81, 0x63, 0, 0xfd, 0xf0, 0xff, 0x7f),
    S("lock orb $2,(m)", 3, AF, 0xf0, 0x80, 0x4b, 0, 0x02),
    S("lock or %rdx,(m)", 4, AF, 0xf0, 0x48, 0x09, 0x53, 0),
    S("and %dl,(m)", 2, AF, 0x20, 0x53, 0),
    S("xor %r10d,(m)", 3, AF, 0x44, 0x31, 0x53, 0),
    S("lock add %rdx,(m)", 4, 0, 0xf0, 0x48, 0x01, 0x53, 0),
    S("addb $0x7f,(m)", 2, 0, 0x80, 0x43, 0, 0x7f),
    S("subl $-3,(m)", 2, 0, 0x83, 0x6b, 0, 0xfd),
    S("sub %rdi,(m)", 3, 0, 0x48, 0x29, 0x7b, 0),
    S("lock btrq $5,(m)", 5, OF | SF | AF | PF, 0xf0, 0x48, 0x0f, 0xba, 0x73, 0, 5),
    S("lock btsl $1,(m)", 4, OF | SF | AF | PF, 0xf0, 0x0f, 0xba, 0x6b, 0, 1),
    S("btcq $63,(m)", 4, OF | SF | AF | PF, 0x48, 0x0f, 0xba, 0x7b, 0, 63),
    S("lock cmpxchg %rdx,(m)", 5, 0, 0xf0, 0x48, 0x0f, 0xb1, 0x53, 0),
    S("lock cmpxchg %edx,(m)", 4, 0, 0xf0, 0x0f, 0xb1, 0x53, 0),
    S("cmpxchg %dl,(m)", 3, 0, 0x0f, 0xb0, 0x53, 0),
    S("lock xadd %rcx,(m)", 5, 0, 0xf0, 0x48, 0x0f, 0xc1, 0x4b, 0),
    S("movnti %rdx,(m)", 4, 0, 0x48, 0x0f, 0xc3, 0x53, 0),
};

static void fill_regs(struct regs *r)
{
    for (unsigned n = 0; n < 16; n++)
        if (n != 4)
            *insn_reg(r, n) = random64();
    r->rflags = (random64() & ARITHMETIC_FLAGS) | 0x202;
}

static unsigned operand_bytes(void)
{
    struct insn i;

    assert_true(insn_decode(&i, code_now.bytes, code_now.count, CODE_64));
    return i.bytes;
}

static void one_round(const struct sample *t)
{
    uint64_t *entry = hw_frame_va(frame_mfn(table_frame));
    struct regs native = {0}, mine;
    unsigned bytes, offset;
    int8_t displacement = (int8_t)random64();

    memset(&code_now, 0x90, sizeof(code_now));
    memcpy(code_now.bytes, t->bytes, t->length);
    code_now.bytes[t->disp] = (uint8_t)displacement;
    code_now.count = 16;
    code_now.mode = CODE_64;
    bytes = operand_bytes();
    offset = (unsigned)(random64() % 8) & ~(bytes - 1);

    fill_regs(&native);
    native.rbx = (uint64_t)page + offset - (uint64_t)(int64_t)displacement;
    page[0] = random64();
    if (random64() & 1) /* give CMPXCHG a chance to be equal */
        native.rax = page[0] >> (offset * 8);
    entry[0] = page[0];
    mine = native;
    interfere = (unsigned)(random64() % 3);
    host_run_native(&native, code_now.bytes, t->length);
    assert_true(pv_emulate_pt_write(&a_vcpu, &mine, (uint64_t)page + offset));

    if (page[0] != entry[0])
        fail_msg("%s: memory %lx, not %lx", t->text, entry[0], page[0]);
    if ((native.rflags ^ mine.rflags) & ARITHMETIC_FLAGS & ~t->undefined)
        fail_msg("%s: flags %lx, not %lx", t->text, mine.rflags, native.rflags);
    for (unsigned n = 0; n < 16; n++)
        if (n != 4 && *insn_reg(&native, n) != *insn_reg(&mine, n))
            fail_msg("%s: register %u is %lx, not %lx", t->text, n, *insn_reg(&mine, n), *insn_reg(&native, n));
    assert_int_equal(mine.rip, t->length);
}

static void test_against_processor(void **state)
{
    for (unsigned n = 0; n < ARRAY_SIZE(samples); n++)
        for (unsigned round = 0; round < 2000; round++)
            one_round(&samples[n]);
}

/* Lengths and addresses of forms that the samples above do not have. */
static void test_lengths(void **state)
{
    static const struct {
        uint8_t bytes[15];
        uint8_t length;
        uint64_t address; /* with each register n holding n * 0x1000 */
    } forms[] = {
        {{0x48, 0x89, 0x05, 0x10, 0, 0, 0}, 7, 0x10 + 7},                    /* rip-relative */
        {{0x65, 0x48, 0x89, 0x04, 0x25, 0, 1, 0, 0}, 9, 0x100},              /* gs:disp32 */
        {{0x48, 0x89, 0x04, 0xcb}, 4, 0x3000 + 8 * 0x1000},                  /* (rbx,rcx,8) */
        {{0x4a, 0x89, 0x44, 0xa3, 0xf8}, 5, 0x3000 + 4 * 0xc000 - 8},        /* -8(rbx,r12,4) */
        {{0x49, 0x89, 0x04, 0x24}, 4, 0xc000},                               /* (r12) */
        {{0x49, 0x89, 0x45, 0x00}, 4, 0xd000},                               /* 0(r13) */
        {{0x49, 0x89, 0x84, 0x24, 0, 0, 0, 0x80}, 8, 0xc000 - 0x80000000UL}, /* disp32(r12) */
        {{0x48, 0x89, 0x04, 0x6d, 0, 2, 0, 0}, 8, 0x200 + 2 * 0x5000},       /* 0x200(,rbp,2) */
        {{0x67, 0x48, 0x89, 0x03}, 4, 0x3000},                               /* (ebx) */
    };
    struct regs r = {0};
    struct insn i;

    for (unsigned n = 0; n < 16; n++)
        *insn_reg(&r, n) = n * 0x1000UL;
    for (unsigned n = 0; n < ARRAY_SIZE(forms); n++) {
        r.rip = 0;
        assert_true(insn_decode(&i, forms[n].bytes, 15, CODE_64));
        assert_int_equal(i.length, forms[n].length);
        assert_int_equal(insn_address(&i, &r, CODE_64), forms[n].address);
        assert_false(insn_decode(&i, forms[n].bytes, forms[n].length - 1, CODE_64));
    }
}

static void assert_decodes(const uint8_t *bytes, unsigned length, enum insn_size mode, unsigned seg)
{
    struct insn i;

    assert_true(insn_decode(&i, bytes, length, mode));
    assert_int_equal(i.length, length);
    assert_int_equal(i.seg, seg);
}

/* Of the segment overrides only FS and GS count in 64-bit mode, whatever stands behind them. */
static void test_segment_overrides(void **state)
{
    static const uint8_t gs_es[] = {0x65, 0x26, 0x89, 0x03}, es_gs[] = {0x3e, 0x65, 0x89, 0x03},
                         es[] = {0x26, 0x89, 0x03};

    assert_decodes(gs_es, sizeof(gs_es), CODE_64, SEG_GS);
    assert_decodes(es_gs, sizeof(es_gs), CODE_64, SEG_GS);
    assert_decodes(es, sizeof(es), CODE_64, SEG_NONE);
    assert_decodes(gs_es, sizeof(gs_es), CODE_32, SEG_ES);
}

/* Moves to and from control and debug registers have two registers, though the mode bits name memory. */
static void test_register_moves(void **state)
{
    static const uint8_t opcodes[] = {0x20, 0x21, 0x22, 0x23};

    for (unsigned n = 0; n < 4 * ARRAY_SIZE(opcodes); n++) {
        const uint8_t code[] = {0x0f, opcodes[n / 4], (uint8_t)(0x27 | (n % 4) << 6)};
        struct insn i;

        assert_decodes(code, sizeof(code), CODE_64, SEG_NONE);
        assert_true(insn_decode(&i, code, sizeof(code), CODE_64));
        assert_int_equal(i.mod, 3);
        assert_int_equal(i.reg, 4);
        assert_int_equal(i.rm, 7);
    }
}

/* Whatever the short decoder takes, the long one understands in the same way. */
static void test_usual_forms(void **state)
{
    static const uint8_t starts[] = {0xf0, 0x48, 0x49, 0x4c, 0x40, 0x41, 0x89, 0x87, 0x80, 0x0f, 0xba, 0x88, 0x83};
    unsigned taken = 0;

    for (unsigned n = 0; n < 1000000; n++) {
        struct pv_code code = {.words = {random64(), random64()}, .count = 16, .mode = CODE_64};
        struct insn usual, any;
        struct store u = {0}, a = {0};
        struct regs r = {.rip = random64()};

        fill_regs(&r);
        for (unsigned k = 0; k < 4 && (random64() & 7); k++)
            code.bytes[k] = starts[random64() % ARRAY_SIZE(starts)];
        if (!decode_usual(&code, &r, &usual, &u))
            continue;
        taken++;
        assert_true(decode_any(&code, &r, &any, &a));
        assert_int_equal(u.op, a.op);
        assert_int_equal(u.address, a.address);
        assert_int_equal(usual.bytes, any.bytes);
        assert_int_equal(u.operand & insn_mask(usual.bytes), a.operand & insn_mask(any.bytes));
        assert_int_equal(usual.length, any.length);
        assert_int_equal(usual.reg, any.reg);
        assert_int_equal(usual.rex, any.rex);
    }
    assert_true(taken > 1000);
}

/* No input makes the decoder read beyond what it was given (the sanitizer watches). */
static void test_random_bytes(void **state)
{
    for (unsigned n = 0; n < 200000; n++) {
        unsigned count = (unsigned)(random64() % 16);
        uint8_t *bytes = malloc(count + 1);
        struct insn i;

        for (unsigned k = 0; k < count; k++)
            bytes[k] = random64() & 3 ? (uint8_t)random64() : 0x0f;
        if (insn_decode(&i, bytes + 0, count, random64() & 1 ? CODE_64 : CODE_32))
            assert_true(i.length <= count && i.length <= INSN_MAX);
        free(bytes);
    }
}

static int setup(void **state)
{
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    host_machine_init(1, 256);
    table_frame = frame_of(alloc_frames(0, 0));
    table_frame->refs |= (uint64_t)FT_L1 << FR_TYPE_SHIFT;
    table_frame->owner = a_domain.id;
    return page == MAP_FAILED;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_processor), cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_segment_overrides), cmocka_unit_test(test_register_moves),
        cmocka_unit_test(test_usual_forms),       cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
