/* kquant.c: the formats of 256 weights; see kquant.h for their layouts.
 *
 * Decoding follows ggml's dequantize_row_*.  A scale times its integers is exact in F32 (24 bits
 * hold 11 + 7 + 6), only the subtraction of a minimum rounds: it stands alone, so that no compiler
 * fuses it with a product.
 *
 * Encoding finds the ideal scale and minimum of every sub-block (fit.h) and then, by turns, the
 * integers that come closest with the given d and dmin, and the d and dmin of least squares for
 * these integers. */
#include "compute/kquant.h"

#include <math.h>
#include <string.h>

#include "compute/fit.h"
#include "compute/quant.h"

enum { BLOCK = R1_KQUANT_BLOCK };

static float load_f16(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return r1_quant_f16_to_f32(h);
}

static void store_f16(uint8_t *p, float f)
{
    uint16_t h = r1_quant_f16_from_f32(f);
    memcpy(p, &h, sizeof h);
}

/* ---- Decoding ---------------------------------------------------------------------------- */

/* n weights of a sub-block with a minimum. */
static void scale_and_shift(float *y, const uint8_t *q, int n, float scale, float min)
{
    for (int i = 0; i < n; i++) {
        float product = scale * (float)q[i];
        y[i] = product - min;
    }
}

static void decode_q2_k(const uint8_t *b, float *y)
{
    const uint8_t *scales = b, *packed = b + 16;
    float d = load_f16(b + 80), dmin = load_f16(b + 82);
    for (int s = 0; s < BLOCK / 16; s++) { /* 8 sub-blocks share 32 bytes */
        const uint8_t *from = packed + s / 8 * 32 + s % 2 * 16;
        uint8_t q[16];
        for (int i = 0; i < 16; i++)
            q[i] = from[i] >> (s % 8 / 2 * 2) & 3;
        scale_and_shift(y + s * 16, q, 16, d * (float)(scales[s] & 15),
                        dmin * (float)(scales[s] >> 4));
    }
}

static void decode_q3_k(const uint8_t *b, float *y)
{
    const uint8_t *highest = b, *packed = b + 32, *scales = b + 96;
    float d = load_f16(b + 108);
    for (int s = 0; s < BLOCK / 16; s++) {
        float scale = d * (float)r1_kquant_scale_q3_k(scales, s);
        const uint8_t *low = packed + s / 8 * 32 + s % 2 * 16, *high = highest + s % 2 * 16;
        for (int i = 0; i < 16; i++) {
            int q = (low[i] >> (s % 8 / 2 * 2) & 3) | (high[i] >> (s / 2) & 1) << 2;
            y[s * 16 + i] = scale * (float)(q - 4);
        }
    }
}

/* Q4_K, and with `fifth` bits Q5_K. */
static void decode_q45_k(const uint8_t *b, const uint8_t *fifth, const uint8_t *nibbles,
                         float *y)
{
    float d = load_f16(b), dmin = load_f16(b + 2);
    for (int s = 0; s < BLOCK / 32; s++) {
        int scale, min;
        r1_kquant_scale_min(b + 4, s, &scale, &min);
        uint8_t q[32];
        for (int i = 0; i < 32; i++) {
            q[i] = nibbles[s / 2 * 32 + i] >> (s % 2 * 4) & 15;
            if (fifth)
                q[i] = (uint8_t)(q[i] | (fifth[i] >> s & 1) << 4);
        }
        scale_and_shift(y + s * 32, q, 32, d * (float)scale, dmin * (float)min);
    }
}

static void decode_q6_k(const uint8_t *b, float *y)
{
    const uint8_t *scales = b + 192;
    float d = load_f16(b + 208);
    for (int s = 0; s < BLOCK / 16;
         s++) { /* 8 sub-blocks share 64 bytes of nibbles, 32 of bits */
        const uint8_t *low = b + s / 8 * 64 + s % 4 * 16;
        const uint8_t *high = b + 128 + s / 8 * 32 + s % 2 * 16;
        float scale = d * (float)(int8_t)scales[s];
        for (int i = 0; i < 16; i++) {
            int q = (low[i] >> (s % 8 / 4 * 4) & 15) | (high[i] >> (s % 8 / 2 * 2) & 3) << 4;
            y[s * 16 + i] = scale * (float)(q - 32);
        }
    }
}

void r1_kquant_decode(r1_dtype dtype, const uint8_t *b, float *y)
{
    if (dtype == R1_Q2_K)
        decode_q2_k(b, y);
    else if (dtype == R1_Q3_K)
        decode_q3_k(b, y);
    else if (dtype == R1_Q4_K)
        decode_q45_k(b, NULL, b + 16, y);
    else if (dtype == R1_Q5_K)
        decode_q45_k(b, b + 16, b + 48, y);
    else {
        r1_assert(dtype == R1_Q6_K);
        decode_q6_k(b, y);
    }
}

