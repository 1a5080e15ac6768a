/* json.c: what is refused and how it is said, the getters, writing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"

static json_t *parse(const char *text)
{
    json_t *v;
    r1_err err = {0};
    assert_int_equal(r1_json_parse(text, strlen(text), "t", &v, &err), R1_OK);
    return v;
}

static void refused(const char *text, size_t len, const char *message)
{
    json_t *v = json_null();
    r1_err err = {0};
    assert_int_equal(r1_json_parse(text, len, "t.json", &v, &err), R1_EFORMAT);
    assert_null(v);
    assert_non_null(strstr(err.msg, message));
    assert_null(strchr(err.msg, '\n'));
    /* The error's receiver may be absent. */
    assert_int_equal(r1_json_parse(text, len, "t.json", &v, NULL), R1_EFORMAT);
}
#define REFUSED(text, message) refused(text, sizeof(text) - 1, message)

static void test_refusals(void **state)
{
    (void)state;
    REFUSED("", "t.json: line 1, column 0: ");
    REFUSED("{\"a\": 1,\n  \"b\" 2}", "t.json: line 2, column 7: ");
    REFUSED("{\"a\": 1} x", "t.json: line 1");
    REFUSED("{\"a\": 1, \"a\": 2}", "duplicate");
    REFUSED("{\"a\": \"\xff\"}", "t.json: line 1");
    REFUSED("[\"\xed\xa0\x80\"]", "t.json: line 1");
    REFUSED("[1, 2,]", "t.json: line 1");
    REFUSED("[NaN]", "t.json: line 1");
    REFUSED("[1e999]", "t.json: line 1");
    REFUSED("[\"\\u0000\"]", "t.json: line 1");
    REFUSED("[\"\n\"]", "t.json: line");
    REFUSED("\0", "t.json: line 1");
}

static void test_depth(void **state)
{
    (void)state;
    char text[2 * (R1_JSON_MAX_DEPTH + 1) + 1];
    for (size_t n = R1_JSON_MAX_DEPTH; n <= R1_JSON_MAX_DEPTH + 1; n++) {
        memset(text, '[', n);
        memset(text + n, ']', n);
        text[2 * n] = 0;
        if (n <= R1_JSON_MAX_DEPTH)
            json_decref(parse(text));
        else
            refused(text, 2 * n, "t.json: line 1, column 65: nested more than 64 levels deep");
    }
    /* Brackets in strings are not nesting. */
    char quoted[204] = "\"\\\"";
    memset(quoted + 3, '[', 199);
    quoted[202] = '"';
    json_decref(parse(quoted));
}

static void test_load(void **state)
{
    (void)state;
    char path[] = "/tmp/r1-test-json-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "{\"a\": 3}", 8), 8);
    close(fd);
    json_t *v;
    int64_t a;
    r1_err err = {0};
    assert_int_equal(r1_json_load(path, 8, &v, &err), R1_OK);
    assert_int_equal(r1_json_int(v, path, "a", 0, 9, &a, &err), R1_OK);
    assert_int_equal(a, 3);
    json_decref(v);
    assert_int_not_equal(r1_json_load(path, 7, &v, &err), R1_OK);
    assert_null(v);
    assert_non_null(strstr(err.msg, path));
    unlink(path);
    assert_int_equal(r1_json_load(path, 8, &v, &err), R1_EIO);
    assert_non_null(strstr(err.msg, path));
}

static void test_getters(void **state)
{
    (void)state;
    json_t *o =
        parse("{\"i\": 5, \"w\": 4.0, \"f\": 2.5, \"s\": \"x\", \"t\": true, \"n\": null}");
    r1_err err = {0};
    int64_t i = -1;
    double d = -1;
    bool b = false;
    const char *s = "before";

    assert_int_equal(r1_json_int(o, "c", "i", 0, 5, &i, &err), R1_OK);
    assert_int_equal(i, 5);
    assert_int_equal(r1_json_int(o, "c", "w", 0, 5, &i, &err), R1_OK);
    assert_int_equal(i, 4);
    assert_int_equal(r1_json_int(o, "c", "i", 0, 4, &i, &err), R1_EFORMAT);
    assert_string_equal(err.msg, "c: 'i' is 5, out of range 0..4");
    assert_int_equal(r1_json_int(o, "c", "f", 0, 4, &i, &err), R1_EFORMAT);
    assert_string_equal(err.msg, "c: 'f' is a real number, not an integer");
    assert_int_equal(r1_json_int(o, "c", "no", 0, 4, &i, &err), R1_EFORMAT);
    assert_string_equal(err.msg, "c: 'no' is missing");
    assert_int_equal(r1_json_int(o, "c", "n", 0, 4, &i, &err), R1_EFORMAT);
    assert_string_equal(err.msg, "c: 'n' is null");
    assert_int_equal(i, 4);
    assert_int_equal(r1_json_int_opt(o, "c", "n", 0, 4, &i, &err), R1_OK);
    assert_int_equal(r1_json_int_opt(o, "c", "no", 0, 4, &i, &err), R1_OK);
    assert_int_equal(i, 4);
    assert_int_equal(r1_json_int_opt(o, "c", "s", 0, 4, &i, &err), R1_EFORMAT);

    assert_int_equal(r1_json_num(o, "c", "f", 0, 3, &d, &err), R1_OK);
    assert_true(d == 2.5);
    assert_int_equal(r1_json_num(o, "c", "i", 0, 9, &d, &err), R1_OK);
    assert_true(d == 5);
    assert_int_equal(r1_json_num(o, "c", "f", 0, 1, &d, &err), R1_EFORMAT);
    assert_string_equal(err.msg, "c: 'f' is 2.5, out of range 0..1");
    assert_int_equal(r1_json_num_opt(o, "c", "no", 0, 1, &d, &err), R1_OK);
    assert_true(d == 5);

    assert_int_equal(r1_json_bool_opt(o, "c", "t", &b, &err), R1_OK);
    assert_true(b);
    assert_int_equal(r1_json_bool_opt(o, "c", "i", &b, &err), R1_EFORMAT);
    assert_string_equal(err.msg, "c: 'i' is an integer, not true or false");

    assert_int_equal(r1_json_str_opt(o, "c", "no", &s, &err), R1_OK);
    assert_string_equal(s, "before");
    assert_int_equal(r1_json_str(o, "c", "s", &s, &err), R1_OK);
    assert_string_equal(s, "x");
    assert_int_equal(r1_json_str(o, "c", "t", &s, &err), R1_EFORMAT);
    assert_string_equal(err.msg, "c: 't' is true, not a string");

    assert_int_equal(r1_json_str(json_object_get(o, "i"), "c", "s", &s, &err), R1_EFORMAT);
    assert_int_equal(r1_json_str(NULL, "c", "s", &s, &err), R1_EFORMAT);
    json_decref(o);
}

