/* test_batch.c: which rows see which, what is predicted, and how batches fill. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "recipe/batch.h"

static void expect_ints(const int32_t *got, const int32_t *want, int n)
{
    for (int i = 0; i < n; i++)
        if (got[i] != want[i])
            fail_msg("[%d] is %d, not %d", i, got[i], want[i]);
}

static void expect_span(const r1_span *got, int32_t first, int32_t n)
{
    if (got->first != first || got->n != n)
        fail_msg("the span is %d+%d, not %d+%d", got->first, got->n, first, n);
}

static void test_one_sequence(void **state)
{
    (void)state;
    r1_batch b = {0};
    const int32_t ids[] = {7, 8, 9};
    assert_int_equal(r1_batch_add(&b, ids, 3, 0, 0), 0);
    r1_rows rows = r1_batch_rows(&b);
    assert_int_equal(rows.n, 3);
    expect_ints(b.ids, ids, 3);
    expect_ints(rows.pos, (const int32_t[]){0, 1, 2}, 3);
    expect_ints(rows.key_row, (const int32_t[]){0, 1, 2}, 3);
    expect_ints(rows.list, (const int32_t[]){0, 0, 0}, 3);
    expect_ints(rows.n_keys, (const int32_t[]){1, 2, 3}, 3);
    assert_int_equal(b.spans, 1);
    expect_span(rows.span, 0, 3);
    r1_batch_release(&b);
    assert_int_equal(b.n, 0);
    r1_batch_release(&b); /* twice does no harm */
}

/* Two continuations of one prompt: both begin at its end and do not see each other. */
static void test_shared_prompt(void **state)
{
    (void)state;
    r1_batch b = {0};
    const int32_t other[] = {1}, prompt[] = {2, 3}, first[] = {4, 5}, second[] = {6};
    r1_batch_add(&b, other, 1, 0, 0);
    int p = r1_batch_add(&b, prompt, 2, 0, 0);
    assert_int_equal(p, 1);
    assert_int_equal(r1_batch_add(&b, first, 2, p, 2), 3);
    assert_int_equal(r1_batch_add(&b, second, 1, p, 2), 5);
    assert_int_equal(r1_batch_add(&b, NULL, 0, p, 2), 6); /* a completion of one token */
    assert_int_equal(b.n, 6);
    expect_ints(b.ids, (const int32_t[]){1, 2, 3, 4, 5, 6}, 6);
    expect_ints(b.pos, (const int32_t[]){0, 0, 1, 2, 3, 2}, 6);
    expect_ints(b.list, (const int32_t[]){0, 1, 1, 2, 2, 4}, 6);
    expect_ints(b.n_keys, (const int32_t[]){1, 1, 2, 3, 4, 3}, 6);
    const r1_span want[] = {{0, 1}, {1, 2}, {1, 2}, {3, 2}, {1, 2}, {5, 1}};
    assert_int_equal(b.spans, 6);
    for (int i = 0; i < 6; i++)
        expect_span(&b.span[i], want[i].first, want[i].n);
    r1_batch_release(&b);
}

/* The last token is not a row: nothing is predicted from it. */
static void test_document(void **state)
{
    (void)state;
    r1_batch b = {0};
    const int32_t ids[] = {10, 11, 12, 13};
    const bool learn[] = {true, false, true, true}; /* the first is never predicted */
    r1_batch_document(&b, ids, 4, NULL);
    r1_batch_document(&b, ids, 4, learn);
    r1_batch_document(&b, ids, 1, NULL); /* nothing to learn */
    assert_int_equal(b.n, 6);
    assert_int_equal(b.targets, 5);
    expect_ints(b.row, (const int32_t[]){0, 1, 2, 4, 5}, 5);
    expect_ints(b.target, (const int32_t[]){11, 12, 13, 12, 13}, 5);
    expect_ints(b.pos, (const int32_t[]){0, 1, 2, 0, 1, 2}, 6);
    r1_batch_reset(&b);
    assert_int_equal(b.n, 0);
    assert_int_equal(b.targets, 0);
    r1_batch_document(&b, ids + 2, 2, NULL);
    expect_ints(b.ids, (const int32_t[]){12}, 1);
    expect_ints(b.target, (const int32_t[]){13}, 1);
    r1_batch_release(&b);
}

static void test_batches_fill(void **state)
{
    (void)state;
    r1_batch_list l = {.rows = 5};
    const int32_t ids[] = {1, 2, 3, 4, 5, 6, 7, 8};
    const int lengths[] = {3, 4, 2, 3, 6, 9, 2}; /* of documents; rows are one fewer */
    for (int round = 0; round < 2; round++) {    /* the second time in memory used before */
        r1_batch_list_reset(&l);
        for (int i = 0; i < 7; i++) {
            int n = lengths[i] > 8 ? 8 : lengths[i];
            r1_batch_document(r1_batch_list_fit(&l, n - 1), ids, n, NULL);
        }
        const int32_t rows[] = {5, 3, 5, 7, 1}; /* 7: alone, although over the limit */
        assert_int_equal(l.n, 5);
        for (int i = 0; i < l.n; i++)
            assert_int_equal(l.batch[i].n, rows[i]);
        assert_int_equal(r1_batch_list_targets(&l), 21);
    }
    r1_batch_list_release(&l);
    assert_int_equal(l.n, 0);
}

/* Growth keeps what is there. */
static void test_many_rows(void **state)
{
    (void)state;
    r1_batch b = {0};
    for (int32_t i = 0; i < 3000; i++) {
        const int32_t ids[] = {i, i + 1};
        r1_batch_document(&b, ids, 2, NULL);
    }
    assert_int_equal(b.n, 3000);
    assert_int_equal(b.targets, 3000);
    for (int32_t i = 0; i < 3000; i++) {
        assert_int_equal(b.ids[i], i);
        assert_int_equal(b.row[i], i);
        assert_int_equal(b.target[i], i + 1);
        expect_span(&b.span[b.list[i]], i, 1);
    }
    r1_batch_release(&b);
    r1_batch_list many = {.rows = 1};
    for (int i = 0; i < 100; i++)
        r1_batch_document(r1_batch_list_fit(&many, 1), (const int32_t[]){1, 2}, 2, NULL);
    assert_int_equal(many.n, 100);
    assert_int_equal(r1_batch_list_targets(&many), 100);
    r1_batch_list_release(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_sequence), cmocka_unit_test(test_shared_prompt),
        cmocka_unit_test(test_document),     cmocka_unit_test(test_batches_fill),
        cmocka_unit_test(test_many_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
