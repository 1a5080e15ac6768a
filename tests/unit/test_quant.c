/* Encodings against vectors made with gguf-py, and every half and byte pattern on its own. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../golden/quant.h"
#include "base/mem.h"
#include "base/rng.h"
#include "compute/quant.h"

enum { N_BLOCKS = sizeof golden_blocks / sizeof golden_blocks[0] };
enum { N_HALVES = sizeof golden_halves / sizeof golden_halves[0] };

static uint32_t bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static void check_blocks(r1_dtype dtype, const uint8_t *golden, size_t golden_size,
                         const uint32_t *golden_decoded)
{
    float x[N_BLOCKS], y[N_BLOCKS];
    uint8_t q[N_BLOCKS * 2];
    memcpy(x, golden_blocks, sizeof x);
    assert_int_equal(r1_tensor_bytes(dtype, N_BLOCKS), golden_size);
    r1_quant_encode(dtype, x, q, N_BLOCKS);
    assert_memory_equal(q, golden, golden_size);
    r1_quant_decode(dtype, golden, y, N_BLOCKS);
    for (int i = 0; i < N_BLOCKS; i++)
        assert_int_equal(bits(y[i]), golden_decoded[i]);
}

static void q8_0_is_ggmls(void **state)
{
    (void)state;
    check_blocks(R1_Q8_0, golden_q8_0, sizeof golden_q8_0, golden_q8_0_decoded);
}

static void q4_0_is_ggmls(void **state)
{
    (void)state;
    check_blocks(R1_Q4_0, golden_q4_0, sizeof golden_q4_0, golden_q4_0_decoded);
}

static void q4_1_is_ggmls(void **state)
{
    (void)state;
    check_blocks(R1_Q4_1, golden_q4_1, sizeof golden_q4_1, golden_q4_1_decoded);
}

enum { MAX_BLOCK = 256, MAX_BLOCK_BYTES = 210 };

/* The generator of tools/gen_golden_quant.py. */
static uint8_t next_byte(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint8_t)(*state >> 56);
}

/* FNV-1a over the bits, every NaN alike. */
static void sum_up(uint64_t *sum, const float *y, int n)
{
    for (int i = 0; i < n; i++)
        *sum = (*sum ^ (isnan(y[i]) ? 0x7fc00000 : bits(y[i]))) * 0x100000001b3u;
}

static r1_dtype dtype_named(const char *name)
{
    for (int i = 0; i < R1_DTYPE_COUNT; i++)
        if (!strcmp(r1_tensor_traits((r1_dtype)i)->name, name))
            return (r1_dtype)i;
    fail_msg("no dtype is called %s", name);
    return R1_DTYPE_COUNT;
}

/* Random blocks, whose scales are any half, infinite ones too; then extreme scales. */
static void every_format_decodes_as_ggufs(void **state)
{
    (void)state;
    enum { N_SCALES = sizeof golden_scales / sizeof golden_scales[0] };
    for (size_t f = 0; f < sizeof golden_formats / sizeof golden_formats[0]; f++) {
        const r1_dtype dtype = dtype_named(golden_formats[f].name);
        const r1_dtype_traits *t = r1_tensor_traits(dtype);
        uint8_t q[MAX_BLOCK_BYTES];
        float y[MAX_BLOCK];
        uint64_t seed = 1, sum = 0xcbf29ce484222325u;
        for (int i = 0; i < GOLDEN_RANDOM; i++) {
            for (int k = 0; k < t->bytes; k++)
                q[k] = next_byte(&seed);
            r1_quant_decode(dtype, q, y, t->block);
            sum_up(&sum, y, t->block);
            for (int k = 0; i == 0 && k < t->block; k++)
                if (bits(y[k]) != golden_formats[f].first[k])
                    fail_msg("%s: element %d is %a, not %a", t->name, k, (double)y[k],
                             (double)of_bits(golden_formats[f].first[k]));
        }
        for (int i = 0; i < N_SCALES; i++)
            for (size_t k = 0; k < sizeof golden_fills; k++) {
                memset(q, golden_fills[k], sizeof q);
                for (int s = 0; s < 2 && golden_formats[f].scale[s] >= 0; s++)
                    memcpy(q + golden_formats[f].scale[s],
                           &golden_scales[(i + 3 * s) % N_SCALES], 2);
                r1_quant_decode(dtype, q, y, t->block);
                sum_up(&sum, y, t->block);
            }
        if (sum != golden_formats[f].sum)
            fail_msg("%s decodes to other values", t->name);
    }
}

