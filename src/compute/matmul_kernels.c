/* matmul_kernels.c: the tiles of matmul, compiled once per instruction set (see isa.h).
 *
 * A tile is nr rows of inputs times np panels of 16 outputs, held in registers while the inputs go
 * by once.  The layouts are described in matmul.h.  All instruction sets add in the same order;
 * the integer sums inside a block are exact, so quantised results differ only by the fused
 * multiply-add that the scalar code may lack. */
#include "compute/matmul.h"

#include "compute/simd.h"

#define PV (R1_PANEL / VW) /* vectors a panel */

#if VW == 16
enum { MAX_ROWS = 6, MAX_PANELS = 4 };
#elif VW == 8
enum { MAX_ROWS = 3, MAX_PANELS = 2 };
#else
enum { MAX_ROWS = 1, MAX_PANELS = 1 };
#endif

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

R1_INLINE void keep_tile(float *c, vf acc[MAX_ROWS][MAX_PANELS * PV], int nr, int np)
{
    UNROLL for (int r = 0; r < nr; r++) UNROLL for (int p = 0; p < np * PV; p++)
        v_store(c + (int64_t)r * np * R1_PANEL + p * VW, acc[r][p]);
}

R1_INLINE void clear_tile(vf acc[MAX_ROWS][MAX_PANELS * PV], int nr, int np)
{
    UNROLL for (int r = 0; r < nr; r++) UNROLL for (int p = 0; p < np * PV; p++) acc[r][p] =
        v_set(0);
}

/* ---- F32 --------------------------------------------------------------------------------- */

R1_INLINE void f32_tile(float *c, const r1_matmul_in *in, int64_t row, const int nr,
                        const uint8_t *w, size_t panel_bytes, const int np, int64_t depth)
{
    vf acc[MAX_ROWS][MAX_PANELS * PV];
    clear_tile(acc, nr, np);
    const float *x = (const float *)in->x + row * in->stride;
    for (int64_t k = 0; k < depth; k++) {
        vf xk[MAX_ROWS];
        UNROLL for (int r = 0; r < nr; r++) xk[r] = v_set(x[r * in->stride + k]);
        UNROLL for (int p = 0; p < np * PV; p++)
        {
            const float *panel =
                (const float *)(const void *)(w + (size_t)(p / PV) * panel_bytes);
            vf wk = v_load(panel + k * R1_PANEL + (p % PV) * VW);
            UNROLL for (int r = 0; r < nr; r++) acc[r][p] = v_fma(xk[r], wk, acc[r][p]);
        }
    }
    keep_tile(c, acc, nr, np);
}

/* ---- BF16 -------------------------------------------------------------------------------- */

#if defined(__AVX512BF16__)
enum { NATIVE_BF16 = 1 };
R1_INLINE void bf16_tile(float *c, const r1_matmul_in *in, int64_t row, const int nr,
                         const uint8_t *w, size_t panel_bytes, const int np, int64_t depth)
{
    vf acc[MAX_ROWS][MAX_PANELS * PV];
    clear_tile(acc, nr, np);
    const uint16_t *x = (const uint16_t *)in->x + row * in->stride;
    for (int64_t k = 0; k < depth; k += 2) {
        __m512i xk[MAX_ROWS];
        UNROLL for (int r = 0; r < nr; r++)
        {
            int32_t pair;
            memcpy(&pair, x + r * in->stride + k, sizeof pair);
            xk[r] = _mm512_set1_epi32(pair);
        }
        UNROLL for (int p = 0; p < np; p++)
        {
            __m512i wk =
                _mm512_loadu_si512(w + (size_t)p * panel_bytes + (size_t)k * 2 * R1_PANEL);
            UNROLL for (int r = 0; r < nr; r++) acc[r][p] =
                _mm512_dpbf16_ps(acc[r][p], (__m512bh)wk, (__m512bh)xk[r]);
        }
    }
    keep_tile(c, acc, nr, np);
}
#else
enum { NATIVE_BF16 = 0 };
/* VW pairs to two vectors of F32: the first and the second of each pair. */
R1_INLINE void load_pairs(const uint8_t *p, vf *even, vf *odd)
{
#if VW == 16
    __m512i u = _mm512_loadu_si512(p);
    *even = _mm512_castsi512_ps(_mm512_slli_epi32(u, 16));
    *odd = _mm512_castsi512_ps(_mm512_and_si512(u, _mm512_set1_epi32((int)0xffff0000u)));
#elif VW == 8
    __m256i u = _mm256_loadu_si256((const __m256i *)(const void *)p);
    *even = _mm256_castsi256_ps(_mm256_slli_epi32(u, 16));
    *odd = _mm256_castsi256_ps(_mm256_and_si256(u, _mm256_set1_epi32((int)0xffff0000u)));
#else
    uint16_t pair[2];
    memcpy(pair, p, sizeof pair);
    *even = r1_bf16_to_f32(pair[0]);
    *odd = r1_bf16_to_f32(pair[1]);
#endif
}

