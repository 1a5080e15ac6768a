/* math_compare.c: kinds against kinds. */
#include "math_fixture.h"

#include "verify/math_compare.h"

static r1_math_truth compare(const char *gold, const char *answer)
{
    return r1_math_compare_trees(&work, parse(gold), parse(answer), "");
}

static void test_same(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        {"\\{1,2\\}", "\\{2,1,1\\}"},
        {"\\{1,2,3,\\ldots,10\\}", "\\{1,2,\\ldots,10\\}"},
        {"\\{1\\pm\\sqrt5,-2\\}", "\\{-2,1-\\sqrt5,1+\\sqrt5\\}"},
        {"2\\frac13", "2\\text{ and }\\frac13"},
        {"x=-2,1", "-2,1"},
        {"(x-1)^2+(y+2)^2=9", "x^2-2x+y^2+4y=4"},
        {"y\\ge x", "x\\le y"},
        {"a=1,b=2", "b=2,a=1"},
        {"(2,-3)", "y=-3, x=2"},
        {"10", "10=5+5"},
        {"\\frac27", "\\frac27\\approx0.2857"},
        {"150\\%", "1.5"},
        {"90^\\circ", "\\frac{\\pi}{2}"},
        {"5", "5\\text{ cm}"},
        {"1.5\\text{ km}", "1500\\text{ m}"},
        {"1:2:3", "2:4:6"},
        {"3\\pmod 5", "8\\pmod 5"},
        {"5-8i", "5-8j"},
        {"y=Ce^x", "y=Ae^x"},
        {"f(x)=x^2+1", "f(x)=1+x^2"},
        {"\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "[[1,2],[3,4]]"}};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if (compare(same[i][0], same[i][1]) != R1_TRUTH_YES)
            fail_msg("%s is not %s", same[i][1], same[i][0]);
}

static void test_different(void **state)
{
    (void)state;
    static const char *const differ[][2] = {{"\\{1,2\\}", "\\{1,2,3\\}"},
                                            {"(1,2)", "(2,1)"},
                                            {"1,2,3", "1,2,4"},
                                            {"4", "10=4"},
                                            {"y=Ce^x", "y=e^x+C"},
                                            {"10\\%", "1000\\%"},
                                            {"5\\text{ apples}", "5\\text{ pears}"},
                                            {"3:4", "4:3"},
                                            {"x\\equiv3\\pmod{11}", "x\\equiv3\\pmod{12}"},
                                            {"347_9", "347_{10}"},
                                            {"286", "347_9"},
                                            {"\\frac10", "\\frac10"},
                                            {"x+1", "x+1+0\\cdot\\infty"},
                                            {"y\\ge x", "y\\le x"},
                                            {"\\emptyset", "(15,-8)"},
                                            {"\\emptyset", "x=1,x=2"},
                                            {"(1,2)", "x=1,x=2"},
                                            {"30=29", "34=31"},
                                            {"x=4", "y=4"}};
    for (size_t i = 0; i < sizeof differ / sizeof differ[0]; i++)
        if (compare(differ[i][0], differ[i][1]) == R1_TRUTH_YES)
            fail_msg("%s is %s", differ[i][1], differ[i][0]);
}

/* The conventions that depend on which side is the reference. */
static void test_directions(void **state)
{
    (void)state;
    assert_int_equal(compare("(2,-3)", "2,-3"), R1_TRUTH_YES);
    assert_int_equal(compare("2,-3", "(2,-3)"), R1_TRUTH_NO);
    assert_int_equal(r1_math_compare_trees(&work, parse("433_8"), parse("433"), "433"),
                     R1_TRUTH_YES);
    assert_int_equal(r1_math_compare_trees(&work, parse("433"), parse("433_8"), "4338"),
                     R1_TRUTH_NO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same, begin, end),
        cmocka_unit_test_setup_teardown(test_different, begin, end),
        cmocka_unit_test_setup_teardown(test_directions, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
