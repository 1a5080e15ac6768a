/* fit.c: least squares over small integers; see fit.h. */
#include "compute/fit.h"

#include <math.h>
#include <string.h>

#include "compute/quant.h"

enum { LANES = 8 };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

/* ---- Sums -------------------------------------------------------------------------------- */

static double total(const lanes *s)
{
    float a = (*s)[0] + (*s)[4], b = (*s)[1] + (*s)[5];
    float c = (*s)[2] + (*s)[6], d = (*s)[3] + (*s)[7];
    float even = a + c, odd = b + d;
    return (double)(even + odd);
}

/* The integer nearest to v, ties to even, in [lo,hi]: adding 1.5 * 2^23 leaves no bits for a
 * fraction.  Unlike rintf it needs no instruction that old machines lack. */
static inline float nearest(float v, float lo, float hi)
{
    float up = v + 0x1.8p23f;
    float q = up - 0x1.8p23f;
    q = q < lo ? lo : q;
    return q > hi ? hi : q;
}

float r1_fit_half(float d)
{
    const float most = 65504, least = 0x1p-24f;
    float size = fabsf(d);
    if (size > most)
        size = most;
    else if (size < least && size > 0x1p-32f)
        size = least;
    return r1_quant_f16_to_f32(r1_quant_f16_from_f32(copysignf(size, d)));
}

static float inverse_of(float scale)
{
    return fabsf(scale) > 1e-30f ? 1 / scale : 0;
}

static float tamed(float x)
{
    const float most = 1e9f;
    if (!(x > -most))
        return isnan(x) ? 0 : -most;
    return x < most ? x : most;
}

void r1_fit_open(r1_fit_block *b, const float *x, int n)
{
    r1_assert(n % LANES == 0 && n <= R1_FIT_MOST);
    b->n = n;
    for (int i = 0; i < n; i++)
        b->x[i] = tamed(x[i]);
    lanes v, squares = {0};
    for (int i = 0; i < n; i += LANES) {
        memcpy(&v, b->x + i, sizeof v);
        lanes square = v * v;
        squares += square;
    }
    float mean = (float)(total(&squares) / n), rms = sqrtf(mean);
    for (int i = 0; i < n; i++) {
        b->w[i] = rms + fabsf(b->x[i]);
        b->wx[i] = b->w[i] * b->x[i];
    }
    lanes w = {0}, wx = {0}, wxx = {0}, vw, vx;
    for (int i = 0; i < n; i += LANES) {
        memcpy(&v, b->x + i, sizeof v);
        memcpy(&vw, b->w + i, sizeof vw);
        memcpy(&vx, b->wx + i, sizeof vx);
        lanes square = vx * v;
        w += vw;
        wx += vx;
        wxx += square;
    }
    b->sum = (r1_fit_sums){.w = total(&w), .wx = total(&wx), .wxx = total(&wxx)};
}

/* The sums for q (n). */
static r1_fit_sums sums_with(const r1_fit_block *b, const float *q)
{
    lanes wq = {0}, wqq = {0}, wxq = {0}, w, wx, v;
    for (int i = 0; i < b->n; i += LANES) {
        memcpy(&w, b->w + i, sizeof w);
        memcpy(&wx, b->wx + i, sizeof wx);
        memcpy(&v, q + i, sizeof v);
        lanes one = w * v, two = one * v, cross = wx * v;
        wq += one;
        wqq += two;
        wxq += cross;
    }
    r1_fit_sums s = b->sum;
    s.wq = total(&wq);
    s.wqq = total(&wqq);
    s.wxq = total(&wxq);
    return s;
}

r1_fit_sums r1_fit_measure(const r1_fit_block *b, r1_fit_line line, int lo, int hi)
{
    float q[R1_FIT_MOST];
    const float inverse = inverse_of(line.scale);
    for (int i = 0; i < b->n; i++) {
        float above = b->x[i] + line.min;
        q[i] = nearest(above * inverse, (float)lo, (float)hi);
    }
    return sums_with(b, q);
}

void r1_fit_round(const r1_fit_block *b, r1_fit_line line, int lo, int hi, int8_t *q)
{
    const float inverse = inverse_of(line.scale);
    for (int i = 0; i < b->n; i++) {
        float above = b->x[i] + line.min;
        q[i] = (int8_t)nearest(above * inverse, (float)lo, (float)hi);
    }
}

double r1_fit_error(const r1_fit_sums *s, r1_fit_line line)
{
    const double scale = (double)line.scale, min = (double)line.min;
    double qq = scale * s->wqq, q = min * s->wq, xq = s->wxq;
    double of_scale = qq - 2 * (q + xq);
    double w = min * s->w;
    double of_min = w + 2 * s->wx;
    double a = scale * of_scale, b = min * of_min;
    return s->wxx + (a + b);
}

/* ---- Search ------------------------------------------------------------------------------ */

/* The best scale for given integers, without a minimum. */
static r1_fit_line solve_scale(const r1_fit_sums *s)
{
    return (r1_fit_line){.scale = s->wqq > 0 ? (float)(s->wxq / s->wqq) : 0};
}

