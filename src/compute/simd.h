/* simd.h: a vector of VW floats for the *_kernels.c files, in four instruction sets.
 *
 * Only what the kernels use.  The scalar form (VW = 1) is the specification and also what other
 * processors run.  Loads and stores take a dtype (F32, BF16 or F16) that is a constant after
 * inlining, and a count for the last, partial vector: lanes beyond it read as zero and are not
 * written. */
#ifndef R1_SIMD_H
#define R1_SIMD_H

#include <math.h>
#include <string.h>

#include "compute/quant.h"

#define R1_INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__)
#include <immintrin.h>
#define VW 16
typedef __m512 vf;

R1_INLINE vf v_set(float x)
{
    return _mm512_set1_ps(x);
}
R1_INLINE vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
R1_INLINE void v_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}
R1_INLINE vf v_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
R1_INLINE vf v_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
R1_INLINE vf v_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
R1_INLINE vf v_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
R1_INLINE vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
R1_INLINE vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
R1_INLINE vf v_sqrt(vf a)
{
    return _mm512_sqrt_ps(a);
}
R1_INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
} /* a*b + c */
R1_INLINE float v_sum(vf a)
{
    return _mm512_reduce_add_ps(a);
}
R1_INLINE float v_maximum(vf a)
{
    return _mm512_reduce_max_ps(a);
}
R1_INLINE vf v_load_bf16(const uint16_t *p)
{
    __m512i u = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(u, 16));
}
R1_INLINE vf v_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
R1_INLINE vf v_load_i8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}
R1_INLINE float v_f16(uint16_t h)
{
    return _cvtsh_ss(h);
}
/* In every 128 bits: a0 b0 a1 b1, a2 b2 a3 b3; the same of pairs. */
R1_INLINE vf v_unpack_low(vf a, vf b)
{
    return _mm512_unpacklo_ps(a, b);
}
R1_INLINE vf v_unpack_high(vf a, vf b)
{
    return _mm512_unpackhi_ps(a, b);
}
R1_INLINE vf v_unpack_low2(vf a, vf b)
{
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
R1_INLINE vf v_unpack_high2(vf a, vf b)
{
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
R1_INLINE void v_store_bf16(uint16_t *p, vf x)
{
    /* Round to nearest even; a NaN keeps its upper half and is made quiet. */
    __m512i u = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i r = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    r = _mm512_mask_or_epi32(r, nan, u, _mm512_set1_epi32(0x400000));
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16)));
}
R1_INLINE void v_store_f16(uint16_t *p, vf x)
{
    _mm256_storeu_si256((__m256i *)(void *)p,
                        _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
R1_INLINE vf v_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
R1_INLINE vf v_exp2i(vf a, vf n)
{
    return _mm512_scalef_ps(a, n);
} /* a * 2^n */

#elif defined(__AVX2__)
#include <immintrin.h>
#define VW 8
typedef __m256 vf;

R1_INLINE vf v_set(float x)
{
    return _mm256_set1_ps(x);
}
R1_INLINE vf v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
R1_INLINE void v_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x);
}
R1_INLINE vf v_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
R1_INLINE vf v_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
R1_INLINE vf v_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
R1_INLINE vf v_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
R1_INLINE vf v_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
R1_INLINE vf v_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
R1_INLINE vf v_sqrt(vf a)
{
    return _mm256_sqrt_ps(a);
}
R1_INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
R1_INLINE float v_sum(vf a)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
R1_INLINE float v_maximum(vf a)
{
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
R1_INLINE vf v_load_bf16(const uint16_t *p)
{
    __m256i u = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(u, 16));
}
R1_INLINE vf v_load_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
R1_INLINE vf v_load_i8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
R1_INLINE float v_f16(uint16_t h)
{
    return _cvtsh_ss(h);
}
R1_INLINE vf v_unpack_low(vf a, vf b)
{
    return _mm256_unpacklo_ps(a, b);
}
R1_INLINE vf v_unpack_high(vf a, vf b)
{
    return _mm256_unpackhi_ps(a, b);
}
R1_INLINE vf v_unpack_low2(vf a, vf b)
{
    return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
}
R1_INLINE vf v_unpack_high2(vf a, vf b)
{
    return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
}
R1_INLINE void v_store_bf16(uint16_t *p, vf x)
{
    __m256i u = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i r = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    r = _mm256_blendv_epi8(r, _mm256_or_si256(u, _mm256_set1_epi32(0x400000)), nan);
    r = _mm256_srli_epi32(r, 16);
    __m128i lo = _mm256_castsi256_si128(r), hi = _mm256_extracti128_si256(r, 1);
    _mm_storeu_si128((__m128i *)(void *)p, _mm_packus_epi32(lo, hi));
}
R1_INLINE void v_store_f16(uint16_t *p, vf x)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
R1_INLINE vf v_round(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
R1_INLINE vf v_exp2i(vf a, vf n)
{
    /* In two halves, so that results below the normal range fade out instead of wrapping. */
    __m256i i = _mm256_cvtps_epi32(n), h = _mm256_srai_epi32(i, 1), l = _mm256_sub_epi32(i, h);
    __m256i one = _mm256_set1_epi32(127);
    vf p = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(h, one), 23));
    vf q = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(l, one), 23));
    return _mm256_mul_ps(_mm256_mul_ps(a, p), q);
}

