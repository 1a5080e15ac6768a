/* Replies apart into reasoning and answer, whatever the pieces in which they come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "serve/reason.h"

static const struct {
    bool inside;
    const char *text, *reasoning, *answer;
} rows[] = {
    {false, "", "", ""},
    {false, "hello", "", "hello"},
    {false, "  hello", "", "  hello"},
    {false, "<think>a</think>b", "a", "b"},
    {false, "<think>\na\nb\n</think>\n\nc\n", "a\nb", "c\n"},
    {false, " \n<think>a</think>b", "a", "b"},
    {false, "x<think>a</think>b", "", "x<think>a</think>b"},
    {false, "<thin", "", "<thin"},
    {false, "<thinking>", "", "<thinking>"},
    {false, "<think>a", "a", ""},
    {false, "<think></think>b", "", "b"},
    {false, "<think>a</think>", "a", ""},
    {false, "<think>a</think>b</think>c", "a", "b</think>c"},
    {false, "</think>b", "", "</think>b"},
    {true, "a</think>b", "a", "b"},
    {true, "\na\n", "a\n", ""},
    {true, "a < b </thin > c</think>d", "a < b </thin > c", "d"},
    {true, "a</</think>d", "a</", "d"},
    {true, "a</think", "a</think", ""},
    {true, "\n\n</think>\n\nd", "", "d"},
    {true, "<think>a</think>b", "<think>a", "b"},
};

static void check(size_t row, size_t step)
{
    r1_reason r;
    r1_buf reasoning, answer;
    r1_buf_init(&reasoning, 0);
    r1_buf_init(&answer, 0);
    r1_reason_init(&r, rows[row].inside);
    size_t len = strlen(rows[row].text);
    for (size_t i = 0; i < len; i += step)
        r1_reason_feed(&r, rows[row].text + i, len - i < step ? len - i : step, &reasoning,
                       &answer);
    r1_reason_end(&r, &reasoning, &answer);
    assert_string_equal(reasoning.data, rows[row].reasoning);
    assert_string_equal(answer.data, rows[row].answer);
    r1_reason_release(&r);
    r1_buf_release(&reasoning);
    r1_buf_release(&answer);
}

static void test_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t step = 1; step < 12; step++)
            check(i, step);
}

static void test_inside(void **state)
{
    (void)state;
    r1_reason r;
    r1_buf a, b;
    r1_buf_init(&a, 0);
    r1_buf_init(&b, 0);
    r1_reason_init(&r, false);
    assert_false(r1_reason_inside(&r));
    r1_reason_feed(&r, "<think>", 7, &a, &b);
    assert_true(r1_reason_inside(&r));
    r1_reason_feed(&r, "x</think>", 9, &a, &b);
    assert_false(r1_reason_inside(&r));
    r1_reason_release(&r);
    r1_buf_release(&a);
    r1_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pieces),
                                       cmocka_unit_test(test_inside)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
