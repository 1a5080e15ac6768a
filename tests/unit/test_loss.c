/* test_loss.c: advantages, losses and gradients against TRL's values, against finite differences,
 * and the properties that hold whatever the numbers are. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "recipe/loss.h"

#include "../golden/loss.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void expect_near(double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fmax(fabs(want), 1e-3)))
        fail_msg("got %.10g, want %.10g", got, want);
}

/* A whole sequence. */
static void sequence(const r1_loss_options *o, const float *lp, const float *old,
                     const float *ref, int n, float advantage, double weight, float *dlp,
                     r1_loss_stats *stats)
{
    const r1_loss_tokens t = {.n = n,
                              .lp = lp,
                              .old = old,
                              .ref = ref,
                              .advantage = advantage,
                              .weight = weight,
                              .log_ratio = r1_loss_log_ratio(lp, old, n)};
    r1_loss_sequence(o, &t, dlp, stats);
}

typedef struct {
    float advantage[GOLDEN_SEQUENCES], dlp[GOLDEN_TOKENS];
    r1_loss_stats stats;
} outcome;

/* sampler: NULL, or what corrects the policy's part. */
static outcome run_with(r1_loss_options o, r1_loss_scale scale, const float *lp,
                        const float *sampler)
{
    outcome out = {0};
    bool dead[GOLDEN_SEQUENCES / GOLDEN_SIZE];
    float correction[GOLDEN_TOKENS];
    o.max_completion = GOLDEN_MAX_COMPLETION;
    assert_int_equal(r1_loss_advantages(golden_rewards, GOLDEN_SEQUENCES / GOLDEN_SIZE,
                                        GOLDEN_SIZE, scale, out.advantage, dead),
                     0);
    if (sampler)
        r1_loss_correct(golden_old, sampler, GOLDEN_TOKENS, GOLDEN_CAP, correction);
    for (int s = 0, at = 0; s < GOLDEN_SEQUENCES; at += golden_lengths[s++]) {
        int n = golden_lengths[s];
        const r1_loss_tokens t = {.n = n,
                                  .lp = lp + at,
                                  .old = golden_old + at,
                                  .ref = o.beta != 0 ? golden_ref + at : NULL,
                                  .correction = sampler ? correction + at : NULL,
                                  .advantage = out.advantage[s],
                                  .weight =
                                      r1_loss_weight(&o, n, GOLDEN_SEQUENCES, GOLDEN_TOKENS),
                                  .log_ratio = r1_loss_log_ratio(lp + at, golden_old + at, n)};
        r1_loss_sequence(&o, &t, out.dlp + at, &out.stats);
    }
    return out;
}

static outcome run(r1_loss_options o, r1_loss_scale scale, const float *lp)
{
    return run_with(o, scale, lp, NULL);
}

static void test_golden(void **state)
{
    (void)state;
    int clipped = 0;
    for (size_t c = 0; c < COUNT(golden_loss); c++) {
        r1_loss_options o = {.type = golden_loss[c].type,
                             .epsilon_low = 0.2f,
                             .epsilon_high = golden_loss[c].epsilon_high,
                             .beta = golden_loss[c].beta,
                             .delta = golden_loss[c].delta};
        outcome got = run_with(o, golden_loss[c].scale, golden_lp,
                               golden_loss[c].corrected ? golden_sampler : NULL);
        const r1_loss_stats *s = &got.stats;
        const double *clip = golden_loss[c].clip;
        double n = (double)s->tokens;
        assert_int_equal(s->tokens, GOLDEN_TOKENS);
        assert_int_equal(s->sequences, GOLDEN_SEQUENCES);
        /* Corrections are F32. */
        expect_near(s->loss, golden_loss[c].loss, golden_loss[c].corrected ? 1e-6 : 1e-10);
        expect_near(s->kl / n, golden_loss[c].kl, 1e-10);
        if (o.type != R1_LOSS_GSPO) { /* there TRL counts sequences where we count tokens */
            expect_near((double)s->low / n, clip[0], 1e-6);
            expect_near((double)s->high / n, clip[1], 1e-6);
            expect_near((double)(s->low + s->high) / n, clip[2], 1e-6);
        }
        clipped += o.type == R1_LOSS_GSPO && s->high > 0;
        expect_near(s->low_min, clip[3], 1e-6);
        expect_near(s->high_max, clip[4], 1e-6);
        for (int i = 0; i < GOLDEN_SEQUENCES; i++)
            expect_near((double)got.advantage[i], golden_loss[c].advantage[i], 1e-6);
        for (int i = 0; i < GOLDEN_TOKENS; i++)
            expect_near((double)got.dlp[i], golden_loss[c].dlp[i], 1e-6);
    }
    assert_true(clipped > 0);
}

