/* stats.h: what evaluations report: pass@k, consensus, intervals, comparisons.
 *
 * Samples of one problem are alike, so problems are the independent units: a problem's share of
 * right samples is one observation, and every interval is over problems.  Shares are 0..1. */
#ifndef R1_STATS_H
#define R1_STATS_H

#include "base/rng.h"
#include "r1.h"

/* The chance that at least one of k samples is right, when c of n were (k <= n): the unbiased
 * estimate 1 - C(n-c,k) / C(n,k) of Chen et al. 2021. */
double r1_stats_pass(int n, int c, int k);

/* Two-sided 95 % quantile of Student's t with df >= 1 degrees of freedom. */
double r1_stats_t95(int df);

typedef struct {
    double mean, low, high; /* 95 %; low and high are NaN when one cannot tell (n < 2) */
    double se;              /* standard error of the mean */
} r1_stats_interval;

/* The mean of n observations and its interval by Student's t. */
r1_stats_interval r1_stats_mean(const double *x /* (n) */, int n);

/* The mean share of n problems with `samples` each.  Wilson's interval when a problem's share can
 * only be 0 or 1 (one sample), or when all shares are 0 or all are 1; else Student's t, cut to
 * 0..1. */
r1_stats_interval r1_stats_shares(const double *x /* (n) */, int n, int samples);

/* ---- Consensus --------------------------------------------------------------------------- */

/* Whether samples a and b give the same answer. */
typedef bool (*r1_stats_same_fn)(void *ud, int a, int b);

/* Classes of n samples: each joins the first class whose first member gives the same answer, or
 * begins one; class_of[i] is -1 for a sample without an answer.  Returns how many there are. */
int r1_stats_classes(int n, const bool *answered /* (n) */, r1_stats_same_fn same, void *ud,
                     int *class_of /* (n) */);

typedef struct {
    double fair; /* the chance that it is right when a tie is broken by lot */
    bool first;  /* whether it is right when a tie goes to the class seen first */
    int winner; /* the first member of the class seen first among the largest; -1: no answers */
    int votes;  /* for it */
    int tied;   /* classes that have as many votes, itself included */
    int answered; /* samples that have an answer */
} r1_stats_vote;

/* The majority of n samples.  A class is as right as its first member. */
r1_stats_vote r1_stats_majority(const int *class_of /* (n) */, const bool *right /* (n) */,
                                int n);

/* The expected `fair` of a majority of k among the n samples: exact for k = n, else the mean over
 * `subsets` random ones. */
double r1_stats_consensus(const int *class_of /* (n) */, const bool *right /* (n) */, int n,
                          int k, int subsets, uint64_t seed);

/* ---- Comparing --------------------------------------------------------------------------- */

typedef struct {
    double difference; /* mean of b - a */
    double low, high;  /* 95 %, percentiles of the resamples; NaN for a single problem */
    double p;          /* two-sided: how often resampling denies the sign of the difference */
    int a_better, b_better, equal; /* problems */
} r1_stats_paired;

/* Paired bootstrap over n problems: a[i] and b[i] are two models' shares of problem i. */
r1_stats_paired r1_stats_bootstrap(const double *a, const double *b, int n, int resamples,
                                   uint64_t seed);

/* Counts of values in `bins` equal parts of low..high; the last includes high, values outside are
 * left out. */
void r1_stats_histogram(const double *x, int n, double low, double high, int bins,
                        int *count /* (bins) */);

#endif
