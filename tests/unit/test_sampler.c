/* The choice of a token: every option, the recorded log-probability, and the distribution. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/sampler.h"

static const r1_sampling plain = {.temperature = 1, .top_p = 1, .repeat_penalty = 1, .seed = 7};

static r1_isa isa; /* of the tests that run */

static r1_sampler *sampler(int vocab)
{
    r1_sampler *s;
    assert_int_equal(r1_sampler_open(vocab, isa, &s, NULL), R1_OK);
    return s;
}

static int32_t choose(r1_sampler *s, const float *x, int n, const r1_sampling *o,
                      uint64_t position, float *lp)
{
    return r1_sampler_choose(s, x, n, o, NULL, 0, 0, 0, position, lp);
}

static void the_likeliest_tokens(void **state)
{
    (void)state;
    enum { V = 1500, N = 20 };
    float x[V];
    r1_top top[N];
    r1_sampler *s = sampler(V);
    for (int i = 0; i < V; i++)
        x[i] = (float)((i * 7919) % 1009) / 100;
    x[3] = NAN;
    x[1499] = 50; /* padding: not a token */
    r1_sampler_top(s, x, V - 1, 0.5f, N, top);
    for (int k = 0; k < N; k++) {
        int above = 0;
        for (int i = 0; i < V - 1; i++)
            above += x[i] > x[top[k].id] || (x[i] == x[top[k].id] && i < top[k].id);
        assert_int_equal(above, k);
        assert_true(fabsf(top[k].lp - r1_sampler_lp(s, x, 0.5f, top[k].id)) < 1e-6f);
    }
    r1_sampler_close(s);
    s = sampler(4);
    r1_sampler_top(s, (const float[]){1, 2, NAN, 0}, 3, 0, 4, top);
    assert_int_equal(top[0].id, 1);
    assert_int_equal(top[1].id, 0);
    assert_int_equal(top[2].id, -1);
    r1_sampler_close(s);
}

/* A choice, and another one where it was not allowed, are distributed as one among the allowed. */
static void choosing_again(void **state)
{
    (void)state;
    enum { V = 4, DRAWS = 40000 };
    const float x[V] = {1, 2, 0.5f, 0};
    const uint64_t allowed[1] = {1u << 0 | 1u << 2 | 1u << 3};
    double weight[V] = {0}, total = 0;
    int count[V] = {0};
    r1_sampler *s = sampler(V);
    for (int i = 0; i < V; i++)
        total += weight[i] = i == 1 ? 0 : exp((double)x[i]);
    for (int i = 0; i < DRAWS; i++) {
        int32_t id = choose(s, x, V, &plain, (uint64_t)i, NULL);
        if (id == 1)
            id = r1_sampler_choose_again(s, x, V, &plain, NULL, 0, 0, 0, (uint64_t)i, allowed,
                                         NULL);
        count[id]++;
    }
    for (int i = 0; i < V; i++) /* five standard deviations */
        assert_true(fabs(count[i] - DRAWS * weight[i] / total) < 5 * sqrt(DRAWS / 4.0));
    assert_int_equal(count[1], 0);
    /* What is allowed is chosen even if it has no weight. */
    const float none[V] = {-INFINITY, 5, NAN, -INFINITY};
    for (int greedy = 0; greedy < 2; greedy++) {
        r1_sampling o = plain;
        o.temperature = greedy ? 0 : 1;
        int32_t id = r1_sampler_choose_again(s, none, V, &o, NULL, 0, 0, 0, 1, allowed, NULL);
        assert_int_equal(id, 0);
    }
    r1_sampler_close(s);
}

/* log softmax(x / t)[id] in double. */
static double reference_lp(const float *x, int n, double t, int id)
{
    double max = -(double)INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        max = fmax(max, (double)x[i]);
    for (int i = 0; i < n; i++)
        sum += exp(((double)x[i] - max) / t);
    return ((double)x[id] - max) / t - log(sum);
}

