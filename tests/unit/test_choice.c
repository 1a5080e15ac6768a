/* test_choice.c: letters that are given as answers, and letters that merely stand there. */
#include "verdict.h"

#include "base/mem.h"
#include "verify/choice.h"

static void test_letters(void **state)
{
    (void)state;
    static const verdict_case cases[] = {
        {"\\boxed{C}", "C"},
        {"so $\\boxed{\\text{C}}$.", "C"},
        {"\\boxed{(C)}", "C"},
        {"\\boxed{\\textbf{(C)}}", "C"},
        {"\\boxed{\\mathrm{C}}", "C"},
        {"\\fbox{C}", "C"},
        {"\\boxed {C}", "C"},
        {"\\boxed{A} or rather \\boxed{C}", "C"},
        {"\\boxed{C}, since \\boxed{x = 3}", "C"},
        {"Answer: C", "C"},
        {"answer: c", "C"},
        {"ANSWER: C.", "C"},
        {"**Answer:** C", "C"},
        {"**Answer: C**", "C"},
        {"Answer: $C$", "C"},
        {"Answer: $\\text{C}$", "C"},
        {"Answer: (C)", "C"},
        {"Answer:\nC", "C"},
        {"Answer: \\textbf{C}", "C"},
        {"Answer: C) the third one", "C"},
        {"The answer is C.", "C"},
        {"The answer is (C), as shown.", "C"},
        {"The answer is A because it holds.", "A"},
        {"Answer: A", "A"},
        {"The answer is A.", "A"},
        {"the final answer is option C", "C"},
        {"The correct option is C.", "C"},
        {"The correct choice: **C**", "C"},
        {"The answer to this question is therefore C", "C"},
        {"Answer\xEF\xBC\x9A\xEF\xBC\xA3", "C"},               /* full-width : C */
        {"Answer: \xEF\xBC\x88\xEF\xBC\xA3\xEF\xBC\x89", "C"}, /* full-width (C) */
        {"\xE7\xAD\x94\xE6\xA1\x88\xE6\x98\xAF\xEF\xBC\x9A"
         "C",
         "C"}, /* Chinese */
        {"Answer: A. No. Answer: C", "C"},
        {"<think>Answer: A</think>Answer: C", "C"},
        {"<think>A</think> B? <think>B</think> Answer: C", "C"},
        {"<think>x</think><answer>C</answer>", "C"},
        {"<answer> (C) </answer>", "C"},
        {"Answer: D", "D"},
        {"\\boxed{J}", "J"},
    };
    verdict_expect("choice", "\"C\"", "C", cases, COUNT(cases));
    verdict_expect("choice", "{\"answer\": \"A\", \"options\": 10}", "A", cases, COUNT(cases));
}

static void test_none(void **state)
{
    (void)state;
    static const verdict_case cases[] = {
        {"", ""},
        {"C", ""},
        {"A triangle has three sides. I think so. C", ""},
        {"<think>Answer: C", ""},
        {"<think>The answer is C. \\boxed{C}</think>", ""},
        {"<think>\\boxed{C}</think>It is clear.", ""},
        {"Answer: C</think>", ""},
        {"</think>Answer: C<think>", ""},
        {"Option C looks good", ""},
        {"The answer is a matter of taste", ""},
        {"The answer is I think hard to find", ""},
        {"The answer is Carbon", ""},
        {"The answer is C4", ""},
        {"Answer: C'est la vie", ""},
        {"answers: C", ""},
        {"Answer: K", ""},
        {"\\boxed{K}", ""},
        {"\\boxed{AC}", ""},
        {"\\boxed{C", ""},
        {"\\boxed{}", ""},
        {"Answer:", ""},
        /* Several answers, and answers taken back. */
        {"\\boxed{A, C}", ""},
        {"\\boxed{A} \\boxed{C or D}", ""},
        {"Answer: A or C", ""},
        {"Answer: C and D", ""},
        {"Answer: C, D", ""},
        {"Answer: (C), (D)", ""},
        {"Answer: C/D", ""},
        {"Answer: C & D", ""},
        {"Answer: C or possibly D", ""},
        {"Answer: **C** or **D**", ""},
        {"The answer is not C", ""},
        {"Answer: C. But wait, the answer is not C.", ""},
        {"<answer>C</answer><answer>D</answer>", ""},
        {"<answer>C or D</answer>", ""},
        {"<answer>C</answer> or D", ""},
        {"<answer>C", ""},
    };
    verdict_expect("choice", "\"C\"", "C", cases, COUNT(cases));
}

