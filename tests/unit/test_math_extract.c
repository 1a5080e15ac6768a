/* math_extract.c: which part of a completion is its answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "verify/math.h"

static void is(r1_math_mode mode, const char *text, const char *wanted)
{
    r1_math_answer a;
    char got[256];
    bool found = r1_math_extract(text, strlen(text), mode, &a);
    size_t n = r1_math_extract_text(&a, got, sizeof got);
    assert_int_equal(n, strlen(got));
    assert_int_equal(found, n > 0);
    assert_string_equal(got, wanted);
}

static void strict(const char *text, const char *wanted)
{
    is(R1_MATH_TRAINING, text, wanted);
    is(R1_MATH_EVALUATION, text, wanted);
}

static void loose(const char *text, const char *wanted)
{
    is(R1_MATH_TRAINING, text, "");
    is(R1_MATH_EVALUATION, text, wanted);
}

static void test_boxes(void **state)
{
    (void)state;
    strict("\\boxed{5}", "5");
    strict("so $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}");
    strict("\\boxed{\\{1,2\\}}", "\\{1,2\\}");
    strict("\\fbox{5} \\framebox{6}", "5, 6");
    strict("\\boxed 5$", "5");
    strict("\\boxed{\\boxed{5}}", "5");
    strict("\\boxed{4} no, \\boxed{5}", "5");
    strict("\\boxed{4} and \\boxed{5}", "4, 5");
    strict("$\\boxed{4}$, $\\boxed{5}$", "4, 5");
    strict("\\boxed{5}\\boxed{5}", "5");
    strict("\\boxed{5}}", "5");
    strict("\\boxed{}", "");
    strict("a } b \\boxed{5}", "5");
    loose("\\boxed{5", "5");
    loose("boxed{5}", "5");
}

static void test_thoughts(void **state)
{
    (void)state;
    strict("<think>\\boxed{3}</think>\\boxed{4}", "4");
    strict("<think>\\boxed{3}</think>", "");
    strict("<think>\\boxed{3}", "");
    strict("</think>\\boxed{3}<think>", "");
}

static void test_fallbacks(void **state)
{
    (void)state;
    loose("<answer>404</answer>", "404");
    loose("thus\n#### 72", "72");
    loose("The answer is 5.", "5");
    loose("The answer is $x+1$ for all $x > 0$.", "x+1");
    loose("Answer: 7 because 3+4=7", "7");
    loose("**Final Answer**\n\\[ 806 \\]", "806");
    loose("We have $a=2$, hence the result is $357$", "357");
    loose("a total of 1,000.", "1,000");
    loose("for a total of \\frac{3}{7}.", "\\frac{3}{7}");
    loose("$x=2$ or $x=3$", "x=2, x=3");
    loose("The value of $x$ is 3.", "3");
    loose("42 is not the answer", "");
    loose("sqrt(2)", "sqrt(2)");
    loose("He earns $1,500.", "1,500");
    loose("I do not know.", "");
    loose("", "");
    /* Both alternatives, so that it equals neither. */
    loose("The answer is $70$ or maybe $76$.", "70, 76");
}

/* A run that is longer than an answer can be is none. */
static void test_long_run(void **state)
{
    (void)state;
    char text[40 * 9 + 1];
    for (int i = 0; i < 40; i++)
        memcpy(text + 9 * i, "\\boxed{1}", 9);
    text[350] = '2';
    text[9 * 40] = 0;
    r1_math_answer a;
    assert_false(r1_math_extract(text, 9 * 40, R1_MATH_EVALUATION, &a) && a.n > 1);
}

/* Half a megabyte of the worst is one pass. */
static void test_long_text(void **state)
{
    (void)state;
    static const char *const pieces[] = {"\\boxed{", "$", "{", "\\(", "answer is ", "9", "\\"};
    size_t size = 1 << 19;
    char *text = r1_mem_alloc(size);
    for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++) {
        size_t n = strlen(pieces[k]);
        for (size_t i = 0; i + n <= size; i += n)
            memcpy(text + i, pieces[k], n);
        r1_math_answer a;
        r1_math_extract(text, size, R1_MATH_EVALUATION, &a);
        assert_true(a.n <= R1_MATH_MAX_PARTS);
    }
    r1_mem_free(text);
}

static void test_cut(void **state)
{
    (void)state;
    r1_math_answer a;
    char small[4];
    assert_true(r1_math_extract("\\boxed{12345}", 13, R1_MATH_TRAINING, &a));
    assert_int_equal(r1_math_extract_text(&a, small, sizeof small), 5);
    assert_string_equal(small, "123");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boxes),     cmocka_unit_test(test_thoughts),
        cmocka_unit_test(test_fallbacks), cmocka_unit_test(test_long_run),
        cmocka_unit_test(test_long_text), cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
