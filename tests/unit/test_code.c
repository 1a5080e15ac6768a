/* test_code.c: problems as JSON, packed tests as Python packs them, programs in completions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "verify/code.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static json_t *parse(const char *text)
{
    json_t *v;
    r1_err err = {0};
    if (r1_json_parse(text, strlen(text), "test", &v, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return v;
}

static r1_code *open_text(const char *text)
{
    json_t *spec = parse(text);
    r1_code *c;
    r1_err err = {0};
    if (r1_code_open(spec, "spec", &c, &err) != R1_OK)
        fail_msg("%s", err.msg);
    json_decref(spec); /* the problem keeps what it needs */
    return c;
}

static void test_forms(void **state)
{
    (void)state;
    bool given;
    r1_code *c = open_text("{\"tests\": [{\"input\": \"1\", \"output\": \"ab\"}], \"checker\": "
                           "\"float:1e-3\", \"time_limit_s\": 2.5, \"memory_limit_mb\": 64, "
                           "\"language\": \"cpp\"}");
    const r1_judge_problem *p = r1_code_problem(c);
    assert_int_equal(p->form, R1_JUDGE_PROGRAM);
    assert_int_equal(p->n_tests, 1);
    assert_int_equal(p->tests[0].output_len, 2);
    assert_memory_equal(p->tests[0].output, "ab", 2);
    assert_int_equal(p->checker.kind, R1_CHECKER_FLOAT);
    assert_true(p->time_limit > 2.4 && p->time_limit < 2.6);
    assert_int_equal(p->memory_limit, (int64_t)64 << 20);
    assert_string_equal(r1_code_language(c, &given), "cpp");
    assert_true(given);
    r1_code_close(c);

    c = open_text(
        "{\"public_test_cases\": \"[{\\\"input\\\": \\\"1\\\", \\\"output\\\": \\\"2\\\", "
        "\\\"testtype\\\": \\\"stdin\\\"}]\", \"private_test_cases\": [{\"input\": \"3\", "
        "\"output\": \"4\"}], \"metadata\": \"{}\"}");
    p = r1_code_problem(c);
    assert_int_equal(p->form, R1_JUDGE_LCB);
    assert_int_equal(p->checker.kind, R1_CHECKER_LCB);
    assert_int_equal(p->n_tests, 2);
    assert_string_equal(p->tests[1].input, "3");
    assert_string_equal(r1_code_language(c, &given), "python");
    assert_false(given);
    r1_code_close(c);

    c = open_text("{\"public_test_cases\": [{\"input\": \"[1]\", \"output\": \"2\"}], "
                  "\"private_test_cases\": null, \"metadata\": {\"func_name\": \"go\"}}");
    p = r1_code_problem(c);
    assert_int_equal(p->form, R1_JUDGE_FUNCTION);
    assert_int_equal(p->checker.kind, R1_CHECKER_JSON);
    assert_string_equal(p->entry, "go");
    r1_code_close(c);

    c = open_text("{\"prompt\": \"def f():\\n\", \"test\": \"def check(c): pass\", "
                  "\"entry_point\": \"f\"}");
    p = r1_code_problem(c);
    assert_int_equal(p->form, R1_JUDGE_ASSERTS);
    assert_string_equal(p->prelude, "def f():\n");
    r1_code_close(c);

    c = open_text(
        "{\"official_tests\": [{\"input\": \"\", \"output\": \"\"}], \"time_limit\": 3, "
        "\"memory_limit\": 256, \"generated_checker\": \"print(1)\"}");
    p = r1_code_problem(c);
    assert_int_equal(p->checker.kind, R1_CHECKER_CUSTOM);
    assert_true(p->checker_scores);
    r1_code_close(c);
}