/* The same batch in round numbers, so that a wrong golden file cannot hide a wrong loss. */
static void test_known_values(void **state)
{
    (void)state;
    static const struct {
        r1_loss_type type;
        float high, beta;
        r1_loss_scale scale;
        double loss, sum, norm, first, third;
    } rows[] = {
        {R1_LOSS_GRPO, 0.2f, 0, R1_SCALE_GROUP, 0.024469429, 0.144660584, 0.234048003,
         -0.039068167, -0.020759136},
        {R1_LOSS_BNPO, 0.2f, 0, R1_SCALE_GROUP, -0.314970941, -0.145289310, 0.163172152,
         -0.052090890, -0.033214618},
        {R1_LOSS_DAPO, 0.2f, 0, R1_SCALE_GROUP, -0.314970941, -0.145289310, 0.163172152,
         -0.052090890, -0.033214618},
        {R1_LOSS_DR_GRPO, 0.2f, 0, R1_SCALE_GROUP, -0.147642629, -0.068104364, 0.076486946,
         -0.024417605, -0.015569352},
        {R1_LOSS_DAPO, 0.2f, 0.05f, R1_SCALE_GROUP, -0.310425753, -0.149134498, 0.164552339,
         -0.051486659, -0.037680107},
        {R1_LOSS_DAPO, 0.28f, 0, R1_SCALE_GROUP, -0.324684118, -0.204021624, 0.173420403,
         -0.052090890, -0.033214618},
        {R1_LOSS_GRPO, 0.2f, 0, R1_SCALE_NONE, 0.017304946, 0.102304946, 0.165520335,
         -0.027629273, -0.014681002},
    };
    for (size_t c = 0; c < COUNT(rows); c++) {
        r1_loss_options o = {.type = rows[c].type,
                             .epsilon_low = 0.2f,
                             .epsilon_high = rows[c].high,
                             .beta = rows[c].beta};
        outcome got = run(o, rows[c].scale, golden_lp);
        double sum = 0, squares = 0;
        for (int i = 0; i < GOLDEN_TOKENS; i++) {
            sum += (double)got.dlp[i];
            squares += (double)got.dlp[i] * (double)got.dlp[i];
        }
        expect_near(got.stats.loss, rows[c].loss, 1e-6);
        expect_near(sum, rows[c].sum, 1e-6);
        expect_near(sqrt(squares), rows[c].norm, 1e-6);
        expect_near((double)got.dlp[0], rows[c].first, 1e-6);
        expect_near((double)got.dlp[8], rows[c].third, 1e-6);
    }
}

/* Away from the kinks the central difference of the loss is the gradient. */
static void expect_slopes(r1_loss_options o, const float *sampler)
{
    outcome at = run_with(o, R1_SCALE_BATCH, golden_lp, sampler);
    for (int i = 0; i < GOLDEN_TOKENS; i++) {
        float lp[GOLDEN_TOKENS];
        memcpy(lp, golden_lp, sizeof lp);
        lp[i] = golden_lp[i] + 0x1p-9f;
        float up = lp[i];
        double above = run_with(o, R1_SCALE_BATCH, lp, sampler).stats.loss;
        lp[i] = golden_lp[i] - 0x1p-9f;
        double below = run_with(o, R1_SCALE_BATCH, lp, sampler).stats.loss;
        expect_near((above - below) / ((double)up - (double)lp[i]), (double)at.dlp[i], 1e-5);
    }
}

