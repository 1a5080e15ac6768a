/* math.c: pairs of answers that are the same and that are not, readings, the verifier. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "base/pool.h"
#include "verify/math.h"

static r1_math_result compare(const char *gold, const char *answer)
{
    return r1_math_compare(gold, strlen(gold), answer, strlen(answer), NULL);
}

static void expect(const char *gold, const char *answer, r1_math_result wanted)
{
    r1_math_result r = compare(gold, answer);
    if (r != wanted)
        fail_msg("%s against %s is %s, not %s", answer, gold, r1_math_result_name(r),
                 r1_math_result_name(wanted));
}

static void same(const char *gold, const char *answer)
{
    expect(gold, answer, R1_MATH_EQUAL);
}

static void differ(const char *gold, const char *answer)
{
    expect(gold, answer, R1_MATH_DIFFERENT);
}

static void test_numbers(void **state)
{
    (void)state;
    same("025", "25");
    same("10,\\!080", "10080");
    same("1{,}000", "1\\,000");
    same("0.5", "\\frac12");
    same("\\frac{1}{3}", "0.\\overline{3}");
    same("3\\frac12", "7/2");
    same("8.5e3", "8500");
    same("2^{2024}", "4^{1012}");
    same("30!", "265252859812191058636308480000000");
    same("2.5", "2,5");
    differ("0.0000001", "0.0000002");
    differ("1.6\\times10^{-19}", "1.7\\times10^{-19}");
    differ("2^{2025}-1", "2^{2025}");
    expect("204", "20 4", R1_MATH_ANSWER_UNPARSED);
    differ("\\frac{2}{7}", "0.285714");
    differ("3\\frac12", "\\frac32");
}

static void test_expressions(void **state)
{
    (void)state;
    same("x^2-4", "(x-2)(x+2)");
    same("\\sqrt{3+2\\sqrt2}", "1+\\sqrt{2}");
    same("\\frac{1}{x-1}-\\frac{1}{x-2}", "\\frac{-1}{(x-1)(x-2)}");
    same("\\sin 2x", "2\\sin x\\cos x");
    same("e^{i\\theta}", "\\cos\\theta+i\\sin\\theta");
    same("(1+i)^2", "2i");
    same("\\cos 36^\\circ", "\\frac{1+\\sqrt5}{4}");
    same("\\frac{x^2}{2}+C", "\\frac{x^2}{2}+K");
    differ("\\frac{x^2}{2}+C", "\\frac{x^2}{2}");
    differ("|x|", "x");
    differ("\\ln|x|", "\\ln x");
    differ("\\sin 1", "\\sin 1^\\circ");
    differ("e^{\\pi\\sqrt{163}}", "262537412640768744");
    differ("\\sqrt{10^{20}+1}-10^{10}", "0");
    differ("\\pi r^2", "\\pi R^2");
}

static void test_kinds(void **state)
{
    (void)state;
    same("2,3", "3 \\text{ and } 2");
    same("(2,3)", "x=2, y=3");
    same("\\{1,2\\}", "\\{2,1,1\\}");
    same("1\\pm\\sqrt2", "1-\\sqrt2,1+\\sqrt2");
    same("[2,5)", "2\\le x<5");
    same("(-\\infty,2)\\cup(2,\\infty)", "x\\ne2");
    same("|x|<3", "(-3,3)");
    same("x^2-4<0", "-2<x<2");
    same("y=2x+1", "2y-4x=2");
    same("xy=1", "y=\\frac1x");
    same("x\\equiv3\\pmod{11}", "x\\equiv14\\pmod{11}");
    same("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "(1,2)");
    same("2\\text{ hours}", "120\\text{ minutes}");
    same("3:4", "\\frac68");
    same("433_8", "433");
    same("\\text{(C)}", "C");
    same("\\text{Alice and Bob}", "Bob, Alice");
    differ("2,3", "(2,3)");
    differ("(2,3)", "(3,2)");
    differ("[2,5)", "[2,5]");
    differ("y=2x+1", "x=2y+1");
    differ("5\\text{ cm}", "5\\text{ m}");
    differ("433_8", "283");
    differ("433_8", "433_9");
    differ("36^\\circ", "\\$36");
    differ("\\text{cat}", "\\text{act}");
    differ("3:30\\text{ PM}", "3:30\\text{ AM}");
    differ("0", "5x-7y+4=0");
}

/* What would be paid if a grader looked for the number somewhere in the answer. */
static void test_hedges(void **state)
{
    (void)state;
    static const char *const bad[] = {"\\text{5 or 6}",
                                      "5\\pm1",
                                      "\\pm5",
                                      "4<x<6",
                                      "[4,6]",
                                      "x",
                                      "\\neq 5",
                                      ">4",
                                      "5,6",
                                      "\\{4,5\\}",
                                      "4=5",
                                      "6\\cancel{5}",
                                      "\\phantom{5}6",
                                      "\\text{not }5",
                                      "5\\ldots6",
                                      "\\frac50",
                                      "5+\\epsilon",
                                      "\\text{the correct answer}",
                                      "__import__('os')",
                                      "exit()",
                                      "5; drop table",
                                      "5,5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_not_equal(compare("5", bad[i]), R1_MATH_EQUAL);
}

static void test_unparsed(void **state)
{
    (void)state;
    expect("", "1", R1_MATH_GOLD_UNPARSED);
    expect("\\frac{1}{", "1", R1_MATH_GOLD_UNPARSED);
    expect("1", "", R1_MATH_ANSWER_UNPARSED);
    expect("1", "1+", R1_MATH_ANSWER_UNPARSED);
    expect("1", "\xff", R1_MATH_ANSWER_UNPARSED);
    assert_true(r1_math_parses("\\frac12", 7));
    assert_false(r1_math_parses("(", 1));
}

/* Each would keep a naive evaluator busy for seconds; the steps run out or a proof is short. */
static void test_bombs(void **state)
{
    (void)state;
    static const char *const bombs[] = {"10^{10^{10}}",
                                        "9^{9^{9^{9}}}",
                                        "(10^9)!",
                                        "((10^9)!)!",
                                        "\\binom{10^9}{5\\cdot10^8}",
                                        "\\sum_{k=1}^{10^{12}}k",
                                        "\\prod_{k=1}^{10^9}k",
                                        "2^{-10^{10^{10}}}",
                                        "\\sin(10^{10^{10}})",
                                        "e^{e^{e^{e^{10}}}}",
                                        "\\sqrt[10^9]{10^{10^{10}}}",
                                        "(x+1)^{10^{18}}",
                                        "((x+1)^{99}+1)^{99}",
                                        "\\log_{10^{10^{10}}}(10^{10^{11}})",
                                        "\\lim_{x\\to0}\\frac{\\sin^{9}x}{x^9}",
                                        "1e999999999"};
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        double begin = r1_os_seconds();
        assert_int_not_equal(compare("5", bombs[i]), R1_MATH_EQUAL);
        compare(bombs[i], bombs[i]);
        if (r1_os_seconds() - begin > 2) /* milliseconds, but under sanitizers and load */
            fail_msg("%s took %.1f s", bombs[i], r1_os_seconds() - begin);
    }
    char deep[8000];
    memset(deep, '{', sizeof deep);
    assert_int_equal(r1_math_compare("5", 1, deep, sizeof deep, NULL), R1_MATH_ANSWER_UNPARSED);
    memset(deep, '9', sizeof deep);
    assert_int_equal(r1_math_compare("5", 1, deep, sizeof deep, NULL), R1_MATH_DIFFERENT);
    assert_int_equal(r1_math_compare(deep, sizeof deep, deep, sizeof deep, NULL),
                     R1_MATH_EQUAL);
}

