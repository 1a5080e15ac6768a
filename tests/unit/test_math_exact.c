/* math_exact.c: rational values, residues, polynomials along a line. */
#include "math_fixture.h"

#include <flint/ulong_extras.h>

static r1_math_value value(const char *text, fmpq_t out)
{
    return r1_math_exact_value(&work, parse(text), out);
}

static void is(const char *text, r1_math_value kind, int64_t p, uint64_t q)
{
    fmpq_t got, wanted;
    fmpq_init(got);
    fmpq_init(wanted);
    fmpq_set_si(wanted, p, q);
    r1_math_value v = value(text, got);
    bool ok = v == kind && (kind != R1_VALUE_FINITE || fmpq_equal(got, wanted));
    fmpq_clear(got);
    fmpq_clear(wanted);
    if (!ok)
        fail_msg("%s has the wrong value (kind %d)", text, (int)v);
}

static void test_values(void **state)
{
    (void)state;
    is("\\frac{1}{2}+\\frac{1}{3}", R1_VALUE_FINITE, 5, 6);
    is("2^{-3}", R1_VALUE_FINITE, 1, 8);
    is("8^{2/3}", R1_VALUE_FINITE, 4, 1);
    is("\\sqrt{\\frac{9}{4}}", R1_VALUE_FINITE, 3, 2);
    is("50\\%", R1_VALUE_FINITE, 1, 2);
    is("0^0", R1_VALUE_FINITE, 1, 1);
    is("(-1)^{10^{30}}", R1_VALUE_FINITE, 1, 1);
    is("\\sqrt2", R1_VALUE_NONE, 0, 1);
    is("\\pi", R1_VALUE_NONE, 0, 1);
    is("x", R1_VALUE_NONE, 0, 1);
    is("(-8)^{1/2}", R1_VALUE_NONE, 0, 1);
}

static void test_infinity(void **state)
{
    (void)state;
    is("\\infty", R1_VALUE_PLUS_INF, 0, 1);
    is("5-\\infty", R1_VALUE_MINUS_INF, 0, 1);
    is("-2\\cdot\\infty", R1_VALUE_MINUS_INF, 0, 1);
    is("\\frac{1}{\\infty}", R1_VALUE_FINITE, 0, 1);
    is("\\infty-\\infty", R1_VALUE_UNDEFINED, 0, 1);
    is("0\\cdot\\infty", R1_VALUE_UNDEFINED, 0, 1);
    is("\\frac{1}{0}", R1_VALUE_UNDEFINED, 0, 1);
    is("0^{-1}", R1_VALUE_UNDEFINED, 0, 1);
    is("(-3)!", R1_VALUE_UNDEFINED, 0, 1);
}

static void test_large(void **state)
{
    (void)state;
    is("10^{10^{10}}", R1_VALUE_NONE, 0, 1);
    is("(10^9)!", R1_VALUE_NONE, 0, 1);
    is("\\binom{10^9}{5\\cdot10^8}", R1_VALUE_NONE, 0, 1);
    is("\\sum_{k=1}^{10^{12}}k", R1_VALUE_NONE, 0, 1);
}

static uint64_t residue(const char *text, int k)
{
    uint64_t r;
    assert_int_equal(r1_math_exact_residue(&work, parse(text), &r1_math_exact_points[k], &r),
                     R1_VALUE_FINITE);
    return r;
}

static void test_residues(void **state)
{
    (void)state;
    for (int k = 0; k < R1_MATH_PRIMES; k++) {
        assert_int_equal(residue("(x+y)(x-y)", k), residue("x^2-y^2", k));
        assert_int_equal(residue("i^2", k), residue("-1", k));
        assert_int_equal(residue("2^{2024}", k), residue("4^{1012}", k));
        assert_int_equal(residue("7^{7^7}", k), residue("7^{823543}", k));
        assert_int_equal(residue("\\binom{n}{2}", k), residue("\\frac{n(n-1)}{2}", k));
        assert_int_not_equal(residue("2^{2025}-1", k), residue("2^{2025}", k));
        assert_int_not_equal(residue("\\pi", k), residue("\\frac{22}{7}", k));
        assert_int_not_equal(residue("x_1", k), residue("x_2", k));
    }
    uint64_t r;
    assert_int_equal(
        r1_math_exact_residue(&work, parse("\\frac{1}{x-x}"), &r1_math_exact_points[0], &r),
        R1_VALUE_UNDEFINED);
    assert_int_equal(
        r1_math_exact_residue(&work, parse("\\sin x"), &r1_math_exact_points[0], &r),
        R1_VALUE_NONE);
}

/* The points are what they are said to be. */
static void test_points(void **state)
{
    (void)state;
    for (int k = 0; k < R1_MATH_PRIMES; k++) {
        const r1_math_residue_point *p = &r1_math_exact_points[k];
        assert_true(n_is_prime(p->prime) && p->prime >> 60 && p->prime % 4 == 1);
        assert_int_equal(n_mulmod2(p->i, p->i, p->prime), p->prime - 1);
    }
}

static bool same_zeros(const char *a, const char *b)
{
    const r1_math_residue_point *at = &r1_math_exact_points[0];
    nmod_poly_t n, d, m, e;
    nmod_poly_init(n, at->prime);
    nmod_poly_init(d, at->prime);
    nmod_poly_init(m, at->prime);
    nmod_poly_init(e, at->prime);
    bool same = r1_math_exact_line(&work, parse(a), at, n, d) == R1_VALUE_FINITE &&
                r1_math_exact_line(&work, parse(b), at, m, e) == R1_VALUE_FINITE;
    if (same) {
        nmod_poly_make_monic(n, n);
        nmod_poly_make_monic(m, m);
        same = nmod_poly_equal(n, m);
    }
    nmod_poly_clear(n);
    nmod_poly_clear(d);
    nmod_poly_clear(m);
    nmod_poly_clear(e);
    return same;
}

static void test_lines(void **state)
{
    (void)state;
    assert_true(same_zeros("xy-1", "y-\\frac{1}{x}"));
    assert_true(same_zeros("\\frac{x^2}{9}+\\frac{y^2}{4}-1", "36-4x^2-9y^2"));
    assert_false(same_zeros("x^2+y^2-25", "x^2+y^2-5"));
    assert_false(same_zeros("x-1", "(x-1)^2"));
    assert_false(same_zeros("(x+1)^{500}", "(x+1)^{500}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values, begin, end),
        cmocka_unit_test_setup_teardown(test_infinity, begin, end),
        cmocka_unit_test_setup_teardown(test_large, begin, end),
        cmocka_unit_test_setup_teardown(test_residues, begin, end),
        cmocka_unit_test_setup_teardown(test_points, begin, end),
        cmocka_unit_test_setup_teardown(test_lines, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
