/* test_checker.c: outputs that are right in their checker's eyes, and outputs that are not.  The
 * pairs of tests/golden/code.json have Python's own verdict. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "verify/checker.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static bool accepts(const char *checker, const char *expected, const char *got)
{
    r1_checker c;
    r1_err err = {0};
    if (r1_checker_parse(checker, &c, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return r1_checker_accepts(&c, expected, strlen(expected), got, strlen(got));
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *checker, *expected, *got;
        bool right;
    } cases[] = {
        {"tokens", "1 2 3", "1\n2\n\n3  ", true},
        {"tokens", "1 2 3", "1 2", false},
        {"tokens", "1 2 3", "1 2 3 4", false},
        {"tokens", "1 2 3", "12 3", false},
        {"tokens", "1", "01", false},
        {"tokens", "1", "1.0", false},
        {"tokens", "", " \r\n\t\v\f", true},
        {"tokens", "", "0", false},
        {"tokens", "YES", "yes", false},
        {"tokens", "a", "a\r\n", true},
        {"lines", "1 2\n3", "1 2\n3\n", true},
        {"lines", "1 2\n3", "\n1   2\r\n\n 3 \n\n", true},
        {"lines", "1 2\n3", "1\n2 3", false},
        {"lines", "1 2\n3", "1 2 3", false},
        {"lines", "1 2\n3", "1 2", false},
        {"lines", "1 2", "1 2\n3", false},
        {"float:1e-6", "1.0", "1.0000005", true},
        {"float:1e-6", "1.0", "1.00001", false},
        {"float:1e-6", "1000000", "1000000.5", true},
        {"float:1e-6", "1000000", "1000002", false},
        {"float:1e-6", "0", "1e-7", true},
        {"float:1e-6", "0", "1e-5", false},
        {"float:1e-6", "-5", "5", false},
        {"float:1e-6", "-1000000", "-1000000.5", true},
        {"float:1e-6", "3 x 4", "3.0000001 x 4", true},
        {"float:1e-6", "3 x 4", "3 y 4", false},
        {"float:1e-6", "3", "nan", false},
        {"float:1e-6", "nan", "nan", false},
        {"float:1e-6", "-nan", "-nan", false},
        {"float:1e-6", "NaN", "nan", false},
        {"float:1e-6", "3", "inf", false},
        {"float:1e-6", "3", "0x3", false},
        {"float:1e-6", "3", "3abc", false},
        {"float:1e-6", "3", "1e999", false},
        {"float:1e-6", "3", "", false},
        {"float", "2", "2.0000001", true},
        {"float:0", "0.5", "0.5", true},
        {"float:0", "0.5", "0.50000001", false},
        {"yesno", "YES", "yes", true},
        {"yesno", "Yes\nNo", "YES NO", true},
        {"yesno", "YES", "no", false},
        {"yesno", "YES", "YES NO", false},
        {"yesno", "YES", "", false},
        {"exact", "a b\n", "a b\n", true},
        {"exact", "a b\n", "a b", false},
        {"exact", "a b", "a  b", false},
        {"unordered", "1 2\n3 4", "3 4\n1  2\n", true},
        {"unordered", "1 2\n3 4", "1 3\n2 4", false},
        {"unordered", "1 2\n3 4", "1 2\n2 1", false},
        {"unordered", "1 2 3", "3 2 1", true},
        {"unordered", "1 2 3", "3\n2\n1", true},
        {"unordered", "1\n2\n3", "3 1 2", true},
        {"unordered", "1 1 2", "1 2 2", false},
        {"unordered", "1 2", "1 2 2", false},
        {"unordered", "", "\n", true},
        {"unordered", "a\nab", "ab\na", true},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (accepts(cases[i].checker, cases[i].expected, cases[i].got) != cases[i].right)
            fail_msg("%s: '%s' against '%s' is not %d", cases[i].checker, cases[i].got,
                     cases[i].expected, cases[i].right);
}

/* A byte is a byte, and an early end of a C string is no end. */
static void test_bytes(void **state)
{
    (void)state;
    for (int k = 0; k <= R1_CHECKER_LCB; k++) {
        r1_checker c = {.kind = (r1_checker_kind)k, .eps = 1e-6};
        assert_false(r1_checker_accepts(&c, "7", 1, "7\0008", 3));
        assert_false(r1_checker_accepts(&c, "7", 1, "\0007", 2));
        assert_false(r1_checker_accepts(&c, "7", 1, "\x1b[2K7", 5));
        assert_true(r1_checker_accepts(&c, "7", 1, "7", 1));
        assert_true(r1_checker_accepts(&c, "", 0, NULL, 0));
        assert_false(r1_checker_accepts(&c, "7", 1, NULL, 0));
    }
}

