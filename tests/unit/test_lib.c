/* SPDX-License-Identifier: MIT */
/* Text, numbers, options, ranges, bitmaps. */
#include "host/test.h"
#include "core/lib/bitmap.h"
#include "core/lib/options.h"
#include "core/lib/poison.h"
#include "core/lib/print.h"
#include "core/lib/range.h"
#include "core/lib/string.h"
#include "hw/hw.h"

static void expect_print(const char *wanted, const char *fmt, ...)
{
    char buf[128];
    va_list ap;

    va_start(ap, fmt);
    int n = hv_vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    assert_string_equal(buf, wanted);
    assert_int_equal(n, strlen(wanted));
}

static void print_formats(void **state)
{
    (void)state;
    expect_print("a 7 -7 +7 | 00ff 0xff FF|", "a %d %i %+d | %04x %#x %X|", 7, -7, 7, 255, 255, 255);
    expect_print("ffffffffffffffff 18446744073709551615", "%lx %lu", ~0UL, ~0UL);
    expect_print("[   ab] [ab   ] [a]", "[%5s] [%-5s] [%.1s]", "ab", "ab", "ab");
    expect_print("x%(null)  003", "%c%%%s%5.3d", 'x', NULL, 3);
    expect_print("fe -2 00000042", "%hhx %hhd %08lx", 0x1fe, 0xfe, 0x42UL);
    expect_print("-9223372036854775808", "%ld", INT64_MIN);
    expect_print("*  7*", "*%*d*", 3, 7);
}

static void print_is_bounded(void **state)
{
    char buf[5] = "xxxx";

    (void)state;
    assert_int_equal(hv_snprintf(buf, sizeof(buf), "%s", "abcdefgh"), 8);
    assert_string_equal(buf, "abcd");
    assert_int_equal(hv_snprintf(buf, 0, "abc"), 3);
    assert_int_equal(hv_snprintf(buf, 1, "abc"), 3);
    assert_string_equal(buf, "");
}

static void numbers(void **state)
{
    const char *end;
    uint64_t v = 0;

    (void)state;
    assert_int_equal(text_to_u64("0x1fz", &end), 0x1f);
    assert_int_equal(*end, 'z');
    assert_int_equal(text_to_u64("017", NULL), 15);
    assert_int_equal(text_to_u64("90", NULL), 90);
    assert_int_equal(parse_size("512M", NULL, KIB, &v), 0);
    assert_int_equal(v, 512 * MIB);
    assert_int_equal(parse_size("65536", NULL, KIB, &v), 0);
    assert_int_equal(v, 64 * MIB);
    assert_int_equal(parse_size("2g,max:3g", &end, KIB, &v), 0);
    assert_string_equal(end, ",max:3g");
    assert_int_equal(parse_size("2q", NULL, KIB, &v), -EINVAL);
    assert_int_equal(parse_size("", NULL, KIB, &v), -EINVAL);
    assert_int_equal(parse_size("-1", NULL, KIB, &v), -EINVAL);
    assert_int_equal(parse_size("99999999999999T", NULL, KIB, &v), -EINVAL);
}

static bool test_switch;
static unsigned test_number = 5;
static char test_text[4];
OPTION_BOOL(test_switch, test_switch, "a switch");
OPTION_UINT(test_number, test_number, "a number");
OPTION_STRING(test_text, test_text, "a text");

static void options_are_parsed(void **state)
{
    (void)state;
    host_machine_init(1, 0);
    options_parse("  test_switch test_number=0x10 \t test_text=abc -- test_number=3");
    assert_true(test_switch);
    assert_int_equal(test_number, 16);
    assert_string_equal(test_text, "abc");
    options_parse("no-test_switch test_number=12x test_text=toolong unknown=1 =3 test_number");
    assert_false(test_switch);
    assert_int_equal(test_number, 16); /* malformed ones change nothing */
    assert_string_equal(test_text, "abc");
    options_parse("test_switch=maybe");
    assert_false(test_switch);
    options_parse("");
}

