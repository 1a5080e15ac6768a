/* test_ansi.c: replies on a terminal: reasoning, light Markdown, and nothing that moves the cursor;
 * the same in whatever pieces the text comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/ansi.h"

#define R "\x1b[0m"
#define B "\x1b[1m"
#define D "\x1b[2m"
#define C "\x1b[36m"

/* The text in pieces of `step` bytes. */
static void show(r1_buf *out, const char *text, size_t step, bool inside, bool markdown,
                 bool hide)
{
    r1_ansi a;
    r1_buf_init(out, 0);
    r1_ansi_init(&a, inside, markdown, hide);
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i += step)
        r1_ansi_put(&a, text + i, step < n - i ? step : n - i, out);
    r1_ansi_end(&a, out);
    r1_ansi_release(&a);
}

static void assert_shown(const char *text, const char *want, bool inside, bool markdown,
                         bool hide)
{
    for (size_t step = 1; step <= strlen(text) + 1; step++) {
        r1_buf out;
        show(&out, text, step, inside, markdown, hide);
        assert_string_equal(out.data, want);
        r1_buf_release(&out);
    }
}

static void test_markdown(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"plain\n", "plain\n"},
        {"no line break", "no line break\n"},
        {"# Title\ntext\n", R B "Title" R "\ntext\n"},
        {"###### six\n", R B "six" R "\n"},
        {"####### seven\n", "####### seven\n"},
        {"#hash\n", "#hash\n"},
        {"a # b\n", "a # b\n"},
        {"a **b** c\n", "a " R B "b" R " c\n"},
        {"**b\nc**\n", R B "b" R "\nc**\n"},
        {"2**3 ** 4\n", "2**3 ** 4\n"},
        {"`x` y\n", R C "x" R " y\n"},
        {"`**x**`\n", R C "**x**" R "\n"},
        {"- a\n  * b\n+ c\n", "\xe2\x80\xa2 a\n  \xe2\x80\xa2 b\n\xe2\x80\xa2 c\n"},
        {"-a\n--\n", "-a\n--\n"},
        {"> q\n", D "\xe2\x94\x82 " R "q\n"},
        {"```c\na **b** `c` # d\n- e\n```\nf\n",
         R D "```c" R "\n" R C "a **b** `c` # d\n- e\n" R D "```" R "\nf\n"},
        {"\n\nfirst\n", "first\n"},
        {"", ""},
        {"\n", ""},
        {"*", "*\n"},
        {"#", "#\n"},
        {"``", R C R "\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_shown(cases[i][0], cases[i][1], false, true, false);
    assert_shown("# **a** `b`\n- c\n", "# **a** `b`\n- c\n", false, false, false);
}

static void test_thinking(void **state)
{
    (void)state;
    assert_shown("so **x**\n</think>\n\nans\n", R D "so **x**\n\n" R "ans\n", true, true,
                 false);
    assert_shown("<think>\nso\n</think>\nans", R D "so\n\n" R "ans\n", false, true, false);
    assert_shown("<think>so</think>ans", R D "so\n\n" R "ans\n", false, false, false);
    assert_shown("so\n</think>\n\nans\n", "ans\n", true, true, true);
    assert_shown("<think>so</think>\nans\n", "ans\n", false, true, true);
    assert_shown("cut off", R D "cut off" R "\n", true, true, false);
    assert_shown("cut off", "", true, true, true);
    assert_shown("\n</think>\n\nans\n", "ans\n", true, true, false);
    assert_shown("a < b <thin </think>\n", "a < b <thin </think>\n", false, true, false);
    assert_shown("`<think>`\n", R C "<think>" R "\n", false, true, false);
}

/* No sequence of a terminal's gets through: only those that are written here. */
static void test_controls(void **state)
{
    (void)state;
    assert_shown("a\x1b[2Jb\x07\r\x7f\tc\n", "a?[2Jb???\tc\n", false, true, false);
    assert_shown("\xc2\x9b"
                 "31m\xc2\xa0\xc3\xa4\n",
                 "?31m\xc2\xa0\xc3\xa4\n", false, true, false);
    assert_shown("\x1b]0;title\x07</think>\x1b[c\n", R D "?]0;title?\n\n" R "?[c\n", true, true,
                 false);
    assert_shown("\xc2", "\xc2\n", false, true, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_markdown),
        cmocka_unit_test(test_thinking),
        cmocka_unit_test(test_controls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