/* Logits with a spread like a model's. */
static void fill(float *x, int n, uint64_t seed)
{
    r1_rng r = r1_rng_init(seed, R1_RNG_TEST, 0);
    for (int i = 0; i < n; i++)
        x[i] = 3 * (r1_rng_float(&r) + r1_rng_float(&r) + r1_rng_float(&r)) - 4.5f;
}

/* Draw `draws` times and compare with the expected probabilities by chi-square; ids of
 * probability 0 must never come.  The bound is far beyond any plausible chance. */
static void check_distribution(const float *x, int n, const r1_sampling *o, const double *p)
{
    enum { DRAWS = 40000, MAX = 64 };
    int count[MAX] = {0};
    assert_true(n <= MAX);
    r1_sampler *s = sampler(n);
    for (int i = 0; i < DRAWS; i++)
        count[choose(s, x, n, o, (uint64_t)i, NULL)]++;
    double chi = 0;
    int cells = 0;
    for (int i = 0; i < n; i++) {
        double expected = p[i] * DRAWS;
        if (p[i] <= 0) {
            assert_int_equal(count[i], 0);
            continue;
        }
        chi += (count[i] - expected) * (count[i] - expected) / expected;
        cells++;
    }
    assert_true(chi < cells - 1 + 6 * sqrt(2.0 * cells));
    r1_sampler_close(s);
}

static void softmax(const float *x, int n, double t, double *p)
{
    for (int i = 0; i < n; i++)
        p[i] = exp(reference_lp(x, n, t, i));
}

static void greedy(void **state)
{
    (void)state;
    enum { V = 4999 };
    float *x = R1_NEW_N(float, V), lp;
    r1_sampler *s = sampler(V);
    r1_sampling o = plain;
    o.temperature = 0;
    for (int round = 0; round < 20; round++) {
        fill(x, V, (uint64_t)round);
        int best = 0;
        for (int i = 1; i < V; i++)
            best = x[i] > x[best] ? i : best;
        assert_int_equal(choose(s, x, V, &o, 0, &lp), best);
        assert_true(fabs((double)lp - reference_lp(x, V, 1, best)) < 1e-5);
    }
    x[V - 1] = x[17] = x[40] = 100; /* a tie goes to the smallest id */
    assert_int_equal(choose(s, x, V, &o, 0, NULL), 17);
    assert_int_not_equal(choose(s, x, 17, &o, 0, NULL), 17);
    r1_sampler_close(s);
    r1_mem_free(x);
}

static void temperature(void **state)
{
    (void)state;
    const float x[5] = {1, 0, -1, 2, 0.5f};
    const float t[4] = {0.25f, 0.7f, 1, 3};
    for (int i = 0; i < 4; i++) {
        r1_sampling o = plain;
        o.temperature = t[i];
        double p[5];
        softmax(x, 5, (double)t[i], p);
        check_distribution(x, 5, &o, p);
    }
}

static void distribution_over_blocks(void **state)
{
    (void)state;
    enum { V = 1500 };
    /* The mass is spread over three blocks of partial sums, with two heavy tokens. */
    float *x = R1_NEW_N(float, V);
    x[3] = 6;
    x[1400] = 7;
    double z = exp(6) + exp(7) + V - 2;
    r1_sampler *s = sampler(V);
    int n3 = 0, n1400 = 0, n_first = 0, draws = 20000;
    for (int i = 0; i < draws; i++) {
        int id = choose(s, x, V, &plain, (uint64_t)i, NULL);
        n3 += id == 3;
        n1400 += id == 1400;
        n_first += id != 3 && id < 750;
    }
    assert_true(fabs(n3 - draws * exp(6) / z) < 5 * sqrt(draws * 0.25));
    assert_true(fabs(n1400 - draws * exp(7) / z) < 5 * sqrt(draws * 0.25));
    assert_true(fabs(n_first - draws * 749 / z) < 5 * sqrt(draws * 0.25));
    r1_sampler_close(s);
    r1_mem_free(x);
}