/* Against a plain array of flags, with random operations. */
static void ranges_agree_with_a_bit_array(void **state)
{
    enum { N = 200 };
    struct rangeset s;
    bool in[N] = {false};
    unsigned seed = 1;

    (void)state;
    host_machine_init(1, 0);
    rangeset_init(&s);
    for (unsigned step = 0; step < 20000; step++) {
        seed = seed * 1103515245 + 12345;
        unsigned a = (seed >> 8) % N, b = a + (seed >> 20) % 12;
        bool add = seed & 0x80, all = true, any = false;
        b = MIN(b, N - 1u);
        for (unsigned i = a; i <= b; i++) {
            all &= in[i];
            any |= in[i];
        }
        assert_int_equal(rangeset_contains(&s, a, b), all);
        assert_int_equal(rangeset_overlaps(&s, a, b), any);
        assert_int_equal(add ? rangeset_add(&s, a, b) : rangeset_remove(&s, a, b), 0);
        for (unsigned i = a; i <= b; i++)
            in[i] = add;
        for (unsigned i = 1; i < s.count; i++)
            assert_true(s.ranges[i].first > s.ranges[i - 1].last + 1);
    }
    rangeset_free(&s);
}

static void ranges_at_the_ends(void **state)
{
    struct rangeset s;

    (void)state;
    host_machine_init(1, 0);
    rangeset_init(&s);
    assert_int_equal(rangeset_add(&s, 5, 4), -EINVAL);
    assert_int_equal(rangeset_add(&s, 0, ~0UL), 0);
    assert_int_equal(rangeset_remove(&s, 10, 20), 0);
    assert_int_equal(s.count, 2);
    assert_true(rangeset_contains(&s, 21, ~0UL));
    assert_false(rangeset_contains(&s, 20, 21));
    assert_int_equal(rangeset_add(&s, 10, 20), 0);
    assert_int_equal(s.count, 1);
    assert_int_equal(rangeset_remove(&s, 0, ~0UL), 0);
    assert_int_equal(s.count, 0);
    rangeset_free(&s);
}

static void bitmaps(void **state)
{
    uint64_t map[3] = {0, 1UL << 63, 1};

    (void)state;
    assert_int_equal(bitmap_next_set(map, 192, 0), 127);
    assert_int_equal(bitmap_next_set(map, 192, 128), 128);
    assert_int_equal(bitmap_next_set(map, 128, 128), 128);
    assert_int_equal(bitmap_next_set(map, 192, 129), 192);
    assert_int_equal(bitmap_next_clear(map, 192, 127), 129);
    assert_false(bit_test_set_atomic(map, 5));
    assert_true(bit_test_set_atomic(map, 5));
    assert_true(bit_test_clear_atomic(map, 5));
    assert_false(bit_test(map, 5));
}

/* What a function leaves behind unfilled in a structure with a hole is not copied out unseen. */
static void poison_is_seen(void **state)
{
    struct {
        uint32_t a, hole;
        uint64_t b;
    } answer;
    char clean[64] = {0};

    (void)state;
    host_machine_init(1, 0);
    poison_fill(&answer, sizeof(answer));
    answer.a = 1;
    answer.b = 2;
    assert_true(poison_in(&answer, sizeof(answer)));
    assert_false(poison_in(&answer, sizeof(answer.a)));
    if (HOST_EXPECT_PANIC()) {
        (void)!hw_copy_to_guest((uint64_t)clean, &answer, sizeof(answer));
        fail_msg("poison was copied out");
    }
    assert_non_null(strstr(host_panic_text, "poison_in"));
    assert_false(poison_in(clean, sizeof(clean)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(print_formats),
        isolated_test(print_is_bounded),
        isolated_test(numbers),
        isolated_test(options_are_parsed),
        isolated_test(ranges_agree_with_a_bit_array),
        isolated_test(ranges_at_the_ends),
        isolated_test(bitmaps),
        isolated_test(poison_is_seen),
    };
    return cmocka_run_group_tests_name("lib", tests, NULL, NULL);
}