static void every_f8_is_torchs(void **state)
{
    (void)state;
    for (int i = 0; i < 256; i++) {
        const uint8_t q = (uint8_t)i;
        float y;
        r1_quant_decode(R1_F8_E4M3, &q, &y, 1);
        if ((i & 127) == 127)
            assert_true(isnan(y));
        else
            assert_int_equal(bits(y), golden_f8_e4m3[i]);
    }
    uint8_t back;
    for (int i = 0; i < 256; i++) {
        float y = r1_quant_f8_to_f32((uint8_t)i);
        r1_quant_encode(R1_F8_E4M3, &y, &back, 1);
        assert_int_equal(back, i);
    }
    for (int i = 0; i < N_HALVES; i++)
        assert_int_equal(r1_quant_f8_from_f32(of_bits(golden_halves[i])), golden_halves_f8[i]);
    for (int i = 0; i < 0x7e; i++) { /* half way between neighbours */
        float lo = r1_quant_f8_to_f32((uint8_t)i), hi = r1_quant_f8_to_f32((uint8_t)(i + 1));
        float mid = lo + (hi - lo) / 2;
        assert_int_equal(r1_quant_f8_from_f32(mid), i + (i & 1));
        assert_int_equal(r1_quant_f8_from_f32(nextafterf(mid, 0)), i);
        assert_int_equal(r1_quant_f8_from_f32(-nextafterf(mid, 1000)), 0x80 | (i + 1));
    }
    assert_true(r1_quant_f8_to_f32(0x7e) == 448 && r1_quant_f8_to_f32(0x81) == -0x1p-9f);
}

/* ---- Formats that search for their scales ------------------------------------------------ */

/* The samples of tools/gen_golden_quant.py. */
static float *samples(bool heavy)
{
    float *x = r1_mem_alloc(GOLDEN_SAMPLES * sizeof *x);
    uint64_t seed = 1;
    for (int i = 0; i < GOLDEN_SAMPLES; i++) {
        int sum = 0;
        for (int k = 0; k < 4; k++)
            sum += next_byte(&seed);
        float v = (float)(sum - 510) / 4096;
        float square = v * v;
        x[i] = heavy ? square * v : v;
    }
    return x;
}

/* The encoded bytes summed up: optimised or sanitised, by gcc or clang, they are the same. */
static const struct {
    const char *name;
    uint64_t sum[2];
} encoded[] = {
    {"Q5_0", {0xe339534b971ed66b, 0x778b66de12061332}},
    {"Q5_1", {0x4a9f838f3907323a, 0xe64167db2b7bbc6b}},
    {"IQ4_NL", {0x7409b9dc4bf1abbb, 0x53b58809730a3a3a}},
    {"Q2_K", {0x1fb70e5b76d428d1, 0xc489e0910de00d4f}},
    {"Q3_K", {0xb38776fc4983055b, 0xc42d9d6ffd8a353f}},
    {"Q4_K", {0x4e207a93d5759794, 0xc8da0cd338543b1d}},
    {"Q5_K", {0x44ddd1402945bf8e, 0xdfceaf8e9da2d769}},
    {"Q6_K", {0x92b0faaf699d9237, 0xf75ac4c42eb2e057}},
};

