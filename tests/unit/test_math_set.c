/* math_set.c: intervals, unions, inequalities as regions. */
#include "math_fixture.h"

#include "verify/math_set.h"

static r1_math_truth equal(const char *a, const char *b)
{
    r1_math_region x, y;
    if (!r1_math_set_region(&work, parse(a), true, &x) ||
        !r1_math_set_region(&work, parse(b), true, &y))
        fail_msg("%s or %s is no region", a, b);
    return r1_math_set_equal(&work, &x, &y);
}

static void same(const char *a, const char *b)
{
    if (equal(a, b) != R1_TRUTH_YES)
        fail_msg("%s is not %s", a, b);
}

static void differ(const char *a, const char *b)
{
    if (equal(a, b) != R1_TRUTH_NO)
        fail_msg("%s is %s", a, b);
}

static void test_intervals(void **state)
{
    (void)state;
    same("(2,3)", "]2,3[");
    same("[\\frac12,\\sqrt8)", "[0.5,2\\sqrt2)");
    same("[2,\\infty)", "[2,+\\infty)");
    same("\\mathbb{R}", "(-\\infty,\\infty)");
    same("\\mathbb{R}^+", "(0,\\infty)");
    differ("(2,3)", "[2,3)");
    differ("(2,3)", "(2,4)");
    differ("[0,1]", "\\{0,1\\}");
}

static void test_inequalities(void **state)
{
    (void)state;
    same("x>2", "(2,\\infty)");
    same("2x>12", "x>6");
    same("-2x>12", "x<-6");
    same("1>x>-2", "-2<x<1");
    same("|x|<3", "(-3,3)");
    same("|x-1|\\ge2", "x\\le-1\\text{ or }x\\ge3");
    same("x^2<4", "(-2,2)");
    same("(x-1)(x-3)\\ge0", "(-\\infty,1]\\cup[3,\\infty)");
    same("x^2-2<0", "(-\\sqrt2,\\sqrt2)");
    same("x^2+1>0", "\\mathbb{R}");
    same("x>2\\text{ and }x<5", "2<x<5");
    same("\\{x\\mid x>0\\}", "x>0");
    same("x\\in[1,2)", "1\\le x<2");
    differ("x>2", "y>2");
    differ("x>2", "x\\ge2");
}

static void test_unions(void **state)
{
    (void)state;
    same("(-\\infty,2)\\cup(2,\\infty)", "x\\ne2");
    same("\\mathbb{R}\\setminus\\{2\\}", "x\\ne2");
    same("[0,2]\\setminus\\{1\\}", "[0,1)\\cup(1,2]");
    same("[1,2]\\cup[2,3]", "[1,3]");
    same("(1,2)\\cap(0,3)", "(1,2)");
    same("(0,1)\\cap(2,3)", "\\emptyset");
    same("\\{3\\}\\cup(-\\infty,0]", "(-\\infty,0]\\cup\\{3\\}");
    differ("(1,2)\\cup(2,3)", "(1,3)");
}

static void test_none(void **state)
{
    (void)state;
    r1_math_region r;
    static const char *const none[] = {"5", "x+y>2", "\\sin x>0", "\\mathbb{Z}", "x^3>1"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_false(r1_math_set_region(&work, parse(none[i]), false, &r));
    assert_false(r1_math_set_region(&work, parse("(2,3)"), false, &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_intervals, begin, end),
        cmocka_unit_test_setup_teardown(test_inequalities, begin, end),
        cmocka_unit_test_setup_teardown(test_unions, begin, end),
        cmocka_unit_test_setup_teardown(test_none, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
