/* cpu_kernels.c: row-wise operations, compiled once per instruction set; see cpu_kernels.h. */
#include "compute/cpu_kernels.h"

#include "compute/simd.h"

/* Calls the statement with T a constant, so that loads and stores are chosen at compile time. */
#define BY_DTYPE(t, statement)          \
    do {                                \
        if ((t) == R1_F32) {            \
            const r1_dtype T = R1_F32;  \
            statement;                  \
        } else if ((t) == R1_BF16) {    \
            const r1_dtype T = R1_BF16; \
            statement;                  \
        } else {                        \
            const r1_dtype T = R1_F16;  \
            statement;                  \
        }                               \
    } while (0)

/* ---- Copies and sums --------------------------------------------------------------------- */

R1_INLINE void convert_row(void *y, const r1_dtype ty, const void *x, const r1_dtype tx,
                           int64_t n)
{
    for (int64_t i = 0; i < n; i += VW) {
        int m = v_lanes(n - i);
        v_st(y, ty, i, m, v_ld(x, tx, i, m));
    }
}

static void from_f32(void *y, r1_dtype ty, const void *x, int64_t n)
{
    BY_DTYPE(ty, convert_row(y, T, x, R1_F32, n));
}

static void from_bf16(void *y, r1_dtype ty, const void *x, int64_t n)
{
    BY_DTYPE(ty, convert_row(y, T, x, R1_BF16, n));
}

static void from_f16(void *y, r1_dtype ty, const void *x, int64_t n)
{
    BY_DTYPE(ty, convert_row(y, T, x, R1_F16, n));
}

static void convert(void *y, r1_dtype ty, const void *x, r1_dtype tx, int64_t n)
{
    if (tx == R1_F32)
        from_f32(y, ty, x, n);
    else if (tx == R1_BF16)
        from_bf16(y, ty, x, n);
    else
        from_f16(y, ty, x, n);
}

R1_INLINE void encode_blocks(uint8_t *y, const void *x, const r1_dtype t, int64_t n)
{
    enum { BLOCK = 32 };
    for (int64_t i = 0; i < n; i += BLOCK) {
        float v[BLOCK];
        vf most = v_set(0);
        for (int at = 0; at < BLOCK; at += VW) {
            vf a = v_ld(x, t, i + at, VW);
            v_store(v + at, a);
            most = v_max(most, v_max(a, v_sub(v_set(0), a)));
        }
        const float d = v_maximum(most) / 127, steps = d > 0 ? 1 / d : 0;
        const uint16_t scale = r1_quant_f16_from_f32(d);
        memcpy(y, &scale, sizeof scale);
        for (int at = 0; at < BLOCK; at += VW)
            v_store(v + at, v_round(v_mul(v_load(v + at), v_set(steps))));
        for (int at = 0; at < BLOCK; at++)
            y[2 + at] = (uint8_t)(int8_t)v[at];
        y += sizeof scale + BLOCK;
    }
}

static void encode_q8_0(void *y, const void *x, r1_dtype tx, int64_t n)
{
    if (tx == R1_F32)
        encode_blocks(y, x, R1_F32, n);
    else
        encode_blocks(y, x, R1_BF16, n);
}

R1_INLINE void add_row(void *y, const r1_dtype ty, const void *x, const r1_dtype tx, int64_t n)
{
    for (int64_t i = 0; i < n; i += VW) {
        int m = v_lanes(n - i);
        v_st(y, ty, i, m, v_add(v_ld(y, ty, i, m), v_ld(x, tx, i, m)));
    }
}

static void add(void *y, r1_dtype ty, const void *x, r1_dtype tx, int64_t n)
{
    if (tx == R1_F32)
        BY_DTYPE(ty, add_row(y, T, x, R1_F32, n));
    else
        BY_DTYPE(ty, add_row(y, T, x, R1_BF16, n));
}

