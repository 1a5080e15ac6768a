/* loss.c: advantages, the clipped ratio and the KL, with the gradient written out. */
#include "recipe/loss.h"

#include <math.h>

#include "base/err.h"

#define EXPONENT_MAX 20.0
#define STD_EPSILON  1e-4

const char *const r1_loss_type_names[] = {"grpo", "bnpo", "dr_grpo", "dapo", "gspo", NULL};
const char *const r1_loss_kl_names[] = {"k3", "k1", "k2", NULL};
const char *const r1_loss_scale_names[] = {"group", "batch", "none", NULL};

/* Mean of the scored rewards; *spread tells whether two of them differ.  Comparing min and max is
 * exact, where a standard deviation of equal rewards may be 1e-8 for rounding. */
static double mean_of(const float *r, int n, bool *spread)
{
    double sum = 0;
    float min = INFINITY, max = -INFINITY;
    int scored = 0;
    for (int i = 0; i < n; i++) {
        if (!isfinite(r[i]))
            continue;
        sum += (double)r[i];
        min = r[i] < min ? r[i] : min;
        max = r[i] > max ? r[i] : max;
        scored++;
    }
    *spread = scored > 0 && min < max;
    return scored ? sum / scored : 0;
}

/* Standard deviation of the scored rewards, dividing by n - 1 as TRL does. */
static double std_of(const float *r, int64_t n, double mean)
{
    double sum = 0;
    int64_t scored = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(r[i]))
            continue;
        double d = (double)r[i] - mean;
        sum += d * d;
        scored++;
    }
    return scored > 1 ? sqrt(sum / (double)(scored - 1)) : 0;
}

static double batch_std(const float *r, int64_t n)
{
    double sum = 0;
    int64_t scored = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(r[i])) {
            sum += (double)r[i];
            scored++;
        }
    return std_of(r, n, scored ? sum / (double)scored : 0);
}

int r1_loss_advantages(const float *reward, int groups, int size, r1_loss_scale scale,
                       float *advantage, bool *dead)
{
    r1_assert(groups >= 0 && size >= 1);
    int n_dead = 0;
    double divisor = 1;
    if (scale == R1_SCALE_BATCH)
        divisor = batch_std(reward, (int64_t)groups * size) + STD_EPSILON;
    for (int g = 0; g < groups; g++) {
        const float *r = reward + (size_t)g * size;
        float *a = advantage + (size_t)g * size;
        bool spread;
        double mean = mean_of(r, size, &spread);
        dead[g] = !spread;
        n_dead += !spread;
        if (scale == R1_SCALE_GROUP)
            divisor = std_of(r, size, mean) + STD_EPSILON;
        for (int i = 0; i < size; i++)
            a[i] = spread && isfinite(r[i]) ? (float)(((double)r[i] - mean) / divisor) : 0;
    }
    return n_dead;
}

double r1_loss_weight(const r1_loss_options *o, int tokens, int sequences, int64_t all_tokens)
{
    r1_assert(tokens >= 0 && sequences >= 1 && all_tokens >= tokens);
    switch (o->type) {
    case R1_LOSS_GRPO:
    case R1_LOSS_GSPO: return 1 / ((double)sequences * (tokens > 1 ? tokens : 1));
    case R1_LOSS_DR_GRPO:
        r1_assert(o->max_completion >= 1);
        return 1 / ((double)sequences * o->max_completion);
    case R1_LOSS_BNPO:
    case R1_LOSS_DAPO: break;
    }
    return 1 / (double)(all_tokens > 1 ? all_tokens : 1);
}

typedef struct {
    double loss, dlp; /* of one token, before its weight */
} term;

/* DeepSeekMath eq. 3: -min(ratio A, clip(ratio) A).  The clipped side is the smaller one exactly
 * when the ratio has left the band in the direction that A rewards; there the term is constant.
 * A NaN ratio is on neither side and stays NaN. */
static term policy_term(const r1_loss_options *o, double log_ratio, double a, int64_t *low,
                        int64_t *high)
{
    bool limited = fabs(log_ratio) > EXPONENT_MAX;
    double ratio = exp(limited ? copysign(EXPONENT_MAX, log_ratio) : log_ratio);
    double floor_ratio = 1 - (double)o->epsilon_low, ceiling = 1 + (double)o->epsilon_high;
    if (a < 0 && ratio < floor_ratio) {
        ++*low;
        return (term){-floor_ratio * a, 0};
    }
    if (a > 0 && ratio > ceiling) {
        ++*high;
        return (term){-ceiling * a, 0};
    }
    if (o->delta > 0 && ratio > (double)o->delta)
        return (term){-(double)o->delta * a, 0};
    return (term){-ratio * a, limited ? 0 : -ratio * a};
}

