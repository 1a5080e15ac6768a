/* stats.c: see stats.h. */
#include "recipe/stats.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

double r1_stats_pass(int n, int c, int k)
{
    r1_assert(n >= 1 && c >= 0 && c <= n && k >= 1 && k <= n);
    if (n - c < k)
        return 1;
    double miss = 1; /* C(n-c,k) / C(n,k) as a product of factors below 1: nothing overflows */
    for (int i = n - c + 1; i <= n; i++)
        miss *= 1 - (double)k / i;
    return 1 - miss;
}

/* ---- Intervals --------------------------------------------------------------------------- */

static const double z95 = 1.959963984540054;

/* P(|T| < t): for whole degrees of freedom a finite sum of powers of a cosine
 * (Abramowitz and Stegun 26.7.3, 26.7.4). */
static double t_inside(double t, int df)
{
    double angle = atan(t / sqrt(df)), c = cos(angle), s = sin(angle);
    bool odd = df % 2 == 1;
    double term = odd ? c : 1, sum = 0;
    for (int i = odd ? 1 : 0; i < df - 1 && term > 1e-18; i += 2) {
        sum += term;
        term *= c * c * (i + 1) / (i + 2);
    }
    return odd ? 2 / 3.14159265358979323846 * (angle + s * sum) : s * sum;
}

double r1_stats_t95(int df)
{
    r1_assert(df >= 1);
    if (df > 100000)
        return z95;
    double low = 1, high = 16; /* 12.7 for one degree of freedom */
    for (int i = 0; i < 60; i++) {
        double mid = (low + high) / 2;
        if (t_inside(mid, df) < 0.95)
            low = mid;
        else
            high = mid;
    }
    return (low + high) / 2;
}

r1_stats_interval r1_stats_mean(const double *x, int n)
{
    r1_stats_interval r = {(double)NAN, (double)NAN, (double)NAN, (double)NAN};
    if (n < 1)
        return r;
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++)
        sum += x[i];
    r.mean = sum / n;
    if (n < 2)
        return r;
    for (int i = 0; i < n; i++)
        squares += (x[i] - r.mean) * (x[i] - r.mean);
    r.se = sqrt(squares / (n - 1) / n);
    double half = r1_stats_t95(n - 1) * r.se;
    r.low = r.mean - half;
    r.high = r.mean + half;
    return r;
}

r1_stats_interval r1_stats_shares(const double *x, int n, int samples)
{
    r1_stats_interval r = r1_stats_mean(x, n);
    if (n < 1)
        return r;
    bool same = true;
    for (int i = 0; i < n; i++)
        same = same && (x[i] <= 0 || x[i] >= 1) && !(x[i] < x[0]) && !(x[i] > x[0]);
    if (samples == 1 || same) {
        double z2 = z95 * z95, middle = (r.mean + z2 / (2.0 * n)) / (1 + z2 / n);
        double half = z95 / (1 + z2 / n) * sqrt(r.mean * (1 - r.mean) / n + z2 / (4.0 * n * n));
        r.low = middle - half;
        r.high = middle + half;
    }
    r.low = fmax(r.low, 0);
    r.high = fmin(r.high, 1);
    if (!same && samples > 1 && n < 2) /* fmax and fmin hide a NaN */
        r.low = r.high = (double)NAN;
    return r;
}

/* ---- Consensus --------------------------------------------------------------------------- */

int r1_stats_classes(int n, const bool *answered, r1_stats_same_fn same, void *ud,
                     int *class_of)
{
    int classes = 0;
    int *first = R1_NEW_N(int, n > 0 ? n : 1); /* member of each class */
    for (int i = 0; i < n; i++) {
        class_of[i] = -1;
        if (!answered[i])
            continue;
        int c = 0;
        while (c < classes && !same(ud, first[c], i))
            c++;
        if (c == classes)
            first[classes++] = i;
        class_of[i] = c;
    }
    r1_mem_free(first);
    return classes;
}

