/* test_answer.c: where an answer stands, and what it is in plain characters. */
#include "verdict.h"

#include "verify/answer.h"

static void test_find(void **state)
{
    (void)state;
    static const struct {
        const char *text, *answer; /* NULL: none */
    } cases[] = {
        {"<answer>a</answer>", "a"},
        {"so <answer> a </answer>\n", " a "},
        {"<think><answer>b</answer></think><answer>a</answer>", "a"},
        {"b</think><answer>a</answer>", "a"},
        {"</think></think><answer>a</answer>", "a"},
        {"\\boxed{a}", "a"},
        {"\\boxed{a{b}c}", "a{b}c"},
        {"\\boxed{a\\}b}", "a\\}b"},
        {"\\boxed{a} and \\boxed{ a }", " a "},
        {"\\boxed{\\boxed{a}}", "\\boxed{a}"},
        {"{ \\boxed{a}", "a"},
        {"} \\boxed{a}", "a"},
        {"<think>\\boxed{b}</think>\\boxed{a}", "a"},
        {"<answer>\\boxed{a}</answer>", "\\boxed{a}"},
        {"", NULL},
        {"a", NULL},
        {"<think>\\boxed{a}", NULL},
        {"<think>\\boxed{a}</think>", NULL},
        {"\\boxed{a}<think>", NULL},
        {"\\boxed{a} \\boxed{b}", NULL},
        {"\\boxed{a", NULL},
        {"boxed{a}", NULL},
        {"<answer>a", NULL},
        {"a</answer>", NULL},
        {"</answer>a<answer>", NULL},
        {"<answer>a</answer>b", NULL},
        {"<answer>a</answer></answer>", NULL},
        {"<answer><answer>a</answer>", NULL},
        {"<answer>a</answer>\\boxed{b}", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        r1_span s;
        bool found = r1_answer_find(cases[i].text, strlen(cases[i].text), &s);
        if (found != (cases[i].answer != NULL) ||
            (found &&
             (s.n != strlen(cases[i].answer) || memcmp(s.p, cases[i].answer, s.n) != 0)))
            fail_msg("'%s': %d", cases[i].text, found);
    }
}

static void test_plain(void **state)
{
    (void)state;
    static const struct {
        const char *text, *plain;
    } cases[] = {
        {"12", "12"},
        {"\\text{a b}", "a b"},
        {"\\mathbf{\\text{C}}", "C"},
        {"\\frac{1}{2}", "(1)/(2)"},
        {"\\dfrac12", "(1)/(2)"},
        {"\\frac{1}", "\\frac{1}"},
        {"x^{2}", "x^{2}"},
        {"$a$, \\$5, 5\\%", "a, $5, 5%"},
        {"**C**, __C__, `C`", "C, C, C"},
        {"2*3", "2*3"},
        {"a \\times b \\to c", "a * b -> c"},
        {"\\left( 1 \\right)", "( 1 )"},
        {"1\\,000\\!0\\ 1", "1 0000 1"},
        {"a\\\\b", "a\nb"},
        {"\xEF\xBC\xA1\xEF\xBC\x88\xEF\xBC\x91\xEF\xBC\x89", "A(1)"},
        {"\xE2\x88\x92"
         "1 \xC3\x97 2\xC2\xB2 \xE2\x86\x92 H\xE2\x82\x82O",
         "-1 * 2^2 -> H2O"},
        {"a\xC2\xA0\xE2\x80\x8B"
         "b",
         "a b"},
        {"\xC3\xA9\xFF", "\xC3\xA9\xFF"},
        {"\\unknown{x}", "\\unknown{x}"},
        {"\\text", ""},
        {"\\text{a", "a"},
        {"}{", "}{"},
        {"\\", " "},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        r1_buf b;
        r1_buf_init(&b, 0);
        r1_answer_plain((r1_span){cases[i].text, strlen(cases[i].text)}, &b);
        if (strcmp(b.data, cases[i].plain) != 0)
            fail_msg("'%s': '%s' instead of '%s'", cases[i].text, b.data, cases[i].plain);
        r1_buf_release(&b);
    }
}

static void test_ratio(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t num, den; /* den 0: no number at the beginning */
        const char *rest;
    } cases[] = {
        {"12 x", 12, 1, " x"},   {"-3.50", -7, 2, ""}, {"1,234,567", 1234567, 1, ""},
        {"1,23", 1, 1, ",23"},   {"6/4", 3, 2, ""},    {"(1)/(-2)", -1, 2, ""},
        {"-(1)/(2)", -1, 2, ""}, {"2e3", 2000, 1, ""}, {"2*10^{-3}", 1, 500, ""},
        {"1.", 1, 1, "."},       {"2e", 2, 1, "e"},    {"1/0", 0, 0, ""},
        {"--1", 1, 1, ""},       {"x", 0, 0, ""},      {"1234567890123456789", 0, 0, ""},
        {"1e99", 0, 0, ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        r1_cursor c = {cases[i].text, cases[i].text + strlen(cases[i].text)};
        r1_ratio r = {0, 0};
        bool ok = r1_answer_ratio(&c, &r);
        if (ok != (cases[i].den > 0) ||
            (ok && (r.num != cases[i].num || r.den != cases[i].den ||
                    strcmp(c.p, cases[i].rest) != 0)))
            fail_msg("'%s': %d, %lld/%lld, rest '%s'", cases[i].text, ok, (long long)r.num,
                     (long long)r.den, c.p);
    }
    r1_ratio big = {INT64_MAX, 1}, r;
    assert_false(r1_answer_muladd(big, big, big, &r));
    assert_true(r1_answer_muladd((r1_ratio){1, 2}, (r1_ratio){2, 3}, (r1_ratio){1, 6}, &r));
    assert_true(r.num == 1 && r.den == 2);
}

static void test_key(void **state)
{
    (void)state;
    char a[64], b[64];
    char text[100];
    memset(text, 'x', sizeof text);
    r1_answer_key(a, text, 63);
    assert_int_equal(strlen(a), 63);
    r1_answer_key(a, text, 64);
    assert_int_equal(strlen(a), 32);
    text[99] = 'y';
    r1_answer_key(a, text, 99);
    r1_answer_key(b, text, 100);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_ratio),
        cmocka_unit_test(test_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
