/* Blocks of 256: what a format can say exactly survives; the layout is kquant.h's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "compute/kquant.h"
#include "compute/quant.h"

enum { BLOCK = R1_KQUANT_BLOCK, MAX_BYTES = 210 };

static const struct {
    r1_dtype dtype;
    int subs, lo, hi, scale_lo, scale_hi, min_hi;
} formats[] = {
    {R1_Q2_K, 16, 0, 3, 0, 15, 15},       {R1_Q3_K, 16, -4, 3, -32, 31, 0},
    {R1_Q4_K, 8, 0, 15, 0, 63, 63},       {R1_Q5_K, 8, 0, 31, 0, 63, 63},
    {R1_Q6_K, 16, -32, 31, -128, 127, 0},
};
enum { N_FORMATS = sizeof formats / sizeof formats[0] };

/* A block whose every number the format can hold: all integers, scales and minima are met. */
static void representable(int f, uint64_t trial, float *x)
{
    r1_rng rng = r1_rng_init(21, R1_RNG_TEST, trial);
    const int width = BLOCK / formats[f].subs, lo = formats[f].lo, hi = formats[f].hi;
    for (int s = 0; s < formats[f].subs; s++) {
        /* Neither scale nor range so small that another line says the same. */
        int scale = formats[f].scale_hi / 2 +
                    (int)r1_rng_below(&rng, (uint32_t)(formats[f].scale_hi / 2 + 1));
        int min =
            formats[f].min_hi ? (int)r1_rng_below(&rng, (uint32_t)formats[f].min_hi + 1) : 0;
        if (formats[f].scale_lo < 0 && s % 2)
            scale = -scale;
        if (s == 1) { /* the extremes, from which d and dmin follow */
            scale = formats[f].scale_lo < 0 ? formats[f].scale_lo : formats[f].scale_hi;
            min = formats[f].min_hi;
        }
        for (int i = 0; i < width; i++) {
            int q = i == 0   ? lo
                    : i == 1 ? hi
                             : lo + (int)r1_rng_below(&rng, (uint32_t)(hi - lo + 1));
            x[s * width + i] = 0.0625f * (float)(scale * q) - 0.125f * (float)min;
        }
    }
}

static void what_can_be_said_exactly_survives(void **state)
{
    (void)state;
    for (int f = 0; f < N_FORMATS; f++)
        for (uint64_t trial = 0; trial < 20; trial++) {
            float x[BLOCK], y[BLOCK];
            uint8_t q[MAX_BYTES];
            representable(f, trial, x);
            r1_kquant_encode(formats[f].dtype, x, q);
            r1_kquant_decode(formats[f].dtype, q, y);
            double error = 0, size = 0;
            for (int i = 0; i < BLOCK; i++) {
                double off = (double)(x[i] - y[i]);
                error += off * off;
                size += (double)x[i] * (double)x[i];
            }
            /* A minimum beyond the integers' range (Q2_K) is not always found exactly. */
            double bound = formats[f].dtype == R1_Q2_K ? 3e-2 : 1e-7;
            if (error > bound * size)
                fail_msg("%s, block %d: relative error %g",
                         r1_tensor_traits(formats[f].dtype)->name, (int)trial,
                         sqrt(error / size));
        }
}

/* One block by hand: the first and the last weight, and what their scales are made of. */
static void the_layouts_are_ggmls(void **state)
{
    (void)state;
    float y[BLOCK];
    uint8_t b[MAX_BYTES] = {0};
    const uint16_t one = r1_quant_f16_from_f32(1), half = r1_quant_f16_from_f32(0.5f);
    memcpy(b, &one, 2);
    memcpy(b + 2, &half, 2);
    b[4] = 5 | 2 << 6;      /* scale 0; the upper bits of scale 4 */
    b[7] = 3 << 6;          /* the upper bits of scale 7 */
    b[8] = 9 | 1 << 6;      /* min 0; the upper bits of min 4 */
    b[11] = 2 << 6;         /* the upper bits of min 7 */
    b[12] = 3 | 4 << 4;     /* the lower bits of scale and min 4 */
    b[15] = 0xf | 0xe << 4; /* of 7 */
    int scale, min;
    r1_kquant_scale_min(b + 4, 0, &scale, &min);
    assert_true(scale == 5 && min == 9);
    r1_kquant_scale_min(b + 4, 4, &scale, &min);
    assert_true(scale == (2 << 4 | 3) && min == (1 << 4 | 4));
    r1_kquant_scale_min(b + 4, 7, &scale, &min);
    assert_true(scale == 63 && min == (2 << 4 | 14));
    b[16] = 7;
    b[16 + 127] = 11 << 4;
    r1_kquant_decode(R1_Q4_K, b, y);
    assert_true(y[0] == 5 * 7 - 0.5f * 9 && y[255] == 63 * 11 - 0.5f * 46);
    memmove(b + 48, b + 16, 128);
    memset(b + 16, 0, 32);
    b[16] = 1;
    b[47] = 1 << 7;
    r1_kquant_decode(R1_Q5_K, b, y);
    assert_true(y[0] == 5 * 23 - 0.5f * 9 && y[255] == 63 * 27 - 0.5f * 46);

    memset(b, 0, sizeof b);
    memcpy(b + 208, &half, 2);
    b[192] = (uint8_t)-128;
    b[207] = 127;
    b[127] = 15 << 4;
    b[191] = 3 << 6;
    r1_kquant_decode(R1_Q6_K, b, y);
    assert_true(y[0] == 0.5f * -128 * -32 && y[255] == 0.5f * 127 * 31);
}

static void equal_weights_are_kept(void **state)
{
    (void)state;
    static const float values[] = {0, 1, -1, 0.3f, -0.7f};
    for (int f = 0; f < N_FORMATS; f++)
        for (int v = 0; v < 5; v++) {
            float x[BLOCK], y[BLOCK];
            uint8_t q[MAX_BYTES];
            for (int i = 0; i < BLOCK; i++)
                x[i] = values[v];
            r1_kquant_encode(formats[f].dtype, x, q);
            r1_kquant_decode(formats[f].dtype, q, y);
            for (int i = 0; i < BLOCK; i++)
                if (fabsf(y[i] - x[i]) > 1e-3f * fabsf(x[i]))
                    fail_msg("%s: %g becomes %g", r1_tensor_traits(formats[f].dtype)->name,
                             (double)x[i], (double)y[i]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_said_exactly_survives),
        cmocka_unit_test(the_layouts_are_ggmls),
        cmocka_unit_test(equal_weights_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
