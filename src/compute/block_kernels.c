/* block_kernels.c: tiles of block-quantised weights, compiled once per instruction set (isa.h).
 *
 * The weights' layout is in block.h, the inputs' in matmul.h: an input is 128 upper + lower, two
 * signed bytes, and most blocks of a row have no lower ones.  The sum of a block's products is an
 * exact integer of less than 24 bits, and becomes a float once:
 *     y += float(codes . uppers - offset * sum(uppers)) * (128 * scale * input scale)
 *     y += minimum * float sum of inputs                                          if there is one
 *     y += float(codes . lowers - offset * sum(lowers)) * (scale * input scale)   in fine blocks
 * Every output is one chain of these in the order of the inputs, the same for every tile. */
#include "compute/matmul.h"

#include "compute/simd.h"

#define PV (R1_PANEL / VW) /* vectors a panel */

enum { BASE_BITS = 7 };

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#define ROLLED _Pragma("clang loop unroll(disable)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#define ROLLED _Pragma("GCC unroll 1") /* or too many values are alive at once */
#endif

/* Integer vectors of VW lanes of 32 bits. */
#if VW == 16
/* Lanes of a known width: gcc copies what changes its type within a loop. */
typedef int32_t vi __attribute__((vector_size(64)));
enum { MAX_ROWS = 6, MAX_PANELS = 4 };
R1_INLINE vi i_set(int32_t x)
{
    return (vi)_mm512_set1_epi32(x);
}
R1_INLINE vf i_float(vi x)
{
    return _mm512_cvtepi32_ps((__m512i)x);
}
R1_INLINE vi i_round(vf x)
{
    return (vi)_mm512_cvtps_epi32(x);
}
R1_INLINE vi i_load(const uint8_t *p)
{
    return (vi)_mm512_loadu_si512(p);
}
R1_INLINE vi i_widen(const int8_t *p) /* VW signed bytes */
{
    return (vi)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}
R1_INLINE void i_narrow(int8_t *p, vi x)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8((__m512i)x));
}
R1_INLINE vi i_add(vi a, vi b)
{
    return (vi)_mm512_add_epi32((__m512i)a, (__m512i)b);
}
R1_INLINE vi i_sub(vi a, vi b)
{
    return (vi)_mm512_sub_epi32((__m512i)a, (__m512i)b);
}
R1_INLINE vi i_left(vi x, unsigned n)
{
    return (vi)_mm512_slli_epi32((__m512i)x, n);
}
R1_INLINE vi i_right(vi x, unsigned n)
{
    return (vi)_mm512_srai_epi32((__m512i)x, n);
}
R1_INLINE vi i_magnitude(vf x) /* the bits of |x| */
{
    return (vi)_mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
}
R1_INLINE vi i_max(vi a, vi b)
{
    return (vi)_mm512_max_epi32((__m512i)a, (__m512i)b);
}
R1_INLINE int32_t i_most(vi x)
{
    return _mm512_reduce_max_epi32((__m512i)x);
}
R1_INLINE int32_t i_sum(vi x)
{
    return _mm512_reduce_add_epi32((__m512i)x);
}
R1_INLINE vi i_left16(vi x, int n) /* lanes of 16 bits */
{
    return (vi)_mm512_sll_epi16((__m512i)x, _mm_cvtsi32_si128(n));
}
R1_INLINE vi i_right16(vi x, int n)
{
    return (vi)_mm512_srl_epi16((__m512i)x, _mm_cvtsi32_si128(n));
}
R1_INLINE vi i_and(vi x, int byte)
{
    return (vi)_mm512_and_si512((__m512i)x, _mm512_set1_epi8((char)byte));
}
R1_INLINE vi i_or(vi a, vi b)
{
    return (vi)_mm512_or_si512((__m512i)a, (__m512i)b);
}
R1_INLINE vi i_look_up(vi x) /* r1_quant_iq4_nl[x] + 128 in every byte */
{
    const __m128i t = _mm_loadu_si128((const __m128i *)(const void *)r1_quant_iq4_nl);
    const __m512i all = _mm512_broadcast_i32x4(_mm_xor_si128(t, _mm_set1_epi8((char)0x80)));
    return (vi)_mm512_shuffle_epi8(all, (__m512i)x);
}
/* acc + the products of four codes by four inputs in each lane. */
R1_INLINE vi i_dot(vi acc, vi w, vi x, bool wide)
{
    (void)wide;
    return (vi)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)w, (__m512i)x);
}
enum { SIGNED_WIDE = 0 };
#elif VW == 8
typedef int32_t vi __attribute__((vector_size(32)));
enum { MAX_ROWS = 4, MAX_PANELS = 1 };
R1_INLINE vi i_set(int32_t x)
{
    return (vi)_mm256_set1_epi32(x);
}
R1_INLINE vf i_float(vi x)
{
    return _mm256_cvtepi32_ps((__m256i)x);
}
R1_INLINE vi i_round(vf x)
{
    return (vi)_mm256_cvtps_epi32(x);
}
R1_INLINE vi i_load(const uint8_t *p)
{
    return (vi)_mm256_loadu_si256((const __m256i *)(const void *)p);
}
R1_INLINE vi i_widen(const int8_t *p)
{
    return (vi)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}