static void test_finite_differences(void **state)
{
    (void)state;
    for (int type = R1_LOSS_GRPO; type <= R1_LOSS_GSPO; type++)
        for (int kl = R1_KL_K3; kl <= R1_KL_K2; kl++)
            for (int with_kl = 0; with_kl < 2; with_kl++) {
                r1_loss_options o = {.type = (r1_loss_type)type,
                                     .epsilon_low = 0.2f,
                                     .epsilon_high = 0.25f,
                                     .beta = with_kl ? 0.1f : 0,
                                     .kl = (r1_loss_kl)kl};
                expect_slopes(o, NULL);
                o.delta = 1.3f;
                expect_slopes(o, type == R1_LOSS_GSPO ? NULL : golden_sampler);
            }
}

/* k1 = log(pi/ref), k2 = half its square, k3 = e^-k1 + k1 - 1, in numbers worked out by hand. */
static void test_kl_kinds(void **state)
{
    (void)state;
    const float lp[3] = {-1, -0.5f, -2}, ref[3] = {-2, -0.5f, -1.5f}; /* k1: 1, 0, -1/2 */
    expect_near(r1_loss_divergence(R1_KL_K1, lp, ref, 3), 0.5, 1e-15);
    expect_near(r1_loss_divergence(R1_KL_K2, lp, ref, 3), 0.625, 1e-15);
    expect_near(r1_loss_divergence(R1_KL_K3, lp, ref, 3), exp(-1) + exp(0.5) - 1.5, 1e-14);
    const double slope[3][3] = {{1 - exp(-1), 0, 1 - exp(0.5)}, {1, 1, 1}, {1, 0, -0.5}};
    for (int kl = R1_KL_K3; kl <= R1_KL_K2; kl++) {
        const r1_loss_options o = {.type = R1_LOSS_DAPO, .beta = 0.5f, .kl = (r1_loss_kl)kl};
        float d[3];
        r1_loss_stats s = {0};
        sequence(&o, lp, lp, ref, 3, 0, 1, d, &s);
        expect_near(s.kl, r1_loss_divergence(o.kl, lp, ref, 3), 1e-14);
        expect_near(s.loss, 0.5 * s.kl, 1e-14);
        for (int i = 0; i < 3; i++)
            expect_near((double)d[i], 0.5 * slope[kl][i], 1e-6);
    }
}

/* Equal log-probabilities correct nothing, to the bit; a larger ratio than the cap is the cap. */
static void test_correction(void **state)
{
    (void)state;
    const float trainer[4] = {-1, -1, -1, NAN}, sampler[4] = {-1, -3, -0.5f, -1};
    float c[4];
    r1_loss_correct(trainer, sampler, 4, 2, c);
    assert_true(c[0] == 1 && c[1] == 2 && isnan(c[3]));
    expect_near((double)c[2], exp(-0.5), 1e-6);
    const r1_loss_options o = {.type = R1_LOSS_GRPO, .epsilon_low = 0.2f, .epsilon_high = 0.2f};
    outcome plain = run(o, R1_SCALE_GROUP, golden_lp);
    outcome same = run_with(o, R1_SCALE_GROUP, golden_lp, golden_old);
    assert_memory_equal(plain.dlp, same.dlp, sizeof plain.dlp);
}

/* Each side of the clip holds for one sign of the advantage; the edge itself is not clipped. */
static void test_clip(void **state)
{
    (void)state;
    const r1_loss_options o = {.type = R1_LOSS_DAPO, .epsilon_low = 0.5f, .epsilon_high = 1};
    const float old[4] = {0, 0, 0, 0};
    /* ratios e^-1 < 0.5, 1 - a little, 1 + a little, e^1 > 2 */
    const float lp[4] = {-1, -0.1f, 0.1f, 1};
    float d[4];
    r1_loss_stats s = {0};
    sequence(&o, lp, old, NULL, 4, 1, 0.25, d, &s);
    assert_true(d[0] != 0 && d[1] != 0 && d[2] != 0 && d[3] == 0);
    assert_int_equal(s.high, 1);
    assert_int_equal(s.low, 0);
    expect_near(s.high_max, 0.25, 1e-12);
    expect_near(s.loss, -0.25 * (exp(-1) + exp((double)-0.1f) + exp((double)0.1f) + 2), 1e-12);
    expect_near(s.ratio_min, exp(-1), 1e-12);
    expect_near(s.ratio_max, exp(1), 1e-12);
    expect_near(s.difference_max, 1, 1e-12);
    s = (r1_loss_stats){0};
    sequence(&o, lp, old, NULL, 4, -1, 0.25, d, &s);
    assert_true(d[0] == 0 && d[1] != 0 && d[2] != 0 && d[3] != 0);
    assert_int_equal(s.low, 1);
    expect_near(s.low_min, 0.25, 1e-12);
    expect_near(s.loss, 0.25 * (0.5 + exp((double)-0.1f) + exp((double)0.1f) + exp(1)), 1e-12);

    const r1_loss_options on_edge = {.type = R1_LOSS_DAPO};
    s = (r1_loss_stats){0};
    sequence(&on_edge, lp, lp, NULL, 4, 2, 1, d, &s);
    assert_int_equal(s.low + s.high, 0);
    for (int i = 0; i < 4; i++)
        assert_true(d[i] == -2);
}

