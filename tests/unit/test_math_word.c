/* math_word.c: units, texts, numbers in words. */
#include "math_fixture.h"

#include "verify/math_tree.h"

static r1_math_node *words(const char *text)
{
    r1_math_node *x = r1_math_parse_words(&work, text, strlen(text));
    assert_non_null(x);
    return x;
}

static void test_units(void **state)
{
    (void)state;
    r1_math_unit u, v;
    assert_true(r1_math_word_unit("cm", &u) && r1_math_word_unit("Meters", &v));
    assert_memory_equal(u.power, v.power, sizeof u.power);
    assert_true(u.scale * 100 > 0.999 && u.scale * 100 < 1.001);
    assert_true(r1_math_word_unit("minutes", &u) && u.power[2] == 1);
    assert_false(r1_math_word_unit("apples", &u));
    assert_false(r1_math_word_unit("CM", &u));
    assert_true(r1_math_word_is_stop("or"));
    assert_false(r1_math_word_is_stop("apples"));
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const same[][2] = {{"\\text{isosceles}", "\\text{Isosceles triangle}"},
                                          {"\\text{no solution}", "\\text{No solutions}"},
                                          {"\\text{ellipse}", "an ellipse"},
                                          {"\\text{Alice and Bob}", "\\text{Bob, Alice}"},
                                          {"\\text{ABC}", "\\text{A, B, C}"}};
    static const char *const differ[][2] = {{"\\text{cat}", "\\text{act}"},
                                            {"\\text{CAB}", "\\text{A, B, C}"},
                                            {"\\text{odd}", "\\text{even}"},
                                            {"\\text{red}", "\\text{green}"},
                                            {"\\text{yes}", "\\text{not yes}"}};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        assert_true(r1_math_word_same(words(same[i][0]), words(same[i][1])));
    for (size_t i = 0; i < sizeof differ / sizeof differ[0]; i++)
        assert_false(r1_math_word_same(words(differ[i][0]), words(differ[i][1])));
}

static void number(const char *text, int64_t p, uint64_t q)
{
    fmpq_t x, y;
    fmpq_init(x);
    fmpq_init(y);
    fmpq_set_si(y, p, q);
    bool ok = r1_math_word_number(words(text), x) && fmpq_equal(x, y);
    fmpq_clear(x);
    fmpq_clear(y);
    if (!ok)
        fail_msg("%s is not %lld/%llu", text, (long long)p, (unsigned long long)q);
}

static void test_numbers(void **state)
{
    (void)state;
    number("seven", 7, 1);
    number("twenty-one", 21, 1);
    number("one half", 1, 2);
    number("two hundred five", 205, 1);
    number("three thousand forty", 3040, 1);
    fmpq_t x;
    fmpq_init(x);
    assert_false(r1_math_word_number(words("one two"), x));
    assert_false(r1_math_word_number(words("seven apples"), x));
    assert_false(r1_math_word_number(words("minus seven"), x));
    fmpq_clear(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_units, begin, end),
        cmocka_unit_test_setup_teardown(test_texts, begin, end),
        cmocka_unit_test_setup_teardown(test_numbers, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
