/* test_jinja.c: the Jinja interpreter against jinja2's renderings, and its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/os.h"
#include "model/jinja.h"

#if defined __SANITIZE_ADDRESS__
#define SANITIZED 1
#elif defined __has_feature
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif

#define GOLDEN R1_SOURCE_DIR "/tests/golden/jinja.json"

static json_t *golden(void)
{
    json_t *root;
    r1_err err = {0};
    if (r1_json_load(GOLDEN, (size_t)1 << 20, &root, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return root;
}

/* Render; the text is in *out, which must be released. */
static r1_status render(const char *text, size_t len, const json_t *vars, r1_buf *out,
                        r1_err *err)
{
    memset(err, 0, sizeof *err);
    r1_buf_init(out, 0);
    r1_status status = r1_jinja_render(text, len, vars, NULL, out, err);
    if (status != R1_OK) {
        assert_int_equal(err->status, status);
        assert_memory_equal(err->msg, "template: ", 10);
        assert_null(strchr(err->msg, '\n'));
        assert_int_equal(out->len, 0);
    }
    return status;
}

static int check_case(const char *name, const char *text, size_t len, const json_t *vars,
                      const json_t *want)
{
    r1_buf out;
    r1_err err;
    r1_status status = render(text, len, vars, &out, &err);
    int bad = 0;
    if (!want && status == R1_OK) {
        print_error("%s: gives '%s', must fail\n", name, out.data);
        bad = 1;
    } else if (want && status != R1_OK) {
        print_error("%s: %s\n", name, err.msg);
        bad = 1;
    } else if (want && (out.len != json_string_length(want) ||
                        memcmp(out.data, json_string_value(want), out.len) != 0)) {
        print_error("%s:\n  gives '%s'\n  wants '%s'\n", name, out.data,
                    json_string_value(want));
        bad = 1;
    }
    r1_buf_release(&out);
    return bad;
}

static void test_golden(void **state)
{
    (void)state;
    json_t *root = golden(), *c;
    size_t i;
    int bad = 0;
    json_array_foreach(json_object_get(root, "cases"), i, c)
    {
        json_t *vars = json_copy(json_object_get(root, "context"));
        json_t *text = json_object_get(c, "template");
        if (json_object_get(c, "changes"))
            json_object_update(vars, json_object_get(c, "changes"));
        bad +=
            check_case(json_string_value(json_object_get(c, "name")), json_string_value(text),
                       json_string_length(text), vars, json_object_get(c, "output"));
        json_decref(vars);
    }
    assert_true(i > 200);
    json_decref(root);
    assert_int_equal(bad, 0);
}

/* The template of the distilled R1 models, from a model file's metadata where that is there. */
static void test_distill(void **state)
{
    (void)state;
    static const char path[] = R1_SOURCE_DIR "/../shared/data/r1-distill-qwen-7b.gguf-head";
    static const char key[] = "tokenizer.chat_template";
    r1_os_map map;
    r1_err err;
    if (!r1_os_exists(path))
        skip();
    assert_int_equal(r1_os_map_open(path, &map, &err), R1_OK);
    const char *data = (const char *)map.data;
    const char *at = memmem(data, map.size, key, strlen(key));
    assert_non_null(at);
    at += strlen(key) + 4;
    uint64_t size;
    memcpy(&size, at, sizeof size);
    at += sizeof size;
    assert_true(size < map.size - (size_t)(at - data));
    json_t *root = golden(), *c;
    size_t i;
    int bad = 0;
    json_array_foreach(json_object_get(root, "distill"), i, c)
    {
        bad += check_case("distill", at, size, json_object_get(c, "context"),
                          json_object_get(c, "output"));
    }
    json_decref(root);
    r1_os_map_close(&map);
    assert_int_equal(i, 6);
    assert_int_equal(bad, 0);
}

static void expect_failure(const char *text, r1_status status, const char *msg)
{
    json_t *vars = json_object();
    r1_buf out;
    r1_err err;
    assert_int_equal(render(text, strlen(text), vars, &out, &err), status);
    assert_string_equal(err.msg, msg);
    r1_buf_release(&out);
    json_decref(vars);
}

