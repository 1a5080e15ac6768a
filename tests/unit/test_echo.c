/* test_echo.c: log-probabilities of a text, piece by piece, are those of the model in one pass. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bytes.h"
#include "tiny_config.h"

#include "base/rng.h"
#include "engine/echo.h"
#include "model/forward.h"

enum { LONG = 200, TOP = 3, VOCAB = BYTES_EOS + 24 };

static r1_model *m;

static int open_model(void **state)
{
    (void)state;
    const r1_config cfg = tiny_config(VOCAB, LONG);
    const r1_model_options o = {.threads = 1, .compute = R1_COMPUTE_F32, .trainable = true};
    r1_err err = {0};
    if (r1_model_create(&cfg, bytes_tokenizer(NULL), 0.3f, 5, &o, &m, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    r1_model_close(m);
    return 0;
}

static void all_lengths(void **state)
{
    (void)state;
    static const int lengths[] = {1, 2, 63, 64, 65, 129, LONG};
    int32_t ids[LONG];
    float want[LONG];
    r1_err err = {0};
    r1_rng r = r1_rng_init(1, R1_RNG_TEST, 0);
    for (int i = 0; i < LONG; i++)
        ids[i] = (int32_t)r1_rng_below(&r, 256);
    for (size_t c = 0; c < sizeof lengths / sizeof *lengths; c++) {
        const int n = lengths[c];
        r1_echo *x;
        bool more = true;
        if (r1_echo_open(m, ids, n, TOP, &x, &err) != R1_OK)
            fail_msg("%s", err.msg);
        while (more)
            assert_int_equal(r1_echo_step(x, &more, &err), R1_OK);
        assert_true(isnan(r1_echo_lp(x)[0]));
        assert_int_equal(r1_echo_top(x)[0].id, -1);
        if (n > 1)
            assert_int_equal(r1_forward_sequence(m, ids, n, want, &err), R1_OK);
        for (int i = 1; i < n; i++) {
            const r1_top *top = r1_echo_top(x) + (ptrdiff_t)i * TOP;
            const float lp = r1_echo_lp(x)[i];
            assert_true(fabsf(lp - want[i - 1]) < 1e-4f);
            assert_true(top[0].lp >= top[1].lp && top[1].lp >= top[2].lp);
            assert_true(lp <= top[0].lp);
            for (int k = 0; k < TOP; k++)
                assert_true(top[k].id != ids[i] || fabsf(top[k].lp - lp) < 1e-5f);
        }
        r1_echo_close(x);
    }
}

static void refused(void **state)
{
    (void)state;
    int32_t ids[LONG + 1] = {0};
    r1_echo *x;
    r1_err err = {0};
    assert_int_equal(r1_echo_open(m, ids, LONG + 1, 0, &x, &err), R1_EARG);
    ids[4] = VOCAB;
    assert_int_equal(r1_echo_open(m, ids, 5, 0, &x, &err), R1_EARG);
    assert_non_null(strstr(err.msg, "token 4"));
    assert_int_equal(r1_echo_open(m, ids, 4, 0, &x, &err), R1_OK);
    r1_echo_close(x); /* before its end */
    r1_echo_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_lengths),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
