/* test_number.c: answers that are one number, in many notations, and those that are not. */
#include "verdict.h"

#include "verify/number.h"

static void test_values(void **state)
{
    (void)state;
    static const verdict_case cases[] = {
        {"<answer>1234</answer>", "1234"},
        {"<answer> 1,234 </answer>", "1234"},
        {"<answer>1234.00</answer>", "1234"},
        {"<answer>$1,234.00</answer>", "1234"},
        {"<answer>\\$1,234</answer>", "1234"},
        {"<answer>2468/2</answer>", "1234"},
        {"<answer>\\frac{2468}{2}</answer>", "1234"},
        {"<answer>1.234e3</answer>", "1234"},
        {"<answer>1.234 \\times 10^{3}</answer>", "1234"},
        {"<answer>1234 dollars.</answer>", "1234"},
        {"<answer>1234 apples per week</answer>", "1234"},
        {"<answer>x = 1234</answer>", "1234"},
        {"<answer>+1234</answer>", "1234"},
        {"<answer>-1234</answer>", "-1234"},
        {"<answer>\xE2\x88\x92"
         "1234</answer>",
         "-1234"},
        {"<answer>-$1234</answer>", "-1234"},
        {"<answer>\xEF\xBC\x91\xEF\xBC\x92\xEF\xBC\x93\xEF\xBC\x94</answer>", "1234"},
        {"<answer>1\\,234</answer>", ""},
        {"<answer>2.5</answer>", "5/2"},
        {"<answer>.5</answer>", "1/2"},
        {"<answer>\\dfrac{1}{-3}</answer>", "-1/3"},
        {"<answer>0</answer>", "0"},
        {"<answer>-0</answer>", "0"},
        {"\\boxed{1234}", "1234"},
        {"so $\\boxed{1{,}234}$", ""},
        {"\\boxed{1234} and again \\boxed{1234}", "1234"},
        {"\\boxed{\\text{1234 m}}", "1234"},
        {"The sum is 3.\n#### 1234", "1234"},
        {"#### 3\n#### 1,234\n", "1234"},
        {"The answer is 1234.", "1234"},
        {"The answer is 1234. I am sure.", "1234"},
        {"The final answer is: **1234**", "1234"},
        {"Answer: $1234$", "1234"},
        {"answer = 5\nAnswer: 1234 m", "1234"},
        {"<think>7</think>The answer is 1234", "1234"},
        {"<think>the answer is 7</think>\\boxed{1234}", "1234"},
    };
    static const char *const golds[] = {"1234", "\"1234\"", "1234.0", "{\"answer\": \"1,234\"}",
                                        "\"so 2*617=1234\\n#### 1234\""};
    for (size_t i = 0; i < COUNT(golds); i++)
        verdict_expect("number", golds[i], "1234", cases, COUNT(cases));
}

static void test_none(void **state)
{
    (void)state;
    static const verdict_case cases[] = {
        {"", ""},
        {"1234", ""},
        {"It is 1234", ""},
        {"<think>The answer is 1234</think>", ""},
        {"<think>#### 1234", ""},
        {"<answer>1234 or 1235</answer>", ""},
        {"<answer>1234, 1235</answer>", ""},
        {"<answer>1234 1235</answer>", ""},
        {"<answer>not 1234</answer>", ""},
        {"<answer>1234 maybe</answer>", ""},
        {"<answer>1234 if not 1235</answer>", ""},
        {"<answer>12 34</answer>", ""},
        {"<answer>1,23</answer>", ""},
        {"<answer>12,34,567</answer>", ""},
        {"<answer>1.2.3</answer>", ""},
        {"<answer>1234</answer><answer>1</answer>", ""},
        {"<answer>1</answer><answer>1234</answer>", ""},
        {"<answer>1234</answer> or 5", ""},
        {"\\boxed{1} \\boxed{1234}", ""},
        {"\\boxed{1234} \\boxed{1}", ""},
        {"\\boxed{1234 or 1}", ""},
        {"\\boxed{1,234,5}", ""},
        {"<answer>1/0</answer>", ""},
        {"<answer>1e999</answer>", ""},
        {"<answer>10^10^10</answer>", ""},
        {"<answer>1234567890123456789012345</answer>", ""},
        {"<answer>9223372036854775807</answer>", ""},
        {"<answer>x</answer>", ""},
        {"<answer></answer>", ""},
        {"<answer>600+634</answer>", ""},
        {"The answer is 1234 or 1235", ""},
        {"The answer is 1234, 1235", ""},
        {"the answer 1234", ""},
    };
    verdict_expect("number", "1234", "1234", cases, COUNT(cases));
}