/* Inputs are F32 rows of `depth` elements that hold BF16 values. */
R1_INLINE void bf16_tile(float *c, const r1_matmul_in *in, int64_t row, const int nr,
                         const uint8_t *w, size_t panel_bytes, const int np, int64_t depth)
{
    vf acc[MAX_ROWS][MAX_PANELS * PV];
    clear_tile(acc, nr, np);
    const float *x = (const float *)in->x + row * in->stride;
    for (int64_t k = 0; k < depth; k += 2) {
        UNROLL for (int p = 0; p < np * PV; p++)
        {
            const uint8_t *at = w + (size_t)(p / PV) * panel_bytes;
            vf even, odd;
            load_pairs(at + ((size_t)k * R1_PANEL + (size_t)(p % PV) * 2 * VW) * 2, &even,
                       &odd);
            UNROLL for (int r = 0; r < nr; r++) acc[r][p] =
                v_fma(v_set(x[r * in->stride + k]), even, acc[r][p]);
            UNROLL for (int r = 0; r < nr; r++) acc[r][p] =
                v_fma(v_set(x[r * in->stride + k + 1]), odd, acc[r][p]);
        }
    }
    keep_tile(c, acc, nr, np);
}
#endif

/* ---- Blocks of 32 ------------------------------------------------------------------------ */

enum { SCALE_BYTES = 2 * R1_PANEL, Q8_BYTES = 32 * R1_PANEL, Q4_BYTES = 16 * R1_PANEL };

/* Where the parts of a panel begin. */
typedef struct {
    const uint16_t *scale, *min; /* F16 (K/32,16); min: Q4_1 */
    const uint8_t *q;
} block_panel;

R1_INLINE block_panel open_panel(const uint8_t *w, const r1_dtype t, int64_t blocks)
{
    block_panel b;
    b.scale = (const uint16_t *)(const void *)w;
    b.min = b.scale + (t == R1_Q4_1 ? blocks * R1_PANEL : 0);
    b.q = (const uint8_t *)(const void *)(b.min + blocks * R1_PANEL);
    return b;
}

/* An input is 254 upper + lower (see quantize); a block's 32 upper bytes stand before its lower. */
enum { BASE = 254, X_BYTES = 64 };

#if VW == 16
typedef __m512i vi;
R1_INLINE vi i_set(int32_t x)
{
    return _mm512_set1_epi32(x);
}
R1_INLINE vf i_float(vi x)
{
    return _mm512_cvtepi32_ps(x);
}
R1_INLINE vi i_load(const uint8_t *p)
{
    return _mm512_loadu_si512(p);
}
R1_INLINE vi i_low(vi x)
{
    return _mm512_and_si512(x, _mm512_set1_epi8(15));
}
R1_INLINE vi i_high(vi x)
{
    return i_low(_mm512_srli_epi16(x, 4));
}
/* acc + the products of four unsigned by four signed bytes in each lane. */
R1_INLINE vi i_dot(vi acc, vi w, vi x, bool q8)
{
    (void)q8;
    return _mm512_dpbusd_epi32(acc, w, x);
}
enum { Q8_OFFSET = 128 };
#elif VW == 8
typedef __m256i vi;
R1_INLINE vi i_set(int32_t x)
{
    return _mm256_set1_epi32(x);
}
R1_INLINE vf i_float(vi x)
{
    return _mm256_cvtepi32_ps(x);
}
R1_INLINE vi i_load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
R1_INLINE vi i_low(vi x)
{
    return _mm256_and_si256(x, _mm256_set1_epi8(15));
}
R1_INLINE vi i_high(vi x)
{
    return i_low(_mm256_srli_epi16(x, 4));
}
/* vpmaddubsw multiplies unsigned by signed and saturates at 16 bits: Q8_0 is made signed, and its
 * sign given to the input. */