R1_INLINE void scale_row(void *y, const r1_dtype ty, const void *x, const r1_dtype tx, float a,
                         int64_t n)
{
    for (int64_t i = 0; i < n; i += VW) {
        int m = v_lanes(n - i);
        v_st(y, ty, i, m, v_mul(v_ld(x, tx, i, m), v_set(a)));
    }
}

static void scale(void *y, r1_dtype ty, const void *x, r1_dtype tx, float a, int64_t n)
{
    if (tx == R1_F32)
        BY_DTYPE(ty, scale_row(y, T, x, R1_F32, a, n));
    else
        BY_DTYPE(ty, scale_row(y, T, x, R1_BF16, a, n));
}

R1_INLINE void add_scaled_row(float *y, const void *x, const r1_dtype tx, float a, int64_t n)
{
    for (int64_t i = 0; i < n; i += VW) {
        int m = v_lanes(n - i);
        v_st(y, R1_F32, i, m, v_fma(v_ld(x, tx, i, m), v_set(a), v_ld(y, R1_F32, i, m)));
    }
}

static void add_scaled(float *y, const void *x, r1_dtype tx, float a, int64_t n)
{
    BY_DTYPE(tx, add_scaled_row(y, x, T, a, n));
}

R1_INLINE float dot_row(const void *x, const r1_dtype tx, const void *y, const r1_dtype ty,
                        int64_t n)
{
    vf sum = v_set(0);
    for (int64_t i = 0; i < n; i += VW) {
        int m = v_lanes(n - i);
        sum = v_fma(v_ld(x, tx, i, m), v_ld(y, ty, i, m), sum);
    }
    return v_sum(sum);
}

static float dot(const void *x, r1_dtype tx, const void *y, r1_dtype ty, int64_t n)
{
    float sum = 0;
    if (tx == R1_F32)
        BY_DTYPE(ty, sum = dot_row(x, R1_F32, y, T, n));
    else
        BY_DTYPE(ty, sum = dot_row(x, R1_BF16, y, T, n));
    return sum;
}

/* ---- RMSNorm (Zhang & Sennrich 2019) ----------------------------------------------------- */

R1_INLINE float norm_row(void *y, const r1_dtype t, const float *x, const float *g, int64_t d,
                         float eps)
{
    vf sum = v_set(0);
    for (int64_t i = 0; i < d; i += VW) {
        vf a = v_ld(x, R1_F32, i, v_lanes(d - i));
        sum = v_fma(a, a, sum);
    }
    float rstd = 1 / sqrtf(v_sum(sum) / (float)d + eps);
    for (int64_t i = 0; i < d; i += VW) {
        int m = v_lanes(d - i);
        vf a = v_mul(v_ld(x, R1_F32, i, m), v_set(rstd));
        v_st(y, t, i, m, v_mul(a, v_ld(g, R1_F32, i, m)));
    }
    return rstd;
}

static float rmsnorm(void *y, r1_dtype t, const float *x, const float *g, int64_t d, float eps)
{
    return t == R1_F32 ? norm_row(y, R1_F32, x, g, d, eps) : norm_row(y, R1_BF16, x, g, d, eps);
}

R1_INLINE void norm_row_bwd(float *dx, const void *dy, const r1_dtype t, const float *x,
                            const float *g, float rstd, int64_t d)
{
    vf sum = v_set(0);
    for (int64_t i = 0; i < d; i += VW) {
        int m = v_lanes(d - i);
        vf gy = v_mul(v_ld(dy, t, i, m), v_ld(g, R1_F32, i, m));
        sum = v_fma(gy, v_ld(x, R1_F32, i, m), sum);
    }
    vf along = v_set(-v_sum(sum) / (float)d * rstd * rstd * rstd);
    for (int64_t i = 0; i < d; i += VW) {
        int m = v_lanes(d - i);
        vf gy = v_mul(v_ld(dy, t, i, m), v_ld(g, R1_F32, i, m));
        vf a = v_fma(gy, v_set(rstd), v_ld(dx, R1_F32, i, m));
        v_st(dx, R1_F32, i, m, v_fma(v_ld(x, R1_F32, i, m), along, a));
    }
}

