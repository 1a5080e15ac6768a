/* rating.h: a Codeforces rating by simulating contests.
 *
 * Elo's model: a contestant of rating a beats one of rating b with probability
 * 1 / (1 + 10^((b - a) / 400)).  The seed of a rating R in a contest is the rank that it expects:
 *     seed(R) = 1 + sum over contestants j of P(j beats R),
 * which falls as R grows.  The rating that a contest shows is the R whose seed is the rank that
 * was reached, found by bisection.  Over contests: the mean, with an interval over contests, and
 * one R that explains all ranks together, sum of seeds = sum of ranks.
 *
 * Contests come from a JSON file:
 *     {"contests": [{"id": 1919, "name": "...", "scoring": "points" or "icpc",
 *                    "problems": [{"index": "A", "points": 500, "rating": 800}, ...],
 *                    "standings": [{"handle": "x", "rating": 1500, "points": 3500.0,
 *                                   "penalty": 0}, ...]}, ...],
 *      "population": [1500, 1432, ...]}
 * "standings" are the people who took part, with the rating that they had before.  A problem's
 * points matter where the scoring is "points" (the default), its rating not at all here.
 * "population", for the percentile, may be left out: the contestants then stand for it.
 *
 * A run takes part in a contest with one or more answers to each problem, handed in in order until
 * one is accepted.  With "points" it gets the problem's points less 50 for each wrong one before,
 * at least 30 % of them; nothing is taken off for time, since a model has none.  With "icpc" it
 * gets 1, and 10 of penalty for each wrong one before.  Its rank is 1, plus those who did better,
 * plus half of those who did exactly as well. */
#ifndef R1_RATING_H
#define R1_RATING_H

#include "base/json.h"

#define R1_RATING_MIN (-1000.0)
#define R1_RATING_MAX 5000.0

/* The rank expected of rating r among contestants (n). */
double r1_rating_seed(const double *contestants /* (n) */, int n, double r);
/* The rating whose seed is `rank`.  A rank that no rating explains (the first, the last) gives
 * the nearer end of R1_RATING_MIN..R1_RATING_MAX, and *clamped. */
double r1_rating_of_rank(const double *contestants /* (n) */, int n, double rank,
                         bool *clamped);

/* ---- Contests ---------------------------------------------------------------------------- */

typedef struct r1_rating r1_rating;
r1_status r1_rating_load(const char *path, r1_rating **out, r1_err *err);
/* The same from a document in memory; subject names it in messages. */
r1_status r1_rating_read(const json_t *root, const char *subject, r1_rating **out, r1_err *err);
void r1_rating_close(r1_rating *r); /* NULL allowed */

/* Take in the verdicts of one problem, "1919/A" (contest id, slash, index; a blank, '-', '_' or
 * nothing may stand for the slash), one for each sample.  false: no contest has this problem. */
bool r1_rating_add(r1_rating *r, const char *problem, const bool *right /* (n) */, int n);

typedef struct {
    double rating;     /* mean of the contests' */
    double low, high;  /* 95 % over contests; NaN with fewer than 2 */
    double joint;      /* one rating for all ranks */
    double percentile; /* of the population below `rating`, 0..100; NaN: nobody is known */
    int contests;      /* with at least one problem answered */
    int problems;      /* answered */
    int missing;       /* problems of these contests without an answer: counted as not solved */
    int clamped;       /* runs whose rank no rating explains */
} r1_rating_result;

/* One contest, for tables. */
typedef struct {
    const char *name;           /* borrowed */
    double rating, rank, score; /* means over runs */
    int contestants, problems, answered;
} r1_rating_contest;

/* The result when each run hands in `attempts` samples of a problem: run 0 the samples
 * 0..attempts-1, run 1 the next, and so on; there are as many runs as the problem with the fewest
 * samples allows.  R1_EARG when no problem of a contest has been answered.  contests[room] may be
 * NULL; *n is how many were written. */
r1_status r1_rating_compute(const r1_rating *r, int attempts, r1_rating_result *out,
                            r1_rating_contest *contests, int room, int *n, r1_err *err);

/* ---- Without standings ------------------------------------------------------------------- */

typedef struct {
    double rating, low, high; /* maximum of the likelihood, 95 % from its curvature */
    bool clamped;             /* everything was solved, or nothing */
} r1_rating_fit;

/* A rating from problems' own: P(solve) = 1 / (1 + 10^((level - R) / 400)), problem i solved in
 * solved[i] of tried[i] trials. */
r1_rating_fit r1_rating_logistic(const double *level, const int *solved, const int *tried,
                                 int n);

#endif
