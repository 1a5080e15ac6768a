/* sampler.c: from logits to a token.
 *
 * Without truncation a choice takes two passes over the vocabulary: the maximum, and the weights
 * exp((x - max) / T) with their sums by block, from which one uniform number picks.  top_k and
 * top_p first narrow the vocabulary with a histogram over the weights' exponents, then select
 * exactly among what is left.  The loops keep LANES independent sums, so that the compiler may
 * use vectors without reordering any sum: results are the same with and without them. */
#include "engine/sampler.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

enum {
    LANES = 16,
    BLOCK = 512,       /* weights that share a partial sum; a multiple of LANES */
    BUCKET_SHIFT = 18, /* bits of a weight below its bucket: 32 buckets a power of two */
    BUCKETS = 0x3F800000 / (1 << BUCKET_SHIFT) + 1, /* weights are 0..1 */
    VOCAB_MAX = 1 << 24,
    STOP_MAX = 16,
    STOP_BYTES_MAX = 1024
};

struct r1_sampler {
    int vocab;
    float *logits;     /* (V) with the repetition penalty applied */
    float *weight;     /* (V) */
    double *block_sum; /* (V/BLOCK) */
    int32_t *kept;     /* (V) ids that truncation has left */
    double *bucket;    /* (BUCKETS) */
};

static int blocks_of(int n)
{
    return (n + BLOCK - 1) / BLOCK;
}

r1_status r1_sampler_open(int vocab, r1_sampler **out, r1_err *err)
{
    if (vocab < 1 || vocab > VOCAB_MAX)
        return r1_fail(err, R1_EARG, "sampler: a vocabulary of %d tokens is outside 1..%d",
                       vocab, VOCAB_MAX);
    r1_sampler *s = R1_NEW(r1_sampler);
    s->vocab = vocab;
    s->logits = R1_NEW_N(float, vocab);
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
    return R1_OK;
}

/* exp(x) for -88 <= x <= 0, within 2e-7 of the value; at -88 the exponent field becomes 0, and so
 * does the result. */