static void rmsnorm_bwd(float *dx, const void *dy, r1_dtype t, const float *x, const float *g,
                        float rstd, int64_t d)
{
    BY_DTYPE(t, norm_row_bwd(dx, dy, T, x, g, rstd, d));
}

R1_INLINE void gain_row_bwd(float *dg, const void *dy, const r1_dtype t, const float *x,
                            float rstd, int64_t n)
{
    for (int64_t i = 0; i < n; i += VW) {
        int m = v_lanes(n - i);
        vf a = v_mul(v_ld(x, R1_F32, i, m), v_set(rstd));
        v_st(dg, R1_F32, i, m, v_fma(v_ld(dy, t, i, m), a, v_ld(dg, R1_F32, i, m)));
    }
}

static void rmsnorm_bwd_gain(float *dg, const void *dy, r1_dtype t, const float *x, float rstd,
                             int64_t n)
{
    BY_DTYPE(t, gain_row_bwd(dg, dy, T, x, rstd, n));
}

/* ---- Rotary position embedding (Su et al. 2021) ------------------------------------------ */

R1_INLINE void rope_halves(void *x, const r1_dtype t, const float *cosine, const float *sine,
                           int64_t half, float sign)
{
    for (int64_t i = 0; i < half; i += VW) {
        int m = v_lanes(half - i);
        vf a = v_ld(x, t, i, m), b = v_ld(x, t, half + i, m);
        vf c = v_ld(cosine, R1_F32, i, m), s = v_mul(v_ld(sine, R1_F32, i, m), v_set(sign));
        v_st(x, t, i, m, v_sub(v_mul(a, c), v_mul(b, s)));
        v_st(x, t, half + i, m, v_fma(b, c, v_mul(a, s)));
    }
}

static void rope_pairs(void *x, r1_dtype t, const float *cosine, const float *sine,
                       int64_t half, float sign)
{
    for (int64_t i = 0; i < half; i++) {
        float pair[2];
        convert(pair, R1_F32, (char *)x + (size_t)i * (t == R1_F32 ? 8 : 4), t, 2);
        float c = cosine[i], s = sine[i] * sign;
        float turned[2] = {pair[0] * c - pair[1] * s, pair[1] * c + pair[0] * s};
        convert((char *)x + (size_t)i * (t == R1_F32 ? 8 : 4), t, turned, R1_F32, 2);
    }
}

static void rope(void *x, r1_dtype t, const float *cosine, const float *sine, int64_t half,
                 float sign, bool pairs)
{
    if (pairs)
        rope_pairs(x, t, cosine, sine, half, sign);
    else
        BY_DTYPE(t, rope_halves(x, T, cosine, sine, half, sign));
}

/* ---- SwiGLU (Shazeer 2020) --------------------------------------------------------------- */

R1_INLINE vf sigmoid(vf x)
{
    return v_div(v_set(1), v_add(v_set(1), v_exp(v_sub(v_set(0), x))));
}

R1_INLINE void swiglu_row(void *y, const r1_dtype t, const void *gate, const void *up,
                          int64_t n)
{
    for (int64_t i = 0; i < n; i += VW) {
        int m = v_lanes(n - i);
        vf a = v_ld(gate, t, i, m);
        v_st(y, t, i, m, v_mul(v_mul(a, sigmoid(a)), v_ld(up, t, i, m)));
    }
}

static void swiglu(void *y, r1_dtype t, const void *gate, const void *up, int64_t n)
{
    BY_DTYPE(t, swiglu_row(y, T, gate, up, n));
}

