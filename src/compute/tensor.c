/* tensor.c: the table of dtypes and the arithmetic of views. */
#include "compute/tensor.h"

#include <string.h>

static const r1_dtype_traits traits[R1_DTYPE_COUNT] = {
    [R1_F32] = {"F32", 1, 4, 0, "F32"},
    [R1_F16] = {"F16", 1, 2, 1, "F16"},
    [R1_BF16] = {"BF16", 1, 2, 30, "BF16"},
    [R1_Q8_0] = {"Q8_0", 32, 34, 8, NULL},
    [R1_Q4_0] = {"Q4_0", 32, 18, 2, NULL},
    [R1_Q4_1] = {"Q4_1", 32, 20, 3, NULL},
    [R1_Q5_0] = {"Q5_0", 32, 22, 6, NULL},
    [R1_Q5_1] = {"Q5_1", 32, 24, 7, NULL},
    [R1_Q2_K] = {"Q2_K", 256, 84, 10, NULL},
    [R1_Q3_K] = {"Q3_K", 256, 110, 11, NULL},
    [R1_Q4_K] = {"Q4_K", 256, 144, 12, NULL},
    [R1_Q5_K] = {"Q5_K", 256, 176, 13, NULL},
    [R1_Q6_K] = {"Q6_K", 256, 210, 14, NULL},
    [R1_IQ4_NL] = {"IQ4_NL", 32, 18, 20, NULL},
    [R1_F8_E4M3] = {"F8_E4M3", 1, 1, -1, "F8_E4M3"},
    [R1_I32] = {"I32", 1, 4, 26, "I32"},
};

const r1_dtype_traits *r1_tensor_traits(r1_dtype t)
{
    r1_assert((unsigned)t < R1_DTYPE_COUNT);
    return &traits[t];
}

bool r1_tensor_dtype_of_ggml(uint32_t ggml_type, r1_dtype *out)
{
    for (int i = 0; i < R1_DTYPE_COUNT; i++)
        if (traits[i].ggml_type >= 0 && (uint32_t)traits[i].ggml_type == ggml_type) {
            *out = (r1_dtype)i;
            return true;
        }
    return false;
}

bool r1_tensor_dtype_of_safetensors(const char *name, r1_dtype *out)
{
    for (int i = 0; i < R1_DTYPE_COUNT; i++)
        if (traits[i].safetensors && strcmp(traits[i].safetensors, name) == 0) {
            *out = (r1_dtype)i;
            return true;
        }
    return false;
}

r1_tensor r1_tensor_1d(void *data, r1_dtype dtype, int64_t n)
{
    return (r1_tensor){
        .data = data, .shape = {n, 1, 1, 1}, .stride0 = n, .dtype = dtype, .rank = 1};
}

r1_tensor r1_tensor_2d(void *data, r1_dtype dtype, int64_t rows, int64_t cols)
{
    return (r1_tensor){
        .data = data, .shape = {rows, cols, 1, 1}, .stride0 = cols, .dtype = dtype, .rank = 2};
}

r1_tensor r1_tensor_rows(r1_tensor t, int64_t first, int64_t n)
{
    r1_assert(t.rank == 2 && first >= 0 && n >= 0 && first <= t.shape[0] - n);
    if (t.data)
        t.data = (char *)t.data + r1_tensor_bytes(t.dtype, first * t.stride0);
    t.shape[0] = n;
    return t;
}

size_t r1_tensor_bytes(r1_dtype dtype, int64_t n)
{
    const r1_dtype_traits *d = r1_tensor_traits(dtype);
    r1_assert(n >= 0 && n % d->block == 0);
    int64_t blocks = n / d->block;
    r1_assert(blocks <= INT64_MAX / d->bytes);
    return (size_t)blocks * (size_t)d->bytes;
}

int64_t r1_tensor_count(r1_tensor t)
{
    return t.shape[0] * t.shape[1] * t.shape[2] * t.shape[3];
}
