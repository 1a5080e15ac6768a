/* math_names.c: the tables are in the order that their searches need. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "verify/math_names.h"

static void test_commands(void **state)
{
    (void)state;
    static const char *const names[] = {"!",    "#",      "$",     "Bigg",      "alpha", "bmod",
                                        "frac", "lVert",  "leq",   "mathbb",    "neq",   "pmod",
                                        "sqrt", "textbf", "theta", "therefore", "zeta",  "}"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const r1_math_name *n = r1_math_names_command(names[i]);
        assert_non_null(n);
        assert_string_equal(n->word, names[i]);
    }
    assert_null(r1_math_names_command("nosuchcommand"));
    assert_null(r1_math_names_command(""));
}

/* Every entry is found, so the order is right: neighbours are looked up through the first one. */
static void test_order(void **state)
{
    (void)state;
    const r1_math_name *first = r1_math_names_command("!");
    for (const r1_math_name *n = first; strcmp(n->word, "}") != 0; n++) {
        assert_ptr_equal(r1_math_names_command(n->word), n);
        assert_true(strcmp(n[0].word, n[1].word) < 0);
    }
    first = r1_math_names_word("abs");
    for (const r1_math_name *n = first; strcmp(n->word, "to") != 0; n++) {
        assert_ptr_equal(r1_math_names_word(n->word), n);
        assert_true(strcmp(n[0].word, n[1].word) < 0);
    }
}

static void test_characters(void **state)
{
    (void)state;
    assert_string_equal(r1_math_names_latex(0x3C0), "\\pi ");
    assert_string_equal(r1_math_names_latex(0xBD), "\\frac{1}{2}");
    assert_string_equal(r1_math_names_latex(0x2264), "\\le ");
    assert_string_equal(r1_math_names_latex(0x222A), "\\cup ");
    assert_string_equal(r1_math_names_latex(0xFEFF), "");
    assert_null(r1_math_names_latex(0x4E2D));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