#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#define VW 4
typedef float32x4_t vf;

R1_INLINE vf v_set(float x)
{
    return vdupq_n_f32(x);
}
R1_INLINE vf v_load(const float *p)
{
    return vld1q_f32(p);
}
R1_INLINE void v_store(float *p, vf x)
{
    vst1q_f32(p, x);
}
R1_INLINE vf v_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}
R1_INLINE vf v_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}
R1_INLINE vf v_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}
R1_INLINE vf v_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}
/* As elsewhere b where one of them is a NaN; the instructions for it give the NaN. */
R1_INLINE vf v_max(vf a, vf b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
R1_INLINE vf v_min(vf a, vf b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
R1_INLINE vf v_sqrt(vf a)
{
    return vsqrtq_f32(a);
}
R1_INLINE vf v_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}
R1_INLINE float v_sum(vf a)
{
    return vaddvq_f32(a);
}
R1_INLINE float v_maximum(vf a)
{
    return vmaxvq_f32(a);
}
R1_INLINE vf v_load_bf16(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
R1_INLINE vf v_load_f16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
R1_INLINE vf v_load_i8(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    const int8x8_t bytes = vreinterpret_s8_s32(vdup_n_s32(four));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))));
}
R1_INLINE float v_f16(uint16_t h)
{
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h))), 0);
}
R1_INLINE vf v_unpack_low(vf a, vf b)
{
    return vzip1q_f32(a, b);
}
R1_INLINE vf v_unpack_high(vf a, vf b)
{
    return vzip2q_f32(a, b);
}
R1_INLINE vf v_unpack_low2(vf a, vf b)
{
    return vreinterpretq_f32_f64(
        vzip1q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}
R1_INLINE vf v_unpack_high2(vf a, vf b)
{
    return vreinterpretq_f32_f64(
        vzip2q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}
R1_INLINE void v_store_bf16(uint16_t *p, vf x)
{
    const uint32x4_t u = vreinterpretq_u32_f32(x);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    uint32x4_t r = vaddq_u32(u, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    r = vbslq_u32(vceqq_f32(x, x), r, vorrq_u32(u, vdupq_n_u32(0x400000)));
    vst1_u16(p, vshrn_n_u32(r, 16));
}
R1_INLINE void v_store_f16(uint16_t *p, vf x)
{
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x)));
}
R1_INLINE vf v_round(vf a)
{
    return vrndnq_f32(a);
}
R1_INLINE vf v_exp2i(vf a, vf n)
{
    /* In two halves, as with AVX2. */
    const int32x4_t i = vcvtnq_s32_f32(n), h = vshrq_n_s32(i, 1), l = vsubq_s32(i, h);
    const int32x4_t one = vdupq_n_s32(127);
    const vf p = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(h, one), 23));
    const vf q = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(l, one), 23));
    return vmulq_f32(vmulq_f32(a, p), q);
}

#else
#define VW 1
typedef float vf;