static void test_texts(void **state)
{
    (void)state;
    static const char spec[] = "{\"answer\": \"C\", \"options\": [\"London\", \"New York\", "
                               "\"Paris\", \"$\\\\frac{1}{2}$\"]}";
    static const verdict_case cases[] = {
        {"It is simple.\nParis", "C"},
        {"It is simple.\n**paris.**", "C"},
        {"(C) Paris", "C"},
        {"C. Paris", "C"},
        {"Answer: Paris", "C"},
        {"The answer is Paris.", "C"},
        {"The answer is New  York", "B"},
        {"\\boxed{Paris}", "C"},
        {"\\boxed{\\text{Paris}}", "C"},
        {"\\boxed{C. Paris}", "C"},
        {"<answer>Paris</answer>", "C"},
        {"\\boxed{\\frac{1}{2}}", "D"},
        {"Answer: C) Paris", "C"},
        {"Paris", "C"},
        {"It must be Paris", ""},
        {"Paris or London", ""},
        {"(A) Paris", ""},
        {"Answer: C) London", ""},
        {"\\boxed{C. London}", ""},
        {"<answer>C) London</answer>", ""},
        {"Answer: E", ""},
        {"Paris\nBut who knows", ""},
        {"<think>Paris</think>", ""},
    };
    verdict_expect("choice", spec, "C", cases, COUNT(cases));
    static const verdict_case twice[] = {{"Paris", ""}, {"Answer: B", "B"}};
    verdict_expect("choice", "{\"answer\": \"B\", \"options\": [\"Paris\", \"paris\"]}", "B",
                   twice, COUNT(twice));
}

/* Much text, many boxes and anchors: it ends soon, and the last one counts. */
static void test_long(void **state)
{
    (void)state;
    json_t *spec = verdict_spec("{\"answer\": \"C\", \"options\": [\"aa\", \"bb\", \"cc\"]}");
    r1_buf b;
    static const char *const pieces[] = {
        "answer: answer is ", "\\boxed{", "{{{{", "Answer: A or ", "<answer>", "\\text{", "**"};
    for (size_t k = 0; k < COUNT(pieces); k++) {
        r1_buf_init(&b, 0);
        while (b.len < 500000)
            r1_buf_puts(&b, pieces[k]);
        assert_int_equal(r1_choice_find(spec, b.data, b.len) > 'C', 0);
        r1_buf_release(&b);
    }
    r1_buf_init(&b, 0);
    for (int i = 0; i < 10000; i++)
        r1_buf_puts(&b, "\\boxed{B} Answer: B\n");
    r1_buf_puts(&b, "\\boxed{C}");
    assert_int_equal(r1_choice_find(spec, b.data, b.len), 'C');
    r1_buf_release(&b);
    json_decref(spec);
}

static void test_specs(void **state)
{
    (void)state;
    verdict_bad_spec("choice", "\"c\"",
                     "choice: the answer 'c' is not a capital letter from A to J");
    verdict_bad_spec("choice", "\"CD\"",
                     "choice: the answer 'CD' is not a capital letter from A to J");
    verdict_bad_spec("choice", "3",
                     "choice: the answer '' is not a capital letter from A to J");
    verdict_bad_spec("choice", "{}", "choice: 'answer' is missing");
    verdict_bad_spec("choice", "{\"answer\": \"C\", \"options\": [\"x\", \"y\"]}",
                     "choice: the answer 'C' is not a capital letter from A to B");
    verdict_bad_spec("choice", "{\"answer\": \"A\", \"options\": [\"x\", 2]}",
                     "choice: option 2 is not a text");
    verdict_bad_spec("choice", "{\"answer\": \"A\", \"options\": 1}",
                     "choice: 1 options, 2 to 26 are possible");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters), cmocka_unit_test(test_none),
        cmocka_unit_test(test_texts),   cmocka_unit_test(test_long),
        cmocka_unit_test(test_specs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