static void test_bad_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"[]", "object"},
        {"{}", "list"},
        {"{\"tests\": []}", "without tests"},
        {"{\"tests\": 3}", "list"},
        {"{\"tests\": [{\"input\": \"1\"}]}", "test 1"},
        {"{\"tests\": [{\"input\": \"\", \"output\": 7}]}", "test 1"},
        {"{\"tests\": [{\"input\": \"\", \"output\": \"\"}], \"checker\": \"tokenz\"}",
         "tokens"},
        {"{\"tests\": [{\"input\": \"\", \"output\": \"\"}], \"checker\": 7}", "checker"},
        {"{\"tests\": [{\"input\": \"\", \"output\": \"\"}], \"checker\": {}}", "source"},
        {"{\"tests\": [{\"input\": \"\", \"output\": \"\"}], \"checker\": {\"source\": \"\", "
         "\"language\": \"perl\"}}",
         "perl"},
        {"{\"tests\": [{\"input\": \"\", \"output\": \"\"}], \"time_limit_s\": 0}",
         "time_limit_s"},
        {"{\"tests\": [{\"input\": \"\", \"output\": \"\"}], \"memory_limit_mb\": -1}",
         "memory_limit_mb"},
        {"{\"tests\": [{\"input\": \"\", \"output\": \"\"}], \"language\": \"cobol\"}",
         "cobol"},
        {"{\"public_test_cases\": \"\", \"private_test_cases\": \"[]\"}", "without tests"},
        {"{\"public_test_cases\": \"!!!\"}", "base64"},
        {"{\"entry_point\": \"f\"}", "test"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *spec = parse(cases[i].text);
        r1_code *c;
        r1_err err = {0};
        assert_int_equal(r1_code_open(spec, "spec", &c, &err), R1_EFORMAT);
        assert_null(c);
        if (!strstr(err.msg, cases[i].message) || strncmp(err.msg, "spec", 4) != 0)
            fail_msg("%s: %s", cases[i].text, err.msg);
        json_decref(spec);
    }
}

static void test_unpack(void **state)
{
    (void)state;
    json_t *golden, *v;
    r1_err err = {0};
    size_t i;
    char *text;
    size_t len;
    if (r1_json_load(R1_SOURCE_DIR "/tests/golden/code.json", 0, &golden, &err) != R1_OK)
        fail_msg("%s", err.msg);
    const char *want = json_string_value(json_object_get(golden, "text"));
    json_array_foreach(json_object_get(golden, "packed"), i, v)
    {
        const char *data = json_string_value(json_object_get(v, "data"));
        if (r1_code_unpack(data, strlen(data), &text, &len, &err) != R1_OK)
            fail_msg("protocol %zu: %s", i + 1, err.msg);
        assert_int_equal(len, strlen(want));
        assert_memory_equal(text, want, len);
        r1_mem_free(text);
        size_t whole = strcspn(data, "=");
        for (size_t cut = 0; cut < whole; cut++) /* every shortening is noticed */
            assert_int_equal(r1_code_unpack(data, cut, &text, &len, NULL), R1_EFORMAT);
    }
    assert_int_equal(i, 5);
    json_array_foreach(json_object_get(golden, "refused"), i, v)
    {
        const char *data = json_string_value(v);
        assert_int_equal(r1_code_unpack(data, strlen(data), &text, &len, &err), R1_EFORMAT);
        assert_null(text);
    }
    assert_int_equal(i, 6);
    json_decref(golden);
}

static void test_unpickle(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *text; /* NULL: refused */
    } cases[] = {
        {"\x80\x04\x8c\x02hi\x94.", 8, "hi"},
        {"\x80\x02X\x02\0\0\0hiq\0.", 12, "hi"},
        {"\x80\x04\x8c\0.", 5, ""},
        {"\x80\x04\x8c\x02hi\x94", 7, NULL},   /* no end */
        {"\x80\x04\x8c\x02hi\x94.x", 9, NULL}, /* more after the end */
        {"\x80\x04\x8c\x05hi.", 7, NULL},      /* longer than the rest */
        {"\x80\x04.", 3, NULL},                /* no string */
        {"\x80\x04\x8c\x01"
         "a\x8c\x01"
         "b.",
         9, NULL}, /* two */
        {"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", 10, NULL},
        {"cos\nsystem\n(S'id'\ntR.", 21, NULL},
        {"", 0, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *text;
        size_t len;
        r1_status status =
            r1_code_unpickle((const uint8_t *)cases[i].bytes, cases[i].len, &text, &len, NULL);
        assert_int_equal(status, cases[i].text ? R1_OK : R1_EFORMAT);
        assert_int_equal(len, cases[i].text ? strlen(cases[i].text) : 0);
        if (cases[i].text)
            assert_memory_equal(text, cases[i].text, len);
    }
}

