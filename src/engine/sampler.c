/* sampler.c: from logits to a token.
 *
 * Without truncation a choice takes two passes over the vocabulary: the maximum, and the weights
 * exp((x - max) / T) with their sums by block, from which one uniform number picks.  top_k and
 * top_p first narrow the vocabulary with a histogram over the weights' exponents, then select
 * exactly among what is left. */
#include "engine/sampler.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "compute/scan_kernels.h"

enum {
    BUCKET_SHIFT = 18, /* bits of a weight below its bucket: 32 buckets a power of two */
    BUCKETS = 0x3F800000 / (1 << BUCKET_SHIFT) + 1, /* weights are 0..1 */
    VOCAB_MAX = 1 << 24,
    STOP_MAX = 16,
    STOP_BYTES_MAX = 1024,
    BIAS_MAX = 100, /* of a logit; its negative forbids a token */
    BIASES_MAX = 65536
};

struct r1_sampler {
    const r1_scan_kernels *k;
    int vocab;
    float *logits;     /* (V) with the penalties applied */
    int32_t *times;    /* (V) zero, but while penalties are counted */
    float *weight;     /* (V) */
    double *block_sum; /* (V/R1_SCAN_BLOCK) */
    int32_t *kept;     /* (V) ids that truncation has left */
    double *bucket;    /* (BUCKETS) */
};

static int blocks_of(int n)
{
    return (n + R1_SCAN_BLOCK - 1) / R1_SCAN_BLOCK;
}

static const r1_scan_kernels *kernels_of(r1_isa isa)
{
#if defined(__x86_64__)
    if (isa == R1_ISA_AVX512BF16)
        return &r1_scan_kernels_avx512bf16;
    if (isa == R1_ISA_AVX512)
        return &r1_scan_kernels_avx512;
    if (isa == R1_ISA_AVX2)
        return &r1_scan_kernels_avx2;
#elif defined(__aarch64__)
    if (isa == R1_ISA_NEON)
        return &r1_scan_kernels_neon;
#else
    (void)isa;
#endif
    return &r1_scan_kernels_scalar;
}

r1_status r1_sampler_open(int vocab, r1_isa isa, r1_sampler **out, r1_err *err)
{
    if (vocab < 1 || vocab > VOCAB_MAX)
        return r1_fail(err, R1_EARG, "sampler: a vocabulary of %d tokens is outside 1..%d",
                       vocab, VOCAB_MAX);
    r1_sampler *s = R1_NEW(r1_sampler);
    s->k = kernels_of(isa);
    s->vocab = vocab;
    s->logits = R1_NEW_N(float, vocab);
    s->times = R1_NEW_N(int32_t, vocab);
    s->weight = R1_NEW_N(float, vocab);
    s->block_sum = R1_NEW_N(double, blocks_of(vocab));
    s->kept = R1_NEW_N(int32_t, vocab);
    s->bucket = R1_NEW_N(double, BUCKETS);
    *out = s;
    return R1_OK;
}

void r1_sampler_close(r1_sampler *s)
{
    if (s == NULL)
        return;
    r1_mem_free(s->logits);
    r1_mem_free(s->times);
    r1_mem_free(s->weight);
    r1_mem_free(s->block_sum);
    r1_mem_free(s->kept);
    r1_mem_free(s->bucket);
    r1_mem_free(s);
}