static inline float exp_negative(float x)
{
    const float round = 0x1.8p23f; /* adding it leaves the nearest integer in the low bits */
    float k = x * 1.44269504f + round;
    uint32_t bits;
    memcpy(&bits, &k, sizeof bits);
    k -= round;
    float r = x - k * 0.693359375f + k * 2.12194440e-4f; /* ln 2 in two parts */
    float p = 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    bits = (bits + 127u) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/* The largest number; NaN is passed over, infinities count as the largest finite numbers. */
static float max_of(const float *restrict x, int n)
{
    float m[LANES];
    for (int j = 0; j < LANES; j++)
        m[j] = -FLT_MAX;
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            m[j] = x[i + j] > m[j] ? x[i + j] : m[j];
    for (; i < n; i++)
        m[0] = x[i] > m[0] ? x[i] : m[0];
    for (int j = 1; j < LANES; j++)
        m[0] = m[j] > m[0] ? m[j] : m[0];
    return m[0] > FLT_MAX ? FLT_MAX : m[0];
}

/* Weights of at most BLOCK logits and their sum. */
static double weigh_block(const float *restrict x, int n, float max, float inv_t,
                          float *restrict w)
{
    float sum[LANES] = {0};
    /* NaN becomes -88, weight 0; infinity, whose max is the largest finite number, becomes 0.
     * A loop of its own: mixed with the arithmetic below, compilers make branches of it. */
    for (int i = 0; i < n; i++) {
        float d = (x[i] - max) * inv_t;
        d = d > -88 ? d : -88;
        w[i] = d < 0 ? d : 0;
    }
    for (int i = 0; i < n; i++)
        w[i] = exp_negative(w[i]);
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            sum[j] += w[i + j];
    double total = 0;
    for (int j = 0; j < LANES; j++)
        total += (double)sum[j];
    for (; i < n; i++)
        total += (double)w[i];
    return total;
}

/* The sum of the weights; block sums go to block_sum unless it is NULL, and then w needs room for
 * one block only. */
static double weigh(const float *x, int n, float max, float inv_t, float *w, double *block_sum)
{
    double total = 0;
    for (int b = 0, i = 0; i < n; b++, i += BLOCK) {
        double sum = weigh_block(x + i, n - i < BLOCK ? n - i : BLOCK, max, inv_t,
                                 block_sum != NULL ? w + i : w);
        if (block_sum != NULL)
            block_sum[b] = sum;
        total += sum;
    }
    return total;
}

/* The first of the largest logits; 0 when there is no number.  The block of the maximum is found
 * first, which leaves one block to search. */
static int32_t argmax(const float *x, int n)
{
    float best = -INFINITY;
    int at = 0;
    for (int i = 0; i < n; i += BLOCK) {
        float m = max_of(x + i, n - i < BLOCK ? n - i : BLOCK);
        if (m > best) {
            best = m;
            at = i;
        }
    }
    for (int i = at; i < n && i < at + BLOCK; i++)
        if (x[i] >= best)
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

/* Narrow 0..n-1 to s->kept: whole buckets from the heaviest down whose measure reaches need. */
static int keep_buckets(r1_sampler *s, int n, double need, bool mass)
{
    const float *w = s->weight;
    memset(s->bucket, 0, BUCKETS * sizeof *s->bucket);
    for (int i = 0; i < n; i++)
        s->bucket[bucket_of(w[i])] += measure(w, i, mass);
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
        s->kept[kept] = i;
        kept += w[i] >= low;
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
        kept = keep_buckets(s, n, o->top_k, false);
        kept = select_prefix(w, c, kept, o->top_k, false);
    }
    if (o->top_p < 1) {
        if (kept < 0) {
            kept = keep_buckets(s, n, total * (double)o->top_p, true);
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
    int begin = last * BLOCK, end = begin + BLOCK;
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

/* The logits with the penalty on recent tokens: positive ones divided, negative ones multiplied.
 * It starts from the given logits each time, so a repeated token is not penalised twice. */
static const float *penalise(r1_sampler *s, const float *logits, int n, const r1_sampling *o,
                             const int32_t *recent, int n_recent)
{
    memcpy(s->logits, logits, (size_t)n * sizeof *logits);
    int first = n_recent > o->repeat_last ? n_recent - o->repeat_last : 0;
    for (int i = first; i < n_recent; i++) {
        int32_t id = recent[i];
        if (id >= 0 && id < n)
            s->logits[id] = logits[id] > 0 ? logits[id] / o->repeat_penalty
                                           : logits[id] * o->repeat_penalty;
    }
    return s->logits;
}

int32_t r1_sampler_choose(r1_sampler *s, const float *logits, int n_tokens,
                          const r1_sampling *o, const int32_t *recent, int n_recent,
                          uint64_t sequence, uint64_t position, float *lp)
{
    int vocab = s->vocab, n = n_tokens < vocab ? n_tokens : vocab;
    r1_assert(n >= 1);
    bool greedy = o->temperature <= 0;
    bool penalty = o->repeat_penalty != 1 && o->repeat_last > 0 && n_recent > 0;
    float inv_t = greedy ? 1 : 1 / o->temperature;
    const float *x = penalty ? penalise(s, logits, n, o, recent, n_recent) : logits;

    int32_t id = 0;
    float max = max_of(logits, vocab);
    bool have_total = false;
    double total = 0;
    if (greedy) {
        id = argmax(x, n);
    } else {
        float top = max_of(x, n);
        total = weigh(x, n, top, inv_t, s->weight, s->block_sum);
        have_total = !penalty && n == vocab;
        if (total > 0) {
            float u = r1_rng_uniform(o->seed, R1_RNG_SAMPLE, sequence, position);
            int kept = truncate_choice(s, n, total, o);
            id = kept < 0 ? draw_all(s, n, (double)u * total) : draw_kept(s, kept, u);
        }
    }
    if (lp != NULL) {
        if (!have_total)
            total = weigh(logits, vocab, max, inv_t, s->weight, NULL);
        float chosen = logits[id] > FLT_MAX ? FLT_MAX : logits[id];
        /* Without a number among the logits there is no distribution. */
        *lp = total > 0 && chosen >= -FLT_MAX
                  ? (float)((double)((chosen - max) * inv_t) - log(total))
                  : -INFINITY;
    }
    return id;
}