/* ---- Encoding ---------------------------------------------------------------------------- */

enum { MOST_SUBS = 16 };

/* What a format can say: weight = d * scale * q - dmin * min. */
typedef struct {
    int subs, width;                /* sub-blocks, and weights of each */
    int lo, hi;                     /* q */
    int scale_lo, scale_hi, min_hi; /* min_hi 0: the format has no minima */
} form;

/* One choice for all but q, which rounding gives. */
typedef struct {
    float d, dmin;
    int scale[MOST_SUBS], min[MOST_SUBS];
    double error;
} choice;

/* Sums over the sub-blocks, for the best d and dmin of given integers. */
typedef struct {
    double dd, de, ee, dx, ex;
} normal_equations;

static int clamp_round(float v, int lo, int hi)
{
    if (!(v > (float)lo))
        return lo;
    return v >= (float)hi ? hi : (int)rintf(v);
}

static float quotient(float a, float b)
{
    return b != 0 ? a / b : 0;
}

/* For one sub-block: the integers whose product with d and dmin lies near the ideal line and that
 * leave the least error. */
static void choose_integers(const form *f, const r1_fit_block *b, r1_fit_line ideal, choice *c,
                            int s, r1_fit_sums *sums)
{
    const int scale0 = clamp_round(quotient(ideal.scale, c->d), f->scale_lo, f->scale_hi);
    const int min0 = clamp_round(quotient(ideal.min, c->dmin), 0, f->min_hi);
    double least = (double)INFINITY;
    for (int scale = scale0 - 1; scale <= scale0 + 1; scale++)
        for (int min = min0 - 1; min <= min0 + 1; min++) {
            if (scale < f->scale_lo || scale > f->scale_hi || min < 0 || min > f->min_hi)
                continue;
            r1_fit_line line = {c->d * (float)scale, c->dmin * (float)min};
            r1_fit_sums m = r1_fit_measure(b, line, f->lo, f->hi);
            double error = r1_fit_error(&m, line);
            if (error < least) {
                least = error;
                c->scale[s] = scale;
                c->min[s] = min;
                *sums = m;
            }
        }
    c->error += least;
}

static void add_equations(normal_equations *e, const r1_fit_sums *s, int scale, int min)
{
    double a = scale, b = min;
    double dd = a * a * s->wqq, de = a * b * s->wq, ee = b * b * s->w;
    double dx = a * s->wxq, ex = b * s->wx;
    e->dd += dd;
    e->de += de;
    e->ee += ee;
    e->dx += dx;
    e->ex += ex;
}

/* d and dmin of least error for the integers behind e; false: they leave it open. */
static bool solve(const normal_equations *e, float *d, float *dmin)
{
    double a = e->dd * e->ee, b = e->de * e->de;
    double det = a - b;
    if (e->ee == 0 && e->dd > 0) {
        *d = r1_fit_half((float)(e->dx / e->dd));
        *dmin = 0;
        return true;
    }
    if (!(det > 1e-9 * a))
        return false;
    double f = e->dx * e->ee, g = e->ex * e->de, h = e->dx * e->de, k = e->ex * e->dd;
    double for_d = f - g, for_dmin = h - k;
    *d = r1_fit_half((float)(for_d / det));
    *dmin = r1_fit_half((float)(for_dmin / det));
    return *dmin >= 0;
}

/* Ideal lines for the sub-blocks, then by turns integers for d and dmin, and these for those. */
static choice choose(const form *f, const r1_fit_block *block)
{
    r1_fit_line ideal[MOST_SUBS];
    float largest = 0, most_min = 0;
    for (int s = 0; s < f->subs; s++) {
        ideal[s] = f->min_hi ? r1_fit_scale_min(&block[s], f->hi, true)
                             : r1_fit_scale(&block[s], f->lo, f->hi);
        if (fabsf(ideal[s].scale) > fabsf(largest))
            largest = ideal[s].scale;
        most_min = ideal[s].min > most_min ? ideal[s].min : most_min;
    }
    int reach = f->scale_lo < 0 ? f->scale_lo : f->scale_hi;
    choice best = {.error = (double)INFINITY};
    choice next = {.d = r1_fit_half(largest / (float)reach),
                   .dmin = f->min_hi ? r1_fit_half(most_min / (float)f->min_hi) : 0};
    for (int round = 0; round < 3; round++) {
        normal_equations e = {0};
        next.error = 0;
        for (int s = 0; s < f->subs; s++) {
            r1_fit_sums sums = {0};
            choose_integers(f, &block[s], ideal[s], &next, s, &sums);
            add_equations(&e, &sums, next.scale[s], next.min[s]);
        }
        if (!(next.error < best.error))
            break;
        best = next;
        if (!solve(&e, &next.d, &next.dmin))
            break;
    }
    return best;
}