R1_INLINE vf v_set(float x)
{
    return x;
}
R1_INLINE vf v_load(const float *p)
{
    return *p;
}
R1_INLINE void v_store(float *p, vf x)
{
    *p = x;
}
R1_INLINE vf v_add(vf a, vf b)
{
    return a + b;
}
R1_INLINE vf v_sub(vf a, vf b)
{
    return a - b;
}
R1_INLINE vf v_mul(vf a, vf b)
{
    return a * b;
}
R1_INLINE vf v_div(vf a, vf b)
{
    return a / b;
}
R1_INLINE vf v_max(vf a, vf b)
{
    return a > b ? a : b;
}
R1_INLINE vf v_min(vf a, vf b)
{
    return a < b ? a : b;
}
R1_INLINE vf v_sqrt(vf a)
{
    return sqrtf(a);
}
R1_INLINE vf v_round(vf a)
{
    return rintf(a);
}
R1_INLINE vf v_fma(vf a, vf b, vf c)
{
    return a * b + c;
}
R1_INLINE float v_sum(vf a)
{
    return a;
}
R1_INLINE float v_maximum(vf a)
{
    return a;
}
R1_INLINE vf v_load_bf16(const uint16_t *p)
{
    return r1_bf16_to_f32(*p);
}
R1_INLINE vf v_load_f16(const uint16_t *p)
{
    return r1_quant_f16_to_f32(*p);
}
R1_INLINE vf v_load_i8(const int8_t *p)
{
    return *p;
}
R1_INLINE float v_f16(uint16_t h)
{
    return r1_quant_f16_to_f32(h);
}
R1_INLINE void v_store_bf16(uint16_t *p, vf x)
{
    *p = r1_bf16_from_f32(x);
}
R1_INLINE void v_store_f16(uint16_t *p, vf x)
{
    *p = r1_quant_f16_from_f32(x);
}
#endif

/* Ask for part i of n of the memory [at, at + bytes). */
R1_INLINE void v_fetch(const void *at, size_t bytes, int64_t i, int64_t n)
{
    const size_t step = (bytes + (size_t)n - 1) / (size_t)n;
    const char *from = (const char *)at + (size_t)i * step;
    for (size_t k = 0; k < step; k += 64)
        __builtin_prefetch(from + k, 0, 2);
}

/* exp(x), relative error below 2e-7 on [-87, 88]; smaller arguments go to 0, larger saturate. */
R1_INLINE vf v_exp(vf x)
{
#if VW == 1
    return expf(x);
#else
    x = v_min(v_set(88.7f), v_max(v_set(-103.0f), x)); /* this order keeps a NaN */
    vf n = v_round(v_mul(x, v_set(1.44269504088896341f)));
    vf r = v_fma(n, v_set(-0.693359375f), x); /* ln 2 in two parts: 355/512 ... */
    r = v_fma(n, v_set(2.12194440e-4f), r);   /* ... and what it is too large by */
    vf p = v_set(1.0f / 5040);                /* Taylor: |r| <= ln(2)/2 */
    p = v_fma(p, r, v_set(1.0f / 720));
    p = v_fma(p, r, v_set(1.0f / 120));
    p = v_fma(p, r, v_set(1.0f / 24));
    p = v_fma(p, r, v_set(1.0f / 6));
    p = v_fma(p, r, v_set(0.5f));
    p = v_fma(p, r, v_set(1.0f));
    p = v_fma(p, r, v_set(1.0f));
    return v_exp2i(p, n);
#endif
}

R1_INLINE int v_lanes(int64_t left)
{
    return left < VW ? (int)left : VW;
}

/* Lanes [0,m) of element i on of p, whose dtype is t; the other lanes are 0. */
R1_INLINE vf v_ld(const void *p, r1_dtype t, int64_t i, int m)
{
    if (t == R1_F32) {
        const float *f = (const float *)p + i;
        if (VW == 1 || m == VW)
            return v_load(f);
        float part[VW] = {0};
        memcpy(part, f, (size_t)m * sizeof *f);
        return v_load(part);
    }
    const uint16_t *h = (const uint16_t *)p + i;
    uint16_t half[VW] = {0};
    if (VW > 1 && m != VW) {
        memcpy(half, h, (size_t)m * sizeof *h);
        h = half;
    }
    return t == R1_BF16 ? v_load_bf16(h) : v_load_f16(h);
}

R1_INLINE void v_st(void *p, r1_dtype t, int64_t i, int m, vf x)
{
    if (t == R1_F32) {
        float *f = (float *)p + i;
        if (VW == 1 || m == VW) {
            v_store(f, x);
            return;
        }
        float part[VW];
        v_store(part, x);
        memcpy(f, part, (size_t)m * sizeof *f);
        return;
    }
    uint16_t *h = (uint16_t *)p + i;
    uint16_t half[VW];
    uint16_t *to = VW == 1 || m == VW ? h : half;
    if (t == R1_BF16)
        v_store_bf16(to, x);
    else
        v_store_f16(to, x);
    if (VW > 1 && m != VW)
        memcpy(h, half, (size_t)m * sizeof *h);
}

#endif