r1_status r1_sampler_check(const r1_sampling *o, r1_err *err)
{
    /* Written so that NaN fails. */
    if (!(o->temperature >= 0 && o->temperature <= 100) ||
        (o->temperature > 0 && o->temperature < 1e-4f))
        return r1_fail(err, R1_EARG,
                       "sampling: temperature %g must be 0 (greedy) or 0.0001..100",
                       (double)o->temperature);
    if (o->top_k < 0)
        return r1_fail(err, R1_EARG, "sampling: top_k %d must be 0 (off) or more", o->top_k);
    if (!(o->top_p > 0 && o->top_p <= 1))
        return r1_fail(err, R1_EARG, "sampling: top_p %g must be above 0 and at most 1 (off)",
                       (double)o->top_p);
    if (!(o->min_p >= 0 && o->min_p <= 1))
        return r1_fail(err, R1_EARG, "sampling: min_p %g must be 0 (off) to 1",
                       (double)o->min_p);
    if (!(o->repeat_penalty >= 0.1f && o->repeat_penalty <= 10))
        return r1_fail(err, R1_EARG, "sampling: repeat_penalty %g must be 0.1..10 (1 is off)",
                       (double)o->repeat_penalty);
    if (!(o->presence_penalty >= -2 && o->presence_penalty <= 2))
        return r1_fail(err, R1_EARG, "sampling: presence_penalty %g must be -2..2 (0 is off)",
                       (double)o->presence_penalty);
    if (!(o->frequency_penalty >= -2 && o->frequency_penalty <= 2))
        return r1_fail(err, R1_EARG, "sampling: frequency_penalty %g must be -2..2 (0 is off)",
                       (double)o->frequency_penalty);
    if (o->repeat_last < 0)
        return r1_fail(err, R1_EARG, "sampling: repeat_last %d must be 0 or more",
                       o->repeat_last);
    if (o->max_tokens < 0)
        return r1_fail(err, R1_EARG, "sampling: max_tokens %d must be 0 (no limit) or more",
                       o->max_tokens);
    if (o->n_stop < 0 || o->n_stop > STOP_MAX)
        return r1_fail(err, R1_EARG, "sampling: %d stop strings, at most %d allowed", o->n_stop,
                       STOP_MAX);
    for (int i = 0; i < o->n_stop; i++) {
        size_t n = strlen(o->stop[i]);
        if (n == 0 || n > STOP_BYTES_MAX)
            return r1_fail(err, R1_EARG,
                           "sampling: stop string %d has %zu bytes, 1..%d allowed", i + 1, n,
                           STOP_BYTES_MAX);
    }
    if (o->top_logprobs < 0 || o->top_logprobs > R1_SAMPLER_TOP_MAX)
        return r1_fail(err, R1_EARG, "sampling: top_logprobs %d must be 0 (off) to %d",
                       o->top_logprobs, R1_SAMPLER_TOP_MAX);
    if (o->n_bias < 0 || o->n_bias > BIASES_MAX)
        return r1_fail(err, R1_EARG, "sampling: %d biases, at most %d allowed", o->n_bias,
                       BIASES_MAX);
    for (int i = 0; i < o->n_bias; i++)
        if (!(o->bias[i].bias >= -BIAS_MAX && o->bias[i].bias <= BIAS_MAX))
            return r1_fail(err, R1_EARG, "sampling: the bias %g of token %d must be -%d..%d",
                           (double)o->bias[i].bias, (int)o->bias[i].id, BIAS_MAX, BIAS_MAX);
    return R1_OK;
}

/* The largest number; infinities count as the largest finite numbers. */
static float max_of(const r1_sampler *s, const float *x, int n)
{
    float max = s->k->max(x, n);
    return max > FLT_MAX ? FLT_MAX : max;
}

/* The sum of the weights; block sums go to block_sum unless it is NULL, and then w needs room for
 * one block only. */
static double weigh(const r1_sampler *s, const float *x, int n, float max, float inv_t,
                    double *block_sum)
{
    double total = 0;
    for (int b = 0, i = 0; i < n; b++, i += R1_SCAN_BLOCK) {
        double sum = s->k->weigh(block_sum != NULL ? s->weight + i : s->weight, x + i,
                                 n - i < R1_SCAN_BLOCK ? n - i : R1_SCAN_BLOCK, max, inv_t);
        if (block_sum != NULL)
            block_sum[b] = sum;
        total += sum;
    }
    return total;
}

/* The first of the largest logits, max; 0 when there is no number. */
static int32_t argmax(const r1_sampler *s, const float *x, int n, float *max)
{
    float best = -INFINITY;
    int at = 0;
    for (int i = 0; i < n; i += R1_SCAN_BLOCK) {
        float m = s->k->max(x + i, n - i < R1_SCAN_BLOCK ? n - i : R1_SCAN_BLOCK);
        if (m > best) {
            best = m;
            at = i;
        }
    }
    *max = best > FLT_MAX ? FLT_MAX : best;
    for (int i = at; i < n && i < at + R1_SCAN_BLOCK; i++)
        if (x[i] >= *max)
            return i;
    return 0;
}

/* ---- Truncation -------------------------------------------------------------------------- */

/* The order of truncation: heavier first, then smaller id.  No two ids are equal in it. */
static bool before(const float *w, int32_t a, int32_t b)
{
    return w[a] > w[b] || (w[a] == w[b] && a < b);
}

static void swap(int32_t *c, int i, int j)
{
    int32_t t = c[i];
    c[i] = c[j];
    c[j] = t;
}

