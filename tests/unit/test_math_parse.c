/* math_parse.c: trees of formulas, lists, statements, texts. */
#include "math_fixture.h"

#include "verify/math_tree.h"

/* Two writings of one tree. */
static void alike(const char *a, const char *b)
{
    if (!r1_math_tree_same(parse(a), parse(b)))
        fail_msg("%s and %s are different trees", a, b);
}

static void unlike(const char *a, const char *b)
{
    if (r1_math_tree_same(parse(a), parse(b)))
        fail_msg("%s and %s are one tree", a, b);
}

static void kind(const char *text, r1_math_kind wanted)
{
    r1_math_node *x = parse(text);
    if (x->kind != wanted)
        fail_msg("%s is of kind %d, not %d", text, x->kind, (int)wanted);
}

static void refused(const char *text)
{
    int ambiguous;
    if (r1_math_parse_answer(&work, text, strlen(text), 0, &ambiguous))
        fail_msg("%s is understood", text);
}

static void test_shape(void **state)
{
    (void)state;
    alike("\\frac12", "{1 \\over 2}");
    alike("\\frac 1 {10}", "\\frac{1}{10}");
    alike("2x^2y", "((2)(x^{2}))(y)");
    alike("a-b-c", "(a-b)-c");
    alike("a/bc", "(a/b)c");
    alike("2^3^2", "2^{3^2}");
    alike("-x^2", "-(x^2)");
    alike("\\sin 2x", "\\sin(2x)");
    alike("\\sin x\\cos x", "(\\sin x)(\\cos x)");
    alike("\\sin^2 x", "(\\sin x)^2");
    alike("\\sin^{-1} x", "\\arcsin x");
    alike("\\sqrt3x", "(\\sqrt{3})x");
    alike("\\log_2 8", "\\log_{2}(8)");
    alike("{8 \\choose 4}", "\\binom{8}{4}");
    alike("3\\frac12", "3 1/2");
    alike("2|x|", "2\\cdot\\lvert x\\rvert");
    unlike("3\\frac{x}{2}", "3+\\frac{x}{2}");
}

static void test_names(void **state)
{
    (void)state;
    alike("x_1", "x_{1}");
    alike("a_{n + 1}", "a_{n+1}");
    alike("f'(x)", "f^{\\prime}(x)");
    unlike("x_{12}", "x_1x_2");
    unlike("f(x)", "f(y)");
    unlike("\\hat{x}", "x");
    kind("e", R1_NODE_CONST);
    kind("e_1", R1_NODE_SYM);
}

static void test_kinds(void **state)
{
    (void)state;
    kind("(1,2)", R1_NODE_TUPLE);
    kind("(1,2]", R1_NODE_INTERVAL);
    kind("]1,2[", R1_NODE_INTERVAL);
    kind("[1,2]", R1_NODE_INTERVAL);
    kind("[1,2,3]", R1_NODE_BRACKET);
    kind("\\{1,2\\}", R1_NODE_SET);
    kind("\\{\\}", R1_NODE_DOMAIN);
    kind("\\{x\\mid x>0\\}", R1_NODE_BUILDER);
    kind("1,2", R1_NODE_LIST);
    kind("1\\text{ or }2", R1_NODE_LIST);
    kind("x<1", R1_NODE_REL);
    kind("x\\equiv1\\pmod 7", R1_NODE_RESIDUE);
    kind("5\\%", R1_NODE_PERCENT);
    kind("5^\\circ", R1_NODE_DEGREE);
    kind("5\\text{ cm}^2", R1_NODE_UNIT);
    kind("\\$5", R1_NODE_UNIT);
    kind("52_8", R1_NODE_BASE);
    kind("1:2", R1_NODE_RATIO);
    kind("\\pm5", R1_NODE_PM);
    kind("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", R1_NODE_MATRIX);
    kind("(1,2)\\cup(3,4)", R1_NODE_UNION);
}

static void test_texts(void **state)
{
    (void)state;
    kind("\\text{isosceles}", R1_NODE_TEXT);
    kind("Evelyn", R1_NODE_TEXT);
    kind("5 or more", R1_NODE_TEXT);
    kind("\\text{not }5", R1_NODE_TEXT);
    kind("\\text{The answer is }5", R1_NODE_NUM);
    kind("\\text{Area} = 4", R1_NODE_NUM);
    kind("\\text{A}", R1_NODE_SYM);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "(",
                                      "1+",
                                      "\\frac{1}",
                                      "(1,2}",
                                      "6%5",
                                      "5\\ldots6",
                                      "?",
                                      "x=",
                                      "\\begin{pmatrix}1&2\\\\3\\end{pmatrix}",
                                      "52_{8",
                                      "19_8",
                                      "2^",
                                      "\\sqrt[3]",
                                      "|x",
                                      "\\{1,2",
                                      "\\int x",
                                      "\\sum x",
                                      "x_",
                                      "1..2",
                                      "\\unknown{5}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused(bad[i]);
}

static void test_depth(void **state)
{
    (void)state;
    char text[2048];
    for (int pairs = 20; pairs <= 1000; pairs *= 50) {
        memset(text, '(', (size_t)pairs);
        text[pairs] = '5';
        memset(text + pairs + 1, ')', (size_t)pairs);
        int ambiguous;
        r1_math_node *x =
            r1_math_parse_answer(&work, text, (size_t)(2 * pairs + 1), 0, &ambiguous);
        assert_int_equal(x != NULL, pairs == 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shape, begin, end),
        cmocka_unit_test_setup_teardown(test_names, begin, end),
        cmocka_unit_test_setup_teardown(test_kinds, begin, end),
        cmocka_unit_test_setup_teardown(test_texts, begin, end),
        cmocka_unit_test_setup_teardown(test_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_depth, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