static void the_search_is_as_good_as_ggmls_and_the_same_in_every_build(void **state)
{
    (void)state;
    enum { N_FORMATS = sizeof golden_ggml / sizeof golden_ggml[0] };
    assert_int_equal(sizeof encoded / sizeof encoded[0], N_FORMATS);
    float *y = r1_mem_alloc(GOLDEN_SAMPLES * sizeof *y);
    for (int heavy = 0; heavy < 2; heavy++) {
        float *x = samples(heavy);
        for (int f = 0; f < N_FORMATS; f++) {
            const r1_dtype dtype = dtype_named(golden_ggml[f].name);
            const size_t bytes = r1_tensor_bytes(dtype, GOLDEN_SAMPLES);
            uint8_t *q = r1_mem_alloc(bytes);
            r1_quant_encode(dtype, x, q, GOLDEN_SAMPLES);
            r1_quant_decode(dtype, q, y, GOLDEN_SAMPLES);
            double error = 0;
            for (int i = 0; i < GOLDEN_SAMPLES; i++) {
                double off = (double)(x[i] - y[i]);
                error += off * off;
            }
            if (!(error < golden_ggml[f].error[heavy]))
                fail_msg("%s: squared error %g, ggml's is %g", golden_ggml[f].name, error,
                         golden_ggml[f].error[heavy]);
            uint64_t sum = 0xcbf29ce484222325u;
            for (size_t i = 0; i < bytes; i++)
                sum = (sum ^ q[i]) * 0x100000001b3u;
            assert_string_equal(encoded[f].name, golden_ggml[f].name);
            if (sum != encoded[f].sum[heavy])
                fail_msg("%s: the encoded bytes sum up to 0x%016llx", golden_ggml[f].name,
                         (unsigned long long)sum);
            r1_mem_free(q);
        }
        r1_mem_free(x);
    }
    r1_mem_free(y);
}

/* Scales at the limits of F16: smaller weights become coarser, larger ones saturate. */
static void scales_beyond_f16_are_bounded(void **state)
{
    (void)state;
    static const float sizes[] = {1e-30f, 1e-12f, 1e-7f, 1e-6f, 1e-5f,
                                  1e5f,   1e7f,   1e20f, 3e38f};
    float x[MAX_BLOCK], y[MAX_BLOCK];
    uint8_t q[MAX_BLOCK_BYTES * 8];
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (size_t f = 0; f < sizeof golden_ggml / sizeof golden_ggml[0]; f++) {
            const r1_dtype dtype = dtype_named(golden_ggml[f].name);
            r1_rng rng = r1_rng_init(5, R1_RNG_TEST, s);
            for (int i = 0; i < MAX_BLOCK; i++)
                x[i] = (r1_rng_float(&rng) * 2 - 1) * sizes[s];
            r1_quant_encode(dtype, x, q, MAX_BLOCK);
            r1_quant_decode(dtype, q, y, MAX_BLOCK);
            double error = 0, size = 0;
            for (int i = 0; i < MAX_BLOCK; i++) {
                assert_true(isfinite(y[i]));
                double off = (double)x[i] - (double)y[i];
                error += off * off;
                size += (double)x[i] * (double)x[i];
            }
            if (sizes[s] > 1e-7f && sizes[s] <= 1e5f && error > 0.16 * size)
                fail_msg("%s of %g: relative error %g", golden_ggml[f].name, (double)sizes[s],
                         sqrt(error / size));
            if (sizes[s] <= 1e-7f)
                assert_true(error <= size + 256 * 0x1p-46);
        }
}

/* ---- Plain types ------------------------------------------------------------------------- */

static void halves_round_to_nearest_even(void **state)
{
    (void)state;
    float x[N_HALVES];
    uint16_t h[N_HALVES];
    memcpy(x, golden_halves, sizeof x);
    r1_quant_encode(R1_F16, x, h, N_HALVES);
    for (int i = 0; i < N_HALVES; i++)
        assert_int_equal(h[i], golden_f16[i]);
    r1_quant_encode(R1_BF16, x, h, N_HALVES);
    for (int i = 0; i < N_HALVES; i++)
        assert_int_equal(h[i], golden_bf16[i]);
}

