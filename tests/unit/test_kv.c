/* Key/value memory: rows keep what was written for their tokens while anybody uses them, prefixes
 * are found and evicted in order, no page is lost, sizes are checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "engine/kv.h"

enum { ROWS = 200 };

static r1_model m;

static int open_model(void **state)
{
    (void)state;
    m.cfg.n_layers = 3;
    m.cfg.n_kv_heads = 2;
    m.cfg.head_dim = 10;
    m.kv_dtype = R1_F16;
    return r1_backend_open("cpu", 1, &m.backend, NULL) == R1_OK ? 0 : -1;
}

static int close_model(void **state)
{
    (void)state;
    r1_backend_close(m.backend);
    return 0;
}

static void layers_lie_apart(void **state)
{
    (void)state;
    r1_kv *kv;
    assert_int_equal(r1_kv_open(&m, ROWS - 3, 8, &kv, NULL), R1_OK);
    assert_true(kv->bytes >= 6 * ROWS * 20 * 2);
    assert_int_equal(kv->bytes, r1_kv_bytes(&m, ROWS));
    const char *end = kv->block;
    for (int l = 0; l < 3; l++) {
        const r1_tensor t[2] = {kv->layer[l].k, kv->layer[l].v};
        for (int i = 0; i < 2; i++) {
            assert_int_equal(t[i].shape[0], ROWS);
            assert_int_equal(t[i].shape[1], 20);
            assert_int_equal(t[i].dtype, R1_F16);
            assert_int_equal((uintptr_t)t[i].data % 64, 0);
            assert_true((const char *)t[i].data >= end);
            end = (const char *)t[i].data + ROWS * 20 * 2;
        }
    }
    assert_true(end <= (const char *)kv->block + kv->bytes);
    r1_kv_close(kv);
    r1_kv_close(NULL);
}

/* ---- Sequences --------------------------------------------------------------------------- */

/* A hash of ids[0..n): what a row holds that was written for the last of them. */
static uint32_t prefix_hash(const int32_t *ids, int n)
{
    uint32_t h = 1;
    for (int i = 0; i < n; i++)
        h = (h ^ (uint32_t)ids[i]) * 0x01000193u + 7;
    return h;
}

static uint32_t content[4096]; /* of the rows */

/* Write the rows of tokens [from, n). */
static void fill(const r1_kv_seq *s, const int32_t *ids, int from, int n)
{
    for (int i = from; i < n; i++)
        content[r1_kv_row(s, i)] = prefix_hash(ids, i + 1);
}

/* Each of the first n rows holds what it should, and the spans tell the same rows. */
static void check(const r1_kv *kv, const r1_kv_seq *s, const int32_t *ids, int n)
{
    int at = 0;
    for (int k = 0; k < s->n_spans; k++) {
        r1_span p = s->span[k];
        assert_true(p.n >= 1 && p.first / kv->page == (p.first + p.n - 1) / kv->page);
        for (int i = 0; i < p.n; i++, at++) {
            assert_int_equal(r1_kv_row(s, at), p.first + i);
            if (at < n)
                assert_int_equal(content[p.first + i], prefix_hash(ids, at + 1));
        }
    }
    assert_int_equal(at, s->n);
}