R1_INLINE void i_narrow(int8_t *p, vi x)
{
    __m256i b = _mm256_shuffle_epi8((__m256i)x,
                                    _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1,
                                                     -1, -1, -1, -1, -1, 0, 4, 8, 12, -1, -1,
                                                     -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
    __m128i both =
        _mm_unpacklo_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
    _mm_storel_epi64((__m128i *)(void *)p, both);
}
R1_INLINE vi i_add(vi a, vi b)
{
    return (vi)_mm256_add_epi32((__m256i)a, (__m256i)b);
}
R1_INLINE vi i_sub(vi a, vi b)
{
    return (vi)_mm256_sub_epi32((__m256i)a, (__m256i)b);
}
R1_INLINE vi i_left(vi x, unsigned n)
{
    return (vi)_mm256_slli_epi32((__m256i)x, (int)n);
}
R1_INLINE vi i_right(vi x, unsigned n)
{
    return (vi)_mm256_srai_epi32((__m256i)x, (int)n);
}
R1_INLINE vi i_magnitude(vf x)
{
    return (vi)_mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
}
R1_INLINE vi i_max(vi a, vi b)
{
    return (vi)_mm256_max_epi32((__m256i)a, (__m256i)b);
}
R1_INLINE int32_t i_most(vi x)
{
    __m128i s = _mm_max_epi32(_mm256_castsi256_si128((__m256i)x),
                              _mm256_extracti128_si256((__m256i)x, 1));
    s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtsi128_si32(s);
}
R1_INLINE int32_t i_sum(vi x)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128((__m256i)x),
                              _mm256_extracti128_si256((__m256i)x, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtsi128_si32(s);
}
R1_INLINE vi i_left16(vi x, int n)
{
    return (vi)_mm256_sll_epi16((__m256i)x, _mm_cvtsi32_si128(n));
}
R1_INLINE vi i_right16(vi x, int n)
{
    return (vi)_mm256_srl_epi16((__m256i)x, _mm_cvtsi32_si128(n));
}
R1_INLINE vi i_and(vi x, int byte)
{
    return (vi)_mm256_and_si256((__m256i)x, _mm256_set1_epi8((char)byte));
}
R1_INLINE vi i_or(vi a, vi b)
{
    return (vi)_mm256_or_si256((__m256i)a, (__m256i)b);
}
R1_INLINE vi i_look_up(vi x)
{
    const __m128i t = _mm_loadu_si128((const __m128i *)(const void *)r1_quant_iq4_nl);
    const __m256i all =
        _mm256_broadcastsi128_si256(_mm_xor_si128(t, _mm_set1_epi8((char)0x80)));
    return (vi)_mm256_shuffle_epi8(all, (__m256i)x);
}
/* vpmaddubsw multiplies unsigned by signed and saturates at 16 bits: wide codes are made signed,
 * which takes their offset of 128 away, and their sign is given to the input. */
R1_INLINE vi i_dot(vi acc, vi w, vi x, bool wide)
{
    __m256i u = (__m256i)w, four_x = (__m256i)x;
    if (wide) {
        __m256i value = _mm256_xor_si256(u, _mm256_set1_epi8((char)0x80));
        u = _mm256_abs_epi8(value);
        four_x = _mm256_sign_epi8(four_x, value);
    }
    __m256i pairs = _mm256_maddubs_epi16(u, four_x);
    pairs = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    return (vi)_mm256_add_epi32((__m256i)acc, pairs);
}
enum { SIGNED_WIDE = 1 };
#elif VW == 4
typedef int32_t vi __attribute__((vector_size(16)));
enum { MAX_ROWS = 6, MAX_PANELS = 1 };
R1_INLINE vi i_set(int32_t x)
{
    return (vi)vdupq_n_s32(x);
}
R1_INLINE vf i_float(vi x)
{
    return vcvtq_f32_s32((int32x4_t)x);
}
R1_INLINE vi i_round(vf x)
{
    return (vi)vcvtnq_s32_f32(x);
}
R1_INLINE vi i_load(const uint8_t *p)
{
    return (vi)vld1q_u8(p);
}
R1_INLINE vi i_widen(const int8_t *p)
{
    int32_t all;
    memcpy(&all, p, sizeof all);
    return (vi)vmovl_s16(vget_low_s16(vmovl_s8((int8x8_t)vdup_n_s32(all))));
}
R1_INLINE void i_narrow(int8_t *p, vi x)
{
    const int16x4_t half = vmovn_s32((int32x4_t)x);
    const int32_t all = vget_lane_s32((int32x2_t)vmovn_s16(vcombine_s16(half, half)), 0);
    memcpy(p, &all, sizeof all);
}
R1_INLINE vi i_add(vi a, vi b)
{
    return (vi)vaddq_s32((int32x4_t)a, (int32x4_t)b);
}
R1_INLINE vi i_sub(vi a, vi b)
{
    return (vi)vsubq_s32((int32x4_t)a, (int32x4_t)b);
}
R1_INLINE vi i_left(vi x, unsigned n)
{
    return (vi)vshlq_s32((int32x4_t)x, vdupq_n_s32((int32_t)n));
}
R1_INLINE vi i_right(vi x, unsigned n)
{
    return (vi)vshlq_s32((int32x4_t)x, vdupq_n_s32(-(int32_t)n));
}
R1_INLINE vi i_magnitude(vf x)
{
    return (vi)vandq_s32(vreinterpretq_s32_f32(x), vdupq_n_s32(0x7fffffff));
}
R1_INLINE vi i_max(vi a, vi b)
{
    return (vi)vmaxq_s32((int32x4_t)a, (int32x4_t)b);
}
R1_INLINE int32_t i_most(vi x)
{
    return vmaxvq_s32((int32x4_t)x);
}
R1_INLINE int32_t i_sum(vi x)
{
    return vaddvq_s32((int32x4_t)x);
}
R1_INLINE vi i_left16(vi x, int n)
{
    return (vi)vshlq_u16((uint16x8_t)x, vdupq_n_s16((int16_t)n));
}
R1_INLINE vi i_right16(vi x, int n)
{
    return (vi)vshlq_u16((uint16x8_t)x, vdupq_n_s16((int16_t)-n));
}
R1_INLINE vi i_and(vi x, int byte)
{
    return (vi)vandq_u8((uint8x16_t)x, vdupq_n_u8((uint8_t)byte));
}
R1_INLINE vi i_or(vi a, vi b)
{
    return (vi)vorrq_s32((int32x4_t)a, (int32x4_t)b);
}
R1_INLINE vi i_look_up(vi x)
{
    const uint8x16_t t =
        veorq_u8(vreinterpretq_u8_s8(vld1q_s8(r1_quant_iq4_nl)), vdupq_n_u8(0x80));
    return (vi)vqtbl1q_u8(t, (uint8x16_t)x);
}
/* sdot multiplies signed by signed: wide codes are made signed, which takes their offset of 128
 * away; the others are too small to have a sign. */
R1_INLINE vi i_dot(vi acc, vi w, vi x, bool wide)
{
    int8x16_t value = (int8x16_t)w;
    if (wide)
        value = veorq_s8(value, vdupq_n_s8(-128));
    return (vi)vdotq_s32((int32x4_t)acc, value, (int8x16_t)x);
}
enum { SIGNED_WIDE = 1 };
#endif

#if VW > 1

/* ---- Codes ------------------------------------------------------------------------------- */

/* Of block q the codes of inputs 16h + 4g .. 16h + 4g + 3 for VW outputs. */
R1_INLINE vi codes(const r1_block_format f, const uint8_t *q, int g, const int h)
{
    if (f.bits == 8)
        return i_load(q + h * 256 + g * 64);
    vi w = i_load(q + g * 64);
    w = h == 0 ? i_and(w, 15) : i_and(i_right16(w, 4), 15);
    if (f.table)
        return i_look_up(w);
    if (f.plane == 1) { /* bit 4h + g becomes bit 4 */
        vi bits = i_load(q + 256);
        bits = h == 0 ? i_left16(bits, 4 - g) : i_right16(bits, g);
        w = i_or(w, i_and(bits, 16));
    }
    if (f.plane == 2) { /* bits 2g, 2g + 1 become bits 4 and 5 */
        vi bits = i_right16(i_load(q + 256 + h * 64), 2 * g);
        w = i_or(w, i_and(i_left16(bits, 4), 48));
    }
    return w;
}

R1_INLINE vi four(const int8_t *x) /* four inputs in every lane */
{
    int32_t v;
    memcpy(&v, x, sizeof v);
    return i_set(v);
}

/* ---- A block ----------------------------------------------------------------------------- */

typedef struct {
    r1_matmul_blocks x; /* from the tile's first row on ... */
    int row;            /* ... which is this one of its group */
    int64_t blocks;
    const uint8_t *w;
    size_t panel_bytes;
    r1_block_sections at;
} tile_view;

/* Vector v of the tile's outputs: its panel, and the first of its lanes there. */
R1_INLINE const uint8_t *panel_of(const tile_view *t, int v)
{
    return t->w + (size_t)(v / PV) * t->panel_bytes;
}

R1_INLINE int lane_of(int v)
{
    return v % PV * VW;
}

/* acc[r][v] += codes . inputs over half h of a block; x: its uppers or its lowers. */
R1_INLINE void dot_half(vi acc[MAX_ROWS][MAX_PANELS * PV], const r1_block_format f,
                        const tile_view *t, const int8_t *x, size_t q, const int nr,
                        const int nv, const int h)
{
    ROLLED for (int g = 0; g < 4; g++)
    {
        vi w[MAX_PANELS * PV];
        UNROLL for (int v = 0; v < nv; v++) w[v] =
            codes(f, panel_of(t, v) + q + lane_of(v) * 4, g, h);
        UNROLL for (int r = 0; r < nr; r++)
        {
            const vi four_x = four(x + r * R1_BLOCK + 16 * h + 4 * g);
            UNROLL for (int v = 0; v < nv; v++) acc[r][v] =
                i_dot(acc[r][v], w[v], four_x, f.wide);
        }
    }
}

/* acc += sums over halves [first,last) of a block, exact integers.  Few outputs have two chains. */
R1_INLINE void dot_block(vi acc[MAX_ROWS][MAX_PANELS * PV], const r1_block_format f,
                         const tile_view *t, const int8_t *x, size_t q, const int nr,
                         const int nv, const int first, const int last)
{
    if (nr * nv > 8 || last - first < 2) {
        UNROLL for (int h = first; h < last; h++) dot_half(acc, f, t, x, q, nr, nv, h);
        return;
    }
    vi other[MAX_ROWS][MAX_PANELS * PV];
    UNROLL for (int r = 0; r < nr; r++) UNROLL for (int v = 0; v < nv; v++) other[r][v] =
        i_set(0);
    ROLLED for (int g = 0; g < 4; g++) UNROLL for (int v = 0; v < nv; v++)
    {
        const uint8_t *at = panel_of(t, v) + q + lane_of(v) * 4;
        const vi low = codes(f, at, g, 0), high = codes(f, at, g, 1);
        UNROLL for (int r = 0; r < nr; r++)
        {
            const int8_t *xr = x + r * R1_BLOCK + 4 * g;
            acc[r][v] = i_dot(acc[r][v], low, four(xr), f.wide);
            other[r][v] = i_dot(other[r][v], high, four(xr + 16), f.wide);
        }
    }
    UNROLL for (int r = 0; r < nr; r++) UNROLL for (int v = 0; v < nv; v++) acc[r][v] =
        i_add(acc[r][v], other[r][v]);
}

/* Scale (or minimum) number i of a vector of outputs, group b of 32 inputs. */
R1_INLINE vf scale_of(const r1_block_format f, const uint8_t *panel, size_t coarse, size_t fine,
                      int64_t b, int64_t i, int lane)
{
    const uint16_t *c = (const uint16_t *)(const void *)(panel + coarse);
    if (!f.super)
        return v_load_f16(c + b * R1_PANEL + lane);
    vf whole = v_load_f16(c + b / (R1_SUPER / R1_BLOCK) * R1_PANEL + lane);
    const int8_t *part = (const int8_t *)(panel + fine) + i * R1_PANEL + lane;
    return v_mul(whole, i_float(i_widen(part)));
}

/* What an offset of the codes adds to a sum of products. */
R1_INLINE vi correction(const r1_block_format f, int32_t sum)
{
    const bool shifted = f.offset >= 0 && !(f.wide && SIGNED_WIDE);
    return shifted ? i_sub(i_set(0), i_left(i_set(sum), (unsigned)f.offset)) : i_set(0);
}

/* y (nr,nv) += uppers and minimum of block b, or of the `part` that has a scale of its own. */
R1_INLINE void upper_step(float *y, const r1_block_format f, const tile_view *t, int64_t b,
                          const int part, const int nr, const int nv)
{
    const int parts = R1_BLOCK / f.sub, last = parts == 2 ? part + 1 : 2;
    const int s = parts > 1 ? part + 1 : 0;
    vi acc[MAX_ROWS][MAX_PANELS * PV];
    UNROLL for (int r = 0; r < nr; r++)
    {
        const vi start = correction(f, t->x.upper_sum[3 * (b * R1_TILE_ROWS + r) + s]);
        UNROLL for (int v = 0; v < nv; v++) acc[r][v] = start;
    }
    dot_block(acc, f, t, t->x.upper + b * R1_BLOCK * R1_TILE_ROWS,
              t->at.q + (size_t)b * t->at.block, nr, nv, part, last);
    vf d[MAX_PANELS * PV], m[MAX_PANELS * PV];
    UNROLL for (int v = 0; v < nv; v++)
    {
        const uint8_t *panel = panel_of(t, v);
        const int64_t i = b * parts + part;
        d[v] = scale_of(f, panel, 0, t->at.fine, b, i, lane_of(v));
        if (f.min)
            m[v] = scale_of(f, panel, t->at.min, t->at.fine_min, b, i, lane_of(v));
    }
    UNROLL for (int r = 0; r < nr; r++)
    {
        const int64_t at = b * R1_TILE_ROWS + r;
        const vf dx = v_set(t->x.scale[at] * (1 << BASE_BITS));
        const vf xs = v_set(t->x.sum[3 * at + s]);
        UNROLL for (int v = 0; v < nv; v++)
        {
            float *to = y + (r * nv + v) * VW;
            vf total = v_fma(i_float(acc[r][v]), v_mul(d[v], dx), v_load(to));
            if (f.min)
                total = v_fma(m[v], xs, total);
            v_store(to, total);
        }
    }
}

/* y (nv) += lowers of row r. */
R1_INLINE void lower_step(float *y, const r1_block_format f, const tile_view *t, int64_t b,
                          const int part, int r, const int nv)
{
    const int parts = R1_BLOCK / f.sub, last = parts == 2 ? part + 1 : 2;
    const int64_t at = b * R1_TILE_ROWS + r;
    vi acc[MAX_ROWS][MAX_PANELS * PV];
    UNROLL for (int v = 0; v < nv; v++) acc[0][v] =
        correction(f, t->x.lower_sum[3 * at + (parts > 1 ? part + 1 : 0)]);
    dot_block(acc, f, t, t->x.lower + at * R1_BLOCK, t->at.q + (size_t)b * t->at.block, 1, nv,
              part, last);
    UNROLL for (int v = 0; v < nv; v++)
    {
        const vf d =
            scale_of(f, panel_of(t, v), 0, t->at.fine, b, b * parts + part, lane_of(v));
        v_store(y + v * VW,
                v_fma(i_float(acc[0][v]), v_mul(d, v_set(t->x.scale[at])), v_load(y + v * VW)));
    }
}

/* ---- Tiles ------------------------------------------------------------------------------- */

R1_INLINE void block_rows(float *y, const r1_block_format f, const tile_view *t, const int nr,
                          const int np, r1_matmul_ahead ahead)
{
    const int nv = np * PV;
    UNROLL for (int i = 0; i < nr * nv; i++) v_store(y + i * VW, v_set(0));
    for (int64_t b = 0; b < t->blocks; b++) {
        __asm__("" : "+r"(y)); /* or the compiler keeps y in registers that it does not have */
        v_fetch(ahead.at, ahead.bytes, b, t->blocks);
        const int parts = R1_BLOCK / f.sub;
        UNROLL for (int p = 0; p < parts; p++) upper_step(y, f, t, b, p, nr, nv);
        for (unsigned fine = t->x.fine[b] >> t->row & ((1u << nr) - 1); fine;
             fine &= fine - 1) {
            const int r = __builtin_ctz(fine);
            UNROLL for (int p = 0; p < parts; p++)
                lower_step(y + r * nv * VW, f, t, b, p, r, nv);
        }
    }
}

R1_INLINE void skip_rows(tile_view *t, int n)
{
    t->row += n;
    t->x.upper += n * R1_BLOCK;
    t->x.lower += n * R1_BLOCK;
    t->x.scale += n;
    t->x.sum += 3 * n;
    t->x.upper_sum += 3 * n;
    t->x.lower_sum += 3 * n;
}

/* c (nr,np*16): the rows in the largest parts that there is code for. */
R1_INLINE void block_tile(float *c, const r1_matmul_in *in, int64_t row, int nr,
                          const uint8_t *w, size_t panel_bytes, int np, int64_t depth,
                          r1_matmul_ahead ahead, const r1_dtype dtype)
{
    const r1_block_format f = r1_block_format_of(dtype);
    const int64_t blocks = depth / R1_BLOCK;
    tile_view t = {.x = r1_matmul_group(in->b, row / R1_TILE_ROWS, blocks),
                   .blocks = blocks,
                   .w = w,
                   .panel_bytes = panel_bytes,
                   .at = r1_block_sections_of(f, depth)};
    skip_rows(&t, (int)(row % R1_TILE_ROWS));
    while (nr > 0) {
        int done = 1;
        if (np == MAX_PANELS) {
            if (nr >= MAX_ROWS)
                block_rows(c, f, &t, done = MAX_ROWS, MAX_PANELS, ahead);
            else if (MAX_ROWS > 4 && nr >= 4)
                block_rows(c, f, &t, done = 4, MAX_PANELS, ahead);
            else if (nr >= 2)
                block_rows(c, f, &t, done = 2, MAX_PANELS, ahead);
            else
                block_rows(c, f, &t, 1, MAX_PANELS, ahead);
        } else if (np == 2)
            block_rows(c, f, &t, 1, 2, ahead);
        else if (nr >= 2)
            block_rows(c, f, &t, done = 2, 1, ahead);
        else
            block_rows(c, f, &t, 1, 1, ahead);
        ahead.bytes = 0;
        nr -= done;
        c += (int64_t)done * np * R1_PANEL;
        skip_rows(&t, done);
    }
}

#else

enum { MAX_ROWS = 1, MAX_PANELS = 1, SIGNED_WIDE = 0 };
typedef int32_t vi;
R1_INLINE vi i_round(vf x)
{
    return (vi)rintf(x);
}
R1_INLINE vi i_set(int32_t x)
{
    return x;
}
R1_INLINE vi i_add(vi a, vi b)
{
    return a + b;
}
R1_INLINE vi i_sub(vi a, vi b)
{
    return a - b;
}
R1_INLINE vi i_left(vi x, unsigned n)
{
    return x * (1 << n);
}
R1_INLINE vi i_right(vi x, unsigned n)
{
    return x >> n; /* arithmetic, as every compiler has it */
}
R1_INLINE vi i_magnitude(vf x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffff;
}
R1_INLINE vi i_max(vi a, vi b)
{
    return a > b ? a : b;
}
R1_INLINE int32_t i_most(vi x)
{
    return x;
}
R1_INLINE int32_t i_sum(vi x)
{
    return x;
}
R1_INLINE void i_narrow(int8_t *p, vi x)
{
    *p = (int8_t)x;
}

/* The code of input i of a block, for output o. */
static int code(r1_block_format f, const uint8_t *q, int o, int i)
{
    const int s = i / 4, lane = o * 4 + i % 4;
    if (f.bits == 8)
        return q[s * 64 + lane];
    int c = q[s % 4 * 64 + lane] >> (s < 4 ? 0 : 4) & 15;
    if (f.table)
        return r1_quant_iq4_nl[c] + 128;
    if (f.plane == 1)
        c |= (q[256 + lane] >> s & 1) << 4;
    if (f.plane == 2)
        c |= (q[256 + s / 4 * 64 + lane] >> 2 * (s % 4) & 3) << 4;
    return c;
}

/* Scale (or minimum) number i of output o, block b of 32 inputs. */
static float scale_of(r1_block_format f, const uint8_t *panel, size_t coarse, size_t fine,
                      int64_t b, int64_t i, int o)
{
    const uint16_t *c = (const uint16_t *)(const void *)(panel + coarse);
    if (!f.super)
        return r1_quant_f16_to_f32(c[b * R1_PANEL + o]);
    return r1_quant_f16_to_f32(c[b / (R1_SUPER / R1_BLOCK) * R1_PANEL + o]) *
           (float)((const int8_t *)(panel + fine))[i * R1_PANEL + o];
}

static void block_tile(float *c, const r1_matmul_in *in, int64_t row, int nr, const uint8_t *w,
                       size_t panel_bytes, int np, int64_t depth, r1_matmul_ahead ahead,
                       const r1_dtype dtype)
{
    (void)panel_bytes;
    (void)ahead;
    r1_assert(nr == 1 && np == 1);
    const r1_block_format f = r1_block_format_of(dtype);
    const r1_block_sections at = r1_block_sections_of(f, depth);
    const int64_t blocks = depth / R1_BLOCK;
    const r1_matmul_blocks x = r1_matmul_group(in->b, row / R1_TILE_ROWS, blocks);
    const int parts = R1_BLOCK / f.sub;
    for (int o = 0; o < R1_PANEL; o++) {
        float y = 0;
        for (int64_t i = 0; i < blocks * parts; i++) {
            const int64_t b = i / parts;
            const int64_t at_x = b * R1_TILE_ROWS + row % R1_TILE_ROWS;
            const int64_t sum = parts > 1 ? i % parts + 1 : 0;
            const int first = (int)(i % parts) * f.sub;
            const bool fine = x.fine[b] >> row % R1_TILE_ROWS & 1;
            const float d = scale_of(f, w, 0, at.fine, b, i, o);
            int32_t upper = 0, lower = 0;
            for (int k = first; k < first + f.sub; k++) {
                int q = code(f, w + at.q + (size_t)b * at.block, o, k);
                upper += q * x.upper[at_x * R1_BLOCK + k];
                lower += fine ? q * x.lower[at_x * R1_BLOCK + k] : 0;
            }
            if (f.offset >= 0) {
                upper -= i_left(x.upper_sum[3 * at_x + sum], (unsigned)f.offset);
                lower -= fine ? i_left(x.lower_sum[3 * at_x + sum], (unsigned)f.offset) : 0;
            }
            y += (float)upper * (d * (x.scale[at_x] * (1 << BASE_BITS)));
            if (f.min)
                y += scale_of(f, w, at.min, at.fine_min, b, i, o) * x.sum[3 * at_x + sum];
            if (fine)
                y += (float)lower * (d * x.scale[at_x]);
        }
        c[o] = y;
    }
}
#endif

/* ---- One function a layout --------------------------------------------------------------- */

#define TILE(name, dtype)                                                                     \
    static void name(float *c, const r1_matmul_in *in, int64_t row, int nr, const uint8_t *w, \
                     size_t pb, int np, int64_t depth, r1_matmul_ahead ahead)                 \
    {                                                                                         \
        block_tile(c, in, row, nr, w, pb, np, depth, ahead, dtype);                           \
    }
TILE(tile_q8_0, R1_Q8_0)
TILE(tile_q4_0, R1_Q4_0)
TILE(tile_q4_1, R1_Q4_1)
TILE(tile_q5_0, R1_Q5_0)
TILE(tile_q5_1, R1_Q5_1)
TILE(tile_q2_k, R1_Q2_K)
TILE(tile_q3_k, R1_Q3_K)
TILE(tile_q4_k, R1_Q4_K)
TILE(tile_q5_k, R1_Q5_K)
TILE(tile_q6_k, R1_Q6_K)
TILE(tile_iq4_nl, R1_IQ4_NL)

/* ---- Inputs ------------------------------------------------------------------------------ */

/* Sums of a block and of its halves. */
R1_INLINE void put_sums(int32_t *to, vi first, vi second)
{
    to[1] = i_sum(first);
    to[2] = i_sum(second);
    to[0] = to[1] + to[2];
}

/* Block i of x for row r of the group, in steps of d, or when coarse of 128 d. */
R1_INLINE void quantize_block(const void *x, const r1_dtype t, int64_t i, float d,
                              const bool fine, const r1_matmul_blocks *to, int r)
{
    const vf inverse = v_set(fine ? 1 / d : 1 / (128 * d));
    int8_t *upper = to->upper + r * R1_BLOCK, *lower = to->lower + r * R1_BLOCK;
    vi high[2] = {i_set(0), i_set(0)}, low[2] = {i_set(0), i_set(0)};
    UNROLL for (int at = 0; at < R1_BLOCK; at += VW)
    {
        const vi n = i_round(v_mul(v_ld(x, t, i + at, VW), inverse));
        const vi h = fine ? i_right(i_add(n, i_set(1 << (BASE_BITS - 1))), BASE_BITS) : n;
        i_narrow(upper + at, h);
        high[at / 16] = i_add(high[at / 16], h);
        if (fine) {
            const vi l = i_sub(n, i_left(h, BASE_BITS));
            i_narrow(lower + at, l);
            low[at / 16] = i_add(low[at / 16], l);
        }
    }
    put_sums(to->upper_sum + 3 * r, high[0], high[1]);
    if (fine)
        put_sums(to->lower_sum + 3 * r, low[0], low[1]);
    for (int s = 3 * r; s < 3 * r + 3; s++)
        to->sum[s] =
            d * (float)(to->upper_sum[s] * (1 << BASE_BITS) + (fine ? to->lower_sum[s] : 0));
}

/* The largest magnitude of block i: bits of absolute values order as integers, NaN above
 * infinity. */
R1_INLINE float largest(const void *x, const r1_dtype t, int64_t i)
{
    vi most = i_set(0);
    for (int at = 0; at < R1_BLOCK; at += VW)
        most = i_max(most, i_magnitude(v_ld(x, t, i + at, VW)));
    const int32_t bits = i_most(most);
    float magnitude;
    memcpy(&magnitude, &bits, sizeof magnitude);
    return magnitude;
}

/* The scales of a row's blocks, a group's rows apart; returns the largest that a coarse one has.
 *
 * x = d (128 upper + lower).  The error of an output is that of the largest blocks of its row:
 * those whose largest value is above 5/4 of the root mean square of the largest values are fine,
 * 127 * 128 steps to either side; the others have 127 and no lower bytes.  llama.cpp has 127
 * everywhere, which moves SmolLM2's distribution by six times as much (docs/performance.md). */
R1_INLINE float scale_row(const void *x, const r1_dtype t, int64_t blocks, float *scale)
{
    double squares = 0; /* each is exact: the choice is the same on every instruction set */
    for (int64_t b = 0; b < blocks; b++) {
        const float most = largest(x, t, b * R1_BLOCK);
        scale[b * R1_TILE_ROWS] = most / (127 << BASE_BITS);
        squares += (double)most * (double)most;
    }
    return (float)sqrt(25.0 / 16 * squares / (double)blocks) / (127 << BASE_BITS);
}

/* Less has no finite inverse; infinity and NaN go on through the scale. */
R1_INLINE bool has_inverse(float d)
{
    return d > 1e-30f && d < INFINITY;
}

R1_INLINE void quantize_rows(const char *x, const r1_dtype t, int64_t step, int n, int64_t k,
                             r1_matmul_blocks to)
{
    float coarse[R1_TILE_ROWS];
    for (int r = 0; r < n; r++)
        coarse[r] = scale_row(x + r * step, t, k / R1_BLOCK, to.scale + r);
    for (int64_t b = 0; b < k / R1_BLOCK; b++) {
        *to.fine = 0;
        for (int r = 0; r < n; r++) {
            const float d = to.scale[r];
            if (!has_inverse(d)) {
                memset(to.upper + r * R1_BLOCK, 0, R1_BLOCK);
                memset(to.upper_sum + 3 * r, 0, 3 * sizeof *to.upper_sum);
                for (int s = 3 * r; s < 3 * r + 3; s++)
                    to.sum[s] = d * 0;
            } else if (d > coarse[r]) {
                *to.fine |= (uint8_t)(1 << r);
                quantize_block(x + r * step, t, b * R1_BLOCK, d, true, &to, r);
            } else
                quantize_block(x + r * step, t, b * R1_BLOCK, d, false, &to, r);
        }
        to.fine++;
        to.upper += R1_TILE_ROWS * R1_BLOCK;
        to.lower += R1_TILE_ROWS * R1_BLOCK;
        to.scale += R1_TILE_ROWS;
        to.sum += 3 * R1_TILE_ROWS;
        to.upper_sum += 3 * R1_TILE_ROWS;
        to.lower_sum += 3 * R1_TILE_ROWS;
    }
}

static void quantize(const void *x, r1_dtype t, int64_t stride, int n, int64_t k,
                     r1_matmul_blocks to)
{
    if (t == R1_F32)
        quantize_rows(x, R1_F32, stride * 4, n, k, to);
    else
        quantize_rows(x, R1_BF16, stride * 2, n, k, to);
}

const r1_block_kernels R1_ISA_SYMBOL(r1_block_kernels) = {
    .max_rows = VW == 1 ? 1 : R1_TILE_ROWS,
    .max_panels = MAX_PANELS,
    .tile = {[R1_Q8_0] = tile_q8_0,
             [R1_Q4_0] = tile_q4_0,
             [R1_Q4_1] = tile_q4_1,
             [R1_Q5_0] = tile_q5_0,
             [R1_Q5_1] = tile_q5_1,
             [R1_Q2_K] = tile_q2_k,
             [R1_Q3_K] = tile_q3_k,
             [R1_Q4_K] = tile_q4_k,
             [R1_Q5_K] = tile_q5_k,
             [R1_Q6_K] = tile_q6_k,
             [R1_IQ4_NL] = tile_iq4_nl},
    .quantize = quantize,
};