R1_INLINE void swiglu_row_bwd(void *dgate, void *dup, const r1_dtype t, const void *dy,
                              const void *gate, const void *up, int64_t n)
{
    for (int64_t i = 0; i < n; i += VW) {
        int m = v_lanes(n - i);
        vf a = v_ld(gate, t, i, m), b = v_ld(up, t, i, m), d = v_ld(dy, t, i, m);
        vf s = sigmoid(a), silu = v_mul(a, s);
        /* d silu = s (1 + a (1 - s)) = s + silu (1 - s) */
        vf slope = v_fma(silu, v_sub(v_set(1), s), s);
        v_st(dup, t, i, m, v_mul(d, silu));
        v_st(dgate, t, i, m, v_mul(v_mul(d, b), slope));
    }
}

static void swiglu_bwd(void *dgate, void *dup, r1_dtype t, const void *dy, const void *gate,
                       const void *up, int64_t n)
{
    BY_DTYPE(t, swiglu_row_bwd(dgate, dup, T, dy, gate, up, n));
}

/* ---- Log-probability of a token ---------------------------------------------------------- */

/* The largest of z and sum(exp((z - largest)/temperature)). */
static float exp_sum(const float *z, int64_t v, float inverse, float *most)
{
    vf top = v_set(-INFINITY);
    for (int64_t i = 0; i + VW <= v; i += VW)
        top = v_max(top, v_load(z + i));
    float largest = v_maximum(top);
    for (int64_t i = v / VW * VW; i < v; i++)
        largest = z[i] > largest ? z[i] : largest;
    vf sum = v_set(0);
    for (int64_t i = 0; i + VW <= v; i += VW)
        sum = v_add(sum, v_exp(v_mul(v_sub(v_load(z + i), v_set(largest)), v_set(inverse))));
    float total = v_sum(sum);
    for (int64_t i = v / VW * VW; i < v; i++)
        total += expf((z[i] - largest) * inverse);
    *most = largest;
    return total;
}

/* The sum of a exp(a) with a = (z - most) * inverse. */
static float exponent_sum(const float *z, int64_t v, float inverse, float most)
{
    vf e = v_set(0);
    for (int64_t i = 0; i < v; i += VW) {
        int m = v_lanes(v - i);
        vf a = v_mul(v_sub(v_ld(z, R1_F32, i, m), v_set(most)), v_set(inverse));
        a = v_max(v_set(-104), a); /* -inf * exp(-inf) is 0; this order keeps a NaN */
        float part[VW];
        v_store(part, v_mul(a, v_exp(a)));
        for (int l = m; l < VW; l++)
            part[l] = 0;
        e = v_add(e, v_load(part));
    }
    return v_sum(e);
}

static float logprob(const float *z, int64_t v, int64_t target, float temperature,
                     float *entropy)
{
    float most, inverse = 1 / temperature;
    float sum = exp_sum(z, v, inverse, &most);
    if (entropy) /* H = log sum - E[a] */
        *entropy = logf(sum) - exponent_sum(z, v, inverse, most) / sum;
    return (z[target] - most) * inverse - logf(sum);
}

R1_INLINE void softmax_row_bwd(void *dz, const r1_dtype t, const float *z, int64_t v,
                               float most, float inverse, float factor)
{
    for (int64_t i = 0; i < v; i += VW) {
        int m = v_lanes(v - i);
        vf a = v_mul(v_sub(v_ld(z, R1_F32, i, m), v_set(most)), v_set(inverse));
        v_st(dz, t, i, m, v_mul(v_exp(a), v_set(factor)));
    }
}

/* With the entropy's part: exp(a) (factor + slope (a - mean)). */
R1_INLINE void entropy_row_bwd(void *dz, const r1_dtype t, const float *z, int64_t v,
                               float most, float inverse, float factor, float slope, float mean)
{
    for (int64_t i = 0; i < v; i += VW) {
        int m = v_lanes(v - i);
        vf a = v_mul(v_sub(v_ld(z, R1_F32, i, m), v_set(most)), v_set(inverse));
        a = v_max(v_set(-104), a);
        vf by = v_fma(v_set(slope), v_sub(a, v_set(mean)), v_set(factor));
        v_st(dz, t, i, m, v_mul(v_exp(a), by));
    }
}