static void test_limits(void **state)
{
    (void)state;
    const r1_loss_options o = {
        .type = R1_LOSS_DAPO, .epsilon_low = 0.2f, .epsilon_high = 0.2f, .beta = 1};
    const float lp[1] = {0}, far[1] = {-100}, high[1] = {100};
    float d;
    r1_loss_stats s = {0};
    sequence(&o, lp, far, lp, 1, -1, 1, &d, &s); /* a ratio of e^100 */
    expect_near(s.loss, exp(20), 1e-12);
    assert_true(d == 0);
    s = (r1_loss_stats){0};
    sequence(&o, lp, lp, high, 1, 0, 1, &d, &s); /* the policy far below the reference */
    expect_near(s.loss, exp(20) - 21, 1e-12);
    assert_true(d == 0);
    s = (r1_loss_stats){0};
    sequence(&o, lp, lp, far, 1, 0, 1, &d, &s); /* far above: pulled back at full force */
    expect_near(s.loss, 99, 1e-12);
    assert_true(d == 1);
}

static void test_weight(void **state)
{
    (void)state;
    r1_loss_options o = {.type = R1_LOSS_GRPO, .max_completion = 10};
    expect_near(r1_loss_weight(&o, 5, 4, 12), 1.0 / 20, 1e-15);
    expect_near(r1_loss_weight(&o, 0, 4, 12), 1.0 / 4, 1e-15);
    o.type = R1_LOSS_DR_GRPO;
    expect_near(r1_loss_weight(&o, 5, 4, 12), 1.0 / 40, 1e-15);
    o.type = R1_LOSS_BNPO;
    expect_near(r1_loss_weight(&o, 5, 4, 12), 1.0 / 12, 1e-15);
    o.type = R1_LOSS_DAPO;
    expect_near(r1_loss_weight(&o, 5, 4, 12), 1.0 / 12, 1e-15);
    expect_near(r1_loss_weight(&o, 0, 4, 0), 1, 1e-15);
    assert_string_equal(r1_loss_type_names[R1_LOSS_DR_GRPO], "dr_grpo");
    assert_string_equal(r1_loss_scale_names[R1_SCALE_NONE], "none");
    assert_string_equal(r1_loss_type_names[R1_LOSS_GSPO], "gspo");
    assert_string_equal(r1_loss_kl_names[R1_KL_K2], "k2");
    assert_null(r1_loss_kl_names[R1_KL_K2 + 1]);
    assert_null(r1_loss_type_names[R1_LOSS_GSPO + 1]);
    assert_null(r1_loss_scale_names[R1_SCALE_NONE + 1]);
}

static void test_dead_groups(void **state)
{
    (void)state;
    /* 0.1f has no exact mean: a rounded one would leave a deviation and, over 1e-4, noise. */
    float r[21], a[21];
    bool dead[3];
    for (int i = 0; i < 21; i++)
        r[i] = i < 7 ? 0.1f : i < 14 ? (float)(i % 2) : 1;
    for (int scale = R1_SCALE_GROUP; scale <= R1_SCALE_NONE; scale++) {
        assert_int_equal(r1_loss_advantages(r, 3, 7, (r1_loss_scale)scale, a, dead), 2);
        assert_true(dead[0] && !dead[1] && dead[2]);
        double sum = 0;
        for (int i = 0; i < 21; i++) {
            assert_true((a[i] == 0) == (i < 7 || i >= 14));
            sum += (double)a[i];
        }
        assert_true(fabs(sum) < 1e-5);
    }
    assert_int_equal(r1_loss_advantages(r + 6, 3, 1, R1_SCALE_GROUP, a, dead), 3);
    assert_int_equal(r1_loss_advantages(r, 0, 7, R1_SCALE_GROUP, a, dead), 0);
    assert_int_equal(r1_loss_advantages(r, 1, 7, R1_SCALE_BATCH, a, dead), 1);
    assert_true(a[3] == 0);
}