static void test_approx(void **state)
{
    (void)state;
    r1_math_options o = {.approx = true};
    assert_int_equal(r1_math_compare("0.33", 4, "\\frac13", 7, &o), R1_MATH_EQUAL);
    assert_int_equal(r1_math_compare("3.14", 4, "\\pi", 3, &o), R1_MATH_EQUAL);
    assert_int_equal(r1_math_compare("3.15", 4, "\\pi", 3, &o), R1_MATH_DIFFERENT);
    assert_int_equal(r1_math_compare("\\pi", 3, "3.14", 4, &o), R1_MATH_DIFFERENT);
    assert_int_equal(r1_math_compare("0.33", 4, "\\frac13", 7, NULL), R1_MATH_DIFFERENT);
}

static r1_verdict judge(const char *gold, const char *text, bool terminated)
{
    json_t *spec = json_string(gold);
    r1_verdict v = r1_math_judge(spec, text, strlen(text), terminated);
    json_decref(spec);
    return v;
}

static void test_judge(void **state)
{
    (void)state;
    r1_verdict v = judge("\\frac12", "<think>\\boxed{3}</think> So $\\boxed{0.5}$.", true);
    assert_true(v.correct && v.formatted && v.reward == 1);
    assert_string_equal(v.answer, "0.5");
    v = judge("\\frac12", "<think>x</think> So $\\boxed{0.5}$.", false);
    assert_true(v.correct && v.formatted && v.reward == 0);
    v = judge("24", "First, 4 times 6 is 24", true);
    assert_true(v.correct && !v.formatted && v.reward == 0);
    v = judge("24", "First, 4 times 6 is 24", false); /* who knows where it was going */
    assert_true(!v.correct && v.reward == 0);
    assert_string_equal(v.answer, "");
    v = judge("7", "The answer is 7.", true);
    assert_true(v.correct && !v.formatted && v.reward == 0);
    v = judge("7", "<think>The answer is \\boxed{7}", true);
    assert_true(!v.correct && !v.formatted && !v.answer[0]);
    v = judge("7", "\\boxed{8}", true);
    assert_true(!v.correct && v.formatted && v.reward == 0);
}