static void test_messages(void **state)
{
    (void)state;
    expect_failure("a\n{{ x.y }}", R1_EFORMAT,
                   "template: line 2: 'x' is undefined, so it has no 'y'");
    expect_failure("{{ raise_exception('roles must\nalternate') }}", R1_EARG,
                   "template: line 1: roles must alternate");
    expect_failure("{% if x %}\n\n{{ 1", R1_EFORMAT,
                   "template: line 3: '{{' is not closed by '}}'");
    expect_failure("{% if x %}", R1_EFORMAT,
                   "template: line 1: 'the end of the template' where elif is expected");
    expect_failure("{{ 1|nonesuch }}", R1_EUNSUPPORTED,
                   "template: line 1: there is no filter 'nonesuch'");
    expect_failure("{{ 9223372036854775807 + 1 }}", R1_EFORMAT,
                   "template: line 1: an integer exceeds 64 bits");
    expect_failure("\xff", R1_EFORMAT, "template: byte 0 is not valid UTF-8");
}

/* `n` times `a`, then the middle, then `n` times `b`. */
static void expect_nested(const char *a, const char *middle, const char *b, int n, bool ok)
{
    r1_buf text, out;
    r1_err err;
    json_t *vars = json_object();
    r1_buf_init(&text, 0);
    for (int i = 0; i < n; i++)
        r1_buf_puts(&text, a);
    r1_buf_puts(&text, middle);
    for (int i = 0; i < n; i++)
        r1_buf_puts(&text, b);
    r1_status status = render(text.data, text.len, vars, &out, &err);
    if ((status == R1_OK) != ok)
        fail_msg("%d x '%s': %s", n, a, err.msg);
    r1_buf_release(&out);
    r1_buf_release(&text);
    json_decref(vars);
}

