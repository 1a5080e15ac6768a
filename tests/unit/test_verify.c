/* verify.c: honest and hostile completions of each verifier. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "verify/verify.h"

static json_t *spec_of(const char *text)
{
    json_t *v;
    assert_int_equal(r1_json_parse(text, strlen(text), "spec", &v, NULL), R1_OK);
    return v;
}

typedef struct {
    const char *text;
    double reward;
    bool formatted;
    const char *answer;
} expectation;

static void judge_all(const char *name, const char *spec_text, const expectation *cases,
                      size_t n)
{
    const r1_verifier *verifier = r1_verify_find(name, NULL);
    assert_non_null(verifier);
    json_t *spec = spec_of(spec_text);
    assert_int_equal(verifier->check(spec, NULL), R1_OK);
    for (size_t i = 0; i < n; i++) {
        const expectation *x = &cases[i];
        r1_verdict v = verifier->judge(spec, x->text, strlen(x->text), true);
        if (v.reward != x->reward || v.formatted != x->formatted ||
            strcmp(v.answer, x->answer) != 0)
            fail_msg("'%s': reward %g, formatted %d, answer '%s'", x->text, v.reward,
                     v.formatted, v.answer);
        assert_int_equal(v.correct, v.reward == 1);
        /* A completion that was cut off earns nothing. */
        v = verifier->judge(spec, x->text, strlen(x->text), false);
        assert_true(v.reward == 0 && !v.correct && !v.formatted && !v.answer[0]);
    }
    json_decref(spec);
}
#define N(cases) (sizeof(cases) / sizeof(cases)[0])

static void test_countdown(void **state)
{
    (void)state;
    static const expectation cases[] = {
        {"<answer>(12-6)*7</answer>", 1, true, "42"},
        {"<answer>7*(12 - 6)</answer>", 1, true, "42"},
        {"<think>12-6=6</think><answer>(12-6)*7</answer>", 1, true, "42"},
        {"<think></think>\n<answer>\n(12-6)*7\n</answer>\n", 1, true, "42"},
        {"<think>1 < 2 > \xff</think><answer>(12-6)*7</answer>", 1, true, "42"},
        /* Wrong, but a vote. */
        {"<answer>12+6+7</answer>", 0, true, "25"},
        {"<answer>7+12+6</answer>", 0, true, "25"},
        {"<answer>6-7-12</answer>", 0, true, "-13"},
        /* Numbers missing, repeated, invented, joined. */
        {"<answer>42</answer>", 0, true, ""},
        {"<answer>6*7</answer>", 0, true, ""},
        {"<answer>(12-6)*7+6-6</answer>", 0, true, ""},
        {"<answer>(12-6)*7*1</answer>", 0, true, ""},
        {"<answer>6*7+12*0</answer>", 0, true, ""},
        {"<answer>126-7</answer>", 0, true, ""},
        /* No expression. */
        {"<answer></answer>", 0, true, ""},
        {"<answer>(12-6)*7=42</answer>", 0, true, ""},
        {"<answer>(12-6)*7 or 42</answer>", 0, true, ""},
        {"<answer>12/6*7</answer>", 0, true, ""},
        /* Not the form. */
        {"", 0, false, ""},
        {"(12-6)*7", 0, false, ""},
        {"<answer>(12-6)*7", 0, false, ""},
        {"(12-6)*7</answer>", 0, false, ""},
        {"<think><answer>(12-6)*7</answer>", 0, false, ""},
        {"<think>a<answer>(12-6)*7</answer></think>", 0, false, ""},
        {"<think>a</think>", 0, false, ""},
        {"<think>a</think>so<answer>(12-6)*7</answer>", 0, false, ""},
        {"so <answer>(12-6)*7</answer>", 0, false, ""},
        {"<answer>(12-6)*7</answer> done", 0, false, ""},
        {"<answer>1</answer><answer>(12-6)*7</answer>", 0, false, ""},
        {"<answer>(12-6)*7</answer><answer>(12-6)*7</answer>", 0, false, ""},
        {"<answer><answer>(12-6)*7</answer>", 0, false, ""},
        {"<answer>(12-6)*7</answer></answer>", 0, false, ""},
        {"<think><think>a</think><answer>(12-6)*7</answer>", 0, false, ""},
        {"<think>a</think><think>b</think><answer>(12-6)*7</answer>", 0, false, ""},
        {"<think>a</think></think><answer>(12-6)*7</answer>", 0, false, ""},
        {"<think>a<answer>1</answer></think><answer>(12-6)*7</answer>", 0, false, ""},
        {"<ANSWER>(12-6)*7</ANSWER>", 0, false, ""},
    };
    judge_all("countdown", "{\"numbers\": [12, 6, 7], \"target\": 42}", cases, N(cases));

    static const expectation twice[] = {
        {"<answer>5*5</answer>", 1, true, "25"},
        {"<answer>5</answer>", 0, true, ""},
        {"<answer>5+5</answer>", 0, true, "10"},
    };
    judge_all("countdown", "{\"numbers\": [5, 5], \"target\": 25}", twice, N(twice));
}