static void top_k(void **state)
{
    (void)state;
    float x[40];
    fill(x, 40, 3);
    for (int k = 1; k <= 40; k += 3) {
        double p[40], sum = 0;
        softmax(x, 40, 1, p);
        for (int i = 0; i < 40; i++) {
            int better = 0;
            for (int j = 0; j < 40; j++)
                better += x[j] > x[i] || (x[j] <= x[i] && x[j] >= x[i] && j < i);
            if (better >= k)
                p[i] = 0;
            sum += p[i];
        }
        for (int i = 0; i < 40; i++)
            p[i] /= sum;
        r1_sampling o = plain;
        o.top_k = k;
        check_distribution(x, 40, &o, p);
    }
}

static void top_k_ties_keep_exactly_k(void **state)
{
    (void)state;
    float x[64] = {0};
    double p[64] = {0};
    for (int i = 0; i < 5; i++)
        p[i] = 0.2; /* equal tokens: the smaller ids */
    r1_sampling o = plain;
    o.top_k = 5;
    check_distribution(x, 64, &o, p);
}

static void top_p(void **state)
{
    (void)state;
    const float x[6] = {logf(0.4f),  logf(0.05f), logf(0.3f),
                        logf(0.15f), logf(0.06f), logf(0.04f)};
    r1_sampling o = plain;
    o.top_p = 0.5f; /* 0.4 is not enough, 0.7 is */
    check_distribution(x, 6, &o, (double[]){4 / 7.0, 0, 3 / 7.0, 0, 0, 0});
    o.top_p = 0.8f;
    check_distribution(x, 6, &o, (double[]){8 / 17.0, 0, 6 / 17.0, 3 / 17.0, 0, 0});
    o.top_p = 1e-6f; /* never empty */
    check_distribution(x, 6, &o, (double[]){1, 0, 0, 0, 0, 0});
    o.top_p = 0.9f;
    o.top_k = 3; /* top_p is of what top_k left: 8/17 + 6/17 < 0.9 */
    check_distribution(x, 6, &o, (double[]){8 / 17.0, 0, 6 / 17.0, 3 / 17.0, 0, 0});
    o.top_p = 0.8f;
    check_distribution(x, 6, &o, (double[]){4 / 7.0, 0, 3 / 7.0, 0, 0, 0});
}

static void min_p(void **state)
{
    (void)state;
    const float x[4] = {logf(0.5f), logf(0.3f), logf(0.15f), logf(0.05f)};
    r1_sampling o = plain;
    o.min_p = 0.2f; /* of 0.5: 0.1 */
    check_distribution(x, 4, &o, (double[]){0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0});
    o.min_p = 1;
    check_distribution(x, 4, &o, (double[]){1, 0, 0, 0});
}

/* A large vocabulary against a plain reference: the set that truncation keeps. */
static void truncation_of_a_large_vocabulary(void **state)
{
    (void)state;
    enum { V = 20011 };
    float *x = R1_NEW_N(float, V);
    r1_sampler *s = sampler(V);
    for (int round = 0; round < 4; round++) {
        fill(x, V, 50 + (uint64_t)round);
        if (round == 3)
            memset(x, 0, V * sizeof *x); /* all equal */
        r1_sampling o = plain;
        o.top_k = round == 0 ? 100 : 0;
        o.top_p = round == 0 ? 0.5f : 0.9f;
        double all = 0, left;
        for (int i = 0; i < V; i++)
            all += exp((double)x[i]);
        for (int i = 0; i < 3000; i++) {
            int id = choose(s, x, V, &o, (uint64_t)i, NULL);
            double heavier = 0;
            int rank = 0;
            for (int j = 0; j < V; j++)
                if (x[j] > x[id] || (x[j] >= x[id] && j < id)) {
                    heavier += exp((double)x[j]);
                    rank++;
                }
            left = o.top_k > 0 ? 0 : all;
            if (o.top_k > 0)
                assert_true(rank < o.top_k);
            else
                assert_true(heavier < left * (double)o.top_p * (1 + 1e-5));
            if (i == 40)
                i = 2990; /* the reference is slow */
        }
    }
    r1_sampler_close(s);
    r1_mem_free(x);
}