/* Scales and minima of six bits in 12 bytes: the inverse of r1_kquant_scale_min. */
static void put_scales_mins(const choice *c, uint8_t *packed)
{
    for (int j = 0; j < 4; j++) {
        packed[j] = (uint8_t)(c->scale[j] | c->scale[j + 4] >> 4 << 6);
        packed[j + 4] = (uint8_t)(c->min[j] | c->min[j + 4] >> 4 << 6);
        packed[j + 8] = (uint8_t)((c->scale[j + 4] & 15) | (c->min[j + 4] & 15) << 4);
    }
}

static void put_q2_k(const choice *c, const int8_t *q, uint8_t *b)
{
    for (int s = 0; s < 16; s++)
        b[s] = (uint8_t)(c->scale[s] | c->min[s] << 4);
    for (int i = 0; i < BLOCK; i++)
        b[16 + i / 128 * 32 + i % 32] |= (uint8_t)(q[i] << i % 128 / 32 * 2);
    store_f16(b + 80, c->d);
    store_f16(b + 82, c->dmin);
}

static void put_q3_k(const choice *c, const int8_t *q, uint8_t *b)
{
    for (int i = 0; i < BLOCK; i++) {
        int u = q[i] + 4;
        b[i % 32] |= (uint8_t)((u >> 2) << i / 32);
        b[32 + i / 128 * 32 + i % 32] |= (uint8_t)((u & 3) << i % 128 / 32 * 2);
    }
    for (int s = 0; s < 16; s++) {
        int u = c->scale[s] + 32;
        b[96 + s % 8] |= (uint8_t)((u & 15) << s / 8 * 4);
        b[104 + s % 4] |= (uint8_t)((u >> 4) << s / 4 * 2);
    }
    store_f16(b + 108, c->d);
}

static void put_q4_k(const choice *c, const int8_t *q, uint8_t *b)
{
    store_f16(b, c->d);
    store_f16(b + 2, c->dmin);
    put_scales_mins(c, b + 4);
    for (int i = 0; i < BLOCK; i++)
        b[16 + i / 64 * 32 + i % 32] |= (uint8_t)((q[i] & 15) << i % 64 / 32 * 4);
}

static void put_q5_k(const choice *c, const int8_t *q, uint8_t *b)
{
    store_f16(b, c->d);
    store_f16(b + 2, c->dmin);
    put_scales_mins(c, b + 4);
    for (int i = 0; i < BLOCK; i++) {
        b[16 + i % 32] |= (uint8_t)(q[i] >> 4 << i / 32);
        b[48 + i / 64 * 32 + i % 32] |= (uint8_t)((q[i] & 15) << i % 64 / 32 * 4);
    }
}

static void put_q6_k(const choice *c, const int8_t *q, uint8_t *b)
{
    for (int i = 0; i < BLOCK; i++) {
        int u = q[i] + 32;
        b[i / 128 * 64 + i % 64] |= (uint8_t)((u & 15) << i % 128 / 64 * 4);
        b[128 + i / 128 * 32 + i % 32] |= (uint8_t)((u >> 4) << i % 128 / 32 * 2);
    }
    for (int s = 0; s < 16; s++)
        b[192 + s] = (uint8_t)(int8_t)c->scale[s];
    store_f16(b + 208, c->d);
}

static const struct {
    r1_dtype dtype;
    form form;
    void (*put)(const choice *c, const int8_t *q, uint8_t *b); /* b is zero */
} formats[] = {
    {R1_Q2_K, {16, 16, 0, 3, 0, 15, 15}, put_q2_k},
    {R1_Q3_K, {16, 16, -4, 3, -32, 31, 0}, put_q3_k},
    {R1_Q4_K, {8, 32, 0, 15, 0, 63, 63}, put_q4_k},
    {R1_Q5_K, {8, 32, 0, 31, 0, 63, 63}, put_q5_k},
    {R1_Q6_K, {16, 16, -32, 31, -128, 127, 0}, put_q6_k},
};

void r1_kquant_encode(r1_dtype dtype, const float *x, uint8_t *b)
{
    r1_assert(dtype >= R1_Q2_K && dtype <= R1_Q6_K);
    const form *f = &formats[dtype - R1_Q2_K].form;
    r1_assert(formats[dtype - R1_Q2_K].dtype == dtype);
    r1_fit_block block[MOST_SUBS];
    int8_t q[BLOCK];
    for (int s = 0; s < f->subs; s++)
        r1_fit_open(&block[s], x + s * f->width, f->width);
    choice c = choose(f, block);
    for (int s = 0; s < f->subs; s++) {
        r1_fit_line line = {c.d * (float)c.scale[s], c.dmin * (float)c.min[s]};
        r1_fit_round(&block[s], line, f->lo, f->hi, q + s * f->width);
    }
    memset(b, 0, (size_t)r1_tensor_traits(dtype)->bytes);
    formats[dtype - R1_Q2_K].put(&c, q, b);
}