/* The majority of the k samples pick[0..k).  votes[n] is scratch and zero, before and after. */
static r1_stats_vote majority(const int *class_of, const bool *right, const int *pick, int k,
                              int *votes)
{
    r1_stats_vote v = {.winner = -1};
    int right_tied = 0;
    for (int i = 0; i < k; i++) {
        int c = class_of[pick[i]];
        if (c < 0)
            continue;
        v.answered++;
        votes[c]++;
        v.votes = votes[c] > v.votes ? votes[c] : v.votes;
    }
    /* Among the largest classes in the order of their first members; a class is struck out once
     * it has been seen. */
    for (int i = 0; i < k; i++) {
        int c = class_of[pick[i]];
        if (c < 0)
            continue;
        if (votes[c] == v.votes) {
            if (v.tied++ == 0) {
                v.winner = pick[i];
                v.first = right[pick[i]];
            }
            right_tied += right[pick[i]];
        }
        votes[c] = 0;
    }
    v.fair = v.tied > 0 ? (double)right_tied / v.tied : 0;
    return v;
}

r1_stats_vote r1_stats_majority(const int *class_of, const bool *right, int n)
{
    int *pick = R1_NEW_N(int, n > 0 ? n : 1), *votes = R1_NEW_N(int, n > 0 ? n : 1);
    for (int i = 0; i < n; i++)
        pick[i] = i;
    r1_stats_vote v = majority(class_of, right, pick, n, votes);
    r1_mem_free(votes);
    r1_mem_free(pick);
    return v;
}

static int ascending(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

double r1_stats_consensus(const int *class_of, const bool *right, int n, int k, int subsets,
                          uint64_t seed)
{
    r1_assert(k >= 1 && k <= n && subsets >= 1);
    if (k == n)
        return r1_stats_majority(class_of, right, n).fair;
    int *order = R1_NEW_N(int, n), *pick = R1_NEW_N(int, k), *votes = R1_NEW_N(int, n);
    r1_rng rng = r1_rng_init(seed, R1_RNG_EVAL, (uint64_t)k);
    double sum = 0;
    for (int i = 0; i < n; i++)
        order[i] = i;
    for (int s = 0; s < subsets; s++) {
        for (int i = 0; i < k; i++) { /* the first k of a shuffle */
            int j = i + (int)r1_rng_below(&rng, (uint32_t)(n - i)), moved = order[j];
            order[j] = order[i];
            order[i] = pick[i] = moved;
        }
        qsort(pick, (size_t)k, sizeof *pick, ascending);
        sum += majority(class_of, right, pick, k, votes).fair;
    }
    r1_mem_free(votes);
    r1_mem_free(pick);
    r1_mem_free(order);
    return sum / subsets;
}

/* ---- Comparing --------------------------------------------------------------------------- */

static int ascending_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

r1_stats_paired r1_stats_bootstrap(const double *a, const double *b, int n, int resamples,
                                   uint64_t seed)
{
    r1_assert(n >= 1 && resamples >= 40);
    r1_stats_paired r = {.low = (double)NAN, .high = (double)NAN, .p = 1};
    for (int i = 0; i < n; i++) {
        r.difference += (b[i] - a[i]) / n;
        r.a_better += a[i] > b[i];
        r.b_better += b[i] > a[i];
    }
    r.equal = n - r.a_better - r.b_better;
    if (n < 2)
        return r;
    double *means = R1_NEW_N(double, resamples);
    r1_rng rng = r1_rng_init(seed, R1_RNG_EVAL, 1);
    int below = 0, above = 0; /* resamples whose difference is <= 0, >= 0 */
    for (int s = 0; s < resamples; s++) {
        double sum = 0;
        for (int i = 0; i < n; i++) {
            uint32_t j = r1_rng_below(&rng, (uint32_t)n);
            sum += b[j] - a[j];
        }
        means[s] = sum / n;
        below += means[s] <= 0;
        above += means[s] >= 0;
    }
    qsort(means, (size_t)resamples, sizeof *means, ascending_double);
    r.low = means[(int)(0.025 * (resamples - 1))];
    r.high = means[(int)ceil(0.975 * (resamples - 1))];
    /* The difference itself counts as one resample: p is never 0. */
    r.p = fmin(1, 2.0 * ((below < above ? below : above) + 1) / (resamples + 1));
    r1_mem_free(means);
    return r;
}

void r1_stats_histogram(const double *x, int n, double low, double high, int bins, int *count)
{
    r1_assert(bins >= 1 && high > low);
    for (int i = 0; i < bins; i++)
        count[i] = 0;
    for (int i = 0; i < n; i++) {
        if (!(x[i] >= low && x[i] <= high))
            continue;
        int bin = (int)((x[i] - low) / (high - low) * bins);
        count[bin < bins ? bin : bins - 1]++;
    }
}
