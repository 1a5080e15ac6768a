/* score.h: what the stored samples of an evaluation say: pass@1 with its interval, pass@k, cons@k,
 * lengths, and the same by problem and by group.  All figures come from the store, so they are the
 * same during, after and long after the sampling. */
#ifndef R1_SCORE_H
#define R1_SCORE_H

#include "recipe/stats.h"
#include "store/store.h"

#define R1_SCORE_MAX_CURVE 14 /* 1, 2, 4, ... 4096, and k */

typedef struct {
    int problem; /* its number in the store */
    char *name, *group;
    double difficulty; /* NaN = unknown */
    int n, right;      /* samples */
    int classes;       /* different answers */
    r1_stats_vote vote;
    int *class_of; /* [n] of the samples in their order; -1 = no answer */
    bool *correct; /* [n] */
    int *tokens;   /* [n] -1 = unknown */
    int truncated, unparsed;
} r1_score_problem;

typedef struct {
    char *name;
    int problems;
    double pass1;
} r1_score_group;

/* A mean over nothing is NaN. */
typedef struct {
    int64_t id;
    char *model, *bench, *status, *note, *config; /* as stored */
    double started, ended;
    int wanted_problems, wanted_samples; /* what was asked for */
    int problems;                        /* with at least one sample */
    int64_t samples;                     /* all */
    int k;                               /* the fewest samples of a problem */
    r1_score_problem *of;                /* [problems] */
    r1_stats_interval pass1;
    double noise;       /* the part of pass1.se that comes of sampling, not of the problems */
    double passk;       /* pass@k */
    double consk;       /* cons@k, ties by lot; NaN when no sample has an answer */
    double consk_first; /* cons@k, ties to the answer seen first */
    double truncated;   /* share of samples that were cut */
    double unparsed;    /* share in which no answer was found */
    double tokens, tokens_right, tokens_wrong; /* mean length */
    int64_t tokens_all;
    int n_curve;
    struct {
        int k;
        double pass, cons;
    } curve[R1_SCORE_MAX_CURVE];
    r1_score_group *groups; /* in the order of first appearance; none when there is one */
    int n_groups;
    bool has_difficulty; /* of every problem */
} r1_score;

r1_status r1_score_read(r1_store *s, int64_t id, r1_score *out, r1_err *err);
void r1_score_release(r1_score *s);

/* Append the figures as one JSON object. */
void r1_score_json(const r1_score *s, r1_buf *out);

#endif