static void repetition_penalty(void **state)
{
    (void)state;
    const float x[4] = {2, 1.5f, -1, 0};
    const int32_t recent[5] = {3, 0, 0, 2, 99}; /* twice counts once; 99 is no token here */
    r1_sampling o = plain;
    o.temperature = 0;
    o.repeat_penalty = 2;
    o.repeat_last = 64;
    r1_sampler *s = sampler(4);
    float lp;
    assert_int_equal(r1_sampler_choose(s, x, 4, &o, recent, 5, 0, 0, 0, &lp), 1);
    assert_true(fabs((double)lp - reference_lp(x, 4, 1, 1)) < 1e-6); /* before penalties */
    o.repeat_last = 2; /* token 0 is out of the window */
    assert_int_equal(r1_sampler_choose(s, x, 4, &o, recent, 5, 0, 0, 0, NULL), 0);
    r1_sampler_close(s);

    /* The distribution: 2/2, 1.5, -1*2, 0 */
    const float y[4] = {1, 1.5f, -2, 0};
    double p[4];
    softmax(y, 4, 1, p);
    o.temperature = 1;
    o.repeat_last = 64;
    s = sampler(4);
    int count[4] = {0};
    for (int i = 0; i < 20000; i++)
        count[r1_sampler_choose(s, x, 4, &o, recent, 5, 0, 0, (uint64_t)i, NULL)]++;
    for (int i = 0; i < 4; i++)
        assert_true(fabs(count[i] - 20000 * p[i]) < 5 * sqrt(20000 * p[i]));
    r1_sampler_close(s);
}

/* The prompt's tokens are not counted; a token that came three times loses three times as much. */
static void penalties_of_the_completion(void **state)
{
    (void)state;
    const float x[5] = {5, 4.8f, 4.6f, 4.4f, 4.2f};
    const int32_t recent[8] = {0, 0, 4, 0, 1, 0, 2, 0};
    r1_sampler *s = sampler(5);
    r1_sampling o = plain;
    o.temperature = 0;
    float lp;
    for (int again = 0; again < 2; again++) { /* nothing stays counted */
        o.presence_penalty = o.frequency_penalty = 0;
        assert_int_equal(r1_sampler_choose(s, x, 5, &o, recent, 8, 6, 0, 0, &lp), 0);
        o.presence_penalty = 0.1f; /* 4.9 against 4.7, */
        assert_int_equal(r1_sampler_choose(s, x, 5, &o, recent, 8, 5, 0, 0, &lp), 0);
        o.frequency_penalty = 0.15f; /* 4.45 against 4.55, */
        assert_int_equal(r1_sampler_choose(s, x, 5, &o, recent, 8, 5, 0, 0, &lp), 1);
        o.presence_penalty = 0.3f; /* 4.25, 4.35 and 4.15 against 4.4, which did not come */
        assert_int_equal(r1_sampler_choose(s, x, 5, &o, recent, 8, 5, 0, 0, &lp), 3);
        assert_true(fabs((double)lp - reference_lp(x, 5, 1, 3)) < 1e-5);
        assert_int_equal(r1_sampler_choose(s, x, 5, &o, recent, 8, 0, 0, 0, &lp), 0);
        o.frequency_penalty = 0;
        o.presence_penalty = -0.5f; /* liked */
        assert_int_equal(r1_sampler_choose(s, x, 5, &o, recent, 7, 1, 0, 0, &lp), 2);
    }
    r1_sampler_close(s);
}

