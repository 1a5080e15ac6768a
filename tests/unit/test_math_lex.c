/* math_lex.c: bytes as tokens: numbers, names, what is dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "verify/math_tree.h"

static r1_math_work work;
static r1_math_toks toks;
static int ambiguous;

static bool lex(const char *text, int reading)
{
    return r1_math_lex_run(&work, text, strlen(text), reading, &toks, &ambiguous);
}

static int begin(void **state)
{
    (void)state;
    r1_math_tree_begin(&work);
    return 0;
}

static int end(void **state)
{
    (void)state;
    r1_math_tree_end(&work);
    return 0;
}

/* One number, written without its separators. */
static void number(const char *text, const char *wanted)
{
    assert_true(lex(text, 0));
    assert_int_equal(toks.n, 2);
    assert_int_equal(toks.v[0].kind, R1_TOK_NUM);
    assert_int_equal(toks.v[0].len, strlen(wanted));
    assert_memory_equal(toks.v[0].name, wanted, strlen(wanted));
}

static void kinds(const char *text, int a, int b, int c)
{
    assert_true(lex(text, 0));
    int wanted[] = {a, b, c, R1_TOK_END};
    for (int i = 0; i < 4 && i < toks.n; i++)
        assert_int_equal(toks.v[i].kind, wanted[i]);
    assert_int_equal(toks.n, 4);
}

static void test_numbers(void **state)
{
    (void)state;
    number("12", "12");
    number(".25", ".25");
    number("204.", "204");
    number("1,234,567", "1234567");
    number("91\\,473\\,362", "91473362");
    number("91 473 362", "91473362");
    number("11,\\! 111,\\! 100", "11111100");
    number("95{,}347", "95347");
    number("1,00,000", "100000");
    number("8.5e3", "8.5e3");
    number("1E6", "1E6");
    number("\xEF\xBC\x91\xEF\xBC\x92", "12");
    assert_true(lex("12,34", 0) && toks.n == 4);
    assert_true(lex("(1,234)", 0) && toks.n == 6);
    assert_true(lex("20 4", 0) && toks.n == 3);
}

static void test_readings(void **state)
{
    (void)state;
    assert_true(lex("1,234", 0) && toks.n == 2 && (ambiguous & R1_READ_COMMA_LISTS));
    assert_true(lex("1,234", R1_READ_COMMA_LISTS) && toks.n == 4);
    assert_true(lex("2,5", 0) && toks.n == 4 && (ambiguous & R1_READ_DECIMAL_COMMA));
    assert_true(lex("2,5", R1_READ_DECIMAL_COMMA) && toks.n == 2);
    assert_true(lex("2,5,6", 0) && !ambiguous);
}

static void test_look(void **state)
{
    (void)state;
    kinds("\\left( x \\right)", R1_TOK_CHAR, R1_TOK_LETTER, R1_TOK_CHAR);
    kinds("\\displaystyle\\color{red}2\\!x!", R1_TOK_NUM, R1_TOK_LETTER, R1_TOK_CHAR);
    kinds("\\phantom{5}6\\cancel{7}+1", R1_TOK_NUM, R1_TOK_CHAR, R1_TOK_NUM);
    kinds("$x^2$", R1_TOK_LETTER, R1_TOK_CHAR, R1_TOK_NUM);
    kinds("\xE2\x88\x9A"
          "2!",
          R1_TOK_SQRT, R1_TOK_NUM, R1_TOK_CHAR);
}

static void test_words(void **state)
{
    (void)state;
    kinds("5 \\text{ apples}!", R1_TOK_NUM, R1_TOK_WORD, R1_TOK_CHAR);
    kinds("abc", R1_TOK_LETTER, R1_TOK_LETTER, R1_TOK_LETTER);
    kinds("sin x!", R1_TOK_FN, R1_TOK_LETTER, R1_TOK_CHAR);
    kinds("5\\text{ or }6", R1_TOK_NUM, R1_TOK_OR, R1_TOK_NUM);
    kinds("60 \\text{ min}!", R1_TOK_NUM, R1_TOK_WORD, R1_TOK_CHAR);
}

static void test_bad(void **state)
{
    (void)state;
    assert_false(lex("\xff", 0));
    assert_false(lex("\xE2\x88", 0));
    assert_false(lex("a\x01", 0));
    assert_true(lex("\\nosuchcommand", 0) && toks.v[0].kind == R1_TOK_BAD);
    char many[3 * R1_MATH_MAX_TOKENS];
    memset(many, '+', sizeof many);
    assert_false(r1_math_lex_run(&work, many, sizeof many, 0, &toks, &ambiguous));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_numbers, begin, end),
        cmocka_unit_test_setup_teardown(test_readings, begin, end),
        cmocka_unit_test_setup_teardown(test_look, begin, end),
        cmocka_unit_test_setup_teardown(test_words, begin, end),
        cmocka_unit_test_setup_teardown(test_bad, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