static void every_half_survives(void **state)
{
    (void)state;
    for (uint32_t u = 0; u < 65536; u++) {
        uint16_t h = (uint16_t)u;
        float f = r1_quant_f16_to_f32(h), b = r1_bf16_to_f32(h);
        if ((h & 0x7fff) > 0x7c00)
            assert_true(isnan(f) && r1_quant_f16_from_f32(f) == (h | 0x200));
        else
            assert_int_equal(r1_quant_f16_from_f32(f), h);
        if ((h & 0x7fff) > 0x7f80)
            assert_true(isnan(b) && r1_bf16_from_f32(b) == (h | 64));
        else
            assert_int_equal(r1_bf16_from_f32(b), h);
    }
    assert_true(r1_quant_f16_to_f32(0x3c01) == 1 + 0x1p-10f);
    assert_true(r1_quant_f16_to_f32(0x0001) == 0x1p-24f);
    assert_true(r1_quant_f16_to_f32(0x7bff) == 65504);
    assert_true(isinf(r1_quant_f16_to_f32(0xfc00)));
}

/* Halfway points between neighbours go to the even one, a hair beyond to the nearer. */
static void every_tie_goes_to_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7bff; h++) {
        float lo = r1_quant_f16_to_f32((uint16_t)h),
              hi = r1_quant_f16_to_f32((uint16_t)(h + 1));
        float mid = lo + (hi - lo) / 2;
        assert_int_equal(r1_quant_f16_from_f32(mid), h + (h & 1));
        assert_int_equal(r1_quant_f16_from_f32(nextafterf(mid, 0)), h);
        assert_int_equal(r1_quant_f16_from_f32(nextafterf(mid, INFINITY)), h + 1);
        assert_int_equal(r1_quant_f16_from_f32(-mid), 0x8000 | (h + (h & 1)));
    }
}

static void plain_types_are_kept(void **state)
{
    (void)state;
    const float x[4] = {1.5f, -0.0f, INFINITY, 1e-40f};
    float y[4], z[4];
    r1_quant_encode(R1_F32, x, y, 4);
    r1_quant_decode(R1_F32, y, z, 4);
    assert_memory_equal(x, z, sizeof x);
    const float f[6] = {-3, 2.5f, 3.5f, 1e20f, -1e20f, 0};
    const int32_t expected[6] = {-3, 2, 4, INT32_MAX, INT32_MIN, 0};
    int32_t v[6];
    float back[6];
    r1_quant_encode(R1_I32, f, v, 6);
    assert_memory_equal(v, expected, sizeof v);
    r1_quant_decode(R1_I32, v, back, 6);
    assert_true(back[0] == -3 && back[2] == 4 && back[5] == 0);
}

/* Weights that no model has: nothing undefined may happen. */
static void wild_values_are_defined(void **state)
{
    (void)state;
    float x[MAX_BLOCK], y[MAX_BLOCK];
    uint8_t q[MAX_BLOCK * 2];
    static const float wild[] = {NAN,      INFINITY, -INFINITY, 3.4e38f,
                                 -3.4e38f, 1e-45f,   -1e-45f,   0};
    for (int trial = 0; trial < 64; trial++) {
        r1_rng rng = r1_rng_init(1, R1_RNG_TEST, (uint64_t)trial);
        for (int i = 0; i < MAX_BLOCK; i++)
            x[i] = trial < 8 ? wild[trial] : wild[r1_rng_below(&rng, 8)];
        for (r1_dtype t = R1_Q8_0; t < R1_F8_E4M3; t++) {
            r1_quant_encode(t, x, q, MAX_BLOCK);
            r1_quant_decode(t, q, y, MAX_BLOCK);
            for (int i = 0; t > R1_Q4_1 && i < MAX_BLOCK; i++)
                assert_true(isfinite(y[i]));
        }
    }
    for (int i = 0; i < 32; i++)
        x[i] = of_bits((uint32_t)i); /* so small that the scale vanishes */
    r1_quant_encode(R1_Q8_0, x, q, 32);
    for (int i = 0; i < 2; i++)
        assert_int_equal(q[i], 0);
}