/* What an id adds to `need`: its weight for top_p, one for top_k. */
static double measure(const float *w, int32_t id, bool mass)
{
    return mass ? (double)w[id] : 1;
}

static int bucket_of(float w)
{
    uint32_t bits;
    memcpy(&bits, &w, sizeof bits);
    int b = (int)(bits >> BUCKET_SHIFT);
    return b < BUCKETS ? b : BUCKETS - 1;
}

/* Narrow 0..n-1 to those of s->kept that may be among the heaviest of mass need: others weigh
 * less together than what that mass leaves of the total, twice over, so that roundings and a
 * bucket more or less make no difference. */
static int keep_heavy(r1_sampler *s, int n, double need, double total)
{
    float least = (float)(0.5 * (total - need) / n);
    int kept = 0;
    for (int b = 0, i = 0; i < n; b++, i += R1_SCAN_BLOCK)
        if (s->block_sum[b] >= (double)least)
            kept += s->k->keep(s->kept + kept, s->weight, i,
                               n - i < R1_SCAN_BLOCK ? n : i + R1_SCAN_BLOCK, least);
    return kept;
}

/* Narrow the n ids of s->kept: whole buckets from the heaviest down whose measure reaches need. */
static int keep_buckets(r1_sampler *s, int n, double need, bool mass)
{
    const float *w = s->weight;
    int32_t *c = s->kept;
    memset(s->bucket, 0, BUCKETS * sizeof *s->bucket);
    for (int i = 0; i < n; i++)
        s->bucket[bucket_of(w[c[i]])] += measure(w, c[i], mass);
    int b = BUCKETS - 1;
    for (double sum = s->bucket[b]; b > 0 && sum < need;)
        sum += s->bucket[--b];
    /* Bucket sums round differently from select's: one more bucket makes sure of enough. */
    b = b > 0 && mass ? b - 1 : b;
    uint32_t low_bits = (uint32_t)b << BUCKET_SHIFT;
    float low;
    memcpy(&low, &low_bits, sizeof low);
    int kept = 0;
    for (int i = 0; i < n; i++) {
        int32_t id = c[i];
        c[kept] = id;
        kept += w[id] >= low;
    }
    return kept;
}

/* Reorder c[0..n) so that the first r, in some order, are the shortest prefix of the order above
 * whose measure reaches need; returns r.  Quick-select: only the side with the end is pursued. */
static int select_prefix(const float *w, int32_t *c, int n, double need, bool mass)
{
    int lo = 0, hi = n;
    while (hi - lo > 1) {
        int mid = lo + (hi - lo) / 2, last = hi - 1;
        if (before(w, c[mid], c[lo]))
            swap(c, mid, lo);
        if (before(w, c[last], c[lo]))
            swap(c, last, lo);
        if (before(w, c[last], c[mid]))
            swap(c, last, mid);
        /* The median of three is in the middle: put it last, split, put it between. */
        swap(c, mid, last);
        int32_t pivot = c[last];
        int split = lo;
        double sum = 0;
        for (int i = lo; i < last; i++)
            if (before(w, c[i], pivot)) {
                sum += measure(w, c[i], mass);
                swap(c, i, split++);
            }
        swap(c, split, last);
        if (sum >= need) {
            hi = split;
            continue;
        }
        need -= sum + measure(w, pivot, mass);
        lo = split + 1;
        if (need <= 0)
            return lo;
    }
    return hi;
}

/* Apply top_k, top_p and min_p, each to what the one before left.  Returns how many ids are in
 * s->kept, or -1 when all n are left. */
static int truncate_choice(r1_sampler *s, int n, double total, const r1_sampling *o)
{
    const float *w = s->weight;
    int32_t *c = s->kept;
    int kept = -1;
    if (o->top_k > 0 && o->top_k < n) {
        kept = s->k->keep(c, w, 0, n, 0);
        kept = keep_buckets(s, kept, o->top_k, false);
        kept = select_prefix(w, c, kept, o->top_k, false);
    }
    if (o->top_p < 1) {
        if (kept < 0) {
            double need = total * (double)o->top_p;
            kept = keep_buckets(s, keep_heavy(s, n, need, total), need, true);
        } else {
            total = 0;
            for (int i = 0; i < kept; i++)
                total += (double)w[c[i]];
        }
        kept = select_prefix(w, c, kept, total * (double)o->top_p, true);
    }
    if (o->min_p > 0) {
        /* The heaviest weight is 1. */
        int left = 0;
        for (int i = 0; i < (kept < 0 ? n : kept); i++) {
            int32_t id = kept < 0 ? i : c[i];
            c[left] = id;
            left += w[id] >= o->min_p;
        }
        kept = left;
    }
    return kept;
}

