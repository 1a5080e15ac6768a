/* matmul_kernels.c: the tiles of matmul for F32 and BF16 weights, compiled once per instruction set
 * (see isa.h); block_kernels.c has those for quantised weights.
 *
 * A tile is nr rows of inputs times np panels of 16 outputs, held in registers while the inputs go
 * by once.  The layouts are described in matmul.h.  All instruction sets add in the same order. */
#include "compute/matmul.h"

#include "compute/simd.h"

#define PV (R1_PANEL / VW) /* vectors a panel */

#if VW == 16
enum { MAX_ROWS = 8, MAX_PANELS = 3 };
#elif VW == 8
enum { MAX_ROWS = 3, MAX_PANELS = 2 };
#elif VW == 4
enum { MAX_ROWS = 6, MAX_PANELS = 1 };
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

/* Where input k of a tile's row r is; `every` = 2: pairs of inputs. */
R1_INLINE int64_t x_at(const r1_matmul_in *in, int r, int64_t k, const int every,
                       const bool turned)
{
    return turned ? k * MAX_ROWS + r * every : r * in->stride + k;
}

R1_INLINE void f32_tile(float *c, const r1_matmul_in *in, int64_t row, const int nr,
                        const uint8_t *w, size_t panel_bytes, const int np, int64_t depth,
                        r1_matmul_ahead ahead, const bool turned)
{
    vf acc[MAX_ROWS][MAX_PANELS * PV];
    clear_tile(acc, nr, np);
    const float *x = (const float *)in->x + row * in->stride;
    for (int64_t k = 0; k < depth; k++) {
        v_fetch(ahead.at, ahead.bytes, k, depth);
        vf xk[MAX_ROWS];
        UNROLL for (int r = 0; r < nr; r++) xk[r] = v_set(x[x_at(in, r, k, 1, turned)]);
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
                         const uint8_t *w, size_t panel_bytes, const int np, int64_t depth,
                         r1_matmul_ahead ahead, const bool turned)
{
    vf acc[MAX_ROWS][MAX_PANELS * PV];
    clear_tile(acc, nr, np);
    const uint16_t *x = (const uint16_t *)in->x + row * in->stride;
    for (int64_t k = 0; k < depth; k += 2) {
        v_fetch(ahead.at, ahead.bytes, k / 2, depth / 2);
        __m512i xk[MAX_ROWS];
        UNROLL for (int r = 0; r < nr; r++)
        {
            int32_t pair;
            memcpy(&pair, x + x_at(in, r, k, 2, turned), sizeof pair);
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
#elif VW == 4
    const uint32x4_t u = vreinterpretq_u32_u8(vld1q_u8(p));
    *even = vreinterpretq_f32_u32(vshlq_n_u32(u, 16));
    *odd = vreinterpretq_f32_u32(vandq_u32(u, vdupq_n_u32(0xffff0000u)));
#else
    uint16_t pair[2];
    memcpy(pair, p, sizeof pair);
    *even = r1_bf16_to_f32(pair[0]);
    *odd = r1_bf16_to_f32(pair[1]);
#endif
}

/* Inputs are F32 rows of `depth` elements that hold BF16 values. */
R1_INLINE void bf16_tile(float *c, const r1_matmul_in *in, int64_t row, const int nr,
                         const uint8_t *w, size_t panel_bytes, const int np, int64_t depth,
                         r1_matmul_ahead ahead)
{
    vf acc[MAX_ROWS][MAX_PANELS * PV];
    clear_tile(acc, nr, np);
    const float *x = (const float *)in->x + row * in->stride;
    for (int64_t k = 0; k < depth; k += 2) {
        v_fetch(ahead.at, ahead.bytes, k / 2, depth / 2);
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

/* ---- One function a dtype: the shapes become constants ----------------------------------- */

#if VW == 1
#define TILE(name, call)                                                                      \
    static void name(float *c, const r1_matmul_in *in, int64_t row, int nr, const uint8_t *w, \
                     size_t pb, int np, int64_t depth, r1_matmul_ahead ahead)                 \
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
    case 6: call(MAX_ROWS < 4 ? 1 : 6, np); break; \
    case 7: call(MAX_ROWS < 8 ? 1 : 7, np); break; \
    default: call(MAX_ROWS, np); break;            \
    }
/* Tiles of all panels or of one: the last panels of a weight go one by one. */
#define TILE(name, call)                                                                      \
    static void name(float *c, const r1_matmul_in *in, int64_t row, int nr, const uint8_t *w, \
                     size_t pb, int np, int64_t depth, r1_matmul_ahead ahead)                 \
    {                                                                                         \
        r1_assert(nr >= 1 && nr <= MAX_ROWS && (np == 1 || np == MAX_PANELS));                \
        if (np == 1) {                                                                        \
            ROWS(call, 1)                                                                     \
        } else {                                                                              \
            ROWS(call, MAX_PANELS)                                                            \
        }                                                                                     \
    }
#endif

#define CALL_F32(nr_, np_)        f32_tile(c, in, row, nr_, w, pb, np_, depth, ahead, false)
#define CALL_TURNED_F32(nr_, np_) f32_tile(c, in, row, nr_, w, pb, np_, depth, ahead, true)
TILE(tile_f32, CALL_F32)
TILE(turned_f32, CALL_TURNED_F32)
#if defined(__AVX512BF16__)
#define CALL_BF16(nr_, np_)        bf16_tile(c, in, row, nr_, w, pb, np_, depth, ahead, false)
#define CALL_TURNED_BF16(nr_, np_) bf16_tile(c, in, row, nr_, w, pb, np_, depth, ahead, true)
TILE(turned_bf16, CALL_TURNED_BF16)
#else
#define CALL_BF16(nr_, np_) bf16_tile(c, in, row, nr_, w, pb, np_, depth, ahead)
#endif
TILE(tile_bf16, CALL_BF16)

/* ---- Rows in and out --------------------------------------------------------------------- */

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

#if defined(__AVX512BF16__)
/* Whole vectors in one instruction; numbers below the normal range become 0. */
static void store_bf16(uint16_t *y, int64_t y_stride, const float *c, int64_t c_stride, int nr,
                       int64_t cols)
{
    for (int r = 0; r < nr; r++)
        for (int64_t i = 0; i < cols; i += VW)
            _mm256_storeu_si256(
                (__m256i *)(void *)(y + r * y_stride + i),
                (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(c + r * c_stride + i)));
}
#endif

static void store(void *y, r1_dtype t, int64_t y_stride, const float *c, int64_t c_stride,
                  int nr, int64_t cols, bool add)
{
#if defined(__AVX512BF16__)
    if (t == R1_BF16 && !add && cols % VW == 0) {
        store_bf16(y, y_stride, c, c_stride, nr, cols);
        return;
    }
#endif
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

/* ---- Turning ----------------------------------------------------------------------------- */

/* Two rows of BF16 as pairs. */
R1_INLINE void pair_rows(uint16_t *to, const uint16_t *a, const uint16_t *b, const int lanes)
{
    int l = 0;
#if VW == 16
    for (; l + 8 <= lanes; l += 8) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(a + l));
        const __m128i y = _mm_loadu_si128((const __m128i *)(const void *)(b + l));
        __m128i *at = (__m128i *)(void *)(to + 2 * l);
        _mm_storeu_si128(at, _mm_unpacklo_epi16(x, y));
        _mm_storeu_si128(at + 1, _mm_unpackhi_epi16(x, y));
    }
#endif
    for (; l < lanes; l++) {
        to[2 * l] = a[l];
        to[2 * l + 1] = b[l];
    }
}

static void turn_pairs(uint16_t *to, int lanes, const uint16_t *from, int64_t stride, int64_t n,
                       int cols)
{
    uint16_t part[2][R1_PANEL] = {{0}};
    for (int64_t i = 0; i < n; i += 2, from += 2 * stride, to += 2 * lanes) {
        const bool both = i + 1 < n;
        if (both && cols == R1_PANEL && lanes == R1_PANEL) {
            pair_rows(to, from, from + stride, R1_PANEL);
        } else if (both && cols == MAX_ROWS && lanes == MAX_ROWS) {
            pair_rows(to, from, from + stride, MAX_ROWS);
        } else {
            memcpy(part[0], from, (size_t)cols * sizeof *from);
            if (both)
                memcpy(part[1], from + stride, (size_t)cols * sizeof *from);
            else
                memset(part[1], 0, sizeof part[1]);
            pair_rows(to, part[0], part[1], lanes);
        }
    }
}

static void turn(void *to, r1_dtype t, int lanes, const void *from, r1_dtype tf, int64_t stride,
                 int64_t n, int cols)
{
    if (t == R1_BF16) {
        r1_assert(tf == R1_BF16 && cols <= lanes && lanes <= R1_PANEL);
        turn_pairs(to, lanes, from, stride, n, cols);
        return;
    }
    const size_t size = tf == R1_F32 ? 4 : 2;
    for (int64_t i = 0; i < n; i++) {
        float *row = (float *)to + i * lanes;
        convert(row, R1_F32, (const char *)from + (size_t)(i * stride) * size, tf, cols);
        memset(row + cols, 0, (size_t)(lanes - cols) * sizeof *row);
    }
}

const r1_matmul_kernels R1_ISA_SYMBOL(r1_matmul_kernels) = {
    .max_rows = MAX_ROWS,
    .max_panels = MAX_PANELS,
    .wants_bf16 = NATIVE_BF16,
    .tile = {[R1_F32] = tile_f32, [R1_BF16] = tile_bf16},
#if defined(__AVX512BF16__)
    .turned = {[R1_F32] = turned_f32, [R1_BF16] = turned_bf16},
#else
    .turned = {[R1_F32] = turned_f32},
#endif
    .turn = turn,
    .store = store,
    .convert = convert,
};