R1_INLINE vi i_dot(vi acc, vi w, vi x, bool q8)
{
    if (q8) {
        vi sign = _mm256_xor_si256(w, _mm256_set1_epi8((char)0x80));
        w = _mm256_abs_epi8(sign);
        x = _mm256_sign_epi8(x, sign);
    }
    vi pairs = _mm256_maddubs_epi16(w, x);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
enum { Q8_OFFSET = 0 };
#endif

#if VW > 1

R1_INLINE vi i_four(const int8_t *x) /* four inputs in every lane */
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    return i_set(four);
}

/* Add a block's products for VW outputs and nr rows: upper[r] and lower[r]. */
R1_INLINE void block_sums(vi upper[MAX_ROWS], vi lower[MAX_ROWS], const r1_dtype t,
                          const uint8_t *q, const int8_t *x, int64_t stride, const int nr)
{
    const bool q8 = t == R1_Q8_0;
    UNROLL for (int g = 0; g < 4; g++)
    {
        vi w = i_load(q + g * 64), first = q8 ? w : i_low(w);
        vi second = q8 ? i_load(q + (g + 4) * 64) : i_high(w); /* inputs 16 further on */
        UNROLL for (int r = 0; r < nr; r++)
        {
            const int8_t *at = x + r * stride + g * 4;
            upper[r] = i_dot(upper[r], first, i_four(at), q8);
            lower[r] = i_dot(lower[r], first, i_four(at + 32), q8);
            upper[r] = i_dot(upper[r], second, i_four(at + 16), q8);
            lower[r] = i_dot(lower[r], second, i_four(at + 48), q8);
        }
    }
}

/* One vector of outputs, in panel w from lane `lane` on, for one block: acc[r] += ... */
R1_INLINE void block_step(vf acc[MAX_ROWS], const r1_matmul_in *in, int64_t row, const int nr,
                          const block_panel *w, int lane, int64_t b, int64_t blocks,
                          const r1_dtype t)
{
    const int offset = t == R1_Q8_0 ? Q8_OFFSET : t == R1_Q4_0 ? 8 : 0;
    const int8_t *x = (const int8_t *)in->x + row * in->stride + b * X_BYTES;
    const uint8_t *q = w->q + (size_t)b * (t == R1_Q8_0 ? Q8_BYTES : Q4_BYTES) + lane * 4;
    const int64_t first = row * blocks + b;
    vi upper[MAX_ROWS], lower[MAX_ROWS];
    UNROLL for (int r = 0; r < nr; r++)
    {
        upper[r] = i_set(-offset * in->isum[2 * (first + r * blocks)]);
        lower[r] = i_set(-offset * in->isum[2 * (first + r * blocks) + 1]);
    }
    block_sums(upper, lower, t, q, x, in->stride, nr);
    vf d = v_load_f16(w->scale + b * R1_PANEL + lane);
    vf m = t == R1_Q4_1 ? v_load_f16(w->min + b * R1_PANEL + lane) : v_set(0);
    UNROLL for (int r = 0; r < nr; r++)
    {
        vf sum = v_fma(i_float(upper[r]), v_set(BASE), i_float(lower[r]));
        vf dd = v_mul(d, v_set(in->scale[first + r * blocks]));
        acc[r] = v_fma(sum, dd, acc[r]);
        if (t == R1_Q4_1)
            acc[r] = v_fma(m, v_set(in->sum[first + r * blocks]), acc[r]);
    }
}

/* Few rows go through two vectors of outputs at once: their chains of additions overlap. */
R1_INLINE void block_tile(float *c, const r1_matmul_in *in, int64_t row, const int nr,
                          const uint8_t *w, size_t panel_bytes, const int np, int64_t depth,
                          const r1_dtype t)
{
    const int64_t blocks = depth / 32;
    const int together = nr <= 2 && np * PV > 1 ? 2 : 1;
    for (int p = 0; p < np * PV; p += together) {
        vf acc[2][MAX_ROWS];
        block_panel panel[2];
        UNROLL for (int i = 0; i < together; i++)
        {
            panel[i] = open_panel(w + (size_t)((p + i) / PV) * panel_bytes, t, blocks);
            UNROLL for (int r = 0; r < nr; r++) acc[i][r] = v_set(0);
        }
        for (int64_t b = 0; b < blocks; b++)
            UNROLL for (int i = 0; i < together; i++)
                block_step(acc[i], in, row, nr, &panel[i], (p + i) % PV * VW, b, blocks, t);
        UNROLL for (int i = 0; i < together; i++) UNROLL for (int r = 0; r < nr; r++)
            v_store(c + (int64_t)r * np * R1_PANEL + (p + i) * VW, acc[i][r]);
    }
}