/* The best scale and minimum for given integers; a single integer leaves only a minimum. */
static r1_fit_line solve_line(const r1_fit_sums *s, bool below)
{
    double a = s->w * s->wqq, b = s->wq * s->wq, c = s->wx * s->wqq, d = s->wq * s->wxq;
    double e = s->w * s->wxq, f = s->wx * s->wq;
    double det = a - b, min = d - c, scale = e - f;
    r1_fit_line line = {.min = s->w > 0 ? (float)(-s->wx / s->w) : 0};
    if (det > 1e-12 * a)
        line = (r1_fit_line){(float)(scale / det), (float)(min / det)};
    return below && line.min < 0 ? solve_scale(s) : line;
}

typedef struct {
    r1_fit_line line;
    double error;
} candidate;

/* The better of *best and a line that was solved for the integers with sums s. */
static void keep_better(candidate *best, const r1_fit_sums *s, r1_fit_line line)
{
    double error = r1_fit_error(s, line);
    if (error < best->error)
        *best = (candidate){line, error};
}

static float largest_of(const r1_fit_block *b)
{
    float largest = 0;
    for (int i = 0; i < b->n; i++)
        if (fabsf(b->x[i]) > fabsf(largest))
            largest = b->x[i];
    return largest;
}

/* Rounding to a scale gives integers, integers give a better scale. */
enum { ALTERNATIONS = 2 };

r1_fit_line r1_fit_scale(const r1_fit_block *b, int lo, int hi)
{
    enum { TRIES = 12 }; /* to either side of the scale that takes the largest weight to lo */
    const float largest = largest_of(b);
    candidate best = {.error = b->sum.wxx};
    for (int i = -TRIES; i <= TRIES + ALTERNATIONS; i++) {
        float offset = (float)i * 0.3f;
        r1_fit_line from = best.line;
        if (i <= TRIES)
            from.scale = largest / ((float)lo + offset);
        r1_fit_sums s = r1_fit_measure(b, from, lo, hi);
        keep_better(&best, &s, solve_scale(&s));
    }
    return best.line;
}

r1_fit_line r1_fit_scale_min(const r1_fit_block *b, int hi, bool below)
{
    enum { FIRST = -3, LAST = 10 }; /* fifths of a step that the range has more than hi */
    float lowest = below ? 0 : b->x[0], highest = lowest;
    for (int i = 0; i < b->n; i++) {
        lowest = b->x[i] < lowest ? b->x[i] : lowest;
        highest = b->x[i] > highest ? b->x[i] : highest;
    }
    candidate best = {.error = (double)INFINITY};
    for (int i = FIRST; i <= LAST; i++)
        for (int half = 0; half < 2; half++) { /* with the lowest at 0, or half a step below */
            float more = (float)i * 0.2f;
            float scale = (highest - lowest) / ((float)hi + more);
            float shift = 0.5f * (float)half * scale;
            r1_fit_sums s = r1_fit_measure(b, (r1_fit_line){scale, -lowest - shift}, 0, hi);
            keep_better(&best, &s, solve_line(&s, below));
        }
    for (int i = 0; i < ALTERNATIONS; i++) {
        r1_fit_sums s = r1_fit_measure(b, best.line, 0, hi);
        keep_better(&best, &s, solve_line(&s, below));
    }
    return best.line;
}

/* ---- Codebooks --------------------------------------------------------------------------- */

enum { VALUES = 16 };

/* Half way between neighbours. */
static void limits_of(const int8_t *values, float *limit /* (15) */)
{
    for (int k = 0; k + 1 < VALUES; k++)
        limit[k] = 0.5f * (float)(values[k] + values[k + 1]);
}

static r1_fit_sums measure_codebook(const r1_fit_block *b, const int8_t *values, float scale)
{
    float limit[VALUES - 1], q[R1_FIT_MOST], t[R1_FIT_MOST];
    const float inverse = inverse_of(scale);
    limits_of(values, limit);
    for (int i = 0; i < b->n; i++) {
        t[i] = b->x[i] * inverse;
        q[i] = (float)values[0];
    }
    for (int k = 0; k + 1 < VALUES; k++) {
        const float step = (float)(values[k + 1] - values[k]), at = limit[k];
        for (int i = 0; i < b->n; i++)
            q[i] += t[i] > at ? step : 0;
    }
    return sums_with(b, q);
}

r1_fit_line r1_fit_codebook(const r1_fit_block *b, const int8_t *values)
{
    enum { TRIES = 4 };
    const float largest = largest_of(b);
    candidate best = {.error = b->sum.wxx};
    for (int side = 0; side < 2;
         side++) /* the largest near the last value, then near the first */
        for (int i = -TRIES; i <= TRIES; i++) {
            float offset = (float)i * 0.05f, stretch = 1 + offset;
            float scale = largest / (stretch * (float)values[side ? 0 : VALUES - 1]);
            r1_fit_sums s = measure_codebook(b, values, scale);
            keep_better(&best, &s, solve_scale(&s));
        }
    for (int i = 0; i < ALTERNATIONS; i++) {
        r1_fit_sums s = measure_codebook(b, values, best.line.scale);
        keep_better(&best, &s, solve_scale(&s));
    }
    return best.line;
}

void r1_fit_lookup(const r1_fit_block *b, const int8_t *values, float scale, uint8_t *index)
{
    float limit[VALUES - 1];
    const float inverse = inverse_of(scale);
    limits_of(values, limit);
    for (int i = 0; i < b->n; i++) {
        float t = b->x[i] * inverse;
        int k = 0;
        while (k < VALUES - 1 && t > limit[k])
            k++;
        index[i] = (uint8_t)k;
    }
}
