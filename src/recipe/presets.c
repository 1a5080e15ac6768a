/* presets.c: the table of presets; docs/training.md says what each is. */
#include "recipe/presets.h"

#include <stdio.h>

const char *const r1_presets_names[] = {"none", "paper",   "paper-stage2", "deepseekmath",
                                        "dapo", "dr_grpo", "gspo",         NULL};

enum { MAX_KEYS = 20 };

typedef struct {
    const char *key, *value;
} setting;

/* R1, arXiv 2501.12948v2, methods and A.3: what all of its RL stages have. */
static const setting paper[] = {{"learning_rate", "3e-6"},
                                {"schedule", "constant"},
                                {"loss_type", "grpo"},
                                {"beta", "0.001"},
                                {"kl", "k3"},
                                {"epsilon", "10"},
                                {"epsilon_high", "10"},
                                {"num_generations", "16"},
                                {"prompts", "512"},
                                {"minibatches", "16"},
                                {"ref_refresh_steps", "400"},
                                {"max_completion_length", "32768"},
                                {NULL, NULL}};

/* In the order of the names. */
static const struct {
    const setting *common; /* of some presets, or NULL */
    setting own[MAX_KEYS];
} presets[] = {
    {NULL, {{NULL, NULL}}},
    /* R1-Zero and the first RL stage. */
    {paper,
     {{"temperature", "1"},
      {"later_step", "8200"},
      {"later_completion_length", "65536"},
      {"steps", "10400"},
      {NULL, NULL}}},
    /* The last RL stage, for all questions. */
    {paper, {{"temperature", "0.7"}, {"steps", "1700"}, {NULL, NULL}}},
    /* DeepSeekMath, arXiv 2402.03300, 4.2. */
    {NULL,
     {{"learning_rate", "1e-6"},
      {"schedule", "constant"},
      {"loss_type", "grpo"},
      {"beta", "0.04"},
      {"kl", "k3"},
      {"temperature", "1"},
      {"num_generations", "64"},
      {"prompts", "16"},
      {"minibatches", "1"},
      {"max_completion_length", "1024"},
      {NULL, NULL}}},
    /* DAPO, arXiv 2503.14476, 4.1; its overlong punishment is a reward, over the last quarter. */
    {NULL,
     {{"learning_rate", "1e-6"},
      {"schedule", "constant"},
      {"warmup_steps", "20"},
      {"loss_type", "dapo"},
      {"beta", "0"},
      {"epsilon", "0.2"},
      {"epsilon_high", "0.28"},
      {"num_generations", "16"},
      {"prompts", "512"},
      {"minibatches", "16"},
      {"dynamic_sampling", "10"},
      {"max_completion_length", "20480"},
      {"rewards", "accuracy:1,overlong:1"},
      {NULL, NULL}}},
    /* Dr. GRPO, arXiv 2503.20783: no division by lengths or deviations. */
    {NULL,
     {{"learning_rate", "1e-6"},
      {"schedule", "constant"},
      {"loss_type", "dr_grpo"},
      {"scale_rewards", "none"},
      {"beta", "0"},
      {"temperature", "1"},
      {"num_generations", "8"},
      {"prompts", "16"},
      {"max_completion_length", "3000"},
      {NULL, NULL}}},
    /* GSPO, arXiv 2507.18071, 5.1: one ratio a sequence, in a narrow band. */
    {NULL,
     {{"loss_type", "gspo"},
      {"beta", "0"},
      {"epsilon", "3e-4"},
      {"epsilon_high", "4e-4"},
      {"minibatches", "4"},
      {NULL, NULL}}},
};

/* Those of a list that were not given, by the user or by a list before. */
static r1_status apply(r1_opts *o, const setting *list, r1_err *err)
{
    for (; list && list->key; list++) {
        char text[200];
        if (r1_opts_given(o, list->key))
            continue;
        snprintf(text, sizeof text, "%s=%s", list->key, list->value);
        R1_TRY(r1_opts_assign(o, text, err));
    }
    return R1_OK;
}

r1_status r1_presets_apply(r1_opts *o, int which, r1_err *err)
{
    r1_assert(which >= 0 && which < (int)(sizeof presets / sizeof *presets));
    R1_TRY(apply(o, presets[which].own, err));
    return apply(o, presets[which].common, err);
}