static void test_unscored(void **state)
{
    (void)state;
    const float r[9] = {1, NAN, 0, NAN, NAN, NAN, NAN, 2, INFINITY}, two[2] = {1, 0};
    float a[9], want[2];
    bool dead[3];
    r1_loss_advantages(two, 1, 2, R1_SCALE_GROUP, want, dead);
    assert_int_equal(r1_loss_advantages(r, 3, 3, R1_SCALE_GROUP, a, dead), 2);
    assert_true(!dead[0] && dead[1] && dead[2]);
    assert_true(a[0] == want[0] && a[1] == 0 && a[2] == want[1]);
    for (int i = 3; i < 9; i++)
        assert_true(a[i] == 0);
}

/* A group's advantages do not depend on the other groups, and follow a permutation. */
static void test_groups(void **state)
{
    (void)state;
    enum { GROUPS = 5, SIZE = 8 };
    r1_rng g = r1_rng_init(3, R1_RNG_TEST, 0);
    float r[GROUPS * SIZE], a[GROUPS * SIZE], b[GROUPS * SIZE];
    bool dead[GROUPS];
    for (int i = 0; i < GROUPS * SIZE; i++)
        r[i] = r1_rng_float(&g);
    r1_loss_advantages(r, GROUPS, SIZE, R1_SCALE_GROUP, a, dead);
    for (int i = 0; i < GROUPS; i++) {
        r1_loss_advantages(r + i * SIZE, 1, SIZE, R1_SCALE_GROUP, b, dead);
        assert_memory_equal(a + i * SIZE, b, SIZE * sizeof(float));
    }
    /* Groups backwards: the same bits.  Members backwards: another order of summing. */
    float back[GROUPS * SIZE];
    for (int i = 0; i < GROUPS * SIZE; i++)
        back[i] = r[(GROUPS - 1 - i / SIZE) * SIZE + i % SIZE];
    r1_loss_advantages(back, GROUPS, SIZE, R1_SCALE_GROUP, b, dead);
    for (int i = 0; i < GROUPS * SIZE; i++)
        assert_true(b[i] == a[(GROUPS - 1 - i / SIZE) * SIZE + i % SIZE]);
    for (int i = 0; i < SIZE; i++)
        back[i] = r[SIZE - 1 - i];
    r1_loss_advantages(back, 1, SIZE, R1_SCALE_GROUP, b, dead);
    for (int i = 0; i < SIZE; i++)
        expect_near((double)b[i], (double)a[SIZE - 1 - i], 1e-6);
}

/* A group whose members change places has the same gradients, in the other places. */
static void test_permuted_gradients(void **state)
{
    (void)state;
    const r1_loss_options o = {
        .type = R1_LOSS_GRPO, .epsilon_low = 0.2f, .epsilon_high = 0.2f, .beta = 0.1f};
    const float lp[2][3] = {{-1, -0.5f, -2}, {-0.3f, -0.2f, -1}};
    const float old[2][3] = {{-1.1f, -0.4f, -2}, {-0.1f, -0.2f, -1.4f}};
    const float ref[2][3] = {{-1, -1, -1}, {-1, -1, -1}};
    const float r[2] = {1, 0}, swapped[2] = {0, 1};
    float a[2], b[2], d[2][3], e[2][3];
    bool dead[1];
    r1_loss_stats s = {0}, t = {0};
    r1_loss_advantages(r, 1, 2, R1_SCALE_GROUP, a, dead);
    r1_loss_advantages(swapped, 1, 2, R1_SCALE_GROUP, b, dead);
    for (int i = 0; i < 2; i++) {
        sequence(&o, lp[i], old[i], ref[i], 3, a[i], 1.0 / 6, d[i], &s);
        sequence(&o, lp[1 - i], old[1 - i], ref[1 - i], 3, b[i], 1.0 / 6, e[i], &t);
    }
    assert_memory_equal(d[0], e[1], sizeof d[0]);
    assert_memory_equal(d[1], e[0], sizeof d[1]);
    expect_near(s.loss, t.loss, 1e-14);
    expect_near(s.kl, t.kl, 1e-14);
}

