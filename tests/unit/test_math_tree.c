/* math_tree.c: trees: making, asking, putting in. */
#include "math_fixture.h"

#include "verify/math_tree.h"

static void test_make(void **state)
{
    (void)state;
    r1_math_node *x = r1_math_tree_2(&work, R1_NODE_ADD, 0, r1_math_tree_int(&work, 2),
                                     r1_math_tree_int(&work, 3));
    assert_true(r1_math_tree_same(x, parse("2+3")));
    assert_true(r1_math_tree_is_num(x->arg[0], 2));
    assert_false(r1_math_tree_is_num(x->arg[0], 3));
    assert_false(r1_math_tree_is_num(x, 5));
    assert_true(r1_math_tree_has(x, R1_NODE_NUM));
    assert_false(r1_math_tree_has(x, R1_NODE_POW));
    assert_true(r1_math_tree_has_const(parse("1+\\pi"), R1_MATH_PI));
}

static void test_symbols(void **state)
{
    (void)state;
    const char *names[4];
    assert_int_equal(r1_math_tree_syms(parse("x+y^x+2"), names, 4), 2);
    assert_int_equal(r1_math_tree_syms(parse("a+b+c"), names, 2), 3);
    assert_int_equal(r1_math_tree_syms(parse("\\sum_{k=1}^{n}k"), names, 4), 1);
    assert_string_equal(names[0], "n");
    r1_math_node *y = r1_math_tree_put(&work, parse("x^2+x"), "x", r1_math_tree_int(&work, 3));
    assert_true(r1_math_tree_same(y, parse("3^2+3")));
    /* A bound variable is another one. */
    r1_math_node *s = parse("\\sum_{k=1}^{k}k");
    s = r1_math_tree_put(&work, s, "k", r1_math_tree_int(&work, 5));
    assert_true(r1_math_tree_same(s, parse("\\sum_{k=1}^{5}k")));
}

static void test_signs(void **state)
{
    (void)state;
    r1_math_node *x = parse("1\\pm2\\mp3");
    assert_true(r1_math_tree_same(r1_math_tree_signed(&work, x, 1), parse("1+2-3")));
    assert_true(r1_math_tree_same(r1_math_tree_signed(&work, x, -1), parse("1-2+3")));
    work.steps = 3;
    assert_true(r1_math_tree_spend(&work, 3));
    assert_false(r1_math_tree_spend(&work, 1));
    assert_false(r1_math_tree_spend(&work, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_make, begin, end),
        cmocka_unit_test_setup_teardown(test_symbols, begin, end),
        cmocka_unit_test_setup_teardown(test_signs, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
