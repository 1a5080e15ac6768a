/* rollout.h: the state of a GRPO run, and the first half of its step: questions, completions,
 * verdicts, rewards, advantages.  gradient.h has the other half, grpo.c the loop around both. */
#ifndef R1_ROLLOUT_H
#define R1_ROLLOUT_H

#include "recipe/curriculum.h"
#include "recipe/grpo.h"
#include "recipe/question.h"
#include "recipe/reflect.h"
#include "recipe/reward.h"

/* One completion, judged. */
typedef struct {
    r1_verdict verdict;
    r1_trace_stats stats;
    r1_reflect_marks marks;
    bool terminated;
    char *text; /* without the end token */
    size_t len;
    /* (n) log-probabilities; NULL: not needed, or not computed yet */
    float *ref;        /* the reference's */
    float *now;        /* the trainer's before the first update, and ... */
    float *correction; /* ... what it corrects, see r1_loss_correct */
    double log_ratio;  /* GSPO's, of the running micro-batch */
} r1_judged;

/* Targets [first, first + out[sample].n) of a batch belong to a completion. */
typedef struct {
    int batch, first, sample;
} r1_segment;

/* The trainer's log-probabilities against the sampler's, for the same weights. */
typedef struct {
    double difference, difference_max, ratio;
    int64_t tokens, truncated;
} r1_mismatch;

enum { R1_ROLLOUT_MAX_REWARDS = 32 };
typedef enum { R1_TIME_ROLLOUT, R1_TIME_VERIFY, R1_TIME_REFERENCE, R1_TIME_UPDATE } r1_timer;

typedef struct {
    const r1_grpo_options *o;
    r1_run *run;
    r1_model *m, *ref;
    r1_trainer *t;
    r1_engine *engine;
    r1_acts *ref_acts;
    bool refreshed; /* ref is no longer the model that the run began with */
    const r1_task *task;
    r1_reward *rewards;
    r1_data *data, *eval_data;
    uint32_t *order; /* of data's epoch */
    int64_t epoch;
    r1_curriculum *curriculum;
    json_t *pools;   /* the curriculum as the rollout began */
    uint64_t cursor; /* questions so far */
    /* A rollout: Q problems, their tokens, Q*G completions. */
    r1_problem *problem; /* [Q] */
    int *pool;           /* [Q] of the curriculum */
    r1_request *request; /* [Q] */
    r1_completion *out;  /* [Q*G] */
    r1_judged *judged;   /* [Q*G] */
    float *reward, *adv; /* [Q*G] */
    double *divergence;  /* [Q*G] that the reward has paid for */
    bool *dead;          /* [Q] */
    int *slots;          /* [Q] 0, 1, ... */
    /* What the first draw was like, before dynamic sampling chose. */
    double drawn_reward;
    int rounds, drawn; /* of dynamic sampling; questions */
    r1_reward_summary summary[R1_ROLLOUT_MAX_REWARDS];
    double seconds[4]; /* r1_timer */
    r1_engine_stats engine_stats;
    int64_t seen; /* tokens since the start of this process */
    r1_mismatch mismatch;
    r1_batch_list batches;
    r1_segment *segments;
    int n_segments, segments_room;
} r1_rollout;

/* The longest completion, at the present step and at any. */
int r1_rollout_max_completion(const r1_rollout *g);
int r1_rollout_longest(const r1_rollout *g);

void r1_rollout_open(r1_rollout *g); /* the arrays of a rollout, of the sizes in g->o */
/* Ask, sample, judge and pay g->o->prompts questions from g->cursor on, and again those whose
 * group is dead while dynamic sampling may.  R1_ECANCELED: interrupted; cursor and curriculum are
 * as before. */
r1_status r1_rollout_run(r1_rollout *g, r1_err *err);
void r1_rollout_forget(r1_rollout *g); /* frees the completions and what was learnt of them */
void r1_rollout_close(r1_rollout *g);  /* the arrays */

#endif