static void lp_is_of_the_whole_vocabulary(void **state)
{
    (void)state;
    enum { V = 3001 };
    float *x = R1_NEW_N(float, V);
    r1_sampler *s = sampler(V);
    r1_sampling o = plain;
    for (int round = 0; round < 60; round++) {
        fill(x, V, (uint64_t)round);
        o.temperature = 0.3f + 0.05f * (float)(round % 20);
        o.top_k = round % 3 == 0 ? 5 : 0;
        o.top_p = round % 3 == 1 ? 0.5f : 1;
        o.min_p = round % 4 == 1 ? 0.1f : 0;
        int n = round % 2 ? V : V - 1000; /* padding rows count in the softmax */
        float lp;
        int id = choose(s, x, n, &o, (uint64_t)round, &lp);
        assert_in_range(id, 0, n - 1);
        assert_true(fabs((double)lp - reference_lp(x, V, (double)o.temperature, id)) < 2e-5);
    }
    r1_sampler_close(s);
    r1_mem_free(x);
}

static void padding_rows_are_never_chosen(void **state)
{
    (void)state;
    float x[8] = {0, 0, 0, 50, 50, 50, 50, 50};
    r1_sampling o = plain;
    r1_sampler *s = sampler(8);
    for (int i = 0; i < 2000; i++)
        assert_in_range(choose(s, x, 3, &o, (uint64_t)i, NULL), 0, 2);
    r1_sampler_close(s);
}

static void determinism(void **state)
{
    (void)state;
    enum { V = 700 };
    float x[V], y[V];
    fill(x, V, 1);
    fill(y, V, 2);
    r1_sampler *a = sampler(V), *b = sampler(V);
    int differ_position = 0, differ_sequence = 0, differ_seed = 0;
    for (int i = 0; i < 200; i++) {
        r1_sampling o = plain;
        o.top_p = i % 2 ? 0.9f : 1;
        float lp, lp2;
        int id = r1_sampler_choose(a, x, V, &o, NULL, 0, 0, 5, (uint64_t)i, &lp);
        /* Another scratch with another past: the same choice. */
        r1_sampler_choose(b, y, V, &o, NULL, 0, 0, 9, (uint64_t)(7 * i), NULL);
        assert_int_equal(id, r1_sampler_choose(b, x, V, &o, NULL, 0, 0, 5, (uint64_t)i, &lp2));
        assert_memory_equal(&lp, &lp2, sizeof lp);
        differ_position +=
            id != r1_sampler_choose(a, x, V, &o, NULL, 0, 0, 5, 1000 + (uint64_t)i, NULL);
        differ_sequence +=
            id != r1_sampler_choose(a, x, V, &o, NULL, 0, 0, 6, (uint64_t)i, NULL);
        o.seed++;
        differ_seed += id != r1_sampler_choose(a, x, V, &o, NULL, 0, 0, 5, (uint64_t)i, NULL);
    }
    assert_true(differ_position > 150 && differ_sequence > 150 && differ_seed > 150);
    r1_sampler_close(a);
    r1_sampler_close(b);
}

