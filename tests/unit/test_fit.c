/* The search for scales: grids are found again, sums are sums, no plain choice is better. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "compute/fit.h"
#include "compute/quant.h"

static r1_rng rng;

static int setup(void **state)
{
    (void)state;
    rng = r1_rng_init(11, R1_RNG_TEST, 0);
    return 0;
}

static float uniform(float low, float high)
{
    return low + (high - low) * r1_rng_float(&rng);
}

static void near(float got, float want, float tolerance)
{
    if (!(fabsf(got - want) <= tolerance))
        fail_msg("%g is not near %g", (double)got, (double)want);
}

/* Integers of every size in [lo,hi], both ends among them. */
static void fill_integers(int *q, int n, int lo, int hi)
{
    for (int i = 0; i < n; i++)
        q[i] = lo + (int)r1_rng_below(&rng, (uint32_t)(hi - lo + 1));
    q[n / 3] = lo;
    q[n / 2] = hi;
}

static void sums_and_errors_are_those_of_the_definition(void **state)
{
    (void)state;
    for (int trial = 0; trial < 50; trial++) {
        const int n = trial % 2 ? 16 : 32;
        float x[R1_FIT_MOST];
        int8_t q[R1_FIT_MOST];
        r1_fit_block b;
        for (int i = 0; i < n; i++)
            x[i] = uniform(-2, 3);
        r1_fit_open(&b, x, n);
        r1_fit_line line = {uniform(0.05f, 0.5f), uniform(0, 2)};
        r1_fit_round(&b, line, 0, 15, q);
        r1_fit_sums s = r1_fit_measure(&b, line, 0, 15);
        double wq = 0, wqq = 0, wxq = 0, wxx = 0, error = 0, square = 0;
        for (int i = 0; i < n; i++)
            square += (double)x[i] * (double)x[i];
        for (int i = 0; i < n; i++) {
            double w = sqrt(square / n) + fabs((double)x[i]), v = (double)x[i];
            double y = (double)line.scale * q[i] - (double)line.min;
            int other = q[i] < 15 ? q[i] + 1 : q[i] - 1;
            double worse = (double)line.scale * other - (double)line.min;
            assert_true(fabs(y - v) <= fabs(worse - v) + 1e-6);
            wq += w * q[i];
            wqq += w * q[i] * q[i];
            wxq += w * v * q[i];
            wxx += w * v * v;
            error += w * (y - v) * (y - v);
        }
        assert_true(fabs(s.wq - wq) < 1e-5 * wq && fabs(s.wqq - wqq) < 1e-5 * wqq);
        assert_true(fabs(s.wxq - wxq) < 1e-4 * wqq && fabs(s.wxx - wxx) < 1e-5 * wxx);
        assert_true(fabs(r1_fit_error(&s, line) - error) < 1e-4 * wqq);
    }
}

static void a_scale_of_either_sign_is_found_again(void **state)
{
    (void)state;
    static const int lows[] = {-4, -16, -32};
    for (int trial = 0; trial < 60; trial++) {
        const int lo = lows[trial % 3], n = trial % 2 ? 16 : 32;
        const float d = uniform(0.01f, 1) * (trial % 4 < 2 ? 1 : -1);
        int want[R1_FIT_MOST];
        int8_t q[R1_FIT_MOST];
        float x[R1_FIT_MOST];
        fill_integers(want, n, lo, -lo - 1);
        for (int i = 0; i < n; i++)
            x[i] = d * (float)want[i];
        r1_fit_block b;
        r1_fit_open(&b, x, n);
        r1_fit_line line = r1_fit_scale(&b, lo, -lo - 1);
        near(line.scale, d, 1e-5f * fabsf(d));
        assert_true(line.min == 0);
        r1_fit_round(&b, line, lo, -lo - 1, q);
        for (int i = 0; i < n; i++)
            assert_int_equal(q[i], want[i]);
    }
}

static void a_scale_and_a_minimum_are_found_again(void **state)
{
    (void)state;
    static const int highs[] = {3, 15, 31};
    for (int trial = 0; trial < 120; trial++) {
        const int hi = highs[trial % 3], n = trial % 2 ? 16 : 32;
        const bool below = trial % 4 < 2;
        const float d = uniform(0.01f, 1), min = uniform(below ? 0 : -3, 3);
        int want[R1_FIT_MOST];
        int8_t q[R1_FIT_MOST];
        float x[R1_FIT_MOST];
        fill_integers(want, n, 0, hi);
        for (int i = 0; i < n; i++) {
            float product = d * (float)want[i];
            x[i] = product - min;
        }
        r1_fit_block b;
        r1_fit_open(&b, x, n);
        r1_fit_line line = r1_fit_scale_min(&b, hi, below);
        r1_fit_round(&b, line, 0, hi, q);
        if (below && min > d * (float)hi)
            continue; /* the range then is 0..min, not that of the integers */
        near(line.scale, d, 1e-3f * d);
        near(line.min, min, 2e-2f * d);
        for (int i = 0; i < n; i++)
            assert_int_equal(q[i], want[i]);
    }
}

