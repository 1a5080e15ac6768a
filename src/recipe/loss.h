/* loss.h: the objective of GRPO and its relatives, as arithmetic on arrays.
 *
 * DeepSeekMath (arXiv 2402.03300) section 4.1 and R1 (arXiv 2501.12948) section 2.2:
 *   advantage   A_i = (r_i - mean(r)) / std(r) over a group of completions of one prompt
 *               (DeepSeekMath 4.1.2, R1 eq. 3);
 *   objective   the mean over tokens of min(ratio A, clip(ratio, 1 - eps, 1 + eps) A) - beta KL
 *               (DeepSeekMath eq. 3, R1 eq. 1), ratio = pi(token) / pi_old(token);
 *   KL          ref/pi - log(ref/pi) - 1 of every token, "k3" (DeepSeekMath eq. 4, R1 eq. 2), or
 *               log(pi/ref), "k1", or half its square, "k2".
 * Deviations, all as TRL's GRPOTrainer has them: std divides by n - 1 and 1e-4 is added to it; the
 * clip has two widths (DAPO's clip-higher) and for bad tokens a bound on the ratio itself
 * (dual clip, arXiv 1912.09729); the loss is the negative objective; how tokens are averaged is a
 * choice, and so is whose ratio it is: a token's, or (GSPO, arXiv 2507.18071) the geometric mean of
 * the sequence's.  Ours: exponents are limited to 20 (log-ratio to +-20); beyond the limit
 * the term is constant and has no gradient.  All arithmetic is F64. */
#ifndef R1_LOSS_H
#define R1_LOSS_H

#include "r1.h"

/* How tokens are averaged; the names are TRL's loss_type. */
typedef enum {
    R1_LOSS_GRPO,    /* mean over the tokens of a sequence, then over sequences */
    R1_LOSS_BNPO,    /* mean over the tokens of the micro-batch */
    R1_LOSS_DR_GRPO, /* sum over tokens / (sequences x max_completion) */
    R1_LOSS_DAPO,    /* mean over the tokens of the whole batch */
    R1_LOSS_GSPO     /* averaged as grpo; one ratio a sequence */
} r1_loss_type;

/* How a token's divergence from the reference is estimated. */
typedef enum { R1_KL_K3, R1_KL_K1, R1_KL_K2 } r1_loss_kl;

/* What the centred rewards are divided by. */
typedef enum { R1_SCALE_GROUP, R1_SCALE_BATCH, R1_SCALE_NONE } r1_loss_scale;

extern const char *const r1_loss_type_names[];  /* "grpo", "bnpo", "dr_grpo", "dapo", "gspo" */
extern const char *const r1_loss_scale_names[]; /* "group", "batch", "none", NULL */
extern const char *const r1_loss_kl_names[];    /* "k3", "k1", "k2", NULL */

/* Advantages of groups x size rewards, row-major by group.  The mean is always the group's; scale
 * says whose standard deviation divides.  dead[g]: all rewards of the group are equal, so it
 * teaches nothing; its advantages are exactly 0.  A reward that is not finite means "could not be
 * scored": it stays out of means and deviations and has advantage 0.  Returns the number of dead
 * groups.  A group of one is dead. */
int r1_loss_advantages(const float *reward /* (groups,size) */, int groups, int size,
                       r1_loss_scale scale, float *advantage /* (groups,size) */,
                       bool *dead /* (groups) */);

typedef struct {
    r1_loss_type type;
    float epsilon_low, epsilon_high; /* the ratio is clipped to 1 - low .. 1 + high */
    float beta;                      /* weight of the KL; 0: no reference is needed */
    int max_completion;              /* used by dr_grpo alone */
    float delta;   /* the ratio is at most this; more than 1 + high, or 0: no such bound */
    r1_loss_kl kl; /* the estimator that beta weighs */
} r1_loss_options;

/* Weight of every token of a sequence of `tokens` completion tokens.  `sequences` and `all_tokens`
 * count the whole batch, dead groups included, whatever is left out of the update later; for
 * BNPO they count the micro-batch. */
double r1_loss_weight(const r1_loss_options *o, int tokens, int sequences, int64_t all_tokens);

/* Sums over the sequences seen; start from {0}.  TRL's metrics: clip_ratio/low_mean =
 * low/tokens, high_mean = high/tokens, region_mean = (low + high)/tokens, kl = kl/tokens,
 * entropy = entropy/tokens, sampling/sampling_logp_difference/mean = difference/tokens,
 * sampling/importance_sampling_ratio/mean = ratio/tokens. */
typedef struct {
    double loss;        /* weighted: policy and KL */
    double policy_loss; /* weighted, without the KL */
    double kl;          /* the estimate of each token */
    double entropy;     /* not touched here: the caller adds what the head measured */
    double ratio, ratio_min, ratio_max;
    double difference, difference_max; /* |lp - old| */
    int64_t tokens;
    int64_t low, high;        /* tokens clipped with A < 0 below, with A > 0 above */
    double low_min, high_max; /* least and greatest clipped share of a sequence */
    int64_t sequences;        /* those that have tokens */
} r1_loss_stats;

/* A stretch of a sequence's tokens: for most losses any stretch will do. */
typedef struct {
    int n;
    const float *lp, *old; /* (n) log-probabilities now and when it was sampled */
    const float *ref;      /* (n) the reference's, or NULL when beta is 0 */
    /* (n) factors of the policy's part, r1_loss_correct; NULL: 1. */
    const float *correction;
    float advantage;
    double weight;    /* r1_loss_weight */
    double log_ratio; /* GSPO: r1_loss_log_ratio of the whole sequence */
} r1_loss_tokens;

/* Adds to stats, and writes dlp[i] = dLoss/dlp[i].  Given a ref with beta 0, the KL is measured
 * and has no effect.  A NaN in lp, old or (beta not 0) ref makes the loss NaN, so that a broken
 * step cannot pass unseen.  For GSPO all tokens of a sequence have one correction. */
void r1_loss_sequence(const r1_loss_options *o, const r1_loss_tokens *t, float *dlp /* (n) */,
                      r1_loss_stats *stats);

/* The mean of lp - old over a whole sequence. */
double r1_loss_log_ratio(const float *lp, const float *old, int n);

/* The estimate of the divergence over a sequence's tokens, summed: for KL in the reward. */
double r1_loss_divergence(r1_loss_kl kl, const float *lp, const float *ref, int n);

/* Truncated importance sampling (Yao et al. 2025): where the sampler's log-probabilities differ
 * from the trainer's of the same weights, correction[i] = min(exp(trainer - sampler), cap). */
void r1_loss_correct(const float *trainer, const float *sampler, int n, float cap,
                     float *correction /* (n) */);

/* Add the sums of b to a. */
void r1_loss_stats_add(r1_loss_stats *a, const r1_loss_stats *b);

#endif