static void numbers_that_are_none(void **state)
{
    (void)state;
    enum { V = 40 };
    float x[V], lp;
    r1_sampler *s = sampler(V);
    const float temperatures[2] = {0, 1};
    for (int t = 0; t < 2; t++) {
        r1_sampling o = plain;
        o.temperature = temperatures[t];
        for (int variant = 0; variant < 4; variant++) {
            o.top_k = variant == 1 ? 3 : 0;
            o.top_p = variant == 2 ? 0.9f : 1;
            o.min_p = variant == 3 ? 0.1f : 0;
            for (int i = 0; i < V; i++)
                x[i] = i % 2 ? NAN : -INFINITY;
            x[6] = 1;
            x[8] = 0;
            for (int i = 0; i < 50; i++) {
                int id = choose(s, x, V, &o, (uint64_t)i, &lp);
                assert_true(id == 6 || id == 8);
                assert_true(fabs((double)lp - (id == 6 ? -0.313262 : -1.313262)) < 1e-5);
            }
            x[9] = INFINITY;
            assert_int_equal(choose(s, x, V, &o, 0, &lp), 9);
            assert_true(fabsf(lp) < 1e-6f);
            for (int i = 0; i < V; i++)
                x[i] = NAN;
            assert_in_range(choose(s, x, V, &o, 0, &lp), 0, V - 1);
            assert_true(isinf(lp) && lp < 0);
            for (int i = 0; i < V; i++)
                x[i] = -INFINITY;
            assert_in_range(choose(s, x, V, &o, 0, &lp), 0, V - 1);
            assert_true(isinf(lp) && lp < 0);
        }
    }
    /* A huge range of logits. */
    memset(x, 0, sizeof x);
    x[1] = 3e38f;
    x[2] = -3e38f;
    assert_int_equal(choose(s, x, V, &plain, 0, &lp), 1);
    assert_true(fabsf(lp) < 1e-6f);
    r1_sampler_close(s);
}

static void checks(void **state)
{
    (void)state;
    assert_int_equal(r1_sampler_check(&plain, NULL), R1_OK);
    struct {
        r1_sampling o;
        const char *word;
    } bad[] = {
        {plain, "temperature"}, {plain, "temperature"}, {plain, "top_k"},
        {plain, "top_p"},       {plain, "top_p"},       {plain, "min_p"},
        {plain, "repeat_pen"},  {plain, "repeat_last"}, {plain, "max_tokens"},
        {plain, "stop"},        {plain, "presence_"},   {plain, "frequency_"},
    };
    const char *stop[1] = {""};
    bad[0].o.temperature = -1;
    bad[1].o.temperature = NAN;
    bad[2].o.top_k = -1;
    bad[3].o.top_p = 0;
    bad[4].o.top_p = 1.5f;
    bad[5].o.min_p = 2;
    bad[6].o.repeat_penalty = 0;
    bad[7].o.repeat_last = -1;
    bad[8].o.max_tokens = -1;
    bad[9].o.stop = stop;
    bad[9].o.n_stop = 1;
    bad[10].o.presence_penalty = NAN;
    bad[11].o.frequency_penalty = -2.5f;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        r1_err err = {0};
        assert_int_equal(r1_sampler_check(&bad[i].o, &err), R1_EARG);
        assert_non_null(strstr(err.msg, bad[i].word));
    }
    r1_sampler *s;
    assert_int_equal(r1_sampler_open(0, isa, &s, NULL), R1_EARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy),
        cmocka_unit_test(temperature),
        cmocka_unit_test(distribution_over_blocks),
        cmocka_unit_test(top_k),
        cmocka_unit_test(top_k_ties_keep_exactly_k),
        cmocka_unit_test(top_p),
        cmocka_unit_test(min_p),
        cmocka_unit_test(truncation_of_a_large_vocabulary),
        cmocka_unit_test(repetition_penalty),
        cmocka_unit_test(penalties_of_the_completion),
        cmocka_unit_test(lp_is_of_the_whole_vocabulary),
        cmocka_unit_test(padding_rows_are_never_chosen),
        cmocka_unit_test(the_likeliest_tokens),
        cmocka_unit_test(choosing_again),
        cmocka_unit_test(determinism),
        cmocka_unit_test(numbers_that_are_none),
        cmocka_unit_test(checks),
    };
    int failed = 0;
    const r1_isa best = r1_isa_detect();
    for (isa = R1_ISA_SCALAR; isa <= best; isa++) {
        if (best == R1_ISA_NEON && isa != R1_ISA_SCALAR && isa != best)
            continue; /* those of another processor */
        failed += cmocka_run_group_tests_name(r1_isa_text(isa), tests, NULL, NULL);
    }
    return failed;
}