static void test_nan(void **state)
{
    (void)state;
    r1_loss_options o = {.type = R1_LOSS_DAPO, .epsilon_low = 0.2f, .epsilon_high = 0.2f};
    const float lp[2] = {-1, NAN}, old[2] = {-1, -1}, ref[2] = {-1, -1};
    for (int a = -1; a <= 1; a++)
        for (int with_kl = 0; with_kl < 2; with_kl++) {
            float d[2];
            r1_loss_stats s = {0};
            o.beta = with_kl ? 0.1f : 0;
            sequence(&o, lp, old, with_kl ? ref : NULL, 2, (float)a, 0.5, d, &s);
            assert_true(isnan(s.loss) && isnan(d[1]) && !isnan(d[0]));
            s = (r1_loss_stats){0};
            sequence(&o, old, lp, with_kl ? ref : NULL, 2, (float)a, 0.5, d, &s);
            assert_true(isnan(s.loss));
        }
}

/* Without beta a reference is measured only. */
static void test_measured_kl(void **state)
{
    (void)state;
    const r1_loss_options o = {.type = R1_LOSS_DAPO, .epsilon_low = 0.2f, .epsilon_high = 0.2f};
    const float lp[2] = {-1, -2}, ref[2] = {-2, NAN};
    float d[2], e[2];
    r1_loss_stats s = {0}, t = {0};
    sequence(&o, lp, lp, NULL, 2, 1, 0.5, d, &s);
    sequence(&o, lp, lp, ref, 2, 1, 0.5, e, &t);
    assert_memory_equal(d, e, sizeof d);
    assert_true(s.loss == t.loss && s.kl == 0 && isnan(t.kl));
    t = (r1_loss_stats){0};
    sequence(&o, lp, lp, ref, 1, 1, 0.5, e, &t);
    expect_near(t.kl, exp(-1), 1e-12);
}

static void test_stats_add(void **state)
{
    (void)state;
    const r1_loss_options o = {.type = R1_LOSS_DAPO, .epsilon_low = 0.2f, .epsilon_high = 0.2f};
    float d[GOLDEN_TOKENS];
    r1_loss_stats all = {0}, sum = {0}, empty = {0};
    for (int s = 0, at = 0; s < GOLDEN_SEQUENCES; at += golden_lengths[s++]) {
        r1_loss_stats one = {0};
        float a = s % 2 ? -1 : 1;
        sequence(&o, golden_lp + at, golden_old + at, golden_ref + at, golden_lengths[s], a,
                 0.1, d, &all);
        sequence(&o, golden_lp + at, golden_old + at, golden_ref + at, golden_lengths[s], a,
                 0.1, d, &one);
        r1_loss_stats_add(&sum, &one);
        r1_loss_stats_add(&sum, &empty);
        sequence(&o, golden_lp, golden_old, golden_ref, 0, a, 0.1, d, &sum);
    }
    expect_near(sum.loss, all.loss, 1e-14);
    expect_near(sum.policy_loss, all.loss, 1e-14);
    expect_near(sum.kl, all.kl, 1e-14);
    expect_near(sum.ratio, all.ratio, 1e-14);
    expect_near(sum.difference, all.difference, 1e-14);
    assert_true(sum.ratio_min == all.ratio_min && sum.ratio_max == all.ratio_max);
    assert_true(sum.difference_max == all.difference_max);
    assert_true(sum.low_min == all.low_min && sum.high_max == all.high_max);
    assert_true(sum.low == all.low && sum.high == all.high && sum.tokens == all.tokens);
    assert_true(sum.sequences == all.sequences && sum.sequences == GOLDEN_SEQUENCES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_finite_differences),
        cmocka_unit_test(test_kl_kinds),
        cmocka_unit_test(test_correction),
        cmocka_unit_test(test_clip),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_weight),
        cmocka_unit_test(test_dead_groups),
        cmocka_unit_test(test_unscored),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_permuted_gradients),
        cmocka_unit_test(test_nan),
        cmocka_unit_test(test_measured_kl),
        cmocka_unit_test(test_stats_add),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
