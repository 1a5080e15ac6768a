/* watch.c: the table of warnings; see watch.h and docs/training.md. */
#include "recipe/watch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FIRST = 5, SILENT = 25 }; /* records */

/* ABOVE and BELOW compare with a limit, GROWN and SHRUNK with a multiple of the first values. */
typedef enum { NONE, ABOVE, BELOW, GROWN, SHRUNK } test;

typedef struct {
    const char *metric;
    test test;
    double limit;
} condition;

static const struct {
    const char *name;
    condition when[R1_WATCH_CONDITIONS]; /* all of them */
    int patience;                        /* records in a row */
    const char *text;                    /* %g: the first condition's value */
} rules[R1_WATCH_RULES] = {
    {"exploding_kl",
     {{"kl", ABOVE, 0.5}},
     2,
     "the policy is %.3g nats a token away from its reference: raise beta, lower "
     "learning_rate, or go back to the best checkpoint"},
    {"collapsing_entropy",
     {{"entropy", SHRUNK, 0.15}, {"reward", BELOW, 0.95}},
     3,
     "entropy is down to %.3g, samples become alike and their groups teach nothing: raise "
     "epsilon_high (0.28), entropy_coef (0.001) or temperature, or lower learning_rate"},
    {"collapsing_length",
     {{"completions/mean_length", SHRUNK, 0.25}, {"reward", BELOW, 0.95}},
     3,
     "completions are down to %.3g tokens: the model may be giving up thinking; look at `r1 runs "
     "samples`, and at what short answers are paid"},
    {"all_zero_rewards",
     {{"reward_max", BELOW, 1e-9}, {"reward", BELOW, 1e-9}},
     3,
     "no completion has earned anything (best reward %.3g): the questions are too hard, or the "
     "verifier does not understand the answers; look at `r1 runs samples`"},
    {"truncated",
     {{"completions/clipped_ratio", ABOVE, 0.5}},
     1,
     "a share of %.2g of the completions was cut at max_completion_length and may have no "
     "reward for that: raise it, or pay for brevity"},
    {"dead_groups",
     {{"frac_reward_zero_std", ABOVE, 0.7}, {"groups/all_right", BELOW, 1}},
     1,
     "a share of %.2g of the groups has equal rewards and teaches nothing: raise num_generations, "
     "choose other questions, or set dynamic_sampling or curriculum"},
    {"too_easy",
     {{"frac_reward_zero_std", ABOVE, 0.9}, {"groups/all_right", ABOVE, 0}},
     3,
     "a share of %.2g of the groups teaches nothing, and some are all right: the questions have "
     "become too easy; choose harder ones or set curriculum"},
    {"sampler_mismatch",
     {{"sampling/sampling_logp_difference/mean", ABOVE, 0.05}},
     1,
     "sampler and trainer differ by %.3g nats a token for the same weights: set "
     "importance_sampling_cap=2, or compute=f32"},
    {"exploding_gradient",
     {{"grad_norm", GROWN, 20}, {"grad_norm", ABOVE, 1}},
     2,
     "the gradient's norm has grown to %.3g: lower learning_rate or max_grad_norm"},
    {"diverging_loss",
     {{"loss", GROWN, 1.5}, {"tokens_per_s", ABOVE, 0}},
     3,
     "the loss has grown to %.3g from where it began: lower learning_rate, or warm up longer"},
};

static bool holds(const condition *c, double value, double first, int seen)
{
    switch (c->test) {
    case NONE: return true;
    case ABOVE: return value > c->limit;
    case BELOW: return value < c->limit;
    case GROWN: return seen >= FIRST && value > c->limit * first;
    case SHRUNK: return seen >= FIRST && value < c->limit * first;
    }
    return false;
}

/* Do all conditions of rule i hold?  A metric that is missing fails its condition. */
static bool look(r1_watch *w, int i, const r1_metric *m, int n, double *value)
{
    bool all = true;
    for (int k = 0; k < R1_WATCH_CONDITIONS; k++) {
        const condition *c = &rules[i].when[k];
        const double v = c->metric ? r1_store_metric(m, n, c->metric) : (double)NAN;
        double *first = &w->rule[i].first[k];
        int *seen = &w->rule[i].seen[k];
        all = all && (!c->metric || !isnan(v)) && holds(c, v, *first, *seen);
        if (*seen < FIRST && !isnan(v))
            *first += (v - *first) / ++*seen;
        if (k == 0)
            *value = v;
    }
    return all;
}

void r1_watch_step(r1_watch *w, const r1_metric *m, int n, r1_watch_fn fn, void *ud)
{
    for (int i = 0; i < R1_WATCH_RULES; i++) {
        double value = (double)NAN;
        bool on = look(w, i, m, n, &value);
        int *streak = &w->rule[i].streak, *silent = &w->rule[i].silent;
        *streak = on ? *streak + 1 : 0;
        *silent -= *silent > 0;
        if (*streak < rules[i].patience || *silent > 0)
            continue;
        *silent = SILENT;
        char text[400];
        /* The format is of the table above. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, rules[i].text, value);
#pragma GCC diagnostic pop
        fn(ud, rules[i].name, text);
    }
}
