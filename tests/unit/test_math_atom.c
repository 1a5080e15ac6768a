/* math_atom.c: numbers and what commands take, by the values of their trees. */
#include "math_fixture.h"

/* The text is the rational p/q. */
static void is(const char *text, int64_t p, uint64_t q)
{
    fmpq_t got, wanted;
    fmpq_init(got);
    fmpq_init(wanted);
    fmpq_set_si(wanted, p, q);
    r1_math_node *x = parse(text);
    x = x->kind == R1_NODE_RESIDUE ? x->arg[0] : x;
    bool same =
        r1_math_exact_value(&work, x, got) == R1_VALUE_FINITE && fmpq_equal(got, wanted);
    fmpq_clear(got);
    fmpq_clear(wanted);
    if (!same)
        fail_msg("%s is not %lld/%llu", text, (long long)p, (unsigned long long)q);
}

static void test_numbers(void **state)
{
    (void)state;
    is("2.50", 5, 2);
    is("8.5e3", 8500, 1);
    is("9.7e-3", 97, 10000);
    is("0.1\\overline{6}", 1, 6);
    is("0.\\bar3", 1, 3);
    is("4.\\overline{9}", 5, 1);
    is("0.333\\ldots", 1, 3);
    is("0.2424\\overline{24}", 8, 33);
    is("21A_{12}", 310, 1);
    is("101_{\\text{two}}", 5, 1);
    is("1.5 million", 1500000, 1);
    is("15 1/6", 91, 6);
}

static void test_arguments(void **state)
{
    (void)state;
    is("\\frac12", 1, 2);
    is("\\frac123", 3, 2);
    is("\\sqrt49", 18, 1);
    is("\xE2\x88\x9A"
       "49",
       7, 1);
    is("\\sqrt[3]{-8}", -2, 1);
    is("2^{-3}", 1, 8);
    is("\\binom84", 70, 1);
    is("{}_8C_4", 70, 1);
    is("{}^8C_4", 70, 1);
    is("C_8^4", 70, 1);
    is("8C4", 70, 1);
    is("P(8,2)", 56, 1);
}

static void test_functions(void **state)
{
    (void)state;
    is("\\max(3,5)", 5, 1);
    is("\\min\\{3,5\\}", 3, 1);
    is("\\gcd(12,18)", 6, 1);
    is("\\text{lcm}(12,18)", 36, 1);
    is("\\lfloor -2.5\\rfloor", -3, 1);
    is("\\lceil 2.1\\rceil", 3, 1);
    is("|3-7|", 4, 1);
    is("4!", 24, 1);
    is("6!!", 48, 1);
    is("17 \\bmod 13", 4, 1);
}

static void test_series(void **state)
{
    (void)state;
    is("\\sum_{k=1}^{10}k", 55, 1);
    is("\\prod_{k=1}^{5}k", 120, 1);
    is("\\sum_{i=1}^{4}i^2", 30, 1);
    assert_int_equal(parse("\\int_0^1 x\\,dx")->kind, R1_NODE_INTEGRAL);
    assert_int_equal(parse("\\lim_{x\\to0^+}x")->op, 1);
    assert_int_equal(parse("\\frac{d}{dx}x^2")->kind, R1_NODE_DERIVATIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_numbers, begin, end),
        cmocka_unit_test_setup_teardown(test_arguments, begin, end),
        cmocka_unit_test_setup_teardown(test_functions, begin, end),
        cmocka_unit_test_setup_teardown(test_series, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