static r1_kv *memory(int rows, int page)
{
    r1_kv *kv;
    r1_err err = {0};
    if (r1_kv_open(&m, rows, page, &kv, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return kv;
}

/* Take, fill, store and release a sequence; returns how much of it was there. */
static int visit(r1_kv *kv, const int32_t *ids, int n)
{
    r1_kv_seq s = {0};
    int found = r1_kv_match(kv, &s, ids, n);
    check(kv, &s, ids, found);
    assert_true(r1_kv_extend(kv, &s, n));
    assert_int_equal(s.n, n);
    fill(&s, ids, found, n);
    check(kv, &s, ids, n);
    r1_kv_store(kv, &s, ids, n);
    r1_kv_release(kv, &s);
    return found;
}

static void sequences_grow_by_pages(void **state)
{
    (void)state;
    r1_kv *kv = memory(10 * 4, 4);
    r1_kv_seq a = {0}, b = {0};
    assert_true(r1_kv_extend(kv, &a, 1));
    assert_int_equal(kv->free_pages, 9);
    assert_true(r1_kv_extend(kv, &a, 4));
    assert_int_equal(kv->free_pages, 9);
    assert_true(r1_kv_extend(kv, &a, 9));
    assert_int_equal(kv->free_pages, 7);
    for (int i = 0; i < 9; i++) /* pages in a row */
        assert_int_equal(r1_kv_row(&a, i), i);
    assert_true(r1_kv_extend(kv, &a, 5)); /* it has them */
    assert_int_equal(a.n, 9);
    assert_true(r1_kv_extend(kv, &b, 28));
    assert_int_equal(kv->free_pages, 0);
    assert_int_equal(r1_kv_row(&b, 0), 32); /* a group of its own */
    assert_true(r1_kv_extend(kv, &a, 12));
    assert_false(r1_kv_extend(kv, &a, 13));
    assert_int_equal(a.n, 12);
    r1_kv_release(kv, &b);
    assert_int_equal(b.n, 0);
    assert_true(r1_kv_extend(kv, &a, 40));
    assert_false(r1_kv_extend(kv, &a, 41));
    r1_kv_release(kv, &a);
    assert_int_equal(kv->free_pages, 10);
    r1_kv_close(kv);
}

static void prefixes_are_found(void **state)
{
    (void)state;
    r1_kv *kv = memory(400, 4);
    const int32_t ids[20] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};
    int32_t other[20];
    assert_int_equal(visit(kv, ids, 10), 0);
    assert_int_equal(kv->cached_pages, 3);
    assert_int_equal(visit(kv, ids, 10), 10);
    assert_int_equal(visit(kv, ids, 6), 6);
    assert_int_equal(visit(kv, ids, 18), 10);
    assert_int_equal(kv->cached_pages, 5); /* 4 4 2 4 4 rows */
    /* Leave in the middle of a page: its rows stay where they are and belong to both. */
    memcpy(other, ids, sizeof other);
    other[5] = 99;
    assert_int_equal(visit(kv, other, 18), 5);
    assert_int_equal(kv->cached_pages, 5 + 4);
    assert_int_equal(r1_kv_find(kv, other, 18), 18);
    assert_int_equal(r1_kv_find(kv, ids, 18), 18);
    assert_int_equal(r1_kv_find(kv, ids, 5), 5);
    other[7] = 98; /* a branch of a branch, and one at the root */
    assert_int_equal(visit(kv, other, 20), 7);
    other[0] = 97;
    assert_int_equal(visit(kv, other, 3), 0);
    /* Dropping takes what nobody shares. */
    r1_kv_drop(kv, other, 0, 3);
    assert_int_equal(r1_kv_find(kv, other, 3), 0);
    r1_kv_drop(kv, ids, 0, 6); /* others go on from there */
    r1_kv_drop(kv, ids, 18, 18);
    assert_int_equal(r1_kv_find(kv, ids, 18), 18);
    r1_kv_drop(kv, ids, 9, 18);
    assert_int_equal(r1_kv_find(kv, ids, 18), 9);
    assert_int_equal(visit(kv, ids, 18), 9);
    r1_kv_drop(kv, ids, 0, 18);
    assert_int_equal(r1_kv_find(kv, ids, 18), 5);
    r1_kv_forget(kv);
    assert_int_equal(r1_kv_find(kv, ids, 18), 0);
    assert_int_equal(kv->cached_pages, 0);
    assert_int_equal(kv->free_pages, 100);
    r1_kv_close(kv);
}

static void the_oldest_goes_first(void **state)
{
    (void)state;
    r1_kv *kv = memory(8 * 4, 4);
    const int32_t a[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, b[4] = {2, 2, 2, 2};
    const int32_t c[8] = {3, 3, 3, 3, 3, 3, 3, 3}, d[16] = {4, 4, 4, 4};
    visit(kv, a, 10);
    visit(kv, b, 4);
    visit(kv, c, 8);
    assert_int_equal(kv->free_pages, 2);
    assert_int_equal(visit(kv, a, 10), 10); /* b is the oldest now, then c */
    visit(kv, d, 16);
    assert_int_equal(r1_kv_find(kv, b, 4), 0);
    assert_int_equal(r1_kv_find(kv, c, 8), 4); /* its last page */
    assert_int_equal(r1_kv_find(kv, a, 10), 10);
    assert_int_equal(r1_kv_find(kv, d, 16), 16);

    /* What a live sequence uses stays, even when it is the oldest. */
    r1_kv_seq live = {0}, more = {0};
    assert_int_equal(r1_kv_match(kv, &live, a, 10), 10);
    visit(kv, d, 16);
    assert_int_equal(kv->cached_pages, 5);
    assert_true(r1_kv_extend(kv, &more, 5 * 4));
    assert_int_equal(r1_kv_find(kv, d, 16), 0);
    assert_int_equal(r1_kv_find(kv, a, 10), 10);
    assert_false(r1_kv_extend(kv, &more, 5 * 4 + 1));
    check(kv, &live, a, 10);
    r1_kv_forget(kv); /* the live sequence keeps its rows */
    assert_false(r1_kv_extend(kv, &more, 5 * 4 + 1));
    check(kv, &live, a, 10);
    r1_kv_release(kv, &live);
    assert_true(r1_kv_extend(kv, &more, 8 * 4));
    r1_kv_release(kv, &more);
    r1_kv_close(kv);
}

/* Random sequences, live many at a time, over few tokens, so that they share and part everywhere:
 * every row holds what its sequence wrote or matched, and no page is lost. */
static void random_use(void **state)
{
    (void)state;
    enum { LIVE = 6, LONG = 40, PAGES = 24, STEPS = 20000 };
    r1_rng r = r1_rng_init(1, R1_RNG_TEST, 0);
    for (int page = 1; page <= 8; page = 2 * page + (page == 4)) {
        r1_kv *kv = memory(PAGES * page, page);
        r1_kv_seq live[LIVE] = {{0}};
        int32_t ids[LIVE][LONG];
        int filled[LIVE] = {0}, full = 0, hit = 0;
        for (int i = 0; i < STEPS / 4; i++) {
            int k = (int)r1_rng_below(&r, LIVE);
            r1_kv_seq *s = &live[k];
            if (filled[k] == 0) {
                for (int t = 0; t < LONG; t++)
                    ids[k][t] = r1_rng_below(&r, 8) == 0;
                int found = r1_kv_find(kv, ids[k], LONG);
                filled[k] = r1_kv_match(kv, s, ids[k], LONG);
                assert_int_equal(filled[k], found);
                hit += found;
            }
            check(kv, s, ids[k], filled[k]);
            int to = filled[k] + 1 + (int)r1_rng_below(&r, 9);
            to = to < LONG ? to : LONG;
            bool got = r1_kv_extend(kv, s, to);
            full += !got;
            assert_true(got || kv->free_pages + kv->cached_pages == 0);
            to = s->n < to ? s->n : to;
            fill(s, ids[k], filled[k], to);
            filled[k] = to;
            for (int j = 0; j < LIVE; j++)
                check(kv, &live[j], ids[j], filled[j]);
            if (r1_rng_below(&r, 3) == 0)
                r1_kv_store(kv, s, ids[k], (int)r1_rng_below(&r, (uint32_t)filled[k] + 1));
            if (!got || filled[k] == LONG || r1_rng_below(&r, 10) == 0) {
                if (r1_rng_below(&r, 2))
                    r1_kv_store(kv, s, ids[k], filled[k]);
                if (r1_rng_below(&r, 8) == 0)
                    r1_kv_drop(kv, ids[k], (int)r1_rng_below(&r, LONG), filled[k]);
                r1_kv_release(kv, s);
                filled[k] = 0;
            }
            if (r1_rng_below(&r, 500) == 0)
                r1_kv_forget(kv);
        }
        assert_true(full > 0 && hit > 0);
        for (int j = 0; j < LIVE; j++)
            r1_kv_release(kv, &live[j]);
        assert_int_equal(kv->free_pages + kv->cached_pages, PAGES);
        r1_kv_close(kv);
    }
}

/* Memory is touched ahead of its use, and what is in use stays as it is. */
static void touched_ahead(void **state)
{
    (void)state;
    r1_kv *kv = memory(40 * 4, 4);
    r1_kv_seq s = {0};
    assert_true(r1_kv_extend(kv, &s, 6 * 4));
    memset(kv->block, 0x55, kv->bytes);
    int calls = 0;
    for (; r1_kv_touch(kv); calls++)
        assert_in_range(calls, 0, m.cfg.n_layers);
    assert_int_equal(calls, m.cfg.n_layers);
    assert_int_equal(kv->touched, 40);
    for (int l = 0; l < m.cfg.n_layers; l++) {
        const r1_tensor t[2] = {kv->layer[l].k, kv->layer[l].v};
        for (int i = 0; i < 2; i++) {
            const size_t row = r1_tensor_bytes(t[i].dtype, t[i].shape[1]);
            const uint8_t *at = t[i].data;
            for (size_t b = 0; b < 40 * 4 * row; b++)
                assert_int_equal(at[b], b < 6 * 4 * row ? 0x55 : 0);
        }
    }
    /* Nothing is left, whatever is used of it. */
    assert_true(r1_kv_extend(kv, &s, 39 * 4));
    assert_false(r1_kv_touch(kv));
    r1_kv_release(kv, &s);
    r1_kv_close(kv);
}

static void sizes(void **state)
{
    (void)state;
    r1_kv *kv;
    r1_err err = {0};
    assert_int_equal(r1_kv_open(&m, 0, 8, &kv, &err), R1_EARG);
    assert_int_equal(r1_kv_open(&m, -5, 8, &kv, &err), R1_EARG);
    r1_model big = m;
    big.cfg.n_layers = 1000;
    big.cfg.n_kv_heads = 1 << 14;
    big.cfg.head_dim = 1 << 14;
    assert_int_not_equal(r1_kv_open(&big, INT32_MAX, 8, &kv, &err), R1_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_lie_apart),
        cmocka_unit_test(sequences_grow_by_pages),
        cmocka_unit_test(prefixes_are_found),
        cmocka_unit_test(the_oldest_goes_first),
        cmocka_unit_test(random_use),
        cmocka_unit_test(touched_ahead),
        cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