static void error_stays_within_half_a_step(void **state)
{
    (void)state;
    r1_rng rng = r1_rng_init(3, R1_RNG_TEST, 0);
    float x[32], y[32];
    uint8_t q[64];
    for (int trial = 0; trial < 200; trial++) {
        float most = 0, least = 1;
        for (int i = 0; i < 32; i++) {
            x[i] = r1_rng_float(&rng) * 2 - 1;
            most = fmaxf(most, fabsf(x[i]));
            least = fminf(least, x[i]);
        }
        r1_quant_encode(R1_Q8_0, x, q, 32);
        r1_quant_decode(R1_Q8_0, q, y, 32);
        for (int i = 0; i < 32; i++)
            assert_true(fabsf(x[i] - y[i]) <= most * (0.5f / 127 + 0.0006f));
        r1_quant_encode(R1_Q4_1, x, q, 32);
        r1_quant_decode(R1_Q4_1, q, y, 32);
        for (int i = 0; i < 32; i++)
            assert_true(fabsf(x[i] - y[i]) <= 1.0f / 15 + 0.003f);
    }
}

/* ---- Dtypes and views -------------------------------------------------------------------- */

static void traits_are_consistent(void **state)
{
    (void)state;
    for (int i = 0; i < R1_DTYPE_COUNT; i++) {
        const r1_dtype_traits *t = r1_tensor_traits((r1_dtype)i);
        r1_dtype back;
        assert_true(t->ggml_type >= 0 || t->safetensors);
        if (t->ggml_type >= 0) {
            assert_true(r1_tensor_dtype_of_ggml((uint32_t)t->ggml_type, &back));
            assert_int_equal(back, i);
        }
        if (t->safetensors) {
            assert_true(r1_tensor_dtype_of_safetensors(t->safetensors, &back));
            assert_int_equal(back, i);
        }
        assert_int_equal(r1_tensor_bytes((r1_dtype)i, 3 * t->block), 3 * t->bytes);
    }
    r1_dtype none;
    assert_false(r1_tensor_dtype_of_ggml(9, &none)); /* Q8_1 */
    assert_false(r1_tensor_dtype_of_ggml((uint32_t)-1, &none));
    assert_false(r1_tensor_dtype_of_safetensors("F8_E5M2", &none));
    assert_false(r1_tensor_dtype_of_safetensors("f32", &none));
}

static void views_point_at_rows(void **state)
{
    (void)state;
    uint8_t q[4 * 2 * 34];
    r1_tensor t = r1_tensor_2d(q, R1_Q8_0, 4, 64);
    assert_int_equal(r1_tensor_count(t), 256);
    r1_tensor r = r1_tensor_rows(t, 1, 2);
    assert_ptr_equal(r.data, q + 68);
    assert_int_equal(r.shape[0], 2);
    assert_int_equal(r.shape[1], 64);
    t.stride0 = 32; /* rows may overlap or be spaced: the stride counts, not the width */
    assert_ptr_equal(r1_tensor_rows(t, 3, 1).data, q + 102);
    assert_null(r1_tensor_rows(r1_tensor_2d(NULL, R1_F32, 4, 4), 2, 1).data);
    r1_tensor v = r1_tensor_1d(q, R1_F32, 5);
    assert_int_equal(r1_tensor_count(v), 5);
    assert_int_equal(v.rank, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(q8_0_is_ggmls),
        cmocka_unit_test(q4_0_is_ggmls),
        cmocka_unit_test(q4_1_is_ggmls),
        cmocka_unit_test(every_format_decodes_as_ggufs),
        cmocka_unit_test(every_f8_is_torchs),
        cmocka_unit_test(the_search_is_as_good_as_ggmls_and_the_same_in_every_build),
        cmocka_unit_test(scales_beyond_f16_are_bounded),
        cmocka_unit_test(halves_round_to_nearest_even),
        cmocka_unit_test(every_half_survives),
        cmocka_unit_test(every_tie_goes_to_even),
        cmocka_unit_test(plain_types_are_kept),
        cmocka_unit_test(wild_values_are_defined),
        cmocka_unit_test(error_stays_within_half_a_step),
        cmocka_unit_test(traits_are_consistent),
        cmocka_unit_test(views_point_at_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
