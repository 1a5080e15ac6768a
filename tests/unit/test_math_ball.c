/* math_ball.c: what enclosures prove: sameness, difference, order. */
#include "math_fixture.h"

static r1_math_truth equal(const char *a, const char *b)
{
    return r1_math_ball_equal(&work, parse(a), parse(b));
}

static void same(const char *a, const char *b)
{
    if (equal(a, b) != R1_TRUTH_YES)
        fail_msg("%s is not %s", a, b);
}

static void differ(const char *a, const char *b)
{
    if (equal(a, b) != R1_TRUTH_NO)
        fail_msg("%s does not differ from %s", a, b);
}

static void test_equal(void **state)
{
    (void)state;
    same("\\sqrt{5+2\\sqrt6}", "\\sqrt2+\\sqrt3");
    same("\\sqrt[3]{20+14\\sqrt2}", "2+\\sqrt2");
    same("\\log_4 8", "\\frac32");
    same("\\cos 36^\\circ", "\\frac{1+\\sqrt5}{4}");
    same("\\sin^2 x+\\cos^2 x", "1");
    same("\\sinh x", "\\frac{e^x-e^{-x}}{2}");
    same("\\sqrt{x^2}", "|x|");
    same("x^{1/3}", "\\sqrt[3]{x}");
    same("\\ln(xy)", "\\ln x+\\ln y");
    same("(-1)^n", "\\cos(n\\pi)");
    same("\\sqrt{-4}", "2i");
    same("\\max(a,b)", "\\frac{a+b+|a-b|}{2}");
    same("\\sum_{k=1}^{n}k", "\\frac{n(n+1)}{2}");
    same("n!", "n(n-1)!");
}

static void test_different(void **state)
{
    (void)state;
    differ("|x|", "x");
    differ("\\sqrt{x^2}", "x");
    differ("\\ln|x|", "\\ln x");
    differ("\\sin x", "\\sin y");
    differ("x^n", "|x|^n");
    differ("\\sqrt2+\\sqrt3", "\\sqrt5");
    differ("\\frac{(2n)!}{(n!)^2}", "\\frac{(2n)!}{n!}");
}

/* Near misses, some beyond every fixed precision. */
static void test_close(void **state)
{
    (void)state;
    differ("e^{\\pi\\sqrt{163}}", "262537412640768744");
    differ("\\sqrt{10^{20}+1}-10^{10}", "0");
    differ("\\sqrt{10^{300}+1}-10^{150}", "0");
    differ("10^{200}+\\sqrt2", "10^{200}+\\sqrt3");
    differ("e^{-1000}", "0");
    differ("\\sqrt{2}", "\\frac{14142135623730950488016887242096980785696718}{10^{43}}");
}

static void test_unknown(void **state)
{
    (void)state;
    assert_int_equal(equal("\\sin(10^{10^{10}})", "5"), R1_TRUTH_UNKNOWN);
    assert_int_equal(equal("\\sqrt{10^{4000}+1}-10^{2000}", "0"), R1_TRUTH_UNKNOWN);
    r1_math_node *a = parse("\\sqrt{2}+\\sqrt3"), *b = parse("\\sqrt5");
    work.steps = 5;
    assert_int_equal(r1_math_ball_equal(&work, a, b), R1_TRUTH_UNKNOWN);
}

static void test_proportional(void **state)
{
    (void)state;
    int sign = 0;
    assert_int_equal(
        r1_math_ball_proportional(&work, parse("\\sin x-y"), parse("3y-3\\sin x"), &sign),
        R1_TRUTH_YES);
    assert_int_equal(sign, -1);
    assert_int_equal(r1_math_ball_proportional(&work, parse("x-y"), parse("x^2-y"), &sign),
                     R1_TRUTH_NO);
}

static int order(const char *a, const char *b)
{
    return r1_math_ball_order(&work, parse(a), parse(b));
}

static void test_order(void **state)
{
    (void)state;
    assert_int_equal(order("\\sqrt2", "1.5"), -1);
    assert_int_equal(order("\\pi", "\\frac{22}{7}"), -1);
    assert_int_equal(order("\\sqrt8", "2\\sqrt2"), 0);
    assert_int_equal(order("\\infty", "10^{100}"), 1);
    assert_int_equal(order("-\\infty", "0"), -1);
    assert_int_equal(order("\\infty", "\\infty"), 0);
    assert_int_equal(order("x", "1"), 2);
    assert_int_equal(order("i", "1"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_equal, begin, end),
        cmocka_unit_test_setup_teardown(test_different, begin, end),
        cmocka_unit_test_setup_teardown(test_close, begin, end),
        cmocka_unit_test_setup_teardown(test_unknown, begin, end),
        cmocka_unit_test_setup_teardown(test_proportional, begin, end),
        cmocka_unit_test_setup_teardown(test_order, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
