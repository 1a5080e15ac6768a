/* quant.h: the reference of every block format, scalar; decoding is bit-exact with ggml's
 * (gguf-py's dequantise).  The kernels are tested against it. */
#ifndef R1_QUANT_H
#define R1_QUANT_H

#include "compute/tensor.h"

/* n elements (whole blocks) of any dtype to F32 and back.  Encoding rounds to nearest even (F16,
 * BF16, F8), follows ggml's quantize_row_*_ref (Q8_0, Q4_0, Q4_1) or searches for the scales of
 * least error (all other block formats; fit.h says what counts).  Those never decode to an
 * infinity or NaN, whatever the input. */
void r1_quant_decode(r1_dtype dtype, const void *src, float *dst, int64_t n);
void r1_quant_encode(r1_dtype dtype, const float *src, void *dst, int64_t n);

static inline float r1_bf16_to_f32(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)h << 16};
    return v.f;
}

/* Round to nearest even; NaN stays a (quiet) NaN. */
static inline uint16_t r1_bf16_from_f32(float f)
{
    union {
        float f;
        uint32_t u;
    } v = {f};
    if ((v.u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((v.u >> 16) | 64);
    return (uint16_t)((v.u + (0x7fffu + ((v.u >> 16) & 1))) >> 16);
}

/* E4M3; what lies beyond 448 becomes 448. */
float r1_quant_f8_to_f32(uint8_t q);
uint8_t r1_quant_f8_from_f32(float f);
float r1_quant_f16_to_f32(uint16_t h);
uint16_t r1_quant_f16_from_f32(float f);

/* The values of an IQ4_NL nibble, before the scale. */
extern const int8_t r1_quant_iq4_nl[16];

#endif
