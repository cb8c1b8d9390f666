/* SPDX-License-Identifier: MIT */
/* S-expressions: structure and places, the exact texts of errors, printing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/config/sxp.h"

static void sxp_structure(void **state)
{
    static const char text[] = "# comment\n(a b)\n(c 'd e' \"f\\\"g\" (h (i j)))\nword\n(empty ())(text '')";
    struct report r;
    struct sxp *s = sxp_parse("t", text, strlen(text), &r);

    assert_non_null(s);
    assert_int_equal(s->count, 5);
    assert_string_equal(sxp_value(s, "a", ""), "b");
    assert_string_equal(sxp_value(s, "c", ""), "d e");
    assert_string_equal(s->items[1]->items[2]->text, "f\"g");
    assert_string_equal(sxp_value(s->items[1]->items[3], "i", ""), "j");
    assert_string_equal(s->items[2]->text, "word");
    assert_int_equal(s->items[2]->line, 4);
    assert_string_equal(sxp_value(s, "empty", "otherwise"), "otherwise");
    assert_string_equal(sxp_value(s, "text", "otherwise"), "");
    assert_null(sxp_child(s, "none"));
    sxp_free(s);
}

static void sxp_errors(void **state)
{
    static const struct {
        const char *text, *wanted;
    } wrong[] = {
        {"(a\n (b c)", "t:1:1: this list is not closed: a ')' is missing"},
        {"(a))", "t:1:4: a ')' too many"},
        {"(a 'b)", "t:1:4: this text is not closed"},
        {"((((((((((((((((((((((((((((((((((", "t:1:33: too many lists within lists"},
    };
    struct report r;

    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_null(sxp_parse("t", wrong[i].text, strlen(wrong[i].text), &r));
        assert_int_equal(r.kind, REPORT_CONFIG);
        assert_string_equal(r.text, wrong[i].wanted);
    }
    assert_null(sxp_parse("t", "(a\0b)", 5, &r));
}

static void sxp_printed(void **state)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    sxp_print_atom(out, "word");
    sxp_print_atom(out, "two words");
    sxp_print_atom(out, "it's \\");
    sxp_print_atom(out, "");
    fclose(out);
    assert_string_equal(text, "word'two words''it\\'s \\\\'''");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sxp_structure),
        cmocka_unit_test(sxp_errors),
        cmocka_unit_test(sxp_printed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
