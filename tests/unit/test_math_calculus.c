/* math_calculus.c: determinants, derivatives, integrals, limits, sums. */
#include "math_fixture.h"

#include "verify/math_compare.h"

static void is(const char *a, const char *b)
{
    if (r1_math_compare_trees(&work, parse(b), parse(a), "") != R1_TRUTH_YES)
        fail_msg("%s is not %s", a, b);
}

static void not(const char *a, const char *b)
{
    if (r1_math_compare_trees(&work, parse(b), parse(a), "") == R1_TRUTH_YES)
        fail_msg("%s is %s", a, b);
}

static void test_matrices(void **state)
{
    (void)state;
    is("\\det\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "-2");
    is("\\begin{vmatrix}2&0&1\\\\1&3&2\\\\1&1&1\\end{vmatrix}", "0");
    is("\\|(3,4)\\|", "5");
    is("\\begin{pmatrix}1&2\\end{pmatrix}^T", "\\begin{pmatrix}1\\\\2\\end{pmatrix}");
    is("\\frac12\\begin{pmatrix}2&4\\end{pmatrix}", "\\begin{pmatrix}1&2\\end{pmatrix}");
    is("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}\\begin{pmatrix}1\\\\1\\end{pmatrix}",
       "\\begin{pmatrix}3\\\\7\\end{pmatrix}");
    not("\\begin{pmatrix}1&2\\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}");
}

static void test_derivatives(void **state)
{
    (void)state;
    is("\\frac{d}{dx}x^3", "3x^2");
    is("\\frac{d}{dx}(\\sin x\\cos x)", "\\cos 2x");
    is("\\frac{d}{dx}\\frac{1}{x}", "-\\frac{1}{x^2}");
    is("\\frac{d}{dx}\\ln(x^2+1)", "\\frac{2x}{x^2+1}");
    is("\\frac{d}{dx}\\sqrt{x}", "\\frac{1}{2\\sqrt{x}}");
    not("\\frac{d}{dx}x^3", "3x^3");
}

static void test_integrals(void **state)
{
    (void)state;
    is("\\int_0^1 x^2\\,dx", "\\frac13");
    is("\\int_0^{\\pi}\\sin x\\,dx", "2");
    is("\\int_1^e\\frac{1}{x}\\,dx", "1");
    is("\\int x\\,dx", "\\frac{x^2}{2}+C");
    /* Across the pole there is no value. */
    not("\\int_{-1}^1\\frac{1}{x}\\,dx", "0");
    not("\\int_{-1}^1\\frac{1}{x^2}\\,dx", "-2");
    not("\\int_{-1}^1 x^{-2}\\,dx", "-2");
}

static void test_limits(void **state)
{
    (void)state;
    is("\\lim_{x\\to0}\\frac{\\sin x}{x}", "1");
    is("\\lim_{x\\to0}\\frac{1-\\cos x}{x^2}", "\\frac12");
    is("\\lim_{n\\to\\infty}\\frac{1}{n}", "0");
    is("\\lim_{n\\to\\infty}\\left(1+\\frac{2}{n}\\right)^n", "e^2");
    is("\\lim_{x\\to3}x^2", "9");
    is("\\lim_{x\\to\\infty}x", "\\infty");
    not("\\lim_{x\\to0}\\frac{1}{x}", "0");
}

static void test_series(void **state)
{
    (void)state;
    is("\\sum_{n=0}^{\\infty}\\frac{1}{2^n}", "2");
    is("\\sum_{n=1}^{\\infty}\\left(-\\frac13\\right)^n", "-\\frac14");
    is("\\sum_{n=1}^{\\infty}\\frac{1}{n^2}", "\\frac{\\pi^2}{6}");
    not("\\sum_{n=0}^{\\infty}2^n", "-1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_matrices, begin, end),
        cmocka_unit_test_setup_teardown(test_derivatives, begin, end),
        cmocka_unit_test_setup_teardown(test_integrals, begin, end),
        cmocka_unit_test_setup_teardown(test_limits, begin, end),
        cmocka_unit_test_setup_teardown(test_series, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