static void test_base(void **state)
{
    (void)state;
    static const verdict_case cases[] = {
        {"<answer>1f</answer>", "31"},
        {"<answer>1F</answer>", "31"},
        {"<answer>0x1F</answer>", "31"},
        {"<answer>001F</answer>", "31"},
        {"<answer>1F_16</answer>", "31"},
        {"<answer>(1F)_{16}</answer>", "31"},
        {"\\boxed{1F_{16}}", "31"},
        {"\\boxed{\\text{1F}}", "31"},
        {"<answer>1 f</answer>", "31"},
        {"<answer>20</answer>", "32"},
        {"<answer>31</answer>", "49"},
        {"<answer>1F_8</answer>", ""},
        {"<answer>1G</answer>", ""},
        {"<answer>-1F</answer>", ""},
        {"<answer>1F 1F or</answer>", ""},
        {"<answer>0x</answer>", ""},
        {"<answer>1F, 20</answer>", ""},
        {"<answer>31 = 1F</answer>", ""},
        {"<answer></answer>", ""},
        {"1F", ""},
        {"<answer>ffffffffffffffffffffffff</answer>", ""},
    };
    verdict_expect("base", "{\"base\": 16, \"value\": 31}", "31", cases, COUNT(cases));
    static const verdict_case binary[] = {
        {"<answer>0b101</answer>", "5"},
        {"<answer>1 01</answer>", "5"},
        {"<answer>101_2</answer>", "5"},
        {"<answer>102</answer>", ""},
    };
    verdict_expect("base", "{\"base\": 2, \"value\": 5}", "5", binary, COUNT(binary));
}

static void test_boxed(void **state)
{
    (void)state;
    static const verdict_case cases[] = {
        {"\\boxed{12}", "12"},
        {"3 + 9 = 12, so $\\boxed{12}$.", "12"},
        {"\\boxed{12.0}, again \\boxed{12.0}", "12"},
        {"<think>\\boxed{3}</think>\\boxed{12}", "12"},
        {"\\boxed{13}", "13"},
        {"\\boxed{12} or \\boxed{13}", ""},
        {"\\boxed{number}", ""},
        {"\\boxed{12", ""},
        {"\\boxed{}", ""},
        {"12", ""},
        {"The answer is 12.", ""},
        {"#### 12", ""},
        {"<answer>12</answer>", ""},
        {"\\boxed{12}<answer>12</answer>", ""},
        {"<answer>\\boxed{12}</answer>", ""},
    };
    verdict_expect("boxed", "{\"answer\": 12}", "12", cases, COUNT(cases));
    verdict_bad_spec("boxed", "{}",
                     "number: the answer is neither a number nor a text with one");
}

static void test_specs(void **state)
{
    (void)state;
    verdict_bad_spec("number", "null",
                     "number: the answer is neither a number nor a text with one");
    verdict_bad_spec("number", "{}",
                     "number: the answer is neither a number nor a text with one");
    verdict_bad_spec("number", "\"many\"", "number: 'many' is not one number");
    verdict_bad_spec("number", "\"1 or 2\"", "number: '1 or 2' is not one number");
    verdict_bad_spec("base", "{\"base\": 1, \"value\": 3}",
                     "base: 'base' is 1, out of range 2..36");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_none),
        cmocka_unit_test(test_base),   cmocka_unit_test(test_boxed),
        cmocka_unit_test(test_specs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
