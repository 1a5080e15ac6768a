/* test_sift.c: which samples are kept, and the reason of each that is not. */
#include "verdict.h"

#include "recipe/sift.h"

static r1_problem sum(void)
{
    return (r1_problem){.answer = verdict_spec("\"12\""),
                        .verifier = verdict_verifier("number")};
}

static r1_sift_sample sample(const char *text, int tokens)
{
    return (r1_sift_sample){
        .text = text, .len = strlen(text), .tokens = tokens, .terminated = true};
}

static const char *reason(const r1_sift_options *o, const char *text, int tokens)
{
    r1_problem p = sum();
    r1_sift_sample s = sample(text, tokens);
    r1_sift_question(o, &p, &s, 1);
    r1_problem_release(&p);
    return r1_sift_reason(s.reason);
}

static void test_reasons(void **state)
{
    (void)state;
    const r1_sift_options o = {.correct = true,
                               .format = true,
                               .language = "en",
                               .language_share = 0.9f,
                               .repetition = 0.3f,
                               .min_length = 3,
                               .max_length = 20};
    assert_string_equal(reason(&o, "The sum is <answer>12</answer>", 5), "kept");
    assert_string_equal(reason(&o, "The sum is <answer>13</answer>", 5), "wrong");
    assert_string_equal(reason(&o, "", 5), "cut");
    assert_string_equal(reason(&o, "The sum is <answer>12</answer>", 2), "too short");
    assert_string_equal(reason(&o, "The sum is <answer>12</answer>", 21), "too long");
    assert_string_equal(reason(&o, "The sum is <answer>12</answer>", -1),
                        "kept"); /* a server may not say */
    assert_string_equal(
        reason(&o, "it is so it is so it is so it is so it is so it is <answer>12</answer>",
               15),
        "repetition");
    assert_string_equal(
        reason(
            &o,
            "the sum \xE6\x98\xAF\xE5\x8D\x81\xE4\xBA\x8C\xE5\x95\x8A is <answer>12</answer>",
            9),
        "language");
    assert_string_equal(reason(&o, "<answer>12</answer>", 3),
                        "kept"); /* no words, no language */
    /* Each filter can be left out. */
    const r1_sift_options all = {.repetition = 1};
    assert_string_equal(reason(&all, "The sum is <answer>13</answer>", 5), "kept");
    r1_problem p = sum();
    r1_sift_sample cut = sample("The sum is <answer>12</answer>", 5);
    cut.terminated = false;
    r1_sift_question(&o, &p, &cut, 1);
    assert_string_equal(r1_sift_reason(cut.reason), "cut");
    r1_problem_release(&p);
    assert_null(r1_sift_reason(R1_SIFT_REASONS));
    assert_null(r1_sift_reason(-1));
}

static void test_choice(void **state)
{
    (void)state;
    r1_problem p = sum();
    const char *texts[] = {"<answer>12</answer>",
                           "so <answer>12</answer>",
                           "<answer>13</answer>",
                           "so <answer>12</answer>",
                           "surely it is <answer>12</answer>",
                           "it is <answer>12</answer>"};
    const int tokens[] = {1, 2, 1, 2, 4, 3};
    static const struct {
        int keep, prefer;
        const char *reasons[6];
    } cases[] = {
        {0, R1_SIFT_ANY, {"kept", "kept", "wrong", "duplicate", "kept", "kept"}},
        {2, R1_SIFT_ANY, {"kept", "kept", "wrong", "duplicate", "enough", "enough"}},
        {2, R1_SIFT_LONG, {"enough", "enough", "wrong", "enough", "kept", "kept"}},
        {3, R1_SIFT_SHORT, {"kept", "kept", "wrong", "duplicate", "enough", "kept"}},
    };
    for (size_t c = 0; c < COUNT(cases); c++) {
        const r1_sift_options o = {
            .correct = true, .repetition = 1, .keep = cases[c].keep, .prefer = cases[c].prefer};
        r1_sift_sample s[6];
        for (int i = 0; i < 6; i++)
            s[i] = sample(texts[i], tokens[i]);
        r1_sift_question(&o, &p, s, 6);
        for (int i = 0; i < 6; i++)
            assert_string_equal(r1_sift_reason(s[i].reason), cases[c].reasons[i]);
    }
    r1_problem_release(&p);
}

static void test_check(void **state)
{
    (void)state;
    r1_err err = {0};
    const r1_sift_options turned = {.min_length = 9, .max_length = 8};
    assert_int_equal(r1_sift_check(&turned, &err), R1_EARG);
    assert_non_null(strstr(err.msg, "max_length 8"));
    const r1_sift_options language = {.language = "klingon"};
    assert_int_equal(r1_sift_check(&language, &err), R1_EARG);
    assert_non_null(strstr(err.msg, "klingon"));
    const r1_sift_options good = {.language = "zh", .min_length = 3};
    assert_int_equal(r1_sift_check(&good, &err), R1_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