/* Integers beyond 64 bits do not spoil the rest of a document. */
static void test_huge_integer(void **state)
{
    (void)state;
    json_t *o = parse("{\"max\": 1000000000000000019884624838656, \"i\": 7}");
    int64_t i = 0;
    double d = 0;
    r1_err err = {0};
    assert_int_equal(r1_json_int(o, "c", "i", 0, 9, &i, &err), R1_OK);
    assert_int_equal(i, 7);
    assert_int_equal(r1_json_int(o, "c", "max", 0, INT64_MAX, &i, &err), R1_EFORMAT);
    assert_int_equal(r1_json_num(o, "c", "max", 0, 1e40, &d, &err), R1_OK);
    assert_true(d == 1e30);
    json_decref(o);
}

static void quoted(const char *text, size_t len, const char *wanted)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_json_quote(&b, text, len);
    assert_string_equal(b.data, wanted);
    json_decref(parse(b.data[1] ? b.data : "\"\""));
    r1_buf_release(&b);
}

static void test_quote(void **state)
{
    (void)state;
    quoted("", 0, "\"\"");
    quoted("a\"b\\c\n\t\r\x01", 9, "\"a\\\"b\\\\c\\n\\t\\r\\u0001\"");
    quoted("\xc3\xa9\xf0\x9f\x98\x80", 6, "\"\xc3\xa9\xf0\x9f\x98\x80\"");
    quoted("a\xff"
           "b",
           3,
           "\"a\xef\xbf\xbd"
           "b\"");
    quoted("\xf0\x9f", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void number(double v, const char *wanted)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_json_number(&b, v);
    assert_string_equal(b.data, wanted);
    if (isfinite(v))
        assert_true(strtod(b.data, NULL) == v);
    r1_buf_release(&b);
}

static void test_number(void **state)
{
    (void)state;
    number(0, "0");
    number(-0.0, "-0.0");
    number(100000, "100000");
    number(-3, "-3");
    number(0.1, "0.1");
    number(1.0 / 3, "0.3333333333333333");
    number(1e300, "1e+300");
    number(5e-324, "5e-324");
    number(0.1 + 0.2, "0.30000000000000004");
    number((double)NAN, "null");
    number(-(double)INFINITY, "null");
}

static void test_utf8_prefix(void **state)
{
    (void)state;
    assert_int_equal(r1_json_utf8_prefix("", 0), 0);
    assert_int_equal(r1_json_utf8_prefix("abc", 3), 3);
    assert_int_equal(r1_json_utf8_prefix("a\xc3", 2), 1);
    assert_int_equal(r1_json_utf8_prefix("a\xc3\xa9", 3), 3);
    assert_int_equal(r1_json_utf8_prefix("\xf0\x9f\x98", 3), 0);
    assert_int_equal(r1_json_utf8_prefix("\xf0\x9f\x98\x80", 4), 4);
    assert_int_equal(r1_json_utf8_prefix("\xff\xff", 2), 2);
    assert_int_equal(r1_json_utf8_prefix("\xe0\x80", 2), 2); /* overlong: never to be valid */
    assert_int_equal(r1_json_utf8_prefix("\xc3z", 2), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_depth),
        cmocka_unit_test(test_load),         cmocka_unit_test(test_getters),
        cmocka_unit_test(test_huge_integer), cmocka_unit_test(test_quote),
        cmocka_unit_test(test_number),       cmocka_unit_test(test_utf8_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