static void test_nesting(void **state)
{
    (void)state;
    expect_nested("{% if true %}", "x", "{% endif %}", 90, true);
    expect_nested("{% if true %}", "x", "{% endif %}", 101, false);
    expect_nested("{% if true %}", "", "", 100000, false);
    expect_nested("{{ ", "", "", 100000, false);
    expect_nested("{{ (", "", "", 100000, false);
    expect_nested("{{ 1", "", "", 1, false);
    static const char *const pairs[][3] = {
        {"(", "1", ")"},   {"[", "1", "]"},           {"-", "1", ""},      {"not ", "1", ""},
        {"{1:", "1", "}"}, {"1 if 0 else ", "1", ""}, {"range(", "1", ")"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        for (int deep = 0; deep < 2; deep++) {
            r1_buf middle;
            r1_buf_init(&middle, 0);
            r1_buf_puts(&middle, "{{ 0 and (");
            for (int k = 0; k < (deep ? 50000 : 90); k++)
                r1_buf_puts(&middle, pairs[i][0]);
            r1_buf_puts(&middle, pairs[i][1]);
            for (int k = 0; k < (deep ? 50000 : 90); k++)
                r1_buf_puts(&middle, pairs[i][2]);
            r1_buf_puts(&middle, ") }}");
            expect_nested("", middle.data, "", 1, !deep);
            r1_buf_release(&middle);
        }
    }
    /* What groups from the left is not nested in the text, but is in the tree. */
    expect_nested("", "{{ 1", " + 1", 400, false);
}

static void test_long_chain(void **state)
{
    (void)state;
    for (int n = 400; n <= 40000; n *= 100) {
        r1_buf text;
        r1_buf_init(&text, 0);
        r1_buf_puts(&text, "{{ 1");
        for (int i = 0; i < n; i++)
            r1_buf_puts(&text, " + 1");
        r1_buf_puts(&text, " }}");
        expect_nested("", text.data, "", 1, n == 400);
        r1_buf_release(&text);
    }
}

static void test_budgets(void **state)
{
    (void)state;
    static const char steps[] =
        "template: line 1: rendering takes too many steps; simplify the template";
    expect_failure("{% set r = range(100000) %}{% for a in r %}{% for b in r %}{% endfor %}"
                   "{% endfor %}",
                   R1_EUNSUPPORTED, steps);
    expect_failure("{% for a in range(100) %}{{ 'x' * 1000000 }}{% endfor %}", R1_EUNSUPPORTED,
                   "template: line 1: the output exceeds 4 MiB");
    expect_failure("{{ 'x' * 20000000 }}", R1_EUNSUPPORTED,
                   "template: line 1: a string exceeds 4 MiB");
    expect_failure("{% set s = 'x' * 3999999 %}{% for a in range(99) %}{% set t = s ~ 1 %}"
                   "{% endfor %}",
                   R1_EUNSUPPORTED,
                   "template: line 1: rendering takes more than 32 MiB; simplify the template");
    expect_failure("{{ [0] * 1048577 }}", R1_EUNSUPPORTED, steps);
    /* A value that holds itself many times over, and one that holds itself. */
    expect_failure(
        "{% set n = namespace(l=[0]) %}{% for a in range(60) %}{% set n.l = [n.l, n.l] %}"
        "{% endfor %}{{ n.l|tojson|length }}",
        R1_EUNSUPPORTED, steps);
    expect_failure("{% set n = namespace() %}{% set n.n = n %}{{ n }}", R1_EUNSUPPORTED,
                   "template: line 1: evaluation nests deeper than 500; simplify the template");
    expect_failure("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", R1_EUNSUPPORTED,
                   "template: line 1: evaluation nests deeper than 500; simplify the template");
}

/* What a template may cost grows with what it is given. */
static void test_large_variables(void **state)
{
    (void)state;
    static const char text[] =
        "{% for m in messages %}{{ '<u>' + m.content|trim + '</u>' }}"
        "{% for n in messages %}{% if n.content == m.content %}{% break %}{% endif %}{% endfor %}"
        "{% endfor %}";
    json_t *messages = json_array();
    for (int i = 0; i < 1000; i++) {
        char content[10001];
        memset(content, 'a', sizeof content);
        snprintf(content, sizeof content, "%d", i);
        content[strlen(content)] = ' ';
        content[10000] = 0;
        json_array_append_new(messages,
                              json_pack("{s:s, s:s}", "role", "user", "content", content));
    }
    json_t *vars = json_pack("{s:o}", "messages", messages);
    r1_buf out;
    r1_err err;
    if (render(text, strlen(text), vars, &out, &err) != R1_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(out.len, 1000 * (10000 + 7));
    r1_buf_release(&out);
    json_decref(vars);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Templates made to last end soon, with an error: 0.1 s of processor time where nothing slows the
 * program down, 2 s under a sanitizer. */
static void test_hostile(void **state)
{
    (void)state;
#define MANY(body) \
    "{% for a in range(99999) %}{% for b in range(99999) %}" body "{% endfor %}{% endfor %}"
#define TEXT(n) "{% set x = 'a' * " n " %}"
    static const char *const templates[] = {
        MANY("{% set c = a * b %}"),
        MANY("{{ a }}"),
        MANY("{{ 'x' }}{{ 3 ** 39 }}"),
        MANY("{% set c = range(99999) %}"),
        MANY("{% set c = 'a'.upper %}"),
        MANY("{% set c = '1234567'|int %}"),
        MANY("{% set c = 1.1e300|round(17) %}"),
        MANY("{{ 1.2345678901234567e300 }}"),
        MANY("{% set c = strftime_now('%c') %}"),
        MANY("{% macro f() %}{% endmacro %}"),
        MANY("{% with c = 1 %}{% with d = 1 %}{% endwith %}{% endwith %}"),
        MANY("{% set c %}{{ 'a' * 3999999 }}{% endset %}"),
        TEXT("3999999") MANY("{% set c = x ~ x %}"),
        TEXT("3999999") MANY("{{ ('a' * 100 ~ 'b') in x }}"),
        TEXT("3999999") MANY("{{ x.find('a' * 1999999 ~ 'b') }}"),
        TEXT("3999999") MANY("{{ x.rfind('b' ~ 'a' * 1999999) }}"),
        TEXT("3999999") MANY("{{ x[3999998] }}"),
        TEXT("3999999") MANY("{{ x[1:][::-1]|length }}"),
        TEXT("3999999") MANY("{{ x.strip('a')|length }}"),
        TEXT("3999999") MANY("{{ x.islower() }}"),
        TEXT("3999999") MANY("{{ x|title|length }}"),
        TEXT("3999999") MANY("{{ x|replace('b', 'c')|length }}"),
        TEXT("3999999") MANY("{{ x|replace('a', x)|length }}"),
        TEXT("3999999") MANY("{{ x|tojson|length }}{{ [x]|string|length }}"),
        TEXT("3999999") MANY("{{ [x, x]|join(x)|length }}"),
        TEXT("99999") MANY("{{ ([x ~ 'a', x ~ 'b', x ~ 'c'] * 1000)|sort|length }}"),
        "{% set x = 'a ' * 1999999 %}" MANY("{{ x.split()|length }}"),
        "{% set x = '\n' * 1999999 %}" MANY(
            "{{ x.splitlines()|length }}{{ x|indent(99)|length }}"),
        "{% set x = range(99999)|list %}" MANY("{{ 'q' in x }}{{ x.count(1) }}"),
        "{% set x = range(99999)|list %}" MANY("{{ x|sort(reverse=true)|length }}{{ x < x }}"),
        "{% set x = range(99999)|list %}" MANY(
            "{{ x|tojson|length }}{{ x|tojson(indent=99999) }}"),
        "{% set x = range(99999)|list %}" MANY("{{ loop.changed(x) }}"),
        "{% set x = [0.1234567890123456] * 99999 %}{{ x|tojson }}{{ x }}{{ x|tojson }}",
        "{{ range(99999)|list|unique|list|length }}",
        "{% set x = [['a']] * 99999 %}{{ x|sum(start=[])|length }}",
        "{% set x = ['a'] * 99999 %}" MANY("{{ x|map('upper')|list|length }}"),
        "{% set x = [{'a': 1}] * 99999 %}" MANY("{{ x|selectattr('a', 'eq', 2)|list|length }}"),
        "{% set p = namespace(x=[], y='ab') %}" MANY(
            "{% set p.x = p.x + [[b, b]] %}{{ dict(p.x)|length }}"),
        "{% set p = namespace(x='ab') %}" MANY("{% set p.x = p.x + p.x %}"),
        /* The quotes and backslashes of a list's text double each time. */
        "{% set p = namespace(x='ab') %}" MANY("{% set p.x = [p.x ~ '\\'', 1]|string %}"),
        TEXT("99999") MANY("{{ [x|replace('a', '\x01')]|tojson|length }}"),
        "{% set p = namespace(x=[1]) %}{% for a in range(99) %}{% set p.x = [p.x, p.x] %}"
        "{% endfor %}"
        "{{ p.x }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
        "{{ f(60) }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% else %}"
        "{{ 'a' * 99 }}{% endif %}{% endmacro %}{{ f(60) }}",
    };
    json_t *vars = json_object();
    const double most = SANITIZED ? 2 : 0.1;
    for (size_t i = 0; i < sizeof templates / sizeof templates[0]; i++) {
        double best = 1e9;
        for (int again = 0; again < 3 && best > most; again++) {
            r1_buf out;
            r1_err err;
            double start = cpu_seconds();
            assert_int_equal(render(templates[i], strlen(templates[i]), vars, &out, &err),
                             R1_EUNSUPPORTED);
            double took = cpu_seconds() - start;
            best = took < best ? took : best;
            r1_buf_release(&out);
        }
        if (best > most)
            fail_msg("%.3f s: %s", best, templates[i]);
    }
    json_decref(vars);
}

static void test_large_template(void **state)
{
    (void)state;
    size_t n = ((size_t)256 << 10) + 1;
    char *text = r1_mem_alloc(n + 1);
    json_t *vars = json_object();
    r1_buf out;
    r1_err err;
    memset(text, 'a', n);
    assert_int_equal(render(text, n, vars, &out, &err), R1_EFORMAT);
    assert_string_equal(err.msg, "template: 262145 bytes, at most 262144 allowed");
    r1_buf_release(&out);
    assert_int_equal(render(text, n - 1, vars, &out, &err), R1_OK);
    assert_int_equal(out.len, n - 1);
    r1_buf_release(&out);
    json_decref(vars);
    r1_mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),          cmocka_unit_test(test_distill),
        cmocka_unit_test(test_messages),        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_long_chain),      cmocka_unit_test(test_budgets),
        cmocka_unit_test(test_large_variables), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_large_template),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