#else

/* The weight of input i of a block, for output o. */
static int block_weight(const uint8_t *q, r1_dtype t, int o, int i)
{
    if (t == R1_Q8_0)
        return q[(i / 4 * R1_PANEL + o) * 4 + i % 4] - 128;
    int nibble = q[(i % 16 / 4 * R1_PANEL + o) * 4 + i % 4] >> (i < 16 ? 0 : 4) & 15;
    return t == R1_Q4_0 ? nibble - 8 : nibble;
}

R1_INLINE void block_tile(float *c, const r1_matmul_in *in, int64_t row, const int nr,
                          const uint8_t *w, size_t panel_bytes, const int np, int64_t depth,
                          const r1_dtype t)
{
    (void)panel_bytes;
    r1_assert(nr == 1 && np == 1);
    const int64_t blocks = depth / 32;
    const int8_t *x = (const int8_t *)in->x + row * in->stride;
    block_panel panel = open_panel(w, t, blocks);
    for (int o = 0; o < R1_PANEL; o++) {
        float acc = 0;
        for (int64_t b = 0; b < blocks; b++) {
            const uint8_t *q = panel.q + b * (t == R1_Q8_0 ? Q8_BYTES : Q4_BYTES);
            int32_t upper = 0, lower = 0;
            for (int i = 0; i < 32; i++) {
                upper += block_weight(q, t, o, i) * x[b * X_BYTES + i];
                lower += block_weight(q, t, o, i) * x[b * X_BYTES + 32 + i];
            }
            float sum = (float)upper * BASE + (float)lower;
            float d = v_load_f16(panel.scale + b * R1_PANEL + o);
            acc += sum * (d * in->scale[row * blocks + b]);
            if (t == R1_Q4_1)
                acc += v_load_f16(panel.min + b * R1_PANEL + o) * in->sum[row * blocks + b];
        }
        c[o] = acc;
    }
}
#endif

/* ---- One function a dtype: the shapes become constants ----------------------------------- */

#if VW == 1
#define TILE(name, call)                                                                      \
    static void name(float *c, const r1_matmul_in *in, int64_t row, int nr, const uint8_t *w, \
                     size_t pb, int np, int64_t depth)                                        \
    {                                                                                         \
        r1_assert(nr == 1 && np == 1);                                                        \
        call(1, 1);                                                                           \
    }
#else
#define ROWS(call, np)                             \
    switch (nr) {                                  \
    case 1: call(1, np); break;                    \
    case 2: call(2, np); break;                    \
    case 3: call(3, np); break;                    \
    case 4: call(MAX_ROWS < 4 ? 1 : 4, np); break; \
    case 5: call(MAX_ROWS < 4 ? 1 : 5, np); break; \
    default: call(MAX_ROWS, np); break;            \
    }
/* Tiles of all panels or of one: the last panels of a weight go one by one. */
#define TILE(name, call)                                                                      \
    static void name(float *c, const r1_matmul_in *in, int64_t row, int nr, const uint8_t *w, \
                     size_t pb, int np, int64_t depth)                                        \
    {                                                                                         \
        r1_assert(nr >= 1 && nr <= MAX_ROWS && (np == 1 || np == MAX_PANELS));                \
        if (np == 1) {                                                                        \
            ROWS(call, 1)                                                                     \
        } else {                                                                              \
            ROWS(call, MAX_PANELS)                                                            \
        }                                                                                     \
    }
#endif

#define CALL_F32(nr_, np_)  f32_tile(c, in, row, nr_, w, pb, np_, depth)
#define CALL_BF16(nr_, np_) bf16_tile(c, in, row, nr_, w, pb, np_, depth)
#define CALL_Q8_0(nr_, np_) block_tile(c, in, row, nr_, w, pb, np_, depth, R1_Q8_0)
#define CALL_Q4_0(nr_, np_) block_tile(c, in, row, nr_, w, pb, np_, depth, R1_Q4_0)
#define CALL_Q4_1(nr_, np_) block_tile(c, in, row, nr_, w, pb, np_, depth, R1_Q4_1)
TILE(tile_f32, CALL_F32)
TILE(tile_bf16, CALL_BF16)
TILE(tile_q8_0, CALL_Q8_0)
TILE(tile_q4_0, CALL_Q4_0)
TILE(tile_q4_1, CALL_Q4_1)