static void a_minimum_may_have_to_be_below_zero(void **state)
{
    (void)state;
    float x[32];
    r1_fit_block b;
    for (int i = 0; i < 32; i++)
        x[i] = 5 + (float)i / 32;
    r1_fit_open(&b, x, 32);
    assert_true(r1_fit_scale_min(&b, 15, true).min == 0);
    near(r1_fit_scale_min(&b, 15, false).min, -5, 0.05f);
}

static void blocks_of_one_value_are_exact(void **state)
{
    (void)state;
    static const float values[] = {0, 3, -3, 1e-3f, -700};
    for (int v = 0; v < 5; v++) {
        float x[32];
        for (int i = 0; i < 32; i++)
            x[i] = values[v];
        r1_fit_block b;
        int8_t q[32];
        r1_fit_open(&b, x, 32);
        for (int below = 0; below < 2; below++) {
            r1_fit_line line = r1_fit_scale_min(&b, 15, below);
            r1_fit_round(&b, line, 0, 15, q);
            for (int i = 0; i < 32; i++)
                near(line.scale * (float)q[i] - line.min, values[v], 1e-6f * fabsf(values[v]));
            assert_true(line.scale >= 0 && (!below || line.min >= 0));
        }
        r1_fit_line line = r1_fit_scale(&b, -16, 15);
        r1_fit_round(&b, line, -16, 15, q);
        near(line.scale * (float)q[0], values[v], 1e-6f * fabsf(values[v]));
    }
}

static void no_plain_choice_is_better(void **state)
{
    (void)state;
    for (int trial = 0; trial < 300; trial++) {
        float x[32], low = FLT_MAX, high = -FLT_MAX, largest = 0;
        for (int i = 0; i < 32; i++) {
            x[i] = uniform(-1, 1);
            if (trial % 3 == 0)
                x[i] *= x[i] * x[i];
            low = fminf(low, x[i]);
            high = fmaxf(high, x[i]);
            largest = fabsf(x[i]) > fabsf(largest) ? x[i] : largest;
        }
        r1_fit_block b;
        r1_fit_open(&b, x, 32);
        const r1_fit_line plain[2] = {{largest / -16, 0}, {(high - low) / 15, -low}};
        const r1_fit_line found[2] = {r1_fit_scale(&b, -16, 15),
                                      r1_fit_scale_min(&b, 15, false)};
        for (int k = 0; k < 2; k++) {
            const int lo = k ? 0 : -16;
            r1_fit_sums p = r1_fit_measure(&b, plain[k], lo, 15);
            r1_fit_sums f = r1_fit_measure(&b, found[k], lo, 15);
            assert_true(r1_fit_error(&f, found[k]) <= r1_fit_error(&p, plain[k]) * 1.0001);
        }
    }
}

static void a_codebook_s_scale_is_found_again(void **state)
{
    (void)state;
    for (int trial = 0; trial < 50; trial++) {
        const float d = uniform(0.001f, 1) * (trial % 2 ? 1 : -1);
        int want[32];
        float x[32];
        uint8_t index[32];
        fill_integers(want, 32, 0, 15);
        for (int i = 0; i < 32; i++)
            x[i] = d * (float)r1_quant_iq4_nl[want[i]];
        r1_fit_block b;
        r1_fit_open(&b, x, 32);
        r1_fit_line line = r1_fit_codebook(&b, r1_quant_iq4_nl);
        near(line.scale, d, 1e-4f * fabsf(d));
        r1_fit_lookup(&b, r1_quant_iq4_nl, line.scale, index);
        for (int i = 0; i < 32; i++)
            assert_int_equal(index[i], want[i]);
    }
}

static void foreign_values_are_tamed(void **state)
{
    (void)state;
    float x[16] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1, -1e-45f};
    r1_fit_block b;
    r1_fit_open(&b, x, 16);
    assert_true(b.x[0] == 0 && b.x[1] == 1e9f && b.x[2] == -1e9f && b.x[5] == 1);
    assert_true(isfinite(b.sum.wxx));
    assert_true(isfinite(r1_fit_scale(&b, -32, 31).scale));
    r1_fit_line line = r1_fit_scale_min(&b, 31, true);
    assert_true(isfinite(line.scale) && isfinite(line.min));
    assert_true(r1_fit_half(1e9f) == 65504 && r1_fit_half(-1e9f) == -65504);
    assert_true(r1_fit_half(1e-9f) == 0x1p-24f && r1_fit_half(-1e-9f) == -0x1p-24f);
    assert_true(r1_fit_half(1e-12f) == 0 && r1_fit_half(0) == 0);
    assert_true(r1_fit_half(1 + 0x1p-12f) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_errors_are_those_of_the_definition),
        cmocka_unit_test(a_scale_of_either_sign_is_found_again),
        cmocka_unit_test(a_scale_and_a_minimum_are_found_again),
        cmocka_unit_test(a_minimum_may_have_to_be_below_zero),
        cmocka_unit_test(blocks_of_one_value_are_exact),
        cmocka_unit_test(no_plain_choice_is_better),
        cmocka_unit_test(a_codebook_s_scale_is_found_again),
        cmocka_unit_test(foreign_values_are_tamed),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
