/* quant.c: block formats to F32 and back, one element at a time.
 *
 * Decoding follows ggml's dequantize_row_*, and the encoding of Q8_0, Q4_0 and Q4_1 its
 * quantize_row_*_ref; the other formats search for their scales (fit.h).  Sums and products that a
 * compiler might fuse stand in separate statements, so every build gives the same bits. */
#include "compute/quant.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "compute/fit.h"
#include "compute/kquant.h"

enum { BLOCK = 32 };

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Like the F16C instructions, a NaN keeps its sign and upper payload and becomes quiet. */
float r1_quant_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = (h >> 10) & 31u, mantissa = h & 1023u;
    if (exponent == 0) {
        float f = (float)mantissa * 0x1p-24f;
        return float_of(bits_of(f) | sign);
    }
    if (exponent == 31)
        return float_of(sign | 0x7f800000u | (mantissa << 13) | (mantissa ? 0x400000u : 0));
    return float_of(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

uint16_t r1_quant_f16_from_f32(float f)
{
    uint32_t u = bits_of(f), sign = (u >> 16) & 0x8000u;
    u &= 0x7fffffffu;
    if (u > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | ((u >> 13) & 0x3ffu));
    if (u >= 0x47800000u) /* 65536: beyond every finite half */
        return (uint16_t)(sign | 0x7c00u);
    if (u < 0x38800000u) {
        /* Below 2^-14 halves are multiples of 2^-24, which is the spacing of floats in [0.5,1):
         * the addition does the rounding. */
        float shifted = float_of(u) + 0.5f;
        return (uint16_t)(sign | (bits_of(shifted) - 0x3f000000u));
    }
    u += 0xfffu + ((u >> 13) & 1);
    return (uint16_t)(sign | ((u - (112u << 23)) >> 13));
}

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

/* Float to integer toward zero; out of range saturates and NaN gives lo (C leaves both open). */
static int to_int(float f, int lo, int hi)
{
    if (!(f > (float)lo))
        return lo;
    return f >= (float)hi ? hi : (int)f;
}

static float inverse(float d)
{
    return d != 0 ? 1.0f / d : 0.0f;
}

/* ---- Decoding ---------------------------------------------------------------------------- */

static void decode_q8_0(const uint8_t *b, float *y)
{
    float d = load_f16(b);
    for (int i = 0; i < BLOCK; i++)
        y[i] = (float)(int8_t)b[2 + i] * d;
}

static void decode_q4_0(const uint8_t *b, float *y)
{
    float d = load_f16(b);
    for (int i = 0; i < BLOCK / 2; i++) {
        y[i] = (float)((b[2 + i] & 15) - 8) * d;
        y[i + BLOCK / 2] = (float)((b[2 + i] >> 4) - 8) * d;
    }
}

static void decode_q4_1(const uint8_t *b, float *y)
{
    float d = load_f16(b), m = load_f16(b + 2);
    for (int i = 0; i < BLOCK / 2; i++) {
        float lo = (float)(b[4 + i] & 15) * d;
        float hi = (float)(b[4 + i] >> 4) * d;
        y[i] = lo + m;
        y[i + BLOCK / 2] = hi + m;
    }
}

/* Element i of a block's 32 fifth bits, at bit 4. */
static int fifth(const uint8_t *bits, int i)
{
    return (bits[i / 8] >> (i % 8) & 1) << 4;
}

static void decode_q5_0(const uint8_t *b, float *y)
{
    const uint8_t *high = b + 2, *q = b + 6;
    float d = load_f16(b);
    for (int i = 0; i < BLOCK / 2; i++) {
        y[i] = (float)(((q[i] & 15) | fifth(high, i)) - 16) * d;
        y[i + BLOCK / 2] = (float)(((q[i] >> 4) | fifth(high, i + BLOCK / 2)) - 16) * d;
    }
}

static void decode_q5_1(const uint8_t *b, float *y)
{
    const uint8_t *high = b + 4, *q = b + 8;
    float d = load_f16(b), m = load_f16(b + 2);
    for (int i = 0; i < BLOCK / 2; i++) {
        float lo = (float)((q[i] & 15) | fifth(high, i)) * d;
        float hi = (float)((q[i] >> 4) | fifth(high, i + BLOCK / 2)) * d;
        y[i] = lo + m;
        y[i + BLOCK / 2] = hi + m;
    }
}

const int8_t r1_quant_iq4_nl[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                    1,    13,   25,  38,  53,  69,  89,  113};

static void decode_iq4_nl(const uint8_t *b, float *y)
{
    float d = load_f16(b);
    for (int i = 0; i < BLOCK / 2; i++) {
        y[i] = d * (float)r1_quant_iq4_nl[b[2 + i] & 15];
        y[i + BLOCK / 2] = d * (float)r1_quant_iq4_nl[b[2 + i] >> 4];
    }
}

float r1_quant_f8_to_f32(uint8_t q)
{
    int exponent = q >> 3 & 15, mantissa = q & 7;
    float f = exponent == 0 ? (float)mantissa * 0x1p-9f
              : (q & 0x7f) == 0x7f
                  ? NAN
                  : float_of((uint32_t)(exponent + 120) << 23 | (uint32_t)mantissa << 20);
    return q & 0x80 ? -f : f;
}

uint8_t r1_quant_f8_from_f32(float f)
{
    uint32_t u = bits_of(f);
    uint8_t sign = (uint8_t)(u >> 24 & 0x80);
    u &= 0x7fffffffu;
    if (u > 0x7f800000u)
        return sign | 0x7f;
    if (u < 0x3c800000u) { /* below 2^-6: multiples of 2^-9, the spacing of floats at 2^14 */
        float shifted = float_of(u) + 0x1p14f;
        return (uint8_t)(sign | (bits_of(shifted) & 15u));
    }
    u += 0x7ffffu + ((u >> 20) & 1);
    return (uint8_t)(sign | (u >= 0x43f00000u ? 0x7eu : (u >> 20) - (120u << 3)));
}

void r1_quant_decode(r1_dtype dtype, const void *src, float *dst, int64_t n)
{
    const r1_dtype_traits *traits = r1_tensor_traits(dtype);
    r1_assert(n >= 0 && n % traits->block == 0);
    const uint8_t *b = src;
    for (int64_t i = 0; i < n; i += traits->block, b += traits->bytes) {
        uint16_t h;
        int32_t v;
        switch (dtype) {
        case R1_F32: memcpy(&dst[i], b, sizeof dst[i]); break;
        case R1_F16: dst[i] = load_f16(b); break;
        case R1_BF16:
            memcpy(&h, b, sizeof h);
            dst[i] = r1_bf16_to_f32(h);
            break;
        case R1_Q8_0: decode_q8_0(b, dst + i); break;
        case R1_Q4_0: decode_q4_0(b, dst + i); break;
        case R1_Q4_1: decode_q4_1(b, dst + i); break;
        case R1_Q5_0: decode_q5_0(b, dst + i); break;
        case R1_Q5_1: decode_q5_1(b, dst + i); break;
        case R1_IQ4_NL: decode_iq4_nl(b, dst + i); break;
        case R1_Q2_K:
        case R1_Q3_K:
        case R1_Q4_K:
        case R1_Q5_K:
        case R1_Q6_K: r1_kquant_decode(dtype, b, dst + i); break;
        case R1_F8_E4M3: dst[i] = r1_quant_f8_to_f32(*b); break;
        case R1_I32:
            memcpy(&v, b, sizeof v);
            dst[i] = (float)v;
            break;
        case R1_DTYPE_COUNT: r1_assert(false);
        }
    }
}

/* ---- Encoding ---------------------------------------------------------------------------- */

static void encode_q8_0(const float *x, uint8_t *b)
{
    float largest = 0;
    for (int i = 0; i < BLOCK; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    float d = largest / 127.0f, id = inverse(d);
    store_f16(b, d);
    for (int i = 0; i < BLOCK; i++) {
        float scaled = x[i] * id;
        b[2 + i] = (uint8_t)(int8_t)to_int(roundf(scaled), -127, 127);
    }
}

static uint8_t nibble_q4_0(float x, float id)
{
    float scaled = x * id;
    return (uint8_t)to_int(scaled + 8.5f, 0, 15);
}

static void encode_q4_0(const float *x, uint8_t *b)
{
    float largest = 0; /* in magnitude, with its sign: it becomes -8 */
    for (int i = 0; i < BLOCK; i++)
        if (fabsf(largest) < fabsf(x[i]))
            largest = x[i];
    float d = largest / -8.0f, id = inverse(d);
    store_f16(b, d);
    for (int i = 0; i < BLOCK / 2; i++) {
        int lo = nibble_q4_0(x[i], id), hi = nibble_q4_0(x[i + BLOCK / 2], id);
        b[2 + i] = (uint8_t)(lo | (hi << 4));
    }
}

static uint8_t nibble_q4_1(float x, float least, float id)
{
    float above = x - least;
    float scaled = above * id;
    return (uint8_t)to_int(scaled + 0.5f, 0, 15);
}

static void encode_q4_1(const float *x, uint8_t *b)
{
    float least = FLT_MAX, most = -FLT_MAX;
    for (int i = 0; i < BLOCK; i++) {
        least = fminf(least, x[i]);
        most = fmaxf(most, x[i]);
    }
    float d = (most - least) / 15.0f, id = inverse(d);
    store_f16(b, d);
    store_f16(b + 2, least);
    for (int i = 0; i < BLOCK / 2; i++) {
        int lo = nibble_q4_1(x[i], least, id), hi = nibble_q4_1(x[i + BLOCK / 2], least, id);
        b[4 + i] = (uint8_t)(lo | (hi << 4));
    }
}

/* ---- Encoding by search ------------------------------------------------------------------ */

/* Nibbles and fifth bits of q (32). */
static void put_q5(const int8_t *q, int offset, uint8_t *high, uint8_t *nibbles)
{
    memset(high, 0, BLOCK / 8);
    for (int i = 0; i < BLOCK; i++)
        high[i / 8] = (uint8_t)(high[i / 8] | (q[i] + offset) >> 4 << i % 8);
    for (int i = 0; i < BLOCK / 2; i++) {
        int lo = (q[i] + offset) & 15, hi = (q[i + BLOCK / 2] + offset) & 15;
        nibbles[i] = (uint8_t)(lo | (hi << 4));
    }
}

static void encode_q5_0(const float *x, uint8_t *b)
{
    r1_fit_block block;
    int8_t q[BLOCK];
    r1_fit_open(&block, x, BLOCK);
    r1_fit_line line = r1_fit_scale(&block, -16, 15);
    line.scale = r1_fit_half(line.scale);
    r1_fit_round(&block, line, -16, 15, q);
    store_f16(b, line.scale);
    put_q5(q, 16, b + 2, b + 6);
}

static void encode_q5_1(const float *x, uint8_t *b)
{
    r1_fit_block block;
    int8_t q[BLOCK];
    r1_fit_open(&block, x, BLOCK);
    r1_fit_line line = r1_fit_scale_min(&block, 31, false);
    line.scale = r1_fit_half(line.scale);
    line.min = r1_fit_half(line.min);
    r1_fit_round(&block, line, 0, 31, q);
    store_f16(b, line.scale);
    store_f16(b + 2, -line.min);
    put_q5(q, 0, b + 4, b + 8);
}

static void encode_iq4_nl(const float *x, uint8_t *b)
{
    r1_fit_block block;
    uint8_t index[BLOCK];
    r1_fit_open(&block, x, BLOCK);
    float d = r1_fit_half(r1_fit_codebook(&block, r1_quant_iq4_nl).scale);
    r1_fit_lookup(&block, r1_quant_iq4_nl, d, index);
    store_f16(b, d);
    for (int i = 0; i < BLOCK / 2; i++)
        b[2 + i] = (uint8_t)(index[i] | index[i + BLOCK / 2] << 4);
}

/* ---- Any dtype ---------------------------------------------------------------------------- */

static int32_t round_to_i32(float f)
{
    if (!(f > -0x1p31f))
        return INT32_MIN;
    return f >= 0x1p31f ? INT32_MAX : (int32_t)rintf(f);
}

void r1_quant_encode(r1_dtype dtype, const float *src, void *dst, int64_t n)
{
    const r1_dtype_traits *traits = r1_tensor_traits(dtype);
    r1_assert(n >= 0 && n % traits->block == 0);
    uint8_t *b = dst;
    for (int64_t i = 0; i < n; i += traits->block, b += traits->bytes) {
        uint16_t h;
        int32_t v;
        switch (dtype) {
        case R1_F32: memcpy(b, &src[i], sizeof src[i]); break;
        case R1_F16: store_f16(b, src[i]); break;
        case R1_BF16:
            h = r1_bf16_from_f32(src[i]);
            memcpy(b, &h, sizeof h);
            break;
        case R1_Q8_0: encode_q8_0(src + i, b); break;
        case R1_Q4_0: encode_q4_0(src + i, b); break;
        case R1_Q4_1: encode_q4_1(src + i, b); break;
        case R1_Q5_0: encode_q5_0(src + i, b); break;
        case R1_Q5_1: encode_q5_1(src + i, b); break;
        case R1_IQ4_NL: encode_iq4_nl(src + i, b); break;
        case R1_Q2_K:
        case R1_Q3_K:
        case R1_Q4_K:
        case R1_Q5_K:
        case R1_Q6_K: r1_kquant_encode(dtype, src + i, b); break;
        case R1_F8_E4M3: *b = r1_quant_f8_from_f32(src[i]); break;
        case R1_I32:
            v = round_to_i32(src[i]);
            memcpy(b, &v, sizeof v);
            break;
        case R1_DTYPE_COUNT: r1_assert(false);
        }
    }
}
