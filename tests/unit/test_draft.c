/* Prompt lookup: where drafts come from, and how long they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/draft.h"

/* The draft of at most n tokens behind a text of letters, as letters. */
static void expect(const char *text, int most, int agree, const char *draft)
{
    int32_t ids[64];
    int n = (int)strlen(text);
    for (int i = 0; i < n; i++)
        ids[i] = text[i];
    memset(ids + n, 0, sizeof ids - (size_t)n * sizeof *ids);
    assert_int_equal(r1_draft_find(ids, n, most), agree);
    for (int i = 0; i < most; i++)
        assert_int_equal(ids[n + i], agree > 0 ? draft[i] : 0);
    assert_int_equal(ids[n + most], 0);
    for (int i = 0; i < n; i++)
        assert_int_equal(ids[i], text[i]);
}

static void what_followed_before(void **state)
{
    (void)state;
    expect("", 3, 0, "");
    expect("a", 3, 0, "");
    expect("ab", 3, 0, "");
    expect("abcab", 1, 2, "c");
    expect("abcab", 3, 2, "cab");     /* up to its own end, */
    expect("abcab", 7, 2, "cabcabc"); /* and on from what was drafted */
    expect("aaa", 4, 2, "aaaa");
    expect("xbcab", 3, 0, "");                            /* one token is too little */
    expect("abxabyab", 2, 2, "ya");                       /* the last place */
    expect("cabxdabycab", 2, 3, "xd");                    /* the place where more agree */
    expect("0123456789x123456789y0123456789", 1, 8, "y"); /* eight are enough */
}

static void lengths_follow_success(void **state)
{
    (void)state;
    r1_draft d = {0};
    int n = r1_draft_plan(&d), longest = 0;
    assert_true(n >= 1);
    for (int i = 0; i < 5; i++) {
        r1_draft_learn(&d, n, n);
        n = r1_draft_plan(&d);
        longest = n > longest ? n : longest;
    }
    assert_int_equal(longest, R1_DRAFT_MOST);
    for (int i = 0; i < 10; i++) /* a quarter is right */
        r1_draft_learn(&d, 8, 2);
    assert_in_range(r1_draft_plan(&d), 1, R1_DRAFT_MOST - 1);

    /* Failure after failure: of 10000 tokens few are drafted. */
    d = (r1_draft){0};
    int drafted = 0;
    for (int i = 0; i < 10000; i++) {
        n = r1_draft_plan(&d);
        if (n > 0)
            r1_draft_learn(&d, n, 0);
        drafted += n;
    }
    assert_in_range(drafted, 1, 200);
    do
        n = r1_draft_plan(&d);
    while (n == 0);
    r1_draft_learn(&d, n, n); /* one success, and it goes on */
    assert_int_equal(r1_draft_plan(&d), R1_DRAFT_MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_followed_before),
        cmocka_unit_test(lengths_follow_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
