/* tensor.h: dtypes and views.  A tensor never owns its bytes. */
#ifndef R1_TENSOR_H
#define R1_TENSOR_H

#include "base/err.h"

typedef enum {
    R1_F32,
    R1_F16,
    R1_BF16,
    R1_Q8_0, /* 32 weights: F16 scale, 32 int8 */
    R1_Q4_0, /* 32 weights: F16 scale, 16 bytes of nibbles (low: first 16), minus 8 */
    R1_Q4_1, /* 32 weights: F16 scale, F16 minimum, 16 bytes of nibbles */
    R1_Q5_0, /* 32 weights: F16 scale, 4 bytes of fifth bits, 16 bytes of nibbles, minus 16 */
    R1_Q5_1, /* 32 weights: F16 scale, F16 minimum, then as Q5_0 without the 16 */
    R1_Q2_K, /* 256 weights in blocks with scales of scales, from here to Q6_K: see kquant.h */
    R1_Q3_K,
    R1_Q4_K,
    R1_Q5_K,
    R1_Q6_K,
    R1_IQ4_NL,  /* 32 weights: F16 scale, 16 bytes of nibbles that index r1_quant_iq4_nl */
    R1_F8_E4M3, /* sign, 4 bits of exponent (bias 7), 3 of mantissa; no infinity, one NaN */
    R1_I32,
    R1_DTYPE_COUNT
} r1_dtype;

typedef struct {
    const char *name;        /* "Q8_0" */
    int block;               /* elements a block; 1 for plain types */
    int bytes;               /* bytes a block */
    int ggml_type;           /* number in a GGUF tensor directory, -1 = none */
    const char *safetensors; /* "BF16"; NULL = none */
} r1_dtype_traits;

const r1_dtype_traits *r1_tensor_traits(r1_dtype t);
bool r1_tensor_dtype_of_ggml(uint32_t ggml_type, r1_dtype *out);
bool r1_tensor_dtype_of_safetensors(const char *name, r1_dtype *out);

/* Row-major, last dimension contiguous. */
typedef struct {
    void *data;       /* host or device address, by the backend that made it; NULL = absent */
    int64_t shape[4]; /* unused dimensions are 1 */
    int64_t stride0;  /* elements from one row to the next */
    r1_dtype dtype;
    int rank;
} r1_tensor;

r1_tensor r1_tensor_1d(void *data, r1_dtype dtype, int64_t n);
r1_tensor r1_tensor_2d(void *data, r1_dtype dtype, int64_t rows, int64_t cols);
/* Rows [first, first + n) of a rank-2 tensor. */
r1_tensor r1_tensor_rows(r1_tensor t, int64_t first, int64_t n);
/* Bytes of n elements, which are whole blocks. */
size_t r1_tensor_bytes(r1_dtype dtype, int64_t n);
int64_t r1_tensor_count(r1_tensor t); /* elements */

#endif
