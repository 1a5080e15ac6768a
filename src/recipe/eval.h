/* eval.h: measure a model on verifiable problems: pass@1 over k samples, pass@k, cons@k.
 *
 * The problems are the first of the split in an order that is always the same, so that results of
 * different models and seeds compare; the seed is that of the sampling.  Sample j of problem i
 * does not depend on how many problems or samples there are, nor on the engine's batch. */
#ifndef R1_EVAL_H
#define R1_EVAL_H

#include "engine/engine.h"
#include "recipe/question.h"

#define R1_EVAL_MAX_SAMPLES 4096

/* How far it is; called from time to time. */
typedef struct {
    int problems, problems_done;
    int64_t samples, ended; /* samples of all problems, and those that have ended */
    int64_t tokens;         /* generated */
    double seconds;         /* since the beginning */
    double pass1;           /* of the problems that are done; NaN before the first */
} r1_eval_progress;

typedef struct {
    const r1_data *data; /* its problems instead of a task's, or NULL */
    int problems;        /* how many of the split; 0 or more than there are = all */
    int samples;         /* k a problem, 1..R1_EVAL_MAX_SAMPLES */
    r1_split split;
    int difficulty; /* as r1_task_problem */
    r1_prompt_kind prompt_template;
    float temperature, top_p;
    int max_tokens; /* 0 = the task's */
    uint64_t seed;
    void (*progress)(void *ud, const r1_eval_progress *p); /* NULL allowed */
    void *ud;
} r1_eval_options;

/* A mean over nothing (the length of right samples when none is right) is NaN. */
typedef struct {
    int problems, samples;
    double pass1;      /* mean over problems of the share of right samples */
    double pass1_ci95; /* half width over problems; NaN for a single one */
    double passk;      /* share of problems with at least one right sample */
    double consk;      /* share of problems where the majority of the k answers is right */
    double format;     /* share with the task's form */
    double truncated;  /* share cut at max_tokens or at the end of the context */
    double length_mean, length_right, length_wrong; /* tokens, with the EOS */
    double thinks, backtracks;                      /* shares of samples */
    double attempts, checks, repeats;               /* means over samples */
    double reflections;  /* phrases a thousand tokens, as r1_reflect_read */
    double reflective;   /* share of samples with one */
    double mixing;       /* share of words that are not in the main language */
    double checks_right; /* share of checks */
    double lines_right;  /* share of arithmetic lines */
    double seconds;
    int64_t tokens;
} r1_eval_result;

/* One sample for reports: the first sample of the first problems. */
typedef struct {
    char *prompt, *completion; /* r1_eval_free_samples, or r1_mem_free each */
    double reward;
    int tokens;
} r1_eval_sample;

/* task NULL: o->data has the problems, and o->max_tokens the limit.
 * keep/kept: store up to `keep` samples (may be 0/NULL); those beyond out->problems stay zero.
 * R1_ECANCELED when interrupted; nothing is kept after a failure. */
r1_status r1_eval_task(r1_engine *e, r1_model *m, const r1_task *task, const r1_eval_options *o,
                       r1_eval_result *out, r1_eval_sample *kept, int keep, r1_err *err);
void r1_eval_free_samples(r1_eval_sample *s, int n);

/* A completion as verifiers read it: all its tokens' bytes but an end token's; replaces out. */
void r1_eval_text(const r1_tokenizer *tok, const r1_completion *c, r1_buf *out);

/* Perplexity of a text, in windows of `window` tokens that do not overlap.  A window is scored
 * alone, after the BOS that the tokenizer asks for: every token but the first (with a BOS: every
 * token) from those before it in the window. */
typedef struct {
    double perplexity;      /* exp(nll) */
    double nll, nll_stderr; /* mean -log p of a token, in nats, and its standard error */
    int64_t tokens;         /* scored */
    double seconds;
} r1_eval_text_result;

/* Called after each window; false stops with R1_ECANCELED. */
typedef bool (*r1_eval_window_fn)(void *ud, const r1_eval_text_result *so_far, int64_t total);

/* ids (n) without a BOS; window 2..the model's context; on_window NULL allowed. */
r1_status r1_eval_perplexity(r1_model *m, const int32_t *ids, size_t n, int window,
                             r1_eval_window_fn on_window, void *ud, r1_eval_text_result *out,
                             r1_err *err);

/* The majority vote of k samples: the first of those with the commonest answer, on a tie with
 * the one seen first; -1 when no sample has an answer. */
int r1_eval_vote(const r1_verdict *v, int k);

#endif
