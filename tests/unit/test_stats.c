/* Statistics: against values that were computed elsewhere or by enumeration. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "recipe/stats.h"

static void near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%.17g is not %.17g", a, b);
}

/* ---- pass@k ------------------------------------------------------------------------------ */

/* The share of the k-subsets of n samples, of which c are right, that hold a right one. */
static double by_subsets(int n, int c, int k)
{
    int all = 0, good = 0;
    for (int set = 0; set < 1 << n; set++) {
        if (__builtin_popcount((unsigned)set) != k)
            continue;
        all++;
        good += (set & ((1 << c) - 1)) != 0;
    }
    return (double)good / all;
}

static void test_pass(void **state)
{
    (void)state;
    for (int n = 1; n <= 9; n++)
        for (int c = 0; c <= n; c++)
            for (int k = 1; k <= n; k++)
                near(r1_stats_pass(n, c, k), by_subsets(n, c, k), 1e-12);
    /* No overflow: 1 - C(4000,2048) / C(4096,2048) is 1 to the last bit but a few. */
    near(r1_stats_pass(4096, 96, 2048), 1, 1e-12);
    near(r1_stats_pass(4096, 1, 2048), 0.5, 1e-12);
}

/* ---- Intervals --------------------------------------------------------------------------- */

static void test_t(void **state)
{
    (void)state;
    /* Tables of Student's t, 97.5 %. */
    near(r1_stats_t95(1), 12.706204736174694, 1e-9);
    near(r1_stats_t95(2), 4.302652729749462, 1e-9);
    near(r1_stats_t95(5), 2.5705818356363146, 1e-9);
    near(r1_stats_t95(29), 2.045229642132703, 1e-9);
    near(r1_stats_t95(120), 1.979930405052777, 1e-9);
    near(r1_stats_t95(1 << 20), 1.959963984540054, 1e-9);
}

static void test_mean(void **state)
{
    (void)state;
    const double x[] = {0.25, 0.5, 1, 0.75, 0};
    r1_stats_interval r = r1_stats_mean(x, 5);
    near(r.mean, 0.5, 1e-15);
    near(r.se, sqrt(0.625 / 4 / 5), 1e-15);
    near(r.high - r.mean, 2.7764451051977987 * r.se, 1e-9);
    near(r.mean - r.low, r.high - r.mean, 1e-12);
    r = r1_stats_mean(x, 1);
    near(r.mean, 0.25, 0);
    assert_true(isnan(r.low) && isnan(r.high));
    assert_true(isnan(r1_stats_mean(x, 0).mean));
}

static void test_shares(void **state)
{
    (void)state;
    const double mixed[] = {1, 0, 1, 1, 0, 1, 1, 0, 1, 1}, right[] = {1, 1, 1, 1};
    /* Wilson's interval of 7 of 10 (Newcombe 1998's method 3). */
    r1_stats_interval r = r1_stats_shares(mixed, 10, 1);
    near(r.low, 0.39677814, 1e-7);
    near(r.high, 0.89220871, 1e-7);
    /* Many samples that all agree do not make an interval of no width. */
    r = r1_stats_shares(right, 4, 64);
    near(r.mean, 1, 0);
    near(r.high, 1, 0);
    assert_true(r.low > 0.4 && r.low < 0.6);
    /* Within 0..1. */
    const double low[] = {0, 0, 0, 0.125};
    r = r1_stats_shares(low, 4, 8);
    near(r.low, 0, 0);
    assert_true(r.high > 0.03 && r.high < 0.2);
    r = r1_stats_shares(low + 3, 1, 8);
    assert_true(isnan(r.low) && isnan(r.high));
}

/* The interval covers the truth as often as it says: 400 problems of known difficulty. */
static void test_coverage(void **state)
{
    (void)state;
    r1_rng rng = r1_rng_init(7, R1_RNG_TEST, 1);
    int covered = 0, rounds = 1000;
    for (int round = 0; round < rounds; round++) {
        double share[50];
        for (int i = 0; i < 50; i++) { /* problem's difficulty uniform: the mean is 0.5 */
            float p = r1_rng_float(&rng);
            int right = 0;
            for (int j = 0; j < 4; j++)
                right += r1_rng_float(&rng) < p;
            share[i] = right / 4.0;
        }
        r1_stats_interval r = r1_stats_shares(share, 50, 4);
        covered += r.low <= 0.5 && r.high >= 0.5;
    }
    /* 950 +- 3 standard deviations of a binomial. */
    assert_in_range(covered, 929, 971);
}

/* ---- Consensus --------------------------------------------------------------------------- */

static bool same_letter(void *ud, int a, int b)
{
    const char *letters = ud;
    return (letters[a] | 32) == (letters[b] | 32);
}

/* Letters are answers, '-' is none; a big letter is right. */
static int classes(const char *letters, int *class_of, bool *right)
{
    int n = (int)strlen(letters);
    bool answered[64];
    for (int i = 0; i < n; i++) {
        answered[i] = letters[i] != '-';
        right[i] = letters[i] >= 'A' && letters[i] <= 'Z';
    }
    return r1_stats_classes(n, answered, same_letter, (void *)(uintptr_t)letters, class_of);
}

static r1_stats_vote vote(const char *letters)
{
    int class_of[64];
    bool right[64];
    classes(letters, class_of, right);
    return r1_stats_majority(class_of, right, (int)strlen(letters));
}