/* ---- The draw ---------------------------------------------------------------------------- */

/* The id at which the running sum of weights passes `at`; rounding may leave none: then the last
 * id with any weight. */
static int32_t draw_range(const float *w, int begin, int end, double at)
{
    int32_t last = begin;
    for (int i = begin; i < end; i++) {
        if (w[i] <= 0)
            continue;
        last = i;
        at -= (double)w[i];
        if (at < 0)
            break;
    }
    return last;
}

static int32_t draw_all(const r1_sampler *s, int n, double at)
{
    int last = 0;
    for (int b = 0; b < blocks_of(n); b++) {
        if (s->block_sum[b] <= 0)
            continue;
        last = b;
        if (at < s->block_sum[b])
            break;
        at -= s->block_sum[b];
    }
    int begin = last * R1_SCAN_BLOCK, end = begin + R1_SCAN_BLOCK;
    return draw_range(s->weight, begin, end < n ? end : n, at);
}

static int32_t draw_kept(const r1_sampler *s, int kept, float u)
{
    double total = 0;
    for (int i = 0; i < kept; i++)
        total += (double)s->weight[s->kept[i]];
    double at = (double)u * total;
    int32_t last = s->kept[0];
    for (int i = 0; i < kept; i++) {
        float w = s->weight[s->kept[i]];
        if (w <= 0)
            continue;
        last = s->kept[i];
        at -= (double)w;
        if (at < 0)
            break;
    }
    return last;
}

/* ---- The choice -------------------------------------------------------------------------- */

static bool is_penalised(const r1_sampling *o)
{
    return (o->repeat_penalty != 1 && o->repeat_last > 0) || o->presence_penalty != 0 ||
           o->frequency_penalty != 0;
}

/* The penalties on s->logits, a copy of the logits.  That on recent tokens divides positive ones
 * and multiplies negative ones; it starts from the given logits each time, so a repeated token is
 * not penalised twice.  The others count the tokens of the completion. */
static void penalise(r1_sampler *s, const float *logits, int n, const r1_sampling *o,
                     const int32_t *recent, int n_recent, int n_new)
{
    int first = n_recent > o->repeat_last ? n_recent - o->repeat_last : 0;
    for (int i = first; i < n_recent; i++) {
        int32_t id = recent[i];
        if (id >= 0 && id < n)
            s->logits[id] = logits[id] > 0 ? logits[id] / o->repeat_penalty
                                           : logits[id] * o->repeat_penalty;
    }
    if (o->presence_penalty == 0 && o->frequency_penalty == 0)
        return;
    for (int i = n_recent - n_new; i < n_recent; i++)
        if (recent[i] >= 0 && recent[i] < n)
            s->times[recent[i]]++;
    for (int i = n_recent - n_new; i < n_recent; i++) {
        int32_t id = recent[i];
        if (id < 0 || id >= n || s->times[id] == 0)
            continue;
        s->logits[id] -= o->presence_penalty + (float)s->times[id] * o->frequency_penalty;
        s->times[id] = 0;
    }
}

static bool is_set(const uint64_t *bits, int32_t id)
{
    return (bits[id / 64] >> (id % 64) & 1) != 0;
}

/* Biases, and what is not allowed, on s->logits. */
static void restrict_to(r1_sampler *s, int n, const r1_sampling *o, const uint64_t *allowed)
{
    for (int i = 0; i < o->n_bias; i++) {
        const r1_bias *b = &o->bias[i];
        if (b->id >= 0 && b->id < n)
            s->logits[b->id] += b->bias > -BIAS_MAX ? b->bias : -INFINITY;
    }
    for (int i = 0; allowed != NULL && i < n; i++)
        if (!is_set(allowed, i))
            s->logits[i] = -INFINITY;
}

/* log p(id), where the weights of all have been summed up around max. */
static float log_share(const float *logits, int32_t id, float max, float inv_t, double total)
{
    float x = logits[id] > FLT_MAX ? FLT_MAX : logits[id];
    /* Without a number among the logits there is no distribution. */
    return total > 0 && x >= -FLT_MAX ? (float)((double)((x - max) * inv_t) - log(total))
                                      : -INFINITY;
}

