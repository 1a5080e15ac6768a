/* Key/value memory: spans do not overlap, neighbours join, sizes are checked. */
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
    assert_int_equal(r1_kv_open(&m, ROWS, &kv, NULL), R1_OK);
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

static void first_fit_and_joining(void **state)
{
    (void)state;
    r1_kv *kv;
    int a = 0, b = 0, c = 0, d = 0;
    assert_int_equal(r1_kv_open(&m, ROWS, &kv, NULL), R1_OK);
    assert_false(r1_kv_take(kv, ROWS + 1, &a));
    assert_true(r1_kv_take(kv, 50, &a) && r1_kv_take(kv, 50, &b) && r1_kv_take(kv, 50, &c));
    assert_true(a == 0 && b == 50 && c == 100 && kv->free_rows == 50);
    r1_kv_give(kv, a, 50);
    assert_int_equal(kv->free_rows, 100);
    assert_false(r1_kv_take(kv, 51, &d)); /* 50 and 50, not together */
    assert_true(r1_kv_take(kv, 10, &d) && d == 0);
    r1_kv_give(kv, d, 10);
    r1_kv_give(kv, c, 50); /* joins what follows */
    r1_kv_give(kv, b, 50); /* joins both sides */
    assert_true(r1_kv_take(kv, ROWS, &a) && a == 0 && kv->free_rows == 0);
    assert_false(r1_kv_take(kv, 1, &b));
    r1_kv_give(kv, 20, 30); /* a part of a span may come back */
    assert_true(r1_kv_take(kv, 30, &b) && b == 20);
    r1_kv_close(kv);
}

/* Random takes and gives against a map of rows. */
static void random_use(void **state)
{
    (void)state;
    r1_kv *kv;
    assert_int_equal(r1_kv_open(&m, ROWS, &kv, NULL), R1_OK);
    int first[64], len[64], n = 0;
    char used[ROWS] = {0};
    r1_rng r = r1_rng_init(1, R1_RNG_TEST, 0);
    for (int i = 0; i < 5000; i++) {
        if (n < 64 && r1_rng_below(&r, 2)) {
            int want = 1 + (int)r1_rng_below(&r, 30), run = 0, at = -1;
            for (int k = 0; k < ROWS && at < 0; k++) {
                run = used[k] ? 0 : run + 1;
                at = run == want ? k + 1 - want : -1;
            }
            bool got = r1_kv_take(kv, want, &first[n]);
            assert_int_equal(got, at >= 0);
            if (got) {
                assert_int_equal(first[n], at);
                memset(used + at, 1, (size_t)want);
                len[n++] = want;
            }
        } else if (n > 0) {
            int k = (int)r1_rng_below(&r, (uint32_t)n);
            r1_kv_give(kv, first[k], len[k]);
            memset(used + first[k], 0, (size_t)len[k]);
            n--;
            first[k] = first[n];
            len[k] = len[n];
        }
    }
    r1_kv_close(kv);
}

static void sizes(void **state)
{
    (void)state;
    r1_kv *kv;
    r1_err err = {0};
    assert_int_equal(r1_kv_open(&m, 0, &kv, &err), R1_EARG);
    assert_int_equal(r1_kv_open(&m, -5, &kv, &err), R1_EARG);
    r1_model big = m;
    big.cfg.n_layers = 1000;
    big.cfg.n_kv_heads = 1 << 14;
    big.cfg.head_dim = 1 << 14;
    assert_int_not_equal(r1_kv_open(&big, INT32_MAX, &kv, &err), R1_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_lie_apart),
        cmocka_unit_test(first_fit_and_joining),
        cmocka_unit_test(random_use),
        cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
