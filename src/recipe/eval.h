/* eval.h: measure a model on verifiable problems: pass@1 over k samples, pass@k, cons@k. */
#ifndef R1_EVAL_H
#define R1_EVAL_H

#include "engine/engine.h"
#include "recipe/task.h"

typedef struct {
    int problems;   /* how many of the split */
    int samples;    /* k a problem */
    r1_split split;
    float temperature, top_p;
    int max_tokens; /* 0 = the task's */
    uint64_t seed;
} r1_eval_options;

typedef struct {
    int problems, samples;
    double pass1;       /* mean over problems of the share of right samples */
    double pass1_ci95;  /* half width over problems */
    double passk;       /* share of problems with at least one right sample */
    double consk;       /* majority vote of the k answers is right (canonical answers; ties: first seen) */
    double format;      /* share with the task's form */
    double truncated;   /* share cut at max_tokens */
    double length_mean, length_right, length_wrong; /* tokens */
    double thinks, attempts, checks, checks_right, backtracks, repeats, lines_right; /* shares or means */
    double seconds;
    int64_t tokens;
} r1_eval_result;

/* One sample for reports: the first sample of the first problems. */
typedef struct {
    char *prompt, *completion; /* r1_mem_free */
    double reward;
    int tokens;
} r1_eval_sample;

/* keep/kept: store up to `keep` samples (may be 0/NULL). */
r1_status r1_eval_task(r1_engine *e, r1_model *m, const r1_task *task, const r1_eval_options *o,
                       r1_eval_result *out, r1_eval_sample *kept, int keep, r1_err *err);

#endif