float r1_sampler_lp(r1_sampler *s, const float *logits, float temperature, int32_t id)
{
    float inv_t = temperature > 0 ? 1 / temperature : 1, max = max_of(s, logits, s->vocab);
    return log_share(logits, id, max, inv_t, weigh(s, logits, s->vocab, max, inv_t, NULL));
}

void r1_sampler_top(r1_sampler *s, const float *logits, int n_tokens, float temperature, int n,
                    r1_top *top)
{
    float inv_t = temperature > 0 ? 1 / temperature : 1, max = max_of(s, logits, s->vocab);
    double total = weigh(s, logits, s->vocab, max, inv_t, NULL);
    int found = 0, end = n_tokens < s->vocab ? n_tokens : s->vocab;
    for (int b = 0; b < end; b += R1_SCAN_BLOCK) {
        int stop = end - b < R1_SCAN_BLOCK ? end : b + R1_SCAN_BLOCK;
        /* Most blocks have nothing that belongs among the first. */
        if (found == n && s->k->max(logits + b, stop - b) <= logits[top[n - 1].id])
            continue;
        for (int32_t id = b; id < stop; id++) {
            int at = found;
            while (at > 0 && logits[id] > logits[top[at - 1].id])
                at--;
            if (at == n || !(logits[id] >= -FLT_MAX))
                continue;
            found += found < n;
            memmove(top + at + 1, top + at, (size_t)(found - 1 - at) * sizeof *top);
            top[at].id = id;
        }
    }
    for (int i = 0; i < n; i++)
        top[i] = i < found
                     ? (r1_top){top[i].id, log_share(logits, top[i].id, max, inv_t, total)}
                     : (r1_top){-1, -INFINITY};
}

int32_t r1_sampler_choose_again(r1_sampler *s, const float *logits, int n_tokens,
                                const r1_sampling *o, const int32_t *recent, int n_recent,
                                int n_new, uint64_t sequence, uint64_t position,
                                const uint64_t *allowed, float *lp)
{
    int vocab = s->vocab, n = n_tokens < vocab ? n_tokens : vocab;
    r1_assert(n >= 1);
    bool greedy = o->temperature <= 0;
    bool penalty = n_recent > 0 && is_penalised(o);
    bool changed = penalty || o->n_bias > 0 || allowed != NULL;
    float inv_t = greedy ? 1 : 1 / o->temperature;
    const float *x = changed ? s->logits : logits;
    if (changed)
        memcpy(s->logits, logits, (size_t)n * sizeof *logits);
    if (penalty)
        penalise(s, logits, n, o, recent, n_recent, n_new);
    if (changed)
        restrict_to(s, n, o, allowed);

    int32_t id = 0;
    float top; /* of what may be chosen */
    bool have_total = false;
    double total = 0;
    if (greedy) {
        id = argmax(s, x, n, &top);
    } else {
        top = max_of(s, x, n);
        total = weigh(s, x, n, top, inv_t, s->block_sum);
        have_total = !changed && n == vocab;
        if (total > 0) {
            float u = r1_rng_uniform(o->seed, allowed ? R1_RNG_AGAIN : R1_RNG_SAMPLE, sequence,
                                     position);
            int kept = truncate_choice(s, n, total, o);
            id = kept < 0 ? draw_all(s, n, (double)u * total) : draw_kept(s, kept, u);
        }
    }
    /* What is allowed may have no weight at all. */
    for (int32_t i = 0; allowed != NULL && !is_set(allowed, id) && i < n; i++)
        id = is_set(allowed, i) ? i : id;
    if (lp != NULL) {
        /* What cannot be chosen has its share of the probability. */
        float rest = n < vocab ? max_of(s, logits + n, vocab - n) : -FLT_MAX;
        float max = changed ? max_of(s, logits, n) : top;
        max = rest > max ? rest : max;
        if (!have_total)
            total = weigh(s, logits, vocab, max, inv_t, NULL);
        *lp = log_share(logits, id, max, inv_t, total);
    }
    return id;
}

int32_t r1_sampler_choose(r1_sampler *s, const float *logits, int n_tokens,
                          const r1_sampling *o, const int32_t *recent, int n_recent, int n_new,
                          uint64_t sequence, uint64_t position, float *lp)
{
    return r1_sampler_choose_again(s, logits, n_tokens, o, recent, n_recent, n_new, sequence,
                                   position, NULL, lp);
}