static void test_spec(void **state)
{
    (void)state;
    json_t *spec = json_pack("{s:s, s:b}", "gold", "0.33", "approx", 1);
    r1_err err = {0};
    assert_int_equal(r1_math_check(spec, &err), R1_OK);
    const char *text = "\\boxed{\\frac13}";
    assert_true(r1_math_judge(spec, text, strlen(text), true).correct);
    json_decref(spec);
    spec = json_string("\\frac{");
    assert_int_equal(r1_math_check(spec, &err), R1_EFORMAT);
    json_decref(spec);
    spec = json_integer(3);
    assert_int_not_equal(r1_math_check(spec, &err), R1_OK);
    json_decref(spec);
}

static void test_same(void **state)
{
    (void)state;
    const char *a = "\\boxed{\\frac12}", *b = "the answer is 0.5", *c = "\\boxed{2}",
               *d = "none";
    assert_true(r1_math_same(NULL, a, strlen(a), b, strlen(b)));
    assert_true(r1_math_same(NULL, a, strlen(a), a, strlen(a)));
    assert_false(r1_math_same(NULL, a, strlen(a), c, strlen(c)));
    assert_false(r1_math_same(NULL, a, strlen(a), d, strlen(d)));
}

static void judge_some(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    static const char *const pairs[][2] = {{"\\sqrt{5+2\\sqrt6}", "\\sqrt2+\\sqrt3"},
                                           {"\\pi^2", "\\pi\\cdot\\pi"},
                                           {"30!", "29!\\cdot30"},
                                           {"\\cos 36^\\circ", "\\frac{1+\\sqrt5}{4}"}};
    int *right = ud;
    for (int64_t i = begin; i < end; i++)
        right[i] = compare(pairs[i % 4][0], pairs[i % 4][1]) == R1_MATH_EQUAL;
}

/* Many threads at once, which end before the program does: their caches go with them. */
static void test_threads(void **state)
{
    (void)state;
    enum { N = 400 };
    int right[N] = {0};
    r1_pool *pool;
    r1_err err = {0};
    assert_int_equal(r1_pool_open(4, &pool, &err), R1_OK);
    r1_pool_for(pool, N, 5, judge_some, right);
    r1_pool_close(pool);
    for (int i = 0; i < N; i++)
        assert_true(right[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),  cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_kinds),    cmocka_unit_test(test_hedges),
        cmocka_unit_test(test_unparsed), cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_approx),   cmocka_unit_test(test_judge),
        cmocka_unit_test(test_spec),     cmocka_unit_test(test_same),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
