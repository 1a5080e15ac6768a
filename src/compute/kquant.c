/* kquant.c: the formats of 256 weights; see kquant.h for their layouts.
 *
 * Decoding follows ggml's dequantize_row_*.  A scale times its integers is exact in F32 (24 bits
 * hold 11 + 7 + 6), only the subtraction of a minimum rounds: it stands alone, so that no compiler
 * fuses it with a product. */
#include "compute/kquant.h"

#include <string.h>

#include "compute/quant.h"

enum { BLOCK = R1_KQUANT_BLOCK };

static float load_f16(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return r1_quant_f16_to_f32(h);
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