static void test_extract(void **state)
{
    (void)state;
    static const struct {
        const char *text, *source, *fence; /* source NULL: none */
    } cases[] = {
        {"a\n```python\nx = 1\n```\n", "x = 1\n", "python"},
        {"```\nx\n```", "x\n", ""},
        {"```py\na\n```\ntext\n```cpp\nb\n```\n", "b\n", "cpp"},
        {"<think>```python\nno\n```</think>\n```Python\nyes\n```", "yes\n", "python"},
        {"<think>```python\nno\n```\n</think> nothing", NULL, ""},
        {"<think>a</think>```python\nx\n```\n", "x\n", "python"}, /* the fence opens a line */
        {"```python\nunclosed", NULL, ""},
        {"```python\na\n```\n```python\nunclosed", "a\n", "python"},
        {"```c++ title=x\nb\n````\n", "b\n", "c++"},
        {"  ```python\n  x\n  ```", "  x\n", "python"},
        {"x = 1", NULL, ""},
        {"``` ```", NULL, ""},
        {"```\n```", "", ""},
        {"", NULL, ""},
        {"```python\r\nx\r\n```\r\n", "x\r\n", "python"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *source;
        size_t len;
        char fence[16];
        bool found =
            r1_code_extract(cases[i].text, strlen(cases[i].text), &source, &len, fence);
        if (found != (cases[i].source != NULL))
            fail_msg("found %d in '%s'", found, cases[i].text);
        assert_string_equal(fence, cases[i].fence);
        if (found) {
            assert_int_equal(len, strlen(cases[i].source));
            assert_memory_equal(source, cases[i].source, len);
        }
    }
}

static void test_verifier(void **state)
{
    (void)state;
    r1_err err = {0};
    if (!r1_judge_shared(&err)) {
        printf("SKIP: %s\n", err.msg);
        skip();
    }
    json_t *spec = parse("{\"tests\": [{\"input\": \"2 3\", \"output\": \"5\"}, "
                         "{\"input\": \"1 1\", \"output\": \"2\"}]}");
    static const struct {
        const char *text;
        bool terminated, formatted, correct;
    } cases[] = {
        {"<think>hm</think>\n```python\nprint(sum(map(int, input().split())))\n```", true, true,
         true},
        {"```cpp\n#include <iostream>\nint main(){int a,b;std::cin>>a>>b;std::cout<<a+b;}\n```",
         true, true, true},
        {"```python\nprint(sum(map(int, input().split())))\n```", false, false, false},
        {"```python\nprint(5)\n```", true, true, false},
        {"```python\nprint(5\n```", true, true, false},
        {"print(sum(map(int, input().split())))", true, false, false},
    };
    const r1_verifier *v = r1_verify_find("code", &err);
    assert_non_null(v);
    assert_int_equal(v->check(spec, &err), R1_OK);
    for (size_t i = 0; i < COUNT(cases); i++) {
        r1_verdict d =
            v->judge(spec, cases[i].text, strlen(cases[i].text), cases[i].terminated);
        assert_int_equal(d.formatted, cases[i].formatted);
        assert_int_equal(d.correct, cases[i].correct);
        assert_true(d.reward == (cases[i].correct ? 1 : 0));
    }
    json_decref(spec);
    spec = parse("{\"tests\": []}");
    assert_int_equal(v->check(spec, &err), R1_EFORMAT);
    assert_true(v->judge(spec, cases[0].text, strlen(cases[0].text), true).reward == 0);
    json_decref(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),   cmocka_unit_test(test_bad_forms),
        cmocka_unit_test(test_unpack),  cmocka_unit_test(test_unpickle),
        cmocka_unit_test(test_extract), cmocka_unit_test(test_verifier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
