/* test_format.c: R1-Zero's form, opened by the completion or by the template, and what is not. */
#include "verdict.h"

#include "verify/format.h"

/* Which of the needs accept a text: e either, o opened by the template, n not opened, t answer
 * tags needed, f forbidden. */
typedef struct {
    const char *text, *accepted;
} form;

static const struct {
    char letter;
    const char *spec;
} needs[] = {
    {'e', "{}"},
    {'o', "{\"opened\": true}"},
    {'n', "{\"opened\": false}"},
    {'t', "{\"answer_tags\": true}"},
    {'f', "{\"answer_tags\": false}"},
};

static void test_forms(void **state)
{
    (void)state;
    static const form forms[] = {
        {"<think>a</think>b", "enf"},
        {"<think>\na\n</think>\n\nb\n", "enf"},
        {" \n<think>a</think>b", "enf"},
        {"a</think>b", "eof"},
        {"\na\n</think>\n\nb", "eof"},
        {"<think>a</think><answer>b</answer>", "ent"},
        {"<think>a</think>\n<answer>\nb\n</answer>\n", "ent"},
        {"a</think> <answer>b</answer>", "eot"},
        {"<think>1 < 2 and 3 > 2 <b></think>b < c", "enf"},
        {"<think>\xff</think>\xfe", "enf"},
        /* Something is missing or empty. */
        {"", ""},
        {"b", ""},
        {"<think>a", ""},
        {"<think>a</think>", ""},
        {"<think>a</think> \n", ""},
        {"<think></think>b", ""},
        {"<think> \n </think>b", ""},
        {"</think>b", ""},
        {"a</think>", ""},
        {"<think>a</think><answer></answer>", ""},
        {"<think>a</think><answer> </answer>", ""},
        {"<answer>b</answer>", ""},
        /* Something is too much. */
        {"x<think>a</think>b", ""},
        {"x <think>a</think> <answer>b</answer>", ""},
        {"<think><think>a</think>b", ""},
        {"<think>a</think>b</think>c", ""},
        {"<think>a</think>b<think>c</think>d", ""},
        {"<think>a</think><think>c</think>d", ""},
        {"<think>a<think>b</think>c</think>d", ""},
        {"<think>a</think>b<think>", ""},
        {"<think>a</think>b</think>", ""},
        {"</think>a<think>b", ""},
        {"<think>a</think>b<answer>c</answer>", ""},
        {"<think>a</think><answer>b</answer>c", ""},
        {"<think>a</think><answer>b</answer><answer>c</answer>", ""},
        {"<think>a</think><answer><answer>b</answer></answer>", ""},
        {"<think>a</think><answer>b", ""},
        {"<think>a</think>b</answer>", ""},
        {"<think>a</think></answer>b<answer>", ""},
        {"<think>a<answer>x</answer></think>b", ""},
        {"<think>a<answer>x</answer></think><answer>b</answer>", ""},
        {"<think>a<answer></think>b</answer>", ""},
        {"<THINK>a</THINK>b", ""},
        {"<think>a</think>b<Think>", ""},
        {"<think>a</think><Answer>b</Answer>", ""},
    };
    for (size_t i = 0; i < COUNT(forms); i++)
        for (size_t k = 0; k < COUNT(needs); k++) {
            r1_verdict v = verdict_of("format", needs[k].spec, forms[i].text);
            bool wanted = strchr(forms[i].accepted, needs[k].letter) != NULL;
            if (v.formatted != wanted || v.reward != (wanted ? 1 : 0) || v.correct != wanted)
                fail_msg("'%s' with %s: %d", forms[i].text, needs[k].spec, v.formatted);
        }
    assert_string_equal(verdict_of("format", "null", "<think>a</think> b ").answer, "b");
    assert_string_equal(verdict_of("format", "true", "a</think><answer> b</answer>").answer,
                        "b");
}

static void test_cut(void **state)
{
    (void)state;
    json_t *spec = verdict_spec("{}");
    static const char text[] = "<think>a</think>b";
    r1_verdict v = verdict_verifier("format")->judge(spec, text, sizeof text - 1, false);
    assert_false(v.formatted);
    assert_true(v.reward == 0);
    json_decref(spec);
}

static void test_parts(void **state)
{
    (void)state;
    static const char text[] = "<think> why </think>\n<answer> what </answer>";
    r1_span thought, answer;
    assert_true(
        r1_format_holds(text, sizeof text - 1, R1_FORMAT_NO, R1_FORMAT_YES, &thought, &answer));
    assert_int_equal(thought.n, 3);
    assert_memory_equal(thought.p, "why", 3);
    assert_int_equal(answer.n, 4);
    assert_memory_equal(answer.p, "what", 4);
    assert_true(r1_format_opens("Assistant: <think>\n", 19));
    assert_false(r1_format_opens("<think> so", 10));
    assert_false(r1_format_opens("", 0));
}

static void test_specs(void **state)
{
    (void)state;
    verdict_bad_spec("format", "3",
                     "format: the spec is not an object such as {\"opened\": false}");
    verdict_bad_spec("format", "{\"opened\": 1}",
                     "format: 'opened' is an integer, not true or false");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_specs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