/* Long inputs take time in proportion. */
static void test_long(void **state)
{
    (void)state;
    const size_t n = (size_t)4 << 20;
    char *a = malloc(n + 1), *b = malloc(n + 1);
    static const char *const checkers[] = {"tokens", "lines", "float", "unordered", "lcb"};
    for (size_t i = 0; i < n; i++)
        a[i] = b[i] = i % 8 == 7 ? ' ' : (char)('1' + i % 7);
    a[n] = b[n] = '\0';
    b[n - 8] = b[n - 8] == '1' ? '2' : '1';
    for (size_t i = 0; i < COUNT(checkers); i++) {
        assert_true(accepts(checkers[i], a, a));
        assert_false(accepts(checkers[i], a, b));
    }
    memset(a, '9', n); /* one word */
    memset(b, '9', n);
    b[n - 1] = '8';
    for (size_t i = 0; i < COUNT(checkers); i++) {
        assert_true(accepts(checkers[i], a, a));
        assert_false(accepts(checkers[i], a, b));
    }
    free(a);
    free(b);
}

static void compare_golden(const char *name, const char *checker)
{
    json_t *golden;
    r1_err err = {0};
    size_t i;
    json_t *row;
    if (r1_json_load(R1_SOURCE_DIR "/tests/golden/code.json", 0, &golden, &err) != R1_OK)
        fail_msg("%s", err.msg);
    json_array_foreach(json_object_get(golden, name), i, row)
    {
        const char *a = json_string_value(json_array_get(row, 0));
        const char *b = json_string_value(json_array_get(row, 1));
        bool same = json_is_true(json_array_get(row, 2));
        if (accepts(checker, a, b) != same)
            fail_msg("%s: '%s' and '%s': Python says %d", checker, a, b, same);
    }
    assert_true(i > 900);
    json_decref(golden);
}

static void test_lcb(void **state)
{
    (void)state;
    compare_golden("lcb", "lcb");
}

static void test_json(void **state)
{
    (void)state;
    compare_golden("json", "json");
    static const char *const not_json[] = {"",         "[1",  "1 2", "nan", "NaN",
                                           "Infinity", "'a'", "{",   "[1]x"};
    for (size_t i = 0; i < COUNT(not_json); i++)
        assert_false(accepts("json", "1", not_json[i]));
    char deep[5000];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_false(accepts("json", "1", deep));
}

static void test_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"",        "token",     "float:x",     "float:-1",
                                      "float:1", "float:nan", "tokens:1e-6", "custom",
                                      "float:"};
    r1_checker c;
    for (size_t i = 0; i < COUNT(bad); i++) {
        r1_err err = {0};
        assert_int_equal(r1_checker_parse(bad[i], &c, &err), R1_EARG);
        assert_non_null(strstr(err.msg, bad[i]));
    }
    assert_int_equal(r1_checker_parse("float:1e-9", &c, NULL), R1_OK);
    assert_int_equal(c.kind, R1_CHECKER_FLOAT);
    assert_true(fabs(c.eps - 1e-9) < 1e-20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds), cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_long),  cmocka_unit_test(test_lcb),
        cmocka_unit_test(test_json),  cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
