/* grpo.h: group relative policy optimisation (DeepSeekMath, arXiv 2402.03300; R1, 2501.12948):
 * sample a group of completions a question, verify them, and move towards those above the group's
 * mean.  No reward model, no value model. */
#ifndef R1_GRPO_H
#define R1_GRPO_H

#include "engine/engine.h"
#include "recipe/loss.h"
#include "recipe/trainer.h"

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
    float beta;                  /* weight of the KL to the starting model; 0: none */
    float epsilon, epsilon_high; /* clip range of the ratio: 1 - epsilon .. 1 + epsilon_high */
    int loss_type;               /* r1_loss_type */
    int scale_rewards;           /* r1_loss_scale */
    int eval_steps;              /* steps between evaluations on the dev split; 0: none */
    int eval_problems, eval_samples;
    bool ignore_eos;  /* completions go on to their full length: for measurements of speed */
    int decode_batch; /* samples that decode together: memory and speed, not the result */
} r1_grpo_options;

extern const r1_opt r1_grpo_rows[];
extern const int r1_grpo_n_rows;

r1_status r1_grpo_run(const r1_grpo_options *o, const char *config, r1_store *store,
                      const r1_listener *listener, bool resume, r1_err *err);

/* The gradient of one step on completions that exist: o->prompts requests with their `out`, and a
 * reward for each completion (prompts,num_generations).  ref: NULL when beta is 0.  Adds to t's
 * gradients and to stats; the weights stay.  A prompt and a completion of it fit micro_tokens. */
r1_status r1_grpo_gradient(const r1_grpo_options *o, r1_trainer *t, r1_model *ref,
                           r1_request *request, const float *reward, r1_loss_stats *stats,
                           r1_err *err);

#endif