/* With p = exp(a)/sum: d lp/dz = (onehot - p)/temperature, dH/dz = -p (a - E[a])/temperature. */
static void logprob_bwd(void *dz, r1_dtype t, const float *z, int64_t v, int64_t target,
                        float temperature, float dlp, float dentropy)
{
    float most, inverse = 1 / temperature;
    float sum = exp_sum(z, v, inverse, &most);
    float factor = -dlp * inverse / sum, a = (z[target] - most) * inverse;
    float own = dlp * inverse * (1 - expf(a) / sum);
    if (dentropy == 0) {
        BY_DTYPE(t, softmax_row_bwd(dz, T, z, v, most, inverse, factor));
    } else {
        float slope = -dentropy * inverse / sum;
        float mean = exponent_sum(z, v, inverse, most) / sum;
        a = a < -104 ? -104 : a;
        own += slope * expf(a) * (a - mean);
        BY_DTYPE(t, entropy_row_bwd(dz, T, z, v, most, inverse, factor, slope, mean));
    }
    convert((char *)dz + (size_t)target * (t == R1_F32 ? 4 : 2), t, &own, R1_F32, 1);
}

/* ---- Update ------------------------------------------------------------------------------ */

static float sumsq(const float *x, int64_t n)
{
    vf sum = v_set(0);
    for (int64_t i = 0; i < n; i += VW) {
        vf a = v_ld(x, R1_F32, i, v_lanes(n - i));
        sum = v_fma(a, a, sum);
    }
    return v_sum(sum);
}

/* Loshchilov & Hutter 2019, algorithm 2, with decoupled decay. */
static void adamw(float *w, float *m, float *v, const float *g, int64_t n, const r1_adamw *h)
{
    const float c1 = 1 - powf(h->beta1, (float)h->step),
                c2 = 1 - powf(h->beta2, (float)h->step);
    const vf b1 = v_set(h->beta1), b2 = v_set(h->beta2);
    const vf r1 = v_set(1 - h->beta1), r2 = v_set(1 - h->beta2);
    const vf keep = v_set(1 - h->lr * h->weight_decay), rate = v_set(-h->lr / c1);
    for (int64_t i = 0; i < n; i += VW) {
        int l = v_lanes(n - i);
        vf d = v_mul(v_ld(g, R1_F32, i, l), v_set(h->grad_scale));
        vf mi = v_fma(b1, v_ld(m, R1_F32, i, l), v_mul(r1, d));
        vf vi = v_fma(b2, v_ld(v, R1_F32, i, l), v_mul(r2, v_mul(d, d)));
        vf under = v_add(v_sqrt(v_mul(vi, v_set(1 / c2))), v_set(h->eps));
        vf wi = v_mul(v_ld(w, R1_F32, i, l), keep);
        v_st(m, R1_F32, i, l, mi);
        v_st(v, R1_F32, i, l, vi);
        v_st(w, R1_F32, i, l, v_fma(rate, v_div(mi, under), wi));
    }
}

const r1_cpu_kernels R1_ISA_SYMBOL(r1_cpu_kernels) = {
    .convert = convert,
    .encode_q8_0 = encode_q8_0,
    .add = add,
    .scale = scale,
    .add_scaled = add_scaled,
    .dot = dot,
    .rmsnorm = rmsnorm,
    .rmsnorm_bwd = rmsnorm_bwd,
    .rmsnorm_bwd_gain = rmsnorm_bwd_gain,
    .rope = rope,
    .swiglu = swiglu,
    .swiglu_bwd = swiglu_bwd,
    .logprob = logprob,
    .logprob_bwd = logprob_bwd,
    .sumsq = sumsq,
    .adamw = adamw,
};
