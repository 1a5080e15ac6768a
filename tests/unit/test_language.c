/* test_language.c: counted words and the share of them in a language. */
#include "verdict.h"

#include "verify/language.h"

typedef struct {
    const char *language, *text;
    int wanted, words;
} count;

static void expect(const count *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        r1_language_count c;
        assert_true(
            r1_language_measure(cases[i].language, cases[i].text, strlen(cases[i].text), &c));
        if (c.words != cases[i].words || c.wanted != cases[i].wanted)
            fail_msg("%s: '%s': %d of %d instead of %d of %d", cases[i].language, cases[i].text,
                     (int)c.wanted, (int)c.words, cases[i].wanted, cases[i].words);
    }
}

static void test_scripts(void **state)
{
    (void)state;
    static const count cases[] = {
        {"en", "So the sum is even.", 5, 5},
        {"zh", "So the sum is even.", 0, 5},
        {"zh", "所以和是偶数。", 6, 6},
        {"en", "所以和是偶数。", 0, 6},
        {"en", "So 所以 it is.", 3, 5},
        {"zh", "So 所以 it is.", 2, 5},
        {"ja", "それは正しい。", 6, 6},
        {"zh", "それは正しい。", 0, 6},
        {"ja", "所以我们先把这个方程的两边都乘以二。", 0, 17},
        {"ja", "東京。", 2, 2},
        {"ko", "그래서 합은 짝수", 7, 7},
        {"ru", "Значит, сумма чётная", 3, 3},
        {"ru", "So, сумма", 1, 2},
        {"el", "Άρα το άθροισμα", 3, 3},
        {"he", "לכן הסכום", 2, 2},
        {"ar", "إذن المجموع زوجي", 3, 3},
        {"hi", "इसलिए योग सम है", 4, 4},
        {"en", "don't it\xE2\x80\x99s na\xC3\xAFve", 3, 3},
        {"en", "\xEF\xBC\xB4\xEF\xBD\x88\xEF\xBD\x85 end", 2, 2},
        {"en", "", 0, 0},
        {"en", "123 + 4 = 127 \xff\xfe", 0, 0},
    };
    expect(cases, COUNT(cases));
}

/* Latin languages are told apart where a sentence shows which it is. */
static void test_latin(void **state)
{
    (void)state;
    static const count cases[] = {
        {"en", "Wir berechnen die Summe und das ist nicht gerade.", 0, 9},
        {"de", "Wir berechnen die Summe und das ist nicht gerade.", 9, 9},
        {"de", "We find the sum and it is not even.", 0, 9},
        {"en", "Donc la somme est dans les nombres.", 0, 7},
        {"fr", "Donc la somme est dans les nombres.", 7, 7},
        {"es", "Entonces la suma es par y no impar.", 7, 7},
        {"en", "Wait. Donc la somme est paire. It is even.", 4, 9},
        {"en", "Hmm, interesting result.", 3, 3},
    };
    expect(cases, COUNT(cases));
}

static void test_no_language(void **state)
{
    (void)state;
    static const count cases[] = {
        {"zh", "设 $x + y = \\text{sum}$ 则", 2, 2},
        {"zh", "设 \\(abc\\) 与 \\[ \\sin def \\] 则", 3, 3},
        {"zh", "令$$\\frac{alpha}{beta}$$得", 2, 2},
        {"zh", "\\begin{align} foo &= bar \\end{align}得", 1, 1},
        {"zh", "\\boxed{\\text{hello there}} 得", 1, 1},
        {"zh", "\\frac{one}{two} 得", 1, 1},
        {"zh", "用 `print_it` 与\n```python\nfor word in words:\n```\n好", 3, 3},
        {"zh", "调用 foo(x) 和 my_name 和 x2y 和 camelCase 好", 6, 6},
        {"zh", "见 https://example.com/some/page 与 www.example.com 好", 3, 3},
        {"zh", "三角形 ABC 中 x 与 y", 5, 5},
        {"zh", "sin x 与 log α", 1, 1},
        {"zh", "<answer>好</answer>", 1, 1},
        {"en", "It costs $5 and then $6 more", 5, 5},
        {"en", "I have a dog", 4, 4},
        {"en", "so ```never closed", 1, 1},
        {"en", "a ` b $ cat", 2, 2},
        {"en", "f(x) is g (x)", 1, 1},
    };
    expect(cases, COUNT(cases));
}

/* The share is over the thought. */
static void test_thought(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double reward;
    } cases[] = {
        {"<think>it is even</think>所以", 1},
        {"<think>所以</think>it is even", 0},
        {"<think>it 所</think>x", 0.5},
        {"it is even</think>所以", 1},
        {"<think>it 所以 is", 0.5},
        {"it is even", 1},
        {"<think></think>it is", 0},
        {"<think>$x$ 12</think>it is", 0},
        {"<think>it</think>是</think>is", 0.5},
        {"", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        r1_verdict v = verdict_of("language", "\"en\"", cases[i].text);
        if (v.reward != cases[i].reward)
            fail_msg("'%s': %g", cases[i].text, v.reward);
        assert_int_equal(v.correct, v.reward == 1);
    }
    verdict_bad_spec("language", "\"xx\"",
                     "language: 'xx' is unknown; there are en, fr, de, es, it, pt, nl, zh, ja, "
                     "ko, ru, el, he, ar, hi, th");
    verdict_bad_spec("language", "{}", "language: 'language' is missing");
    r1_language_count n;
    assert_false(r1_language_measure("xx", "a", 1, &n));
    assert_string_equal(r1_language_at(0), "en");
    assert_null(r1_language_at(-1));
}

/* Signs that open something many times over: the work stays in proportion. */
static void test_long(void **state)
{
    (void)state;
    static const char *const pieces[] = {"$ ", "\\begin{", "\\(",     "`",
                                         "<a", "\\x{",     "```",     "w",
                                         "$a", "\\[",      "http://", "A\xCC\x81"};
    for (size_t k = 0; k < COUNT(pieces); k++) {
        r1_buf b;
        r1_language_count n;
        r1_buf_init(&b, 0);
        while (b.len < 300000)
            r1_buf_puts(&b, pieces[k]);
        assert_true(r1_language_measure("en", b.data, b.len, &n));
        r1_buf_release(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),     cmocka_unit_test(test_latin),
        cmocka_unit_test(test_no_language), cmocka_unit_test(test_thought),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
