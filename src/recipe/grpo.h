/* grpo.h: group relative policy optimisation (DeepSeekMath, arXiv 2402.03300; R1, 2501.12948):
 * sample a group of completions a question, verify them, and move towards those above the group's
 * mean.  No reward model, no value model. */
#ifndef R1_GRPO_H
#define R1_GRPO_H

#include "engine/engine.h"
#include "recipe/loss.h"
#include "recipe/trainer.h"

/* Where the KL counts. */
typedef enum { R1_GRPO_KL_LOSS, R1_GRPO_KL_REWARD } r1_grpo_kl;

typedef struct {
    r1_train_options train; /* steps: optimizer steps; a rollout serves `minibatches` of them */
    const char *task;       /* questions of a built-in task, or ... */
    int difficulty;         /* of a task's, as r1_task_problem */
    const char *data;       /* ... JSON lines with "prompt", "answer", "verifier" */
    int prompt_template;    /* r1_prompt_kind */
    const char *rewards;    /* JSON, as r1_reward_open; NULL: accuracy */
    int prompts;            /* Q: questions a rollout */
    int num_generations;    /* G: completions a question */
    int minibatches;        /* optimizer steps a rollout, each on its share of the questions */
    int max_completion_length; /* tokens; 0: the task's */
    float temperature;
    int later_step, later_completion_length; /* from that step on this many; 0: no change */
    bool mask_truncated;                     /* what was cut is left out of the loss */
    float beta;                              /* weight of the KL to the reference; 0: none */
    int kl, kl_in;                           /* r1_loss_kl, r1_grpo_kl */
    int ref_refresh_steps;       /* the reference becomes the policy so often; 0: never */
    float epsilon, epsilon_high; /* clip range of the ratio: 1 - epsilon .. 1 + epsilon_high */
    float delta;                 /* r1_loss_options */
    float importance_sampling_cap; /* r1_loss_correct; 0: off */
    float entropy_coef;            /* weight of the mean entropy of a token's distribution */
    int dynamic_sampling;          /* times that dead groups are replaced; 0: never */
    r1_opt_ints curriculum; /* difficulties, see curriculum.h; none: o->difficulty alone */
    int loss_type;          /* r1_loss_type */
    int scale_rewards;      /* r1_loss_scale */
    int eval_steps;         /* steps between evaluations; 0: none */
    const char *eval_data;  /* JSON lines for them, NULL: the task's dev split */
    int eval_problems, eval_samples;
    int keep_samples; /* completions of a rollout that the store keeps */
    int preset;       /* r1_presets_names; applied before a run, r1_presets_apply */
    bool ignore_eos;  /* completions go on to their full length: for measurements of speed */
    int decode_batch; /* samples that decode together: memory and speed, not the result */
} r1_grpo_options;

extern const r1_opt r1_grpo_rows[];
extern const int r1_grpo_n_rows;

r1_status r1_grpo_run(const r1_grpo_options *o, const char *config, r1_store *store,
                      const r1_listener *listener, bool resume, r1_err *err);

#endif