/* ---- Rows in and out --------------------------------------------------------------------- */

/* x = d (254 upper + lower) in two signed bytes: as exact as BF16 squared, where one byte (as
 * llama.cpp has it) moves SmolLM2's distribution by 3.5e-3 nats. */
static void quantize(const void *x, r1_dtype t, int64_t k, int8_t *q, float *scale, float *sum,
                     int32_t *isum)
{
    for (int64_t b = 0; b < k / 32; b++) {
        float v[32];
        vf most = v_set(0), bad = v_set(0);
        for (int i = 0; i < 32; i += VW) {
            vf a = v_ld(x, t, b * 32 + i, VW);
            v_store(v + i, a);
            most = v_max(most, v_max(a, v_sub(v_set(0), a)));
            bad = v_add(bad, v_sub(a, a)); /* NaN where a is not finite */
        }
        float d = v_maximum(most) / (127 * BASE) + v_sum(bad);
        float inverse = d > 1e-37f ? 1 / d : 0; /* less has no finite inverse */
        float upper[32], lower[32];
        vf uppers = v_set(0), lowers = v_set(0); /* whole numbers below 2^24: exact */
        for (int i = 0; i < 32; i += VW) {
            vf n = v_round(v_mul(v_load(v + i), v_set(inverse)));
            vf u = v_round(v_mul(n, v_set(1.0f / BASE)));
            vf l = v_fma(u, v_set(-BASE), n);
            v_store(upper + i, u);
            v_store(lower + i, l);
            uppers = v_add(uppers, u);
            lowers = v_add(lowers, l);
        }
        const bool finite = inverse > 0;
        for (int i = 0; i < 32; i++)
            q[b * X_BYTES + i] = finite ? (int8_t)(int32_t)upper[i] : 0;
        for (int i = 0; i < 32; i++)
            q[b * X_BYTES + 32 + i] = finite ? (int8_t)(int32_t)lower[i] : 0;
        isum[2 * b] = finite ? (int32_t)v_sum(uppers) : 0;
        isum[2 * b + 1] = finite ? (int32_t)v_sum(lowers) : 0;
        scale[b] = d;
        sum[b] = d * (float)(BASE * isum[2 * b] + isum[2 * b + 1]);
    }
}

R1_INLINE void store_rows(void *y, const r1_dtype t, int64_t y_stride, const float *c,
                          int64_t c_stride, int nr, int64_t cols, bool add)
{
    for (int r = 0; r < nr; r++)
        for (int64_t i = 0; i < cols; i += VW) {
            int m = v_lanes(cols - i);
            vf a = v_ld(c + r * c_stride, R1_F32, i, m);
            if (add)
                a = v_add(v_ld(y, t, r * y_stride + i, m), a);
            v_st(y, t, r * y_stride + i, m, a);
        }
}

static void store(void *y, r1_dtype t, int64_t y_stride, const float *c, int64_t c_stride,
                  int nr, int64_t cols, bool add)
{
    if (t == R1_F32)
        store_rows(y, R1_F32, y_stride, c, c_stride, nr, cols, add);
    else
        store_rows(y, R1_BF16, y_stride, c, c_stride, nr, cols, add);
}

static void convert(void *y, r1_dtype ty, const void *x, r1_dtype tx, int64_t n)
{
    for (int64_t i = 0; i < n; i += VW) {
        int m = v_lanes(n - i);
        v_st(y, ty, i, m, v_ld(x, tx, i, m));
    }
}

const r1_matmul_kernels R1_ISA_SYMBOL(r1_matmul_kernels) = {
    .max_rows = MAX_ROWS,
    .max_panels = MAX_PANELS,
    .wants_bf16 = NATIVE_BF16,
    .tile = {[R1_F32] = tile_f32,
             [R1_BF16] = tile_bf16,
             [R1_Q8_0] = tile_q8_0,
             [R1_Q4_0] = tile_q4_0,
             [R1_Q4_1] = tile_q4_1},
    .quantize = quantize,
    .store = store,
    .convert = convert,
};