/* d = log(ref/pi).  k3, DeepSeekMath eq. 4: e^d - d - 1, whose derivative by log pi is 1 - e^d.
 * Only large d needs the limit: for small d the term is nearly linear and its pull is wanted.
 * k1: -d; k2: d^2/2. */
static term kl_term(r1_loss_kl kind, double d)
{
    if (kind == R1_KL_K1)
        return (term){-d, 1};
    if (kind == R1_KL_K2)
        return (term){d * d / 2, -d};
    bool limited = d > EXPONENT_MAX;
    double x = limited ? EXPONENT_MAX : d, e = exp(x);
    return (term){e - x - 1, limited ? 0 : 1 - e};
}

/* The extremes of an empty sum are those of the first value added. */
static double lesser(double a, double b, bool first)
{
    return first || b < a ? b : a;
}

static double greater(double a, double b, bool first)
{
    return first || b > a ? b : a;
}

static void count_ratio(r1_loss_stats *s, double log_ratio)
{
    double ratio = exp(log_ratio > EXPONENT_MAX ? EXPONENT_MAX : log_ratio);
    double difference = fabs(log_ratio);
    bool first = s->tokens == 0;
    s->ratio += ratio;
    s->ratio_min = lesser(s->ratio_min, ratio, first);
    s->ratio_max = greater(s->ratio_max, ratio, first);
    s->difference += difference;
    s->difference_max = greater(s->difference_max, difference, first);
    s->tokens++;
}

double r1_loss_log_ratio(const float *lp, const float *old, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)lp[i] - (double)old[i];
    return n ? sum / n : 0;
}

double r1_loss_divergence(r1_loss_kl kl, const float *lp, const float *ref, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += kl_term(kl, (double)ref[i] - (double)lp[i]).loss;
    return sum;
}

void r1_loss_correct(const float *trainer, const float *sampler, int n, float cap,
                     float *correction)
{
    for (int i = 0; i < n; i++) {
        double ratio = exp((double)trainer[i] - (double)sampler[i]);
        correction[i] = ratio > (double)cap ? cap : (float)ratio; /* a NaN stays one */
    }
}

/* GSPO: the loss of a sequence of length |o| whose tokens weigh w each is w |o| f(s), and
 * ds/dlp = s/|o| for each token: as f'(s) s w, the formula of a token's own ratio. */
void r1_loss_sequence(const r1_loss_options *o, const r1_loss_tokens *t, float *dlp,
                      r1_loss_stats *stats)
{
    r1_assert(t->n >= 0 && (t->ref || o->beta == 0));
    double policy = 0, kl = 0;
    int64_t low = 0, high = 0;
    for (int i = 0; i < t->n; i++) {
        double log_ratio = (double)t->lp[i] - (double)t->old[i];
        term p = policy_term(o, o->type == R1_LOSS_GSPO ? t->log_ratio : log_ratio,
                             (double)t->advantage, &low, &high);
        double factor = t->correction ? (double)t->correction[i] : 1;
        term k = t->ref ? kl_term(o->kl, (double)t->ref[i] - (double)t->lp[i]) : (term){0, 0};
        double penalty = o->beta != 0 ? (double)o->beta * k.dlp : 0;
        policy += factor * p.loss;
        kl += k.loss;
        dlp[i] = (float)(t->weight * (factor * p.dlp + penalty));
        count_ratio(stats, log_ratio);
    }
    if (t->n == 0)
        return;
    stats->policy_loss += t->weight * policy;
    stats->loss += t->weight * (o->beta != 0 ? policy + (double)o->beta * kl : policy);
    stats->kl += kl;
    stats->low += low;
    stats->high += high;
    bool first = stats->sequences == 0;
    stats->low_min = lesser(stats->low_min, (double)low / t->n, first);
    stats->high_max = greater(stats->high_max, (double)high / t->n, first);
    stats->sequences++;
}

void r1_loss_stats_add(r1_loss_stats *a, const r1_loss_stats *b)
{
    if (b->tokens == 0)
        return;
    bool first = a->tokens == 0;
    a->ratio_min = lesser(a->ratio_min, b->ratio_min, first);
    a->ratio_max = greater(a->ratio_max, b->ratio_max, first);
    a->difference_max = greater(a->difference_max, b->difference_max, first);
    a->low_min = lesser(a->low_min, b->low_min, first);
    a->high_max = greater(a->high_max, b->high_max, first);
    a->loss += b->loss;
    a->policy_loss += b->policy_loss;
    a->kl += b->kl;
    a->entropy += b->entropy;
    a->ratio += b->ratio;
    a->difference += b->difference;
    a->tokens += b->tokens;
    a->low += b->low;
    a->high += b->high;
    a->sequences += b->sequences;
}