static void test_countdown_bytes(void **state)
{
    (void)state;
    const r1_verifier *v = r1_verify_find("countdown", NULL);
    json_t *spec = spec_of("{\"numbers\": [3], \"target\": 3}");
    static const char nul[] = "<answer>3</answer>\0";
    assert_true(v->judge(spec, nul, sizeof nul - 2, true).correct);
    assert_false(v->judge(spec, nul, sizeof nul - 1, true).formatted);
    static const char thought[] = "<think>\0</think><answer>3</answer>";
    assert_true(v->judge(spec, thought, sizeof thought - 1, true).correct);
    assert_false(v->judge(spec, NULL, 0, true).formatted);
    json_decref(spec);
}

static void test_modsum(void **state)
{
    (void)state;
    static const expectation cases[] = {
        {"7", 1, true, "7"},
        {" 7\n", 1, true, "7"},
        {"07", 1, true, "7"},
        {"8", 0, true, "8"},
        {"-7", 0, true, "-7"},
        {"17", 0, true, "17"},
        {"999999999999999999", 0, true, "999999999999999999"},
        {"9999999999999999999", 0, false, ""},
        {"7 7", 0, false, ""},
        {"7.", 0, false, ""},
        {"+7", 0, false, ""},
        {"- 7", 0, false, ""},
        {"-", 0, false, ""},
        {"", 0, false, ""},
        {"seven", 0, false, ""},
        {"7 is it", 0, false, ""},
    };
    judge_all("modsum", "{\"answer\": 7}", cases, N(cases));
    static const expectation zero[] = {{"-0", 1, true, "0"}, {"0", 1, true, "0"}};
    judge_all("modsum", "{\"answer\": 0}", zero, N(zero));
}

static void test_length(void **state)
{
    (void)state;
    const r1_verifier *v = r1_verify_find("length", NULL);
    json_t *spec = spec_of("{\"bytes\": 4}");
    assert_true(v->judge(spec, "abcd", 4, false).reward == 0);
    assert_true(v->judge(spec, "abcd", 4, false).correct);
    assert_true(v->judge(spec, "abcdefg", 7, true).reward == -3);
    assert_true(v->judge(spec, "", 0, true).reward == -4);
    assert_false(v->judge(spec, "", 0, true).correct);
    json_decref(spec);
}

static void bad_spec(const char *name, const char *text, const char *message)
{
    const r1_verifier *v = r1_verify_find(name, NULL);
    json_t *spec = spec_of(text);
    r1_err err = {0};
    assert_int_equal(v->check(spec, &err), R1_EFORMAT);
    assert_string_equal(err.msg, message);
    /* Judging by it is harmless. */
    assert_true(v->judge(spec, "<answer>1</answer>", 18, true).reward == 0);
    assert_true(v->judge(spec, "1", 1, true).reward == 0);
    json_decref(spec);
}

static void test_specs(void **state)
{
    (void)state;
    bad_spec("countdown", "{\"numbers\": [1]}", "countdown: 'target' is missing");
    bad_spec("countdown", "{\"numbers\": [1], \"target\": \"1\"}",
             "countdown: 'target' is a string, not an integer");
    bad_spec("countdown", "{\"target\": 1}",
             "countdown: 'numbers' has 0 elements, a list of 1 to 16 is needed");
    bad_spec("countdown", "{\"numbers\": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1], \"target\": 1}",
             "countdown: 'numbers' has 17 elements, a list of 1 to 16 is needed");
    bad_spec("countdown", "{\"numbers\": [1, \"2\"], \"target\": 1}",
             "countdown: 'numbers' element 1 is not an integer in 0..2147483648");
    bad_spec("countdown", "{\"numbers\": [-1], \"target\": 1}",
             "countdown: 'numbers' element 0 is not an integer in 0..2147483648");
    bad_spec("countdown", "[]", "countdown: an array where an object with 'target' is needed");
    bad_spec("modsum", "{}", "modsum: 'answer' is missing");
    bad_spec("modsum", "{\"answer\": 1.5}",
             "modsum: 'answer' is a real number, not an integer");
}

static void test_table(void **state)
{
    (void)state;
    r1_err err = {0};
    assert_string_equal(r1_verify_at(0)->name, "countdown");
    assert_null(r1_verify_at(-1));
    int n = 0;
    for (const r1_verifier *v; (v = r1_verify_at(n)); n++) {
        assert_ptr_equal(r1_verify_find(v->name, NULL), v);
        assert_true(v->help[0] && v->judge && v->check);
    }
    assert_null(r1_verify_at(n + 1));
    assert_null(r1_verify_find("modsun", &err));
    assert_int_equal(err.status, R1_EARG);
    assert_string_equal(err.msg, "unknown verifier 'modsun', did you mean 'modsum'?");
    assert_null(r1_verify_find("chess", &err));
    static const char known[] = "unknown verifier 'chess', known are countdown, modsum, ";
    assert_memory_equal(err.msg, known, sizeof known - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_countdown), cmocka_unit_test(test_countdown_bytes),
        cmocka_unit_test(test_modsum),    cmocka_unit_test(test_length),
        cmocka_unit_test(test_specs),     cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
