/* kquant.h: ggml's formats of 256 weights ("K"), one block at a time.
 *
 * The block's F16 scale d multiplies small integer scales, one for each sub-block.  Two bits of a
 * byte belong to weights 32 apart, so that a vector of bytes is a vector of weights.
 *
 *   Q2_K   84 bytes  16 sub-blocks of 16: weight = d * scale * q - dmin * min, q 0..3
 *          16 bytes of scale (low nibble) and min (high); 64 bytes of q, 4 a byte; d; dmin
 *   Q3_K  110 bytes  16 of 16: d * (scale - 32) * (q - 4), q 0..7
 *          32 bytes of q's highest bits, 64 bytes of the lower two; 16 scales of 6 bits in 12
 *          bytes; d
 *   Q4_K  144 bytes  8 of 32: d * scale * q - dmin * min, q 0..15
 *          d; dmin; 8 scales and 8 minima of 6 bits in 12 bytes; 128 bytes of nibbles
 *   Q5_K  176 bytes  as Q4_K, q 0..31: before the nibbles 32 bytes of fifth bits
 *   Q6_K  210 bytes  16 of 16: d * scale * (q - 32), q 0..63, scale a signed byte
 *          128 bytes of nibbles, 64 bytes of the upper two bits, 16 scales, d */
#ifndef R1_KQUANT_H
#define R1_KQUANT_H

#include "compute/tensor.h"

enum { R1_KQUANT_BLOCK = 256 };

/* y (256) = the block at b. */
void r1_kquant_decode(r1_dtype dtype, const uint8_t *b, float *y);
/* b = the block for x (256). */
void r1_kquant_encode(r1_dtype dtype, const float *x, uint8_t *b);

/* The integer scale and minimum of sub-block j (0..7) of a Q4_K or Q5_K block, from the 12 bytes
 * that follow d and dmin. */
static inline void r1_kquant_scale_min(const uint8_t *packed, int j, int *scale, int *min)
{
    if (j < 4) {
        *scale = packed[j] & 63;
        *min = packed[j + 4] & 63;
    } else {
        *scale = (packed[j + 4] & 15) | (packed[j - 4] >> 6 << 4);
        *min = (packed[j + 4] >> 4) | (packed[j] >> 6 << 4);
    }
}

/* Scale j (0..15) of a Q3_K block: low nibbles in 8 bytes, upper two bits in the next 4. */
static inline int r1_kquant_scale_q3_k(const uint8_t *packed, int j)
{
    int low = packed[j % 8] >> (j / 8 * 4) & 15;
    int high = packed[8 + j % 4] >> (j / 4 * 2) & 3;
    return (low | (high << 4)) - 32;
}

#endif
