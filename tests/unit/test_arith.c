/* arith.c: values, what is refused, canonical forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "verify/verify.h"

static void is(const char *text, int64_t value, const char *canonical)
{
    r1_arith a;
    assert_true(r1_arith_eval(text, strlen(text), &a));
    assert_int_equal(a.value, value);
    assert_string_equal(a.canonical, canonical);
}

static void bad(const char *text)
{
    r1_arith a;
    assert_false(r1_arith_eval(text, strlen(text), &a));
}

static void test_values(void **state)
{
    (void)state;
    is("42", 42, "42");
    is("0", 0, "0");
    is("1+2*3", 7, "1+2*3");
    is("(1+2)*3", 9, "3*(1+2)");
    is("10-4-3", 3, "10-3-4");
    is("10-(4-3)", 9, "3+10-4");
    is(" ( 12 - 6 ) * 7 \n", 42, "7*(12-6)");
    is("3-5", -2, "3-5");
    is("9223372036854775807", INT64_MAX, "9223372036854775807");
    is("0-9223372036854775807-1", INT64_MIN, "0-1-9223372036854775807");
}

static void test_used(void **state)
{
    (void)state;
    r1_arith a;
    const char *text = "12*(6-7)+12";
    assert_true(r1_arith_eval(text, strlen(text), &a));
    assert_int_equal(a.n_used, 4);
    assert_int_equal(a.used[0], 12);
    assert_int_equal(a.used[1], 6);
    assert_int_equal(a.used[2], 7);
    assert_int_equal(a.used[3], 12);
}

static void test_canonical(void **state)
{
    (void)state;
    is("7+12", 19, "7+12");
    is("12+7", 19, "7+12");
    is("(2+1)+3", 6, "1+2+3");
    is("3+(1+2)", 6, "1+2+3");
    is("(3)*((2*1))", 6, "1*2*3");
    is("1-2+3", 2, "1+3-2");
    is("3-(2-1)", 2, "1+3-2");
    is("(3+1-2)*(4+5)", 18, "(4+5)*(1+3-2)");
    is("5*4-3*2", 14, "4*5-2*3");
    /* Right, but too long to be written. */
    is("1000000000000+1000000000000+1000000000000+1000000000000+1000000000000", 5000000000000,
       "");
}

static void test_refusals(void **state)
{
    (void)state;
    bad("");
    bad("   ");
    bad("+");
    bad("1+");
    bad("-1");
    bad("1--1");
    bad("1 2");
    bad("007");
    bad("1/1");
    bad("1.5");
    bad("(1");
    bad("1)");
    bad("()");
    bad("2(3)");
    bad("1+2=3");
    bad("0x10");
    bad("9223372036854775808");
    bad("9223372036854775807+1");
    bad("9223372036854775807*2");
    bad("0-9223372036854775807-2");
    r1_arith a;
    assert_false(r1_arith_eval("1\0", 2, &a));
    assert_false(r1_arith_eval(NULL, 0, &a));
}

static void test_limits(void **state)
{
    (void)state;
    is("1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1", 16, "1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1");
    bad("1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1");
    is("((((((((((((((((5))))))))))))))))", 5, "5");
    bad("(((((((((((((((((5)))))))))))))))))");
    char deep[100000];
    memset(deep, '(', sizeof deep);
    r1_arith a;
    assert_false(r1_arith_eval(deep, sizeof deep, &a));
    /* Only len bytes are read. */
    assert_true(r1_arith_eval("12+3", 2, &a));
    assert_int_equal(a.value, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),    cmocka_unit_test(test_used),
        cmocka_unit_test(test_canonical), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