static void test_classes(void **state)
{
    (void)state;
    int class_of[64];
    bool right[64];
    assert_int_equal(classes("aBb-cA", class_of, right), 3);
    const int wanted[] = {0, 1, 1, -1, 2, 0};
    assert_memory_equal(class_of, wanted, sizeof wanted);
    assert_int_equal(classes("---", class_of, right), 0);
    assert_int_equal(classes("", class_of, right), 0);
}

static void test_majority(void **state)
{
    (void)state;
    r1_stats_vote v = vote("abBc");
    assert_int_equal(v.winner, 1);
    assert_int_equal(v.votes, 2);
    assert_int_equal(v.tied, 1);
    assert_int_equal(v.answered, 4);
    near(vote("ABab").fair, 1, 0);
    near(vote("Abbb--").fair, 0, 0);
    /* Ties: by lot half are right, and the first seen is wrong. */
    v = vote("bAbA");
    near(v.fair, 0.5, 0);
    assert_false(v.first);
    assert_int_equal(v.tied, 2);
    v = vote("AbAb");
    near(v.fair, 0.5, 0);
    assert_true(v.first);
    near(vote("Abc").fair, 1.0 / 3, 1e-15);
    v = vote("--");
    assert_int_equal(v.winner, -1);
    near(v.fair, 0, 0);
    assert_int_equal(vote("").winner, -1);
    /* An unparsed sample is no vote, however many there are. */
    near(vote("-----A").fair, 1, 0);
}

/* cons@2 of n samples by enumeration of the pairs. */
static void test_consensus(void **state)
{
    (void)state;
    static const char letters[] = "AAbAcb-";
    int class_of[64], n = 7;
    bool right[64];
    classes(letters, class_of, right);
    double sum = 0;
    int pairs = 0;
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++, pairs++) {
            char two[3] = {letters[i], letters[j], 0};
            sum += vote(two).fair;
        }
    near(r1_stats_consensus(class_of, right, n, 2, 40000, 1), sum / pairs, 0.01);
    near(r1_stats_consensus(class_of, right, n, n, 1, 1), vote(letters).fair, 0);
    /* The same seed, the same number. */
    near(r1_stats_consensus(class_of, right, n, 3, 50, 9),
         r1_stats_consensus(class_of, right, n, 3, 50, 9), 0);
}

/* ---- Comparing --------------------------------------------------------------------------- */

static void test_bootstrap(void **state)
{
    (void)state;
    double a[100], b[100];
    for (int i = 0; i < 100; i++) {
        a[i] = i % 2;
        b[i] = i < 60 || i % 2 ? 1 : 0; /* 30 better, none worse */
    }
    r1_stats_paired r = r1_stats_bootstrap(a, b, 100, 4000, 3);
    near(r.difference, 0.3, 1e-12);
    assert_int_equal(r.b_better, 30);
    assert_int_equal(r.a_better, 0);
    assert_int_equal(r.equal, 70);
    assert_true(r.p < 0.001);
    /* A mean of 100 draws of 0 and 1 with p = 0.3: the normal interval is 0.21 to 0.39. */
    near(r.low, 0.21, 0.02);
    near(r.high, 0.39, 0.02);
    r1_stats_paired back = r1_stats_bootstrap(b, a, 100, 4000, 3);
    near(back.difference, -0.3, 1e-12);
    near(back.low, -r.high, 0.02);
    /* No difference: p is 1. */
    r = r1_stats_bootstrap(a, a, 100, 1000, 3);
    near(r.p, 1, 0);
    near(r.low, 0, 0);
    r = r1_stats_bootstrap(a, b, 1, 1000, 3);
    assert_true(isnan(r.low));
}

/* Without a difference p is below 0.05 about once in twenty times. */
static void test_false_alarms(void **state)
{
    (void)state;
    r1_rng rng = r1_rng_init(11, R1_RNG_TEST, 2);
    int alarms = 0, rounds = 300;
    for (int round = 0; round < rounds; round++) {
        double a[60], b[60];
        for (int i = 0; i < 60; i++) {
            a[i] = r1_rng_below(&rng, 5) / 4.0;
            b[i] = r1_rng_below(&rng, 5) / 4.0;
        }
        alarms += r1_stats_bootstrap(a, b, 60, 400, (uint64_t)round).p < 0.05;
    }
    assert_in_range(alarms, 4, 30); /* 15 expected; wider than 3 standard deviations */
}

static void test_histogram(void **state)
{
    (void)state;
    const double x[] = {0, 0.1, 0.25, 0.5, 0.99, 1, -1, 2, (double)NAN};
    int count[4];
    r1_stats_histogram(x, 9, 0, 1, 4, count);
    const int wanted[] = {2, 1, 1, 2};
    assert_memory_equal(count, wanted, sizeof wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pass),      cmocka_unit_test(test_t),
        cmocka_unit_test(test_mean),      cmocka_unit_test(test_shares),
        cmocka_unit_test(test_coverage),  cmocka_unit_test(test_classes),
        cmocka_unit_test(test_majority),  cmocka_unit_test(test_consensus),
        cmocka_unit_test(test_bootstrap), cmocka_unit_test(test_false_alarms),
        cmocka_unit_test(test_histogram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
